//===- Run.cpp - `rondoc run`: a mixer on arrays --------------------------------------------------------*- C++ -*-===//

#include "rondo/Driver/Driver.h"
#include "rondo/Driver/Execute.h"
#include "rondo/Interpreter/Interpreter.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/Format.h"
#include <chrono>
#include <cmath>

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

/// Repeats `call` until the median of all runs and that of the later half agree to one per cent, and prints one line.
static void measure(llvm::function_ref<void()> call, int64_t threads) {
  constexpr double kLeastSeconds = 0.3, kMostSeconds = 5;
  constexpr size_t kLeastRuns = 5;
  auto median = [](ArrayRef<double> values) {
    SmallVector<double> sorted(values.begin(), values.end());
    llvm::sort(sorted);
    return sorted[sorted.size() / 2];
  };
  SmallVector<double> times;
  double total = 0;
  do {
    auto begin = std::chrono::steady_clock::now();
    call();
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    total += times.back() * 1e-3;
    if (times.size() < kLeastRuns || total < kLeastSeconds)
      continue;
    double all = median(times), late = median(ArrayRef(times).take_back(times.size() / 2));
    if (std::abs(all - late) <= 0.01 * all)
      break;
  } while (total < kMostSeconds);
  outs() << format("time median_ms=%.4f min_ms=%.4f max_ms=%.4f runs=%zu threads=%lld\n", median(times),
                   *llvm::min_element(times), *llvm::max_element(times), times.size(), (long long)threads);
}

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

static StringMap<Tensor> toTensors(StringMap<NpyArray> &arrays) {
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

static LogicalResult runInterpreter(MixerOp mixer, const Problem &problem, const Options &options, Arrays &arrays) {
  if (failed(specialize(mixer, problem.sizes)))
    return failure();
  StringMap<Tensor> inputs = toTensors(arrays.inputs), initial = toTensors(arrays.initialStates), outputs, final;
  std::string message;
  auto interpretOnce = [&] { return interpret(mixer, inputs, initial, outputs, final, message); };
  if (failed(interpretOnce()))
    return error(message);
  if (options.time)
    measure([&] { (void)interpretOnce(); }, /*threads=*/1);
  arrays.outputs = toArrays(outputs);
  arrays.finalStates = toArrays(final);
  return success();
}

static LogicalResult runCpu(Source &source, MixerOp mixer, const Signature &signature, const Problem &problem,
                            const Options &options, Arrays &arrays, Stopwatch &stopwatch) {
  int64_t threads = getThreads(options);
  std::unique_ptr<Engine> engine =
      createEngine(source, mixer, {problem.sizes, problem.batch * problem.heads, threads}, options, stopwatch);
  if (!engine)
    return failure();
  auto allocate = [&](const Operand &operand) {
    return NpyArray(kernelType(operand, options), problem.shape(operand));
  };
  for (const Operand &output : signature.outputs)
    arrays.outputs[output.name] = allocate(output);
  for (const Operand &state : signature.states)
    arrays.finalStates[state.name] = allocate(state);
  Expected<KernelCall> call = prepareCall(*engine, signature, arrays, threads);
  if (!call)
    return error(toString(call.takeError()));
  (*call)();
  stopwatch.lap("run");
  if (options.time)
    measure(*call, threads);
  return success();
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

static LogicalResult write(const std::map<std::string, std::string> &paths, std::vector<Operand> operands,
                           const Problem &problem, StringMap<NpyArray> &arrays) {
  for (const Operand &operand : operands) {
    auto path = paths.find(operand.name);
    if (path == paths.end())
      continue;
    NpyArray &array = arrays[operand.name];
    array.shape = problem.fileShape(operand);
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

  Signature signature(mixer);
  Arrays arrays;
  if (failed(checkTypes(signature, options)) || failed(readInputs(signature, options, arrays)))
    return failure();
  FailureOr<Problem> problem = inferProblem(signature, options.sizes, arrays);
  bool interpreted = options.target == Target::interpreter;
  if (failed(problem) || failed(checkMemory(signature, *problem, interpreted ? 8 : 4)) ||
      (options.checkNumbers && failed(checkNumbers(signature, arrays, *problem))))
    return failure();
  // Both targets see the numbers that fit in the kernel's types.
  for (const Operand &argument : signature.arguments) {
    NpyArray &array = arrays.inputs[argument.name];
    if (!interpreted || kernelType(argument, options) != ElementType::f32)
      array = array.convertTo(kernelType(argument, options));
  }
  if (!interpreted)
    for (auto &entry : arrays.initialStates)
      entry.second = entry.second.convertTo(ElementType::f32);
  stopwatch.lap("read");

  if (failed(interpreted ? runInterpreter(mixer, *problem, options, arrays)
                         : runCpu(*source, mixer, signature, *problem, options, arrays, stopwatch)))
    return failure();
  LogicalResult close = compare(options, arrays);
  if (failed(write(options.out, signature.outputs, *problem, arrays.outputs)) ||
      failed(write(options.stateOut, signature.states, *problem, arrays.finalStates)))
    return failure();
  stopwatch.lap("write");
  return close;
}

int run(const Options &options) { return failed(runStages(options)); }

} // namespace rondo::driver
