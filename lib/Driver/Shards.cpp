//===- Shards.cpp - A sequence split over workers ---------------------------------------------------------------===//

#include "rondo/Driver/Shards.h"
#include "mlir/Pass/PassManager.h"
#include "rondo/Transforms/Passes.h"
#include <thread>

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

//===----------------------------------------------------------------------===//
// The algebra of summaries
//===----------------------------------------------------------------------===//

SummaryAlgebra::SummaryAlgebra(MixerOp summary) {
  for (StateOp op : summary.getStates()) {
    SummaryState &state = states.emplace_back();
    state.name = op.getName().str();
    if (auto kind = op->getAttrOfType<StringAttr>("rondo.transition")) {
      state.transition = kind.str();
      for (auto name : op->getAttrOfType<ArrayAttr>("rondo.transition_of").getAsRange<StringAttr>())
        state.of.push_back(name.str());
    }
    state.identity = op->hasAttr("rondo.identity");
    state.level = op->getAttrOfType<IntegerAttr>("rondo.level").getInt();
    numLevels = std::max(numLevels, state.level + 1);
  }
}

namespace {
/// One head's matrix in an array [B, H, R, C]; a vector has one column, a scalar also one row.
struct View {
  float *data;
  int64_t rows, cols;
  float &operator()(int64_t i, int64_t j) const { return data[i * cols + j]; }
};

View viewOf(const NpyArray &array, int64_t head) {
  int64_t rows = array.shape.size() > 2 ? array.shape[2] : 1, cols = array.shape.size() > 3 ? array.shape[3] : 1;
  auto *data = reinterpret_cast<float *>(const_cast<char *>(reinterpret_cast<const char *>(array.bytes.data())));
  return {data + head * rows * cols, rows, cols};
}
} // namespace

/// result (+)= A(state) for one transition of one head; `first` replaces what the result holds.
static void applyTransition(StringRef kind, View a, View state, View result, bool first) {
  for (int64_t i = 0; i < result.rows; ++i)
    for (int64_t j = 0; j < result.cols; ++j) {
      float value = 0;
      if (kind == "matrix")
        for (int64_t k = 0; k < a.cols; ++k)
          value += a(i, k) * state(k, j);
      else if (kind == "matrix_cols")
        for (int64_t k = 0; k < a.cols; ++k)
          value += a(j, k) * state(i, k);
      else if (kind == "rows")
        value = a(i, 0) * state(i, j);
      else if (kind == "cols")
        value = a(j, 0) * state(i, j);
      else if (kind == "elements")
        value = a(i, j) * state(i, j);
      else if (kind == "maxplus")
        value = a(i, j) + state(i, j);
      else // scalar, coupling
        value = a(0, 0) * state(i, j);
      result(i, j) = first ? value : result(i, j) + value;
    }
}

StringMap<NpyArray> SummaryAlgebra::apply(const Summary &shard, const StringMap<NpyArray> &before) const {
  StringMap<NpyArray> after;
  for (const SummaryState &target : states) {
    if (!target.transition.empty())
      continue;
    const NpyArray &contribution = shard.states.find(target.name)->second;
    NpyArray result = before.find(target.name)->second; // no transition: the identity
    int64_t heads = result.shape[0] * result.shape[1];
    bool maximum = false, summed = false;
    // Sums over coupled states first, then factors of the state's own, which commute with them.
    for (bool factors : {false, true})
      for (const SummaryState &a : states) {
        bool isSum = a.of.size() == 2;
        if (a.transition.empty() || a.of[0] != target.name || isSum == factors)
          continue;
        NpyArray next = result;
        const NpyArray &source = isSum ? before.find(a.of[1])->second : result;
        for (int64_t h = 0; h < heads; ++h)
          applyTransition(a.transition, viewOf(shard.states.find(a.name)->second, h), viewOf(source, h),
                          viewOf(next, h), !isSum || !summed);
        summed |= isSum;
        maximum |= a.transition == "maxplus";
        result = std::move(next);
      }
    for (int64_t h = 0; h < heads; ++h) {
      View sum = viewOf(result, h), n = viewOf(contribution, h);
      for (int64_t i = 0; i < sum.rows * sum.cols; ++i)
        sum.data[i] = maximum ? std::max(sum.data[i], n.data[i]) : sum.data[i] + n.data[i];
    }
    after[target.name] = std::move(result);
  }
  return after;
}

