//===- FuseElementwise.cpp - Compute elementwise values where they are used -------------------------------------===//
// C++ -*-===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOFUSEELEMENTWISE
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-fuse-elementwise"

using namespace mlir;

/// The number of points of the iteration space.
static int64_t numPoints(linalg::GenericOp op) {
  int64_t points = 1;
  for (int64_t range : op.getStaticLoopRanges())
    points *= range;
  return points;
}

/// Whether computing `operand` inside its user repeats no work.
static bool repeatsNoWork(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !consumer || !producer->hasOneUse())
    return false;
  bool onlyMoves = llvm::hasSingleElement(producer.getRegion().front());
  return onlyMoves || numPoints(producer) == numPoints(consumer);
}

namespace {

/// Upstream's set of patterns would also replace destinations that are not read by empty tensors; here they are states
/// that are updated in place.
struct FuseProducer : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    for (OpOperand &operand : op->getOpOperands()) {
      if (!linalg::areElementwiseOpsFusable(&operand) || !repeatsNoWork(&operand))
        continue;
      Operation *producer = operand.get().getDefiningOp();
      auto fused = linalg::fuseElementwiseOps(rewriter, &operand);
      if (failed(fused))
        continue;
      for (auto [old, value] : fused->replacements)
        rewriter.replaceUsesWithIf(old, value, [&](OpOperand &use) { return use.getOwner() != producer; });
      rewriter.eraseOp(op);
      return success();
    }
    return failure();
  }
};

class FuseElementwise : public rondo::impl::RondoFuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseProducer>(&getContext());
    GreedyRewriteConfig config;
    config.setUseTopDownTraversal(true);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace
