//===- BuildBackwardKernel.cpp - Gradients over whole arrays ----------------------------------------------------===//
//
// For each head: a forward sweep over the chunks that keeps the states at their boundaries, then the backward bodies
// from the last chunk to the first with the cotangents of the states carried. Everything inside a chunk is computed
// again.
//
// Arguments with fewer heads than the mixer, and parameters, get the sum over the heads (and, for parameters, batch
// entries) that share them: one thread runs all of these one after the other, so that no sum is shared between threads.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace rondo;

namespace {
class BackwardBuilder : KernelBuilder {
public:
  BackwardBuilder(func::FuncOp forward, func::FuncOp backward, int64_t keepEvery)
      : KernelBuilder(backward, ""), forward(forward), keepEvery(keepEvery) {}
  LogicalResult collectArrays(const ElementTypes &types);
  void build();

private:
  void buildHeads(Value item);
  void buildHead(const HeadIndex &head);
  /// Advances the states by one chunk.
  void advance(const HeadIndex &head, Value chunk, MutableArrayRef<Value> carried, ArrayRef<Value> params);
  void sweepForward(const HeadIndex &head, ArrayRef<Value> params);
  /// All chunks of a group, computing the states between from the one that is kept.
  void buildGroup(const HeadIndex &head, Value group, MutableArrayRef<Value> carried, ArrayRef<Value> params);
  /// `before` gives the buffer of state i before the chunk.
  void buildChunk(const HeadIndex &head, Value chunk, llvm::function_ref<Value(unsigned)> before,
                  MutableArrayRef<Value> carried, ArrayRef<Value> params);
  Value countOf(Value start);
  /// True for the first of the heads (and batch entries) that share an array's entry.
  Value isFirst(const KernelArray &array, const HeadIndex &head);
  /// A kept state, [B, H, groups, ...].
  Value savedState(unsigned state, const HeadIndex &head, Value group);

  func::FuncOp forward;
  int64_t keepEvery;
  SmallVector<KernelArray> inputs, cotangents, gradients, states;
  SmallVector<Value> finalCotangents, saved, initialGradients;
  Value initialMask, finalMask;
  Value batches, tokens, chunks, heads, groups;
  bool hasParams = false;
};
} // namespace

LogicalResult BackwardBuilder::collectArrays(const ElementTypes &types) {
  chunkSize = forward->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  unsigned numForward = forward.getNumArguments();
  for (unsigned i = 1, e = body.getNumArguments(); i < e; ++i) {
    bool isCotangent = i >= numForward;
    FailureOr<KernelArray> array =
        makeArray(body.getArgument(i).getType(), body.getArgAttrDict(i), types, isCotangent ? "grad_" : "");
    if (failed(array))
      return failure();
    if (array->role == Role::State && isCotangent)
      continue;
    hasParams |= array->role == Role::Param;
    (isCotangent ? cotangents : array->role == Role::State ? states : inputs).push_back(*array);
  }
  gradients = inputs;
  return success();
}

