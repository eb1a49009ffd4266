//===- BuildKernel.cpp - Chunk body to kernel function --------------------------------------------------*- C++ -*-===//
//
// Wraps the body of one chunk in everything around it: the loop over batch, heads and column blocks, the loop over
// chunks, the loads, conversions and stores of token rows, and the states carried from chunk to chunk.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOBUILDKERNEL
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-build-kernel"

using namespace mlir;
using namespace rondo;

namespace {

/// What the caller's array is to the mixer; the value is the number of leading dimensions before the mixer's own: [B,
/// T, H], [H] or [B, H].
enum class Role { Token = 3, Param = 1, State = 2 };

/// One array of the kernel: an argument, an output or a state of the body.
struct Array {
  StringRef name;
  Role role;
  /// The element type in memory; inside the kernel everything is f32.
  Type element;
  /// The body's sizes of one token's value (or of a parameter or state of one head).
  ArrayRef<int64_t> sizes;
  /// The names of these sizes.
  ArrayAttr dims;
  /// The kernel argument; a state has a second one, for the final value.
  Value memref, final;

  int64_t leading() const { return static_cast<int64_t>(role); }
};

/// The indices of the head that an iteration of the parallel loop works on.
struct Head {
  Value batch, head, heads, block;
};

//===----------------------------------------------------------------------------------------------------------------===//
// Building one kernel
//===----------------------------------------------------------------------------------------------------------------===//

class KernelBuilder {
public:
  KernelBuilder(func::FuncOp body, StringRef block)
      : body(body), block(block), b(body.getContext()), loc(body.getLoc()) {}

  LogicalResult collectArrays(Type defaultType, const llvm::StringMap<Type> &types);
  void build();

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  Value mul(Value lhs, Value rhs) { return arith::MulIOp::create(b, loc, lhs, rhs); }
  Value add(Value lhs, Value rhs) { return arith::AddIOp::create(b, loc, lhs, rhs); }
  Value dim(Value memref, int64_t position) { return memref::DimOp::create(b, loc, memref, position); }

  Array *arrayWithBlock();
  MemRefType memrefType(const Array &array);
  void buildParallelLoop(Value threads, ValueRange bounds);
  void buildHead(Value item);
  void buildChunk(const Head &head, Value chunk, MutableArrayRef<Value> states, ArrayRef<Value> params);

  Value allocate(ArrayRef<int64_t> sizes);
  Value toTensor(Value buffer, bool writable);
  Value slice(const Array &array, Value memref, const Head &head, Value token);
  Value row(Value buffer, Value position);
  void convert(Value source, Value target);
  Value bit(Value mask, int64_t position);

  func::FuncOp body;
  StringRef block;
  OpBuilder b;
  Location loc;
  int64_t chunkSize = 0;
  SmallVector<Array> inputs, outputs, states;
  Value initialMask, finalMask;
  Value tokens, chunks, heads, blocks;
};

} // namespace

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

LogicalResult KernelBuilder::collectArrays(Type defaultType, const llvm::StringMap<Type> &types) {
  chunkSize = body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  if (!body.getBody().hasOneBlock())
    return body.emitOpError("has no single block to inline");
  Type f32 = b.getF32Type();
  auto make = [&](Type type, DictionaryAttr attrs) -> FailureOr<Array> {
    auto name = attrs.getAs<StringAttr>("rondo.name"), role = attrs.getAs<StringAttr>("rondo.role");
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!name || !role || !tensor || !tensor.hasStaticShape() || !tensor.getElementType().isF32())
      return body.emitOpError("needs static f32 tensors with rondo.name and rondo.role");
    FailureOr<Role> kind = parseRole(role);
    if (failed(kind))
      return body.emitOpError("has the unknown role '") << role.getValue() << "'";
    Array array{name, *kind, f32, tensor.getShape(), attrs.getAs<ArrayAttr>("rondo.dims"), {}, {}};
    if (*kind == Role::Token) {
      if (tensor.getRank() == 0 || tensor.getDimSize(0) != chunkSize)
        return body.emitOpError("needs ") << chunkSize << " rows in '" << name.getValue() << "'";
      array.sizes = array.sizes.drop_front();
      auto found = types.find(name);
      array.element = found == types.end() ? defaultType : found->second;
    }
    return array;
  };
  auto argumentAttrs = [&](unsigned i) {
    DictionaryAttr attrs = body.getArgAttrDict(i);
    return attrs ? attrs : b.getDictionaryAttr({});
  };
  for (unsigned i = 1, e = body.getNumArguments(); i < e; ++i) {
    FailureOr<Array> array = make(body.getArgument(i).getType(), argumentAttrs(i));
    if (failed(array))
      return failure();
    (array->role == Role::State ? states : inputs).push_back(*array);
  }
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i) {
    DictionaryAttr attrs = body.getResultAttrDict(i);
    FailureOr<Array> array = make(body.getResultTypes()[i], attrs ? attrs : b.getDictionaryAttr({}));
    if (failed(array))
      return failure();
    if (array->role == Role::Token)
      outputs.push_back(*array);
  }
  if (outputs.empty())
    return body.emitOpError("has no output");
  if (body.getNumResults() != outputs.size() + states.size())
    return body.emitOpError("must return its outputs and then its ") << states.size() << " states";
  return success();
}

