//===- Plan.cpp - What the threads of a column kernel own, stage and keep -----------------------------------------===//
//
// The body is evaluated once without a kernel around it, for each way to deal it out, until one works: that tells which
// values are asked for where.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Plan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::columns;

/// Threads of a block, at most, and shared memory that one block takes if it can do with it.
constexpr int64_t kThreads = 512, kShared = 227 << 10, kEnoughShared = 72 << 10;
/// Elements of states that a thread should hold, and can.
constexpr int64_t kOwnedWell = 32, kOwnedMost = 128;
/// Scalar operations of unrolled tokens: more would not stay in the instruction cache.
constexpr int64_t kUnrolled = 1024;

int64_t Array::count() const { return ShapedType::getNumElements(sizes); }

int64_t Plan::ownedCount() const {
  int64_t count = 0;
  for (const Array &state : states)
    count += split.getOwned(state.sizes, state.dims).size();
  return count;
}

const Array &Plan::arrayOf(BlockArgument argument) const {
  unsigned position = argument.getArgNumber() - 1; // after the count
  return position < inputs.size() ? inputs[position] : states[position - inputs.size()];
}

bool rondo::columns::isReduced(Value value) {
  auto op = value.getDefiningOp<linalg::LinalgOp>();
  return op && op.getNumReductionLoops() > 0;
}

namespace {

/// Evaluates for what it asks for only.
class PlanEvaluator : public Evaluator {
public:
  PlanEvaluator(ImplicitLocOpBuilder builder, Plan &plan, Dependences &dependences, const Split &split, Value current)
      : Evaluator(std::move(builder), dependences, split), plan(plan), current(current) {
    invariantsEnd = nullptr;
  }
  /// Values that `current` needs kept.
  SmallVector<Value> needed;

private:
  Value something() { return arith::ConstantOp::create(l.b, l.b.getF32FloatAttr(1)); }

  Value getState(BlockArgument argument, const Indices &at) override {
    const Array &array = plan.arrayOf(argument);
    for (const Indices &owned : split.getOwned(array.sizes, array.dims))
      if (llvm::equal(owned, at, [](const Index &x, const Index &y) {
            return x.lane == y.lane && x.part == y.part && x.offset == y.offset && !y.dynamic;
          }))
        return something();
    return refuse(argument.getLoc(),
                  "'" + array.name + "' is read where another thread has it: its columns do not evolve on their own");
  }
  Value getToken(BlockArgument argument, const Indices &at) override {
    const Array &array = plan.arrayOf(argument);
    Staged &staged = plan.staged[argument.getArgNumber()];
    staged.array = &array;
    bool inColumns = at.size() == 2 && !current && split.isLane(array.dims, 0) && at[1].lane == split.perLane &&
                     at[1].part == 0 && !at[1].dynamic && at[1].offset < split.perLane;
    staged.columnsOnly &= inColumns;
    operations += 2;
    return something();
  }
  Value getParameter(BlockArgument argument, const Indices &) override { return something(); }
  Value getKept(Value tensor, const Indices &at) override {
    if (dependences.get(tensor) != kTokens || tensor == current)
      return {};
    if (current) {
      // Sums are taken once, not for each element of what they enter.
      if (!isReduced(tensor))
        return {};
      needed.push_back(tensor);
      return something();
    }
    if (llvm::any_of(at, [](const Index &index) { return index.lane != 0; }))
      return {};
    // A product of two vectors is no larger than they are where it is used.
    int64_t elements = cast<ShapedType>(tensor.getType()).getNumElements(), most = 1;
    for (const Array &input : plan.inputs)
      most = std::max(most, input.count());
    if (elements > most && !isReduced(tensor))
      return {};
    plan.kept.insert({tensor, Kept{elements, 0, 0}});
    return something();
  }

  Plan &plan;
  /// The kept value that is evaluated; null: what a thread computes.
  Value current;
};

class Planner {
public:
  Planner(func::FuncOp body, Plan &plan, Dependences &dependences)
      : body(body), plan(plan), dependences(dependences), reasonLoc(body.getLoc()) {}

  LogicalResult tryLane(StringRef name, int64_t size, int64_t perLane, int64_t parts);
  LogicalResult chooseShape();

