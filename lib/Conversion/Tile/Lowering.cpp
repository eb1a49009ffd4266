//===- Lowering.cpp - Small code for one thread ----------------------------------------------------------------===//

#include "Lowering.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

int64_t rondo::tile::getScalarsPerThread(RankedTensorType type) {
  ArrayRef<int64_t> shape = type.getShape();
  int64_t count = llvm::TypeSwitch<Attribute, int64_t>(type.getEncoding())
                      .Case([&](FragmentAttr) { return shape[1] / 2; })
                      .Case([&](ColumnsAttr) { return shape[0] / 4; })
                      .Case([&](RowsAttr rows) { return shape[0] / (8 * rows.getWarps()); })
                      .Case([&](LanesAttr) { return shape[0] / 32; })
                      .Case<OctetsAttr, GramAttr>([&](Attribute) { return 16; })
                      .Case([&](OctetRowsAttr) { return 8; })
                      .Default([](Attribute) { return 0; });
  return isPacked(type) ? count / 2 : count;
}

bool rondo::tile::isPacked(RankedTensorType type) {
  return type.getElementType().isBF16() || type.getElementType().isF16();
}

std::pair<Value, int64_t> Lowering::getRows(Value buffer) {
  Value address = getAddress(buffer);
  auto window = buffer.getDefiningOp<WindowOp>();
  APInt column;
  if (!window || !window.getTile().getType().isSwizzled() || !matchPattern(window.getColumn(), m_ConstantInt(&column)))
    return {address, 0};
  int64_t inBlock = column.getSExtValue() % 64;
  return {inBlock == 0 ? address : gep(address, -2 * inBlock), inBlock / 8};
}

//===----------------------------------------------------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------------------------------------------------===//

ArrayRef<Value> Lowering::get(Value value) const {
  auto found = values.find(value);
  assert(found != values.end() && "operand was not lowered");
  return *found->second;
}

void Lowering::set(Value value, Scalars scalars) { values[value] = std::make_unique<Scalars>(std::move(scalars)); }

//===----------------------------------------------------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------------------------------------------------===//

Value Lowering::i32(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
Value Lowering::i64(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
Value Lowering::f32(double value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }
Value Lowering::add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }

/// A constant of x's type.
static Value like(ImplicitLocOpBuilder &b, Value x, int64_t value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(x.getType(), value));
}

Value Lowering::mul(Value x, int64_t y) { return arith::MulIOp::create(b, x, like(b, x, y)); }
Value Lowering::shl(Value x, int64_t bits) { return bits == 0 ? x : arith::ShLIOp::create(b, x, like(b, x, bits)); }
Value Lowering::shr(Value x, int64_t bits) { return bits == 0 ? x : arith::ShRUIOp::create(b, x, like(b, x, bits)); }
Value Lowering::bitAnd(Value x, int64_t mask) { return arith::AndIOp::create(b, x, like(b, x, mask)); }
Value Lowering::bitXor(Value x, Value y) { return arith::XOrIOp::create(b, x, y); }
Value Lowering::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(b, predicate, x, y);
}
Value Lowering::select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }

//===----------------------------------------------------------------------------------------------------------------===//
// Floats
//===----------------------------------------------------------------------------------------------------------------===//

Value Lowering::fmul(Value x, Value y) { return arith::MulFOp::create(b, x, y, arith::FastMathFlags::contract); }
Value Lowering::fadd(Value x, Value y) { return arith::AddFOp::create(b, x, y, arith::FastMathFlags::contract); }

Value Lowering::exp2(Value x) {
  return LLVM::CallIntrinsicOp::create(b, b.getF32Type(), b.getStringAttr("llvm.nvvm.ex2.approx.ftz.f"), x)
      .getResult(0);
}

Value Lowering::makeVector(ArrayRef<Value> elements) {
  auto type = VectorType::get(elements.size(), elements.front().getType());
  Value vector = LLVM::UndefOp::create(b, type);
  for (auto [i, element] : llvm::enumerate(elements))
    vector = LLVM::InsertElementOp::create(b, vector, element, i32(i));
  return vector;
}

Scalars Lowering::splitVector(Value vector) {
  Scalars elements;
  for (int64_t i = 0, e = cast<VectorType>(vector.getType()).getNumElements(); i < e; ++i)
    elements.push_back(LLVM::ExtractElementOp::create(b, vector, i32(i)));
  return elements;
}

Value Lowering::pack(Value low, Value high, Type element) {
  Value pair = LLVM::FPTruncOp::create(b, VectorType::get(2, element), makeVector({low, high}));
  return LLVM::BitcastOp::create(b, b.getI32Type(), pair);
}

std::pair<Value, Value> Lowering::unpack(Value pair, Type element) {
  if (element.isBF16())
    return {LLVM::BitcastOp::create(b, b.getF32Type(), shl(pair, 16)),
            LLVM::BitcastOp::create(b, b.getF32Type(), bitAnd(pair, -65536))};
  Value halves = LLVM::BitcastOp::create(b, VectorType::get(2, element), pair);
  Scalars wide = splitVector(LLVM::FPExtOp::create(b, VectorType::get(2, b.getF32Type()), halves));
  return {wide[0], wide[1]};
}

