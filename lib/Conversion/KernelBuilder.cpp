//===- KernelBuilder.cpp - Loops around chunk bodies ------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace rondo;

FailureOr<ElementTypes> rondo::parseElementTypes(Operation *op, StringRef dtype, ArrayRef<std::string> dtypes) {
  MLIRContext *context = op->getContext();
  auto parse = [&](StringRef name) -> FailureOr<Type> {
    if (name == "f32")
      return Type(Float32Type::get(context));
    if (name == "bf16")
      return Type(BFloat16Type::get(context));
    if (name == "f16")
      return Type(Float16Type::get(context));
    return op->emitError("unknown element type '") << name << "': write f32, bf16 or f16";
  };
  FailureOr<Type> byDefault = parse(dtype);
  if (failed(byDefault))
    return failure();
  ElementTypes types{*byDefault, {}};
  for (const std::string &entry : dtypes) {
    auto [name, type] = StringRef(entry).split('=');
    FailureOr<Type> parsed = parse(type);
    if (failed(parsed))
      return failure();
    types.byName[name] = *parsed;
  }
  return types;
}

Value KernelBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
Value KernelBuilder::mul(Value lhs, Value rhs) { return arith::MulIOp::create(b, loc, lhs, rhs); }
Value KernelBuilder::add(Value lhs, Value rhs) { return arith::AddIOp::create(b, loc, lhs, rhs); }
Value KernelBuilder::sub(Value lhs, Value rhs) { return arith::SubIOp::create(b, loc, lhs, rhs); }
Value KernelBuilder::dim(Value memref, int64_t position) { return memref::DimOp::create(b, loc, memref, position); }

Value KernelBuilder::bit(Value mask, int64_t position) {
  Value one = arith::ConstantIntOp::create(b, loc, b.getI64Type(), int64_t(1) << position);
  Value zero = arith::ConstantIntOp::create(b, loc, b.getI64Type(), 0);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, arith::AndIOp::create(b, loc, mask, one), zero);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Arrays
//===----------------------------------------------------------------------------------------------------------------===//

/// The role of a body argument or result from its attribute.
static FailureOr<Role> parseRole(StringRef role) {
  if (role == "token" || role == "output")
    return Role::Token;
  if (role == "param")
    return Role::Param;
  if (role == "state")
    return Role::State;
  return failure();
}

FailureOr<KernelArray> KernelBuilder::makeArray(Type type, DictionaryAttr attrs, const ElementTypes &types,
                                                StringRef prefix) {
  if (!attrs)
    attrs = b.getDictionaryAttr({});
  auto name = attrs.getAs<StringAttr>("rondo.name"), role = attrs.getAs<StringAttr>("rondo.role");
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!name || !role || !tensor || !tensor.hasStaticShape() || !tensor.getElementType().isF32())
    return body.emitOpError("needs static f32 tensors with rondo.name and rondo.role");
  StringRef text = role.getValue();
  text.consume_front(prefix);
  FailureOr<Role> kind = parseRole(text);
  if (failed(kind))
    return body.emitOpError("has the unknown role '") << role.getValue() << "'";
  KernelArray array{name, *kind, b.getF32Type(), tensor.getShape(), attrs.getAs<ArrayAttr>("rondo.dims"), {}};
  if (*kind == Role::Token) {
    if (tensor.getRank() == 0 || tensor.getDimSize(0) != chunkSize)
      return body.emitOpError("needs ") << chunkSize << " rows in '" << name.getValue() << "'";
    array.sizes = array.sizes.drop_front();
    auto found = types.byName.find(name);
    array.element = found == types.byName.end() ? types.byDefault : found->second;
  }
  return array;
}

/// Any sizes and strides; the innermost stride is 1 where the mixer's value has an axis.
MemRefType KernelBuilder::memrefType(const KernelArray &array, int64_t leading) {
  int64_t rank = leading + array.sizes.size();
  SmallVector<int64_t> shape(rank, ShapedType::kDynamic), strides(rank, ShapedType::kDynamic);
  if (!array.sizes.empty())
    strides.back() = 1;
  return MemRefType::get(shape, array.element, StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, strides));
}

