//===- Pipelines.h - From a chunk body to the LLVM dialect ----------------------------------------------*- C++ -*-===//

#ifndef RONDO_TARGET_PIPELINES_H
#define RONDO_TARGET_PIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace rondo {

/// Options of the CPU pipelines; in `rondo-opt` they are written `--rondo-cpu="dtype=bf16 vector-bits=256"`.
struct CpuPipelineOptions : public mlir::PassPipelineOptions<CpuPipelineOptions> {
  Option<std::string> dtype{*this, "dtype", llvm::cl::desc("element type of token arguments and outputs"),
                            llvm::cl::init("f32")};
  ListOption<std::string> dtypes{*this, "dtypes", llvm::cl::desc("NAME=TYPE for single arguments")};
  Option<std::string> block{*this, "block", llvm::cl::desc("size that is split into column blocks"),
                            llvm::cl::init("")};
  Option<unsigned> vectorBits{*this, "vector-bits", llvm::cl::desc("bits of a vector register"), llvm::cl::init(512)};
};

/// Chunk bodies to kernels on memrefs with `linalg` operations: lower the `chunk` dialect, build the loops, fuse,
/// bufferize, place scratch.
void buildBufferizePipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// Kernels on memrefs to the LLVM dialect.
void buildToLLVMPipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// Both: chunk bodies to the LLVM dialect.
void buildCpuPipeline(mlir::OpPassManager &pm, const CpuPipelineOptions &options);

/// Makes the pipelines `rondo-bufferize`, `rondo-to-llvm` and `rondo-cpu` known to pass pipeline texts.
void registerCpuPipelines();

/// Everything that the CPU pipelines need to know about upstream dialects: bufferization, conversion to LLVM and
/// translation.
void registerCpuDialects(mlir::DialectRegistry &registry);

} // namespace rondo

#endif // RONDO_TARGET_PIPELINES_H
