//===- MapToThreads.cpp - Kernels on buffers to the program of one thread ---------------------------------------===//
//
// MapToThreadsSchedule.cpp decides what is spread over the threads and where they meet; this file writes it down: the
// loop over items, loops that stride over the iterations of each piece of work, loads and stores of single elements,
// and barriers.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "MapToThreads.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOMAPTOTHREADS
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-map-to-threads"

using namespace mlir;
using namespace rondo::threads;

namespace {

/// Writes one piece of work as the program of a thread. Numbers are i32 but for the indices of arguments.
class WorkEmitter {
public:
  WorkEmitter(Work planned, Value arena, Value thread, int64_t threads)
      : work(std::move(planned)), structured(dyn_cast<linalg::LinalgOp>(work.op)), arena(arena), thread(thread),
        threads(threads), b(work.op->getLoc(), work.around ? work.around.getOperation() : work.op) {}

  LogicalResult run();

private:
  //===--------------------------------------------------------------------------------------------------------------===//
  // Arithmetic
  //===--------------------------------------------------------------------------------------------------------------===//

  Value number(int64_t value) { return arith::ConstantIntOp::create(b, b.getI32Type(), value); }
  Value narrow(Value index) { return arith::IndexCastOp::create(b, b.getI32Type(), index); }
  Value widen(Value value) { return arith::IndexCastOp::create(b, b.getIndexType(), value); }
  Value add(Value x, Value y) {
    if (!x || isConstantIntValue(x, 0))
      return y;
    return !y || isConstantIntValue(y, 0) ? x : arith::AddIOp::create(b, x, y);
  }
  Value multiply(Value x, int64_t y) { return y == 1 ? x : arith::MulIOp::create(b, x, number(y)); }

  //===--------------------------------------------------------------------------------------------------------------===//
  // Elements
  //===--------------------------------------------------------------------------------------------------------------===//

  /// The value here of one that is computed in the parallel loop around.
  Value local(Value value);
  Value local(OpFoldResult value) {
    if (std::optional<int64_t> constant = getConstantIntValue(value))
      return arith::ConstantIndexOp::create(b, *constant);
    return local(cast<Value>(value));
  }
  /// `indices` (i32, null for 0) of a view to a place in the arena or the argument.
  Value loadElement(const View &view, ArrayRef<Value> indices);
  void storeElement(const View &view, ArrayRef<Value> indices, Value value);
  SmallVector<Value> place(const View &view, ArrayRef<Value> indices);

  //===--------------------------------------------------------------------------------------------------------------===//
  // Loops
  //===--------------------------------------------------------------------------------------------------------------===//

  LogicalResult resolveOperands();
  /// The number of iterations (i32).
  Value extent(const WorkLoop &loop);
  void emitSpread(function_ref<void()> body);
  void emitStructured();
  /// Sums over the reduction loops from `depth` on; returns the values of the results.
  SmallVector<Value> emitReduction(unsigned depth, SmallVector<Value> sums);
  /// The body of the operation for each of the iterations done together.
  SmallVector<Value> emitBody(ArrayRef<Value> sums);
  void emitOperation(Operation &op, IRMapping &mapping);
  SmallVector<Value> indicesOf(OpOperand &operand, ArrayRef<int64_t> which);
  void forEachTogether(function_ref<void(ArrayRef<int64_t>)> body);
  Value indexOf(int64_t loop, ArrayRef<int64_t> which);

  Work work;
  linalg::LinalgOp structured;
  /// The scratch of the block, as f32.
  Value arena;
  Value thread;
  int64_t threads;
  ImplicitLocOpBuilder b;
  /// Of the operands, null for scalars.
  std::vector<std::optional<View>> views;
  /// i32 values of the operation's loops, of the first of the iterations done together.
  DenseMap<int64_t, Value> ivs;
  IRMapping around;
};

} // namespace

Value WorkEmitter::local(Value value) {
  if (Value found = around.lookupOrNull(value))
    return found;
  if (!work.around || !work.around.getRegion().isAncestor(value.getParentRegion()))
    return value;
  Operation *def = value.getDefiningOp();
  Value result;
  if (auto load = dyn_cast<memref::LoadOp>(def)) {
    View view = *resolve(load.getMemRef(), load);
    SmallVector<Value> indices;
    for (Value index : load.getIndices())
      indices.push_back(narrow(local(index)));
    result = loadElement(view, indices);
  } else {
    for (Value operand : def->getOperands())
      if (!isa<MemRefType>(operand.getType()))
        local(operand);
    result = b.clone(*def, around)->getResult(cast<OpResult>(value).getResultNumber());
  }
  around.map(value, result);
  return result;
}

