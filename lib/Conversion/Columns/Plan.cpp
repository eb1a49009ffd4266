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
/// Elements of states and parameters of all threads of a block (of 64 K registers), and of one.
constexpr int64_t kHeld = 40 << 10, kHeldByOne = 160;
/// Evaluations of a sweep, so that a body without a way ends soon.
constexpr int64_t kTries = 240;
/// Elements of a state of which every column may have a copy, at first and if there is no other way.
constexpr int64_t kCopied = 4, kCopiedAtMost = 256;
/// Scalar operations of an element of a kept value.
constexpr int64_t kKeptOperations = 64;
/// Scalar operations of unrolled tokens: more would not stay in the instruction cache.
constexpr int64_t kUnrolled = 1024;

int64_t Array::count() const { return ShapedType::getNumElements(sizes); }

unsigned Plan::sweepOf(unsigned state) const {
  for (auto [i, sweep] : llvm::enumerate(sweeps))
    if (llvm::is_contained(sweep.states, state))
      return i;
  llvm_unreachable("a state that no sweep has");
}

const Array &Plan::arrayOf(BlockArgument argument) const {
  unsigned position = argument.getArgNumber() - 1; // after the count
  return position < inputs.size() ? inputs[position] : states[position - inputs.size()];
}

bool rondo::columns::isReduced(Value value) {
  auto op = value.getDefiningOp<linalg::LinalgOp>();
  return op && op.getNumReductionLoops() > 0;
}

std::optional<SmallVector<Indices>> rondo::columns::getHandedIndices(Value value, const Split &split) {
  ArrayRef<int64_t> shape = cast<ShapedType>(value.getType()).getShape();
  SmallVector<Indices> elements;
  bool isScalar = ShapedType::getNumElements(shape) == 1;
  for (int64_t k = 0; k < (isScalar ? 1 : split.perLane); ++k) {
    Indices at;
    for (int64_t size : shape) {
      if (size != 1 && size != split.lanes * split.perLane)
        return std::nullopt;
      at.push_back(size == 1 ? Index() : Index{split.perLane, 0, k, {}});
    }
    elements.push_back(at);
  }
  return elements;
}

namespace {

/// What an evaluation asks for.
struct Asked {
  llvm::SetVector<Value> kept, handed;
  /// Whether token arrays are read in columns only, by argument.
  llvm::MapVector<unsigned, bool> staged;
  /// Words that are read from shared memory and shuffled.
  int64_t words = 0;
  std::map<std::pair<void *, std::vector<int64_t>>, bool> parameters;
};

/// Evaluates for what it asks for only.
class PlanEvaluator : public Evaluator {
public:
  PlanEvaluator(ImplicitLocOpBuilder builder, Plan &plan, Dependences &dependences, const Split &split, Asked &asked)
      : Evaluator(std::move(builder), dependences, split), plan(plan), asked(asked) {}
  /// The kept value that is evaluated; null: what a thread computes.
  Value current;
  /// States of this sweep, those of earlier sweeps, and values that these cannot leave.
  uint64_t own = 0, earlier = 0;
  llvm::DenseSet<Value> *rejected = nullptr;

private:
  Value something() { return arith::ConstantOp::create(l.b, l.b.getF32FloatAttr(1)); }