//===----------------------------------------------------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------------------------------------------------===//

Value Lowering::gep(Value pointer, Value offset) {
  return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ValueRange(offset));
}

Value Lowering::gep(Value pointer, int64_t offset) {
  if (offset == 0)
    return pointer;
  return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
}

Value Lowering::loadF32(Value pointer) { return LLVM::LoadOp::create(b, b.getF32Type(), pointer, /*alignment=*/4); }

Scalars Lowering::loadF32s(Value pointer, int64_t count) {
  if (count == 1)
    return {loadF32(pointer)};
  return splitVector(LLVM::LoadOp::create(b, VectorType::get(count, b.getF32Type()), pointer, count * 4));
}

void Lowering::storeF32s(ArrayRef<Value> values, Value pointer) {
  Value value = values.size() == 1 ? values.front() : makeVector(values);
  LLVM::StoreOp::create(b, value, pointer, values.size() * 4);
}

Value Lowering::loadI32(Value pointer) { return LLVM::LoadOp::create(b, b.getI32Type(), pointer, /*alignment=*/4); }
void Lowering::storeI32(Value value, Value pointer) { LLVM::StoreOp::create(b, value, pointer, /*alignment=*/4); }

static NVVM::MMALayout layoutOf(bool transposed) { return transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row; }

Scalars Lowering::ldmatrix(Value pointer, bool transposed) {
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(4, b.getI32Type()));
  Value loaded =
      NVVM::LdMatrixOp::create(b, type, pointer, 4, layoutOf(transposed),
                               NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  Scalars registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(b, loaded, i));
  return registers;
}

void Lowering::stmatrix(Value pointer, ArrayRef<Value> registers, bool transposed) {
  NVVM::StMatrixOp::create(b, pointer, registers, layoutOf(transposed),
                           NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Warps
//===----------------------------------------------------------------------------------------------------------------===//

Scalars Lowering::mmaSync(ArrayRef<Value> a, ArrayRef<Value> x, ArrayRef<Value> c, Type element) {
  StringRef type = element.isBF16() ? "bf16" : "f16";
  SmallVector<Type> results(4, b.getF32Type());
  std::string text = ("mma.sync.aligned.m16n8k16.row.col.f32." + type + "." + type + ".f32 {$0,$1,$2,$3}, ").str();
  SmallVector<Value> operands;
  if (!c.empty()) {
    llvm::append_range(operands, c);
    llvm::append_range(operands, a);
    llvm::append_range(operands, x);
    return inlineAsm(text + "{$8,$9,$10,$11}, {$12,$13}, {$0,$1,$2,$3};", "=f,=f,=f,=f,0,1,2,3,r,r,r,r,r,r", operands,
                     results, /*sideEffects=*/false);
  }
  llvm::append_range(operands, a);
  llvm::append_range(operands, x);
  operands.push_back(f32(0));
  return inlineAsm(text + "{$4,$5,$6,$7}, {$8,$9}, {$10,$10,$10,$10};", "=f,=f,=f,=f,r,r,r,r,r,r,f", operands, results,
                   /*sideEffects=*/false);
}

Value Lowering::shuffle(NVVM::ShflKind kind, Value value, Value lane) {
  Value clamp = i32(kind == NVVM::ShflKind::up ? 0 : 31);
  return NVVM::ShflOp::create(b, value.getType(), i32(-1), value, lane, clamp, kind, UnitAttr());
}

Value Lowering::sumOverLanes(Value x, int64_t lanes) {
  for (int64_t distance = 1; distance < lanes; distance *= 2)
    x = fadd(x, shuffle(NVVM::ShflKind::bfly, x, i32(distance)));
  return x;
}

Scalars Lowering::inlineAsm(StringRef text, StringRef constraints, ArrayRef<Value> operands, ArrayRef<Type> results,
                            bool sideEffects) {
  Type type;
  if (results.size() == 1)
    type = results.front();
  else if (!results.empty())
    type = LLVM::LLVMStructType::getLiteral(b.getContext(), results);
  auto dialect = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  auto op = LLVM::InlineAsmOp::create(b, type, operands, text, constraints, sideEffects, /*is_align_stack=*/false,
                                      LLVM::tailcallkind::TailCallKind::None, dialect, ArrayAttr());
  if (results.empty())
    return {};
  if (results.size() == 1)
    return {op.getRes()};
  Scalars values;
  for (int64_t i = 0, e = results.size(); i < e; ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, op.getRes(), i));
  return values;
}

void Lowering::syncWarp() { NVVM::SyncWarpOp::create(b, i32(-1)); }

void Lowering::sync() {
  if (warps == 1)
    return syncWarp();
  NVVM::BarrierOp::create(b, Type(), barrier, i32(32 * warps), NVVM::BarrierReductionAttr(), Value());
}

void Lowering::syncCopies() {
  if (copies == 1)
    return sync();
  NVVM::BarrierOp::create(b, Type(), barrierOfCopies, i32(32 * warps * copies), NVVM::BarrierReductionAttr(), Value());
}

void Lowering::fenceAsync() {
  NVVM::FenceProxyOp::create(b, NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
                             NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
}

void Lowering::ifThen(Value condition, function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  body();
}
