//===- ExecuteCuda.cpp - A compiled mixer on a GPU --------------------------------------------------------------===//

#include "rondo/Driver/ExecuteCuda.h"
#include "rondo/Driver/Execute.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

LogicalResult checkCudaOptions(const Options &options) {
  if (options.hasCotangents() || options.gradients)
    return error("--target=cuda computes no gradients; leave out " +
                 Twine(options.gradients ? "--gradients" : "--grad and --grad-state") + " or use --target=cpu");
  if (options.step || options.shards)
    return error("--target=cuda has no --form=" + Twine(options.step ? "step" : "summary") + "; use --target=cpu");
  return success();
}

std::optional<CudaCode> generateCuda(Source &source, MixerOp mixer, const BuildRequest &request, const Options &options,
                                     Stopwatch &stopwatch) {
  auto fail = [](Error failure) {
    (void)error(toString(std::move(failure)));
    return std::nullopt;
  };
  if (failed(buildCuda(source, mixer, CudaStage::nvvm, request, options, stopwatch)))
    return std::nullopt;
  CudaTimes times;
  Expected<CudaCode> code = generatePtx(source.getModule(), &times);
  if (!code)
    return fail(code.takeError());
  stopwatch.lap("ptx");
  if (options.verbose)
    errs() << format("codegen translate_ms=%.1f optimize_ms=%.1f generate_ms=%.1f\n", times.translate, times.optimize,
                     times.generate);
  Expected<std::string> ptxas = findPtxas();
  if (!ptxas)
    return fail(ptxas.takeError());
  if (ptxas->empty())
    return std::move(*code);
  if (Error failure = assemble(*code, *ptxas))
    return fail(std::move(failure));
  stopwatch.lap("cubin");
  if (options.verbose)
    code->report.print(errs());
  return std::move(*code);
}

std::unique_ptr<CudaEngine> createCudaEngine(Source &source, MixerOp mixer, const BuildRequest &request,
                                             const Options &options, Stopwatch &stopwatch) {
  std::optional<CudaCode> code = generateCuda(source, mixer, request, options, stopwatch);
  if (!code)
    return nullptr;
  Expected<CudaProgram> program = CudaProgram::read(source.getModule());
  if (!program) {
    (void)error(toString(program.takeError()));
    return nullptr;
  }
  Expected<std::unique_ptr<CudaEngine>> engine = CudaEngine::create(std::move(*program), std::move(*code));
  if (!engine) {
    (void)error(toString(engine.takeError()));
    return nullptr;
  }
  stopwatch.lap("load");
  if (options.verbose)
    errs() << "device \"" << (*engine)->getDeviceName() << "\" kernels=" << (*engine)->program().get().count
           << " code=" << ((*engine)->isFromCubin() ? "cubin" : "ptx")
           << format(" compile_ms=%.1f\n", stopwatch.getCompileTime());
  return std::move(*engine);
}

Expected<CudaCall> prepareCall(const CudaEngine &engine, const Signature &signature, Arrays &arrays) {
  ForwardViews views(signature, arrays);
  return engine.prepare(views.inputs, views.outputs, views.states);
}

/// About a second of launches, by events, and one line.
static Error measure(CudaCall &call, const CudaEngine &engine, const Stopwatch &stopwatch) {
  constexpr double kMeasure = 1000, kWarm = 200; // milliseconds
  Expected<std::vector<float>> first = call.time(/*warmups=*/1, /*runs=*/1);
  if (!first)
    return first.takeError();
  double once = std::max(1e-3, double(first->front()));
  int runs = std::clamp(int(kMeasure / once), 5, 100), warmups = std::clamp(int(kWarm / once), 1, 20);
  Expected<std::vector<float>> times = call.time(warmups, runs);
  if (!times)
    return times.takeError();
  llvm::sort(*times);
  outs() << format("time median_ms=%.4f min_ms=%.4f max_ms=%.4f runs=%d compile_ms=%.1f", (*times)[runs / 2],
                   times->front(), times->back(), runs, stopwatch.getCompileTime())
         << " device=\"" << engine.getDeviceName() << "\"\n";
  return Error::success();
}

LogicalResult runCuda(Source &source, MixerOp mixer, const Signature &signature, const Problem &problem,
                      const Options &options, Arrays &arrays, Stopwatch &stopwatch) {
  // With fewer heads than multiprocessors, columns are split as well.
  constexpr int64_t kMultiprocessors = 132;
  BuildRequest request{problem.sizes, problem.batch * problem.heads, kMultiprocessors};
  std::unique_ptr<CudaEngine> engine = createCudaEngine(source, mixer, request, options, stopwatch);
  if (!engine)
    return failure();
  for (const Operand &output : signature.outputs)
    arrays.outputs[output.name] = NpyArray(kernelType(output, options), problem.shape(output));
  for (const Operand &state : signature.states)
    arrays.finalStates[state.name] = NpyArray(kernelType(state, options), problem.shape(state));
  Expected<CudaCall> call = prepareCall(*engine, signature, arrays);
  if (!call)
    return error(toString(call.takeError()));
  stopwatch.lap("copy in", /*isCompiling=*/false);
  if (options.verbose && call->getWorkspaceBytes())
    errs() << "workspace_bytes=" << call->getWorkspaceBytes() << "\n";
  if (Error failure = call->run())
    return error(toString(std::move(failure)));
  stopwatch.lap("run", /*isCompiling=*/false);
  if (options.time)
    if (Error failure = measure(*call, *engine, stopwatch))
      return error(toString(std::move(failure)));
  return success();
}

} // namespace rondo::driver
