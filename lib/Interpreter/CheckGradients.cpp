//===- CheckGradients.cpp - Random cotangents, and the distance to the interpreter's gradient -------------------===//

#include "rondo/Interpreter/CheckGradients.h"
#include "rondo/Interpreter/Gradient.h"
#include <cmath>
#include <random>

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Drawing
//===----------------------------------------------------------------------===//

static bool isDecay(const Generator &generator) {
  return generator.kind == Generator::Kind::decay || generator.kind == Generator::Kind::factor;
}

/// Replaces tokens [run, 2 run), [3 run, 4 run) ... of `array` by those of `other`, which has the same shape and type.
static void replaceSecondRuns(NpyArray &array, const NpyArray &other, int64_t run) {
  int64_t B = array.shape[0], T = array.shape[1], bytes = array.bytes.size() / std::max<int64_t>(1, B * T);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < T; ++t)
      if (t / run % 2 == 1)
        std::copy_n(other.bytes.begin() + (b * T + t) * bytes, bytes, array.bytes.begin() + (b * T + t) * bytes);
}

GradientArrays rondo::drawGradientArrays(MixerOp mixer, const Generators &generators,
                                         const GradientCase &gradientCase) {
  GradientArrays arrays;
  arrays.forward = drawArrays(mixer, generators, gradientCase);
  if (gradientCase.strongRuns != 0) {
    CheckCase strongCase = gradientCase;
    strongCase.gates = GateKind::strong;
    CheckArrays strong = drawArrays(mixer, generators, strongCase);
    for (unsigned i = 0; i < mixer.getNumArguments(); ++i)
      if (StringRef name = mixer.getArgName(i); !mixer.isParam(i) && isDecay(generators.lookup(name)))
        replaceSecondRuns(arrays.forward.inputs[name], strong.inputs[name], gradientCase.strongRuns);
  }

  std::mt19937_64 engine(~gradientCase.seed);
  auto drawCotangents = [&](const llvm::StringMap<NpyArray> &values, StringRef name) {
    const NpyArray &like = values.find(name)->second;
    std::vector<double> numbers(like.size());
    for (double &number : numbers)
      number = 2 * double(engine() >> 11) * 0x1p-53 - 1;
    return NpyArray::fromDoubles(numbers, like.shape, like.type);
  };
  auto nanLike = [](const NpyArray &array) {
    return NpyArray::fromDoubles(std::vector<double>(array.size(), NAN), array.shape, array.type);
  };
  for (unsigned i = 0; i < mixer.getNumResults(); ++i) {
    StringRef name = mixer.getResultName(i);
    arrays.outputCotangents[name] = drawCotangents(arrays.forward.outputs, name);
  }
  for (StateOp state : mixer.getStates()) {
    arrays.finalStateCotangents[state.getName()] = drawCotangents(arrays.forward.finalStates, state.getName());
    arrays.initialStateGradients[state.getName()] = arrays.forward.finalStates.lookup(state.getName());
  }
  for (const auto &input : arrays.forward.inputs)
    arrays.inputGradients[input.first()] = nanLike(input.second);
  return arrays;
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

static llvm::StringMap<Tensor> toTensors(const llvm::StringMap<NpyArray> &arrays) {
  llvm::StringMap<Tensor> tensors;
  for (const auto &entry : arrays) {
    Tensor &tensor = tensors[entry.first()];
    tensor.shape = entry.second.shape;
    tensor.data = entry.second.toDoubles();
  }
  return tensors;
}

llvm::Expected<GradientArrays> rondo::interpretGradientArrays(MixerOp mixer, const GradientArrays &arrays) {
  llvm::StringMap<Tensor> inputGradients, initialStateGradients;
  std::string error;
  if (failed(interpretGradient(mixer, toTensors(arrays.forward.inputs), toTensors(arrays.forward.initialStates),
                               toTensors(arrays.outputCotangents), toTensors(arrays.finalStateCotangents),
                               inputGradients, initialStateGradients, error)))
    return llvm::createStringError(error);
  GradientArrays result = arrays;
  auto store = [](const llvm::StringMap<Tensor> &from, llvm::StringMap<NpyArray> &to) {
    for (const auto &entry : from)
      to[entry.first()] = NpyArray::fromDoubles(entry.second.data, entry.second.shape, ElementType::f64);
  };
  store(inputGradients, result.inputGradients);
  store(initialStateGradients, result.initialStateGradients);
  return result;
}

namespace {
/// The squares of a difference and of what it is a difference to.
struct Squares {
  double difference = 0, norm = 0;

  void add(double x, double y) {
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  /// `floor`: what the norm counts at least.
  double error(double floor) const { return std::sqrt(difference) / std::max({std::sqrt(norm), floor, kTinyNorm}); }
  /// What is that small is about to underflow in f32: the difference itself counts.
  static constexpr double kTinyNorm = 1e-30;
};
} // namespace

/// Two thousandths of the largest root mean square of all gradients. A gradient that cancels to less (a gauge such as
/// the start of a running maximum has none) is measured against that: f32 leaves some 1e-7 of what cancels, whatever is
/// left of it, and the usual tolerance of 1e-4 of two thousandths is twice that.
static double roundingFloor(const GradientArrays &expected) {
  double largest = 0;
  for (const auto *map : {&expected.inputGradients, &expected.initialStateGradients})
    for (const auto &entry : *map) {
      std::vector<double> values = entry.second.toDoubles();
      double sum = 0;
      int64_t count = 0;
      for (double value : values)
        if (std::isfinite(value))
          sum += value * value, ++count;
      if (count)
        largest = std::max(largest, std::sqrt(sum / count));
    }
  constexpr double kSmallest = 2e-3;
  return kSmallest * largest;
}

/// Compares arrays whose first dimensions are batch (with `hasBatch`), time (with `hasTime`) and heads.
static GradientResult compare(StringRef name, bool isState, const NpyArray &array, const NpyArray &expected,
                              bool hasBatch, bool hasTime, double floor) {
  GradientResult result;
  result.name = name.str();
  result.isState = isState;
  std::vector<double> values = array.toDoubles(), expectedValues = expected.toDoubles();
  if (array.shape != expected.shape) // the kernel left it out
    values.assign(expectedValues.size(), NAN);
  ArrayRef<int64_t> shape = expected.shape;
  int64_t batch = hasBatch ? shape[0] : 1, time = hasTime ? shape[1] : 1, heads = shape[hasBatch + hasTime];
  int64_t size = Tensor::numElements(shape.drop_front(hasBatch + hasTime + 1));

  Squares all;
  std::vector<Squares> ofHead(batch * heads);
  bool isZero = true;
  for (int64_t i = 0, e = expectedValues.size(); i < e; ++i) {
    double x = values[i], y = expectedValues[i];
    isZero &= x == 0;
    if (!std::isfinite(x) || !std::isfinite(y)) {
      result.wrongNonFinite += x != y && !(std::isnan(x) && std::isnan(y));
      continue;
    }
    int64_t h = i / size % heads, b = i / (size * heads * time);
    all.add(x, y);
    ofHead[b * heads + h].add(x, y);
  }
  double elements = std::max<double>(1, expectedValues.size());
  result.error = all.error(floor * std::sqrt(elements));
  for (const Squares &head : ofHead)
    result.worstHeadError = std::max(result.worstHeadError, head.error(floor * std::sqrt(elements / ofHead.size())));
  result.isWronglyZero = isZero && std::sqrt(all.norm) > std::max(floor * std::sqrt(elements), Squares::kTinyNorm);
  return result;
}

llvm::Expected<std::vector<GradientResult>> rondo::compareGradients(MixerOp mixer, const GradientArrays &arrays) {
  llvm::Expected<GradientArrays> expected = interpretGradientArrays(mixer, arrays);
  if (!expected)
    return expected.takeError();
  double floor = roundingFloor(*expected);
  std::vector<GradientResult> results;
  for (unsigned i = 0; i < mixer.getNumArguments(); ++i) {
    StringRef name = mixer.getArgName(i);
    bool isToken = !mixer.isParam(i);
    results.push_back(compare(name, /*isState=*/false, arrays.inputGradients.lookup(name),
                              expected->inputGradients[name], /*hasBatch=*/isToken, /*hasTime=*/isToken, floor));
  }
  for (StateOp state : mixer.getStates()) {
    StringRef name = state.getName();
    results.push_back(compare(name, /*isState=*/true, arrays.initialStateGradients.lookup(name),
                              expected->initialStateGradients[name], /*hasBatch=*/true, /*hasTime=*/false, floor));
  }
  return results;
}

llvm::Expected<std::vector<GradientResult>>
rondo::checkGradients(MixerOp mixer, const Generators &generators, const GradientCase &gradientCase,
                      llvm::function_ref<llvm::Error(GradientArrays &)> kernel) {
  GradientArrays arrays = drawGradientArrays(mixer, generators, gradientCase);
  if (llvm::Error error = kernel(arrays))
    return error;
  return compareGradients(mixer, arrays);
}
