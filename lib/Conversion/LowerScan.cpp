//===- LowerScan.cpp - Scans and short chunks to loops ----------------------------------------------------------===//

#include "LowerChunk.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/IR/IRMapping.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Chunk/Chunk.h"

#define DEBUG_TYPE "rondo-lower-scan"

namespace rondo {
#define GEN_PASS_DEF_RONDOLOWERSCAN
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

using Values = TensorBuilder::Values;

/// True if `op` ignores what `destination` holds and can write its result over `old`: nobody reads `old` later, and
/// `op` itself reads of it only the element that it writes.
static bool mayOverwrite(linalg::LinalgOp op, OpOperand &destination, Value old) {
  if (op.payloadUsesValueFromOperand(&destination) || op.getNumParallelLoops() != op.getNumLoops())
    return false;
  return llvm::all_of(old.getUses(), [&](OpOperand &use) {
    if (use.getOwner() == op)
      return op.getMatchingIndexingMap(&use) == op.getMatchingIndexingMap(&destination);
    return use.getOwner()->getBlock() == op->getBlock() && use.getOwner()->isBeforeInBlock(op);
  });
}

/// Whether something still reads `old` when `op` has written over it.
static bool isReadAfter(Value old, Operation *op) {
  return llvm::any_of(old.getUses(), [&](OpOperand &use) {
    return use.getOwner() != op &&
           !(use.getOwner()->getBlock() == op->getBlock() && use.getOwner()->isBeforeInBlock(op));
  });
}

/// What `value` is an unchanged copy of, or itself.
static Value lookThroughCopies(Value value) {
  auto copy = value.getDefiningOp<linalg::GenericOp>();
  if (!copy || copy.getNumDpsInputs() != 1 || copy.getNumResults() != 1 ||
      !llvm::all_of(copy.getIndexingMapsArray(), [](AffineMap map) { return map.isIdentity(); }) ||
      copy.getBody()->getTerminator()->getOperand(0) != copy.getBody()->getArgument(0))
    return value;
  return lookThroughCopies(copy.getInputs()[0]);
}

/// Makes `next`, computed from the state `old` in the loop body, use the memory of `old`, which the loop needs for
/// carrying it in place: the operation that begins `next` writes over `old` where it may; else `next` is copied.
static Value inPlace(TensorBuilder &b, Value next, Value old) {
  if (!isa<RankedTensorType>(old.getType()))
    return next;
  next = lookThroughCopies(next);
  if (next == old)
    return next;
  Value value = next;
  while (auto op = value.getDefiningOp<linalg::LinalgOp>()) {
    OpOperand *destination = op.getDpsInitOperand(cast<OpResult>(value).getResultNumber());
    if (destination->get() == old) {
      if (!isReadAfter(old, op))
        return next;
      break;
    }
    if (destination->get().getDefiningOp<tensor::EmptyOp>()) {
      if (!mayOverwrite(op, *destination, old))
        break;
      destination->set(old);
      return next;
    }
    value = destination->get();
    if (!value.hasOneUse())
      break;
  }
  return linalg::CopyOp::create(b, next, old).getResult(0);
}

static void lowerScan(chunk::ScanOp op) {
  TensorBuilder b(op);
  Block &body = op.getBody().front();
  unsigned numStacked = op.getNumStackedResults();
  Values init;
  // Allocations, because equal `tensor.empty`s would be merged and the loop writes all stacked results at once.
  for (Value stacked : op.getResults().take_front(numStacked))
    init.push_back(bufferization::AllocTensorOp::create(b, cast<RankedTensorType>(stacked.getType()), ValueRange()));
  llvm::append_range(init, op.getStates());

  Values results = b.loop(b.index(0), op.getCount(), 1, init, [&](Value step, ValueRange values) -> Values {
    Value t = step;
    if (op.getReverse())
      t = arith::SubIOp::create(b, arith::SubIOp::create(b, op.getCount(), b.index(1)), step);
    IRMapping mapping;
    for (auto [argument, rows] : llvm::zip(body.getArguments(), op.getRows()))
      mapping.map(argument, isa<RankedTensorType>(argument.getType()) ? b.row(rows, {t}) : b.element(rows, t));
    ValueRange whole = body.getArguments().drop_front(op.getRows().size());
    mapping.map(whole.take_front(op.getShared().size()), op.getShared());
    mapping.map(whole.drop_front(op.getShared().size()), values.drop_front(numStacked));
    auto store = [&](unsigned i, Value value) {
      return isa<RankedTensorType>(value.getType()) ? b.setRow(values[i], {t}, value)
                                                    : b.setElement(values[i], t, value);
    };
    OperandRange yielded = body.getTerminator()->getOperands();
    Values next(yielded.size());
    // What a token begins with is stored before the states are updated in place.
    for (unsigned i = 0; i < numStacked; ++i)
      if (isa<BlockArgument>(yielded[i]))
        next[i] = store(i, mapping.lookup(yielded[i]));
    for (Operation &inner : body.without_terminator())
      b.clone(inner, mapping);
    for (auto [i, operand] : llvm::enumerate(yielded)) {
      Value value = mapping.lookupOrDefault(operand);
      if (i >= numStacked)
        next[i] = inPlace(b, value, values[i]);
      else if (!next[i])
        next[i] = store(i, value);
    }
    return next;
  });
  for (Value &stacked : MutableArrayRef(results).take_front(numStacked))
    stacked = b.fillRowsFrom(stacked, op.getCount(), 0);
  op.replaceAllUsesWith(results);
  op.erase();
}

static void lowerKeepRows(chunk::KeepRowsOp op) {
  TensorBuilder b(op);
  op.replaceAllUsesWith(b.fillRowsFrom(op.getOperand(), op.getCount(), op.getFill().convertToFloat()));
  op.erase();
}

namespace {
struct RondoLowerScanPass : rondo::impl::RondoLowerScanBase<RondoLowerScanPass> {
  void runOnOperation() override {
    getOperation().walk(lowerScan);
    getOperation().walk(lowerKeepRows);
  }
};
} // namespace
