//===- CudaPipelines.h - From the token form to GPU kernels -------------------------------------------*- C++ -*-===//

#ifndef RONDO_TARGET_CUDAPIPELINES_H
#define RONDO_TARGET_CUDAPIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace rondo {

/// Options of the GPU pipelines; in `rondo-opt` they are written `--rondo-cuda-simt="sizes=K=64,V=64 dtype=bf16"`.
struct CudaPipelineOptions : public mlir::PassPipelineOptions<CudaPipelineOptions> {
  ListOption<std::string> sizes{*this, "sizes", llvm::cl::desc("NAME=NUMBER for every named size")};
  Option<int64_t> chunk{*this, "chunk", llvm::cl::desc("tokens a chunk"), llvm::cl::init(32)};
  Option<std::string> form{*this, "form", llvm::cl::desc("chunk or sequential"), llvm::cl::init("chunk")};
  Option<std::string> dtype{*this, "dtype", llvm::cl::desc("element type of token arguments and outputs"),
                            llvm::cl::init("f32")};
  ListOption<std::string> dtypes{*this, "dtypes", llvm::cl::desc("NAME=TYPE for single arguments")};
  Option<std::string> block{*this, "block",
                            llvm::cl::desc("size that is split into column blocks; `sizes` has that of one block"),
                            llvm::cl::init("")};
  Option<int64_t> blocks{*this, "blocks", llvm::cl::desc("column blocks of a head"), llvm::cl::init(1)};
  Option<int64_t> threads{*this, "threads", llvm::cl::desc("threads of a block"), llvm::cl::init(256)};
};

/// Chunk bodies to the program of one thread of a block (`rondo-map-to-threads`).
void buildSimtThreadsPipeline(mlir::OpPassManager &pm, const CudaPipelineOptions &options);

/// The token form (or chunk bodies) to kernels in `gpu.module @cuda` (LLVM and NVVM dialects) that take every mixer.
void buildSimtPipeline(mlir::OpPassManager &pm, const CudaPipelineOptions &options);

/// The token form to kernels in `gpu.module @cuda` whose threads own columns of the states (`rondo-build-columns`); a
/// mixer without such columns stays the body of one token, with a remark. `addTileToNVVM` goes on.
void buildColumnsPipeline(mlir::OpPassManager &pm, const CudaPipelineOptions &options);

/// The same threads on a CPU, in the LLVM dialect, to be called like a CPU kernel: for tests.
void buildSimtEmulationPipeline(mlir::OpPassManager &pm, const CudaPipelineOptions &options);

/// The token form (or chunk bodies of 64 tokens) to `tile.kernel`s on tensor cores; a mixer that these do not take
/// stays a chunk body, with a remark.
void buildToTilePipeline(mlir::OpPassManager &pm, const CudaPipelineOptions &options);

/// Tile kernels to `gpu.module @cuda` (LLVM and NVVM dialects); `sanitize`: as compute-sanitizer follows them.
void buildTileToNVVMPipeline(mlir::OpPassManager &pm, bool sanitize = false);

void registerCudaPipelines();

} // namespace rondo

#endif // RONDO_TARGET_CUDAPIPELINES_H
