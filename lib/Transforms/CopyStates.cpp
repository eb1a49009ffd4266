//===- CopyStates.cpp - A copy of a state that is read along both axes ------------------------------------------===//

#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Transforms/Passes.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOCOPYSTATES
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
/// What touches one state, in order.
class Copier {
public:
  Copier(MixerOp mixer, StateOp state) : mixer(mixer), state(state) {}
  bool run();

private:
  /// The axes of the reads of the state that `value` is made of.
  void collect(Value value, llvm::SmallPtrSetImpl<Operation *> &seen, bool (&axes)[2]);

  MixerOp mixer;
  StateOp state;
};
} // namespace

void Copier::collect(Value value, llvm::SmallPtrSetImpl<Operation *> &seen, bool (&axes)[2]) {
  Operation *op = value.getDefiningOp();
  if (!op || !seen.insert(op).second)
    return;
  if (auto read = dyn_cast<ReadOp>(op); read && read.getState() == state.getState())
    axes[read.getAxis() == Axis::cols] = true;
  for (Value operand : op->getOperands())
    if (isa<ValueType>(operand.getType()))
      collect(operand, seen, axes);
}

bool Copier::run() {
  if (state.getType().getDims().size() != 2)
    return false;
  bool isRead[2] = {}, isFed[2] = {};
  SmallVector<Operation *> touches;
  llvm::SmallPtrSet<Operation *, 16> seen;
  for (Operation &op : mixer.getBody().front()) {
    if (!llvm::is_contained(op.getOperands(), state.getState()))
      continue;
    if (!isa<ReadOp, WriteOp, DecayOp>(op))
      return false;
    touches.push_back(&op);
    if (auto read = dyn_cast<ReadOp>(op))
      isRead[read.getAxis() == Axis::cols] = true;
    else
      for (Value operand : op.getOperands().drop_front())
        collect(operand, seen, isFed);
  }
  if (!isRead[0] || !isRead[1] || isFed[0] == isFed[1])
    return false;
  // What the state's own writes need is read from the copy.
  Axis axis = isFed[1] ? Axis::cols : Axis::rows;
  OpBuilder b(state);
  b.setInsertionPointAfter(state);
  auto copy = cast<StateOp>(b.clone(*state));
  copy.setNameAttr(b.getStringAttr(state.getName() + " by " + (axis == Axis::cols ? "rows" : "columns")));
  copy->setAttr("rondo.copy_of", state.getNameAttr());
  for (Operation *op : touches) {
    auto read = dyn_cast<ReadOp>(op);
    if (read && read.getAxis() != axis)
      continue;
    if (!read) {
      b.setInsertionPointAfter(op);
      op = b.clone(*op);
    }
    op->setOperand(0, copy.getState());
  }
  return true;
}

namespace {
struct CopyStates : rondo::impl::RondoCopyStatesBase<CopyStates> {
  void runOnOperation() override {
    for (StateOp state : getOperation().getStates())
      if (Copier(getOperation(), state).run())
        ++numCopies;
  }
};
} // namespace
