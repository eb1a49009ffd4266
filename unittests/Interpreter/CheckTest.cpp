//===- CheckTest.cpp - The inputs that are drawn and the distance that is measured ------------------------------===//

#include "rondo/Interpreter/Check.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace rondo;

static const char *const kMixer = R"(
  rondo.mixer @gated(%q: !rondo.val<8> {rondo.name = "q", rondo.grouped}, %k: !rondo.val<8> {rondo.name = "k"},
                     %v: !rondo.val<4> {rondo.name = "v"}, %g: !rondo.val<> {rondo.name = "g"},
                     %w: !rondo.val<4> {rondo.name = "w", rondo.kind = "param"}) -> (!rondo.val<4> {rondo.name = "o"}) {
    %S = rondo.state "S" : !rondo.state<8, 4>
    %a = rondo.unary exp %g : !rondo.val<>
    rondo.decay %S, %a : !rondo.state<8, 4>, !rondo.val<>
    rondo.write %S, %k, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
    %r = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
    %o = rondo.binary mul %r, %w : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
    rondo.yield %o : !rondo.val<4>
  })";

namespace {
class CheckTest : public testing::Test {
protected:
  CheckTest() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<RondoDialect>();
    module = parseSourceString<ModuleOp>(kMixer, &context);
    mixer = *module->getOps<MixerOp>().begin();
  }

  /// Reads the comments in `text`; the message of an error goes to `message`.
  FailureOr<Generators> parse(StringRef text) {
    llvm::SourceMgr sources;
    sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "m.rondo"), llvm::SMLoc());
    sources.setDiagHandler(
        [](const llvm::SMDiagnostic &diagnostic, void *self) {
          static_cast<CheckTest *>(self)->message = std::to_string(diagnostic.getLineNo()) + ":" +
                                                    std::to_string(diagnostic.getColumnNo() + 1) + ": " +
                                                    diagnostic.getMessage().str();
        },
        this);
    return parseCheckComments(sources, *module);
  }

  std::vector<double> draw(StringRef name, Generator generator, GateKind gates = GateKind::soft) {
    Generators generators;
    generators[name] = generator;
    CheckCase checkCase;
    checkCase.gates = gates;
    checkCase.time = 500;
    return drawArrays(mixer, generators, checkCase).inputs[name].toDoubles();
  }

  /// A kernel that is the interpreter, with `change` applied to what it gives.
  std::vector<CheckResult> check(const CheckCase &checkCase, llvm::function_ref<void(CheckArrays &)> change) {
    auto kernel = [&](CheckArrays &arrays) -> llvm::Error {
      auto exact = interpretArrays(mixer, arrays);
      if (!exact)
        return exact.takeError();
      arrays.outputs["o"] = exact->outputs["o"].convertTo(checkCase.type);
      arrays.finalStates["S"] = exact->finalStates["S"].convertTo(ElementType::f32);
      change(arrays);
      return llvm::Error::success();
    };
    auto results = checkKernel(mixer, Generators(), checkCase, kernel);
    if (!results) {
      ADD_FAILURE() << llvm::toString(results.takeError());
      return {};
    }
    return *results;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  MixerOp mixer;
  std::string message;
};
} // namespace

using Kind = Generator::Kind;

TEST_F(CheckTest, Comments) {
  auto generators = parse("# A mixer.\n"
                          "# check: q unit, g decay,w in -1:2.5\n"
                          "mixer gated(q[K])  # check: k normal 0.5\n"
                          "  // check: S normal");
  ASSERT_TRUE(succeeded(generators)) << message;
  EXPECT_EQ(generators->size(), 4u);
  EXPECT_EQ((*generators)["q"].kind, Kind::unit);
  EXPECT_EQ((*generators)["g"].kind, Kind::decay);
  EXPECT_EQ((*generators)["w"].kind, Kind::range);
  EXPECT_EQ((*generators)["w"].low, -1);
  EXPECT_EQ((*generators)["w"].high, 2.5);
  EXPECT_EQ((*generators)["S"].kind, Kind::normal);
  EXPECT_FALSE(generators->contains("k")) << "a comment after code is not for the checker";
}

TEST_F(CheckTest, WrongComments) {
  EXPECT_TRUE(failed(parse("\n# check: q unit, x unit")));
  EXPECT_EQ(message, "2:18: no argument or state is named 'x'");
  for (const char *text : {"# check: q", "# check: q units", "# check: q in 1", "# check: q in 2:1",
                           "# check: q unit 2", "# check: q normal x"}) {
    EXPECT_TRUE(failed(parse(text))) << text;
    EXPECT_EQ(message, "1:10: write 'q' and one of: normal, normal SCALE, unit, in LOW:HIGH, decay, factor");
  }
}

TEST_F(CheckTest, GatesVaryOnlyWhereThereAreDecays) {
  EXPECT_EQ(getGateKinds(Generators()).size(), 1u);
  Generators generators;
  generators["g"].kind = Kind::factor;
  EXPECT_EQ(getGateKinds(generators).size(), 4u);
}

TEST_F(CheckTest, DrawnNumbers) {
  for (double x : draw("v", {Kind::range, -0.5, 0.25})) {
    EXPECT_GE(x, -0.5);
    EXPECT_LE(x, 0.25);
  }
  std::vector<double> unit = draw("k", {Kind::unit});
  for (size_t begin = 0; begin < unit.size(); begin += 8) {
    double squares = 0;
    for (size_t i = begin; i < begin + 8; ++i)
      squares += unit[i] * unit[i];
    EXPECT_NEAR(squares, 1, 1e-6);
  }
  double sum = 0, squares = 0;
  std::vector<double> normal = draw("v", {Kind::normal, 0, 2});
  for (double x : normal) {
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / normal.size(), 0, 0.1);
  EXPECT_NEAR(squares / normal.size(), 4, 0.3);
}

