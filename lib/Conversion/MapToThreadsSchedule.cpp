//===- MapToThreadsSchedule.cpp - Who does what, and who waits for whom -----------------------------------------===//
//
// Finds the loops whose iterations may be spread over threads, and the places where the threads of a block must meet:
// before work that touches elements that another thread may have touched since the last barrier. Two accesses by the
// same thread need no barrier: equal iteration spaces are spread equally.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "MapToThreads.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace rondo::threads;

//===----------------------------------------------------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------------------------------------------------===//

bool rondo::threads::isWork(Operation *op) { return isa<linalg::LinalgOp, memref::LoadOp, memref::StoreOp>(op); }

/// How many iterations of the two innermost parallel loops of a sum one thread does together: the elements that it
/// loads then serve several products. No more than leaves work for all threads.
static void chooseTogether(Work &work, int64_t threads) {
  int64_t points = 1;
  SmallVector<WorkLoop *> loops;
  for (WorkLoop &loop : work.parallel) {
    if (ShapedType::isDynamic(loop.extent))
      return;
    points *= loop.extent;
    if (loop.extent > 1)
      loops.push_back(&loop);
  }
  if (loops.empty())
    return;
  WorkLoop alone, *inner = loops.back(), *outer = loops.size() > 1 ? loops[loops.size() - 2] : &alone;
  if (outer == &alone)
    alone.extent = 1;
  double best = 2;
  constexpr int64_t kMost = 4;
  for (int64_t i = 1; i <= kMost; i *= 2)
    for (int64_t j = 1; j <= kMost; j *= 2) {
      bool fits = outer->extent % i == 0 && inner->extent % j == 0 && i * j * threads <= std::max(points, threads);
      double loads = double(i + j) / (i * j);
      if (!fits || loads >= best)
        continue;
      best = loads;
      outer->together = i;
      inner->together = j;
    }
}

