//===- Check.cpp - `rondoc check`: a kernel against its meaning -------------------------------------------------===//

#include "mlir/Pass/PassManager.h"
#include "rondo/Analysis/Structure.h"
#include "rondo/Driver/Driver.h"
#include "rondo/Driver/Execute.h"
#include "rondo/Driver/ExecuteCuda.h"
#include "rondo/Driver/Shards.h"
#include "rondo/Interpreter/CheckGradients.h"
#include "rondo/Transforms/Passes.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

/// Around the chunk: one token, one less than a chunk, exactly one, one more, and several with a rest.
static std::vector<int64_t> defaultLengths(int64_t chunk) {
  std::vector<int64_t> lengths = {1, 2, std::max<int64_t>(1, chunk - 1), chunk, chunk + 1, 3 * chunk + 7};
  llvm::sort(lengths);
  lengths.erase(llvm::unique(lengths), lengths.end());
  return lengths;
}

/// The largest relative error when the user names none; `narrow`: some arrays have 16 bits.
static FailureOr<double> usualTolerance(ModuleOp module, const Options &options, bool narrow) {
  if (options.gradients)
    return narrow ? 2e-2 : 1e-4;
  if (!narrow)
    return 1e-5;
  if (options.target != Target::cuda)
    return 1e-2;
  // On tensor cores the operands have 16 bits too, and every phase of a cascade rounds what the one before it gave.
  OwningOpRef<ModuleOp> raised = module.clone();
  PassManager manager(module.getContext(), ModuleOp::getOperationName());
  manager.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  if (failed(manager.run(*raised)))
    return failure();
  return Structure(*raised->getOps<MixerOp>().begin()).isCascade() ? 1e-2 : 5e-3;
}

static LogicalResult checkStages(const Options &options) {
  if (options.target == Target::cuda && failed(checkCudaOptions(options)))
    return failure();
  Stopwatch stopwatch(options.verbose);
  std::unique_ptr<Source> source = Source::load(options);
  if (!source)
    return failure();
  // Comments may name arguments of the file's other mixers, which `keepMixer` erases.
  FailureOr<Generators> generators = parseCheckComments(source->getSources(), source->getModule());
  MixerOp mixer = succeeded(generators) ? source->keepMixer(options) : MixerOp();
  if (!mixer)
    return failure();
  Signature signature(mixer);
  constexpr int64_t kDefaultSize = 64;
  FailureOr<StringMap<int64_t>> sizes = getSizes(signature, options, kDefaultSize);
  if (failed(sizes) || failed(checkTypes(signature, options)))
    return failure();

  // The build replaces the mixer; the interpreter needs it.
  OwningOpRef<ModuleOp> kept = source->getModule().clone();
  MixerOp meaning = *kept->getOps<MixerOp>().begin();
  if (failed(specialize(meaning, *sizes)))
    return failure();
  BuildRequest request{*sizes, 0, 0, options.gradients};
  std::unique_ptr<Engine> engine;
  std::unique_ptr<CudaEngine> cuda;
  if (options.target == Target::cuda)
    cuda = createCudaEngine(*source, mixer, request, options, stopwatch);
  else
    engine = createEngine(*source, mixer, request, options, stopwatch);
  if (!engine && !cuda)
    return failure();

  std::unique_ptr<ShardedMixer> sharded;
  if (options.shards && !(sharded = ShardedMixer::create(*sizes, options, stopwatch)))
    return failure();

  GradientCase checkCase;
  checkCase.type = *parseElementType(options.dtype);
  bool narrow = checkCase.type != ElementType::f32;
  for (const auto &[name, type] : options.dtypes) {
    checkCase.types[name] = *parseElementType(type);
    narrow |= type != "f32";
  }
  FailureOr<double> usual = usualTolerance(*kept, options, narrow);
  if (failed(usual))
    return failure();
  double tolerance = options.tolerance.value_or(*usual), worst = 0;
  bool allClose = true, close;
  auto report = [&](StringRef name, const auto &result) {
    outs() << " " << name << "=" << format("%.1e", result.error);
    if (result.wrongNonFinite)
      outs() << " (" << result.wrongNonFinite << " elements are not finite, or should not be)";
    close &= result.isWithin(tolerance);
    worst = std::max(worst, result.error);
  };
  auto forward = [&](CheckArrays &arrays) -> Error {
    if (cuda) {
      Expected<CudaCall> call = prepareCall(*cuda, signature, arrays);
      return call ? call->run() : call.takeError();
    }
    if (options.step) {
      StringMap<NpyArray> histories;
      beginStates(signature, arrays);
      Expected<std::vector<KernelCall>> calls =
          prepareStepCalls(*engine, signature, arrays, histories, options.draft, getThreads(options));
      if (!calls)
        return calls.takeError();
      for (const KernelCall &call : *calls)
        call();
      return Error::success();
    }
    if (options.shards) {
      Problem problem{checkCase.batch, checkCase.time, checkCase.heads, /*batched=*/true, *sizes};
      if (failed(sharded->run(signature, problem, options, *engine, arrays)))
        return createStringError("the shards failed");
      return Error::success();
    }
    Expected<KernelCall> call = prepareCall(*engine, signature, arrays, getThreads(options));
    if (!call)
      return call.takeError();
    (*call)();
    return Error::success();
  };
  auto backward = [&](GradientArrays &arrays) -> Error {
    Expected<KernelCall> call = prepareBackwardCall(*engine, signature, arrays, getThreads(options));
    if (!call)
      return call.takeError();
    (*call)();
    return Error::success();
  };
  auto runCase = [&]() -> Error {
    if (options.gradients) {
      Expected<std::vector<GradientResult>> results = checkGradients(meaning, *generators, checkCase, backward);
      if (!results)
        return results.takeError();
      for (const GradientResult &result : *results) {
        report("d" + result.name, result);
        if (result.isWronglyZero)
          outs() << " (zero)";
      }
      return Error::success();
    }
    Expected<std::vector<CheckResult>> results = checkKernel(meaning, *generators, checkCase, forward);
    if (!results)
      return results.takeError();
    for (const CheckResult &result : *results)
      report(result.name, result);
    return Error::success();
  };

  int64_t chunk = cuda ? std::max<int64_t>(1, cuda->info().chunk) : engine->kernels().front().chunk;
  std::vector<int64_t> lengths = options.lengths.empty() ? defaultLengths(chunk) : options.lengths;
  for (GateKind gates : getGateKinds(*generators))
    for (int64_t length : lengths) {
      checkCase.gates = gates;
      checkCase.time = length;
      checkCase.initialStates = !checkCase.initialStates;
      // Every second case has soft gates behind strong ones.
      checkCase.strongRuns = checkCase.initialStates && options.gradients ? 5 : 0;
      ++checkCase.seed;
      close = true;
      outs() << "check gates=" << stringifyGateKind(gates) << " T=" << length
             << " initial_states=" << (checkCase.initialStates ? "drawn" : "default");
      if (Error failed = runCase()) {
        outs() << "\n";
        return error(toString(std::move(failed)));
      }
      outs() << (close ? " ok\n" : " FAILED\n");
      allClose &= close;
    }
  outs() << "worst relative error " << format("%.1e, tolerance %.0e: ", worst, tolerance)
         << (allClose ? "ok" : "FAILED") << "\n";
  return success(allClose);
}

int check(const Options &options) { return failed(checkStages(options)); }

} // namespace rondo::driver
