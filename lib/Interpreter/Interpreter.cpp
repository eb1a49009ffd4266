//===- Interpreter.cpp - Run a mixer token by token -------------------------------------------------------------===//

#include "rondo/Interpreter/Interpreter.h"
#include "Steps.h"
#include "rondo/Support/Npy.h"
#include <algorithm>
#include <atomic>
#include <thread>

using namespace mlir;
using namespace rondo;

namespace {
/// The run-time sizes.
struct Extent {
  int64_t batch = 0, time = 0, heads = 0;
};

/// An array next to the slot that one (batch, token, head) of it is copied to or from.
struct Binding {
  int64_t slot = 0, size = 0; // offset in the frame and number of elements
  int64_t batchStride = 0, timeStride = 0, headStride = 0;
  int64_t heads = 0;
  const double *source = nullptr;
  double *target = nullptr;

  int64_t at(const Extent &extent, int64_t b, int64_t t, int64_t h) const {
    return b * batchStride + t * timeStride + h * heads / extent.heads * headStride;
  }
};

class Run {
public:
  Run(MixerOp mixer, std::string &error) : mixer(mixer), error(error) {}

  LogicalResult bind(const llvm::StringMap<Tensor> &inputs, const llvm::StringMap<Tensor> &initialStates,
                     llvm::StringMap<Tensor> &outputs, llvm::StringMap<Tensor> &finalStates);
  void execute();

private:
  LogicalResult fail(const Twine &message) {
    error = message.str();
    return failure();
  }
  LogicalResult findExtent(const llvm::StringMap<Tensor> &inputs, const llvm::StringMap<Tensor> &initialStates);
  LogicalResult checkShape(StringRef kind, StringRef name, const Tensor &tensor, ArrayRef<int64_t> leading,
                           ArrayRef<int64_t> shape);
  Binding tokenBinding(Slot slot, int64_t heads) const;
  Binding headBinding(Slot slot, int64_t heads) const;
  void runHead(int64_t b, int64_t h) const;

  MixerOp mixer;
  std::string &error;
  Program program;
  Extent extent;
  std::vector<Binding> tokens, params, results, states;
};
} // namespace

/// The sizes come from the arrays: B and T from the first token argument, H is the largest number of heads.
LogicalResult Run::findExtent(const llvm::StringMap<Tensor> &inputs, const llvm::StringMap<Tensor> &initialStates) {
  bool foundToken = false;
  for (unsigned i = 0; i < mixer.getNumArguments(); ++i) {
    StringRef name = mixer.getArgName(i);
    auto it = inputs.find(name);
    if (it == inputs.end())
      return fail("argument '" + name + "' is missing");
    const Tensor &tensor = it->second;
    bool param = mixer.isParam(i);
    size_t rank = cast<ValueType>(mixer.getArgumentTypes()[i]).getRank() + (param ? 1 : 3);
    if (tensor.shape.size() != rank)
      return fail("argument '" + name + "' has shape " + shapeText(tensor.shape) + ", expected " + Twine(rank) +
                  " dimensions");
    extent.heads = std::max(extent.heads, tensor.shape[param ? 0 : 2]);
    if (!param && !foundToken) {
      foundToken = true;
      extent.batch = tensor.shape[0];
      extent.time = tensor.shape[1];
    }
  }
  if (!foundToken)
    return fail("mixer '" + mixer.getSymName() + "' has no token argument, so it has no length");
  for (const auto &entry : initialStates)
    if (entry.second.shape.size() >= 2)
      extent.heads = std::max(extent.heads, entry.second.shape[1]);
  return success();
}

LogicalResult Run::checkShape(StringRef kind, StringRef name, const Tensor &tensor, ArrayRef<int64_t> leading,
                              ArrayRef<int64_t> shape) {
  SmallVector<int64_t> expected(leading);
  llvm::append_range(expected, shape);
  if (ArrayRef<int64_t>(tensor.shape) != ArrayRef<int64_t>(expected))
    return fail(kind + " '" + name + "' has shape " + shapeText(tensor.shape) + ", expected " + shapeText(expected));
  if (int64_t(tensor.data.size()) != Tensor::numElements(tensor.shape))
    return fail(kind + " '" + name + "' has " + Twine(tensor.data.size()) + " elements, expected " +
                Twine(Tensor::numElements(tensor.shape)));
  return success();
}

/// An array [B, T, H] + shape.
Binding Run::tokenBinding(Slot slot, int64_t heads) const {
  Binding binding{slot.offset, slot.size()};
  binding.heads = heads;
  binding.headStride = slot.size();
  binding.timeStride = binding.headStride * heads;
  binding.batchStride = binding.timeStride * extent.time;
  return binding;
}

/// An array [B, H] + shape.
Binding Run::headBinding(Slot slot, int64_t heads) const {
  Binding binding = tokenBinding(slot, heads);
  binding.batchStride = binding.timeStride;
  binding.timeStride = 0;
  return binding;
}

