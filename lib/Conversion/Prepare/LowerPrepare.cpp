//===- LowerPrepare.cpp - Bodies without states to kernels that go through tokens row by row --------------------===//
//
// The kernel that runs before one of tiles and makes what has no form there. It reads and writes each token once, so it
// is as fast as memory if loads are wide and under way early:
//
//   for each piece of this warp (a chunk, or 16 tokens where nothing runs along time):
//     load rows 0 .. 3
//     for each row t (four rows of the arguments, states of scans carried):
//       load row t + 4; evaluate the results from row t; store
//     store what is known after the last row
//
// A lane has N/32 neighbouring channels of a vector [N]; numbers are the same in all lanes.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "../Tile/Kernel.h"
#include "RowForm.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOLOWERPREPARE
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;
using namespace rondo::prepare;
using tile::Scalars;

static constexpr int64_t kWarps = 4, kShortPiece = 16;
/// Rows on their way from memory.
static constexpr int64_t kAhead = 4;
/// Thread blocks for one batch entry and head; a warp goes on to another piece when there are more.
static constexpr int64_t kBlocks = 16;

static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

namespace {
class RowKernel {
public:
  RowKernel(func::FuncOp body, gpu::GPUModuleOp module) : body(body), module(module) {}
  LogicalResult run();

private:
  void collect();
  LogicalResult emit();
  LogicalResult emitPiece(Value piece);

  //===--- Values -------------------------------------------------------------------------------------------------===//

  /// The channels of this lane (one number for a value without). `isRow`: of the current row; else of a value that has
  /// no time. Empty on failure.
  Scalars evaluate(Value value, bool isRow);
  Scalars compute(Value value, bool isRow);
  Scalars computeStructured(linalg::LinalgOp op, bool isRow);
  /// The body of a structured operation for one channel; `sum` stands for the last argument.
  Value cloneBody(linalg::LinalgOp op, Value wanted, ArrayRef<Scalars> operands, int64_t channel, int64_t perLane,
                  bool isRow);
  LogicalResult step(chunk::ScanOp scan);

  //===--- Memory -------------------------------------------------------------------------------------------------===//

  static int64_t perLane(int64_t size) { return size / kLanes; }
  Value address(const tile::DeviceArray &array, Value token);
  /// What a lane loads of a row (or parameter) at `base`, as it lies in memory, and as f32.
  SmallVector<Value> load(const tile::DeviceArray &array, Value base, bool isVector);
  Scalars widen(ValueRange loaded);
  void store(const tile::DeviceArray &array, Value base, ArrayRef<Value> values);
  Value i32(int64_t value) { return arith::ConstantOp::create(at(), at().getI32IntegerAttr(value)); }
  ImplicitLocOpBuilder &at() { return l->b; }

  func::FuncOp body;
  gpu::GPUModuleOp module;
  LLVM::LLVMFuncOp function;
  std::unique_ptr<tile::Kernel> kernel;
  std::unique_ptr<tile::Lowering> l;

  SmallVector<BlockArgument> tokens;
  SmallVector<chunk::ScanOp> scans;
  int64_t pieceRows = 0;

  Value lane, start, row;
  /// Where values without time are computed.
  Operation *invariants = nullptr;
  /// Of the current row (and of the regions of scans); of values without time.
  llvm::DenseMap<Value, Scalars> rows, invariant;
  /// Scans that have gone over the current row.
  llvm::DenseMap<Operation *, Scalars> carried, next;
};
} // namespace

//===----------------------------------------------------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------------------------------------------------===//

Value RowKernel::address(const tile::DeviceArray &array, Value token) {
  Value base = kernel->base(array), offset = arith::ExtSIOp::create(at(), at().getI64Type(), token);
  offset = arith::MulIOp::create(at(), offset, kernel->stride(array.name, "T"));
  return LLVM::GEPOp::create(at(), base.getType(), array.element, base, ValueRange(offset));
}

/// Elements that a lane moves at once: 16 bytes at most, so that all are aligned.
static int64_t widthOf(int64_t perLane, Type element) {
  int64_t width = 16 * 8 / element.getIntOrFloatBitWidth();
  while (perLane % width)
    width /= 2;
  return width;
}

