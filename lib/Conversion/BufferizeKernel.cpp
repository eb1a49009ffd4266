//===- BufferizeKernel.cpp - Tensors to buffers ---------------------------------------------------------*- C++ -*-===//

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

namespace {

class BufferizeKernel : public rondo::impl::RondoBufferizeKernelBase<BufferizeKernel> {
  void runOnOperation() override {
    bufferization::OneShotBufferizationOptions options;
    options.memCpyFn = [](OpBuilder &builder, Location loc, Value from, Value to) {
      linalg::makeMemRefCopyOp(builder, loc, from, to);
      return success();
    };
    // Buffers carry the layout they are made with: a value is contiguous unless it is a slice of another one.
    options.inferFunctionResultLayout = false;
    IRRewriter rewriter(&getContext());
    bufferization::BufferizationState state;
    if (failed(bufferization::eliminateEmptyTensors(rewriter, getOperation())) ||
        failed(bufferization::runOneShotBufferize(getOperation(), options, state)))
      signalPassFailure();
  }
};

} // namespace
