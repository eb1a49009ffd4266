//===- Structure.cpp - Which parts of a mixer can run a chunk at a time -----------------------------------------===//

#include "rondo/Analysis/Structure.h"
#include "llvm/ADT/SCCIterator.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace rondo;

std::string Transition::describe() const {
  SmallVector<std::string> parts;
  if (scalar)
    parts.push_back("scalar decay");
  if (rows)
    parts.push_back("decay per row");
  if (cols)
    parts.push_back("decay per column");
  if (rotation)
    parts.push_back("rotation of row pairs");
  if (coupled)
    parts.push_back("states coupled by scalars");
  return parts.empty() ? "identity" : llvm::join(parts, ", ");
}

bool Phase::contains(Value state) const {
  return llvm::any_of(states, [&](StateOp op) { return Value(op.getState()) == state; });
}

/// The states that an operation touches, the changed one first.
static SmallVector<StateOp, 2> touchedStates(Operation *op) {
  SmallVector<StateOp, 2> result;
  if (!isa<StateOp>(op))
    for (Value operand : op->getOperands())
      if (auto state = operand.getDefiningOp<StateOp>())
        result.push_back(state);
  return result;
}

static bool changesState(Operation *op) { return isa<StoreOp, DecayOp, RotateStateOp, WriteOp, AccumulateOp>(op); }

//===----------------------------------------------------------------------===//
// Phases: strongly connected components of operations and states
//===----------------------------------------------------------------------===//

namespace {
/// Tarjan's algorithm. A node is an operation of the mixer; a `rondo.state` stands for the state's evolution.
class Components {
public:
  explicit Components(MixerOp mixer) {
    for (Operation &op : mixer.getBody().front()) {
      SmallVector<StateOp, 2> touched = touchedStates(&op);
      if (touched.empty())
        continue;
      if (changesState(&op)) {
        edges[touched.front()].insert(&op);
        // Linearly coupled states share a transition: one phase.
        if (isa<AccumulateOp>(op))
          edges[touched.back()].insert(touched.front());
      }
    }
    for (Operation &op : mixer.getBody().front())
      if (!index.count(&op))
        visit(&op);
  }
  /// Components that hold a state, dependencies first.
  SmallVector<SetVector<Operation *>> result;

private:
  SmallVector<Operation *> successors(Operation *op) {
    SmallVector<Operation *> list;
    if (isa<StateOp>(op)) {
      list.append(edges[op].begin(), edges[op].end());
      return list;
    }
    for (Value operand : op->getOperands())
      if (Operation *def = operand.getDefiningOp()) {
        // A changing operation needs the values it applies; only reads need the state's evolution.
        if (isa<StateOp>(def) && changesState(op) && !(isa<AccumulateOp>(op) && operand == op->getOperands().back()))
          continue;
        list.push_back(def);
      }
    return list;
  }

  void visit(Operation *op) {
    unsigned own = low[op] = index[op] = index.size();
    stack.push_back(op);
    onStack.insert(op);
    for (Operation *next : successors(op)) {
      if (!index.count(next)) {
        visit(next);
        low[op] = std::min(low[op], low[next]);
      } else if (onStack.count(next)) {
        low[op] = std::min(low[op], index[next]);
      }
    }
    if (low[op] != own)
      return;
    SetVector<Operation *> component;
    Operation *member;
    do {
      member = stack.pop_back_val();
      onStack.erase(member);
      component.insert(member);
    } while (member != op);
    if (llvm::any_of(component, [](Operation *o) { return isa<StateOp>(o); }))
      result.push_back(std::move(component));
  }

  DenseMap<Operation *, SetVector<Operation *>> edges;
  DenseMap<Operation *, unsigned> index, low;
  SmallVector<Operation *> stack;
  DenseSet<Operation *> onStack;
};
} // namespace