SmallVector<Value> WorkEmitter::place(const View &view, ArrayRef<Value> indices) {
  if (view.isScratch) {
    Value offset = number(view.offset);
    for (auto [value, factor] : view.terms)
      offset = add(offset, multiply(narrow(local(value)), factor));
    for (auto [index, stride] : llvm::zip_equal(indices, view.strides))
      if (index)
        offset = add(offset, multiply(index, stride));
    return {widen(offset)};
  }
  SmallVector<Value> places;
  for (OpFoldResult index : view.indices)
    places.push_back(local(index));
  for (auto [index, position] : llvm::zip_equal(indices, view.positions))
    if (index)
      places[position] = add(places[position], widen(index));
  return places;
}

Value WorkEmitter::loadElement(const View &view, ArrayRef<Value> indices) {
  return memref::LoadOp::create(b, view.isScratch ? arena : view.base, place(view, indices));
}

void WorkEmitter::storeElement(const View &view, ArrayRef<Value> indices, Value value) {
  memref::StoreOp::create(b, value, view.isScratch ? arena : view.base, place(view, indices));
}

LogicalResult WorkEmitter::resolveOperands() {
  for (OpOperand &operand : structured->getOpOperands()) {
    views.emplace_back();
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    FailureOr<View> view = resolve(operand.get(), structured);
    if (failed(view))
      return failure();
    views.back() = *view;
  }
  return success();
}

Value WorkEmitter::extent(const WorkLoop &loop) {
  if (!ShapedType::isDynamic(loop.extent))
    return number(loop.extent);
  if (loop.loop < 0) {
    scf::ForOp op = work.around;
    Value count = arith::SubIOp::create(b, narrow(op.getUpperBound()), narrow(op.getLowerBound()));
    int64_t step = *getConstantIntValue(op.getStep());
    return step == 1 ? count : arith::CeilDivSIOp::create(b, count, number(step));
  }
  for (auto [operand, view] : llvm::zip_equal(structured->getOpOperands(), views))
    if (view)
      for (auto [expr, size] : llvm::zip_equal(structured.getMatchingIndexingMap(&operand).getResults(), view->sizes))
        if (expr == b.getAffineDimExpr(loop.loop))
          return narrow(local(size));
  llvm_unreachable("a loop without an operand that moves");
}

/// The thread's share of the iterations: number t, t + threads, ... of all iterations in order.
void WorkEmitter::emitSpread(function_ref<void()> body) {
  int64_t known = 1;
  SmallVector<Value> counts;
  Value total;
  for (const WorkLoop &loop : work.parallel) {
    bool isDynamic = ShapedType::isDynamic(loop.extent);
    counts.push_back(isDynamic ? extent(loop) : number(loop.extent / loop.together));
    known = isDynamic || ShapedType::isDynamic(known) ? ShapedType::kDynamic : known * (loop.extent / loop.together);
    total = total ? arith::MulIOp::create(b, total, counts.back()) : counts.back();
  }
  auto emit = [&](Value iteration) {
    for (unsigned i = work.parallel.size(); i-- > 0;) {
      const WorkLoop &loop = work.parallel[i];
      Value iv = iteration;
      if (loop.extent == 1) {
        iv = number(0);
      } else if (i > 0) {
        iv = arith::RemUIOp::create(b, iteration, counts[i]);
        iteration = arith::DivUIOp::create(b, iteration, counts[i]);
      }
      if (loop.loop >= 0) {
        ivs[loop.loop] = iv;
        continue;
      }
      scf::ForOp op = work.around;
      Value step = multiply(iv, *getConstantIntValue(op.getStep()));
      around.map(op.getInductionVar(), add(op.getLowerBound(), widen(step)));
    }
    body();
  };
  if (ShapedType::isDynamic(known) || known > threads) {
    auto loop = scf::ForOp::create(b, thread, total, number(threads));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emit(loop.getInductionVar());
    return;
  }
  if (known == threads)
    return emit(thread);
  Value mine = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, thread, number(known));
  auto branch = scf::IfOp::create(b, mine);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  emit(thread);
}

