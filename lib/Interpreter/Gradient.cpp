//===- Gradient.cpp - Run a mixer forward and then backward, token by token -------------------------------------===//
//
// Forward, the states before every token are kept. Backward, a token runs again from them, keeping each state that one
// of its steps changes; then the adjoints of its steps run from the last to the first while those changes are undone.
// So an adjoint finds the numbers that its step found.
//
//===--------------------------------------------------------------------------------------------------------------===//

#include "rondo/Interpreter/Gradient.h"
#include "GradientSteps.h"
#include "rondo/Support/Npy.h"
#include <algorithm>

using namespace mlir;
using namespace rondo;

namespace {
/// A slot and the arrays whose parts go with it. The part of batch entry b, token t and head h of `numHeads` is
/// `slot.size()` numbers, found with the strides; the head is h * heads / numHeads of the array's own.
struct Binding {
  Slot slot;
  int64_t batchStride = 0, timeStride = 0, heads = 0, numHeads = 0;
  const Tensor *values = nullptr;     // what the frame is filled from; null for outputs
  const Tensor *cotangents = nullptr; // of outputs and final states; null for zero
  Tensor *gradient = nullptr;         // of arguments and initial states

  int64_t at(int64_t b, int64_t t, int64_t h) const {
    return b * batchStride + t * timeStride + h * heads / numHeads * slot.size();
  }
  void load(std::vector<double> &frame, int64_t b, int64_t t, int64_t h) const {
    std::copy_n(values->data.begin() + at(b, t, h), slot.size(), frame.begin() + slot.offset);
  }
  void addCotangents(std::vector<double> &frame, int64_t b, int64_t t, int64_t h) const {
    for (int64_t i = 0; cotangents && i < slot.size(); ++i)
      frame[slot.offset + i] += cotangents->data[at(b, t, h) + i];
  }
  void addToGradient(const std::vector<double> &frame, int64_t b, int64_t t, int64_t h) const {
    for (int64_t i = 0; i < slot.size(); ++i)
      gradient->data[at(b, t, h) + i] += frame[slot.offset + i];
  }
};

class GradientRun {
public:
  GradientRun(MixerOp mixer, std::string &error) : mixer(mixer), error(error) {}

  LogicalResult bind(const llvm::StringMap<Tensor> &inputs, const llvm::StringMap<Tensor> &outputs,
                     const llvm::StringMap<Tensor> &states, const llvm::StringMap<Tensor> &outputCotangents,
                     const llvm::StringMap<Tensor> &finalStateCotangents, llvm::StringMap<Tensor> &inputGradients,
                     llvm::StringMap<Tensor> &initialStateGradients);
  void runHead(int64_t b, int64_t h);

  int64_t batch = 0, time = 0, heads = 0;

private:
  LogicalResult findCotangents(StringRef kind, const llvm::StringMap<Tensor> &cotangents,
                               const llvm::StringMap<Tensor> &values);
  Binding bindArray(Value value, const Tensor &array, bool hasBatch, bool hasTime) const;
  void runToken(std::vector<double> &frame, std::vector<std::vector<double>> *undo) const;

  MixerOp mixer;
  std::string &error;
  Program program;
  std::vector<AdjointStep> adjoints;
  std::vector<Binding> tokens, params, results, states;
};
} // namespace

/// Checks that every cotangent is that of a value, and of its shape.
LogicalResult GradientRun::findCotangents(StringRef kind, const llvm::StringMap<Tensor> &cotangents,
                                          const llvm::StringMap<Tensor> &values) {
  for (const auto &entry : cotangents) {
    auto it = values.find(entry.first());
    if (it == values.end()) {
      error = ("there is no " + kind + " '" + entry.first() + "'").str();
      return failure();
    }
    const Tensor &tensor = entry.second, &value = it->second;
    if (tensor.shape != value.shape || tensor.data.size() != value.data.size()) {
      error = ("cotangent of " + kind + " '" + entry.first() + "' has shape " + shapeText(tensor.shape) +
               ", expected " + shapeText(value.shape))
                  .str();
      return failure();
    }
  }
  return success();
}

