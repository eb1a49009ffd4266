//===- InterpreterTest.cpp - The interpreter against values worked out by hand ----------------------------------===//

#include "rondo/Interpreter/Interpreter.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace rondo;

constexpr double kInf = std::numeric_limits<double>::infinity();

namespace {
class InterpreterTest : public testing::Test {
protected:
  InterpreterTest() : context(MLIRContext::Threading::DISABLED) { context.loadDialect<RondoDialect>(); }

  /// Parses `text`, which holds one mixer.
  MixerOp parse(const std::string &text) {
    module = parseSourceString<ModuleOp>(text, &context);
    return module ? *module->getOps<MixerOp>().begin() : MixerOp();
  }

  /// Runs one mixer and gives its output "o".
  std::vector<double> run(const std::string &text, const llvm::StringMap<Tensor> &inputs,
                          const llvm::StringMap<Tensor> &initialStates = {}) {
    MixerOp mixer = parse(text);
    EXPECT_TRUE(mixer);
    std::string error;
    EXPECT_TRUE(mixer && succeeded(interpret(mixer, inputs, initialStates, outputs, finalStates, error))) << error;
    return outputs["o"].data;
  }

  /// The value of `body` for one token with the inputs x and y, all of the types given; `body` defines %o.
  std::vector<double> evaluate(const std::string &body, const std::string &result, const std::string &xType,
                               std::vector<double> x, const std::string &yType = "", std::vector<double> y = {0}) {
    auto type = [](const std::string &sizes) { return "!rondo.val<" + sizes + ">"; };
    std::string text = "rondo.mixer @m(%x: " + type(xType) + " {rondo.name = \"x\"}, %y: " + type(yType) +
                       " {rondo.name = \"y\"}) -> (" + type(result) + " {rondo.name = \"o\"}) {\n" + body +
                       "\nrondo.yield %o : " + type(result) + "\n}";
    return run(text, {{"x", token(xType, x)}, {"y", token(yType, y)}});
  }