void WorkEmitter::forEachTogether(function_ref<void(ArrayRef<int64_t>)> body) {
  SmallVector<int64_t> which(work.parallel.size(), 0);
  while (true) {
    body(which);
    int64_t i = which.size() - 1;
    for (; i >= 0 && ++which[i] == work.parallel[i].together; --i)
      which[i] = 0;
    if (i < 0)
      return;
  }
}

Value WorkEmitter::indexOf(int64_t loop, ArrayRef<int64_t> which) {
  Value iv = ivs.lookup(loop);
  for (auto [spread, position] : llvm::zip_equal(work.parallel, which))
    if (spread.loop == loop && position != 0)
      iv = add(iv, number(position * (spread.extent / spread.together)));
  return iv;
}

SmallVector<Value> WorkEmitter::indicesOf(OpOperand &operand, ArrayRef<int64_t> which) {
  SmallVector<Value> indices;
  for (AffineExpr expr : structured.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      indices.push_back(indexOf(dim.getPosition(), which));
      continue;
    }
    auto constant = cast<AffineConstantExpr>(expr);
    indices.push_back(constant.getValue() == 0 ? Value() : number(constant.getValue()));
  }
  return indices;
}

/// The product that `sum` adds and nothing else uses: the two become one multiply-add.
static arith::MulFOp getAddedProduct(arith::AddFOp sum) {
  for (Value side : {sum.getLhs(), sum.getRhs()})
    if (auto product = side.getDefiningOp<arith::MulFOp>())
      if (product->hasOneUse() && product->getBlock() == sum->getBlock())
        return product;
  return {};
}

void WorkEmitter::emitOperation(Operation &op, IRMapping &mapping) {
  if (!work.reduction.empty()) {
    if (auto product = dyn_cast<arith::MulFOp>(op); product && product->hasOneUse())
      if (auto sum = dyn_cast<arith::AddFOp>(*product->user_begin()); sum && getAddedProduct(sum) == product)
        return;
    auto sum = dyn_cast<arith::AddFOp>(op);
    if (arith::MulFOp product = sum ? getAddedProduct(sum) : nullptr) {
      Value other = sum.getLhs() == product.getResult() ? sum.getRhs() : sum.getLhs();
      Value value = math::FmaOp::create(b, mapping.lookupOrDefault(product.getLhs()),
                                        mapping.lookupOrDefault(product.getRhs()), mapping.lookupOrDefault(other));
      mapping.map(sum.getResult(), value);
      return;
    }
  }
  b.clone(op, mapping);
}

SmallVector<Value> WorkEmitter::emitBody(ArrayRef<Value> sums) {
  Block *block = structured.getBlock();
  unsigned numInputs = structured.getNumDpsInputs(), numResults = structured.getNumDpsInits();
  // An element that several iterations use is loaded once.
  SmallVector<std::pair<SmallVector<int64_t>, Value>> loaded;
  auto load = [&](OpOperand &operand, ArrayRef<int64_t> which) -> Value {
    const std::optional<View> &view = views[operand.getOperandNumber()];
    if (!view)
      return local(operand.get());
    AffineMap map = structured.getMatchingIndexingMap(&operand);
    SmallVector<int64_t> key{operand.getOperandNumber()};
    for (auto [loop, position] : llvm::zip_equal(work.parallel, which))
      key.push_back(loop.loop >= 0 && map.isFunctionOfDim(loop.loop) ? position : 0);
    for (auto &[old, value] : loaded)
      if (old == key)
        return value;
    loaded.push_back({key, loadElement(*view, indicesOf(operand, which))});
    return loaded.back().second;
  };
  SmallVector<Value> results;
  unsigned next = 0;
  forEachTogether([&](ArrayRef<int64_t> which) {
    IRMapping mapping;
    for (OpOperand *input : structured.getDpsInputOperands())
      if (BlockArgument argument = structured.getMatchingBlockArgument(input); !argument.use_empty())
        mapping.map(argument, load(*input, which));
    for (unsigned i = 0; i < numResults; ++i)
      mapping.map(block->getArgument(numInputs + i), sums[next + i]);
    for (Operation &op : block->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(op)) {
        mapping.map(index.getResult(), widen(indexOf(index.getDim(), which)));
        continue;
      }
      for (Value operand : op.getOperands())
        if (!block->getParent()->isAncestor(operand.getParentRegion()))
          mapping.map(operand, local(operand));
      emitOperation(op, mapping);
    }
    for (Value value : block->getTerminator()->getOperands())
      results.push_back(block->getParent()->isAncestor(value.getParentRegion()) ? mapping.lookup(value) : local(value));
    next += numResults;
  });
  return results;
}

