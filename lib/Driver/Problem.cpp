//===- Problem.cpp - Arrays and the sizes that they tell --------------------------------------------------------===//

#include "rondo/Driver/Problem.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <unistd.h>

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

/// The dimensions before those of a token's value.
static unsigned leadingRank(const Operand &operand) {
  return operand.role == Operand::param ? 1 : operand.role == Operand::state ? 2 : 3;
}

std::vector<int64_t> Problem::shape(const Operand &operand) const {
  std::vector<int64_t> shape;
  if (operand.role == Operand::param)
    shape = {heads};
  else if (operand.role == Operand::state)
    shape = {batch, heads};
  else
    shape = {batch, time, heads};
  for (const Dim &dim : operand.dims)
    shape.push_back(*dim.evaluate(sizes));
  return shape;
}

std::vector<int64_t> Problem::fileShape(const Operand &operand) const {
  std::vector<int64_t> result = shape(operand);
  if (!batched && operand.role != Operand::param)
    result.erase(result.begin());
  return result;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Checks that every name in `given` is one of `operands`.
static LogicalResult checkNames(const Signature &signature, StringRef flag, StringRef what,
                                const std::map<std::string, std::string> &given, ArrayRef<const Operand *> operands) {
  SmallVector<StringRef> names = llvm::map_to_vector(operands, [](const Operand *o) { return StringRef(o->name); });
  for (const auto &[name, path] : given)
    if (!is_contained(names, name))
      return error(Twine(flag) + " " + name + ": mixer '" + signature.mixer + "' has no " + what + " '" + name + "'" +
                   suggestion(name, names));
  return success();
}

static LogicalResult readArrays(const std::map<std::string, std::string> &paths, StringMap<NpyArray> &into) {
  for (const auto &[name, path] : paths) {
    Expected<NpyArray> array = readNpy(path);
    if (!array)
      return error(toString(array.takeError()));
    into[name] = std::move(*array);
  }
  return success();
}

LogicalResult readInputs(const Signature &signature, const Options &options, Arrays &arrays) {
  auto pointers = [](std::initializer_list<const std::vector<Operand> *> lists) {
    SmallVector<const Operand *> result;
    for (const std::vector<Operand> *list : lists)
      for (const Operand &operand : *list)
        result.push_back(&operand);
    return result;
  };
  auto arguments = pointers({&signature.arguments}), outputs = pointers({&signature.outputs}),
       states = pointers({&signature.states}), results = pointers({&signature.outputs, &signature.states});
  if (failed(checkNames(signature, "--in", "argument", options.in, arguments)) ||
      failed(checkNames(signature, "--out", "output", options.out, outputs)) ||
      failed(checkNames(signature, "--state-in", "state", options.stateIn, states)) ||
      failed(checkNames(signature, "--state-out", "state", options.stateOut, states)) ||
      failed(checkNames(signature, "--states-out", "state", options.statesOut, states)) ||
      failed(checkNames(signature, "--expect", "output or state", options.expect, results)) ||
      failed(checkNames(signature, "--grad", "output", options.grad, outputs)) ||
      failed(checkNames(signature, "--grad-state", "state", options.gradState, states)) ||
      failed(checkNames(signature, "--grad-out", "argument", options.gradOut, arguments)) ||
      failed(checkNames(signature, "--grad-state-out", "state", options.gradStateOut, states)))
    return failure();
  if (!options.hasCotangents() && !(options.gradOut.empty() && options.gradStateOut.empty())) {
    const Operand &output = signature.outputs.front();
    return error(Twine(options.gradOut.empty() ? "--grad-state-out" : "--grad-out") +
                 " needs the cotangent of an output or final state; pass --grad " + output.name + "=FILE with shape " +
                 output.layout());
  }
  for (const Operand &argument : signature.arguments)
    if (!options.in.count(argument.name))
      return error("argument '" + argument.name + "' of mixer '" + signature.mixer + "' has no array; pass --in " +
                   argument.name + "=FILE with shape " + argument.layout());
  return failure(failed(readArrays(options.in, arrays.inputs)) ||
                 failed(readArrays(options.stateIn, arrays.initialStates)));
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

namespace {

/// Collects what the arrays say about B, T, H and the named sizes.
class SizeSolver {
public:
  SizeSolver(const Signature &signature, const std::map<std::string, int64_t> &given) : signature(signature) {
    for (const auto &[name, value] : given) {
      problem.sizes[name] = value;
      source[name] = "--size " + name;
    }
  }

  LogicalResult addArray(const Operand &operand, NpyArray &array);
  FailureOr<Problem> solve();

private:
  /// One array says that `dim` is `size`.
  struct Fact {
    const Operand *operand;
    Dim dim;
    int64_t size;
  };

  LogicalResult agree(StringRef name, int64_t size, const Operand &operand, int64_t &value,
                      StringMap<std::string> &source);
  bool learn(const Fact &fact);

  const Signature &signature;
  Problem problem;
  SmallVector<Fact> facts;
  /// Grouped arguments and their heads.
  SmallVector<std::pair<const Operand *, int64_t>> groups;
  /// Where B, T and H, and where the named sizes come from, for messages.
  StringMap<std::string> leadingSource, source;
};

} // namespace

/// "'k' has T = 63 and 'q' has T = 64".
LogicalResult SizeSolver::agree(StringRef name, int64_t size, const Operand &operand, int64_t &value,
                                StringMap<std::string> &source) {
  if (size == 0)
    return error("'" + operand.name + "' has " + name + " = 0: a sequence needs at least one token, head and element");
  auto [known, isNew] = source.try_emplace(name, "'" + operand.name + "'");
  if (isNew)
    value = size;
  if (value != size)
    return error("'" + operand.name + "' has " + name + " = " + Twine(size) + " and " + known->second + " has " + name +
                 " = " + Twine(value));
  return success();
}

LogicalResult SizeSolver::addArray(const Operand &operand, NpyArray &array) {
  unsigned rank = leadingRank(operand) + operand.dims.size();
  bool hasBatch = operand.role != Operand::param;
  if (hasBatch && array.shape.size() == rank)
    problem.batched = true;
  else if (hasBatch && array.shape.size() + 1 == rank)
    array.shape.insert(array.shape.begin(), 1);
  if (array.shape.size() != rank)
    return error("'" + operand.name + "' has " + Twine(array.shape.size()) + " dimensions, " + shapeText(array.shape) +
                 ", and mixer '" + signature.mixer + "' needs " + operand.layout());

  ArrayRef<int64_t> shape = array.shape;
  if (hasBatch) {
    if (failed(agree("B", shape.front(), operand, problem.batch, leadingSource)))
      return failure();
    shape = shape.drop_front();
  }
  if (operand.role == Operand::token) {
    if (failed(agree("T", shape.front(), operand, problem.time, leadingSource)))
      return failure();
    shape = shape.drop_front();
  }
  if (operand.grouped)
    groups.emplace_back(&operand, shape.front());
  else if (failed(agree("H", shape.front(), operand, problem.heads, leadingSource)))
    return failure();
  for (auto [dim, size] : llvm::zip_equal(operand.dims, shape.drop_front()))
    facts.push_back({&operand, dim, size});
  return success();
}

/// Takes the value of a name from a fact in which it is the only unknown. True when there was one.
bool SizeSolver::learn(const Fact &fact) {
  std::vector<std::string> names = fact.dim.substitute(problem.sizes).names();
  if (names.size() != 1)
    return false;
  // A size such as K/2 or K*(K+1)/2 reaches n at some K <= 2n.
  auto at = [&](int64_t x) {
    StringMap<int64_t> sizes = problem.sizes;
    sizes[names.front()] = x;
    return fact.dim.evaluate(sizes);
  };
  for (int64_t x = 1, limit = 2 * fact.size + 2; x <= limit; ++x)
    if (at(x) == fact.size) {
      problem.sizes[names.front()] = x;
      source[names.front()] = "'" + fact.operand->name + "'";
      return true;
    }
  return false;
}

FailureOr<Problem> SizeSolver::solve() {
  // Heads: the largest count among the grouped arguments where nothing else tells.
  for (auto [operand, heads] : groups)
    if (!leadingSource.count("H"))
      problem.heads = std::max(problem.heads, heads);
  for (auto [operand, heads] : groups)
    if (heads == 0 || problem.heads % heads != 0)
      return error("'" + operand->name + "' has " + Twine(heads) + " heads, which does not divide the mixer's " +
                   Twine(problem.heads));

  // Plain names first, so that a message names the array that says it directly.
  for (const Fact &fact : facts)
    if (fact.dim.isSimple() && !fact.dim.getConstant() && !problem.sizes.count(fact.dim.str()) &&
        failed(agree(fact.dim.str(), fact.size, *fact.operand, problem.sizes[fact.dim.str()], source)))
      return failure();
  while (llvm::any_of(facts, [&](const Fact &fact) { return learn(fact); }))
    ;
  for (const std::string &name : signature.sizes)
    if (!problem.sizes.count(name))
      return error("no array tells size '" + name + "' of mixer '" + signature.mixer + "'; pass --size " + name +
                   "=NUMBER");

  for (const Fact &fact : facts) {
    std::optional<int64_t> size = fact.dim.evaluate(problem.sizes);
    if (size == fact.size)
      continue;
    std::string known;
    raw_string_ostream os(known);
    interleave(
        fact.dim.names(), os,
        [&](const std::string &name) { os << source[name] << " has " << name << " = " << problem.sizes[name]; }, ", ");
    if (known.empty())
      known = "mixer '" + signature.mixer + "' needs " + std::to_string(size.value_or(0));
    return error("'" + fact.operand->name + "' has " + fact.dim.str() + " = " + Twine(fact.size) + " and " + known);
  }
  return problem;
}

LogicalResult checkSizeNames(const Signature &signature, const std::map<std::string, int64_t> &given) {
  SmallVector<StringRef> names(signature.sizes.begin(), signature.sizes.end());
  for (const auto &[name, value] : given)
    if (!is_contained(names, name))
      return error("--size " + name + ": mixer '" + signature.mixer + "' has no size '" + name + "'" +
                   suggestion(name, names));
  return success();
}

FailureOr<Problem> inferProblem(const Signature &signature, const std::map<std::string, int64_t> &given,
                                Arrays &arrays) {
  if (failed(checkSizeNames(signature, given)))
    return failure();
  SizeSolver solver(signature, given);
  for (const Operand &argument : signature.arguments)
    if (failed(solver.addArray(argument, arrays.inputs[argument.name])))
      return failure();
  for (const Operand &state : signature.states) {
    auto array = arrays.initialStates.find(state.name);
    if (array != arrays.initialStates.end() && failed(solver.addArray(state, array->second)))
      return failure();
  }
  return solver.solve();
}

LogicalResult readCotangents(const Signature &signature, const Options &options, const Problem &problem,
                             GradientArrays &arrays) {
  if (failed(readArrays(options.grad, arrays.outputCotangents)) ||
      failed(readArrays(options.gradState, arrays.finalStateCotangents)))
    return failure();
  auto checkShape = [&](const Operand &operand, StringMap<NpyArray> &cotangents) -> LogicalResult {
    auto found = cotangents.find(operand.name);
    if (found == cotangents.end())
      return success();
    std::vector<int64_t> expected = problem.shape(operand), actual = found->second.shape;
    if (actual.size() + 1 == expected.size())
      actual.insert(actual.begin(), 1);
    if (actual != expected)
      return error("the cotangent of '" + operand.name + "' has shape " + shapeText(found->second.shape) + " and '" +
                   operand.name + "' has " + shapeText(problem.fileShape(operand)));
    found->second.shape = expected;
    return success();
  };
  for (const Operand &output : signature.outputs)
    if (failed(checkShape(output, arrays.outputCotangents)))
      return failure();
  for (const Operand &state : signature.states)
    if (failed(checkShape(state, arrays.finalStateCotangents)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

LogicalResult checkMemory(const Signature &signature, const Problem &problem, int64_t bytesPerElement,
                          int64_t savedStates) {
  uint64_t total = 0, largest = 0;
  std::string largestName;
  auto add = [&](const Operand &operand, uint64_t copies) {
    // Negative or huge sizes saturate: every sum below stays exact or at the largest number.
    uint64_t bytes = copies * uint64_t(bytesPerElement);
    std::vector<int64_t> shape = problem.shape(operand);
    for (int64_t size : shape)
      bytes = SaturatingMultiply(bytes, uint64_t(size));
    total = SaturatingAdd(total, bytes);
    if (bytes > largest) {
      largest = bytes;
      largestName = "'" + operand.name + "' " + shapeText(shape);
    }
  };
  for (const std::vector<Operand> *list : {&signature.arguments, &signature.outputs})
    for (const Operand &operand : *list)
      add(operand, savedStates ? 2 : 1);
  for (const Operand &state : signature.states)
    add(state, savedStates ? 4 + savedStates : 2);

  uint64_t available = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE));
  if (total <= available)
    return success();
  auto gib = [](uint64_t bytes) {
    std::string text;
    raw_string_ostream(text) << format("%.1f", double(bytes) / double(1 << 30));
    return text;
  };
  return error("mixer '" + signature.mixer + "' needs " + (total == UINT64_MAX ? "more than " : "") + gib(total) +
               " GiB and this machine has " + gib(available) + " GiB; the largest array is " + largestName);
}

LogicalResult checkNumbers(const Signature &signature, const GradientArrays &arrays, const Problem &problem) {
  auto check = [&](const Operand &operand, const StringMap<NpyArray> &given, StringRef what = "") -> LogicalResult {
    auto found = given.find(operand.name);
    if (found == given.end())
      return success();
    const NpyArray &array = found->second;
    std::vector<double> values = array.toDoubles();
    auto nan = llvm::find_if(values, [](double value) { return std::isnan(value); });
    if (nan == values.end())
      return success();
    ArrayRef<int64_t> shape = array.shape;
    if (!problem.batched && operand.role != Operand::param)
      shape = shape.drop_front();
    SmallVector<int64_t> index(shape.size());
    int64_t rest = std::distance(values.begin(), nan);
    for (size_t i = shape.size(); i-- > 0; rest /= shape[i])
      index[i] = rest % shape[i];
    return error(what + "'" + operand.name + "' has NaN at " + shapeText(index));
  };
  constexpr StringLiteral kCotangent = "the cotangent of ";
  for (const Operand &argument : signature.arguments)
    if (failed(check(argument, arrays.forward.inputs)))
      return failure();
  for (const Operand &output : signature.outputs)
    if (failed(check(output, arrays.outputCotangents, kCotangent)))
      return failure();
  for (const Operand &state : signature.states)
    if (failed(check(state, arrays.forward.initialStates)) ||
        failed(check(state, arrays.finalStateCotangents, kCotangent)))
      return failure();
  return success();
}

} // namespace rondo::driver
