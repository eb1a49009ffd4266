//===- BufferizeKernel.cpp - Tensors to buffers -----------------------------------------------------------------===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOBUFFERIZEKERNEL
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-bufferize-kernel"

using namespace mlir;

/// Gives everything that overwrites a filled tensor a fill of its own, just before it. One fill that several operations
/// start from (common subexpression elimination makes it) would be kept and copied for each of them.
static void splitFills(func::FuncOp function) {
  SmallVector<linalg::FillOp> fills;
  function.walk([&](linalg::FillOp fill) {
    if (fill.getNumResults() == 1 && fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>())
      fills.push_back(fill);
  });
  for (linalg::FillOp fill : fills) {
    for (OpOperand &use : llvm::make_early_inc_range(fill->getUses())) {
      auto user = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
      if (!isa<scf::ForOp>(use.getOwner()) && !(user && user.isDpsInit(&use)))
        continue;
      OpBuilder b(use.getOwner());
      Value empty = b.clone(*fill.getOutputs()[0].getDefiningOp())->getResult(0);
      use.set(linalg::FillOp::create(b, fill.getLoc(), fill.getInputs(), empty).getResult(0));
    }
    if (fill->use_empty())
      fill->erase();
  }
}

namespace {

class BufferizeKernel : public rondo::impl::RondoBufferizeKernelBase<BufferizeKernel> {
  void runOnOperation() override {
    bufferization::OneShotBufferizationOptions options;
    options.memCpyFn = [](OpBuilder &builder, Location loc, Value from, Value to) {
      linalg::makeMemRefCopyOp(builder, loc, from, to);
      return success();
    };
    splitFills(getOperation());
    IRRewriter rewriter(&getContext());
    bufferization::BufferizationState state;
    if (failed(bufferization::eliminateEmptyTensors(rewriter, getOperation())) ||
        failed(bufferization::runOneShotBufferize(getOperation(), options, state)))
      signalPassFailure();
  }
};

} // namespace