SmallVector<Value> WorkEmitter::emitReduction(unsigned depth, SmallVector<Value> sums) {
  if (depth == work.reduction.size())
    return emitBody(sums);
  const WorkLoop &reduction = work.reduction[depth];
  if (reduction.extent == 1) {
    ivs[reduction.loop] = number(0);
    return emitReduction(depth + 1, sums);
  }
  auto loop = scf::ForOp::create(b, number(0), extent(reduction), number(1), sums);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ivs[reduction.loop] = loop.getInductionVar();
  SmallVector<Value> next = emitReduction(depth + 1, SmallVector<Value>(loop.getRegionIterArgs()));
  scf::YieldOp::create(b, next);
  return SmallVector<Value>(loop.getResults());
}

void WorkEmitter::emitStructured() {
  SmallVector<Value> sums;
  forEachTogether([&](ArrayRef<int64_t> which) {
    for (OpOperand &init : structured.getDpsInitsMutable()) {
      bool isUsed = structured.payloadUsesValueFromOperand(&init);
      if (auto value = structured->getAttrOfType<TypedAttr>("rondo.begin"); value && isUsed)
        sums.push_back(arith::ConstantOp::create(b, value));
      else if (isUsed)
        sums.push_back(loadElement(*views[init.getOperandNumber()], indicesOf(init, which)));
      else
        sums.push_back(arith::ConstantOp::create(b, b.getZeroAttr(views[init.getOperandNumber()]->element)));
    }
  });
  SmallVector<Value> results = emitReduction(0, sums);
  unsigned next = 0;
  forEachTogether([&](ArrayRef<int64_t> which) {
    for (OpOperand &init : structured.getDpsInitsMutable())
      storeElement(*views[init.getOperandNumber()], indicesOf(init, which), results[next++]);
  });
}

LogicalResult WorkEmitter::run() {
  auto element = [&](Value memref, ValueRange indices, function_ref<void(View &, ArrayRef<Value>)> emit) {
    FailureOr<View> view = resolve(memref, work.op);
    if (failed(view))
      return failure();
    SmallVector<Value> numbers;
    for (Value index : indices)
      numbers.push_back(narrow(local(index)));
    emit(*view, numbers);
    return success();
  };
  if (auto load = dyn_cast<memref::LoadOp>(work.op))
    return element(load.getMemRef(), load.getIndices(),
                   [&](View &view, ArrayRef<Value> indices) { load.replaceAllUsesWith(loadElement(view, indices)); });
  LogicalResult result = success();
  if (auto store = dyn_cast<memref::StoreOp>(work.op)) {
    emitSpread([&] {
      result = element(store.getMemRef(), store.getIndices(), [&](View &view, ArrayRef<Value> indices) {
        storeElement(view, indices, local(store.getValue()));
      });
    });
    return result;
  }
  for (AffineMap map : structured.getIndexingMapsArray())
    for (AffineExpr expr : map.getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(expr))
        return structured->emitError("has an indexing map that is no projection, which has no form for threads");
  if (failed(resolveOperands()))
    return failure();
  emitSpread([&] { emitStructured(); });
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------------------------------------------------===//

/// A fill right before a sum over the same buffer becomes the beginning of the sum.
static void fuseFills(Operation *root) {
  SmallVector<linalg::FillOp> fills;
  root->walk([&](linalg::FillOp fill) { fills.push_back(fill); });
  for (linalg::FillOp fill : fills) {
    Operation *next = fill->getNextNode();
    while (next && isPure(next) && next->getNumRegions() == 0)
      next = next->getNextNode();
    auto sum = dyn_cast_or_null<linalg::LinalgOp>(next);
    TypedAttr value;
    if (!sum || sum.getNumDpsInits() != 1 || sum.getNumReductionLoops() == 0 ||
        !matchPattern(fill.getInputs()[0], m_Constant(&value)))
      continue;
    Value out = fill.getOutputs()[0];
    bool readsIt = llvm::any_of(sum.getDpsInputs(), [&](Value input) { return input == out; });
    if (sum.getDpsInits()[0] != out || readsIt)
      continue;
    sum->setAttr("rondo.begin", value);
    fill.erase();
  }
}

namespace {

class MapToThreads : public rondo::impl::RondoMapToThreadsBase<MapToThreads> {
public:
  using RondoMapToThreadsBase::RondoMapToThreadsBase;

private:
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    SmallVector<omp::ParallelOp> regions;
    function.walk([&](omp::ParallelOp op) { regions.push_back(op); });
    if (!function->hasAttr("rondo.arrays"))
      return;
    if (regions.size() != 1) {
      function.emitError("has no single parallel region whose items could become thread blocks");
      return signalPassFailure();
    }
    FailureOr<scf::ForOp> items = unwrap(regions.front());
    if (failed(items) || failed(map(*items)))
      return signalPassFailure();
    function->setAttr("rondo.threads", Builder(&getContext()).getI64IntegerAttr(threads));
  }

  FailureOr<scf::ForOp> unwrap(omp::ParallelOp parallel);
  LogicalResult map(scf::ForOp items);
};

} // namespace

