//===- SplitCascade.cpp - One chunk body for each matrix state --------------------------------------------------===//

#include "Program.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOSPLITCASCADE
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;
using schedule::operandsOf;
using schedule::Part;
using schedule::Program;
using schedule::shapeOf;

namespace {
class Cascade : Program {
public:
  explicit Cascade(func::FuncOp body) : Program(body) {}

  int64_t countMatrixStates();
  /// Finds the parts; on failure `reason` says why there are none.
  LogicalResult plan();
  /// Replaces the body by its parts.
  void split();
  std::string reason;

private:
  bool orderStates();
  int64_t stageOf(Value value);
  bool isCut(Value value);
  bool hasOwnDecays(Value value, int64_t stage);
  bool isCheap(Value value);
  bool canMake(Value value, int64_t part);
  bool canCompute(Operation *op, int64_t part);
  bool isHandedOver(Value value, int64_t part);
  void need(Value value, int64_t part);
  void takeSums(int64_t part);
  void addLost(int64_t part);
  bool needResult(Value value, int64_t part, const Twine &what);
  StringRef nameOf(int64_t state) { return analysis.getName(states[state]); }

  SmallVector<int64_t> partOf; ///< of each state
  llvm::DenseMap<std::pair<Value, int64_t>, bool> makeable, decayed;
  Value blocking; ///< the state that a part would need of another one
};
} // namespace

int64_t Cascade::countMatrixStates() {
  return llvm::count_if(states, [](Value state) { return shapeOf(state).size() == 2; });
}

//===----------------------------------------------------------------------------------------------------------------===//
// States in the order of their dependence
//===----------------------------------------------------------------------------------------------------------------===//

bool Cascade::orderStates() {
  Operation *end = body.getBody().front().getTerminator();
  int64_t count = states.size();
  if (count > 64)
    return reason = "there are more than 64 states", false;
  // What each state needs of the others, over any number of chunks.
  auto bit = [](int64_t state) { return uint64_t(1) << state; };
  SmallVector<uint64_t> needs;
  for (int64_t s = 0; s < count; ++s)
    needs.push_back(analysis.dependsOn(end->getOperand(finals[s])) | bit(s));
  for (int64_t middle = 0; middle < count; ++middle)
    for (uint64_t &need : needs)
      if (need & bit(middle))
        need |= needs[middle];
  auto isMatrix = [&](int64_t s) { return shapeOf(states[s]).size() == 2; };

  partOf.assign(count, -1);
  int64_t number = 0;
  for (bool placed = true; placed;) {
    placed = false;
    for (int64_t s = 0; s < count && !placed; ++s) {
      if (!isMatrix(s) || partOf[s] >= 0)
        continue;
      placed = true;
      for (int64_t t = 0; t < count; ++t) {
        if (t == s || !isMatrix(t) || !(needs[s] & bit(t)))
          continue;
        if (needs[t] & bit(s))
          return reason = ("states '" + nameOf(s) + "' and '" + nameOf(t) + "' depend on each other").str(), false;
        placed &= partOf[t] >= 0;
      }
      if (placed)
        partOf[s] = number++;
    }
  }
  // Vectors and scalars: with the last matrix state that they need, else with the first state that needs them.
  SmallVector<int64_t> independent;
  for (int64_t s = 0; s < count; ++s) {
    if (isMatrix(s))
      continue;
    for (int64_t t = 0; t < count; ++t)
      if (isMatrix(t) && (needs[s] & bit(t)))
        partOf[s] = std::max(partOf[s], partOf[t]);
    if (partOf[s] < 0)
      independent.push_back(s);
  }
  for (int64_t s : independent) {
    int64_t first = number - 1;
    for (int64_t t = 0; t < count; ++t)
      if ((needs[t] & bit(s)) && !llvm::is_contained(independent, t))
        first = std::min(first, partOf[t]);
    partOf[s] = first;
  }
  parts.resize(number);
  for (int64_t s = 0; s < count; ++s)
    parts[partOf[s]].states.push_back(s);
  return true;
}

