//===- ExecuteCuda.h - A compiled mixer on a GPU ------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_EXECUTECUDA_H
#define RONDO_DRIVER_EXECUTECUDA_H

#include "rondo/Driver/Build.h"
#include "rondo/Driver/Problem.h"
#include "rondo/Target/CudaEngine.h"

namespace rondo::driver {

/// Fails when the options ask for what the CUDA target does not have.
mlir::LogicalResult checkCudaOptions(const Options &options);

/// The PTX of the only mixer of `source`, and the cubin where there is a `ptxas`. Nothing after an error, which has
/// been printed.
std::optional<CudaCode> generateCuda(Source &source, MixerOp mixer, const BuildRequest &request, const Options &options,
                                     Stopwatch &stopwatch);

/// The same, loaded onto the device.
std::unique_ptr<CudaEngine> createCudaEngine(Source &source, MixerOp mixer, const BuildRequest &request,
                                             const Options &options, Stopwatch &stopwatch);

/// The call on `arrays`, as for the CPU: they have the kernel's element types and outlive it.
llvm::Expected<CudaCall> prepareCall(const CudaEngine &engine, const Signature &signature, Arrays &arrays);

/// `rondoc run --target=cuda`.
mlir::LogicalResult runCuda(Source &source, MixerOp mixer, const Signature &signature, const Problem &problem,
                            const Options &options, Arrays &arrays, Stopwatch &stopwatch);

} // namespace rondo::driver

#endif // RONDO_DRIVER_EXECUTECUDA_H