Binding GradientRun::bindArray(Value value, const Tensor &array, bool hasBatch, bool hasTime) const {
  Binding binding;
  binding.slot = program.slots.lookup(value);
  binding.numHeads = heads;
  binding.heads = array.shape[hasBatch + hasTime];
  int64_t stride = binding.heads * binding.slot.size();
  if (hasTime) {
    binding.timeStride = stride;
    stride *= time;
  }
  if (hasBatch)
    binding.batchStride = stride;
  return binding;
}

/// `outputs` has the shapes of `interpret`'s; `states` has every initial state.
LogicalResult GradientRun::bind(const llvm::StringMap<Tensor> &inputs, const llvm::StringMap<Tensor> &outputs,
                                const llvm::StringMap<Tensor> &initialStates,
                                const llvm::StringMap<Tensor> &outputCotangents,
                                const llvm::StringMap<Tensor> &finalStateCotangents,
                                llvm::StringMap<Tensor> &inputGradients,
                                llvm::StringMap<Tensor> &initialStateGradients) {
  if (failed(findCotangents("output", outputCotangents, outputs)) ||
      failed(findCotangents("state", finalStateCotangents, initialStates)) ||
      failed(buildProgram(mixer, program, error)))
    return failure();
  adjoints = buildAdjoints(mixer, program);

  auto find = [](const llvm::StringMap<Tensor> &tensors, StringRef name) {
    auto it = tensors.find(name);
    return it == tensors.end() ? nullptr : &it->second;
  };
  auto zeros = [](llvm::StringMap<Tensor> &gradients, StringRef name, const Tensor &like) {
    return &(gradients[name] = Tensor(like.shape));
  };

  // The arrays agree: the interpreter has seen them.
  for (BlockArgument argument : mixer.getBody().getArguments()) {
    unsigned i = argument.getArgNumber();
    const Tensor &input = *find(inputs, mixer.getArgName(i));
    bool param = mixer.isParam(i);
    heads = std::max(heads, input.shape[param ? 0 : 2]);
    if (!param)
      batch = input.shape[0], time = input.shape[1];
  }
  for (const auto &entry : initialStates)
    heads = std::max(heads, entry.second.shape[1]);

  for (BlockArgument argument : mixer.getBody().getArguments()) {
    StringRef name = mixer.getArgName(argument.getArgNumber());
    bool param = mixer.isParam(argument.getArgNumber());
    const Tensor &input = *find(inputs, name);
    Binding binding = bindArray(argument, input, !param, !param);
    binding.values = &input;
    binding.gradient = zeros(inputGradients, name, input);
    (param ? params : tokens).push_back(binding);
  }
  for (auto [i, value] : llvm::enumerate(mixer.getYield().getValues())) {
    StringRef name = mixer.getResultName(i);
    Binding binding = bindArray(value, *find(outputs, name), /*hasBatch=*/true, /*hasTime=*/true);
    binding.cotangents = find(outputCotangents, name);
    results.push_back(binding);
  }
  for (StateOp state : mixer.getStates()) {
    const Tensor &initial = *find(initialStates, state.getName());
    Binding binding = bindArray(state.getState(), initial, /*hasBatch=*/true, /*hasTime=*/false);
    binding.values = &initial;
    binding.cotangents = find(finalStateCotangents, state.getName());
    binding.gradient = zeros(initialStateGradients, state.getName(), initial);
    states.push_back(binding);
  }
  return success();
}

/// Runs the steps of one token. `undo` gets, for each step that changes a state, what the state was before.
void GradientRun::runToken(std::vector<double> &frame, std::vector<std::vector<double>> *undo) const {
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Slot state = adjoints[i].changedState;
    if (undo && state.size() != 0) {
      auto begin = frame.begin() + state.offset;
      undo->emplace_back(begin, begin + state.size());
    }
    program.steps[i](frame.data());
  }
}