LogicalResult KernelBuilder::collectArrays(const ElementTypes &types, SmallVectorImpl<KernelArray> &inputs,
                                           SmallVectorImpl<KernelArray> &outputs,
                                           SmallVectorImpl<KernelArray> &states) {
  chunkSize = body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  if (!body.getBody().hasOneBlock())
    return body.emitOpError("has no single block to inline");
  for (unsigned i = 1, e = body.getNumArguments(); i < e; ++i) {
    FailureOr<KernelArray> array = makeArray(body.getArgument(i).getType(), body.getArgAttrDict(i), types);
    if (failed(array))
      return failure();
    (array->role == Role::State ? states : inputs).push_back(*array);
  }
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i) {
    FailureOr<KernelArray> array = makeArray(body.getResultTypes()[i], body.getResultAttrDict(i), types);
    if (failed(array))
      return failure();
    if (array->role == Role::Token)
      outputs.push_back(*array);
  }
  if (outputs.empty() && llvm::none_of(inputs, [](const KernelArray &array) { return array.role == Role::Token; }))
    return body.emitOpError("has no token array to take B, T and H from");
  if (body.getNumResults() != outputs.size() + states.size())
    return body.emitOpError("must return its outputs and then its ") << states.size() << " states";
  return success();
}

Attribute KernelBuilder::signature(const KernelArray &array, StringRef role) {
  return b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(array.name)),
                              b.getNamedAttr("role", b.getStringAttr(role)),
                              b.getNamedAttr("type", TypeAttr::get(array.element)),
                              b.getNamedAttr("sizes", b.getDenseI64ArrayAttr(array.sizes)),
                              b.getNamedAttr("dims", array.dims ? array.dims : b.getArrayAttr({}))});
}

func::FuncOp KernelBuilder::createKernel(StringRef suffix, ArrayRef<Type> arrays, unsigned numMasks,
                                         ArrayRef<Attribute> signatures) {
  SmallVector<Type> types(arrays);
  types.append(numMasks, b.getI64Type());
  b.setInsertionPoint(body);
  auto kernel = func::FuncOp::create(b, loc, (body.getSymName() + suffix).str(), b.getFunctionType(types, {}));
  kernel->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), b.getUnitAttr());
  kernel->setAttr("rondo.arrays", b.getArrayAttr(signatures));
  kernel->setAttr("rondo.chunk", b.getI64IntegerAttr(chunkSize));
  b.setInsertionPointToStart(kernel.addEntryBlock());
  return kernel;
}

void KernelBuilder::buildParallelLoop(Value threads, Value count, function_ref<void(Value)> buildItem) {
  OpBuilder::InsertionGuard outer(b);
  omp::ParallelOperands clauses;
  clauses.numThreads = arith::TruncIOp::create(b, loc, b.getI32Type(), threads);
  Value zero = index(0), one = index(1);
  auto parallel = omp::ParallelOp::create(b, loc, clauses);
  b.createBlock(&parallel.getRegion());
  auto loop = omp::WsloopOp::create(b, loc, omp::WsloopOperands());
  omp::TerminatorOp::create(b, loc);
  b.createBlock(&loop.getRegion());
  omp::LoopNestOperands nest;
  nest.loopLowerBounds = {zero};
  nest.loopUpperBounds = {count};
  nest.loopSteps = {one};
  auto items = omp::LoopNestOp::create(b, loc, nest);
  Block *block = b.createBlock(&items.getRegion(), {}, b.getIndexType(), loc);
  buildItem(block->getArgument(0));
  omp::YieldOp::create(b, loc, ValueRange());
}

//===----------------------------------------------------------------------------------------------------------------===//
// Loads and stores
//===----------------------------------------------------------------------------------------------------------------===//

