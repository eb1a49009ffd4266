//===- Execute.cpp - A compiled mixer in this process -----------------------------------------------------------===//

#include "rondo/Driver/Execute.h"
#include "llvm/Support/Format.h"
#include <thread>

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

int64_t getThreads(const Options &options) {
  return options.threads ? options.threads : std::max(1u, std::thread::hardware_concurrency());
}

std::unique_ptr<Engine> createEngine(Source &source, MixerOp mixer, const BuildRequest &request, const Options &options,
                                     Stopwatch &stopwatch) {
  std::optional<CpuTarget> target = getTarget(options);
  if (!target || failed(build(source, mixer, Stage::llvm, request, options, *target, stopwatch)))
    return nullptr;
  // What this process executes must be code that the processor knows.
  if (Expected<CpuTarget> native = CpuTarget::get(); native && target->vectorBits() > native->vectorBits()) {
    (void)error("this machine cannot run code for --cpu " + options.cpu + "; its vectors have " +
                Twine(native->vectorBits()) + " bits, not " + Twine(target->vectorBits()));
    return nullptr;
  }
  CodegenTimes times;
  Expected<std::unique_ptr<Engine>> engine = Engine::create(source.getModule(), *target, &times);
  if (!engine) {
    (void)error(toString(engine.takeError()));
    return nullptr;
  }
  stopwatch.lap("codegen");
  if (options.verbose) {
    const KernelInfo &kernel = (*engine)->kernels().front();
    errs() << "kernel chunk=" << kernel.chunk << " scratch_bytes=" << kernel.scratchBytes
           << " vector_bits=" << target->vectorBits() << (kernel.block.empty() ? "" : " block=" + kernel.block) << "\n"
           << format("codegen translate_ms=%.1f optimize_ms=%.1f generate_ms=%.1f link_ms=%.1f\n", times.translate,
                     times.optimize, times.codegen, times.link);
  }
  return std::move(*engine);
}

Array viewArray(NpyArray &array) {
  Array result;
  result.data = array.bytes.data();
  result.dtype = *parseDtype(elementTypeName(array.type));
  result.shape.assign(array.shape.begin(), array.shape.end());
  int64_t stride = 1;
  result.strides.resize(array.shape.size());
  for (size_t i = array.shape.size(); i-- > 0; stride *= array.shape[i])
    result.strides[i] = stride;
  return result;
}

static std::optional<Array> viewIfPresent(StringMap<NpyArray> &arrays, StringRef name) {
  auto found = arrays.find(name);
  return found == arrays.end() ? std::nullopt : std::optional(viewArray(found->second));
}

ForwardViews::ForwardViews(const Signature &signature, Arrays &arrays) {
  for (const Operand &argument : signature.arguments)
    inputs.push_back(viewArray(arrays.inputs[argument.name]));
  for (const Operand &output : signature.outputs)
    outputs.push_back(viewArray(arrays.outputs[output.name]));
  for (const Operand &state : signature.states)
    states.push_back({viewIfPresent(arrays.initialStates, state.name), viewIfPresent(arrays.finalStates, state.name)});
}

Expected<KernelCall> prepareCall(const Engine &engine, const Signature &signature, Arrays &arrays, int64_t threads) {
  ForwardViews views(signature, arrays);
  return engine.prepare(engine.kernels().front().name, views.inputs, views.outputs, views.states, threads);
}

Expected<KernelCall> prepareBackwardCall(const Engine &engine, const Signature &signature, GradientArrays &arrays,
                                         int64_t threads) {
  SmallVector<Array, 8> inputs, cotangents, gradients;
  for (const Operand &argument : signature.arguments) {
    inputs.push_back(viewArray(arrays.forward.inputs[argument.name]));
    gradients.push_back(viewArray(arrays.inputGradients[argument.name]));
  }
  for (const Operand &output : signature.outputs)
    cotangents.push_back(viewArray(arrays.outputCotangents[output.name]));
  std::vector<StateGradientArrays> states;
  for (const Operand &state : signature.states)
    states.push_back({viewIfPresent(arrays.forward.initialStates, state.name),
                      viewIfPresent(arrays.finalStateCotangents, state.name),
                      viewArray(arrays.initialStateGradients[state.name])});
  auto kernel = llvm::find_if(engine.kernels(), [](const KernelInfo &info) { return !info.gradients.empty(); });
  if (kernel == engine.kernels().end())
    return createStringError("the mixer was built without its backward kernel");
  return engine.prepareBackward(kernel->name, inputs, cotangents, gradients, states, threads);
}

void beginStates(const Signature &signature, Arrays &arrays) {
  for (const Operand &state : signature.states) {
    NpyArray &array = arrays.finalStates[state.name];
    auto initial = arrays.initialStates.find(state.name);
    if (initial != arrays.initialStates.end())
      llvm::copy(initial->second.bytes, array.bytes.begin());
    else
      std::fill_n(array.data<float>(), array.size(), float(state.init));
  }
}

/// Positions [begin, end) of a dimension.
static Array cut(Array array, int64_t dimension, int64_t begin, int64_t end) {
  int64_t bytes = array.dtype == Dtype::F32 ? 4 : 2;
  array.data = static_cast<char *>(array.data) + begin * array.strides[dimension] * bytes;
  array.shape[dimension] = end - begin;
  return array;
}

Expected<std::vector<KernelCall>> prepareStepCalls(const Engine &engine, const Signature &signature, Arrays &arrays,
                                                   StringMap<NpyArray> &histories, int64_t draft, int64_t threads) {
  auto kernel = llvm::find_if(engine.kernels(), [](const KernelInfo &info) { return info.isStep; });
  if (kernel == engine.kernels().end())
    return createStringError("the mixer was built without its step kernel");
  std::vector<KernelCall> calls;
  int64_t tokens = arrays.outputs[signature.outputs.front().name].shape[1];
  for (int64_t begin = 0; begin < tokens; begin += draft) {
    int64_t end = std::min(begin + draft, tokens);
    SmallVector<Array, 8> inputs, outputs;
    for (const Operand &argument : signature.arguments) {
      Array whole = viewArray(arrays.inputs[argument.name]);
      inputs.push_back(argument.role == Operand::token ? cut(whole, 1, begin, end) : whole);
    }
    for (const Operand &output : signature.outputs)
      outputs.push_back(cut(viewArray(arrays.outputs[output.name]), 1, begin, end));
    std::vector<StepStateArrays> states;
    for (const Operand &state : signature.states) {
      std::optional<Array> history = viewIfPresent(histories, state.name);
      if (history)
        history = cut(*history, 2, begin, end);
      states.push_back({viewArray(arrays.finalStates[state.name]), history});
    }
    Expected<KernelCall> call = engine.prepareStep(kernel->name, inputs, outputs, states, threads);
    if (!call)
      return call.takeError();
    calls.push_back(std::move(*call));
  }
  return calls;
}

} // namespace rondo::driver