  std::string reason;

private:
  LogicalResult planKept(Value tensor, int64_t depth);
  StringRef choosePartSize(StringRef lane);
  LogicalResult fail(Location loc, const Twine &why) {
    if (reason.empty()) {
      reason = why.str();
      reasonLoc = loc;
    }
    return failure();
  }

  func::FuncOp body;
  Plan &plan;
  Dependences &dependences;

public:
  Location reasonLoc;
};

} // namespace

/// The axis of the states, beside that of the columns, which has the most elements.
StringRef Planner::choosePartSize(StringRef lane) {
  StringRef best;
  int64_t most = 1;
  for (const Array &state : plan.states)
    for (auto [i, size] : llvm::enumerate(state.sizes))
      if (state.dims && !plan.split.isLane(state.dims, i) && size > most) {
        most = size;
        best = cast<StringAttr>(state.dims[i]).getValue();
      }
  return best;
}

/// What a kept value is made of, with sums inside kept as well.
LogicalResult Planner::planKept(Value tensor, int64_t depth) {
  if (depth > 8)
    return fail(tensor.getLoc(), "has sums of sums of sums");
  OwningOpRef<func::FuncOp> nowhere =
      func::FuncOp::create(body.getLoc(), "nowhere", FunctionType::get(body.getContext(), {}, {}));
  ImplicitLocOpBuilder b(body.getLoc(), nowhere->addEntryBlock(), nowhere->front().end());
  Split whole = plan.split;
  whole.parts = 1;
  PlanEvaluator evaluator(b, plan, dependences, whole, tensor);
  Value dynamic = evaluator.l.i32(0);
  Indices at;
  for (int64_t size : cast<ShapedType>(tensor.getType()).getShape())
    at.push_back({0, 0, 0, size == 1 ? Value() : dynamic});
  evaluator.get(tensor, at);
  if (!evaluator.reason.empty())
    return fail(evaluator.reasonLoc, evaluator.reason);
  int64_t level = 0;
  for (Value value : evaluator.needed) {
    plan.kept.insert({value, Kept{cast<ShapedType>(value.getType()).getNumElements(), 0, 0}});
    if (failed(planKept(value, depth + 1)))
      return failure();
    level = std::max(level, plan.kept[value].level + 1);
  }
  plan.kept[tensor].level = level;
  plan.levels = std::max(plan.levels, level + 1);
  return success();
}

LogicalResult Planner::tryLane(StringRef name, int64_t size, int64_t perLane, int64_t parts) {
  reason.clear();
  plan.kept.clear();
  plan.staged.clear();
  plan.levels = plan.keptRow = 0;
  plan.split.laneSize = name;
  plan.split.perLane = perLane;
  plan.split.lanes = size / perLane;
  plan.split.partSize = choosePartSize(name);
  plan.split.parts = parts;
  for (const Array &state : plan.states)
    if (plan.split.getOwned(state.sizes, state.dims).empty())
      return fail(body.getLoc(), "the sizes of '" + state.name + "' cannot be dealt out");
  if (plan.ownedCount() > kOwnedMost)
    return fail(body.getLoc(), "a column of its states has " + Twine(plan.ownedCount() * parts) +
                                   " elements, too many for the registers of " + Twine(parts) +
                                   (parts == 1 ? " thread" : " threads"));

  OwningOpRef<func::FuncOp> nowhere =
      func::FuncOp::create(body.getLoc(), "nowhere", FunctionType::get(body.getContext(), {}, {}));
  ImplicitLocOpBuilder b(body.getLoc(), nowhere->addEntryBlock(), nowhere->front().end());
  PlanEvaluator evaluator(b, plan, dependences, plan.split, Value());
  Operation *results = body.getBody().front().getTerminator();
  for (SmallVector<Array> *list : {&plan.outputs, &plan.states})
    for (const Array &array : *list) {
      bool isOutput = list == &plan.outputs;
      unsigned position = isOutput ? array.position : plan.outputs.size() + array.position;
      for (Indices at : plan.split.getOwned(array.sizes, array.dims)) {
        if (isOutput)
          at.insert(at.begin(), Index());
        evaluator.get(results->getOperand(position), at);
        if (!evaluator.reason.empty())
          return fail(evaluator.reasonLoc, evaluator.reason);
      }
    }
  plan.operations = evaluator.operations;
  for (Value tensor : llvm::to_vector(llvm::make_first_range(plan.kept)))
    if (failed(planKept(tensor, 0)))
      return failure();
  return success();
}