Value KernelBuilder::allocate(ArrayRef<int64_t> sizes) {
  return memref::AllocOp::create(b, loc, MemRefType::get(sizes, b.getF32Type()), b.getI64IntegerAttr(64));
}

Value KernelBuilder::toTensor(Value buffer, bool writable) {
  auto type = cast<MemRefType>(buffer.getType());
  return bufferization::ToTensorOp::create(b, loc, RankedTensorType::get(type.getShape(), type.getElementType()),
                                           buffer,
                                           /*restrict=*/true, writable);
}

Value KernelBuilder::toBuffer(Value tensor, MemRefLayoutAttrInterface layout) {
  auto type = cast<RankedTensorType>(tensor.getType());
  return bufferization::ToBufferOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType(), layout),
                                           tensor,
                                           /*read_only=*/true);
}

void KernelBuilder::fill(Value buffer, double value) {
  APFloat number(value);
  bool inexact;
  number.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &inexact);
  Value constant = arith::ConstantFloatOp::create(b, loc, b.getF32Type(), number);
  linalg::FillOp::create(b, loc, constant, buffer);
}

/// The part of an array that belongs to one head (and one token): the mixer's own dimensions, at the head's column
/// block. An array with fewer heads is shared by groups of heads.
Value KernelBuilder::slice(const KernelArray &array, Value memref, const HeadIndex &head, Value token) {
  int64_t leading = array.leading();
  Value own = head.head;
  if (array.role != Role::State) {
    Value available = dim(memref, leading - 1);
    own = arith::DivUIOp::create(b, loc, mul(head.head, available), head.heads);
  }
  SmallVector<OpFoldResult> offsets;
  if (array.role != Role::Param)
    offsets.push_back(head.batch);
  if (array.role == Role::Token)
    offsets.push_back(token);
  offsets.push_back(own);
  SmallVector<OpFoldResult> sizes(leading, b.getIndexAttr(1));
  for (auto [i, size] : llvm::enumerate(array.sizes)) {
    bool blocked = head.block && array.dims && array.dims[i] == b.getStringAttr(block);
    offsets.push_back(blocked ? OpFoldResult(mul(head.block, index(size))) : OpFoldResult(b.getIndexAttr(0)));
    sizes.push_back(b.getIndexAttr(size));
  }
  SmallVector<OpFoldResult> steps(sizes.size(), b.getIndexAttr(1));
  MemRefType type = memref::SubViewOp::inferRankReducedResultType(array.sizes, cast<MemRefType>(memref.getType()),
                                                                  offsets, sizes, steps);
  return memref::SubViewOp::create(b, loc, type, memref, offsets, sizes, steps);
}

/// Row `position` of a buffer [C, ...].
Value KernelBuilder::row(Value buffer, Value position) {
  auto type = cast<MemRefType>(buffer.getType());
  ArrayRef<int64_t> shape = type.getShape().drop_front();
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)), sizes{b.getIndexAttr(1)};
  offsets[0] = position;
  llvm::append_range(sizes, getAsIndexOpFoldResult(b.getContext(), shape));
  SmallVector<OpFoldResult> steps(sizes.size(), b.getIndexAttr(1));
  MemRefType rowType = memref::SubViewOp::inferRankReducedResultType(shape, type, offsets, sizes, steps);
  return memref::SubViewOp::create(b, loc, rowType, buffer, offsets, sizes, steps);
}