/// The array that tells how many column blocks there are: the first one with the blocked size.
Array *KernelBuilder::arrayWithBlock() {
  for (SmallVector<Array> *list : {&outputs, &inputs, &states})
    for (Array &array : *list)
      if (array.dims && !block.empty() && llvm::is_contained(array.dims, b.getStringAttr(block)))
        return &array;
  return nullptr;
}

/// Any sizes and strides; the innermost stride is 1 where the mixer's value has an axis.
MemRefType KernelBuilder::memrefType(const Array &array) {
  int64_t rank = array.leading() + array.sizes.size();
  SmallVector<int64_t> shape(rank, ShapedType::kDynamic), strides(rank, ShapedType::kDynamic);
  if (!array.sizes.empty())
    strides.back() = 1;
  return MemRefType::get(shape, array.element, StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, strides));
}

Value KernelBuilder::allocate(ArrayRef<int64_t> sizes) {
  return memref::AllocOp::create(b, loc, MemRefType::get(sizes, b.getF32Type()), b.getI64IntegerAttr(64));
}

Value KernelBuilder::toTensor(Value buffer, bool writable) {
  auto type = cast<MemRefType>(buffer.getType());
  return bufferization::ToTensorOp::create(b, loc, RankedTensorType::get(type.getShape(), type.getElementType()),
                                           buffer,
                                           /*restrict=*/true, writable);
}

/// The part of an array that belongs to one head (and one token): the mixer's own dimensions, at the head's column
/// block. An array with fewer heads is shared by groups of heads.
Value KernelBuilder::slice(const Array &array, Value memref, const Head &head, Value token) {
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
void KernelBuilder::convert(Value source, Value target) {
  auto from = cast<MemRefType>(source.getType()), to = cast<MemRefType>(target.getType());
  auto element = [&](OpBuilder &builder, Value value) -> Value {
    if (from.getElementType() == to.getElementType())
      return value;
    if (to.getElementType().isF32())
      return arith::ExtFOp::create(builder, loc, to.getElementType(), value);
    return narrow(builder, loc, value, to.getElementType());
  };
  if (from.getRank() == 0) {
    Value value = memref::LoadOp::create(b, loc, source);
    memref::StoreOp::create(b, loc, element(b, value), target);
    return;
  }
  SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(from.getRank()));
  SmallVector<utils::IteratorType> iterators(from.getRank(), utils::IteratorType::parallel);
  linalg::GenericOp::create(b, loc, source, target, maps, iterators,
                            [&](OpBuilder &builder, Location, ValueRange args) {
                              linalg::YieldOp::create(builder, loc, element(builder, args[0]));
                            });
}

Value KernelBuilder::bit(Value mask, int64_t position) {
  Value one = arith::ConstantIntOp::create(b, loc, b.getI64Type(), int64_t(1) << position);
  Value zero = arith::ConstantIntOp::create(b, loc, b.getI64Type(), 0);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, arith::AndIOp::create(b, loc, mask, one), zero);
}

