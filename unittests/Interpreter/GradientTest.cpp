//===- GradientTest.cpp - The interpreter's gradient against differences of the interpreter ---------------------===//

#include "rondo/Interpreter/Gradient.h"
#include "MixerFiles.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "rondo/Frontend/Frontend.h"
#include "rondo/Interpreter/CheckGradients.h"
#include "rondo/Transforms/Passes.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace rondo;

constexpr double kInf = std::numeric_limits<double>::infinity();

using Tensors = llvm::StringMap<Tensor>;
using Values = std::vector<double>;

//===----------------------------------------------------------------------===//
// Differences
//===----------------------------------------------------------------------===//

namespace {
/// What a gradient is of: the arrays of one run and the cotangents of what comes out.
struct Problem {
  MixerOp mixer;
  Tensors inputs, initialStates, outputCotangents, finalStateCotangents;
};

struct Gradient {
  Tensors inputs, initialStates;
};

/// Uniform in [-1, 1), the same with every standard library.
class Uniform {
public:
  explicit Uniform(uint64_t seed) : engine(seed) {}
  double operator()() { return 2 * double(engine() >> 11) * 0x1p-53 - 1; }
  int64_t below(int64_t end) { return int64_t(engine() % uint64_t(end)); }

private:
  std::mt19937_64 engine;
};
} // namespace

static void fill(Values &values, Uniform &uniform) {
  for (double &x : values)
    x = uniform();
}

static Gradient computeGradient(const Problem &problem) {
  Gradient gradient;
  std::string error;
  EXPECT_TRUE(
      succeeded(interpretGradient(problem.mixer, problem.inputs, problem.initialStates, problem.outputCotangents,
                                  problem.finalStateCotangents, gradient.inputs, gradient.initialStates, error)))
      << error;
  return gradient;
}

/// Draws cotangents for everything that comes out.
static void drawCotangents(Problem &problem, uint64_t seed) {
  std::string error;
  ASSERT_TRUE(succeeded(interpret(problem.mixer, problem.inputs, problem.initialStates, problem.outputCotangents,
                                  problem.finalStateCotangents, error)))
      << error;
  Uniform uniform(seed);
  for (Tensors *cotangents : {&problem.outputCotangents, &problem.finalStateCotangents})
    for (auto &entry : *cotangents)
      fill(entry.second.data, uniform);
}

/// The derivative along `direction` of one array by central differences of fourth order, and the part of it that may be
/// rounding.
static std::pair<double, double> difference(const Problem &problem, bool isState, StringRef name,
                                            const Values &direction, double step) {
  double derivative = 0, magnitude = 0;
  for (auto [steps, weight] : {std::pair(1, 8.0), std::pair(-1, -8.0), std::pair(2, -1.0), std::pair(-2, 1.0)}) {
    Problem moved = problem;
    Values &data = (isState ? moved.initialStates : moved.inputs)[name].data;
    for (size_t i = 0; i < data.size(); ++i)
      data[i] += steps * step * direction[i];
    Tensors outputs, finalStates;
    std::string error;
    EXPECT_TRUE(succeeded(interpret(moved.mixer, moved.inputs, moved.initialStates, outputs, finalStates, error)));
    for (auto [values, cotangents] :
         {std::pair(&outputs, &problem.outputCotangents), std::pair(&finalStates, &problem.finalStateCotangents)})
      for (const auto &entry : *values)
        for (auto [y, cotangent] : llvm::zip_equal(entry.second.data, cotangents->find(entry.first())->second.data)) {
          derivative += weight * y * cotangent / (12 * step);
          magnitude += std::abs(y * cotangent) / (12 * step);
        }
  }
  return {derivative, 1e-15 * magnitude};
}

