//===- Run.cpp - `rondoc run`: a mixer on arrays ----------------------------------------------------------------===//

#include "rondo/Analysis/Structure.h"
#include "rondo/Driver/Driver.h"
#include "rondo/Driver/Execute.h"
#include "rondo/Driver/ExecuteCuda.h"
#include "rondo/Driver/Shards.h"
#include "rondo/Interpreter/Gradient.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/Format.h"
#include <chrono>
#include <cmath>
#include <unistd.h>

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

void measure(llvm::function_ref<void()> call, int64_t threads, int64_t tokens, llvm::function_ref<void()> prepare) {
  constexpr double kLeastSeconds = 0.3, kMostSeconds = 5;
  constexpr size_t kLeastRuns = 5;
  auto median = [](ArrayRef<double> values) {
    SmallVector<double> sorted(values.begin(), values.end());
    llvm::sort(sorted);
    return sorted[sorted.size() / 2];
  };
  SmallVector<double> times;
  // Medians of a short kernel's many runs cost far more than a run: they are looked at when the time has grown by a
  // tenth, and what they cost counts as well.
  auto start = std::chrono::steady_clock::now();
  double total = 0, nextLook = kLeastSeconds;
  do {
    if (prepare)
      prepare();
    auto begin = std::chrono::steady_clock::now();
    call();
    auto end = std::chrono::steady_clock::now();
    times.push_back(std::chrono::duration<double, std::milli>(end - begin).count());
    total = std::chrono::duration<double>(end - start).count();
    if (times.size() < kLeastRuns || total < nextLook)
      continue;
    nextLook = 1.1 * total;
    double all = median(times), late = median(ArrayRef(times).take_back(times.size() / 2));
    if (std::abs(all - late) <= 0.01 * all)
      break;
  } while (total < kMostSeconds);
  outs() << format("time median_ms=%.4f min_ms=%.4f max_ms=%.4f runs=%zu threads=%lld", median(times),
                   *llvm::min_element(times), *llvm::max_element(times), times.size(), (long long)threads);
  if (tokens)
    outs() << format(" token_us=%.3f", median(times) * 1e3 / tokens);
  outs() << "\n";
}

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

static StringMap<Tensor> toTensors(const StringMap<NpyArray> &arrays) {
  StringMap<Tensor> tensors;
  for (auto &entry : arrays) {
    Tensor tensor;
    tensor.shape = entry.second.shape;
    tensor.data = entry.second.toDoubles();
    tensors[entry.first()] = std::move(tensor);
  }
  return tensors;
}

static StringMap<NpyArray> toArrays(const StringMap<Tensor> &tensors) {
  StringMap<NpyArray> arrays;
  for (auto &entry : tensors)
    arrays[entry.first()] = NpyArray::fromDoubles(entry.second.data, entry.second.shape, ElementType::f64);
  return arrays;
}

/// Whether a run gives outputs or final states. One that is about gradients only when something asks for them.
static bool runsForward(const Options &options) {
  return !options.hasCotangents() || !options.out.empty() || !options.stateOut.empty() || !options.expect.empty();
}

static LogicalResult runInterpreter(MixerOp mixer, const Problem &problem, const Options &options,
                                    GradientArrays &arrays) {
  if (failed(specialize(mixer, problem.sizes)))
    return failure();
  StringMap<Tensor> inputs = toTensors(arrays.forward.inputs), initial = toTensors(arrays.forward.initialStates);
  std::string message;
  /// Runs `interpretOnce`, which fills `results` and `states`, and keeps what it gives.
  auto runOnce = [&](llvm::function_ref<LogicalResult(StringMap<Tensor> &, StringMap<Tensor> &)> interpretOnce,
                     StringMap<NpyArray> &results, StringMap<NpyArray> &states, bool time) -> LogicalResult {
    StringMap<Tensor> resultTensors, stateTensors;
    if (failed(interpretOnce(resultTensors, stateTensors)))
      return error(message);
    if (time)
      measure([&] { (void)interpretOnce(resultTensors, stateTensors); }, /*threads=*/1);
    results = toArrays(resultTensors);
    states = toArrays(stateTensors);
    return success();
  };
  auto forward = [&](StringMap<Tensor> &outputs, StringMap<Tensor> &final) {
    return interpret(mixer, inputs, initial, outputs, final, message);
  };
  if (runsForward(options) && failed(runOnce(forward, arrays.forward.outputs, arrays.forward.finalStates,
                                             options.time && !options.hasCotangents())))
    return failure();
  if (!options.hasCotangents())
    return success();
  StringMap<Tensor> outputCotangents = toTensors(arrays.outputCotangents),
                    stateCotangents = toTensors(arrays.finalStateCotangents);
  auto backward = [&](StringMap<Tensor> &gradients, StringMap<Tensor> &stateGradients) {
    return interpretGradient(mixer, inputs, initial, outputCotangents, stateCotangents, gradients, stateGradients,
                             message);
  };
  return runOnce(backward, arrays.inputGradients, arrays.initialStateGradients, options.time);
}

