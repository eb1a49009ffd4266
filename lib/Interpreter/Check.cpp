//===- Check.cpp - Random and hard inputs, and the distance to the interpreter ----------------------------------===//

#include "rondo/Interpreter/Check.h"
#include "rondo/Interpreter/Interpreter.h"
#include <cmath>
#include <numeric>
#include <random>

using namespace mlir;
using namespace rondo;

constexpr double kInf = std::numeric_limits<double>::infinity();

StringRef rondo::stringifyGateKind(GateKind kind) {
  switch (kind) {
  case GateKind::soft:
    return "soft";
  case GateKind::strong:
    return "strong";
  case GateKind::resets:
    return "resets";
  case GateKind::zero:
    return "zero";
  }
}

SmallVector<GateKind> rondo::getGateKinds(const Generators &generators) {
  for (const auto &entry : generators)
    if (entry.second.kind == Generator::Kind::decay || entry.second.kind == Generator::Kind::factor)
      return {GateKind::soft, GateKind::strong, GateKind::resets, GateKind::zero};
  return {GateKind::soft};
}

//===----------------------------------------------------------------------===//
// Drawing
//===----------------------------------------------------------------------===//

namespace {
/// Random numbers that are the same with every standard library.
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}

  /// In [0, 1).
  double uniform() { return double(engine() >> 11) * 0x1p-53; }
  double normal() {
    double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * 3.14159265358979323846 * uniform());
  }

private:
  std::mt19937_64 engine;
};
} // namespace

/// `resetShare`: how many of the decays of the kind `resets` are resets.
static double drawDecay(Random &random, GateKind gates, double resetShare) {
  switch (gates) {
  case GateKind::soft:
    break;
  case GateKind::strong:
    return -9 * std::abs(random.normal());
  case GateKind::resets:
    if (random.uniform() < resetShare)
      return random.uniform() < 0.5 ? -1e4 : -kInf;
    break;
  case GateKind::zero:
    return 0;
  }
  return -0.01 * std::abs(random.normal());
}

/// Numbers for an array whose vectors have `length` elements.
static std::vector<double> draw(Random &random, const Generator &generator, GateKind gates, int64_t count,
                                int64_t length) {
  std::vector<double> values(count);
  double resetShare = 0.05 + 0.07 * random.uniform();
  for (double &value : values) {
    switch (generator.kind) {
    case Generator::Kind::normal:
      value = generator.high * random.normal();
      break;
    case Generator::Kind::unit:
      value = random.normal();
      break;
    case Generator::Kind::range:
      value = generator.low + (generator.high - generator.low) * random.uniform();
      break;
    case Generator::Kind::decay:
      value = drawDecay(random, gates, resetShare);
      break;
    case Generator::Kind::factor:
      value = std::exp(drawDecay(random, gates, resetShare));
      break;
    }
  }
  if (generator.kind == Generator::Kind::unit)
    for (int64_t begin = 0; begin < count; begin += length) {
      double squares = 0;
      for (int64_t i = begin; i < begin + length; ++i)
        squares += values[i] * values[i];
      for (int64_t i = begin; i < begin + length; ++i)
        values[i] /= std::sqrt(squares);
    }
  return values;
}