  Value getState(BlockArgument argument, const Indices &at) override {
    const Array &array = plan.arrayOf(argument);
    if (!(dependences.get(argument) & own))
      return refuse(argument.getLoc(), "'" + array.name + "' is read where another thread has it");
    if (split.getPosition(array.sizes, array.dims, at))
      return something();
    return refuse(argument.getLoc(),
                  "'" + array.name + "' is read where another thread has it: its columns do not evolve on their own");
  }
  Value getToken(BlockArgument argument, const Indices &at) override {
    const Array &array = plan.arrayOf(argument);
    bool inColumns = at.size() == 2 && !current && split.isLane(array.dims, 0) && at[1].lane == split.perLane &&
                     at[1].part == 0 && !at[1].dynamic && at[1].offset < split.perLane;
    bool &columnsOnly = asked.staged.insert({argument.getArgNumber(), true}).first->second;
    columnsOnly &= inColumns;
    operations += 1;
    asked.words += 1;
    return something();
  }
  Value combineParts(Value value, function_ref<Value(Value, Value)> combine) override {
    asked.words += llvm::Log2_64(split.parts);
    operations += 2 * llvm::Log2_64(split.parts);
    return value;
  }
  Value getParameter(BlockArgument argument, const Indices &at) override {
    std::vector<int64_t> key;
    for (const Index &index : at)
      key.insert(key.end(), {index.lane, index.part, index.offset});
    asked.parameters[{argument.getAsOpaquePointer(), key}] = true;
    return something();
  }
  Value getKept(Value tensor, const Indices &at) override {
    uint64_t made = dependences.get(tensor), states = dependences.getStates(tensor);
    if (made == kNothing || tensor == current)
      return {};
    if (current) {
      // Sums are taken once, not for each element of what they enter.
      if (!isReduced(tensor))
        return {};
      asked.kept.insert(tensor);
      return something();
    }
    if (llvm::any_of(at, [](const Index &index) { return index.lane != 0; }))
      return {};
    ArrayRef<int64_t> shape = cast<ShapedType>(tensor.getType()).getShape();
    int64_t elements = ShapedType::getNumElements(shape), most = 1;
    if (states) {
      bool isVector = llvm::count_if(shape, [](int64_t size) { return size != 1; }) <= 1;
      if ((states & ~earlier) || !isVector || isa<BlockArgument>(tensor) || (rejected && rejected->contains(tensor)))
        return {};
      asked.handed.insert(tensor);
      asked.words += 1;
      return something();
    }
    // A product of two vectors is no larger than they are where it is used.
    for (const Array &input : plan.inputs)
      most = std::max(most, input.count());
    if (elements > most && !isReduced(tensor))
      return {};
    asked.kept.insert(tensor);
    asked.words += 1;
    return something();
  }

  Plan &plan;
  Asked &asked;
};

class Planner {
public:
  Planner(func::FuncOp body, Plan &plan, Dependences &dependences)
      : body(body), plan(plan), dependences(dependences), reasonLoc(body.getLoc()) {}

  /// Columns along the axis `name`.
  LogicalResult tryAxis(StringRef name, int64_t size);

  /// The first reason of all.
  std::string reason;

private:
  LogicalResult choose(StringRef name, int64_t size, ArrayRef<Value> handed, uint64_t others, Sweep &best, Asked &asked,
                       const Split *only = nullptr);
  LogicalResult evaluate(Sweep &sweep, ArrayRef<Value> handed, uint64_t others, Asked &asked);
  LogicalResult addEarlier(uint64_t others, llvm::SetVector<Value> handed);
  bool canLeave(Value value, StringRef name, int64_t size, uint64_t others);
  void accept(Sweep sweep, const Asked &asked, bool isMain);
  LogicalResult planKept(Value tensor, int64_t depth);
  LogicalResult chooseShape();
  StringRef choosePartSize(const Split &split, ArrayRef<unsigned> states);

  LogicalResult fail(Location loc, const Twine &why) {
    if (reason.empty()) {
      reason = why.str();
      reasonLoc = loc;
    }
    return failure();
  }
  /// Evaluates at the end of a function that goes away.
  void evaluateNowhere(function_ref<void(ImplicitLocOpBuilder)> run) {
    OwningOpRef<func::FuncOp> nowhere =
        func::FuncOp::create(body.getLoc(), "nowhere", FunctionType::get(body.getContext(), {}, {}));
    run(ImplicitLocOpBuilder(body.getLoc(), nowhere->addEntryBlock(), nowhere->front().end()));
  }