Structure::Structure(MixerOp mixer, bool sequential) : mixer(mixer) {
  for (const SetVector<Operation *> &component : Components(mixer).result) {
    Phase &phase = phases.emplace_back();
    for (Operation &op : mixer.getBody().front()) {
      if (!component.contains(&op))
        continue;
      if (auto state = dyn_cast<StateOp>(op))
        phase.states.push_back(state);
      else if (touchedStates(&op).empty() || isa<ReadOp, LoadOp>(op))
        phase.members.insert(&op);
    }
    for (Operation &op : mixer.getBody().front())
      if (llvm::any_of(touchedStates(&op), [&](StateOp state) { return phase.contains(state.getState()); }))
        phase.touches.push_back(&op);
    classify(phase);
    if (sequential)
      phase.linear = false;
  }
}

const Phase &Structure::getPhase(StateOp state) const {
  return *llvm::find_if(phases, [&](const Phase &phase) { return phase.contains(state.getState()); });
}

//===----------------------------------------------------------------------===//
// Classes
//===----------------------------------------------------------------------===//

namespace {
/// The first operation that stands against the chunkwise form.
struct Obstacle {
  Operation *op = nullptr;
  std::string reason;
  explicit operator bool() const { return op != nullptr; }
};

bool isInside(const Phase &phase, Value value) {
  Operation *def = value.getDefiningOp();
  return def && phase.members.contains(def);
}

/// What is written must be affine in the phase's reads with scalar factors from outside.
Obstacle checkAffine(const Phase &phase, Value value) {
  if (!isInside(phase, value))
    return {};
  Operation *op = value.getDefiningOp();
  if (isa<ReadOp>(op))
    return {};
  if (auto unary = dyn_cast<UnaryOp>(op))
    if (unary.getKind() == UnaryKind::neg)
      return checkAffine(phase, unary.getOperand());
  if (auto binary = dyn_cast<BinaryOp>(op)) {
    BinaryKind kind = binary.getKind();
    bool left = isInside(phase, binary.getLhs()), right = isInside(phase, binary.getRhs());
    if (kind == BinaryKind::add || kind == BinaryKind::sub) {
      for (auto [operand, inside] : {std::pair(binary.getLhs(), left), std::pair(binary.getRhs(), right)}) {
        if (!inside)
          continue;
        if (operand.getType() != binary.getType())
          return {op, "a read that feeds its own state is broadcast"};
        if (Obstacle obstacle = checkAffine(phase, operand))
          return obstacle;
      }
      return {};
    }
    if (kind == BinaryKind::mul && left != right) {
      Value factor = left ? binary.getRhs() : binary.getLhs();
      if (!cast<ValueType>(factor.getType()).isScalar())
        return {op,
                "a read that feeds its own state is multiplied by a vector; only a scalar factor keeps one triangular "
                "system for all columns"};
      return checkAffine(phase, left ? binary.getLhs() : binary.getRhs());
    }
    if (kind == BinaryKind::div && left && !right) {
      if (!cast<ValueType>(binary.getRhs().getType()).isScalar())
        return {op, "a read that feeds its own state is divided by a vector"};
      return checkAffine(phase, binary.getLhs());
    }
  }
  return {op, "it is nonlinear in itself"};
}

/// Where a cycle through whole states is not linear and elementwise, the operation that is to blame.
Obstacle blame(const Phase &phase, Obstacle otherwise) {
  Obstacle mixing;
  for (Operation *op : phase.members) {
    if (auto unary = dyn_cast<UnaryOp>(op); unary && unary.getKind() != UnaryKind::neg)
      return {op, "it is nonlinear in itself"};
    if (auto binary = dyn_cast<BinaryOp>(op)) {
      BinaryKind kind = binary.getKind();
      bool right = isInside(phase, binary.getRhs()), both = right && isInside(phase, binary.getLhs());
      bool linear = kind == BinaryKind::add || kind == BinaryKind::sub || (kind == BinaryKind::mul && !both) ||
                    (kind == BinaryKind::div && !right);
      if (!linear)
        return {op, "it is nonlinear in itself"};
    }
    if (isa<SelectOp>(op))
      return {op, "it is nonlinear in itself"};
    if (!mixing && isa<MatmulOp, ReduceOp, CumsumOp, ConcatOp>(op))
      mixing = {op, "every element depends on others (a dense transition)"};
  }
  return mixing ? mixing : otherwise;
}

Obstacle checkLinear(Phase &phase, bool transposed) {
  auto isRows = [&](Axis axis) { return (axis == Axis::rows) != transposed; };
  Transition transition;
  bool selfRead = false, several = phase.states.size() > 1;
  for (StateOp state : phase.states) {
    if (state.getType().getRank() == 0)
      return {state, "it is a scalar"};
    if (state.getType() != phase.states.front().getType())
      return {state, "coupled states have different shapes"};
    if (transposed && state.getType().getRank() != 2)
      return {state, "it is no matrix"};
  }
  for (Operation *op : phase.touches) {
    if (auto store = dyn_cast<StoreOp>(op)) {
      Operation *def = store.getValue().getDefiningOp();
      return blame(phase, {def && phase.members.contains(def) ? def : op, "it is replaced by a value that is no sum of "
                                                                          "decays and writes"});
    }
    if (isa<LoadOp>(op))
      return blame(phase, {op, "it is used as a whole"});
    if (auto decay = dyn_cast<DecayOp>(op)) {
      if (isInside(phase, decay.getFactor()))
        return {op, "its decay depends on itself"};
      if (decay.getFactor().getType().isScalar())
        transition.scalar = true;
      else if (!decay.getAxis() && decay.getState().getType().getRank() == 2)
        return {op, "its decay has no rank-one structure (one factor for each element)"};
      else if (!decay.getAxis() || isRows(*decay.getAxis()))
        transition.rows = true;
      else
        transition.cols = true;
    } else if (auto rotate = dyn_cast<RotateStateOp>(op)) {
      if (isInside(phase, rotate.getTheta()))
        return {op, "its rotation depends on itself"};
      if (transposed)
        return {op, "it is rotated and reads its own columns"};
      transition.rotation = true;
    } else if (auto accumulate = dyn_cast<AccumulateOp>(op)) {
      if (isInside(phase, accumulate.getFactor()))
        return {op, "its coupling depends on itself"};
      transition.coupled = true;
    } else if (auto read = dyn_cast<ReadOp>(op)) {
      if (!phase.members.contains(op))
        continue;
      if (isInside(phase, read.getVector()))
        return {op, "it is read with a vector that depends on itself"};
      if (!isRows(read.getAxis()))
        return {op, "it reads both its rows and its columns"};
      selfRead = true;
    } else if (auto write = dyn_cast<WriteOp>(op)) {
      Value key = transposed ? write.getValue() : write.getKey(),
            value = transposed ? write.getKey() : write.getValue();
      if (isInside(phase, key))
        return {op, "it is written with a key that depends on itself"};
      if (Obstacle obstacle = checkAffine(phase, value))
        return obstacle;
    }
  }
  if (transition.rotation && transition.rows)
    return {phase.states.front(),
            "it is rotated and decays per row; the two commute only where both rows of a pair decay alike"};
  if (several && (transition.rows || transition.cols || transition.rotation))
    return {phase.states.front(), "coupled states may decay by scalars only"};
  if (selfRead && transition.cols)
    return {phase.states.front(),
            "it decays along the axis that its self-read keeps, so that every column has a system of its own"};
  phase.transition = transition;
  phase.selfRead = selfRead;
  phase.transposed = transposed;
  return {};
}

/// Labels a scan; the lowering is the same for all kinds on a CPU, a parallel target may use an associative scan.
ScanKind classifyScan(const Phase &phase) {
  bool elementwise = true, linear = true, maxplus = true;
  auto inside = [&](Value value) { return isInside(phase, value); };
  for (Operation *op : phase.members) {
    if (isa<LoadOp>(op))
      continue;
    if (auto unary = dyn_cast<UnaryOp>(op)) {
      linear &= unary.getKind() == UnaryKind::neg;
      maxplus = false;
    } else if (auto binary = dyn_cast<BinaryOp>(op)) {
      BinaryKind kind = binary.getKind();
      bool sum = kind == BinaryKind::add || kind == BinaryKind::sub;
      maxplus &=
          kind == BinaryKind::add || kind == BinaryKind::max || (kind == BinaryKind::sub && !inside(binary.getRhs()));
      linear &= sum || (kind == BinaryKind::mul && inside(binary.getLhs()) != inside(binary.getRhs())) ||
                (kind == BinaryKind::div && !inside(binary.getRhs()));
    } else if (isa<BroadcastOp, RotateOp>(op)) {
      maxplus &= isa<BroadcastOp>(op);
    } else {
      elementwise = false;
    }
  }
  for (Operation *op : phase.touches)
    if (auto decay = dyn_cast<DecayOp>(op)) {
      maxplus = false;
      linear &= !inside(decay.getFactor());
    } else if (auto write = dyn_cast<WriteOp>(op)) {
      maxplus = false;
      linear &= !(inside(write.getKey()) && inside(write.getValue()));
    } else if (isa<RotateStateOp, AccumulateOp>(op)) {
      maxplus = false;
    }
  if (elementwise && linear)
    return ScanKind::affine;
  if (elementwise && maxplus)
    return ScanKind::maxplus;
  return ScanKind::sequential;
}
} // namespace