static std::vector<int64_t> join(std::initializer_list<int64_t> leading, ArrayRef<int64_t> shape) {
  std::vector<int64_t> result(leading);
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

CheckArrays rondo::drawArrays(MixerOp mixer, const Generators &generators, const CheckCase &checkCase) {
  int64_t B = checkCase.batch, T = checkCase.time, H = checkCase.heads;
  // Every array has numbers of its own, which do not depend on the sizes of the others.
  uint64_t numArrays = 0;
  auto drawArray = [&](StringRef name, const std::vector<int64_t> &shape, ArrayRef<int64_t> valueShape,
                       ElementType type) {
    Random random(checkCase.seed * 1000003 + numArrays++);
    int64_t length = valueShape.empty() ? 1 : valueShape.back();
    return NpyArray::fromDoubles(
        draw(random, generators.lookup(name), checkCase.gates, Tensor::numElements(shape), length), shape, type);
  };
  auto nan = [&](const std::vector<int64_t> &shape, ElementType type) {
    return NpyArray::fromDoubles(Tensor(shape, NAN).data, shape, type);
  };
  auto tokenType = [&](StringRef name) {
    auto it = checkCase.types.find(name);
    return it == checkCase.types.end() ? checkCase.type : it->second;
  };

  CheckArrays arrays;
  for (unsigned i = 0; i < mixer.getNumArguments(); ++i) {
    StringRef name = mixer.getArgName(i);
    SmallVector<int64_t> shape = cast<ValueType>(mixer.getArgumentTypes()[i]).getShape();
    if (mixer.isParam(i))
      arrays.inputs[name] = drawArray(name, join({H}, shape), shape, ElementType::f32);
    else
      arrays.inputs[name] =
          drawArray(name, join({B, T, mixer.isGrouped(i) ? checkCase.groupedHeads : H}, shape), shape, tokenType(name));
  }
  for (unsigned i = 0; i < mixer.getNumResults(); ++i) {
    StringRef name = mixer.getResultName(i);
    arrays.outputs[name] = nan(join({B, T, H}, cast<ValueType>(mixer.getResultTypes()[i]).getShape()), tokenType(name));
  }
  for (StateOp state : mixer.getStates()) {
    SmallVector<int64_t> valueShape = state.getState().getType().getShape();
    std::vector<int64_t> shape = join({B, H}, valueShape);
    if (checkCase.initialStates)
      arrays.initialStates[state.getName()] = drawArray(state.getName(), shape, valueShape, ElementType::f32);
    arrays.finalStates[state.getName()] = nan(shape, ElementType::f32);
  }
  return arrays;
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

/// Compares one array [B, T, H] + shape (T = 1 for states), each batch entry and head by itself.
static CheckResult compare(StringRef name, bool isState, const NpyArray &array, const NpyArray &expected) {
  CheckResult result;
  result.name = name.str();
  result.isState = isState;
  std::vector<double> values = array.toDoubles(), expectedValues = expected.toDoubles();
  int64_t B = expected.shape[0], T = isState ? 1 : expected.shape[1], H = expected.shape[isState ? 1 : 2];
  int64_t size = Tensor::numElements(ArrayRef<int64_t>(expected.shape).drop_front(isState ? 2 : 3));
  std::vector<double> differences, norms; // squares, a head
  for (int64_t b = 0; b < B; ++b)
    for (int64_t h = 0; h < H; ++h) {
      double &difference = differences.emplace_back(0), &norm = norms.emplace_back(0);
      for (int64_t t = 0; t < T; ++t)
        for (int64_t i = 0; i < size; ++i) {
          int64_t at = ((b * T + t) * H + h) * size + i;
          double x = values[at], y = expectedValues[at];
          if (!std::isfinite(x) || !std::isfinite(y)) {
            result.wrongNonFinite += x != y && !(std::isnan(x) && std::isnan(y));
            continue;
          }
          difference += (x - y) * (x - y);
          norm += y * y;
        }
    }
  // A head whose values cancel to less than a tenth of the average head's is measured against that tenth; what is about
  // to underflow in f32 counts as it is.
  constexpr double kSmallestHead = 0.1, kTinyNorm = 1e-30;
  double average = std::sqrt(std::accumulate(norms.begin(), norms.end(), 0.0) / std::max<size_t>(1, norms.size()));
  for (auto [difference, norm] : llvm::zip_equal(differences, norms))
    result.error =
        std::max(result.error, std::sqrt(difference) / std::max({std::sqrt(norm), kSmallestHead * average, kTinyNorm}));
  return result;
}

static llvm::StringMap<Tensor> toTensors(const llvm::StringMap<NpyArray> &arrays) {
  llvm::StringMap<Tensor> tensors;
  for (const auto &entry : arrays) {
    Tensor &tensor = tensors[entry.first()];
    tensor.shape = entry.second.shape;
    tensor.data = entry.second.toDoubles();
  }
  return tensors;
}

llvm::Expected<CheckArrays> rondo::interpretArrays(MixerOp mixer, const CheckArrays &arrays) {
  llvm::StringMap<Tensor> outputs, finalStates;
  std::string error;
  if (failed(interpret(mixer, toTensors(arrays.inputs), toTensors(arrays.initialStates), outputs, finalStates, error)))
    return llvm::createStringError(error);
  CheckArrays result = arrays;
  auto store = [](const llvm::StringMap<Tensor> &from, llvm::StringMap<NpyArray> &to) {
    for (const auto &entry : from)
      to[entry.first()] = NpyArray::fromDoubles(entry.second.data, entry.second.shape, ElementType::f64);
  };
  store(outputs, result.outputs);
  store(finalStates, result.finalStates);
  return result;
}

llvm::Expected<std::vector<CheckResult>> rondo::compareWithInterpreter(MixerOp mixer, const CheckArrays &arrays) {
  llvm::Expected<CheckArrays> expected = interpretArrays(mixer, arrays);
  if (!expected)
    return expected.takeError();
  std::vector<CheckResult> results;
  for (unsigned i = 0; i < mixer.getNumResults(); ++i) {
    StringRef name = mixer.getResultName(i);
    results.push_back(compare(name, /*isState=*/false, arrays.outputs.lookup(name), expected->outputs[name]));
  }
  for (StateOp state : mixer.getStates()) {
    StringRef name = state.getName();
    results.push_back(compare(name, /*isState=*/true, arrays.finalStates.lookup(name), expected->finalStates[name]));
  }
  return results;
}

llvm::Expected<std::vector<CheckResult>> rondo::checkKernel(MixerOp mixer, const Generators &generators,
                                                            const CheckCase &checkCase,
                                                            llvm::function_ref<llvm::Error(CheckArrays &)> kernel) {
  CheckArrays arrays = drawArrays(mixer, generators, checkCase);
  if (llvm::Error error = kernel(arrays))
    return error;
  return compareWithInterpreter(mixer, arrays);
}
