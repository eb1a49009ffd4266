//===- DeriveScan.cpp - A phase token by token inside the chunk -------------------------------------------------===//
//
// Operations on the phase's states, and the values on a cycle through them, move into a `chunk.scan`; everything they
// need from outside comes in as rows of lifted tensors. Matrices of one token (a factor for each element of a state)
// would be large as [C, R, V]: when only the scan uses them they are made inside it.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Deriver.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "rondo/Dialect/Chunk/Chunk.h"

using namespace mlir;
using namespace rondo;

namespace {
/// A state inside the scan. Changes are collected and applied in one pass over the state when its value is needed.
class ScannedState {
public:
  ScannedState(Value tensor) : tensor(tensor) {}

  void scale(const Lifted &factor) { pending.push_back({factor, Lifted::of(0.0), Lifted::of(0.0)}); }
  void add(const Lifted &a, const Lifted &b) { pending.push_back({Lifted::of(1.0), a, b}); }
  void replace(Value value) {
    pending.clear();
    tensor = value;
  }

  /// The factors that wait, when nothing else does and each lies along one axis at most: a read can have them outside.
  std::optional<SmallVector<Lifted>> getFactors() const {
    SmallVector<Lifted> factors;
    for (const Change &change : pending) {
      if (!change.a.is(0.0) || change.factor.axes.size() > 1)
        return std::nullopt;
      factors.push_back(change.factor);
    }
    return factors;
  }
  /// Without the changes that wait.
  Value getOld() const { return tensor; }

  Value get(Lifter &emit) {
    if (pending.empty())
      return tensor;
    SmallVector<Operand> operands;
    auto addOperand = [&](const Lifted &value) {
      if (!value.constant)
        operands.push_back({value.tensor, llvm::to_vector<3>(value.axes)});
    };
    for (const Change &change : pending) {
      addOperand(change.factor);
      addOperand(change.a);
      addOperand(change.b);
    }
    tensor = emit.pointwise(
        Emitter::shapeOf(tensor), operands,
        [&](ImplicitLocOpBuilder &b, ValueRange scalars) {
          unsigned next = 0;
          auto scalarOf = [&](const Lifted &value) -> Value {
            if (value.constant)
              return arith::ConstantOp::create(b, b.getF32FloatAttr(*value.constant));
            return scalars[next++];
          };
          Value state = scalars.back();
          for (const Change &change : pending) {
            Value factor = scalarOf(change.factor), x = scalarOf(change.a), y = scalarOf(change.b);
            if (!change.factor.is(1.0))
              state = arith::MulFOp::create(b, state, factor);
            if (!change.a.is(0.0))
              state =
                  arith::AddFOp::create(b, state, change.b.is(1.0) ? x : arith::MulFOp::create(b, x, y).getResult());
          }
          return state;
        },
        tensor);
    pending.clear();
    return tensor;
  }

private:
  /// state * factor + a * b
  struct Change {
    Lifted factor, a, b;
  };
  Value tensor;
  std::vector<Change> pending;
};

class Scan {
public:
  Scan(Deriver &deriver, const Phase &phase) : deriver(deriver), phase(phase) { collect(); }
  void emit();

private:
  void collect();
  void translate(Operation *op);
  Lifted translateRead(ReadOp read);
  Lifted get(Value value) { return inner.at(value); }
  ScannedState &stateOf(Value state) { return *states.at(state); }

  Deriver &deriver;
  const Phase &phase;
  DenseSet<Operation *> inside;
  /// Values of the region.
  DenseMap<Value, Lifted> inner;
  DenseMap<Value, std::unique_ptr<ScannedState>> states;
  Lifter *lifter = nullptr;
};

void Scan::collect() {
  inside.insert(phase.members.begin(), phase.members.end());
  inside.insert(phase.touches.begin(), phase.touches.end());
  // Matrices that only the scan uses.
  for (Operation &op : llvm::reverse(deriver.mixer.getBody().front())) {
    if (inside.contains(&op) || op.getNumResults() != 1 || !isPure(&op) || isa<ConstantOp>(op))
      continue;
    auto type = dyn_cast<ValueType>(op.getResult(0).getType());
    if (type && type.getRank() == 2 && !op.use_empty() &&
        llvm::all_of(op.getUsers(), [&](Operation *user) { return inside.contains(user); }))
      inside.insert(&op);
  }
}

void Scan::emit() {
  ImplicitLocOpBuilder &b = deriver.emit.b;
  // Inputs in program order, each once.
  SmallVector<Value> rowValues, sharedValues, rows, shared;
  DenseSet<Value> seen;
  SmallVector<Value> results; // token-level values that the rest of the mixer uses
  for (Operation &op : deriver.mixer.getBody().front()) {
    if (!inside.contains(&op))
      continue;
    for (Value operand : op.getOperands()) {
      Operation *def = operand.getDefiningOp();
      if (isa<StateType>(operand.getType()) || (def && inside.contains(def)) || !seen.insert(operand).second)
        continue;
      Lifted value = deriver.get(operand);
      if (value.constant)
        inner[operand] = value;
      else if (value.timed)
        rowValues.push_back(operand), rows.push_back(value.tensor);
      else
        sharedValues.push_back(operand), shared.push_back(value.tensor);
    }
    for (Value result : op.getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !inside.contains(user); }))
        results.push_back(result);
  }
  SmallVector<Value> initial;
  SmallVector<Type> resultTypes;
  for (Value result : results) {
    SmallVector<int64_t> shape = {deriver.emit.chunk};
    llvm::append_range(shape, cast<ValueType>(result.getType()).getShape());
    resultTypes.push_back(RankedTensorType::get(shape, b.getF32Type()));
  }
  for (StateOp state : phase.states) {
    initial.push_back(deriver.getState(state));
    resultTypes.push_back(initial.back().getType());
  }
  b.setLoc(phase.front().getLoc());
  StringRef kind =
      phase.scan == ScanKind::affine ? "affine" : (phase.scan == ScanKind::maxplus ? "maxplus" : "sequential");
  auto scan = chunk::ScanOp::create(b, resultTypes, deriver.count, rows, shared, initial, kind);

  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&scan.getBody());
  auto addArgument = [&](Value outer, bool row) {
    auto type = cast<RankedTensorType>(outer.getType());
    if (row)
      type = RankedTensorType::get(type.getShape().drop_front(), type.getElementType());
    return block->addArgument(type, b.getLoc());
  };
  for (auto [values, tensors, row] : {std::tuple(&rowValues, &rows, true), std::tuple(&sharedValues, &shared, false)})
    for (auto [value, tensor] : llvm::zip_equal(*values, *tensors)) {
      Lifted lifted = deriver.get(value);
      lifted.tensor = addArgument(tensor, row);
      lifted.timed = false;
      inner[value] = lifted;
    }
  for (auto [state, tensor] : llvm::zip_equal(llvm::to_vector(phase.states), initial))
    states[state.getState()] = std::make_unique<ScannedState>(addArgument(tensor, false));

  b.setInsertionPointToStart(block);
  Lifter inRegion(b, deriver.emit.chunk);
  lifter = &inRegion;
  for (Operation &op : deriver.mixer.getBody().front())
    if (inside.contains(&op))
      translate(&op);
  SmallVector<Value> yielded;
  for (Value result : results)
    yielded.push_back(lifter->materialize(get(result), false));
  for (StateOp state : phase.states)
    yielded.push_back(stateOf(state.getState()).get(*lifter));
  chunk::YieldOp::create(b, yielded);

  for (auto [index, result] : llvm::enumerate(results))
    deriver.set(result, Lifted::of(scan.getResult(index), true));
  for (auto [index, state] : llvm::enumerate(phase.states))
    deriver.setState(state, scan.getResult(results.size() + index));
}

