//===- Summarize.cpp - What a shard of the sequence does to the states ------------------------------------------===//

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "rondo/Analysis/Structure.h"
#include "rondo/Transforms/Passes.h"
#include "llvm/ADT/StringSet.h"
#include <cmath>

#define DEBUG_TYPE "rondo-summarize"

namespace rondo {
#define GEN_PASS_DEF_RONDOSUMMARIZE
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
/// Adds the transition of one phase as states of their own.
class Summarizer {
public:
  Summarizer(MixerOp mixer, const Phase &phase) : mixer(mixer), phase(phase), b(mixer.getLoc(), mixer.getContext()) {}
  LogicalResult run();

private:
  StateOp addState(StringRef kind, ArrayRef<StateOp> of, ArrayRef<Dim> dims, double init, bool identity = false);
  void factors();
  void scalars();
  void matrices();
  LogicalResult elements();
  LogicalResult maxplus();
  /// What `value` takes from the reads of the phase, with `reads` for them; null when nothing.
  Value linearPart(Value value, const DenseMap<Value, Value> &reads);
  ValueType valueType(ArrayRef<Dim> dims) { return ValueType::get(b.getContext(), dims); }
  bool isRows(Axis axis) const { return (axis == Axis::rows) != phase.transposed; }
  unsigned indexOf(Value state) const {
    return llvm::find_if(phase.states, [&](StateOp op) { return Value(op.getState()) == state; }) -
           phase.states.begin();
  }

