//===- Build.h - From a mixer to a kernel -------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_BUILD_H
#define RONDO_DRIVER_BUILD_H

#include "rondo/Driver/Source.h"
#include "rondo/Support/Npy.h"
#include "rondo/Target/Engine.h"

namespace rondo::driver {

/// How far to take a module.
enum class Stage { rondo, chunk, linalg, llvm };

/// What a build needs to know beyond the options.
struct BuildRequest {
  llvm::StringMap<int64_t> sizes;
  /// Batch entries times heads, and threads: with fewer of the former, columns are split as well. 0 where unknown.
  int64_t items = 0, threads = 0;
  /// Also the backward kernel.
  bool gradients = false;
  /// Also the step kernel. With `--form=step` there is nothing else.
  bool step = false;
};

/// Takes the only mixer of `source` to `stage`. The diagnostics of the passes are errors of the user's program or of
/// the compiler, and have been printed.
mlir::LogicalResult build(Source &source, MixerOp mixer, Stage stage, const BuildRequest &request,
                          const Options &options, const CpuTarget &target, Stopwatch &stopwatch);

/// How far to take a module for a GPU: tile operations, or a `gpu.module` in the `llvm` and `nvvm` dialects.
enum class CudaStage { tile, nvvm };

/// The same for the CUDA target. A module that has its `gpu.module` already is left as it is: kernels by hand.
mlir::LogicalResult buildCuda(Source &source, MixerOp mixer, CudaStage stage, const BuildRequest &request,
                              const Options &options, Stopwatch &stopwatch);

/// The CPU that the options name. The error has been printed.
std::optional<CpuTarget> getTarget(const Options &options);

/// The element type of a token argument or output in the kernel; states and parameters are f32.
ElementType kernelType(const Operand &operand, const Options &options);

/// Checks the names in `--dtype NAME=TYPE`.
mlir::LogicalResult checkTypes(const Signature &signature, const Options &options);

/// The given sizes of a command without arrays: every name of the signature must be there, or `fallback` (when not 0)
/// is used.
mlir::FailureOr<llvm::StringMap<int64_t>> getSizes(const Signature &signature, const Options &options,
                                                   int64_t fallback = 0);

} // namespace rondo::driver

#endif // RONDO_DRIVER_BUILD_H
