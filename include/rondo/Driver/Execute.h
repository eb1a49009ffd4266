//===- Execute.h - A compiled mixer in this process ---------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_EXECUTE_H
#define RONDO_DRIVER_EXECUTE_H

#include "rondo/Driver/Build.h"
#include "rondo/Driver/Problem.h"
#include "rondo/Interpreter/CheckGradients.h"

namespace rondo::driver {

/// Compiles the only mixer of `source` to code in this process. Null after an error, which has been printed.
std::unique_ptr<Engine> createEngine(Source &source, MixerOp mixer, const BuildRequest &request, const Options &options,
                                     Stopwatch &stopwatch);

/// The arrays of a forward call as an engine takes them, in the order of the signature.
struct ForwardViews {
  llvm::SmallVector<Array, 8> inputs, outputs;
  std::vector<StateArrays> states;
  ForwardViews(const Signature &signature, Arrays &arrays);
};

/// The kernel's call on `arrays`, which have the kernel's element types and outlive it. Outputs and final states that
/// are there are written; a missing initial state starts with its `init`.
llvm::Expected<KernelCall> prepareCall(const Engine &engine, const Signature &signature, Arrays &arrays,
                                       int64_t threads);

/// The same for the backward kernel.
llvm::Expected<KernelCall> prepareBackwardCall(const Engine &engine, const Signature &signature, GradientArrays &arrays,
                                               int64_t threads);

/// `array` as a kernel sees it.
Array viewArray(NpyArray &array);

/// The final states begin as the initial ones, or their `init`: a step updates them in place.
void beginStates(const Signature &signature, Arrays &arrays);

/// Calls of the step kernel that decode all tokens in order, `draft` in each. They update the final states, which are
/// all there, and write the value of a state after each token to `histories` ([B, H, T, ...]) where it is there.
llvm::Expected<std::vector<KernelCall>> prepareStepCalls(const Engine &engine, const Signature &signature,
                                                         Arrays &arrays, llvm::StringMap<NpyArray> &histories,
                                                         int64_t draft, int64_t threads);

/// `rondoc run --form=step` (Step.cpp).
mlir::LogicalResult runStep(Source &source, MixerOp mixer, const Signature &signature, const Problem &problem,
                            const Options &options, Arrays &arrays, Stopwatch &stopwatch);

/// Repeats `call` until the median of all runs and that of the later half agree to one per cent, and prints one line;
/// with `tokens` also the time for each. `prepare` comes before each run and is not measured.
void measure(llvm::function_ref<void()> call, int64_t threads, int64_t tokens = 0,
             llvm::function_ref<void()> prepare = {});

/// `--threads`, or as many as there are cores.
int64_t getThreads(const Options &options);

} // namespace rondo::driver

#endif // RONDO_DRIVER_EXECUTE_H