TEST_F(CheckTest, DrawnDecays) {
  auto share = [](const std::vector<double> &values, auto predicate) {
    return double(llvm::count_if(values, predicate)) / values.size();
  };
  for (GateKind gates : {GateKind::soft, GateKind::strong, GateKind::resets, GateKind::zero})
    for (double x : draw("g", {Kind::decay}, gates))
      EXPECT_LE(x, 0);
  EXPECT_EQ(share(draw("g", {Kind::decay}, GateKind::zero), [](double x) { return x == 0; }), 1);
  EXPECT_EQ(share(draw("g", {Kind::decay}, GateKind::soft), [](double x) { return x > -0.1; }), 1);
  EXPECT_GT(share(draw("g", {Kind::decay}, GateKind::strong), [](double x) { return x < -1; }), 0.8);
  std::vector<double> resets = draw("g", {Kind::decay}, GateKind::resets);
  double minusInf = share(resets, [](double x) { return std::isinf(x); });
  double large = share(resets, [](double x) { return x == -1e4; });
  EXPECT_GT(minusInf, 0.01);
  EXPECT_GT(large, 0.01);
  EXPECT_LT(minusInf + large, 0.15);
  EXPECT_GT(share(draw("g", {Kind::factor}, GateKind::resets), [](double x) { return x == 0; }), 0.03);
}

TEST_F(CheckTest, ShapesTypesAndSeeds) {
  CheckCase checkCase;
  checkCase.batch = 2;
  checkCase.time = 3;
  checkCase.heads = 4;
  checkCase.groupedHeads = 2;
  checkCase.type = ElementType::bf16;
  checkCase.types["g"] = ElementType::f32;
  checkCase.initialStates = true;
  CheckArrays arrays = drawArrays(mixer, Generators(), checkCase);
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(arrays.inputs["q"].shape, (Shape{2, 3, 2, 8}));
  EXPECT_EQ(arrays.inputs["k"].shape, (Shape{2, 3, 4, 8}));
  EXPECT_EQ(arrays.inputs["g"].shape, (Shape{2, 3, 4}));
  EXPECT_EQ(arrays.inputs["w"].shape, (Shape{4, 4}));
  EXPECT_EQ(arrays.initialStates["S"].shape, (Shape{2, 4, 8, 4}));
  EXPECT_EQ(arrays.inputs["k"].type, ElementType::bf16);
  EXPECT_EQ(arrays.inputs["g"].type, ElementType::f32);
  EXPECT_EQ(arrays.inputs["w"].type, ElementType::f32);
  EXPECT_EQ(arrays.outputs["o"].type, ElementType::bf16);
  for (double x : arrays.outputs["o"].toDoubles())
    EXPECT_TRUE(std::isnan(x));
  EXPECT_EQ(drawArrays(mixer, Generators(), checkCase).inputs["v"].bytes, arrays.inputs["v"].bytes);
  checkCase.seed = 1;
  EXPECT_NE(drawArrays(mixer, Generators(), checkCase).inputs["v"].bytes, arrays.inputs["v"].bytes);
}

TEST_F(CheckTest, ARightKernelIsWithinRounding) {
  CheckCase checkCase;
  checkCase.time = 20;
  checkCase.initialStates = true;
  for (const CheckResult &result : check(checkCase, [](CheckArrays &) {}))
    EXPECT_TRUE(result.isWithin(1e-7)) << result.name << " " << result.error;
  checkCase.type = ElementType::bf16;
  auto results = check(checkCase, [](CheckArrays &) {});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].name, "o");
  EXPECT_FALSE(results[0].isState);
  EXPECT_GT(results[0].error, 1e-4);
  EXPECT_LT(results[0].error, 4e-3);
  EXPECT_EQ(results[1].name, "S");
  EXPECT_TRUE(results[1].isState);
}

TEST_F(CheckTest, TheWorstHeadCounts) {
  CheckCase checkCase;
  checkCase.time = 20;
  // Doubling one head of two is an error of 1 there.
  auto results = check(checkCase, [](CheckArrays &arrays) {
    float *o = arrays.outputs["o"].data<float>();
    for (int64_t t = 0; t < 20; ++t)
      for (int64_t i = 0; i < 4; ++i)
        o[(t * 2 + 1) * 4 + i] *= 2;
  });
  EXPECT_NEAR(results[0].error, 1, 1e-6);
  EXPECT_LT(results[1].error, 1e-6);
}

TEST_F(CheckTest, WhatTheKernelLeavesOutIsCounted) {
  CheckCase checkCase;
  checkCase.time = 2;
  auto results = check(checkCase, [](CheckArrays &arrays) {
    arrays.outputs["o"].data<float>()[3] = NAN;
    arrays.finalStates["S"].data<float>()[0] = INFINITY;
    arrays.finalStates["S"].data<float>()[1] = NAN;
  });
  EXPECT_EQ(results[0].wrongNonFinite, 1);
  EXPECT_EQ(results[1].wrongNonFinite, 2);
  EXPECT_FALSE(results[0].isWithin(1));
}

TEST_F(CheckTest, AnErrorOfTheKernelIsPassedOn) {
  auto results =
      checkKernel(mixer, Generators(), CheckCase(), [](CheckArrays &) { return llvm::createStringError("no"); });
  ASSERT_FALSE(results);
  EXPECT_EQ(llvm::toString(results.takeError()), "no");
}