  MixerOp mixer;
  const Phase &phase;
  ImplicitLocOpBuilder b;
};

/// `identity`: the caller starts it with the identity matrix.
StateOp Summarizer::addState(StringRef kind, ArrayRef<StateOp> of, ArrayRef<Dim> dims, double init, bool identity) {
  StateOp front = phase.front();
  b.setInsertionPointAfter(front);
  std::string name = kind.str();
  for (StateOp state : of)
    name += "_" + state.getName().str();
  auto state = StateOp::create(b, StateType::get(b.getContext(), dims), b.getStringAttr(name), b.getF64FloatAttr(init));
  SmallVector<StringRef> names;
  for (StateOp source : of)
    names.push_back(source.getName());
  state->setAttr("rondo.transition", b.getStringAttr(kind));
  state->setAttr("rondo.level", b.getI64IntegerAttr(0));
  state->setAttr("rondo.transition_of", b.getStrArrayAttr(names));
  if (identity)
    state->setAttr("rondo.identity", b.getUnitAttr());
  return state;
}

LogicalResult Summarizer::run() {
  if (phase.touches.empty())
    return success();
  if (!phase.linear) {
    if (succeeded(elements()) || succeeded(maxplus()))
      return success();
    InFlightDiagnostic error = phase.obstacle->emitError("state '")
                               << phase.front().getName() << "' has no summary: " << phase.reason;
    error.attachNote(phase.front().getLoc())
        << "a shard of the sequence can be summarised only where every state changes linearly or as a running maximum";
    return error;
  }
  if (phase.selfRead || phase.transition.rotation)
    matrices();
  else if (phase.states.size() > 1)
    scalars();
  else
    factors();
  return success();
}

/// One state without self-reads: the products of its decays.
void Summarizer::factors() {
  StateOp state = phase.states[0];
  ArrayRef<Dim> dims = state.getType().getDims();
  auto product = [&](StringRef kind, ArrayRef<Dim> shape, llvm::function_ref<bool(DecayOp)> takes) {
    if (llvm::none_of(phase.touches, [&](Operation *op) { return isa<DecayOp>(op) && takes(cast<DecayOp>(op)); }))
      return;
    StateOp total = addState(kind, state, shape, 1.0);
    for (Operation *op : phase.touches)
      if (auto decay = dyn_cast<DecayOp>(op); decay && takes(decay)) {
        b.setInsertionPointAfter(op);
        if (!shape.empty()) {
          DecayOp::create(b, total.getState(), decay.getFactor(), AxisAttr());
          continue;
        }
        Value old = LoadOp::create(b, valueType({}), total.getState());
        Value next = BinaryOp::create(b, valueType({}), BinaryKind::mul, old, decay.getFactor());
        StoreOp::create(b, total.getState(), next);
      }
  };
  auto isScalar = [](DecayOp decay) { return decay.getFactor().getType().isScalar(); };
  product("scalar", {}, isScalar);
  product("rows", dims.take_front(),
          [&](DecayOp decay) { return !isScalar(decay) && (!decay.getAxis() || *decay.getAxis() == Axis::rows); });
  if (dims.size() == 2)
    product("cols", dims.drop_front(),
            [&](DecayOp decay) { return !isScalar(decay) && decay.getAxis() && *decay.getAxis() == Axis::cols; });
}

/// Coupled states: for each one that a shard begins with, what the others end with.
void Summarizer::scalars() {
  for (StateOp source : phase.states) {
    SmallVector<StateOp> totals;
    for (StateOp target : phase.states)
      totals.push_back(addState("coupling", {target, source}, {}, target == source ? 1.0 : 0.0));
    auto load = [&](unsigned i) -> Value { return LoadOp::create(b, valueType({}), totals[i].getState()); };
    for (Operation *op : phase.touches) {
      b.setInsertionPointAfter(op);
      if (auto decay = dyn_cast<DecayOp>(op)) {
        unsigned i = indexOf(decay.getState());
        StoreOp::create(b, totals[i].getState(),
                        BinaryOp::create(b, valueType({}), BinaryKind::mul, load(i), decay.getFactor()));
      } else if (auto accumulate = dyn_cast<AccumulateOp>(op)) {
        unsigned i = indexOf(accumulate.getState()), j = indexOf(accumulate.getSource());
        Value term = BinaryOp::create(b, valueType({}), BinaryKind::mul, load(j), accumulate.getFactor());
        StoreOp::create(b, totals[i].getState(), BinaryOp::create(b, valueType({}), BinaryKind::add, load(i), term));
      }
    }
  }
}

Value Summarizer::linearPart(Value value, const DenseMap<Value, Value> &reads) {
  Operation *op = value.getDefiningOp();
  if (!op || !phase.members.contains(op))
    return {};
  if (isa<ReadOp>(op))
    return reads.lookup(value);
  b.setLoc(op->getLoc());
  auto negative = [&](Value v) -> Value { return UnaryOp::create(b, v.getType(), UnaryKind::neg, v); };
  if (auto unary = dyn_cast<UnaryOp>(op))
    return negative(linearPart(unary.getOperand(), reads));
  auto binary = cast<BinaryOp>(op);
  Value lhs = linearPart(binary.getLhs(), reads), rhs = linearPart(binary.getRhs(), reads);
  switch (binary.getKind()) {
  case BinaryKind::add:
  case BinaryKind::sub:
    if (rhs && binary.getKind() == BinaryKind::sub)
      rhs = negative(rhs);
    if (!lhs || !rhs)
      return lhs ? lhs : rhs;
    return BinaryOp::create(b, lhs.getType(), BinaryKind::add, lhs, rhs);
  default: // a product with, or a quotient by, a scalar from outside
    if (lhs)
      return BinaryOp::create(b, lhs.getType(), binary.getKind(), lhs, binary.getRhs());
    return BinaryOp::create(b, rhs.getType(), binary.getKind(), binary.getLhs(), rhs);
  }
}

/// Self-reads and rotations: a matrix that starts as the identity and is touched like the state, without what is
/// written from outside. For coupled states one matrix for each pair.
void Summarizer::matrices() {
  ArrayRef<Dim> dims = phase.front().getType().getDims();
  Dim size = dims[phase.transposed ? 1 : 0];
  auto axis = AxisAttr::get(b.getContext(), Axis::rows);
  for (StateOp source : phase.states) {
    SmallVector<StateOp> totals;
    for (StateOp target : phase.states)
      totals.push_back(addState(phase.transposed ? "matrix_cols" : "matrix", {target, source}, {size, size}, 0.0,
                                /*identity=*/target == source));
    auto total = [&](Value state) { return totals[indexOf(state)].getState(); };
    DenseMap<Value, Value> reads;
    for (Operation *op : phase.touches) {
      b.setInsertionPointAfter(op);
      b.setLoc(op->getLoc());
      if (auto decay = dyn_cast<DecayOp>(op)) {
        if (decay.getFactor().getType().isScalar())
          DecayOp::create(b, total(decay.getState()), decay.getFactor(), AxisAttr());
        else if (!decay.getAxis() || isRows(*decay.getAxis()))
          DecayOp::create(b, total(decay.getState()), decay.getFactor(), axis);
      } else if (auto rotate = dyn_cast<RotateStateOp>(op)) {
        RotateStateOp::create(b, total(rotate.getState()), rotate.getTheta());
      } else if (auto accumulate = dyn_cast<AccumulateOp>(op)) {
        AccumulateOp::create(b, total(accumulate.getState()), accumulate.getFactor(), total(accumulate.getSource()));
      } else if (auto read = dyn_cast<ReadOp>(op)) {
        if (phase.members.contains(op))
          reads[read.getResult()] =
              ReadOp::create(b, valueType({size}), total(read.getState()), read.getVector(), Axis::rows);
      } else if (auto write = dyn_cast<WriteOp>(op)) {
        Value key = phase.transposed ? write.getValue() : write.getKey();
        if (Value value = linearPart(phase.transposed ? write.getKey() : write.getValue(), reads))
          WriteOp::create(b, total(write.getState()), key, value);
      }
    }
  }
  // Decays along the other axis commute with all of this.
  if (phase.transition.cols && dims.size() == 2) {
    StateOp state = phase.states[0];
    StateOp total = addState(phase.transposed ? "rows" : "cols", state, dims[phase.transposed ? 0 : 1], 1.0);
    for (Operation *op : phase.touches)
      if (auto decay = dyn_cast<DecayOp>(op); decay && decay.getAxis() && !isRows(*decay.getAxis())) {
        b.setInsertionPointAfter(op);
        DecayOp::create(b, total.getState(), decay.getFactor(), AxisAttr());
      }
  }
}

/// An elementwise affine recurrence: the product of its factors, element by element; with rotations, a matrix.
LogicalResult Summarizer::elements() {
  if (phase.states.size() != 1 || !phase.members.empty())
    return failure();
  bool rotates = false;
  for (Operation *op : phase.touches) {
    if (!isa<DecayOp, WriteOp, ReadOp, LoadOp, RotateStateOp>(op))
      return failure();
    rotates |= isa<RotateStateOp>(op);
  }
  if (rotates) {
    if (llvm::any_of(phase.touches, [](Operation *op) {
          auto decay = dyn_cast<DecayOp>(op);
          return decay && decay.getState().getType().getRank() == 2 && !decay.getFactor().getType().isScalar() &&
                 (!decay.getAxis() || *decay.getAxis() != Axis::rows);
        }))
      return failure();
    matrices();
    return success();
  }
  StateOp state = phase.states[0];
  StateOp total = addState("elements", state, state.getType().getDims(), 1.0);
  for (Operation *op : phase.touches)
    if (auto decay = dyn_cast<DecayOp>(op)) {
      b.setInsertionPointAfter(op);
      DecayOp::create(b, total.getState(), decay.getFactor(), decay.getAxisAttr());
    }
  return success();
}

/// m <- max(m + f, i): the sum of all f; the contribution is m from -inf.
LogicalResult Summarizer::maxplus() {
  SmallVector<StoreOp> stores;
  for (Operation *op : phase.touches)
    if (auto store = dyn_cast<StoreOp>(op))
      stores.push_back(store);
    else if (!isa<LoadOp>(op))
      return failure();
  if (phase.states.size() != 1 || stores.size() != 1)
    return failure();
  StateOp state = phase.states[0];
  auto isOwnLoad = [&](Value value) {
    auto load = value.getDefiningOp<LoadOp>();
    return load && load.getState() == state.getState() && load->isBeforeInBlock(stores[0]);
  };
  auto isInside = [&](Value value) { return value.getDefiningOp() && phase.members.contains(value.getDefiningOp()); };
  auto maximum = stores[0].getValue().getDefiningOp<BinaryOp>();
  if (!maximum || maximum.getKind() != BinaryKind::max)
    return failure();
  for (auto [sum, other] :
       {std::pair(maximum.getLhs(), maximum.getRhs()), std::pair(maximum.getRhs(), maximum.getLhs())}) {
    auto add = sum.getDefiningOp<BinaryOp>();
    if (!add || add.getKind() != BinaryKind::add || isInside(other))
      continue;
    for (auto [own, term] : {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())}) {
      if (!isOwnLoad(own) || isInside(term))
        continue;
      StateOp total = addState("maxplus", state, state.getType().getDims(), 0.0);
      ValueType type = state.getType().getValueType();
      b.setInsertionPointAfter(stores[0]);
      Value old = LoadOp::create(b, type, total.getState());
      StoreOp::create(b, total.getState(), BinaryOp::create(b, type, BinaryKind::add, old, term));
      return success();
    }
  }
  return failure();
}