Work rondo::threads::planWork(Operation *op, scf::ForOp around, int64_t threads) {
  Work work{op, around, {}, {}};
  if (around) {
    WorkLoop loop;
    if (std::optional<APInt> count = around.getStaticTripCount())
      loop.extent = count->getSExtValue();
    work.parallel.push_back(loop);
  }
  auto structured = dyn_cast<linalg::LinalgOp>(op);
  if (!structured)
    return work;
  SmallVector<int64_t> ranges = structured.getStaticLoopRanges();
  SmallVector<utils::IteratorType> iterators = structured.getIteratorTypesArray();
  // Neighbouring threads should write neighbouring elements: the loops in the order of the result's dimensions.
  SmallVector<int64_t> order;
  for (AffineExpr expr : structured.getMatchingIndexingMap(structured.getDpsInitOperand(0)).getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      order.push_back(dim.getPosition());
  for (int64_t loop = 0, e = ranges.size(); loop < e; ++loop) {
    if (iterators[loop] == utils::IteratorType::reduction)
      work.reduction.push_back({loop, ranges[loop], 1});
    else if (!llvm::is_contained(order, loop))
      order.insert(order.begin(), loop);
  }
  for (int64_t loop : order)
    work.parallel.push_back({loop, ranges[loop], 1});
  if (!work.reduction.empty())
    chooseTogether(work, threads);
  return work;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Accesses
//===----------------------------------------------------------------------------------------------------------------===//

namespace {

/// What one piece of work does to one buffer.
struct Access {
  View view;
  bool writes = false;
  /// Whether the elements are known to be those at offset + terms + [0, length) of the arena.
  bool isKnown = false;
  int64_t offset = 0, length = 0;
  SmallVector<std::pair<Value, int64_t>> terms;
  /// Extents and strides of the loops that are spread over threads, if each element belongs to one iteration and hence
  /// to one thread; loops that follow each other in memory are one. `together` as in the work.
  bool isOwned = false;
  SmallVector<std::pair<int64_t, int64_t>> loops;
  SmallVector<int64_t> together;
  /// Loops of which this happened in an earlier iteration.
  SmallVector<scf::ForOp> carried;

  int64_t factor(Value value) const {
    for (auto [term, factor] : terms)
      if (term == value)
        return factor;
    return 0;
  }
  bool operator==(const Access &other) const {
    return view.base == other.view.base && view.begin == other.view.begin && view.end == other.view.end &&
           writes == other.writes && isKnown == other.isKnown && offset == other.offset && length == other.length &&
           terms == other.terms && isOwned == other.isOwned && loops == other.loops && together == other.together &&
           carried == other.carried;
  }
};

/// What was accessed since the last barrier.
using Pending = std::vector<Access>;

} // namespace

/// Adds `factor` times `value` as a sum of values that are no sums.
static void addAffine(Access &access, Value value, int64_t factor) {
  if (std::optional<int64_t> constant = getConstantIntValue(value)) {
    access.offset += *constant * factor;
    return;
  }
  Operation *def = value.getDefiningOp();
  if (auto sum = dyn_cast_or_null<arith::AddIOp>(def)) {
    addAffine(access, sum.getLhs(), factor);
    addAffine(access, sum.getRhs(), factor);
  } else if (auto difference = dyn_cast_or_null<arith::SubIOp>(def)) {
    addAffine(access, difference.getLhs(), factor);
    addAffine(access, difference.getRhs(), -factor);
  } else if (auto product = dyn_cast_or_null<arith::MulIOp>(def); product && getConstantIntValue(product.getRhs())) {
    addAffine(access, product.getLhs(), factor * *getConstantIntValue(product.getRhs()));
  } else {
    for (auto &[term, old] : access.terms)
      if (term == value) {
        old += factor;
        return;
      }
    access.terms.push_back({value, factor});
  }
}

/// The elements of one operand. `strides` of the loops of the work in its view, parallel ones first; empty when
/// unknown.
static Access makeAccess(const View &view, bool writes, const Work &work, ArrayRef<int64_t> strides) {
  Access access;
  access.view = view;
  access.writes = writes;
  if (!view.isScratch)
    return access;
  access.offset = view.offset;
  for (auto [value, factor] : view.terms)
    addAffine(access, value, factor);
  access.isKnown = !strides.empty() || (work.parallel.empty() && work.reduction.empty());

  SmallVector<int64_t> moves(strides);
  scf::ForOp around = work.around;
  if (around) {
    // The iteration is no longer a term but a loop of the work.
    Value iv = around.getInductionVar();
    int64_t factor = access.factor(iv);
    llvm::erase_if(access.terms, [&](auto term) { return term.first == iv; });
    if (factor != 0)
      addAffine(access, around.getLowerBound(), factor);
    if (moves.empty())
      moves.assign(1, 0);
    moves[0] = factor * getConstantIntValue(around.getStep()).value_or(1);
  }
  llvm::erase_if(access.terms, [](auto term) { return term.second == 0; });
  llvm::sort(access.terms, [](auto a, auto b) { return a.first.getAsOpaquePointer() < b.first.getAsOpaquePointer(); });
  if (around)
    for (auto [value, factor] : access.terms)
      access.isKnown &= !around.getRegion().isAncestor(value.getParentRegion());
  if (!access.isKnown)
    return access;

  // The last element, relative to the first.
  SmallVector<WorkLoop> loops(work.parallel);
  llvm::append_range(loops, work.reduction);
  for (auto [loop, stride] : llvm::zip_equal(loops, moves)) {
    if (stride == 0)
      continue;
    if (ShapedType::isDynamic(loop.extent)) {
      access.length = ShapedType::kDynamic;
    } else if (!ShapedType::isDynamic(access.length)) {
      int64_t reach = (loop.extent - 1) * stride;
      access.length += std::abs(reach);
      access.offset += std::min<int64_t>(reach, 0);
    }
  }
  if (!ShapedType::isDynamic(access.length))
    ++access.length;

  // Whose elements?
  access.isOwned = true;
  for (auto [i, loop] : llvm::enumerate(work.reduction))
    access.isOwned &= moves[work.parallel.size() + i] == 0;
  for (auto [i, loop] : llvm::enumerate(work.parallel)) {
    if (loop.extent == 1)
      continue;
    int64_t stride = moves[i];
    access.isOwned &= stride > 0;
    if (!access.loops.empty() && loop.together == 1 && access.together.back() == 1 && loop.extent > 0 &&
        access.loops.back().second == stride * loop.extent) {
      int64_t &extent = access.loops.back().first;
      extent = ShapedType::isDynamic(extent) ? extent : extent * loop.extent;
      access.loops.back().second = stride;
      continue;
    }
    access.loops.push_back({loop.extent, stride});
    access.together.push_back(loop.together);
  }
  // Each loop steps over all that the loops inside it reach.
  int64_t reach = 1;
  for (auto [i, loop] : llvm::enumerate(llvm::reverse(access.loops))) {
    bool isOutermost = i + 1 == access.loops.size();
    access.isOwned &= loop.second >= reach && (isOutermost || !ShapedType::isDynamic(loop.first));
    if (!ShapedType::isDynamic(loop.first))
      reach = (loop.first - 1) * loop.second + reach;
  }
  return access;
}

static LogicalResult collect(const Work &work, std::vector<Access> &accesses) {
  auto add = [&](Value memref, bool reads, bool writes, ArrayRef<int64_t> strides) -> LogicalResult {
    FailureOr<View> view = resolve(memref, work.op);
    if (failed(view))
      return failure();
    if (reads)
      accesses.push_back(makeAccess(*view, false, work, strides));
    if (writes)
      accesses.push_back(makeAccess(*view, true, work, strides));
    return success();
  };
  // The element of a load or store moves with the loop around only.
  auto addElement = [&](Value memref, ValueRange indices, bool writes) -> LogicalResult {
    FailureOr<View> view = resolve(memref, work.op);
    if (failed(view))
      return failure();
    if (view->isScratch)
      for (auto [index, stride] : llvm::zip_equal(indices, view->strides))
        view->terms.push_back({index, stride});
    accesses.push_back(makeAccess(*view, writes, work, {}));
    return success();
  };
  if (auto load = dyn_cast<memref::LoadOp>(work.op)) {
    if (failed(addElement(load.getMemRef(), load.getIndices(), false)))
      return failure();
    accesses.back().isOwned = false; // every thread reads it
    return success();
  }
  if (auto store = dyn_cast<memref::StoreOp>(work.op))
    return addElement(store.getMemRef(), store.getIndices(), true);

  auto op = cast<linalg::LinalgOp>(work.op);
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    FailureOr<View> view = resolve(operand.get(), op);
    if (failed(view))
      return failure();
    SmallVector<int64_t> strides;
    SmallVector<WorkLoop> loops(work.parallel);
    llvm::append_range(loops, work.reduction);
    strides.assign(loops.size(), 0);
    if (view->isScratch)
      for (auto [expr, stride] : llvm::zip_equal(op.getMatchingIndexingMap(&operand).getResults(), view->strides)) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        if (!dim && !isa<AffineConstantExpr>(expr)) {
          strides.clear();
          break;
        }
        for (auto [i, loop] : llvm::enumerate(loops))
          if (dim && loop.loop == int64_t(dim.getPosition()))
            strides[i] += stride;
      }
    bool writes = op.isDpsInit(&operand);
    bool reads = !writes || op.payloadUsesValueFromOperand(&operand);
    if (failed(add(operand.get(), reads, writes, strides)))
      return failure();
  }
  return success();
}