  static Tensor token(StringRef sizes, std::vector<double> data) {
    Tensor tensor;
    tensor.shape = {1, 1, 1};
    SmallVector<StringRef> parts;
    sizes.split(parts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
    for (StringRef part : parts)
      tensor.shape.push_back(Dim::parse(part)->getConstant().value());
    tensor.data = std::move(data);
    return tensor;
  }

  static Tensor make(std::vector<int64_t> shape, std::vector<double> data) {
    Tensor tensor;
    tensor.shape = std::move(shape);
    tensor.data = std::move(data);
    return tensor;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  llvm::StringMap<Tensor> outputs, finalStates;
};
} // namespace

using Values = std::vector<double>;

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

TEST_F(InterpreterTest, Unary) {
  auto unary = [&](const std::string &kind, double x) {
    return evaluate("%o = rondo.unary " + kind + " %x : !rondo.val<>", "", "", {x})[0];
  };
  EXPECT_EQ(unary("neg", 2), -2);
  EXPECT_EQ(unary("exp", -kInf), 0);
  EXPECT_DOUBLE_EQ(unary("log", 8), std::log(8.0));
  EXPECT_EQ(unary("sqrt", 9), 3);
  EXPECT_EQ(unary("rsqrt", 4), 0.5);
  EXPECT_EQ(unary("abs", -3), 3);
  EXPECT_EQ(unary("sigmoid", 0), 0.5);
  EXPECT_EQ(unary("sigmoid", -kInf), 0);
  EXPECT_DOUBLE_EQ(unary("log_sigmoid", 0), -std::log(2.0));
  EXPECT_EQ(unary("log_sigmoid", -1000), -1000);
  EXPECT_EQ(unary("log_sigmoid", 1000), 0);
  EXPECT_DOUBLE_EQ(unary("softplus", 0), std::log(2.0));
  EXPECT_EQ(unary("softplus", 1000), 1000);
  EXPECT_EQ(unary("softplus", -1000), 0);
  EXPECT_DOUBLE_EQ(unary("silu", 1), 1 / (1 + std::exp(-1.0)));
  EXPECT_EQ(unary("relu", -1), 0);
  EXPECT_EQ(unary("relu", 2), 2);
  EXPECT_EQ(unary("elu", 2), 2);
  EXPECT_DOUBLE_EQ(unary("elu", -1), std::exp(-1.0) - 1);
  EXPECT_DOUBLE_EQ(unary("tanh", 0.5), std::tanh(0.5));
  EXPECT_DOUBLE_EQ(unary("sin", 0.5), std::sin(0.5));
  EXPECT_DOUBLE_EQ(unary("cos", 0.5), std::cos(0.5));
  EXPECT_DOUBLE_EQ(unary("expm1", 1e-9), std::expm1(1e-9));
}

TEST_F(InterpreterTest, Binary) {
  auto binary = [&](const std::string &kind, double x, double y) {
    return evaluate("%o = rondo.binary " + kind + " %x, %y : !rondo.val<>, !rondo.val<> -> !rondo.val<>", "", "", {x},
                    "", {y})[0];
  };
  EXPECT_EQ(binary("add", 5, 2), 7);
  EXPECT_EQ(binary("sub", 5, 2), 3);
  EXPECT_EQ(binary("mul", 5, 2), 10);
  EXPECT_EQ(binary("div", 5, 2), 2.5);
  EXPECT_EQ(binary("max", 5, -kInf), 5);
  EXPECT_TRUE(std::isnan(binary("max", 5, NAN)));
  EXPECT_TRUE(std::isnan(binary("max", NAN, 5)));
  EXPECT_EQ(binary("min", 5, 2), 2);
  EXPECT_EQ(binary("pow", 4, -0.5), 0.5);
  EXPECT_EQ(binary("lt", 1, 1), 0);
  EXPECT_EQ(binary("le", 1, 1), 1);
  EXPECT_EQ(binary("gt", 2, 1), 1);
  EXPECT_EQ(binary("ge", 0, 1), 0);
  EXPECT_EQ(binary("eq", 1, 1), 1);
  EXPECT_EQ(binary("ne", 1, 1), 0);
}

TEST_F(InterpreterTest, BinaryUsesAScalarForEveryElement) {
  EXPECT_EQ(evaluate("%o = rondo.binary sub %x, %y : !rondo.val<3>, !rondo.val<> -> !rondo.val<3>", "3", "3", {1, 2, 3},
                     "", {1}),
            (Values{0, 1, 2}));
  EXPECT_EQ(evaluate("%o = rondo.binary sub %y, %x : !rondo.val<>, !rondo.val<3> -> !rondo.val<3>", "3", "3", {1, 2, 3},
                     "", {1}),
            (Values{0, -1, -2}));
}

TEST_F(InterpreterTest, Select) {
  EXPECT_EQ(evaluate("%o = rondo.select %x, %x, %y : !rondo.val<3>, !rondo.val<3>, !rondo.val<> -> !rondo.val<3>", "3",
                     "3", {2, 0, -1}, "", {9}),
            (Values{2, 9, -1}));
}

TEST_F(InterpreterTest, Broadcast) {
  EXPECT_EQ(evaluate("%o = rondo.broadcast %x rows : !rondo.val<2> -> !rondo.val<2,3>", "2,3", "2", {1, 2}),
            (Values{1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(evaluate("%o = rondo.broadcast %x cols : !rondo.val<3> -> !rondo.val<2,3>", "2,3", "3", {1, 2, 3}),
            (Values{1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(evaluate("%o = rondo.broadcast %x : !rondo.val<> -> !rondo.val<2>", "2", "", {7}), (Values{7, 7}));
}

TEST_F(InterpreterTest, TransposeAndOuter) {
  EXPECT_EQ(evaluate("%o = rondo.transpose %x : !rondo.val<2,3> -> !rondo.val<3,2>", "3,2", "2,3", {1, 2, 3, 4, 5, 6}),
            (Values{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(evaluate("%o = rondo.outer %x, %y : !rondo.val<2>, !rondo.val<3> -> !rondo.val<2,3>", "2,3", "2", {1, 2},
                     "3", {3, 4, 5}),
            (Values{3, 4, 5, 6, 8, 10}));
}

TEST_F(InterpreterTest, Matmul) {
  auto matmul = [&](const std::string &x, Values xs, const std::string &y, Values ys, const std::string &result) {
    return evaluate("%o = rondo.matmul %x, %y : !rondo.val<" + x + ">, !rondo.val<" + y + "> -> !rondo.val<" + result +
                        ">",
                    result, x, xs, y, ys);
  };
  EXPECT_EQ(matmul("2,3", {1, 2, 3, 4, 5, 6}, "3,2", {1, 0, 0, 1, 1, 1}, "2,2"), (Values{4, 5, 10, 11}));
  EXPECT_EQ(matmul("2,3", {1, 2, 3, 4, 5, 6}, "3", {1, 0, -1}, "2"), (Values{-2, -2}));
  EXPECT_EQ(matmul("2", {1, -1}, "2,3", {1, 2, 3, 4, 5, 6}, "3"), (Values{-3, -3, -3}));
  EXPECT_EQ(matmul("3", {1, 2, 3}, "3", {4, 5, 6}, ""), (Values{32}));
}

TEST_F(InterpreterTest, ReduceCumsumConcat) {
  EXPECT_EQ(evaluate("%o = rondo.reduce sum %x : !rondo.val<2,2> -> !rondo.val<>", "", "2,2", {1, 2, 3, 4}),
            Values{10});
  EXPECT_EQ(evaluate("%o = rondo.reduce max %x : !rondo.val<3> -> !rondo.val<>", "", "3", {1, 5, 3}), Values{5});
  EXPECT_EQ(evaluate("%o = rondo.reduce min %x : !rondo.val<3> -> !rondo.val<>", "", "3", {4, 5, 3}), Values{3});
  EXPECT_EQ(evaluate("%o = rondo.cumsum %x : !rondo.val<3>", "3", "3", {1, 5, 3}), (Values{1, 6, 9}));
  EXPECT_EQ(evaluate("%o = rondo.concat %x, %y, %x : !rondo.val<2>, !rondo.val<1>, !rondo.val<2> -> !rondo.val<5>", "5",
                     "2", {1, 2}, "1", {3}),
            (Values{1, 2, 3, 1, 2}));
}

TEST_F(InterpreterTest, RotateTurnsPairsOfRows) {
  double s = std::sqrt(0.5), quarter = std::acos(0.0);
  Values o = evaluate("%o = rondo.rotate %x, %y : !rondo.val<4>, !rondo.val<2> -> !rondo.val<4>", "4", "4",
                      {1, 0, 1, 0}, "2", {quarter, quarter / 2});
  Values expected = {0, 1, s, s};
  for (int i = 0; i < 4; ++i)
    EXPECT_NEAR(o[i], expected[i], 1e-15);
  o = evaluate("%o = rondo.rotate %x, %y : !rondo.val<2,2>, !rondo.val<1> -> !rondo.val<2,2>", "2,2", "2,2",
               {1, 2, 3, 4}, "1", {quarter});
  expected = {-3, -4, 1, 2};
  for (int i = 0; i < 4; ++i)
    EXPECT_NEAR(o[i], expected[i], 1e-15);
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

/// A delta rule in micro-steps. With k = (1, 0) the second write replaces what the first one stored for that key.
static const char *const kDelta = R"(
  rondo.mixer @delta(%q: !rondo.val<2> {rondo.name = "q"}, %k: !rondo.val<2> {rondo.name = "k"},
                     %v: !rondo.val<1> {rondo.name = "v"}, %g: !rondo.val<> {rondo.name = "g"})
      -> (!rondo.val<1> {rondo.name = "o"}) {
    %S = rondo.state "S" : !rondo.state<2, 1>
    %a = rondo.unary exp %g : !rondo.val<>
    rondo.decay %S, %a : !rondo.state<2, 1>, !rondo.val<>
    %p = rondo.read %S, %k rows : !rondo.state<2, 1>, !rondo.val<2> -> !rondo.val<1>
    %d = rondo.binary sub %v, %p : !rondo.val<1>, !rondo.val<1> -> !rondo.val<1>
    rondo.write %S, %k, %d : !rondo.state<2, 1>, !rondo.val<2>, !rondo.val<1>
    %o = rondo.read %S, %q rows : !rondo.state<2, 1>, !rondo.val<2> -> !rondo.val<1>
    rondo.yield %o : !rondo.val<1>
  })";

/// The same as it comes from the front end, with loads and stores of the whole state.
static const char *const kDeltaStores = R"(
  rondo.mixer @delta(%q: !rondo.val<2> {rondo.name = "q"}, %k: !rondo.val<2> {rondo.name = "k"},
                     %v: !rondo.val<1> {rondo.name = "v"}, %g: !rondo.val<> {rondo.name = "g"})
      -> (!rondo.val<1> {rondo.name = "o"}) {
    %S = rondo.state "S" : !rondo.state<2, 1>
    %a = rondo.unary exp %g : !rondo.val<>
    %s0 = rondo.load %S : !rondo.state<2, 1> -> !rondo.val<2, 1>
    %s1 = rondo.binary mul %a, %s0 : !rondo.val<>, !rondo.val<2, 1> -> !rondo.val<2, 1>
    rondo.store %S, %s1 : !rondo.state<2, 1>, !rondo.val<2, 1>
    %s2 = rondo.load %S : !rondo.state<2, 1> -> !rondo.val<2, 1>
    %p = rondo.read %S, %k rows : !rondo.state<2, 1>, !rondo.val<2> -> !rondo.val<1>
    %d = rondo.binary sub %v, %p : !rondo.val<1>, !rondo.val<1> -> !rondo.val<1>
    %w = rondo.outer %k, %d : !rondo.val<2>, !rondo.val<1> -> !rondo.val<2, 1>
    %s3 = rondo.binary add %s2, %w : !rondo.val<2, 1>, !rondo.val<2, 1> -> !rondo.val<2, 1>
    rondo.store %S, %s3 : !rondo.state<2, 1>, !rondo.val<2, 1>
    %o = rondo.read %S, %q rows : !rondo.state<2, 1>, !rondo.val<2> -> !rondo.val<1>
    rondo.yield %o : !rondo.val<1>
  })";

TEST_F(InterpreterTest, DeltaRuleReplacesAndForgets) {
  llvm::StringMap<Tensor> inputs;
  inputs["q"] = make({1, 4, 1, 2}, {1, 1, 1, 1, 1, 1, 1, 1});
  inputs["k"] = make({1, 4, 1, 2}, {1, 0, 1, 0, 0, 1, 0, 0});
  inputs["v"] = make({1, 4, 1, 1}, {5, 7, 2, 0});
  inputs["g"] = make({1, 4, 1}, {0, 0, 0, std::log(0.5)});
  for (const char *text : {kDelta, kDeltaStores}) {
    EXPECT_EQ(run(text, inputs), (Values{5, 7, 9, 4.5}));
    EXPECT_EQ(finalStates["S"].data, (Values{3.5, 1}));
    EXPECT_EQ(finalStates["S"].shape, (std::vector<int64_t>{1, 1, 2, 1}));
  }
}

TEST_F(InterpreterTest, AGateOfMinusInfinityIsAnExactReset) {
  llvm::StringMap<Tensor> inputs;
  inputs["q"] = make({1, 2, 1, 2}, {1, 1, 1, 1});
  inputs["k"] = make({1, 2, 1, 2}, {1, 0, 0, 1});
  inputs["v"] = make({1, 2, 1, 1}, {1e300, 3});
  inputs["g"] = make({1, 2, 1}, {0, -kInf});
  for (const char *text : {kDelta, kDeltaStores})
    EXPECT_EQ(run(text, inputs), (Values{1e300, 3}));
}

TEST_F(InterpreterTest, InitialStateAndNoTokens) {
  llvm::StringMap<Tensor> inputs;
  inputs["q"] = make({1, 0, 1, 2}, {});
  inputs["k"] = make({1, 0, 1, 2}, {});
  inputs["v"] = make({1, 0, 1, 1}, {});
  inputs["g"] = make({1, 0, 1}, {});
  EXPECT_EQ(run(kDelta, inputs, {{"S", make({1, 1, 2, 1}, {3, 4})}}), Values{});
  EXPECT_EQ(finalStates["S"].data, (Values{3, 4}));
}

TEST_F(InterpreterTest, InitialStateIsOfOneHead) {
  llvm::StringMap<Tensor> inputs;
  inputs["q"] = make({1, 1, 2, 2}, {1, 1, 1, 1});
  inputs["k"] = make({1, 1, 2, 2}, {0, 0, 0, 0});
  inputs["v"] = make({1, 1, 2, 1}, {0, 0});
  inputs["g"] = make({1, 1, 2}, {0, 0});
  EXPECT_EQ(run(kDelta, inputs, {{"S", make({1, 2, 2, 1}, {3, 4, 10, 20})}}), (Values{7, 30}));
}

TEST_F(InterpreterTest, GroupedArgumentsAndParameters) {
  const char *text = R"(
    rondo.mixer @m(%x: !rondo.val<> {rondo.name = "x"}, %y: !rondo.val<> {rondo.name = "y", rondo.grouped},
                   %w: !rondo.val<> {rondo.name = "w", rondo.kind = "param"}) -> (!rondo.val<> {rondo.name = "o"}) {
      %0 = rondo.binary add %x, %y : !rondo.val<>, !rondo.val<> -> !rondo.val<>
      %1 = rondo.binary add %0, %w : !rondo.val<>, !rondo.val<> -> !rondo.val<>
      rondo.yield %1 : !rondo.val<>
    })";
  llvm::StringMap<Tensor> inputs;
  inputs["x"] = make({2, 1, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  inputs["y"] = make({2, 1, 2}, {10, 20, 30, 40});
  inputs["w"] = make({4}, {100, 200, 300, 400});
  EXPECT_EQ(run(text, inputs), (Values{111, 212, 323, 424, 135, 236, 347, 448}));
}

TEST_F(InterpreterTest, MicroSteps) {
  const char *text = R"(
    rondo.mixer @m(%a: !rondo.val<2> {rondo.name = "a"}, %b: !rondo.val<2> {rondo.name = "b"},
                   %e: !rondo.val<2, 2> {rondo.name = "e"}, %t: !rondo.val<1> {rondo.name = "t"},
                   %c: !rondo.val<> {rondo.name = "c"}) -> (!rondo.val<2> {rondo.name = "o"}) {
      %S = rondo.state "S" init 1.0 : !rondo.state<2, 2>
      %F = rondo.state "F" : !rondo.state<2, 2>
      %n = rondo.state "n" : !rondo.state<2>
      %m = rondo.state "m" init 0xFFF0000000000000 : !rondo.state<>
      rondo.decay %S, %a rows : !rondo.state<2, 2>, !rondo.val<2>
      rondo.decay %S, %b cols : !rondo.state<2, 2>, !rondo.val<2>
      rondo.decay %S, %e : !rondo.state<2, 2>, !rondo.val<2, 2>
      rondo.accumulate %F, %c, %S : !rondo.state<2, 2>, !rondo.val<>, !rondo.state<2, 2>
      rondo.rotate_state %F, %t : !rondo.state<2, 2>, !rondo.val<1>
      rondo.write %n, %a, %c : !rondo.state<2>, !rondo.val<2>, !rondo.val<>
      %x = rondo.read %n, %b rows : !rondo.state<2>, !rondo.val<2> -> !rondo.val<>
      %m0 = rondo.load %m : !rondo.state<> -> !rondo.val<>
      %m1 = rondo.binary max %m0, %x : !rondo.val<>, !rondo.val<> -> !rondo.val<>
      rondo.store %m, %m1 : !rondo.state<>, !rondo.val<>
      %o = rondo.read %S, %a cols : !rondo.state<2, 2>, !rondo.val<2> -> !rondo.val<2>
      rondo.yield %o : !rondo.val<2>
    })";
  llvm::StringMap<Tensor> inputs;
  inputs["a"] = make({1, 1, 1, 2}, {2, 3});
  inputs["b"] = make({1, 1, 1, 2}, {5, 7});
  inputs["e"] = make({1, 1, 1, 2, 2}, {1, 2, 3, 4});
  inputs["t"] = make({1, 1, 1, 1}, {std::acos(-1.0)});
  inputs["c"] = make({1, 1, 1}, {10});
  // S = [[2*5*1, 2*7*2], [3*5*3, 3*7*4]], read along columns with a.
  EXPECT_EQ(run(text, inputs), (Values{104, 342}));
  EXPECT_EQ(finalStates["S"].data, (Values{10, 28, 45, 84}));
  Values turned = {-100, -280, -450, -840};
  for (int i = 0; i < 4; ++i)
    EXPECT_NEAR(finalStates["F"].data[i], turned[i], 1e-12);
  EXPECT_EQ(finalStates["n"].data, (Values{20, 30}));
  EXPECT_EQ(finalStates["m"].data, (Values{310}));
}

//===----------------------------------------------------------------------===//
// Wrong use
//===----------------------------------------------------------------------===//

TEST_F(InterpreterTest, WrongArrays) {
  MixerOp mixer = parse(kDelta);
  ASSERT_TRUE(mixer);
  auto error = [&](llvm::StringMap<Tensor> inputs, llvm::StringMap<Tensor> states = {}) {
    std::string message;
    EXPECT_TRUE(failed(interpret(mixer, inputs, states, outputs, finalStates, message)));
    return message;
  };
  llvm::StringMap<Tensor> good;
  good["q"] = Tensor({1, 3, 2, 2});
  good["k"] = Tensor({1, 3, 2, 2});
  good["v"] = Tensor({1, 3, 2, 1});
  good["g"] = Tensor({1, 3, 2});
  auto with = [&](StringRef name, std::vector<int64_t> shape) {
    llvm::StringMap<Tensor> inputs = good;
    inputs[name] = Tensor(std::move(shape));
    return inputs;
  };

  llvm::StringMap<Tensor> missing = good;
  missing.erase("g");
  EXPECT_EQ(error(missing), "argument 'g' is missing");
  EXPECT_EQ(error(with("g", {1, 3, 2, 1})), "argument 'g' has shape [1, 3, 2, 1], expected 3 dimensions");
  EXPECT_EQ(error(with("v", {1, 3, 2, 5})), "argument 'v' has shape [1, 3, 2, 5], expected [1, 3, 2, 1]");
  EXPECT_EQ(error(with("v", {1, 4, 2, 1})), "argument 'v' has shape [1, 4, 2, 1], expected [1, 3, 2, 1]");
  EXPECT_EQ(error(with("v", {1, 3, 3, 1})),
            "argument 'q' has 2 heads, which does not divide the 3 heads of the others");
  EXPECT_EQ(error(good, {{"S", Tensor({1, 2, 2, 2})}}),
            "initial state 'S' has shape [1, 2, 2, 2], expected [1, 2, 2, 1]");
}

TEST_F(InterpreterTest, NamedSizesAreRefused) {
  MixerOp mixer = parse(R"(rondo.mixer @m(%x: !rondo.val<K> {rondo.name = "x"}) { rondo.yield })");
  ASSERT_TRUE(mixer);
  std::string error;
  EXPECT_TRUE(failed(interpret(mixer, {{"x", Tensor({1, 1, 1, 4})}}, {}, outputs, finalStates, error)));
  EXPECT_EQ(error, "mixer 'm' has sizes that are names; specialise it first");
}