/// A factor or vector placed along an axis of a state.
static Lifted along(Lifted value, std::optional<Axis> axis, unsigned rank) {
  if (axis && *axis == Axis::cols && rank == 2)
    for (unsigned &a : value.axes)
      a = 1;
  return value;
}

/// (a S)^T q = a (S^T q) for a scalar, S^T (a q) for a along the axis that the read sums over, a o (S^T q) for the
/// other: the state is scaled once, when it is written.
Lifted Scan::translateRead(ReadOp read) {
  ScannedState &state = stateOf(read.getState());
  bool isMatrix = read.getState().getType().getRank() == 2;
  unsigned summed = isMatrix && read.getAxis() == Axis::cols ? 1 : 0;
  std::optional<SmallVector<Lifted>> factors = state.getFactors();
  Value old = factors ? state.getOld() : state.get(*lifter);
  Lifted vector = get(read.getVector()), outside = Lifted::of(1.0);
  if (factors)
    for (Lifted factor : *factors) {
      bool isInside = !factor.axes.empty() && factor.axes[0] == summed;
      // As a scalar or a vector of its own.
      if (factor.axes.empty())
        factor.shape.clear();
      else
        factor.shape.assign({factor.shape.size() == 2 ? factor.shape[factor.axes[0]] : factor.shape[0]});
      for (unsigned &axis : factor.axes)
        axis = 0;
      Lifted &target = isInside ? vector : outside;
      target = lifter->mul(target, factor);
    }
  StringRef spec = !isMatrix ? "r,r->" : (summed == 0 ? "r,rc->c" : "c,rc->r");
  Value sum = lifter->contract(spec, lifter->materialize(vector, false), old);
  return lifter->mul(Lifted::of(sum, false), outside);
}

void Scan::translate(Operation *op) {
  ImplicitLocOpBuilder &b = lifter->b;
  b.setLoc(op->getLoc());
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](LoadOp load) {
        // Later changes are made in place; the loaded value is a copy only if it is still needed then (bufferization
        // sees).
        inner[load.getResult()] = Lifted::of(stateOf(load.getState()).get(*lifter), false);
      })
      .Case(
          [&](StoreOp store) { stateOf(store.getState()).replace(lifter->materialize(get(store.getValue()), false)); })
      .Case([&](DecayOp decay) {
        stateOf(decay.getState())
            .scale(along(get(decay.getFactor()), decay.getAxis(), decay.getState().getType().getRank()));
      })
      .Case([&](WriteOp write) {
        Lifted key = get(write.getKey()), value = along(get(write.getValue()), Axis::cols, 2);
        stateOf(write.getState()).add(key, value);
      })
      .Case([&](AccumulateOp accumulate) {
        Lifted source = Lifted::of(stateOf(accumulate.getSource()).get(*lifter), false);
        stateOf(accumulate.getState()).add(source, get(accumulate.getFactor()));
      })
      .Case([&](RotateStateOp rotate) {
        ScannedState &state = stateOf(rotate.getState());
        Lifted turned = lifter->rotate(Lifted::of(state.get(*lifter), false), lifter->rotation(get(rotate.getTheta())));
        state.replace(lifter->materialize(turned, false));
      })
      .Case([&](ReadOp read) { inner[read.getResult()] = translateRead(read); })
      .Default([&](Operation *other) {
        inner[other->getResult(0)] = lifter->lift(other, [&](Value operand) { return get(operand); });
      });
}
} // namespace

void rondo::deriveScan(Deriver &deriver, const Phase &phase) {
  if (!phase.touches.empty())
    Scan(deriver, phase).emit();
}