void KernelBuilder::build() {
  SmallVector<Type> types;
  for (SmallVector<Array> *list : {&inputs, &outputs, &states})
    for (Array &array : *list)
      types.append(list == &states ? 2 : 1, memrefType(array));
  types.append(3, b.getI64Type());

  b.setInsertionPoint(body);
  std::string name = (body.getSymName() + "_kernel").str();
  auto kernel = func::FuncOp::create(b, loc, name, b.getFunctionType(types, {}));
  kernel->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), b.getUnitAttr());

  // What the kernel expects, for the callers that only see the compiled function.
  SmallVector<Attribute> signature;
  for (SmallVector<Array> *list : {&inputs, &outputs, &states})
    for (Array &array : *list) {
      StringRef role = list == &outputs            ? "output"
                       : array.role == Role::Token ? "token"
                       : array.role == Role::Param ? "param"
                                                   : "state";
      signature.push_back(b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(array.name)),
                                               b.getNamedAttr("role", b.getStringAttr(role)),
                                               b.getNamedAttr("type", TypeAttr::get(array.element)),
                                               b.getNamedAttr("sizes", b.getDenseI64ArrayAttr(array.sizes)),
                                               b.getNamedAttr("dims", array.dims ? array.dims : b.getArrayAttr({}))}));
    }
  kernel->setAttr("rondo.arrays", b.getArrayAttr(signature));
  kernel->setAttr("rondo.chunk", b.getI64IntegerAttr(chunkSize));
  if (!block.empty())
    kernel->setAttr("rondo.block", b.getStringAttr(block));

  Block *entry = kernel.addEntryBlock();
  unsigned next = 0;
  for (SmallVector<Array> *list : {&inputs, &outputs, &states})
    for (Array &array : *list) {
      array.memref = entry->getArgument(next++);
      if (list == &states)
        array.final = entry->getArgument(next++);
    }
  initialMask = entry->getArgument(next++);
  finalMask = entry->getArgument(next++);
  Value threads = entry->getArgument(next++);

  b.setInsertionPointToStart(entry);
  Value first = outputs.front().memref;
  Value batches = dim(first, 0);
  tokens = dim(first, 1);
  heads = dim(first, 2);
  chunks = arith::CeilDivUIOp::create(b, loc, tokens, index(chunkSize));
  Value items = mul(batches, heads);
  if (Array *blocked = arrayWithBlock()) {
    auto position = llvm::find(blocked->dims, b.getStringAttr(block)) - blocked->dims.begin();
    blocks = arith::DivUIOp::create(b, loc, dim(blocked->memref, blocked->leading() + position),
                                    index(blocked->sizes[position]));
    items = mul(items, blocks);
  }
  buildParallelLoop(threads, {index(0), items, index(1)});
  func::ReturnOp::create(b, loc);
  body.erase();
}

/// omp.parallel { omp.wsloop over the items }; a number of threads of 0 leaves the choice to the OpenMP runtime.
void KernelBuilder::buildParallelLoop(Value threads, ValueRange bounds) {
  omp::ParallelOperands clauses;
  clauses.numThreads = arith::TruncIOp::create(b, loc, b.getI32Type(), threads);
  auto parallel = omp::ParallelOp::create(b, loc, clauses);
  OpBuilder::InsertionGuard guard(b);
  b.createBlock(&parallel.getRegion());
  auto loop = omp::WsloopOp::create(b, loc, omp::WsloopOperands());
  omp::TerminatorOp::create(b, loc);
  b.createBlock(&loop.getRegion());
  omp::LoopNestOperands nest;
  nest.loopLowerBounds = {bounds[0]};
  nest.loopUpperBounds = {bounds[1]};
  nest.loopSteps = {bounds[2]};
  auto items = omp::LoopNestOp::create(b, loc, nest);
  Block *block = b.createBlock(&items.getRegion(), {}, b.getIndexType(), loc);
  buildHead(block->getArgument(0));
  omp::YieldOp::create(b, loc, ValueRange());
}

void KernelBuilder::buildHead(Value item) {
  Head head;
  head.heads = heads;
  if (blocks) {
    head.block = arith::RemUIOp::create(b, loc, item, blocks);
    item = arith::DivUIOp::create(b, loc, item, blocks);
  }
  head.head = arith::RemUIOp::create(b, loc, item, heads);
  head.batch = arith::DivUIOp::create(b, loc, item, heads);

  SmallVector<Value> params, carried;
  for (Array &array : inputs)
    if (array.role == Role::Param) {
      Value buffer = allocate(array.sizes);
      convert(slice(array, array.memref, head, {}), buffer);
      params.push_back(toTensor(buffer, /*writable=*/false));
    }
  unsigned firstState = body.getNumArguments() - states.size();
  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    const Array &array = states[i];
    Value buffer = allocate(array.sizes);
    auto init = body.getArgAttrOfType<FloatAttr>(firstState + i, "rondo.init");
    Value given = bit(initialMask, i);
    scf::IfOp::create(
        b, loc, given,
        [&](OpBuilder &, Location) {
          convert(slice(array, array.memref, head, {}), buffer);
          scf::YieldOp::create(b, loc);
        },
        [&](OpBuilder &, Location) {
          APFloat value = init ? init.getValue() : APFloat(0.0);
          bool inexact;
          value.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &inexact);
          Value constant = arith::ConstantFloatOp::create(b, loc, b.getF32Type(), value);
          linalg::FillOp::create(b, loc, constant, buffer);
          scf::YieldOp::create(b, loc);
        });
    carried.push_back(toTensor(buffer, /*writable=*/true));
  }

  auto loop = scf::ForOp::create(b, loc, index(0), chunks, index(1), carried);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> values(loop.getRegionIterArgs());
    buildChunk(head, loop.getInductionVar(), values, params);
    scf::YieldOp::create(b, loc, values);
  }

  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    const Array &array = states[i];
    auto type = MemRefType::get(array.sizes, b.getF32Type());
    Value buffer = bufferization::ToBufferOp::create(b, loc, type, loop.getResult(i), /*read_only=*/true);
    scf::IfOp::create(b, loc, bit(finalMask, i), [&](OpBuilder &, Location) {
      convert(buffer, slice(array, array.final, head, {}));
      scf::YieldOp::create(b, loc);
    });
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