void BackwardBuilder::build() {
  SmallVector<Type> types;
  SmallVector<Attribute> signatures;
  for (SmallVector<KernelArray> *list : {&inputs, &cotangents, &gradients})
    for (KernelArray &array : *list) {
      types.push_back(memrefType(array));
      StringRef kind = array.role == Role::Param ? "param" : "token";
      signatures.push_back(signature(array, list == &inputs       ? kind.str()
                                            : list == &cotangents ? "grad_output"
                                                                  : ("grad_" + kind).str()));
    }
  for (KernelArray &array : states) {
    auto type = memrefType(array);
    SmallVector<int64_t> shape(type.getShape()), strides(cast<StridedLayoutAttr>(type.getLayout()).getStrides());
    shape.insert(shape.begin() + 2, ShapedType::kDynamic);
    strides.insert(strides.begin() + 2, ShapedType::kDynamic);
    auto savedType =
        MemRefType::get(shape, array.element, StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, strides));
    llvm::append_range(types, ArrayRef<Type>{type, type, savedType, type});
    signatures.push_back(signature(array, "state"));
  }
  func::FuncOp kernel = createKernel("_kernel", types, /*numMasks=*/3, signatures);
  kernel->setAttr("rondo.backward", b.getUnitAttr());
  kernel->setAttr("rondo.keep_every", b.getI64IntegerAttr(keepEvery));
  unsigned next = 0;
  for (SmallVector<KernelArray> *list : {&inputs, &cotangents, &gradients})
    for (KernelArray &array : *list)
      array.memref = kernel.getArgument(next++);
  for (KernelArray &array : states) {
    array.memref = kernel.getArgument(next++);
    for (SmallVector<Value> *list : {&finalCotangents, &saved, &initialGradients})
      list->push_back(kernel.getArgument(next++));
  }
  initialMask = kernel.getArgument(next++);
  finalMask = kernel.getArgument(next++);
  Value threads = kernel.getArgument(next++);

  Value first = cotangents.front().memref;
  batches = dim(first, 0);
  tokens = dim(first, 1);
  heads = groups = dim(first, 2);
  chunks = arith::CeilDivUIOp::create(b, loc, tokens, index(chunkSize));
  // The smallest number of heads divides all others.
  for (KernelArray &array : inputs)
    groups = arith::MinUIOp::create(b, loc, groups, dim(array.memref, array.leading() - 1));
  Value items = hasParams ? groups : mul(batches, groups);
  buildParallelLoop(threads, items, [&](Value item) { buildHeads(item); });
  func::ReturnOp::create(b, loc);
}

/// All heads of one group, and all batch entries when parameters are shared between them.
void BackwardBuilder::buildHeads(Value item) {
  Value each = arith::DivUIOp::create(b, loc, heads, groups);
  auto loopOverHeads = [&](Value batch, Value group) {
    forEachRow(each, [&](Value position) { buildHead({batch, add(mul(group, each), position), heads, {}}); });
  };
  if (hasParams)
    return forEachRow(batches, [&](Value batch) { loopOverHeads(batch, item); });
  loopOverHeads(arith::DivUIOp::create(b, loc, item, groups), arith::RemUIOp::create(b, loc, item, groups));
}

Value BackwardBuilder::countOf(Value start) {
  return arith::MinUIOp::create(b, loc, index(chunkSize), sub(tokens, start));
}

Value BackwardBuilder::isFirst(const KernelArray &array, const HeadIndex &head) {
  Value share = arith::DivUIOp::create(b, loc, heads, dim(array.memref, array.leading() - 1));
  Value position = arith::RemUIOp::create(b, loc, head.head, share);
  if (array.role == Role::Param)
    position = add(position, head.batch);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, position, index(0));
}

Value BackwardBuilder::savedState(unsigned state, const HeadIndex &head, Value group) {
  SmallVector<OpFoldResult> offsets = {head.batch, head.head, group}, sizes(3, b.getIndexAttr(1));
  for (int64_t size : states[state].sizes) {
    offsets.push_back(b.getIndexAttr(0));
    sizes.push_back(b.getIndexAttr(size));
  }
  SmallVector<OpFoldResult> steps(sizes.size(), b.getIndexAttr(1));
  MemRefType type = memref::SubViewOp::inferRankReducedResultType(
      states[state].sizes, cast<MemRefType>(saved[state].getType()), offsets, sizes, steps);
  return memref::SubViewOp::create(b, loc, type, saved[state], offsets, sizes, steps);
}