/// f32 to bf16 or f16, to nearest even. Few CPUs have an instruction for bf16 (elsewhere LLVM calls a function for
/// every element), so that one is spelt out: add half of the last place to the bits and cut them off.
static Value narrow(OpBuilder &builder, Location loc, Value value, Type type) {
  if (!type.isBF16())
    return arith::TruncFOp::create(builder, loc, type, value);
  Type i32 = builder.getI32Type();
  auto constant = [&](int64_t number) { return arith::ConstantIntOp::create(builder, loc, i32, number); };
  Value isNaN = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNO, value, value);
  Value bits = arith::BitcastOp::create(builder, loc, i32, value);
  Value last =
      arith::AndIOp::create(builder, loc, arith::ShRUIOp::create(builder, loc, bits, constant(16)), constant(1));
  Value half = arith::AddIOp::create(builder, loc, last, constant(0x7fff));
  Value rounded = arith::AddIOp::create(builder, loc, bits, half);
  rounded = arith::SelectOp::create(builder, loc, isNaN, constant(0x7fc00000), rounded);
  Value high = arith::ShRUIOp::create(builder, loc, rounded, constant(16));
  return arith::BitcastOp::create(builder, loc, type,
                                  arith::TruncIOp::create(builder, loc, builder.getI16Type(), high));
}

/// Copies between buffers of the same shape, converting the element type.
void KernelBuilder::convert(Value source, Value target, bool adds) {
  auto from = cast<MemRefType>(source.getType()), to = cast<MemRefType>(target.getType());
  auto element = [&](OpBuilder &builder, Value value) -> Value {
    if (from.getElementType() == to.getElementType())
      return value;
    if (to.getElementType().isF32())
      return arith::ExtFOp::create(builder, loc, to.getElementType(), value);
    return narrow(builder, loc, value, to.getElementType());
  };
  auto combine = [&](OpBuilder &builder, Value value, Value old) -> Value {
    if (!adds)
      return element(builder, value);
    if (!to.getElementType().isF32())
      old = arith::ExtFOp::create(builder, loc, builder.getF32Type(), old);
    return element(builder, arith::AddFOp::create(builder, loc, old, value));
  };
  if (from.getRank() == 0) {
    Value value = memref::LoadOp::create(b, loc, source), old;
    if (adds)
      old = memref::LoadOp::create(b, loc, target);
    memref::StoreOp::create(b, loc, combine(b, value, old), target);
    return;
  }
  SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(from.getRank()));
  SmallVector<utils::IteratorType> iterators(from.getRank(), utils::IteratorType::parallel);
  linalg::GenericOp::create(b, loc, source, target, maps, iterators,
                            [&](OpBuilder &builder, Location, ValueRange args) {
                              linalg::YieldOp::create(builder, loc, combine(builder, args[0], args[1]));
                            });
}

SmallVector<Value> KernelBuilder::loadParams(ArrayRef<KernelArray> arrays, const HeadIndex &head) {
  SmallVector<Value> params;
  for (const KernelArray &array : arrays) {
    if (array.role != Role::Param)
      continue;
    Value buffer = allocate(array.sizes);
    convert(slice(array, array.memref, head, {}), buffer);
    params.push_back(toTensor(buffer, /*writable=*/false));
  }
  return params;
}

Value KernelBuilder::loadState(const KernelArray &array, Value memref, const HeadIndex &head, Value given,
                               double init) {
  Value buffer = allocate(array.sizes);
  scf::IfOp::create(
      b, loc, given,
      [&](OpBuilder &, Location) {
        convert(slice(array, memref, head, {}), buffer);
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &, Location) {
        fill(buffer, init);
        scf::YieldOp::create(b, loc);
      });
  return toTensor(buffer, /*writable=*/true);
}