/// Compares with differences of every argument and initial state along one random direction and for `numSingle` single
/// elements. Arrays must be drawn so that no maximum or condition changes on the way.
static void compareWithDifferences(const Problem &problem, const Gradient &gradient, int64_t numSingle, uint64_t seed) {
  Uniform uniform(seed);
  auto compare = [&](bool isState, StringRef name, const Tensor &array, const Tensor &arrayGradient) {
    ASSERT_EQ(array.shape, arrayGradient.shape) << name.str();
    int64_t size = array.data.size();
    double squares = 0;
    for (double x : array.data)
      squares += std::min(1.0, x * x);
    double step = 1e-3 * std::max(0.01, std::sqrt(squares / std::max<int64_t>(1, size)));

    for (int64_t n = 0; n <= numSingle && size != 0; ++n) {
      Values direction(size, 0.0);
      if (n == 0)
        fill(direction, uniform);
      else
        direction[uniform.below(size)] = 1;
      double expected = 0, terms = 0;
      for (auto [x, y] : llvm::zip_equal(direction, arrayGradient.data)) {
        ASSERT_TRUE(std::isfinite(y)) << name.str();
        expected += x * y;
        terms += x * x * y * y;
      }
      auto [derivative, rounding] = difference(problem, isState, name, direction, step);
      EXPECT_NEAR(derivative, expected, 1e-7 * std::sqrt(terms) + rounding)
          << name.str() << (n == 0 ? " along a direction" : " in one element");
    }
  };
  for (const auto &entry : problem.inputs)
    compare(/*isState=*/false, entry.first(), entry.second, gradient.inputs.find(entry.first())->second);
  for (const auto &entry : problem.initialStates)
    compare(/*isState=*/true, entry.first(), entry.second, gradient.initialStates.find(entry.first())->second);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static Tensor make(std::vector<int64_t> shape, Values data) {
  Tensor tensor;
  tensor.shape = std::move(shape);
  tensor.data = std::move(data);
  return tensor;
}

namespace {
class GradientTest : public testing::Test {
protected:
  GradientTest() : context(MLIRContext::Threading::DISABLED) { context.loadDialect<RondoDialect>(); }

  MixerOp parse(const std::string &text) {
    module = parseSourceString<ModuleOp>(text, &context);
    return module ? *module->getOps<MixerOp>().begin() : MixerOp();
  }

  static std::string value(const std::string &sizes) { return "!rondo.val<" + sizes + ">"; }

  /// A mixer with token arguments x and y of the types given; `body` defines %o.
  MixerOp parseBody(const std::string &body, const std::string &result, const std::string &xType,
                    const std::string &yType) {
    return parse("rondo.mixer @m(%x: " + value(xType) + " {rondo.name = \"x\"}, %y: " + value(yType) +
                 " {rondo.name = \"y\"}) -> (" + value(result) + " {rondo.name = \"o\"}) {\n" + body +
                 "\nrondo.yield %o : " + value(result) + "\n}");
  }

  static Tensor token(StringRef sizes, Values data) {
    std::vector<int64_t> shape = {1, 1, 1};
    SmallVector<StringRef> parts;
    sizes.split(parts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
    for (StringRef part : parts)
      shape.push_back(Dim::parse(part)->getConstant().value());
    return make(shape, std::move(data));
  }

  /// Compares the gradient of `body` with differences; x and y are in (0.5, 1.5) or (-1.5, -0.5).
  void compare(const std::string &body, const std::string &result, const std::string &xType,
               const std::string &yType = "", bool positive = false) {
    SCOPED_TRACE(body);
    Problem problem;
    problem.mixer = parseBody(body, result, xType, yType);
    ASSERT_TRUE(problem.mixer);
    Uniform uniform(11);
    for (auto [name, type] : {std::pair("x", xType), std::pair("y", yType)}) {
      Tensor &tensor = problem.inputs[name] = token(type, {});
      tensor.data.resize(Tensor::numElements(tensor.shape));
      for (double &x : tensor.data)
        x = (1 + 0.5 * uniform()) * (positive || uniform() > 0 ? 1 : -1);
    }
    drawCotangents(problem, 8);
    compareWithDifferences(problem, computeGradient(problem), /*numSingle=*/3, 9);
  }

  /// The gradients of scalars x and y of an elementwise operation for the cotangent.
  std::pair<double, double> scalars(const std::string &op, double x, double y, double cotangent) {
    Problem problem;
    bool isUnary = StringRef(op).starts_with("unary");
    problem.mixer = parseBody("%o = rondo." + op +
                                  (isUnary ? " %x : !rondo.val<>"
                                           : " %x, %y : !rondo.val<>, !rondo.val<> -> "
                                             "!rondo.val<>"),
                              "", "", "");
    EXPECT_TRUE(problem.mixer) << op;
    problem.inputs["x"] = token("", {x});
    problem.inputs["y"] = token("", {y});
    problem.outputCotangents["o"] = token("", {cotangent});
    Gradient gradient = computeGradient(problem);
    return {gradient.inputs["x"].data[0], gradient.inputs["y"].data[0]};
  }
  double unary(const std::string &kind, double x, double cotangent = 2) {
    return scalars("unary " + kind, x, 0, cotangent).first;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};
} // namespace

TEST_F(GradientTest, Unary) {
  for (const char *kind : {"neg", "exp", "abs", "sigmoid", "log_sigmoid", "softplus", "silu", "relu", "elu", "tanh",
                           "sin", "cos", "expm1"})
    compare("%o = rondo.unary " + std::string(kind) + " %x : !rondo.val<5>", "5", "5");
  for (const char *kind : {"log", "sqrt", "rsqrt"})
    compare("%o = rondo.unary " + std::string(kind) + " %x : !rondo.val<5>", "5", "5", "", /*positive=*/true);
}

TEST_F(GradientTest, UnaryAtTheEdges) {
  EXPECT_EQ(unary("exp", -kInf), 0);
  EXPECT_EQ(unary("expm1", -kInf), 0);
  EXPECT_EQ(unary("expm1", -1e4), 0);
  EXPECT_EQ(unary("abs", 0), 0);
  EXPECT_EQ(unary("relu", 0), 0);
  EXPECT_EQ(unary("elu", 0), 2);
  EXPECT_EQ(unary("log", 0), kInf);
  EXPECT_EQ(unary("sqrt", 0), kInf);
  EXPECT_EQ(unary("rsqrt", kInf), 0);
  // The limits.
  for (double large : {1e3, kInf}) {
    EXPECT_EQ(unary("sigmoid", -large), 0);
    EXPECT_EQ(unary("sigmoid", large), 0);
    EXPECT_EQ(unary("log_sigmoid", -large), 2);
    EXPECT_EQ(unary("log_sigmoid", large), 0);
    EXPECT_EQ(unary("softplus", -large), 0);
    EXPECT_EQ(unary("softplus", large), 2);
    EXPECT_EQ(unary("silu", -large), 0);
    EXPECT_EQ(unary("silu", large), 2);
    EXPECT_EQ(unary("elu", -large), 0);
    EXPECT_EQ(unary("tanh", large), 0);
  }
  // Far from the middle, not rounded to 0.
  EXPECT_NEAR(unary("tanh", 20) / (8 * std::exp(-40)), 1, 1e-12);
  EXPECT_NEAR(unary("sigmoid", 40) / (2 * std::exp(-40)), 1, 1e-12);
  // Nothing is asked of an infinite derivative.
  for (const char *kind : {"log", "sqrt", "rsqrt"})
    EXPECT_EQ(unary(kind, 0, /*cotangent=*/0), 0);
}

TEST_F(GradientTest, Binary) {
  for (const char *kind : {"add", "sub", "mul", "div", "max", "min"}) {
    std::string op = "%o = rondo.binary " + std::string(kind);
    compare(op + " %x, %y : !rondo.val<5>, !rondo.val<5> -> !rondo.val<5>", "5", "5", "5");
    compare(op + " %x, %y : !rondo.val<5>, !rondo.val<> -> !rondo.val<5>", "5", "5", "");
    compare(op + " %y, %x : !rondo.val<>, !rondo.val<2, 3> -> !rondo.val<2, 3>", "2,3", "2,3", "");
    compare(op + " %x, %x : !rondo.val<5>, !rondo.val<5> -> !rondo.val<5>", "5", "5");
  }
  for (const char *kind : {"lt", "le", "gt", "ge", "eq", "ne"})
    compare("%o = rondo.binary " + std::string(kind) + " %x, %y : !rondo.val<5>, !rondo.val<5> -> !rondo.val<5>", "5",
            "5", "5");
  compare("%e = rondo.constant -0.5 : !rondo.val<>\n"
          "%o = rondo.binary pow %x, %e : !rondo.val<5>, !rondo.val<> -> !rondo.val<5>",
          "5", "5", "", /*positive=*/true);
  compare("%e = rondo.constant 3.0 : !rondo.val<>\n"
          "%o = rondo.binary pow %x, %e : !rondo.val<5>, !rondo.val<> -> !rondo.val<5>",
          "5", "5");
}

TEST_F(GradientTest, BinaryAtTheEdges) {
  using Pair = std::pair<double, double>;
  EXPECT_EQ(scalars("binary max", 1, 1, 3), Pair(3, 0)) << "ties go to the left";
  EXPECT_EQ(scalars("binary min", 1, 1, 3), Pair(3, 0)) << "ties go to the left";
  EXPECT_EQ(scalars("binary max", 1, 2, 3), Pair(0, 3));
  EXPECT_EQ(scalars("binary max", -kInf, -kInf, 3), Pair(3, 0));
  EXPECT_EQ(scalars("binary mul", -kInf, 2, 0), Pair(0, 0)) << "zero times anything is zero";
  EXPECT_EQ(scalars("binary div", 1, 0, 0), Pair(0, 0));
  EXPECT_EQ(scalars("binary div", 1, kInf, 3), Pair(0, 0));
  EXPECT_EQ(scalars("binary div", 0, 2, 3), Pair(1.5, 0));
}

TEST_F(GradientTest, Shapes) {
  compare("%o = rondo.select %x, %x, %y : !rondo.val<5>, !rondo.val<5>, !rondo.val<> -> !rondo.val<5>", "5", "5");
  compare("%z = rondo.constant 0.0 : !rondo.val<>\n"
          "%c = rondo.binary gt %x, %z : !rondo.val<5>, !rondo.val<> -> !rondo.val<5>\n"
          "%o = rondo.select %c, %y, %x : !rondo.val<5>, !rondo.val<>, !rondo.val<5> -> !rondo.val<5>",
          "5", "5");
  compare("%o = rondo.broadcast %x rows : !rondo.val<2> -> !rondo.val<2,3>", "2,3", "2");
  compare("%o = rondo.broadcast %x cols : !rondo.val<3> -> !rondo.val<2,3>", "2,3", "3");
  compare("%o = rondo.broadcast %x : !rondo.val<> -> !rondo.val<2,3>", "2,3", "");
  compare("%o = rondo.transpose %x : !rondo.val<2,3> -> !rondo.val<3,2>", "3,2", "2,3");
  compare("%o = rondo.cumsum %x : !rondo.val<4>", "4", "4");
  compare("%o = rondo.concat %x, %y, %x : !rondo.val<2>, !rondo.val<3>, !rondo.val<2> -> !rondo.val<7>", "7", "2", "3");
  compare("%o = rondo.rotate %x, %y : !rondo.val<4>, !rondo.val<2> -> !rondo.val<4>", "4", "4", "2");
  compare("%o = rondo.rotate %x, %y : !rondo.val<4,3>, !rondo.val<2> -> !rondo.val<4,3>", "4,3", "4,3", "2");
}

TEST_F(GradientTest, Contractions) {
  compare("%o = rondo.outer %x, %y : !rondo.val<2>, !rondo.val<3> -> !rondo.val<2,3>", "2,3", "2", "3");
  auto matmul = [&](const std::string &x, const std::string &y, const std::string &result) {
    compare("%o = rondo.matmul %x, %y : " + value(x) + ", " + value(y) + " -> " + value(result), result, x, y);
  };
  matmul("2,3", "3,4", "2,4");
  matmul("2,3", "3", "2");
  matmul("2", "2,3", "3");
  matmul("3", "3", "");
  for (const char *kind : {"sum", "max", "min"})
    compare("%o = rondo.reduce " + std::string(kind) + " %x : !rondo.val<2,3> -> !rondo.val<>", "", "2,3");
}

TEST_F(GradientTest, AReductionGivesAllToTheFirst) {
  Problem problem;
  problem.mixer = parseBody("%o = rondo.reduce max %x : !rondo.val<4> -> !rondo.val<>", "", "4", "");
  problem.inputs["x"] = token("4", {1, 5, 5, 2});
  problem.inputs["y"] = token("", {0});
  problem.outputCotangents["o"] = token("", {3});
  EXPECT_EQ(computeGradient(problem).inputs["x"].data, (Values{0, 3, 0, 0}));
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

TEST_F(GradientTest, MicroSteps) {
  Problem problem;
  problem.mixer = parse(R"(
    rondo.mixer @m(%a: !rondo.val<4> {rondo.name = "a"}, %b: !rondo.val<3> {rondo.name = "b", rondo.grouped},
                   %e: !rondo.val<4, 3> {rondo.name = "e", rondo.kind = "param"},
                   %t: !rondo.val<2> {rondo.name = "t"}, %c: !rondo.val<> {rondo.name = "c"})
        -> (!rondo.val<4> {rondo.name = "o"}, !rondo.val<> {rondo.name = "m"}, !rondo.val<4, 3> {rondo.name = "e"}) {
      %S = rondo.state "S" init 1.0 : !rondo.state<4, 3>
      %F = rondo.state "F" : !rondo.state<4, 3>
      %n = rondo.state "n" : !rondo.state<4>
      %m = rondo.state "m" : !rondo.state<>
      rondo.decay %S, %a rows : !rondo.state<4, 3>, !rondo.val<4>
      %p = rondo.read %S, %a rows : !rondo.state<4, 3>, !rondo.val<4> -> !rondo.val<3>
      rondo.decay %S, %b cols : !rondo.state<4, 3>, !rondo.val<3>
      rondo.decay %S, %e : !rondo.state<4, 3>, !rondo.val<4, 3>
      rondo.write %S, %a, %p : !rondo.state<4, 3>, !rondo.val<4>, !rondo.val<3>
      rondo.accumulate %F, %c, %S : !rondo.state<4, 3>, !rondo.val<>, !rondo.state<4, 3>
      rondo.rotate_state %F, %t : !rondo.state<4, 3>, !rondo.val<2>
      rondo.accumulate %F, %c, %F : !rondo.state<4, 3>, !rondo.val<>, !rondo.state<4, 3>
      rondo.decay %n, %c : !rondo.state<4>, !rondo.val<>
      rondo.write %n, %a, %c : !rondo.state<4>, !rondo.val<4>, !rondo.val<>
      rondo.rotate_state %n, %t : !rondo.state<4>, !rondo.val<2>
      %x = rondo.read %n, %a rows : !rondo.state<4>, !rondo.val<4> -> !rondo.val<>
      %m0 = rondo.load %m : !rondo.state<> -> !rondo.val<>
      %m1 = rondo.binary mul %m0, %x : !rondo.val<>, !rondo.val<> -> !rondo.val<>
      rondo.store %m, %m1 : !rondo.state<>, !rondo.val<>
      rondo.write %m, %c, %c : !rondo.state<>, !rondo.val<>, !rondo.val<>
      %m2 = rondo.load %m : !rondo.state<> -> !rondo.val<>
      %o = rondo.read %F, %p cols : !rondo.state<4, 3>, !rondo.val<3> -> !rondo.val<4>
      rondo.yield %o, %m2, %e : !rondo.val<4>, !rondo.val<>, !rondo.val<4, 3>
    })");
  ASSERT_TRUE(problem.mixer);
  problem.inputs["a"] = Tensor({2, 4, 2, 4});
  problem.inputs["b"] = Tensor({2, 4, 1, 3});
  problem.inputs["e"] = Tensor({2, 4, 3});
  problem.inputs["t"] = Tensor({2, 4, 2, 2});
  problem.inputs["c"] = Tensor({2, 4, 2});
  problem.initialStates["S"] = Tensor({2, 2, 4, 3});
  problem.initialStates["F"] = Tensor({2, 2, 4, 3});
  problem.initialStates["n"] = Tensor({2, 2, 4});
  problem.initialStates["m"] = Tensor({2, 2});
  Uniform uniform(3);
  for (Tensors *tensors : {&problem.inputs, &problem.initialStates})
    for (auto &entry : *tensors)
      fill(entry.second.data, uniform);
  drawCotangents(problem, 4);
  compareWithDifferences(problem, computeGradient(problem), /*numSingle=*/6, 5);

  // States that start with their `init` have a gradient too.
  problem.initialStates.clear();
  Gradient gradient = computeGradient(problem);
  problem.initialStates["S"] = Tensor({2, 2, 4, 3}, 1.0);
  for (auto [name, shape] : {std::pair("F", std::vector<int64_t>{2, 2, 4, 3}),
                             std::pair("n", std::vector<int64_t>{2, 2, 4}), std::pair("m", std::vector<int64_t>{2, 2})})
    problem.initialStates[name] = Tensor(shape);
  compareWithDifferences(problem, gradient, /*numSingle=*/2, 6);
}

static const char *const kGated = R"(
  rondo.mixer @gated(%q: !rondo.val<2> {rondo.name = "q", rondo.grouped}, %k: !rondo.val<2> {rondo.name = "k"},
                     %v: !rondo.val<1> {rondo.name = "v"}, %g: !rondo.val<> {rondo.name = "g"},
                     %A: !rondo.val<> {rondo.name = "A", rondo.kind = "param"}) -> (!rondo.val<1> {rondo.name = "o"}) {
    %S = rondo.state "S" : !rondo.state<2, 1>
    %z = rondo.binary mul %g, %A : !rondo.val<>, !rondo.val<> -> !rondo.val<>
    %a = rondo.unary exp %z : !rondo.val<>
    rondo.decay %S, %a : !rondo.state<2, 1>, !rondo.val<>
    rondo.write %S, %k, %v : !rondo.state<2, 1>, !rondo.val<2>, !rondo.val<1>
    %o = rondo.read %S, %q rows : !rondo.state<2, 1>, !rondo.val<2> -> !rondo.val<1>
    rondo.yield %o : !rondo.val<1>
  })";

TEST_F(GradientTest, NothingPassesAReset) {
  Problem problem;
  problem.mixer = parse(kGated);
  ASSERT_TRUE(problem.mixer);
  problem.inputs["q"] = make({1, 3, 1, 2}, {1, 2, 1, 2, 1, 2});
  problem.inputs["k"] = make({1, 3, 1, 2}, {1, 0, 1, 1, 0, 1});
  problem.inputs["v"] = make({1, 3, 1, 1}, {1e300, 3, 5});
  problem.inputs["g"] = make({1, 3, 1}, {std::log(0.5), -kInf, std::log(0.5)});
  problem.inputs["A"] = make({1}, {1});
  problem.outputCotangents["o"] = make({1, 3, 1, 1}, {0, 0, 1});
  Gradient gradient = computeGradient(problem);
  EXPECT_EQ(gradient.inputs["v"].data, (Values{0, 1.5, 2}));
  // o = q . (0.5 (3, 3) + (0, 5)): its derivative in g is 0.5 * 3 * (1 + 2).
  EXPECT_EQ(gradient.inputs["g"].data, (Values{0, 0, 4.5}));
  // The reset has -inf * 0 in the gradient of A.
  EXPECT_DOUBLE_EQ(gradient.inputs["A"].data[0], 4.5 * std::log(0.5));
  EXPECT_EQ(gradient.inputs["q"].data, (Values{0, 0, 0, 0, 1.5, 6.5}));
  EXPECT_EQ(gradient.initialStates["S"].data, (Values{0, 0}));
}

TEST_F(GradientTest, NoTokensAndMissingCotangents) {
  Problem problem;
  problem.mixer = parse(kGated);
  ASSERT_TRUE(problem.mixer);
  problem.inputs["q"] = make({1, 0, 1, 2}, {});
  problem.inputs["k"] = make({1, 0, 2, 2}, {});
  problem.inputs["v"] = make({1, 0, 2, 1}, {});
  problem.inputs["g"] = make({1, 0, 2}, {});
  problem.inputs["A"] = make({2}, {1, 2});
  problem.finalStateCotangents["S"] = make({1, 2, 2, 1}, {3, 4, 5, 6});
  Gradient gradient = computeGradient(problem);
  EXPECT_EQ(gradient.initialStates["S"].data, (Values{3, 4, 5, 6}));
  EXPECT_EQ(gradient.inputs["q"].shape, (std::vector<int64_t>{1, 0, 1, 2}));
  EXPECT_EQ(gradient.inputs["A"].data, (Values{0, 0}));
  problem.finalStateCotangents.clear();
  EXPECT_EQ(computeGradient(problem).initialStates["S"].data, (Values{0, 0, 0, 0}));
}

TEST_F(GradientTest, WrongArrays) {
  Problem problem;
  problem.mixer = parse(kGated);
  ASSERT_TRUE(problem.mixer);
  problem.inputs["q"] = Tensor({1, 3, 1, 2});
  problem.inputs["k"] = Tensor({1, 3, 2, 2});
  problem.inputs["v"] = Tensor({1, 3, 2, 1});
  problem.inputs["g"] = Tensor({1, 3, 2});
  problem.inputs["A"] = Tensor({2});
  auto error = [&](const Problem &wrong) {
    Gradient gradient;
    std::string message;
    EXPECT_TRUE(
        failed(interpretGradient(wrong.mixer, wrong.inputs, wrong.initialStates, wrong.outputCotangents,
                                 wrong.finalStateCotangents, gradient.inputs, gradient.initialStates, message)));
    return message;
  };
  Problem wrong = problem;
  wrong.inputs.erase("g");
  EXPECT_EQ(error(wrong), "argument 'g' is missing");
  wrong = problem;
  wrong.outputCotangents["x"] = Tensor({1, 3, 2, 1});
  EXPECT_EQ(error(wrong), "there is no output 'x'");
  wrong = problem;
  wrong.outputCotangents["o"] = Tensor({1, 3, 1, 1});
  EXPECT_EQ(error(wrong), "cotangent of output 'o' has shape [1, 3, 1, 1], expected [1, 3, 2, 1]");
  wrong = problem;
  wrong.finalStateCotangents["S"] = Tensor({1, 2, 2});
  EXPECT_EQ(error(wrong), "cotangent of state 'S' has shape [1, 2, 2], expected [1, 2, 2, 1]");
}

//===----------------------------------------------------------------------===//
// The library
//===----------------------------------------------------------------------===//

static Tensors toTensors(const llvm::StringMap<NpyArray> &arrays) {
  Tensors tensors;
  for (const auto &entry : arrays)
    tensors[entry.first()] = make(entry.second.shape, entry.second.toDoubles());
  return tensors;
}

namespace {
class MixerGradientTest : public testing::TestWithParam<std::string> {
protected:
  MixerGradientTest() : context(MLIRContext::Threading::DISABLED) { context.loadDialect<RondoDialect>(); }

  MLIRContext context;
};
} // namespace

TEST_P(MixerGradientTest, IsThatOfTheInterpreter) {
  llvm::SourceMgr sources;
  auto buffer = llvm::MemoryBuffer::getFile(GetParam());
  ASSERT_TRUE(bool(buffer)) << GetParam();
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  OwningOpRef<ModuleOp> module = parseRondo(sources, &context);
  ASSERT_TRUE(module);
  FailureOr<Generators> generators = parseCheckComments(sources, *module);
  ASSERT_TRUE(succeeded(generators));
  for (auto mixer : module->getOps<MixerOp>()) {
    llvm::StringMap<int64_t> sizes;
    int64_t size = 2;
    for (const std::string &name : getSizeNames(mixer))
      sizes[name] = size += 2;
    ASSERT_TRUE(succeeded(specialize(mixer, sizes)));
  }
  OwningOpRef<ModuleOp> raised = module->clone();
  PassManager pm = PassManager::on<ModuleOp>(&context);
  pm.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  ASSERT_TRUE(succeeded(pm.run(*raised)));

  for (auto [mixer, raisedMixer] : llvm::zip_equal(module->getOps<MixerOp>(), raised->getOps<MixerOp>()))
    for (GateKind gates : getGateKinds(*generators))
      for (int64_t time : {1, 6, 25}) {
        SCOPED_TRACE(mixer.getSymName().str() + " gates " + stringifyGateKind(gates).str() + " T " +
                     std::to_string(time));
        GradientCase gradientCase;
        gradientCase.gates = gates;
        gradientCase.batch = 2;
        gradientCase.time = time;
        gradientCase.initialStates = true;
        gradientCase.seed = time;
        gradientCase.strongRuns = time == 25 ? 4 : 0;
        GradientArrays arrays = drawGradientArrays(mixer, *generators, gradientCase);
        Problem problem{mixer, toTensors(arrays.forward.inputs), toTensors(arrays.forward.initialStates),
                        toTensors(arrays.outputCotangents), toTensors(arrays.finalStateCotangents)};
        compareWithDifferences(problem, computeGradient(problem), /*numSingle=*/2, time);

        // The form with updates has the same gradient.
        auto raisedArrays = interpretGradientArrays(raisedMixer, arrays);
        ASSERT_TRUE(bool(raisedArrays)) << llvm::toString(raisedArrays.takeError());
        auto results = compareGradients(mixer, *raisedArrays);
        ASSERT_TRUE(bool(results)) << llvm::toString(results.takeError());
        for (const GradientResult &result : *results)
          EXPECT_TRUE(result.isWithin(1e-11)) << result.name << " " << result.error << " " << result.wrongNonFinite;
      }
}

INSTANTIATE_TEST_SUITE_P(Mixers, MixerGradientTest, testing::ValuesIn(mixerFiles()),
                         [](const auto &info) { return llvm::sys::path::stem(info.param).str(); });

//===----------------------------------------------------------------------===//
// Checking kernels
//===----------------------------------------------------------------------===//

namespace {
class CheckGradientsTest : public GradientTest {
protected:
  /// A backward kernel that is the interpreter, with `change` applied to what it gives.
  std::vector<GradientResult> check(llvm::function_ref<void(GradientArrays &)> change,
                                    ElementType type = ElementType::f32) {
    MixerOp mixer = parse(kGated);
    GradientCase gradientCase;
    gradientCase.batch = 2;
    gradientCase.time = 20;
    gradientCase.initialStates = true;
    gradientCase.type = type;
    auto kernel = [&](GradientArrays &arrays) -> llvm::Error {
      auto exact = interpretGradientArrays(mixer, arrays);
      if (!exact)
        return exact.takeError();
      for (auto &entry : arrays.inputGradients)
        entry.second = exact->inputGradients[entry.first()].convertTo(entry.second.type);
      for (auto &entry : arrays.initialStateGradients)
        entry.second = exact->initialStateGradients[entry.first()].convertTo(entry.second.type);
      change(arrays);
      return llvm::Error::success();
    };
    Generators generators;
    generators["g"].kind = Generator::Kind::decay;
    auto results = checkGradients(mixer, generators, gradientCase, kernel);
    if (!results) {
      ADD_FAILURE() << llvm::toString(results.takeError());
      return {};
    }
    return *results;
  }
};
} // namespace

TEST_F(CheckGradientsTest, ARightKernelIsWithinRounding) {
  auto results = check([](GradientArrays &) {});
  std::vector<std::string> names;
  for (const GradientResult &result : results) {
    names.push_back(result.name);
    EXPECT_EQ(result.isState, result.name == "S");
    EXPECT_TRUE(result.isWithin(1e-7)) << result.name << " " << result.error;
    EXPECT_LT(result.worstHeadError, 1e-6);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"q", "k", "v", "g", "A", "S"}));
  for (const GradientResult &result : check([](GradientArrays &) {}, ElementType::bf16)) {
    bool isF32 = result.isState || result.name == "A";
    EXPECT_EQ(result.isWithin(1e-5), isF32) << result.name << " " << result.error;
    EXPECT_TRUE(result.isWithin(4e-3)) << result.name << " " << result.error;
  }
}

TEST_F(CheckGradientsTest, WrongGradientsAreFound) {
  auto results = check([](GradientArrays &arrays) {
    NpyArray &q = arrays.inputGradients["q"], &A = arrays.inputGradients["A"];
    q = NpyArray(q.type, q.shape);
    arrays.inputGradients["k"].data<float>()[3] = NAN;
    arrays.inputGradients.erase("v");
    for (int64_t i = 0; i < 2 * 20 * 2; ++i)
      arrays.inputGradients["g"].data<float>()[i] *= 1.5;
    A.data<float>()[0] *= -1;
    arrays.initialStateGradients["S"].data<float>()[2] = INFINITY;
  });
  ASSERT_EQ(results.size(), 6u);
  auto [q, k, v, g, A, S] = std::array{results[0], results[1], results[2], results[3], results[4], results[5]};
  EXPECT_TRUE(q.isWronglyZero);
  EXPECT_EQ(q.error, 1);
  EXPECT_FALSE(q.isWithin(2));
  EXPECT_EQ(k.wrongNonFinite, 1);
  EXPECT_FALSE(k.isWronglyZero);
  EXPECT_FALSE(k.isWithin(2));
  EXPECT_EQ(v.wrongNonFinite, 2 * 20 * 2);
  EXPECT_NEAR(g.error, 0.5, 1e-6);
  EXPECT_NEAR(g.worstHeadError, 0.5, 1e-6);
  EXPECT_NEAR(A.worstHeadError, 2, 1e-6);
  EXPECT_LT(A.error, 2);
  EXPECT_EQ(S.wrongNonFinite, 1);
}

TEST_F(CheckGradientsTest, StrongRuns) {
  MixerOp mixer = parse(kGated);
  Generators generators;
  generators["g"].kind = Generator::Kind::decay;
  GradientCase gradientCase;
  gradientCase.batch = 2;
  gradientCase.time = 20;
  GradientArrays soft = drawGradientArrays(mixer, generators, gradientCase);
  gradientCase.strongRuns = 3;
  GradientArrays mixed = drawGradientArrays(mixer, generators, gradientCase);
  EXPECT_EQ(soft.forward.inputs["k"].bytes, mixed.forward.inputs["k"].bytes);
  Values softGates = soft.forward.inputs["g"].toDoubles(), mixedGates = mixed.forward.inputs["g"].toDoubles();
  for (int64_t i = 0; i < 2 * 20 * 2; ++i)
    EXPECT_EQ(softGates[i] == mixedGates[i], i / 2 % 20 / 3 % 2 == 0) << i;
}

TEST_F(CheckGradientsTest, AnErrorOfTheKernelIsPassedOn) {
  auto results = checkGradients(parse(kGated), Generators(), GradientCase(),
                                [](GradientArrays &) { return llvm::createStringError("no"); });
  ASSERT_FALSE(results);
  EXPECT_EQ(llvm::toString(results.takeError()), "no");
}