void BackwardBuilder::buildHead(const HeadIndex &head) {
  SmallVector<Value> params = loadParams(inputs, head);
  for (KernelArray &array : gradients)
    if (array.role == Role::Param)
      scf::IfOp::create(b, loc, isFirst(array, head), [&](OpBuilder &, Location) {
        Value target = slice(array, array.memref, head, {});
        if (array.sizes.empty())
          memref::StoreOp::create(b, loc, arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f)), target);
        else
          fill(target, 0.0);
        scf::YieldOp::create(b, loc);
      });
  sweepForward(head, params);

  SmallVector<Value> carried;
  for (unsigned i = 0, e = states.size(); i < e; ++i)
    carried.push_back(loadState(states[i], finalCotangents[i], head, bit(finalMask, i), 0.0));
  Value groups = arith::CeilDivUIOp::create(b, loc, chunks, index(keepEvery));
  auto loop = scf::ForOp::create(b, loc, index(0), groups, index(1), carried);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value group = sub(sub(groups, index(1)), loop.getInductionVar());
    SmallVector<Value> values(loop.getRegionIterArgs());
    if (keepEvery == 1)
      buildChunk(head, group, [&](unsigned i) { return savedState(i, head, group); }, values, params);
    else
      buildGroup(head, group, values, params);
    yieldStates(values);
  }
  for (unsigned i = 0, e = states.size(); i < e; ++i)
    convert(toBuffer(loop.getResult(i)), slice(states[i], initialGradients[i], head, {}));
}

void BackwardBuilder::advance(const HeadIndex &head, Value chunk, MutableArrayRef<Value> carried,
                              ArrayRef<Value> params) {
  Value start = mul(chunk, index(chunkSize)), count = countOf(start);
  Operation *results = forward.getBody().front().getTerminator();
  OperandRange next = results->getOperands().take_back(states.size());
  IRMapping mapping;
  mapping.map(forward.getArgument(0), count);
  unsigned argument = 1;
  for (KernelArray &array : inputs) {
    Value target = forward.getArgument(argument++);
    if (array.role == Role::Param) {
      mapping.map(target, params.front());
      params = params.drop_front();
    } else {
      mapping.map(target, loadRows(array, head, start, count, /*repeatLast=*/true));
    }
  }
  for (Value state : carried)
    mapping.map(forward.getArgument(argument++), state);
  llvm::SmallPtrSet<Operation *, 32> done;
  cloneNeeded(next, mapping, done);
  carry(llvm::map_to_vector(next, [&](Value value) { return mapping.lookup(value); }), carried);
}

/// Keeps the states before every chunk, or before every n-th.
void BackwardBuilder::sweepForward(const HeadIndex &head, ArrayRef<Value> params) {
  SmallVector<Value> carried;
  unsigned firstState = forward.getNumArguments() - states.size();
  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    auto init = forward.getArgAttrOfType<FloatAttr>(firstState + i, "rondo.init");
    carried.push_back(
        loadState(states[i], states[i].memref, head, bit(initialMask, i), init ? init.getValueAsDouble() : 0.0));
  }
  auto loop = scf::ForOp::create(b, loc, index(0), chunks, index(1), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value chunk = loop.getInductionVar();
  SmallVector<Value> values(loop.getRegionIterArgs());
  auto keep = [&](Value group) {
    for (unsigned i = 0, e = states.size(); i < e; ++i)
      convert(toBuffer(values[i]), savedState(i, head, group));
  };
  if (keepEvery == 1) {
    keep(chunk);
  } else {
    Value rest = arith::RemUIOp::create(b, loc, chunk, index(keepEvery));
    Value isKept = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest, index(0));
    scf::IfOp::create(b, loc, isKept, [&](OpBuilder &, Location) {
      keep(arith::DivUIOp::create(b, loc, chunk, index(keepEvery)));
      scf::YieldOp::create(b, loc);
    });
  }
  advance(head, chunk, values, params);
  yieldStates(values);
}

