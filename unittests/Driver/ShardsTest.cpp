//===- ShardsTest.cpp - Summaries compose -----------------------------------------------------------------------===//

#include "rondo/Driver/Shards.h"
#include "MixerFiles.h"
#include "mlir/Pass/PassManager.h"
#include "rondo/Interpreter/Interpreter.h"
#include "rondo/Transforms/Passes.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace rondo;
using namespace rondo::driver;

class ShardsTest : public testing::TestWithParam<std::string> {};

/// One shard after the other is the same as their composition, for any numbers.
TEST_P(ShardsTest, Compose) {
  Options options;
  options.file = GetParam();
  std::unique_ptr<Source> source = Source::load(options);
  ASSERT_TRUE(source);
  MixerOp mixer = source->keepMixer(options);
  llvm::StringMap<int64_t> sizes;
  int64_t size = 2;
  for (const std::string &name : getSizeNames(mixer))
    sizes[name] = size += 2;
  ASSERT_TRUE(succeeded(specialize(mixer, sizes)));
  PassManager manager(&source->getContext(), ModuleOp::getOperationName());
  manager.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  manager.addNestedPass<MixerOp>(createRondoSummarize());
  ASSERT_TRUE(succeeded(manager.run(source->getModule())));
  SummaryAlgebra algebra(mixer);

  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  auto draw = [&](bool transitions) {
    Summary summary;
    for (StateOp state : mixer.getStates()) {
      if (state->hasAttr("rondo.transition") && !transitions)
        continue;
      std::vector<int64_t> shape = {1, 2};
      llvm::append_range(shape, state.getType().getShape());
      std::vector<double> values(Tensor::numElements(shape));
      for (double &value : values)
        value = normal(random);
      summary.states[state.getName()] = NpyArray::fromDoubles(values, shape, ElementType::f32);
    }
    return summary;
  };
  Summary first = draw(true), second = draw(true), begin = draw(false);
  auto expected = algebra.apply(second, algebra.apply(first, begin.states));
  auto actual = algebra.apply(algebra.compose(second, first), begin.states);
  for (const auto &entry : expected) {
    std::vector<double> x = entry.second.toDoubles(), y = actual[entry.first()].toDoubles();
    ASSERT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(x[i], y[i], 1e-4 * (1 + std::abs(x[i]))) << entry.first().str() << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Mixers, ShardsTest, testing::ValuesIn(mixerFiles()),
                         [](const auto &info) { return llvm::sys::path::stem(info.param).str(); });