/// Turns the parallel region into the loop of one block over its items, with the arena and its views before it.
FailureOr<scf::ForOp> MapToThreads::unwrap(omp::ParallelOp parallel) {
  omp::WsloopOp workshare;
  for (Operation &op : llvm::make_early_inc_range(parallel.getRegion().front())) {
    if (auto found = dyn_cast<omp::WsloopOp>(op)) {
      workshare = found;
    } else if (isa<memref::DeallocOp>(op)) {
      op.erase();
    } else if (!isa<omp::TerminatorOp>(op)) {
      op.moveBefore(parallel);
    }
  }
  auto nest = workshare ? dyn_cast<omp::LoopNestOp>(workshare.getWrappedLoop()) : omp::LoopNestOp();
  if (!nest || nest.getNumLoops() != 1)
    return parallel.emitError("is not one loop over items");
  ImplicitLocOpBuilder b(parallel.getLoc(), parallel);
  Value first = gpu::BlockIdOp::create(b, gpu::Dimension::x), blocks = gpu::GridDimOp::create(b, gpu::Dimension::x);
  auto loop = scf::ForOp::create(b, first, nest.getLoopUpperBounds()[0], blocks);
  Block &body = nest.getRegion().front();
  body.getArgument(0).replaceAllUsesWith(loop.getInductionVar());
  Block *target = loop.getBody();
  for (Operation &op : llvm::make_early_inc_range(body.without_terminator()))
    op.moveBefore(target->getTerminator());
  parallel.erase();
  return loop;
}

LogicalResult MapToThreads::map(scf::ForOp items) {
  func::FuncOp function = getOperation();
  SmallVector<Operation *> prefetches;
  items.walk([&](memref::PrefetchOp op) { prefetches.push_back(op); });
  for (Operation *op : prefetches) {
    Operation *parent = op->getParentOp();
    op->erase();
    // Nothing but its prefetches was in the loop.
    if (auto loop = dyn_cast<scf::ForOp>(parent); loop && loop.getNumResults() == 0 && isMemoryEffectFree(loop))
      loop.erase();
  }
  fuseFills(items);

  Schedule schedule(threads);
  if (failed(schedule.build(items)))
    return failure();

  // Offsets in the arena are in f32.
  memref::AllocOp arena;
  function.walk([&](memref::AllocOp op) { arena = op; });
  ImplicitLocOpBuilder b(items.getLoc(), &function.getBody().front().front());
  Value thread = arith::IndexCastOp::create(b, b.getI32Type(), gpu::ThreadIdOp::create(b, gpu::Dimension::x));
  Value floats;
  if (arena) {
    auto type = MemRefType::get({arena.getType().getNumElements() / 4}, b.getF32Type());
    floats = memref::AllocOp::create(b, arena.getLoc(), type, arena.getAlignmentAttr());
  }
  for (Operation *op : schedule.barriers)
    if (isa<scf::ForOp>(op))
      gpu::BarrierOp::create(b, op->getLoc())->moveBefore(op);
  for (auto &[op, works] : schedule.work) {
    for (const Work &work : works) {
      if (schedule.barriers.contains(work.op))
        gpu::BarrierOp::create(b, work.op->getLoc())->moveBefore(op);
      if (failed(WorkEmitter(work, floats, thread, threads).run()))
        return failure();
    }
    op->erase();
  }
  // Views have become offsets.
  SmallVector<Operation *> views;
  function.walk([&](Operation *op) {
    if (isa<ViewLikeOpInterface>(op))
      views.push_back(op);
  });
  for (Operation *op : llvm::reverse(views))
    if (op->use_empty())
      op->erase();
  if (arena)
    arena.erase();
  return success();
}