void BackwardBuilder::buildGroup(const HeadIndex &head, Value group, MutableArrayRef<Value> carried,
                                 ArrayRef<Value> params) {
  Value start = mul(group, index(keepEvery));
  Value size = arith::MinUIOp::create(b, loc, index(keepEvery), sub(chunks, start));
  SmallVector<Value> between, values;
  for (auto [i, state] : llvm::enumerate(states)) {
    SmallVector<int64_t> shape = {keepEvery};
    llvm::append_range(shape, state.sizes);
    between.push_back(allocate(shape));
    Value buffer = allocate(state.sizes);
    convert(savedState(i, head, group), buffer);
    values.push_back(toTensor(buffer, /*writable=*/true));
  }
  auto forwards = scf::ForOp::create(b, loc, index(0), size, index(1), values);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forwards.getBody());
    SmallVector<Value> next(forwards.getRegionIterArgs());
    for (unsigned i = 0, e = states.size(); i < e; ++i)
      convert(toBuffer(next[i]), row(between[i], forwards.getInductionVar()));
    advance(head, add(start, forwards.getInductionVar()), next, params);
    scf::YieldOp::create(b, loc, next);
  }
  auto backwards = scf::ForOp::create(b, loc, index(0), size, index(1), ValueRange(carried));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(backwards.getBody());
    Value position = sub(sub(size, index(1)), backwards.getInductionVar());
    SmallVector<Value> next(backwards.getRegionIterArgs());
    buildChunk(head, add(start, position), [&](unsigned i) { return row(between[i], position); }, next, params);
    scf::YieldOp::create(b, loc, next);
  }
  llvm::copy(backwards.getResults(), carried.begin());
}

void BackwardBuilder::buildChunk(const HeadIndex &head, Value chunk, llvm::function_ref<Value(unsigned)> before,
                                 MutableArrayRef<Value> carried, ArrayRef<Value> params) {
  Value start = mul(chunk, index(chunkSize)), count = countOf(start);
  IRMapping mapping;
  mapping.map(body.getArgument(0), count);
  unsigned argument = 1;
  for (KernelArray &array : inputs) {
    Value target = body.getArgument(argument++);
    if (array.role == Role::Param) {
      mapping.map(target, params.front());
      params = params.drop_front();
    } else {
      mapping.map(target, loadRows(array, head, start, count, /*repeatLast=*/true));
    }
  }
  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    Value buffer = allocate(states[i].sizes);
    convert(before(i), buffer);
    mapping.map(body.getArgument(argument++), toTensor(buffer, /*writable=*/true));
  }
  for (KernelArray &array : cotangents)
    mapping.map(body.getArgument(argument++), loadRows(array, head, start, count, /*repeatLast=*/false));
  for (Value state : carried)
    mapping.map(body.getArgument(argument++), state);

  Operation *results = body.getBody().front().getTerminator();
  llvm::SmallPtrSet<Operation *, 32> done;
  cloneNeeded(results->getOperands(), mapping, done);
  for (auto [i, array] : llvm::enumerate(gradients)) {
    Value buffer = toBuffer(mapping.lookup(results->getOperand(i)));
    if (array.role == Role::Param) {
      convert(buffer, slice(array, array.memref, head, {}), /*adds=*/true);
      continue;
    }
    auto store = [&](bool adds) {
      forEachRow(count, [&](Value position) {
        convert(row(buffer, position), slice(array, array.memref, head, add(start, position)), adds);
      });
      scf::YieldOp::create(b, loc);
    };
    scf::IfOp::create(
        b, loc, isFirst(array, head), [&](OpBuilder &, Location) { store(false); },
        [&](OpBuilder &, Location) { store(true); });
  }
  OperandRange next = results->getOperands().take_back(states.size());
  carry(llvm::map_to_vector(next, [&](Value value) { return mapping.lookup(value); }), carried);
}

LogicalResult rondo::buildBackwardKernel(func::FuncOp forward, func::FuncOp backward, const ElementTypes &types,
                                         int64_t keepEvery) {
  BackwardBuilder builder(forward, backward, keepEvery);
  if (failed(builder.collectArrays(types)))
    return failure();
  builder.build();
  return success();
}