/// Whether the accesses, in different iterations of the loop of `iv`, never meet: each has a slot of its own in each
/// iteration.
static bool haveSlots(const Access &a, const Access &b, Value iv) {
  int64_t slot = std::abs(a.factor(iv));
  return a.isKnown && b.isKnown && a.terms == b.terms && slot != 0 && !ShapedType::isDynamic(a.length) &&
         !ShapedType::isDynamic(b.length) && a.offset + a.length - b.offset <= slot &&
         b.offset + b.length - a.offset <= slot;
}

static bool isSameThread(const Access &a, const Access &b) {
  if (!a.isOwned || !b.isOwned || a.offset != b.offset || a.together != b.together || a.loops.size() != b.loops.size())
    return false;
  for (auto [i, loops] : llvm::enumerate(llvm::zip(a.loops, b.loops))) {
    auto [x, y] = loops;
    // How often the outermost loop runs does not change who does what, unless it is spread in parts.
    bool sameExtent = x.first == y.first || (i == 0 && a.together[0] == 1);
    if (x.second != y.second || !sameExtent)
      return false;
  }
  return true;
}

static bool mayOverlap(const Access &a, const Access &b) {
  if (a.view.isScratch != b.view.isScratch)
    return false;
  if (!a.view.isScratch)
    return a.view.base == b.view.base;
  return a.view.begin < b.view.end && b.view.begin < a.view.end;
}