void Structure::classify(Phase &phase) {
  Obstacle obstacle = checkLinear(phase, /*transposed=*/false);
  if (!obstacle || !checkLinear(phase, /*transposed=*/true)) {
    phase.linear = true;
    return;
  }
  phase.obstacle = obstacle.op;
  phase.reason = obstacle.reason;
  phase.scan = classifyScan(phase);
}

bool Structure::isCascade() const {
  auto isReadOfAnother = [&](Operation *op, const Phase &phase) {
    return llvm::any_of(phases, [&](const Phase &other) {
      return &other != &phase && other.linear && llvm::is_contained(other.touches, op);
    });
  };
  for (const Phase &phase : phases) {
    if (!phase.linear)
      continue;
    SmallVector<Operation *> worklist(phase.touches.begin(), phase.touches.end());
    SmallPtrSet<Operation *, 32> seen;
    while (!worklist.empty())
      for (Value operand : worklist.pop_back_val()->getOperands())
        if (Operation *op = operand.getDefiningOp(); op && seen.insert(op).second) {
          if (isReadOfAnother(op, phase))
            return true;
          worklist.push_back(op);
        }
  }
  return false;
}

void Structure::remarkSequential() const {
  for (const Phase &phase : phases) {
    if (phase.linear || phase.scan != ScanKind::sequential || phase.touches.empty())
      continue;
    InFlightDiagnostic remark = phase.obstacle->emitRemark("state '")
                                << phase.front().getName() << "' runs one token at a time: " << phase.reason;
    remark.attachNote(phase.front().getLoc())
        << "a state may enter its own update only linearly (decay, or a read inside a write) for the chunkwise form";
  }
}