  func::FuncOp body;
  Plan &plan;
  Dependences &dependences;
  /// Values that no earlier sweep can leave, and whether more were found to be so.
  llvm::DenseSet<Value> rejected;
  bool isNewlyRejected = false;
  int64_t tries = 0;

public:
  int64_t copied = kCopied;
  Location reasonLoc;
};

} // namespace

/// The axis of the states, beside that of the columns, which has the most elements.
StringRef Planner::choosePartSize(const Split &split, ArrayRef<unsigned> states) {
  StringRef best;
  int64_t most = 1;
  for (unsigned state : states) {
    const Array &array = plan.states[state];
    for (auto [i, size] : llvm::enumerate(array.sizes))
      if (array.dims && !split.isLane(array.dims, i) && size > most) {
        most = size;
        best = cast<StringAttr>(array.dims[i]).getValue();
      }
  }
  return best;
}

/// What a kept value is made of, with sums inside kept as well.
LogicalResult Planner::planKept(Value tensor, int64_t depth) {
  if (depth > 8)
    return fail(tensor.getLoc(), "has sums of sums of sums");
  Asked asked;
  LogicalResult done = success();
  evaluateNowhere([&](ImplicitLocOpBuilder b) {
    Split whole;
    PlanEvaluator evaluator(b, plan, dependences, whole, asked);
    evaluator.current = tensor;
    Value dynamic = evaluator.l.i32(0);
    Indices at;
    for (int64_t size : cast<ShapedType>(tensor.getType()).getShape())
      at.push_back({0, 0, 0, size == 1 ? Value() : dynamic});
    evaluator.get(tensor, at);
    if (!evaluator.reason.empty())
      done = fail(evaluator.reasonLoc, evaluator.reason);
    else if (evaluator.operations > kKeptOperations && cast<ShapedType>(tensor.getType()).getNumElements() > 8)
      done = fail(tensor.getLoc(), "has a sum for each element of a value that all columns share");
  });
  if (failed(done))
    return failure();
  for (auto [argument, columnsOnly] : asked.staged)
    plan.staged[argument].columnsOnly = false;
  int64_t level = 0;
  for (Value value : asked.kept) {
    plan.kept.insert({value, Kept{cast<ShapedType>(value.getType()).getNumElements(), 0, 0}});
    if (failed(planKept(value, depth + 1)))
      return failure();
    level = std::max(level, plan.kept[value].level + 1);
  }
  plan.kept[tensor].level = level;
  plan.levels = std::max(plan.levels, level + 1);
  return success();
}