Summary SummaryAlgebra::compose(const Summary &second, const Summary &first) const {
  Summary result;
  // N = A2(N1) + N2
  result.states = apply(second, first.states);
  for (const SummaryState &state : states) {
    if (state.transition.empty())
      continue;
    NpyArray product = first.states.find(state.name)->second;
    int64_t heads = product.shape[0] * product.shape[1];
    bool isSum = state.of.size() == 2, summed = false;
    for (const SummaryState &a : states) {
      // A2[target, middle] A1[middle, source]; factors multiply element by element, maxima's terms add.
      if (a.transition != state.transition || a.of[0] != state.of[0] || (!isSum && a.name != state.name))
        continue;
      const NpyArray *right = &first.states.find(state.name)->second;
      if (isSum)
        for (const SummaryState &b : states)
          if (b.transition == state.transition && b.of[0] == a.of[1] && b.of[1] == state.of[1])
            right = &first.states.find(b.name)->second;
      NpyArray next = product;
      StringRef kind = StringRef(state.transition).starts_with("matrix") ? StringRef("matrix")
                       : state.transition == "maxplus"                   ? StringRef("maxplus")
                                                                         : StringRef("elements");
      for (int64_t h = 0; h < heads; ++h)
        applyTransition(kind, viewOf(second.states.find(a.name)->second, h), viewOf(*right, h), viewOf(next, h),
                        !summed);
      summed = true;
      product = std::move(next);
    }
    result.states[state.name] = std::move(product);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Tokens [begin, end) of a token array.
static Array tokensOf(Array array, int64_t begin, int64_t end) {
  int64_t bytes = array.dtype == Dtype::F32 ? 4 : 2;
  array.data = static_cast<char *>(array.data) + begin * array.strides[1] * bytes;
  array.shape[1] = end - begin;
  return array;
}

/// Calls `run(shard)` for every shard, several at a time.
static LogicalResult forEachShard(int64_t shards, int64_t threads, llvm::function_ref<Error(int64_t)> run) {
  std::atomic<int64_t> next{0};
  std::vector<std::string> messages(shards);
  auto work = [&] {
    for (int64_t shard; (shard = next++) < shards;)
      if (Error failed = run(shard))
        messages[shard] = toString(std::move(failed));
  };
  std::vector<std::thread> workers;
  for (int64_t i = 1; i < std::min(shards, threads); ++i)
    workers.emplace_back(work);
  work();
  for (std::thread &worker : workers)
    worker.join();
  for (const std::string &message : messages)
    if (!message.empty())
      return error(message);
  return success();
}

static NpyArray filled(ArrayRef<int64_t> shape, float value) {
  NpyArray array(ElementType::f32, std::vector<int64_t>(shape));
  auto *data = reinterpret_cast<float *>(array.bytes.data());
  std::fill(data, data + array.bytes.size() / sizeof(float), value);
  return array;
}

LogicalResult summarize(Source &source) {
  PassManager manager(&source.getContext(), ModuleOp::getOperationName());
  manager.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  manager.addNestedPass<MixerOp>(createRondoSummarize());
  return manager.run(source.getModule());
}

ShardedMixer::ShardedMixer(std::unique_ptr<Source> source, MixerOp summary)
    : source(std::move(source)), algebra(summary), summarySignature(summary) {}

std::unique_ptr<ShardedMixer> ShardedMixer::create(const StringMap<int64_t> &sizes, const Options &options,
                                                   Stopwatch &stopwatch, bool isQuiet) {
  std::unique_ptr<Source> source = Source::load(options);
  MixerOp mixer = source ? source->keepMixer(options) : MixerOp();
  if (!mixer)
    return nullptr;
  std::optional<ScopedDiagnosticHandler> quiet;
  if (isQuiet)
    quiet.emplace(&source->getContext(), [](Diagnostic &) { return success(); });
  if (failed(summarize(*source)))
    return nullptr;
  std::unique_ptr<ShardedMixer> result(new ShardedMixer(std::move(source), mixer));
  result->summaries = createEngine(*result->source, mixer, {sizes}, options, stopwatch);
  return result->summaries ? std::move(result) : nullptr;
}

LogicalResult ShardedMixer::run(const Signature &signature, const Problem &problem, const Options &options,
                                Engine &forward, Arrays &arrays) {
  // Shards of whole chunks, as equal as they can be.
  int64_t chunk = forward.kernels().front().chunk, threads = getThreads(options), shards = options.shards;
  int64_t length = divideCeil(divideCeil(problem.time, shards), chunk) * chunk;
  shards = std::max<int64_t>(1, divideCeil(problem.time, std::max<int64_t>(length, 1)));
  auto begin = [&](int64_t shard) { return std::min(problem.time, shard * length); };
  int64_t threadsEach = std::max<int64_t>(1, threads / shards);

  /// What the states of shard 0 begin with.
  auto initialOf = [&](const Operand &state) {
    auto given = arrays.initialStates.find(state.name);
    return given == arrays.initialStates.end() ? filled(problem.shape(state), state.init) : given->second;
  };
  std::vector<StringMap<NpyArray>> before(shards);
  for (const Operand &state : signature.states)
    before[0][state.name] = initialOf(state);

  for (int64_t level = 0; shards > 1 && level < algebra.getNumLevels(); ++level) {
    std::vector<Summary> results(shards);
    auto summarize = [&](int64_t shard) -> Error {
      SmallVector<Array, 8> inputs;
      for (const Operand &argument : signature.arguments) {
        Array array = viewArray(arrays.inputs[argument.name]);
        inputs.push_back(argument.role == Operand::token ? tokensOf(array, begin(shard), begin(shard + 1)) : array);
      }
      StringMap<NpyArray> initial;
      std::vector<StateArrays> states;
      for (auto [state, operand] : zip_equal(algebra.getStates(), summarySignature.states)) {
        std::vector<int64_t> shape = problem.shape(operand);
        bool isMaximum = any_of(algebra.getStates(), [name = state.name](const SummaryState &a) {
          return a.transition == "maxplus" && a.of[0] == name;
        });
        if (state.transition.empty() && state.level < level)
          initial[state.name] = before[shard][state.name];
        else if (state.transition.empty())
          initial[state.name] = filled(shape, isMaximum ? -INFINITY : 0.0f);
        else
          initial[state.name] = filled(shape, state.identity ? 0.0f : operand.init);
        if (state.identity)
          for (int64_t h = 0; h < shape[0] * shape[1]; ++h)
            for (int64_t i = 0; i < shape[2]; ++i)
              viewOf(initial[state.name], h)(i, i) = 1;
        results[shard].states[state.name] = filled(shape, NAN);
        states.push_back({viewArray(initial[state.name]), viewArray(results[shard].states[state.name])});
      }
      return summaries->run(summaries->kernels().front().name, inputs, {}, states, threadsEach);
    };
    // The last shard's summary is not needed.
    if (failed(forEachShard(shards - 1, threads, summarize)))
      return failure();
    for (int64_t shard = 0; shard + 1 < shards; ++shard) {
      StringMap<NpyArray> after = algebra.apply(results[shard], before[shard]);
      for (const SummaryState &state : algebra.getStates())
        if (state.transition.empty() && state.level == level)
          before[shard + 1][state.name] = std::move(after[state.name]);
        else if (state.transition.empty() && state.level > level && !before[shard + 1].count(state.name))
          before[shard + 1][state.name] = filled(after[state.name].shape, 0.0f); // not known yet
    }
  }

  for (const Operand &state : signature.states)
    arrays.finalStates[state.name] = filled(problem.shape(state), NAN);
  auto runShard = [&](int64_t shard) -> Error {
    SmallVector<Array, 8> inputs, outputs;
    for (const Operand &argument : signature.arguments) {
      Array array = viewArray(arrays.inputs[argument.name]);
      inputs.push_back(argument.role == Operand::token ? tokensOf(array, begin(shard), begin(shard + 1)) : array);
    }
    for (const Operand &output : signature.outputs)
      outputs.push_back(tokensOf(viewArray(arrays.outputs[output.name]), begin(shard), begin(shard + 1)));
    std::vector<StateArrays> states;
    for (const Operand &state : signature.states) {
      StateArrays &pair = states.emplace_back();
      pair.initial = viewArray(before[shard][state.name]);
      if (shard + 1 == shards)
        pair.final = viewArray(arrays.finalStates[state.name]);
    }
    return forward.run(forward.kernels().front().name, inputs, outputs, states, threadsEach);
  };
  if (failed(forEachShard(shards, threads, runShard)))
    return failure();
  return success();
}

} // namespace rondo::driver