void KernelBuilder::buildChunk(const Head &head, Value chunk, MutableArrayRef<Value> carried, ArrayRef<Value> params) {
  Value zero = index(0), one = index(1), size = index(chunkSize);
  Value start = mul(chunk, size);
  Value count = arith::MinUIOp::create(b, loc, size, arith::SubIOp::create(b, loc, tokens, start));
  Value last = arith::SubIOp::create(b, loc, count, one);

  IRMapping mapping;
  mapping.map(body.getArgument(0), count);
  unsigned argument = 1;
  for (Array &array : inputs) {
    if (array.role == Role::Param) {
      mapping.map(body.getArgument(argument++), params.front());
      params = params.drop_front();
      continue;
    }
    SmallVector<int64_t> shape{chunkSize};
    llvm::append_range(shape, array.sizes);
    Value buffer = allocate(shape);
    auto loop = scf::ForOp::create(b, loc, zero, size, one);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value position = loop.getInductionVar();
    Value token = add(start, arith::MinUIOp::create(b, loc, position, last));
    convert(slice(array, array.memref, head, token), row(buffer, position));
    b.setInsertionPointAfter(loop);
    mapping.map(body.getArgument(argument++), toTensor(buffer, /*writable=*/true));
  }
  for (Value state : carried)
    mapping.map(body.getArgument(argument++), state);

  // What the outputs need goes first, so that a state is read before it is overwritten.
  Block &source = body.getBody().front();
  Operation *results = source.getTerminator();
  llvm::SmallPtrSet<Operation *, 32> needed;
  SmallVector<Value> worklist(results->getOperands().take_front(outputs.size()));
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (op && needed.insert(op).second)
      op->walk([&](Operation *inner) { llvm::append_range(worklist, inner->getOperands()); });
  }
  for (bool forOutputs : {true, false})
    for (Operation &op : source.without_terminator())
      if (needed.contains(&op) == forOutputs)
        b.clone(op, mapping);

  for (auto [i, array] : llvm::enumerate(outputs)) {
    Value tensor = mapping.lookup(results->getOperand(i));
    auto tensorType = cast<RankedTensorType>(tensor.getType());
    auto type = MemRefType::get(tensorType.getShape(), tensorType.getElementType());
    Value buffer = bufferization::ToBufferOp::create(b, loc, type, tensor, /*read_only=*/true);
    auto loop = scf::ForOp::create(b, loc, zero, count, one);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value position = loop.getInductionVar();
    convert(row(buffer, position), slice(array, array.memref, head, add(start, position)));
  }

  // A state may take the old value of another one: that value is copied before either is overwritten.
  SmallVector<Value> updated;
  for (Value result : results->getOperands().drop_front(outputs.size())) {
    Value value = mapping.lookup(result);
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

//===----------------------------------------------------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------------------------------------------------===//

namespace {

class BuildKernel : public rondo::impl::RondoBuildKernelBase<BuildKernel> {
public:
  using RondoBuildKernelBase::RondoBuildKernelBase;

  void runOnOperation() override {
    llvm::StringMap<Type> types;
    FailureOr<Type> defaultType = parseType(dtype);
    if (failed(defaultType))
      return signalPassFailure();
    for (const std::string &entry : dtypes) {
      auto [name, type] = StringRef(entry).split('=');
      FailureOr<Type> parsed = parseType(type);
      if (failed(parsed))
        return signalPassFailure();
      types[name] = *parsed;
    }
    for (auto body : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!body->hasAttr("rondo.chunk") || body->hasAttr("rondo.arrays"))
        continue;
      KernelBuilder builder(body, block);
      if (failed(builder.collectArrays(*defaultType, types)))
        return signalPassFailure();
      builder.build();
    }
  }

private:
  FailureOr<Type> parseType(StringRef name) {
    MLIRContext *context = &getContext();
    if (name == "f32")
      return Type(Float32Type::get(context));
    if (name == "bf16")
      return Type(BFloat16Type::get(context));
    if (name == "f16")
      return Type(Float16Type::get(context));
    return getOperation().emitError("unknown element type '") << name << "': write f32, bf16 or f16";
  }
};

} // namespace