//===----------------------------------------------------------------------===//
// Sizes that nothing contracts
//===----------------------------------------------------------------------===//

SmallVector<std::string> Structure::getFreeSizes() {
  llvm::StringSet<> bound;
  SetVector<StringRef> all;
  // Sizes by name: the recorded ones after specialisation, the types' before.
  DenseMap<Value, SmallVector<std::string>> names;
  auto record = [&](Value value, Attribute recorded) {
    SmallVector<std::string> &list = names[value];
    if (auto array = dyn_cast_or_null<ArrayAttr>(recorded)) {
      for (Attribute name : array)
        list.push_back(cast<StringAttr>(name).str());
      return;
    }
    ArrayRef<Dim> dims = isa<StateType>(value.getType()) ? cast<StateType>(value.getType()).getDims()
                                                         : cast<ValueType>(value.getType()).getDims();
    for (const Dim &dim : dims)
      list.push_back(dim.str().str());
  };
  Block &body = mixer.getBody().front();
  for (BlockArgument argument : body.getArguments())
    record(argument, mixer.getArgAttr(argument.getArgNumber(), "rondo.dims"));

  // Names flow forward through elementwise operations; everything else binds what it touches.
  auto nameOf = [&](Value value) -> SmallVector<std::string> { return names.lookup(value); };
  auto bindAll = [&](Value value) {
    for (const std::string &name : nameOf(value))
      bound.insert(name);
  };
  for (Operation &op : body) {
    if (auto state = dyn_cast<StateOp>(op)) {
      record(state.getState(), state->getAttr("rondo.dims"));
    } else if (auto load = dyn_cast<LoadOp>(op)) {
      names[load.getResult()] = nameOf(load.getState());
    } else if (auto read = dyn_cast<ReadOp>(op)) {
      SmallVector<std::string> state = nameOf(read.getState());
      unsigned contracted = read.getAxis() == Axis::rows ? 0 : 1;
      bound.insert(state[contracted]);
      bindAll(read.getVector());
      state.erase(state.begin() + contracted);
      names[read.getResult()] = state;
    } else if (isa<UnaryOp, BinaryOp, SelectOp>(op)) {
      SmallVector<std::string> list;
      for (Value operand : op.getOperands()) {
        SmallVector<std::string> own = nameOf(operand);
        if (own.empty())
          continue;
        // The same size under two names cannot be split under one of them.
        if (!list.empty() && list != own) {
          bindAll(operand);
          for (const std::string &name : list)
            bound.insert(name);
        }
        list = own;
      }
      names[op.getResult(0)] = list;
    } else if (auto outer = dyn_cast<OuterOp>(op)) {
      SmallVector<std::string> list = nameOf(outer.getLhs());
      llvm::append_range(list, nameOf(outer.getRhs()));
      names[outer.getResult()] = list;
    } else if (auto transpose = dyn_cast<TransposeOp>(op)) {
      SmallVector<std::string> list = nameOf(transpose.getOperand());
      std::reverse(list.begin(), list.end());
      names[transpose.getResult()] = list;
    } else if (auto broadcast = dyn_cast<BroadcastOp>(op)) {
      // The repeated axis has the size, not necessarily the name, of what it meets: bind unless it is a state's.
      SmallVector<std::string> list = nameOf(broadcast.getOperand());
      for (Operation *user : broadcast.getResult().getUsers())
        for (Value other : user->getOperands()) {
          SmallVector<std::string> full = nameOf(other);
          if (full.size() == 2 && broadcast.getAxis() && list.size() == 1)
            list = *broadcast.getAxis() == Axis::rows ? SmallVector<std::string>{list[0], full[1]}
                                                      : SmallVector<std::string>{full[0], list[0]};
        }
      if (list.size() != broadcast.getResult().getType().getRank()) {
        bindAll(broadcast.getOperand());
        list.clear();
        for (const Dim &dim : broadcast.getResult().getType().getDims()) {
          list.push_back(dim.str().str());
          bound.insert(list.back());
        }
      }
      names[broadcast.getResult()] = list;
    } else if (auto matmul = dyn_cast<MatmulOp>(op)) {
      SmallVector<std::string> lhs = nameOf(matmul.getLhs()), rhs = nameOf(matmul.getRhs());
      bound.insert(lhs.back());
      bound.insert(rhs.front());
      lhs.pop_back();
      lhs.append(rhs.begin() + 1, rhs.end());
      names[matmul.getResult()] = lhs;
    } else if (isa<DecayOp, WriteOp, StoreOp, AccumulateOp, YieldOp, ConstantOp>(op)) {
      // Elementwise along every size of the state.
    } else {
      for (Value operand : op.getOperands())
        bindAll(operand);
      if (auto dim = dyn_cast<DimOp>(op))
        for (const std::string &name : Dim::parse(dim.getSize())->names())
          bound.insert(name);
      for (Value result : op.getResults())
        if (isa<ValueType>(result.getType()))
          record(result, {});
      for (Value result : op.getResults())
        bindAll(result);
    }
  }
  // Free: a plain name that occurs in a state or output, is nowhere bound and in no composed size.
  llvm::StringSet<> composed;
  for (auto &[value, list] : names)
    for (const std::string &text : list) {
      auto dim = Dim::parse(text);
      if (dim && !dim->isSimple())
        for (const std::string &name : dim->names())
          composed.insert(name);
    }
  SmallVector<std::string> result;
  for (StateOp state : mixer.getStates())
    for (const std::string &name : nameOf(state.getState()))
      if (!bound.contains(name) && !composed.contains(name) && !llvm::is_contained(result, name) &&
          !Dim::parse(name)->getConstant())
        result.push_back(name);
  return result;
}