/// The first part that has all states that a value depends on, or -1.
int64_t Cascade::stageOf(Value value) {
  int64_t stage = -1;
  for (uint64_t states = analysis.dependsOn(value); states; states &= states - 1)
    stage = std::max(stage, partOf[llvm::countr_zero(states)]);
  return stage;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Cuts
//===----------------------------------------------------------------------------------------------------------------===//

/// Whether products of decays that need a state of that stage, or sums with such weights that decay along the free
/// axis, go into a value: the role of that state cannot make them, but the next part can of the decays and weights
/// themselves.
bool Cascade::hasOwnDecays(Value value, int64_t stage) {
  Operation *op = value.getDefiningOp();
  if (!op || stageOf(value) < stage)
    return false;
  auto [it, isNew] = decayed.insert({{value, stage}, false});
  if (!isNew)
    return it->second;
  Value decays = schedule::Analysis::getChannelDecays(op);
  if (auto products = dyn_cast<chunk::IntervalProductsOp>(op))
    decays = products.getOperand();
  auto apply = dyn_cast<chunk::DecayedApplyOp>(op);
  bool result = (decays && stageOf(decays) >= stage) || (apply && stageOf(apply.getWeight()) >= stage);
  for (Value operand : operandsOf(op))
    result = result || hasOwnDecays(operand, stage);
  return decayed[{value, stage}] = result;
}

/// Whether a value can go from one kernel to the next: something for each token, [C, N] or [C].
bool Cascade::isCut(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || type.getRank() < 1 || type.getRank() > 2 || type.getDimSize(0) != chunk ||
      analysis.timedAxes(value) != 1 || hasOwnDecays(value, std::max<int64_t>(0, stageOf(value))))
    return false;
  return !analysis.isKept(value) || analysis.getKept(value).has_value();
}

/// What costs less to compute again than to hand over, and loses nothing by it: a scale of one operand.
bool Cascade::isCheap(Value value) {
  Operation *op = value.getDefiningOp();
  // Of something that is handed over.
  if (auto keep = dyn_cast_or_null<chunk::KeepRowsOp>(op))
    return !keep.getOperand().getDefiningOp() || isCut(keep.getOperand());
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  if (!generic || llvm::count_if(generic.getDpsInputs(), [&](Value input) { return stageOf(input) >= 0; }) != 1)
    return false;
  return llvm::all_of(generic.getBody()->getOperations(),
                      [](Operation &op) { return isa<arith::MulFOp, arith::ConstantOp, linalg::YieldOp>(op); });
}

bool Cascade::canCompute(Operation *op, int64_t part) {
  return llvm::all_of(operandsOf(op), [&](Value operand) { return canMake(operand, part); });
}

/// Whether `part` can have a value: from its own states, what is handed over, and the arguments.
bool Cascade::canMake(Value value, int64_t part) {
  if (int64_t state = analysis.getState(value); state >= 0) {
    if (partOf[state] != part && !blocking)
      blocking = value;
    return partOf[state] == part;
  }
  int64_t stage = stageOf(value);
  Operation *op = value.getDefiningOp();
  if (!op || stage < 0 || (stage < part && isCut(value)))
    return true;
  if (auto it = makeable.find({value, part}); it != makeable.end())
    return it->second;
  bool result = canCompute(op, part);
  return makeable[{value, part}] = result;
}

bool Cascade::isHandedOver(Value value, int64_t part) {
  int64_t stage = stageOf(value);
  if (!value.getDefiningOp() || stage < 0 || stage >= part || !isCut(value))
    return false;
  return !(isCheap(value) && canCompute(value.getDefiningOp(), part));
}

/// Puts what computes `value` into `part`.
void Cascade::need(Value value, int64_t part) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return;
  if (isHandedOver(value, part)) {
    parts[part].read.insert(value);
    parts[stageOf(value)].written.insert(value);
    return;
  }
  if (!parts[part].ops.insert(op).second)
    return;
  for (Value operand : operandsOf(op))
    need(operand, part);
}

/// A number that is the product of a vector that is handed over anyway and one of tokens is made again: the part has a
/// better place for it than memory, the diagonal of a Gram matrix for example.
void Cascade::takeSums(int64_t part) {
  Part &own = parts[part];
  for (Value value : llvm::to_vector(own.read)) {
    auto product = value.getDefiningOp<linalg::ContractOp>();
    if (!product || shapeOf(value).size() != 1 || !canCompute(product, part) ||
        !llvm::all_of(operandsOf(product), [&](Value x) { return stageOf(x) < 0 || own.read.contains(x); }))
      continue;
    own.read.remove(value);
    if (llvm::none_of(parts, [&](Part &other) { return other.read.contains(value); }))
      parts[stageOf(value)].written.remove(value);
    own.ops.insert(product);
    for (Value operand : operandsOf(product))
      need(operand, part);
  }
}