/// Splits the time axis when batch x heads leave at least two thirds of the threads idle and columns cannot be split:
/// every token is then computed twice, once for the summaries.
static int64_t chooseShards(MixerOp mixer, const Problem &problem, int64_t threads) {
  constexpr int64_t kShortestShard = 1024;
  int64_t items = problem.batch * problem.heads;
  if (items == 0 || threads < 3 * items || !Structure(mixer).getFreeSizes().empty())
    return 0;
  int64_t shards = std::min(threads / items, problem.time / kShortestShard);
  return shards >= 3 ? shards : 0;
}

/// How many chunks apart the backward kernel should keep states, so that they take at most a quarter of the free
/// memory.
static int64_t chooseKeepEvery(const Signature &signature, const Problem &problem, const Options &options) {
  constexpr int64_t kUsualChunk = 64, kMost = 64;
  int64_t chunks = divideCeil(problem.time, options.chunk ? options.chunk : kUsualChunk), bytes = 0;
  for (const Operand &state : signature.states) {
    int64_t elements = 1;
    for (int64_t size : problem.shape(state))
      elements *= size;
    bytes += elements * chunks * int64_t(sizeof(float));
  }
  int64_t quarter = std::max<int64_t>(1, sysconf(_SC_AVPHYS_PAGES) / 4 * sysconf(_SC_PAGESIZE));
  return std::clamp<int64_t>(divideCeil(bytes, quarter), 1, kMost);
}

static LogicalResult runCpu(Source &source, MixerOp mixer, const Signature &signature, const Problem &problem,
                            const Options &given, GradientArrays &arrays, Stopwatch &stopwatch) {
  Options options = given;
  if (options.step)
    return runStep(source, mixer, signature, problem, options, arrays.forward, stopwatch);
  if (options.hasCotangents() && !options.keepEvery)
    options.keepEvery = chooseKeepEvery(signature, problem, options);
  int64_t threads = getThreads(options);
  std::unique_ptr<ShardedMixer> sharded;
  if (!options.shards && !options.hasCotangents() && !options.sequential)
    options.shards = chooseShards(mixer, problem, threads);
  if (options.shards) {
    // Asked for, an error; chosen here, a mixer that has no summary runs in one piece.
    sharded = ShardedMixer::create(problem.sizes, options, stopwatch, /*isQuiet=*/!given.shards);
    if (!sharded && given.shards)
      return failure();
    if (!sharded)
      options.shards = 0;
  }
  std::unique_ptr<Engine> engine =
      createEngine(source, mixer, {problem.sizes, problem.batch * problem.heads, threads, options.hasCotangents()},
                   options, stopwatch);
  if (!engine)
    return failure();
  auto allocate = [&](const Operand &operand) {
    return NpyArray(kernelType(operand, options), problem.shape(operand));
  };
  auto runCall = [&](Expected<KernelCall> call, StringRef stage, bool time) -> LogicalResult {
    if (!call)
      return error(toString(call.takeError()));
    if (options.verbose && call->getSavedBytes())
      errs() << "backward saved_bytes=" << call->getSavedBytes() << "\n";
    (*call)();
    stopwatch.lap(stage);
    if (time)
      measure(*call, threads);
    return success();
  };
  if (runsForward(options)) {
    for (const Operand &output : signature.outputs)
      arrays.forward.outputs[output.name] = allocate(output);
    for (const Operand &state : signature.states)
      arrays.forward.finalStates[state.name] = allocate(state);
  }
  if (options.shards) {
    if (options.verbose)
      errs() << "time split shards=" << options.shards << "\n";
    if (failed(sharded->run(signature, problem, options, *engine, arrays.forward)))
      return failure();
    stopwatch.lap("run");
    if (options.time)
      measure([&] { (void)sharded->run(signature, problem, options, *engine, arrays.forward); }, threads);
    return success();
  }
  if (runsForward(options) && failed(runCall(prepareCall(*engine, signature, arrays.forward, threads), "run",
                                             options.time && !options.hasCotangents())))
    return failure();
  if (!options.hasCotangents())
    return success();

  int64_t kept = divideCeil(problem.time, engine->kernels().front().chunk * options.keepEvery);
  if (failed(checkMemory(signature, problem, 4, kept)))
    return failure();
  // A cotangent that is not given is zero.
  for (const Operand &output : signature.outputs)
    if (!arrays.outputCotangents.count(output.name))
      arrays.outputCotangents[output.name] = allocate(output);
  for (const Operand &argument : signature.arguments) {
    const NpyArray &input = arrays.forward.inputs[argument.name];
    arrays.inputGradients[argument.name] = NpyArray(input.type, input.shape);
  }
  for (const Operand &state : signature.states)
    arrays.initialStateGradients[state.name] = allocate(state);
  return runCall(prepareBackwardCall(*engine, signature, arrays, threads), "run backward", options.time);
}

//===----------------------------------------------------------------------===//
// The command
//===----------------------------------------------------------------------===//