SmallVector<Value> RowKernel::load(const tile::DeviceArray &array, Value base, bool isVector) {
  Type element = array.element;
  if (!isVector)
    return {LLVM::LoadOp::create(at(), element, base)};
  // The alignment of a parameter is unknown.
  int64_t count = perLane(array.sizes[0]), width = array.role == "param" ? 1 : widthOf(count, element);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Type type = width == 1 ? element : Type(VectorType::get(width, element));
  Value first = l->gep(base, l->mul(lane, count * bytes));
  SmallVector<Value> result;
  for (int64_t i = 0; i < count; i += width)
    result.push_back(LLVM::LoadOp::create(at(), type, l->gep(first, i * bytes), width * bytes));
  return result;
}

Scalars RowKernel::widen(ValueRange loaded) {
  Scalars result;
  for (Value value : loaded) {
    SmallVector<Value> elements{value};
    if (isa<VectorType>(value.getType()))
      elements = l->splitVector(value);
    for (Value element : elements)
      result.push_back(element.getType().isF32() ? element
                                                 : arith::ExtFOp::create(at(), at().getF32Type(), element).getResult());
  }
  return result;
}

void RowKernel::store(const tile::DeviceArray &array, Value base, ArrayRef<Value> values) {
  Type element = array.element;
  auto narrow = [&](Value value) -> Value {
    return element.isF32() ? value : arith::TruncFOp::create(at(), element, value).getResult();
  };
  if (array.sizes.empty()) {
    l->ifThen(l->compare(arith::CmpIPredicate::eq, lane, i32(0)),
              [&] { LLVM::StoreOp::create(at(), narrow(values.front()), base); });
    return;
  }
  int64_t count = values.size(), width = widthOf(count, element), bytes = element.getIntOrFloatBitWidth() / 8;
  Value first = l->gep(base, l->mul(lane, count * bytes));
  for (int64_t i = 0; i < count; i += width) {
    Value to = l->gep(first, i * bytes);
    if (width == 1) {
      LLVM::StoreOp::create(at(), narrow(values[i]), to);
      continue;
    }
    SmallVector<Value> narrowed = llvm::map_to_vector(values.slice(i, width), narrow);
    LLVM::StoreOp::create(at(), l->makeVector(narrowed), to, width * bytes);
  }
}

//===----------------------------------------------------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------------------------------------------------===//

static bool isInScan(Value value) {
  Operation *parent = value.getParentBlock()->getParentOp();
  return isa<chunk::ScanOp>(parent);
}

Scalars RowKernel::evaluate(Value value, bool isRow) {
  bool inLoop = isRow || isInScan(value);
  auto &known = inLoop ? rows : invariant;
  if (auto it = known.find(value); it != known.end())
    return it->second;
  OpBuilder::InsertionGuard guard(at());
  if (!inLoop && invariants)
    at().setInsertionPoint(invariants);
  Scalars made = compute(value, isRow);
  if (!made.empty())
    (inLoop ? rows : invariant)[value] = made;
  return made;
}

Scalars RowKernel::compute(Value value, bool isRow) {
  auto type = cast<RankedTensorType>(value.getType());
  bool isVector = type.getRank() == (isRow ? 2 : 1);
  int64_t count = isVector ? perLane(type.getShape().back()) : 1;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    StringRef name = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.name").getValue();
    const tile::DeviceArray *array = kernel->find(body, name, isRow ? "token" : "param");
    return array ? widen(load(*array, kernel->base(*array), isVector)) : Scalars();
  }
  Operation *op = value.getDefiningOp();
  if (isa<tensor::EmptyOp>(op))
    return Scalars(count, l->f32(0));
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    Value number = at().clone(*fill.getInputs()[0].getDefiningOp())->getResult(0);
    return Scalars(count, number);
  }
  if (auto keep = dyn_cast<chunk::KeepRowsOp>(op)) // Only rows before the end are made.
    return evaluate(keep.getOperand(), isRow);
  if (auto scan = dyn_cast<chunk::ScanOp>(op))
    return failed(step(scan)) ? Scalars() : rows.lookup(value);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    std::optional<Channels> channels = matchChannels(slice, slice.getSourceType().getShape(), type.getShape(), isRow);
    Scalars whole = evaluate(slice.getSource(), isRow), part;
    if (!channels || whole.empty())
      return {};
    for (int64_t i = 0; i < count; ++i)
      part.push_back(whole[channels->step * i + channels->offset]);
    return part;
  }
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    std::optional<Channels> channels = matchChannels(insert, type.getShape(), insert.getSourceType().getShape(), isRow);
    Scalars whole = evaluate(insert.getDest(), isRow), part = evaluate(insert.getSource(), isRow);
    if (!channels || whole.empty() || part.empty())
      return {};
    for (auto [i, element] : llvm::enumerate(part))
      whole[channels->step * i + channels->offset] = element;
    return whole;
  }
  auto structured = dyn_cast<linalg::LinalgOp>(op);
  return structured ? computeStructured(structured, isRow) : Scalars();
}