/// Whether a thread must wait before `now`, because `before` may be another thread's access to the same element.
static bool conflict(const Access &before, const Access &now) {
  if ((!before.writes && !now.writes) || !mayOverlap(before, now))
    return false;
  // A kernel writes no element of an argument twice.
  if (!now.view.isScratch)
    return !(before.writes && now.writes);
  if (!before.isKnown || !now.isKnown || before.terms != now.terms)
    return true;
  SmallVector<Value, 2> moved;
  for (scf::ForOp loop : before.carried)
    if (before.factor(loop.getInductionVar()) != 0)
      moved.push_back(loop.getInductionVar());
  if (moved.empty()) {
    bool isStatic = !ShapedType::isDynamic(before.length) && !ShapedType::isDynamic(now.length);
    if (isStatic && (before.offset + before.length <= now.offset || now.offset + now.length <= before.offset))
      return false;
    return !isSameThread(before, now);
  }
  if (moved.size() > 1 || !haveSlots(before, now, moved[0]))
    return true;
  // An outer loop may bring the same iteration again.
  return before.carried.size() > 1 && !isSameThread(before, now);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Parallel loops
//===----------------------------------------------------------------------------------------------------------------===//

/// The work of a loop whose iterations do not depend on each other and can be done one piece of work after the other;
/// empty for other loops.
static SmallVector<Operation *> getParallelWork(scf::ForOp loop) {
  if (loop.getNumResults() != 0 || !getConstantIntValue(loop.getStep()))
    return {};
  SmallVector<Operation *> ops, loads;
  for (Operation &op : loop.getBody()->without_terminator()) {
    if (isa<memref::LoadOp>(op))
      loads.push_back(&op);
    else if (isWork(&op))
      ops.push_back(&op);
    else if (!isPure(&op) || op.getNumRegions() != 0)
      return {};
  }
  std::vector<Access> accesses;
  SmallVector<Operation *> all(ops);
  llvm::append_range(all, loads);
  for (Operation *op : all)
    if (failed(collect(planWork(op, {}, 1), accesses)))
      return {};
  for (Access &access : accesses)
    for (auto [value, factor] : access.terms)
      access.isKnown &= value == loop.getInductionVar() || !loop.getRegion().isAncestor(value.getParentRegion());
  for (const Access &a : accesses)
    for (const Access &b : accesses) {
      if (!a.writes || !mayOverlap(a, b))
        continue;
      bool independent = a.view.isScratch ? haveSlots(a, b, loop.getInductionVar()) : b.writes;
      if (!independent)
        return {};
    }
  // Loads are repeated for each piece of work; they must not see what an earlier one wrote.
  if (!loads.empty() && ops.size() > 1)
    return {};
  return ops;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------------------------------------------------===//

namespace {

class BarrierPlacement {
public:
  explicit BarrierPlacement(Schedule &schedule) : schedule(schedule) {}

  LogicalResult prepare() {
    for (auto &[op, works] : schedule.work)
      for (Work &work : works) {
        std::vector<Access> &list = accesses[work.op];
        if (failed(collect(work, list)))
          return failure();
        // Loads that a parallel loop repeats for its work.
        if (work.around)
          for (auto load : work.around.getOps<memref::LoadOp>())
            if (failed(collect(planWork(load, {}, 1), list)))
              return failure();
      }
    return success();
  }

  void visitLoop(scf::ForOp loop, Pending &pending);

private:
  void visitBlock(Block &block, Pending &pending);
  void visitWork(const Work &work, Pending &pending);
  /// Whether something in the loop conflicts with what is pending before it.
  bool mustWaitBefore(scf::ForOp loop, const Pending &pending);

  static void merge(Pending &into, const Pending &from) {
    for (const Access &access : from)
      if (!llvm::is_contained(into, access))
        into.push_back(access);
  }

  Schedule &schedule;
  DenseMap<Operation *, std::vector<Access>> accesses;
};

} // namespace

void BarrierPlacement::visitWork(const Work &work, Pending &pending) {
  const std::vector<Access> &list = accesses[work.op];
  bool waits = schedule.barriers.contains(work.op);
  for (const Access &now : list)
    for (const Access &before : pending)
      waits = waits || conflict(before, now);
  if (waits) {
    schedule.barriers.insert(work.op);
    pending.clear();
  }
  merge(pending, list);
}

bool BarrierPlacement::mustWaitBefore(scf::ForOp loop, const Pending &pending) {
  WalkResult result = loop.walk([&](Operation *op) {
    auto found = schedule.work.find(op);
    if (found != schedule.work.end())
      for (const Work &work : found->second)
        for (const Access &now : accesses[work.op])
          for (const Access &before : pending)
            if (conflict(before, now))
              return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return result.wasInterrupted();
}

void BarrierPlacement::visitLoop(scf::ForOp loop, Pending &pending) {
  // A barrier for what was before the loop stands before it: inside, it would be met in each iteration.
  if (schedule.barriers.contains(loop) || mustWaitBefore(loop, pending)) {
    schedule.barriers.insert(loop);
    pending.clear();
  }
  // What is pending at the end of an iteration is pending at the beginning of the next, until nothing new comes.
  Pending entry = pending, exit;
  for (size_t barriers = -1, size = -1; barriers != schedule.barriers.size() || size != entry.size();) {
    barriers = schedule.barriers.size();
    size = entry.size();
    exit = entry;
    visitBlock(*loop.getBody(), exit);
    Pending next;
    for (Access access : exit) {
      for (auto [value, factor] : access.terms)
        if (value != loop.getInductionVar() && loop.getRegion().isAncestor(value.getParentRegion()))
          access.isKnown = access.isOwned = false;
      if (!llvm::is_contained(access.carried, loop))
        access.carried.push_back(loop);
      next.push_back(access);
    }
    // A barrier that was added meanwhile may have made older entries pointless; they only cost precision.
    merge(entry, next);
  }
  std::optional<APInt> count = loop.getStaticTripCount();
  if (!count || count->isZero())
    merge(exit, pending);
  pending = exit;
}

void BarrierPlacement::visitBlock(Block &block, Pending &pending) {
  for (Operation &op : block) {
    if (auto found = schedule.work.find(&op); found != schedule.work.end()) {
      for (const Work &work : found->second)
        visitWork(work, pending);
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      visitLoop(loop, pending);
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      Pending other = pending;
      visitBlock(branch.getThenRegion().front(), pending);
      if (!branch.getElseRegion().empty())
        visitBlock(branch.getElseRegion().front(), other);
      merge(pending, other);
    }
  }
}

LogicalResult Schedule::build(scf::ForOp items) {
  WalkResult result = items.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op == items)
      return WalkResult::advance();
    if (isWork(op)) {
      work[op].push_back(planWork(op, {}, threads));
      return WalkResult::skip();
    }
    if (auto loop = dyn_cast<scf::ForOp>(op)) {
      SmallVector<Operation *> inner = getParallelWork(loop);
      for (Operation *piece : inner)
        work[op].push_back(planWork(piece, loop, threads));
      return inner.empty() ? WalkResult::advance() : WalkResult::skip();
    }
    if (!isa<scf::IfOp, scf::YieldOp>(op) && (op->getNumRegions() != 0 || !isMemoryEffectFree(op))) {
      op->emitError("has no form for the threads of a GPU");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  BarrierPlacement placement(*this);
  if (failed(placement.prepare()))
    return failure();
  Pending pending;
  placement.visitLoop(items, pending);
  return success();
}