/// Compares with `--expect` arrays and prints one line each.
static LogicalResult compare(const Options &options, Arrays &arrays) {
  double tolerance = options.tolerance.value_or(1e-5);
  bool allClose = true;
  for (const auto &[name, path] : options.expect) {
    Expected<NpyArray> expected = readNpy(path);
    if (!expected)
      return error(toString(expected.takeError()));
    auto output = arrays.outputs.find(name);
    const NpyArray &actual = output != arrays.outputs.end() ? output->second : arrays.finalStates[name];
    // A file without B holds one sequence.
    std::vector<int64_t> shape = expected->shape;
    if (shape.size() + 1 == actual.shape.size())
      shape.insert(shape.begin(), 1);
    if (shape != actual.shape)
      return error("'" + name + "' has shape " + shapeText(actual.shape) + " and '" + path + "' has " +
                   shapeText(expected->shape));
    double difference = 0, reference = 0;
    for (auto [x, y] : llvm::zip_equal(actual.toDoubles(), expected->toDoubles())) {
      difference += (x - y) * (x - y);
      reference += y * y;
    }
    // NaN anywhere makes the comparison false: not close.
    double relative = std::sqrt(difference) / std::max(std::sqrt(reference), 1e-30);
    bool close = relative <= tolerance;
    allClose &= close;
    outs() << format("expect %s relative_error=%.3e tolerance=%.0e ", name.c_str(), relative, tolerance)
           << (close ? "ok" : "FAILED") << "\n";
  }
  return success(allClose);
}

static LogicalResult write(const std::map<std::string, std::string> &paths, const std::vector<Operand> &operands,
                           const Problem &problem, StringMap<NpyArray> &arrays) {
  for (const Operand &operand : operands) {
    auto path = paths.find(operand.name);
    if (path == paths.end())
      continue;
    NpyArray &array = arrays[operand.name];
    if (!problem.batched && operand.role != Operand::param)
      array.shape.erase(array.shape.begin());
    if (Error failure = writeNpy(path->second, array))
      return error(toString(std::move(failure)));
  }
  return success();
}

static LogicalResult runStages(const Options &options) {
  Stopwatch stopwatch(options.verbose);
  std::unique_ptr<Source> source = Source::load(options);
  MixerOp mixer = source ? source->keepMixer(options) : MixerOp();
  if (!mixer)
    return failure();
  stopwatch.lap("parse");

  if (options.target == Target::cuda && failed(checkCudaOptions(options)))
    return failure();
  if ((options.step || options.shards) && options.hasCotangents())
    return error(Twine("--form=") + (options.step ? "step" : "summary") + " has no gradient; leave out --form");
  if (!options.step && !options.statesOut.empty())
    return error("--states-out needs --form=step");

  Signature signature(mixer);
  GradientArrays arrays;
  Arrays &forward = arrays.forward;
  if (failed(checkTypes(signature, options)) || failed(readInputs(signature, options, forward)))
    return failure();
  FailureOr<Problem> problem = inferProblem(signature, options.sizes, forward);
  if (failed(problem) || failed(readCotangents(signature, options, *problem, arrays)))
    return failure();
  bool interpreted = options.target == Target::interpreter;
  // The interpreter keeps every state of one head; how many the kernel keeps is known when it is there.
  int64_t savedStates = !options.hasCotangents() ? 0 : divideCeil(problem->time, problem->batch * problem->heads);
  if (failed(checkMemory(signature, *problem, interpreted ? 8 : 4, interpreted ? savedStates : 0)) ||
      (options.checkNumbers && failed(checkNumbers(signature, arrays, *problem))))
    return failure();
  // Both targets see the numbers that fit in the kernel's types.
  auto narrow = [&](const std::vector<Operand> &operands, StringMap<NpyArray> &values) {
    for (const Operand &operand : operands)
      if (auto array = values.find(operand.name);
          array != values.end() && (!interpreted || kernelType(operand, options) != ElementType::f32))
        array->second = array->second.convertTo(kernelType(operand, options));
  };
  narrow(signature.arguments, forward.inputs);
  narrow(signature.states, forward.initialStates);
  narrow(signature.outputs, arrays.outputCotangents);
  narrow(signature.states, arrays.finalStateCotangents);
  stopwatch.lap("read", /*isCompiling=*/false);

  LogicalResult done = failure();
  switch (options.target) {
  case Target::interpreter:
    done = runInterpreter(mixer, *problem, options, arrays);
    break;
  case Target::cpu:
    done = runCpu(*source, mixer, signature, *problem, options, arrays, stopwatch);
    break;
  case Target::cuda:
    done = runCuda(*source, mixer, signature, *problem, options, forward, stopwatch);
    break;
  }
  if (failed(done))
    return failure();
  LogicalResult close = compare(options, forward);
  if (failed(write(options.out, signature.outputs, *problem, forward.outputs)) ||
      failed(write(options.stateOut, signature.states, *problem, forward.finalStates)) ||
      failed(write(options.gradOut, signature.arguments, *problem, arrays.inputGradients)) ||
      failed(write(options.gradStateOut, signature.states, *problem, arrays.initialStateGradients)))
    return failure();
  stopwatch.lap("write");
  return close;
}

int run(const Options &options) { return failed(runStages(options)); }

} // namespace rondo::driver
