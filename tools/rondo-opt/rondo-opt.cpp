//===- rondo-opt.cpp - Run passes on .mlir and .rondo files -----------------------------------------------------===//
//
// `mlir-opt` with Rondo's dialects and passes. An input file that ends in `.rondo` goes through Rondo's front end and
// then through the same pass options.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "mlir/IR/AsmState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Support/ToolUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Conversion/Tile.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Dialect/Tile/Tile.h"
#include "rondo/Frontend/Frontend.h"
#include "rondo/Target/CudaPipelines.h"
#include "rondo/Target/Pipelines.h"
#include "rondo/Transforms/Passes.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

/// Parses one `.rondo` buffer, runs the pipeline of the command line and prints the module.
static LogicalResult processBuffer(std::unique_ptr<llvm::MemoryBuffer> buffer, const MlirOptMainConfig &config,
                                   const DialectRegistry &registry, raw_ostream &os) {
  auto sourceMgr = std::make_shared<llvm::SourceMgr>();
  sourceMgr->AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);

  auto run = [&]() -> LogicalResult {
    OwningOpRef<ModuleOp> module = rondo::parseRondo(*sourceMgr, &context);
    if (!module)
      return failure();
    PassManager pm = PassManager::on<ModuleOp>(&context);
    pm.enableVerifier(config.shouldVerifyPasses());
    if (failed(applyPassManagerCLOptions(pm)) || failed(config.setupPassPipeline(pm)) || failed(pm.run(*module)))
      return failure();
    AsmState state(*module, OpPrintingFlags(), /*locationMap=*/nullptr);
    module->print(os, state);
    os << '\n';
    return success();
  };

  if (!config.shouldVerifyDiagnostics()) {
    rondo::RangeDiagnosticHandler handler(*sourceMgr, &context);
    return run();
  }
  SourceMgrDiagnosticVerifierHandler handler(*sourceMgr, &context, config.verifyDiagnosticsLevel());
  (void)run();
  return handler.verify();
}

static LogicalResult processRondoFile(StringRef inputName, StringRef outputName, const DialectRegistry &registry) {
  std::string error;
  auto input = openInputFile(inputName, &error);
  auto output = input ? openOutputFile(outputName, &error) : nullptr;
  if (!output) {
    llvm::errs() << error << '\n';
    return failure();
  }
  const MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  auto process = [&](std::unique_ptr<llvm::MemoryBuffer> chunk, raw_ostream &os) {
    return processBuffer(std::move(chunk), config, registry, os);
  };
  if (failed(splitAndProcessBuffer(std::move(input), process, output->os(), config.inputSplitMarker(),
                                   config.outputSplitMarker())))
    return failure();
  output->keep();
  return success();
}

int main(int argc, char **argv) {
  registerAllPasses();
  rondo::registerRondoTransformsPasses();
  rondo::registerRondoConversionPasses();
  rondo::registerCpuPipelines();
  rondo::registerCudaPipelines();
  rondo::registerTilePipelines();

  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<rondo::RondoDialect, rondo::chunk::ChunkDialect, rondo::tile::TileDialect>();

  auto [input, output] = registerAndParseCLIOptions(argc, argv, "Rondo's pass driver\n", registry);
  if (StringRef(input).ends_with(".rondo"))
    return asMainReturnCode(processRondoFile(input, output, registry));
  return asMainReturnCode(MlirOptMain(argc, argv, input, output, registry));
}