LogicalResult Run::bind(const llvm::StringMap<Tensor> &inputs, const llvm::StringMap<Tensor> &initialStates,
                        llvm::StringMap<Tensor> &outputs, llvm::StringMap<Tensor> &finalStates) {
  if (failed(buildProgram(mixer, program, error)) || failed(findExtent(inputs, initialStates)))
    return failure();
  auto [B, T, H] = extent;

  for (BlockArgument argument : mixer.getBody().getArguments()) {
    unsigned i = argument.getArgNumber();
    bool param = mixer.isParam(i);
    StringRef name = mixer.getArgName(i);
    const Tensor &tensor = inputs.find(name)->second;
    int64_t heads = tensor.shape[param ? 0 : 2];
    auto leading = param ? SmallVector<int64_t>{heads} : SmallVector<int64_t>{B, T, heads};
    if (failed(checkShape("argument", name, tensor, leading, cast<ValueType>(argument.getType()).getShape())))
      return failure();
    if (heads == 0 || H % heads != 0)
      return fail("argument '" + name + "' has " + Twine(heads) + " heads, which does not divide the " + Twine(H) +
                  " heads of the others");
    Slot slot = program.slots.lookup(argument);
    Binding binding = param ? headBinding(slot, heads) : tokenBinding(slot, heads);
    if (param)
      binding.batchStride = 0;
    binding.source = tensor.data.data();
    (param ? params : tokens).push_back(binding);
  }

  for (auto [i, value] : llvm::enumerate(mixer.getYield().getValues())) {
    Slot slot = program.slots.lookup(value);
    SmallVector<int64_t> shape{B, T, H};
    llvm::append_range(shape, cast<ValueType>(value.getType()).getShape());
    Tensor &tensor = outputs[mixer.getResultName(i)] = Tensor({shape.begin(), shape.end()});
    results.push_back(tokenBinding(slot, H));
    results.back().target = tensor.data.data();
  }

  for (StateOp state : mixer.getStates()) {
    SmallVector<int64_t> shape{B, H};
    llvm::append_range(shape, state.getState().getType().getShape());
    Tensor &tensor = finalStates[state.getName()] =
        Tensor({shape.begin(), shape.end()}, state.getInit().convertToDouble());
    auto it = initialStates.find(state.getName());
    if (it != initialStates.end()) {
      if (failed(
              checkShape("initial state", state.getName(), it->second, {B, H}, ArrayRef<int64_t>(shape).drop_front(2))))
        return failure();
      tensor = it->second;
    }
    // The final state starts as the initial one: it is read before a head's first token and written after its last.
    states.push_back(headBinding(program.slots.lookup(state.getState()), H));
    states.back().source = states.back().target = tensor.data.data();
  }
  return success();
}

/// All tokens of one head.
void Run::runHead(int64_t b, int64_t h) const {
  std::vector<double> frame(program.frameSize);
  auto load = [&](const Binding &binding, int64_t t) {
    std::copy_n(binding.source + binding.at(extent, b, t, h), binding.size, frame.data() + binding.slot);
  };
  auto store = [&](const Binding &binding, int64_t t) {
    std::copy_n(frame.data() + binding.slot, binding.size, binding.target + binding.at(extent, b, t, h));
  };

  for (const Binding &param : params)
    load(param, 0);
  for (const Binding &state : states)
    load(state, 0);
  for (int64_t t = 0; t < extent.time; ++t) {
    for (const Binding &token : tokens)
      load(token, t);
    for (const Step &step : program.steps)
      step(frame.data());
    for (const Binding &result : results)
      store(result, t);
  }
  for (const Binding &state : states)
    store(state, 0);
}

/// Heads are independent: threads take them one by one.
void Run::execute() {
  int64_t numHeads = extent.batch * extent.heads;
  std::atomic<int64_t> next{0};
  auto work = [&] {
    for (int64_t i = next++; i < numHeads; i = next++)
      runHead(i / extent.heads, i % extent.heads);
  };
  std::vector<std::thread> threads;
  int64_t numThreads = std::min<int64_t>(numHeads, std::max(1u, std::thread::hardware_concurrency()));
  for (int64_t i = 1; i < numThreads; ++i)
    threads.emplace_back(work);
  work();
  for (std::thread &thread : threads)
    thread.join();
}

LogicalResult rondo::interpret(MixerOp mixer, const llvm::StringMap<Tensor> &inputs,
                               const llvm::StringMap<Tensor> &initialStates, llvm::StringMap<Tensor> &outputs,
                               llvm::StringMap<Tensor> &finalStates, std::string &error) {
  outputs.clear();
  finalStates.clear();
  Run run(mixer, error);
  if (failed(run.bind(inputs, initialStates, outputs, finalStates)))
    return failure();
  run.execute();
  return success();
}