/// Evaluates what a sweep computes: `handed`, or the outputs if it is empty, and the new values of its states; those of
/// `others` belong to earlier sweeps.
LogicalResult Planner::evaluate(Sweep &sweep, ArrayRef<Value> handed, uint64_t others, Asked &asked) {
  const Split &split = sweep.split;
  if (++tries > kTries)
    return fail(body.getLoc(), "no way was found in " + Twine(kTries) + " tries");
  sweep.owned = 0;
  for (unsigned state : sweep.states) {
    int64_t owned = split.getOwned(plan.states[state].sizes, plan.states[state].dims).size();
    if (owned == 0)
      return fail(body.getLoc(), "the sizes of '" + plan.states[state].name + "' cannot be dealt out");
    sweep.owned += owned;
  }
  int64_t limit = std::min(kHeldByOne, kHeld / sweep.threads());
  if (sweep.owned > limit)
    return fail(body.getLoc(), "a column of its states has " + Twine(sweep.owned * split.parts / split.perLane) +
                                   " elements, too many for registers");
  LogicalResult done = success();
  evaluateNowhere([&](ImplicitLocOpBuilder b) {
    PlanEvaluator evaluator(b, plan, dependences, split, asked);
    evaluator.earlier = others;
    for (unsigned state : sweep.states)
      evaluator.own |= Dependences::bitOf(state);
    evaluator.rejected = &rejected;
    Operation *results = body.getBody().front().getTerminator();
    auto get = [&](Value value, const Array &array, bool isToken) {
      for (Indices at : split.getOwned(array.sizes, array.dims)) {
        if (isToken)
          at.insert(at.begin(), Index());
        evaluator.get(value, at);
      }
    };
    for (unsigned state : sweep.states)
      get(results->getOperand(plan.outputs.size() + state), plan.states[state], /*isToken=*/false);
    if (!evaluator.reason.empty()) {
      done = fail(evaluator.reasonLoc, evaluator.reason);
      return;
    }
    if (handed.empty())
      for (const Array &output : plan.outputs)
        get(results->getOperand(output.position), output, /*isToken=*/true);
    for (Value value : handed) {
      std::optional<SmallVector<Indices>> owned = getHandedIndices(value, split);
      if (owned)
        for (const Indices &at : *owned)
          evaluator.get(value, at);
      if (!owned || !evaluator.reason.empty()) {
        done = fail(value.getLoc(), evaluator.reason.empty() ? "has another size than the columns" : evaluator.reason);
        return;
      }
    }
    if (!evaluator.reason.empty()) {
      done = fail(evaluator.reasonLoc, evaluator.reason);
      return;
    }
    sweep.operations = evaluator.operations;
    sweep.parameters = asked.parameters.size();
    // One word a warp and cycle from shared memory, a function in two; four warps begin an operation in a cycle, a
    // multiply-add being two; few of them cannot hide what they wait for.
    int64_t warps = sweep.threads() / 32, each = llvm::divideCeil(warps, 4);
    int64_t begun = each * (sweep.operations * 5 / 8 + asked.words / 4);
    sweep.cycles = std::max({warps * asked.words, warps * evaluator.functions * 2, begun + begun / each});
  });
  if (succeeded(done) && sweep.owned + sweep.parameters > limit)
    return fail(body.getLoc(), "a thread's part of its states and parameters has " +
                                   Twine(sweep.owned + sweep.parameters) + " elements, too many for registers");
  return done;
}

/// The cheapest sweep with columns along `name`, dealt out as in `only` if that is given.
LogicalResult Planner::choose(StringRef name, int64_t size, ArrayRef<Value> handed, uint64_t others, Sweep &best,
                              Asked &asked, const Split *only) {
  bool found = false;
  for (int64_t perLane : {1, 2, 4})
    for (int64_t parts : {1, 2, 4, 8}) {
      if (size % perLane != 0 || (only && (only->perLane != perLane || only->parts != parts)))
        continue;
      // More threads than a block has, or (after the first ways, which may be the only ones) fewer than four warps.
      if ((parts > 1 && size / perLane * parts / 2 >= kThreads) || (found && size / perLane * parts < 128))
        continue;
      Sweep sweep;
      sweep.split.laneSize = name;
      sweep.split.perLane = perLane;
      sweep.split.lanes = size / perLane;
      sweep.split.parts = parts;
      uint64_t rest = 0;
      for (const Array &state : plan.states) {
        bool hasAxis = false;
        for (size_t i = 0; i < state.sizes.size(); ++i)
          hasAxis |= sweep.split.isLane(state.dims, i);
        uint64_t bit = Dependences::bitOf(state.position);
        bool isOutside = !handed.empty() && !(others & bit);
        // Small states are wherever they are asked for; others that have not this axis are left to earlier sweeps, and
        // so are copies of states: they are made to be read along another one.
        if (isOutside)
          continue;
        if ((hasAxis && !(state.isCopy && handed.empty())) || state.count() <= copied)
          sweep.states.push_back(state.position);
        else
          rest |= bit;
      }
      sweep.split.partSize = choosePartSize(sweep.split, sweep.states);
      if (sweep.split.partSize.empty())
        sweep.split.partSize = name;
      int64_t most = std::max<int64_t>(1, (parts == 1 && perLane == 1 ? 128 : kThreads) / parts);
      int64_t blocks = llvm::divideCeil(sweep.split.lanes, most);
      sweep.lanesPerBlock = llvm::divideCeil(sweep.split.lanes, blocks);
      // Earlier sweeps are whole in each block.
      if (!handed.empty() && (blocks > 1 || sweep.threads() > plan.threads))
        continue;
      Asked now;
      if (failed(evaluate(sweep, handed, rest, now)) || (found && sweep.cycles >= best.cycles))
        continue;
      // All sweeps' states stay in registers.
      int64_t held = sweep.owned + sweep.parameters;
      for (const Sweep &later : plan.sweeps)
        held += later.owned + later.parameters;
      if (!handed.empty() && held > std::min(kHeldByOne, kHeld / plan.threads))
        continue;
      found = true;
      best = sweep;
      asked = std::move(now);
    }
  return success(found);
}