void KernelBuilder::forEachRow(Value count, function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, loc, index(0), count, index(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void KernelBuilder::prefetchRow(const KernelArray &array, const HeadIndex &head, Value token, bool isWrite) {
  if (array.sizes.size() != 1)
    return;
  Value last = sub(dim(array.memref, 1), index(1));
  Value target = slice(array, array.memref, head, arith::MinUIOp::create(b, loc, token, last));
  constexpr int64_t lineBytes = 64;
  int64_t step = lineBytes * 8 / cast<MemRefType>(target.getType()).getElementTypeBitWidth();
  auto loop = scf::ForOp::create(b, loc, index(0), index(array.sizes[0]), index(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  memref::PrefetchOp::create(b, loc, target, loop.getInductionVar(), isWrite, /*localityHint=*/2, /*isDataCache=*/true);
}

Value KernelBuilder::loadRows(const KernelArray &array, const HeadIndex &head, Value start, Value count,
                              bool repeatLast) {
  SmallVector<int64_t> shape{chunkSize};
  llvm::append_range(shape, array.sizes);
  Value buffer = allocate(shape);
  if (!repeatLast) {
    forEachRow(count, [&](Value position) {
      convert(slice(array, array.memref, head, add(start, position)), row(buffer, position));
    });
    forEachRow(sub(index(chunkSize), count), [&](Value position) {
      Value rest = row(buffer, add(count, position));
      if (array.sizes.empty())
        memref::StoreOp::create(b, loc, arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f)), rest);
      else
        fill(rest, 0.0);
    });
    return toTensor(buffer, /*writable=*/true);
  }
  Value last = sub(count, index(1));
  forEachRow(index(chunkSize), [&](Value position) {
    Value token = add(start, arith::MinUIOp::create(b, loc, position, last));
    convert(slice(array, array.memref, head, token), row(buffer, position));
    prefetchRow(array, head, add(token, index(chunkSize)), /*isWrite=*/false);
  });
  return toTensor(buffer, /*writable=*/true);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Bodies and states
//===----------------------------------------------------------------------------------------------------------------===//

void KernelBuilder::cloneNeeded(ValueRange values, IRMapping &mapping, llvm::SmallPtrSetImpl<Operation *> &done) {
  llvm::SmallPtrSet<Operation *, 32> needed;
  SmallVector<Value> worklist(values);
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (op && !done.contains(op) && needed.insert(op).second)
      op->walk([&](Operation *inner) { llvm::append_range(worklist, inner->getOperands()); });
  }
  // `values` belong to one body.
  for (Value value : values)
    if (Operation *def = value.getDefiningOp()) {
      for (Operation &op : *def->getBlock())
        if (needed.contains(&op) && done.insert(&op).second)
          b.clone(op, mapping);
      break;
    }
}

/// True if `value` is made by operations that each write over their destination, beginning with `state`: it lies in the
/// state's buffer already.
static bool continues(Value value, Value state) {
  while (value != state) {
    auto result = dyn_cast<OpResult>(value);
    if (!result)
      return false;
    if (auto loop = dyn_cast<scf::ForOp>(result.getOwner())) {
      if (!continues(loop.getYieldedValues()[result.getResultNumber()],
                     loop.getRegionIterArg(result.getResultNumber())))
        return false;
      value = loop.getInitArgs()[result.getResultNumber()];
    } else if (auto structured = dyn_cast<linalg::LinalgOp>(result.getOwner())) {
      value = structured.getDpsInitOperand(result.getResultNumber())->get();
    } else if (auto insert = dyn_cast<tensor::InsertSliceOp>(result.getOwner())) {
      value = insert.getDest();
    } else {
      return false;
    }
  }
  return true;
}

void KernelBuilder::yieldStates(ValueRange states) {
  if (!states.empty()) // a loop that carries nothing has its terminator already
    scf::YieldOp::create(b, loc, states);
}

void KernelBuilder::carry(ValueRange next, MutableArrayRef<Value> carried) {
  // A state may take the old value of another one: that value is copied before either is overwritten.
  SmallVector<Value> updated;
  for (Value value : next) {
    if (auto other = llvm::find(carried, value);
        other != carried.end() && other - carried.begin() != int64_t(updated.size()))
      value =
          bufferization::AllocTensorOp::create(b, loc, cast<RankedTensorType>(value.getType()), ValueRange(), value);
    updated.push_back(value);
  }
  for (auto [state, value] : llvm::zip(carried, updated))
    if (continues(value, state))
      state = value;
    else
      state = bufferization::MaterializeInDestinationOp::create(b, loc, state.getType(), value, state)->getResult(0);
}