bool Cascade::needResult(Value value, int64_t part, const Twine &what) {
  blocking = {};
  makeable.clear();
  Operation *op = value.getDefiningOp();
  if (op ? !canCompute(op, part) : !canMake(value, part)) {
    reason = (what + " needs state '" + analysis.getName(blocking) + "' itself, not values of tokens made of it").str();
    return false;
  }
  if (op && parts[part].ops.insert(op).second)
    for (Value operand : operandsOf(op))
      need(operand, part);
  return true;
}

LogicalResult Cascade::plan() {
  if (!orderStates())
    return failure();
  Operation *end = body.getBody().front().getTerminator();
  // Outputs go to the first part that has all they need.
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i) {
    auto final = llvm::find(finals, i);
    int64_t stage = final != finals.end() ? partOf[final - finals.begin()] : stageOf(end->getOperand(i));
    parts[stage < 0 ? parts.size() - 1 : stage].results.push_back(i);
  }
  for (int64_t part = parts.size() - 1; part >= 0; --part) {
    for (unsigned i : parts[part].results) {
      auto final = llvm::find(finals, i);
      StringRef name = body.getResultAttrOfType<StringAttr>(i, "rondo.name").getValue();
      if (!needResult(end->getOperand(i), part, (final != finals.end() ? "state '" : "output '") + name + "'"))
        return failure();
    }
    for (Value value : llvm::to_vector(parts[part].written))
      if (!needResult(value, part, "a value that state '" + nameOf(parts[part].states.front()) + "' hands over"))
        return failure();
    takeSums(part);
  }
  return success();
}

/// Products of tokens with what the copy of a state hands over: in the first chunk with what its rounding loses, too
/// (Lost.cpp). State and copy are one state of the user's, of which as few errors are expected as of any other.
void Cascade::addLost(int64_t part) {
  // A kernel with decays by channel has no room for it.
  if (llvm::any_of(parts[part].ops, [](Operation *op) { return schedule::Analysis::getSummedDecays(op) != nullptr; }))
    return;
  llvm::MapVector<Value, Value> lost;
  for (Operation &op : llvm::make_early_inc_range(body.getBody().front())) {
    auto product = dyn_cast<linalg::ContractOp>(op);
    if (!product || !parts[part].ops.contains(product) || analysis.timedAxes(product.getResult(0)) != 3)
      continue;
    for (unsigned side = 0; side < 2; ++side) {
      Value value = product.getInputs()[side];
      if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>(); keep && !parts[part].read.contains(value))
        value = keep.getOperand();
      bool isOfCopy = parts[part].read.contains(value) &&
                      llvm::any_of(parts[stageOf(value)].states,
                                   [&](int64_t state) { return !analysis.getOriginal(states[state]).empty(); });
      if (!isOfCopy)
        continue;
      OpBuilder b(product);
      Value &made = lost[value];
      if (!made) {
        made = chunk::LostOp::create(b, value.getLoc(), value);
        parts[stageOf(value)].ops.insert(made.getDefiningOp());
        parts[stageOf(value)].written.insert(made);
        parts[part].read.insert(made);
      }
      auto more = cast<linalg::ContractOp>(b.clone(*product));
      more->setOperand(side, made);
      product->setOperand(2, more.getResult(0));
      parts[part].ops.insert(more);
    }
  }
}

void Cascade::split() {
  for (int64_t part = 1, e = parts.size(); part < e; ++part)
    addLost(part);
  for (Part &part : parts)
    for (Value value : part.written)
      cuts[value] = {"", analysis.isKept(value) ? analysis.getKept(value) : std::nullopt};
  replaceBody();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
struct SplitCascade : rondo::impl::RondoSplitCascadeBase<SplitCascade> {
  void runOnOperation() override {
    for (func::FuncOp body : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!Program::isCandidate(body))
        continue;
      Cascade cascade(body);
      if (cascade.countMatrixStates() < 2)
        continue;
      if (succeeded(cascade.plan()))
        cascade.split();
      else
        body->setAttr("rondo.whole", StringAttr::get(&getContext(), cascade.reason));
    }
  }
};
} // namespace