void Planner::accept(Sweep sweep, const Asked &asked, bool isMain) {
  for (auto [argument, columnsOnly] : asked.staged) {
    bool isNew = !plan.staged.contains(argument);
    Staged &staged = plan.staged[argument];
    staged.columnsOnly = columnsOnly && isMain && (isNew || staged.columnsOnly);
  }
  for (Value value : asked.kept)
    plan.kept.insert({value, Kept{cast<ShapedType>(value.getType()).getNumElements(), 0, 0}});
  plan.sweeps.insert(plan.sweeps.begin(), std::move(sweep));
}

/// Whether threads with columns along `name` have what an element of `value` is made of.
bool Planner::canLeave(Value value, StringRef name, int64_t size, uint64_t others) {
  Split split;
  split.laneSize = split.partSize = name;
  split.lanes = size;
  std::optional<SmallVector<Indices>> owned = getHandedIndices(value, split);
  bool can = owned.has_value();
  if (can)
    evaluateNowhere([&](ImplicitLocOpBuilder b) {
      Asked asked;
      PlanEvaluator evaluator(b, plan, dependences, split, asked);
      evaluator.rejected = &rejected;
      for (const Array &state : plan.states) {
        uint64_t bit = Dependences::bitOf(state.position);
        bool hasAxis = false;
        for (size_t i = 0; i < state.sizes.size(); ++i)
          hasAxis |= split.isLane(state.dims, i);
        if (others & bit)
          (hasAxis || state.count() <= copied ? evaluator.own : evaluator.earlier) |= bit;
      }
      for (const Indices &at : *owned)
        evaluator.get(value, at);
      can = evaluator.reason.empty();
    });
  return can;
}

/// Sweeps before those there are, for `handed` and the states `others`.
LogicalResult Planner::addEarlier(uint64_t others, llvm::SetVector<Value> handed) {
  while (!handed.empty()) {
    std::optional<Sweep> best;
    Asked asked;
    for (const Array &state : plan.states)
      if ((others & Dependences::bitOf(state.position)) && state.dims)
        for (auto [name, size] : llvm::reverse(llvm::zip(state.dims, state.sizes))) {
          Sweep sweep;
          Asked now;
          if (succeeded(choose(cast<StringAttr>(name).getValue(), size, handed.getArrayRef(), others, sweep, now)) &&
              (!best || sweep.cycles < best->cycles)) {
            best = sweep;
            asked = std::move(now);
          }
        }
    if (!best) {
      for (Value value : handed) {
        bool can = false;
        for (const Array &state : plan.states)
          if ((others & Dependences::bitOf(state.position)) && state.dims)
            for (auto [name, size] : llvm::zip(state.dims, state.sizes))
              can = can || canLeave(value, cast<StringAttr>(name).getValue(), size, others);
        if (!can)
          isNewlyRejected |= rejected.insert(value).second;
      }
      return failure();
    }
    best->handed.assign(handed.begin(), handed.end());
    for (unsigned state : best->states)
      others &= ~Dependences::bitOf(state);
    handed = asked.handed;
    accept(*best, asked, /*isMain=*/false);
  }
  if (others != 0)
    return fail(body.getLoc(), "it has a state without the axis of the columns that nothing reads");
  return success();
}

