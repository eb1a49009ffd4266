//===- Execute.h - A compiled mixer in this process -----------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_EXECUTE_H
#define RONDO_DRIVER_EXECUTE_H

#include "rondo/Driver/Build.h"
#include "rondo/Driver/Problem.h"
#include "rondo/Interpreter/CheckGradients.h"

namespace rondo::driver {

/// Compiles the only mixer of `source` to code in this process. Null after an error, which has been printed.
std::unique_ptr<Engine> createEngine(Source &source, MixerOp mixer, const BuildRequest &request, const Options &options,
                                     Stopwatch &stopwatch);

/// The kernel's call on `arrays`, which have the kernel's element types and outlive it. Outputs and final states that
/// are there are written; a missing initial state starts with its `init`.
llvm::Expected<KernelCall> prepareCall(const Engine &engine, const Signature &signature, Arrays &arrays,
                                       int64_t threads);

/// The same for the backward kernel.
llvm::Expected<KernelCall> prepareBackwardCall(const Engine &engine, const Signature &signature, GradientArrays &arrays,
                                               int64_t threads);

/// `--threads`, or as many as there are cores.
int64_t getThreads(const Options &options);

} // namespace rondo::driver

#endif // RONDO_DRIVER_EXECUTE_H
