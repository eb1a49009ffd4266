//===- Pipelines.h - From the token form to the LLVM dialect ------------------------------------------*- C++ -*-===//

#ifndef RONDO_TARGET_PIPELINES_H
#define RONDO_TARGET_PIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace rondo {

/// Options of the CPU pipelines; in `rondo-opt` they are written `--rondo-cpu="sizes=K=64,V=64 dtype=bf16"`.
struct CpuPipelineOptions : public mlir::PassPipelineOptions<CpuPipelineOptions> {
  ListOption<std::string> sizes{*this, "sizes", llvm::cl::desc("NAME=NUMBER for every named size")};
  Option<int64_t> chunk{*this, "chunk", llvm::cl::desc("tokens a chunk"), llvm::cl::init(64)};
  Option<std::string> form{*this, "form", llvm::cl::desc("chunk or sequential"), llvm::cl::init("chunk")};
  Option<std::string> dtype{*this, "dtype", llvm::cl::desc("element type of token arguments and outputs"),
                            llvm::cl::init("f32")};
  ListOption<std::string> dtypes{*this, "dtypes", llvm::cl::desc("NAME=TYPE for single arguments")};
  Option<std::string> block{*this, "block", llvm::cl::desc("size that is split into column blocks"),
                            llvm::cl::init("")};
  Option<bool> gradients{*this, "gradients", llvm::cl::desc("also the backward kernel"), llvm::cl::init(false)};
  Option<int64_t> keepEvery{*this, "keep-every",
                            llvm::cl::desc("chunks between the states that the backward kernel keeps"),
                            llvm::cl::init(1)};
  Option<unsigned> vectorBits{*this, "vector-bits", llvm::cl::desc("bits of a vector register"), llvm::cl::init(512)};
};

/// The token form to chunk bodies: raise updates, substitute sizes, derive.
void buildToChunkPipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// Chunk bodies to kernels on memrefs with `linalg` operations: lower the `chunk` dialect, build the loops, fuse,
/// bufferize, place scratch.
void buildBufferizePipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// Kernels on memrefs to the LLVM dialect.
void buildToLLVMPipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// All of them: the token form (or chunk bodies) to the LLVM dialect.
void buildCpuPipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// Makes the pipelines `rondo-to-chunk`, `rondo-bufferize`, `rondo-to-llvm` and `rondo-cpu` known to pass pipeline
/// texts.
void registerCpuPipelines();

/// Everything that the CPU pipelines need to know about upstream dialects: bufferization, conversion to LLVM and
/// translation.
void registerCpuDialects(mlir::DialectRegistry &registry);

} // namespace rondo

#endif // RONDO_TARGET_PIPELINES_H