/// Threads, stages, and where everything is in shared memory.
LogicalResult Planner::chooseShape() {
  Split &split = plan.split;
  int64_t most = std::max<int64_t>(1, (split.parts == 1 ? 128 : kThreads) / split.parts);
  plan.blocks = llvm::divideCeil(split.lanes, most);
  plan.lanesPerBlock = llvm::divideCeil(split.lanes, plan.blocks);
  plan.threads = llvm::alignTo(plan.lanesPerBlock * split.parts, 32);

  plan.keptRow = 0;
  for (auto &[value, kept] : plan.kept) {
    if (kept.elements >= 4)
      plan.keptRow = llvm::alignTo(plan.keptRow, 4);
    kept.offset = plan.keptRow;
    plan.keptRow += kept.elements;
  }
  plan.keptRow = llvm::alignTo(plan.keptRow, 4);

  for (plan.tokens = 16; plan.tokens >= 1; plan.tokens /= 2) {
    plan.stageBytes = 0;
    for (auto &[argument, staged] : plan.staged) {
      bool uneven = plan.blocks * plan.lanesPerBlock != split.lanes;
      staged.columnsOnly &= !uneven;
      staged.elements = staged.columnsOnly ? plan.lanesPerBlock * split.perLane : staged.array->count();
      staged.rowBytes = staged.elements * staged.array->bytes();
      for (staged.unit = 16; staged.unit >= 4 && staged.rowBytes % staged.unit != 0;)
        staged.unit /= 2;
      if (staged.unit < 4)
        staged.unit = 0;
      staged.offset = plan.stageBytes;
      plan.stageBytes += llvm::alignTo(staged.rowBytes * plan.tokens, 16);
    }
    for (plan.stages = 8; plan.stages > 3 && plan.sharedBytes() > kEnoughShared; --plan.stages)
      ;
    if (plan.sharedBytes() <= kShared)
      break;
  }
  if (plan.tokens == 0)
    return fail(body.getLoc(), "the values of one token do not fit into shared memory");
  plan.unroll = plan.tokens;
  while (plan.unroll > 1 && plan.unroll * (plan.operations + 8) > kUnrolled)
    plan.unroll /= 2;
  return success();
}

LogicalResult rondo::columns::makePlan(func::FuncOp body, Plan &plan, Dependences &dependences, std::string &reason,
                                       Location &reasonLoc) {
  // Axes by name, of outputs first: those that all states could share.
  llvm::MapVector<StringRef, int64_t> sizes;
  for (SmallVector<Array> *list : {&plan.outputs, &plan.states})
    for (const Array &array : *list)
      if (array.dims)
        for (auto [name, size] : llvm::reverse(llvm::zip(array.dims, array.sizes)))
          sizes.insert({cast<StringAttr>(name).getValue(), size});
  if (sizes.empty()) {
    reason = "it has no axis whose elements could have threads of their own";
    return failure();
  }
  Planner planner(body, plan, dependences);
  auto attempt = [&](StringRef name, int64_t size, int64_t perLane, int64_t parts) {
    if (size % perLane != 0 || failed(planner.tryLane(name, size, perLane, parts)) || failed(planner.chooseShape())) {
      if (reason.empty()) {
        reason = planner.reason;
        reasonLoc = planner.reasonLoc;
      }
      return false;
    }
    return true;
  };
  for (auto [name, size] : sizes)
    for (int64_t perLane : {1, 2}) {
      // As few parts as leave enough registers.
      int64_t parts = 0, owned = 0;
      for (int64_t p : {1, 2, 4, 8}) {
        if (!attempt(name, size, perLane, p) || (parts && plan.ownedCount() >= owned))
          continue;
        parts = p;
        owned = plan.ownedCount();
        if (owned <= kOwnedWell)
          return success();
      }
      if (parts && attempt(name, size, perLane, parts))
        return success();
    }
  return failure();
}
