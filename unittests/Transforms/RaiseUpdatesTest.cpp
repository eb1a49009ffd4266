//===- RaiseUpdatesTest.cpp - Raising updates keeps the meaning of every mixer of the library -------------------===//

#include "MixerFiles.h"
#include "mlir/Pass/PassManager.h"
#include "rondo/Frontend/Frontend.h"
#include "rondo/Interpreter/Check.h"
#include "rondo/Transforms/Passes.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace rondo;

namespace {
class RaiseUpdatesTest : public testing::TestWithParam<std::string> {
protected:
  RaiseUpdatesTest() : context(MLIRContext::Threading::DISABLED) { context.loadDialect<RondoDialect>(); }

  MLIRContext context;
};
} // namespace

TEST_P(RaiseUpdatesTest, KeepsTheMeaning) {
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
    int64_t size = 6;
    for (const std::string &name : getSizeNames(mixer))
      sizes[name] = size += 2;
    ASSERT_TRUE(succeeded(specialize(mixer, sizes)));
  }

  OwningOpRef<ModuleOp> raised = module->clone();
  PassManager pm = PassManager::on<ModuleOp>(&context);
  pm.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  ASSERT_TRUE(succeeded(pm.run(*raised)));

  for (auto [mixer, raisedMixer] : llvm::zip_equal(module->getOps<MixerOp>(), raised->getOps<MixerOp>()))
    for (GateKind gates : getGateKinds(*generators)) {
      CheckCase checkCase;
      checkCase.gates = gates;
      checkCase.time = 40;
      checkCase.initialStates = true;
      CheckArrays arrays = drawArrays(mixer, *generators, checkCase);
      auto raisedArrays = interpretArrays(raisedMixer, arrays);
      ASSERT_TRUE(bool(raisedArrays)) << llvm::toString(raisedArrays.takeError());
      auto results = compareWithInterpreter(mixer, *raisedArrays);
      ASSERT_TRUE(bool(results)) << llvm::toString(results.takeError());
      for (const CheckResult &result : *results)
        EXPECT_TRUE(result.isWithin(1e-11)) << stringifyGateKind(gates).str() << " " << result.name << " "
                                            << result.error << " " << result.wrongNonFinite;
    }
}

INSTANTIATE_TEST_SUITE_P(Mixers, RaiseUpdatesTest, testing::ValuesIn(mixerFiles()),
                         [](const auto &info) { return llvm::sys::path::stem(info.param).str(); });