Value RowKernel::cloneBody(linalg::LinalgOp op, Value wanted, ArrayRef<Scalars> operands, int64_t channel,
                           int64_t count, bool isRow) {
  IRMapping mapping;
  for (auto [argument, values] : llvm::zip(op.getBlock()->getArguments(), operands))
    if (!values.empty())
      mapping.map(argument, values.size() == 1 ? values.front() : values[channel]);
  std::function<Value(Value)> get = [&](Value value) -> Value {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Operation *inner = value.getDefiningOp();
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      Value number = isRow && index.getDim() == 0 ? row : l->add(l->mul(lane, count), channel);
      Value made = arith::IndexCastOp::create(at(), at().getIndexType(), number);
      mapping.map(value, made);
      return made;
    }
    for (Value operand : inner->getOperands())
      get(operand);
    return at().clone(*inner, mapping)->getResult(0);
  };
  return get(wanted);
}

Scalars RowKernel::computeStructured(linalg::LinalgOp op, bool isRow) {
  int64_t channelLoop = isRow ? 1 : 0;
  bool reduces = op.getNumReductionLoops() != 0;
  int64_t count = 1;
  SmallVector<Scalars> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool isResult = op.isDpsInit(&operand);
    if (isResult && !op.payloadUsesValueFromOperand(&operand)) {
      operands.emplace_back();
    } else if (!isa<RankedTensorType>(operand.get().getType())) {
      operands.push_back({at().clone(*operand.get().getDefiningOp())->getResult(0)});
    } else {
      bool hasTime = isRow && map.getNumResults() > 0 && cast<AffineDimExpr>(map.getResult(0)).getPosition() == 0;
      operands.push_back(evaluate(operand.get(), hasTime));
      if (operands.back().empty())
        return {};
    }
    for (auto [expr, size] : llvm::zip(map.getResults(), shapeOf(operand.get())))
      if (cast<AffineDimExpr>(expr).getPosition() == channelLoop)
        count = perLane(size);
  }
  Value yielded = cast<linalg::YieldOp>(op.getBlock()->getTerminator()).getOperand(0);
  Scalars result;
  if (!reduces) {
    for (int64_t i = 0; i < count; ++i)
      result.push_back(cloneBody(op, yielded, operands, i, count, isRow));
    return result;
  }
  std::optional<Reduction> reduction = matchReduction(op);
  if (!reduction)
    return {};
  auto combine = [&](Value x, Value y) {
    IRMapping mapping;
    mapping.map(reduction->combiner->getOperand(0), x);
    mapping.map(reduction->combiner->getOperand(1), y);
    return at().clone(*reduction->combiner, mapping)->getResult(0);
  };
  Value sum;
  Scalars before = operands.pop_back_val();
  for (int64_t i = 0; i < count; ++i) {
    Value term = cloneBody(op, reduction->term, operands, i, count, isRow);
    sum = sum ? combine(sum, term) : term;
  }
  for (int64_t distance = kLanes / 2; distance > 0; distance /= 2)
    sum = combine(sum, l->shuffle(NVVM::ShflKind::bfly, sum, i32(distance)));
  return {combine(before.front(), sum)};
}