/// All tokens of one head.
void GradientRun::runHead(int64_t b, int64_t h) {
  std::vector<double> frame(program.frameSize), cotangents(program.frameSize);

  // Forward. `kept` gets the states before each token.
  std::vector<double> kept;
  for (const Binding &param : params)
    param.load(frame, b, 0, h);
  for (const Binding &state : states)
    state.load(frame, b, 0, h);
  for (int64_t t = 0; t < time; ++t) {
    for (const Binding &state : states)
      kept.insert(kept.end(), frame.begin() + state.slot.offset, frame.begin() + state.slot.offset + state.slot.size());
    for (const Binding &token : tokens)
      token.load(frame, b, t, h);
    runToken(frame, /*undo=*/nullptr);
  }

  // Backward. The cotangents of states and parameters go on from token to token, those of other values do not.
  llvm::DenseSet<int64_t> lasting;
  for (const std::vector<Binding> &bindings : {params, states})
    for (const Binding &binding : bindings)
      lasting.insert(binding.slot.offset);
  std::vector<Slot> valuesOfAToken;
  for (const auto &entry : program.slots)
    if (!lasting.contains(entry.second.offset))
      valuesOfAToken.push_back(entry.second);

  for (const Binding &state : states)
    state.addCotangents(cotangents, b, 0, h);
  for (int64_t t = time; t-- > 0;) {
    for (const Binding &state : llvm::reverse(states)) {
      std::copy(kept.end() - state.slot.size(), kept.end(), frame.begin() + state.slot.offset);
      kept.resize(kept.size() - state.slot.size());
    }
    for (const Binding &token : tokens)
      token.load(frame, b, t, h);
    std::vector<std::vector<double>> undo;
    runToken(frame, &undo);

    for (Slot slot : valuesOfAToken)
      std::fill_n(cotangents.begin() + slot.offset, slot.size(), 0.0);
    for (const Binding &result : results)
      result.addCotangents(cotangents, b, t, h);
    for (const AdjointStep &step : llvm::reverse(adjoints)) {
      if (step.changedState.size() != 0) {
        llvm::copy(undo.back(), frame.begin() + step.changedState.offset);
        undo.pop_back();
      }
      step.adjoint(frame.data(), cotangents.data());
    }
    for (const Binding &token : tokens)
      token.addToGradient(cotangents, b, t, h);
  }
  for (const Binding &state : states)
    state.addToGradient(cotangents, b, 0, h);
  for (const Binding &param : params)
    param.addToGradient(cotangents, b, 0, h);
}

LogicalResult rondo::interpretGradient(MixerOp mixer, const llvm::StringMap<Tensor> &inputs,
                                       const llvm::StringMap<Tensor> &initialStates,
                                       const llvm::StringMap<Tensor> &outputCotangents,
                                       const llvm::StringMap<Tensor> &finalStateCotangents,
                                       llvm::StringMap<Tensor> &inputGradients,
                                       llvm::StringMap<Tensor> &initialStateGradients, std::string &error) {
  inputGradients.clear();
  initialStateGradients.clear();
  // The interpreter checks the arrays and gives those that depend on them their shapes.
  llvm::StringMap<Tensor> outputs, allStates;
  if (failed(interpret(mixer, inputs, initialStates, outputs, allStates, error)))
    return failure();
  for (StateOp state : mixer.getStates()) {
    Tensor &tensor = allStates[state.getName()];
    auto given = initialStates.find(state.getName());
    if (given != initialStates.end())
      tensor = given->second;
    else
      llvm::fill(tensor.data, state.getInit().convertToDouble());
  }

  GradientRun run(mixer, error);
  if (failed(run.bind(inputs, outputs, allStates, outputCotangents, finalStateCotangents, inputGradients,
                      initialStateGradients)))
    return failure();
  for (int64_t b = 0; b < run.batch; ++b)
    for (int64_t h = 0; h < run.heads; ++h)
      run.runHead(b, h);
  return success();
}
