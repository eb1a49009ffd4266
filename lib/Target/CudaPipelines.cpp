//===- CudaPipelines.cpp - From the token form to GPU kernels ---------------------------------------------------===//

#include "rondo/Target/CudaPipelines.h"

#include "rondo/Conversion/Passes.h"
#include "rondo/Target/Pipelines.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "rondo/Conversion/Tile.h"
#include "rondo/Dialect/Tile/Tile.h"
#include "rondo/Transforms/Passes.h"

using namespace mlir;
using namespace rondo;

static void copyOptions(const CudaPipelineOptions &from, CpuPipelineOptions &to) {
  to.sizes = from.sizes;
  to.chunk = from.chunk;
  to.form = from.form;
  to.dtype = from.dtype;
  to.dtypes = from.dtypes;
  to.block = from.block;
}

void rondo::buildSimtThreadsPipeline(OpPassManager &pm, const CudaPipelineOptions &options) {
  CpuPipelineOptions cpu;
  copyOptions(options, cpu);
  buildBufferizePipeline(pm, cpu);
  OpPassManager &function = pm.nest<func::FuncOp>();
  RondoMapToThreadsOptions threads;
  threads.threads = options.threads;
  function.addPass(createRondoMapToThreads(threads));
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
}

void rondo::buildSimtPipeline(OpPassManager &pm, const CudaPipelineOptions &options) {
  CpuPipelineOptions cpu;
  copyOptions(options, cpu);
  buildToChunkPipeline(pm, cpu);
  buildSimtThreadsPipeline(pm, options);
  RondoThreadsToNVVMOptions kernel;
  kernel.blocks = options.blocks;
  kernel.mostShared = 227 << 10; // what a block may have on Hopper
  pm.addPass(createRondoThreadsToNVVM(kernel));
  OpPassManager &device = pm.nest<gpu::GPUModuleOp>();
  device.addPass(createRondoApproximateMath());
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  device.addPass(createSCFToControlFlowPass());
  pm.addPass(createRondoConvertToLLVM());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void rondo::buildSimtEmulationPipeline(OpPassManager &pm, const CudaPipelineOptions &options) {
  CpuPipelineOptions cpu;
  copyOptions(options, cpu);
  buildToChunkPipeline(pm, cpu);
  buildSimtThreadsPipeline(pm, options);
  pm.addPass(createRondoThreadsToOpenMP());
  buildToLLVMPipeline(pm, cpu);
}

void rondo::buildToTilePipeline(OpPassManager &pm, const CudaPipelineOptions &options) {
  CpuPipelineOptions chunk;
  copyOptions(options, chunk);
  chunk.chunk = 64;
  chunk.form = "chunk";
  pm.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  RondoSpecializeOptions specialize;
  specialize.sizes.assign(chunk.sizes.begin(), chunk.sizes.end());
  pm.addPass(createRondoSpecialize(specialize));
  pm.addPass(createRondoInterleaveWrites());
  pm.addNestedPass<MixerOp>(createRondoCopyStates());
  chunk.sizes.clear();
  buildToChunkPipeline(pm, chunk);
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(createRondoIncludeOwnToken());
  pm.addPass(createRondoSplitCascade());
  pm.addNestedPass<func::FuncOp>(createRondoPullConstants());
  pm.addPass(createRondoSplitProducts());
  pm.addNestedPass<func::FuncOp>(createRondoMoveScales());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  RondoScheduleTilesOptions schedule;
  schedule.dtype = options.dtype;
  schedule.dtypes.assign(options.dtypes.begin(), options.dtypes.end());
  pm.addPass(createRondoScheduleTiles(schedule));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<tile::KernelOp>(createRondoFoldTileFactors());
}

void rondo::buildTileToNVVMPipeline(OpPassManager &pm, bool sanitize) {
  pm.addPass(createRondoLowerPrepare());
  RondoLowerTilesOptions lower;
  lower.everyLaneArrives = sanitize;
  pm.addPass(createRondoLowerTiles(lower));
  addTileToNVVM(pm);
}

void rondo::buildColumnsPipeline(OpPassManager &pm, const CudaPipelineOptions &options) {
  CpuPipelineOptions token;
  copyOptions(options, token);
  token.chunk = 1;
  token.form = "sequential";
  pm.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  pm.addNestedPass<MixerOp>(createRondoCopyStates());
  buildToChunkPipeline(pm, token);
  pm.addPass(createCSEPass());
  RondoBuildColumnsOptions columns;
  columns.dtype = options.dtype;
  columns.dtypes.assign(options.dtypes.begin(), options.dtypes.end());
  pm.addPass(createRondoBuildColumns(columns));
  // Unrolled tokens and elements compute much alike: the canonicalizer takes four times as long with all of it.
  pm.addNestedPass<gpu::GPUModuleOp>(createCSEPass());
}

void rondo::registerCudaPipelines() {
  PassPipelineRegistration<CudaPipelineOptions>("rondo-cuda-columns",
                                                "The token form to GPU kernels whose threads own columns of the states",
                                                [](OpPassManager &pm, const CudaPipelineOptions &options) {
                                                  buildColumnsPipeline(pm, options);
                                                  addTileToNVVM(pm);
                                                });
  PassPipelineRegistration<CudaPipelineOptions>("rondo-to-tile", "The token form (or chunk bodies) to tile kernels",
                                                buildToTilePipeline);
  PassPipelineRegistration<>("rondo-tile-to-nvvm", "Tile kernels to the LLVM dialect with NVVM",
                             [](OpPassManager &pm) { buildTileToNVVMPipeline(pm); });
  PassPipelineRegistration<CudaPipelineOptions>("rondo-cuda-simt", "The token form (or chunk bodies) to GPU kernels",
                                                buildSimtPipeline);
  PassPipelineRegistration<CudaPipelineOptions>(
      "rondo-cuda-simt-emulation", "The threads of a GPU kernel on a CPU, for tests", buildSimtEmulationPipeline);
}