/// One step of a scan over the current row: its rows, and the states after it.
LogicalResult RowKernel::step(chunk::ScanOp scan) {
  Block &block = scan.getBody().front();
  unsigned argument = 0;
  auto bind = [&](Value value, bool isRow) {
    Scalars made = evaluate(value, isRow);
    rows[block.getArgument(argument++)] = made;
    return success(!made.empty());
  };
  for (Value value : scan.getRows())
    if (failed(bind(value, true)))
      return failure();
  for (Value value : scan.getShared())
    if (failed(bind(value, false)))
      return failure();
  ArrayRef<Value> all = carried[scan];
  for (Value state : scan.getStates()) {
    int64_t count = shapeOf(state).empty() ? 1 : perLane(shapeOf(state)[0]);
    rows[block.getArgument(argument++)] = Scalars(all.take_front(count));
    all = all.drop_front(count);
  }
  Scalars after;
  for (auto [number, yielded] : llvm::enumerate(block.getTerminator()->getOperands())) {
    Scalars made = evaluate(yielded, false);
    if (made.empty())
      return failure();
    if (number < scan.getNumStackedResults())
      rows[scan.getResult(number)] = made;
    else
      llvm::append_range(after, made);
  }
  next[scan] = after;
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------------------------------------------------===//

void RowKernel::collect() {
  for (BlockArgument argument : body.getArguments().drop_front())
    if (body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role").getValue() == "token")
      tokens.push_back(argument);
  llvm::append_range(scans, body.getOps<chunk::ScanOp>());
  int64_t chunk = body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  // The numbers of rows count from the beginning of a chunk; pieces of 16 are parts of one.
  pieceRows = scans.empty() && chunk % kShortPiece == 0 ? kShortPiece : chunk;
}

LogicalResult RowKernel::emitPiece(Value piece) {
  int64_t chunk = body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  start = l->mul(piece, pieceRows);
  Value last = l->add(kernel->tokens(), -1);
  Value count = arith::MinSIOp::create(at(), i32(pieceRows), arith::SubIOp::create(at(), kernel->tokens(), start));
  auto loadRow = [&](Value token, SmallVectorImpl<Value> &values, SmallVectorImpl<size_t> *units) {
    token = arith::MinSIOp::create(at(), token, last);
    for (BlockArgument argument : tokens) {
      StringRef name = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.name").getValue();
      const tile::DeviceArray *array = kernel->find(body, name, "token");
      if (!array)
        return failure();
      SmallVector<Value> loaded = load(*array, address(*array, token), !array->sizes.empty());
      llvm::append_range(values, loaded);
      if (units)
        units->push_back(loaded.size());
    }
    return success();
  };
  SmallVector<Value> initial;
  SmallVector<size_t> units; ///< of a row of each argument
  for (int64_t i = 0; i < kAhead; ++i)
    if (failed(loadRow(l->add(start, i), initial, i == 0 ? &units : nullptr)))
      return failure();
  size_t loaded = initial.size(), perRow = loaded / kAhead;
  for (chunk::ScanOp scan : scans)
    for (Value state : scan.getStates()) {
      Scalars made = evaluate(state, false);
      if (made.empty())
        return failure();
      llvm::append_range(initial, made);
    }

  auto loop = scf::ForOp::create(at(), i32(0), count, i32(1), initial);
  if (initial.empty())
    loop.getBody()->getTerminator()->erase();
  Operation *end = body.getBody().front().getTerminator();
  SmallVector<const tile::DeviceArray *> results;
  for (unsigned i = 0; i < body.getNumResults(); ++i) {
    results.push_back(kernel->find(body, body.getResultAttrOfType<StringAttr>(i, "rondo.name").getValue(), "output"));
    if (!results.back())
      return failure();
  }
  auto hasRole = [&](unsigned result, StringRef role) {
    return body.getResultAttrOfType<StringAttr>(result, "rondo.role").getValue() == role;
  };
  {
    OpBuilder::InsertionGuard guard(at());
    at().setInsertionPointToEnd(loop.getBody());
    rows.clear();
    ValueRange values = loop.getRegionIterArgs();
    Value token = l->add(start, loop.getInductionVar());
    row = l->bitAnd(token, chunk - 1);
    SmallVector<Value> yielded(values.slice(perRow, loaded - perRow));
    if (failed(loadRow(l->add(token, kAhead), yielded, nullptr)))
      return failure();
    ValueRange current = values.take_front(perRow);
    for (auto [argument, size] : llvm::zip(tokens, units)) {
      rows[argument] = widen(current.take_front(size));
      current = current.drop_front(size);
    }
    values = values.drop_front(loaded);
    for (chunk::ScanOp scan : scans) {
      size_t size = 0;
      for (Value state : scan.getStates())
        size += shapeOf(state).empty() ? 1 : perLane(shapeOf(state)[0]);
      carried[scan] = Scalars(values.take_front(size));
      values = values.drop_front(size);
    }
    for (auto [i, value] : llvm::enumerate(end->getOperands())) {
      if (hasRole(i, "total"))
        continue;
      Scalars made = evaluate(value, true);
      if (made.empty())
        return failure();
      auto storeRow = [&, result = results[i]] { store(*result, address(*result, token), made); };
      if (hasRole(i, "first"))
        l->ifThen(l->compare(arith::CmpIPredicate::ult, token, i32(chunk)), storeRow);
      else
        storeRow();
    }
    for (chunk::ScanOp scan : scans) {
      if (!next.count(scan) && failed(step(scan)))
        return failure();
      llvm::append_range(yielded, next[scan]);
    }
    scf::YieldOp::create(at(), yielded);
  }
  // After the last row.
  ValueRange finals = loop.getResults().drop_front(loaded);
  for (chunk::ScanOp scan : scans)
    for (auto [state, result] :
         llvm::zip(scan.getStates(), scan.getResults().drop_front(scan.getNumStackedResults()))) {
      size_t size = shapeOf(state).empty() ? 1 : perLane(shapeOf(state)[0]);
      invariant[result] = Scalars(finals.take_front(size));
      finals = finals.drop_front(size);
    }
  Operation *before = invariants;
  invariants = nullptr;
  for (auto [i, value] : llvm::enumerate(end->getOperands())) {
    if (!hasRole(i, "total"))
      continue;
    Scalars made = evaluate(value, false);
    if (made.empty())
      return failure();
    store(*results[i], address(*results[i], start), made);
  }
  invariants = before;
  return success();
}

LogicalResult RowKernel::emit() {
  Value thread = NVVM::ThreadIdXOp::create(at(), at().getI32Type());
  lane = l->bitAnd(thread, 31);
  Value pieces = arith::DivUIOp::create(at(), l->add(kernel->tokens(), pieceRows - 1), i32(pieceRows));
  Value first = l->add(l->mul(kernel->column(), kWarps), l->shr(thread, 5));
  auto loop = scf::ForOp::create(at(), first, pieces, i32(kBlocks * kWarps));
  invariants = loop;
  OpBuilder::InsertionGuard guard(at());
  at().setInsertionPoint(loop.getBody()->getTerminator());
  return emitPiece(loop.getInductionVar());
}

LogicalResult RowKernel::run() {
  collect();
  ImplicitLocOpBuilder b(body.getLoc(), body.getContext());
  b.setInsertionPointToEnd(module.getBody());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {});
  function = LLVM::LLVMFuncOp::create(b, body->getAttrOfType<StringAttr>("rondo.kernel"), type);
  b.setInsertionPointToStart(function.addEntryBlock(b));
  Operation *common = LLVM::UndefOp::create(b, b.getI32Type());
  auto arrays = body->getAttrOfType<ArrayAttr>("rondo.program");
  kernel = std::make_unique<tile::Kernel>(arrays, body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt(), kBlocks,
                                          function, common);
  l = std::make_unique<tile::Lowering>(b);
  // Rows are read 16 bytes at a time: the host checks what it makes a map of.
  for (BlockArgument argument : tokens)
    if (shapeOf(argument).size() == 2) {
      StringRef name = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.name").getValue();
      if (const tile::DeviceArray *array = kernel->find(body, name, "token"); array && array->role == "token")
        kernel->map(name, {128 / array->element.getIntOrFloatBitWidth(), 1}, 0);
    }
  if (failed(emit()))
    return body.emitError("has a value that no warp can make row by row");
  LLVM::ReturnOp::create(at(), ValueRange());
  common->erase();

  for (StringRef dim : {"B", "T", "H"})
    kernel->size(dim);
  kernel->setArguments();
  int32_t threads = kLanes * kWarps;
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), b.getDenseI32ArrayAttr({threads}));
  function->setAttr("rondo.arrays", arrays);
  function->setAttr("rondo.chunk", body->getAttr("rondo.chunk"));
  auto entry = [&](StringRef name, int64_t value) { return b.getNamedAttr(name, b.getI64IntegerAttr(value)); };
  function->setAttr("rondo.launch",
                    b.getDictionaryAttr({entry("threads", threads), entry("shared", 0), entry("blocks", kBlocks),
                                         entry("maxBlocks", 0), entry("workspace", 0),
                                         b.getNamedAttr("params", kernel->parameters())}));
  return success();
}

namespace {
struct LowerPrepare : rondo::impl::RondoLowerPrepareBase<LowerPrepare> {
  void runOnOperation() override {
    ModuleOp top = getOperation();
    for (func::FuncOp body : llvm::make_early_inc_range(top.getOps<func::FuncOp>())) {
      if (!body->hasAttr("rondo.prepare"))
        continue;
      auto module = top.lookupSymbol<gpu::GPUModuleOp>("cuda");
      if (!module) {
        OpBuilder b = OpBuilder::atBlockEnd(top.getBody());
        module = gpu::GPUModuleOp::create(b, top.getLoc(), "cuda");
      }
      if (failed(RowKernel(body, module).run()))
        return signalPassFailure();
      body.erase();
    }
  }
};
} // namespace
