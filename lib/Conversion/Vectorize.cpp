//===- Vectorize.cpp - Structured operations on buffers to vector code ------------------------------------------===//

#include "VectorizeSupport.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOVECTORIZE
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-vectorize"

using namespace mlir;
using namespace rondo;

namespace {

struct VectorizePass : rondo::impl::RondoVectorizeBase<VectorizePass> {
  using RondoVectorizeBase::RondoVectorizeBase;

  void runOnOperation() override {
    if (vectorWidth != 128 && vectorWidth != 256 && vectorWidth != 512) {
      getOperation().emitError("vector-width must be 128, 256 or 512 bits, not ") << int64_t(vectorWidth);
      return signalPassFailure();
    }
    vectorize::Target target{vectorWidth / 32, vectorWidth == 512 ? 32 : 16};
    IRRewriter rewriter(&getContext());

    // A copy is a structured operation like any other.
    getOperation().walk([&](memref::CopyOp copy) {
      rewriter.setInsertionPoint(copy);
      rewriter.replaceOpWithNewOp<linalg::CopyOp>(copy, copy.getSource(), copy.getTarget());
    });

    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    SmallPtrSet<Operation *, 8> erased;
    // Last first: a product then still finds the fill that clears its result.
    for (linalg::LinalgOp op : llvm::reverse(ops)) {
      if (erased.contains(op))
        continue;
      if (!op.hasPureBufferSemantics()) {
        op.emitOpError("works on tensors; bufferize before rondo-vectorize");
        return signalPassFailure();
      }
      rewriter.setInsertionPoint(op);
      if (failed(vectorize::lowerContraction(rewriter, op, target, erased)) &&
          failed(vectorize::lowerGeneric(rewriter, op, target)) && failed(linalg::linalgOpToLoops(rewriter, op))) {
        op.emitOpError("has no lowering to loops");
        return signalPassFailure();
      }
      rewriter.eraseOp(op);
    }
  }
};

} // namespace