LogicalResult Planner::tryAxis(StringRef name, int64_t size) {
  rejected.clear();
  std::optional<Split> way;
  for (int64_t attempt = 0; attempt < 16; ++attempt) {
    plan.kept.clear();
    plan.staged.clear();
    plan.handed.clear();
    plan.sweeps.clear();
    plan.levels = 0;
    Sweep main;
    Asked asked;
    if (failed(choose(name, size, {}, 0, main, asked, way ? &*way : nullptr)))
      return failure();
    way = main.split;
    uint64_t others = 0;
    for (const Array &state : plan.states)
      if (!llvm::is_contained(main.states, state.position))
        others |= Dependences::bitOf(state.position);
    plan.blocks = llvm::divideCeil(main.split.lanes, main.lanesPerBlock);
    plan.threads = main.threads();
    accept(main, asked, /*isMain=*/true);
    isNewlyRejected = false;
    if (failed(addEarlier(others, asked.handed))) {
      if (!isNewlyRejected)
        return failure();
      continue;
    }
    for (Value tensor : llvm::to_vector(llvm::make_first_range(plan.kept)))
      if (failed(planKept(tensor, 0)))
        return failure();
    return chooseShape();
  }
  return failure();
}

/// Threads, stages, and where everything is in shared memory.
LogicalResult Planner::chooseShape() {
  int64_t held = 0;
  plan.threads = 0;
  for (auto &[argument, staged] : plan.staged)
    staged.array = &plan.inputs[argument - 1];
  for (const Sweep &sweep : plan.sweeps) {
    plan.threads = std::max(plan.threads, sweep.threads());
    held += sweep.owned + sweep.parameters;
  }
  if (held > std::min(kHeldByOne, kHeld / plan.threads))
    return fail(body.getLoc(), "a thread's part of its states and parameters has " + Twine(held) +
                                   " elements, too many for registers");
  auto place = [](int64_t &row, int64_t elements) {
    if (elements >= 4)
      row = llvm::alignTo(row, 4);
    int64_t offset = row;
    row += elements;
    return offset;
  };
  plan.keptRow = plan.handedRow = 0;
  for (auto &[value, kept] : plan.kept)
    kept.offset = place(plan.keptRow, kept.elements);
  for (auto [i, sweep] : llvm::enumerate(plan.sweeps))
    for (Value value : sweep.handed) {
      Handed handed{cast<ShapedType>(value.getType()).getNumElements(), 0, unsigned(i)};
      handed.offset = place(plan.handedRow, handed.elements);
      plan.handed[value] = handed;
    }
  plan.keptRow = llvm::alignTo(plan.keptRow, 4);
  plan.handedRow = llvm::alignTo(plan.handedRow, 4);

  const Sweep &main = plan.main();
  for (plan.tokens = 16; plan.tokens >= 1; plan.tokens /= 2) {
    plan.stageBytes = 0;
    for (auto &[argument, staged] : plan.staged) {
      bool uneven = plan.blocks * main.lanesPerBlock != main.split.lanes;
      staged.columnsOnly &= !uneven;
      staged.elements = staged.columnsOnly ? main.lanesPerBlock * main.split.perLane : staged.array->count();
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
  for (Sweep &sweep : plan.sweeps) {
    sweep.unroll = plan.tokens;
    // The sweeps share the cache.
    int64_t most = kUnrolled / static_cast<int64_t>(plan.sweeps.size());
    while (sweep.unroll > 1 && sweep.unroll * (sweep.operations + 8) > most)
      sweep.unroll /= 2;
  }
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
  for (auto [name, size] : sizes)
    for (int64_t copied : {kCopied, kCopiedAtMost}) {
      planner.copied = copied;
      if (succeeded(planner.tryAxis(name, size)))
        return success();
    }
  reason = planner.reason;
  reasonLoc = planner.reasonLoc;
  return failure();
}