struct Summarize : rondo::impl::RondoSummarizeBase<Summarize> {
  void runOnOperation() override {
    MixerOp mixer = getOperation();
    Structure structure(mixer);
    llvm::DenseMap<Operation *, const Phase *> phaseOf;
    for (const Phase &phase : structure.getPhases())
      for (StateOp state : phase.states)
        phaseOf[state] = &phase;
    for (const Phase &phase : structure.getPhases())
      if (failed(Summarizer(mixer, phase).run()))
        return signalPassFailure();
    // How many other phases must begin right before a state's contribution is.
    OpBuilder b(&getContext());
    llvm::DenseMap<const Phase *, int64_t> levels;
    for (const Phase &phase : structure.getPhases()) {
      int64_t level = 0;
      llvm::SmallPtrSet<Operation *, 16> seen;
      SmallVector<Operation *> worklist(phase.touches);
      while (!worklist.empty())
        for (Value operand : worklist.pop_back_val()->getOperands()) {
          Operation *def = operand.getDefiningOp();
          if (!def || !seen.insert(def).second)
            continue;
          if (auto state = dyn_cast<StateOp>(def)) {
            const Phase *other = phaseOf.lookup(state);
            if (other && other != &phase)
              level = std::max(level, levels[other] + 1);
          } else {
            worklist.push_back(def);
          }
        }
      levels[&phase] = level;
      for (StateOp state : phase.states)
        state->setAttr("rondo.level", b.getI64IntegerAttr(level));
    }
    // A contribution is what comes of nothing: zero, or no maximum at all.
    llvm::StringSet<> maxima;
    for (StateOp state : mixer.getStates())
      if (auto kind = state->getAttrOfType<StringAttr>("rondo.transition"); kind && kind == "maxplus")
        maxima.insert(cast<StringAttr>(state->getAttrOfType<ArrayAttr>("rondo.transition_of")[0]).getValue());
    for (StateOp state : mixer.getStates())
      if (!state->hasAttr("rondo.transition"))
        state.setInitAttr(b.getF64FloatAttr(maxima.contains(state.getName()) ? -INFINITY : 0.0));
    // Outputs are no part of a summary.
    mixer.getYield()->setOperands({});
    mixer.setFunctionType(FunctionType::get(&getContext(), mixer.getArgumentTypes(), {}));
    mixer.removeResAttrsAttr();
    mixer.setSymName((mixer.getSymName() + "_summary").str());
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(mixer.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }
};
} // namespace
