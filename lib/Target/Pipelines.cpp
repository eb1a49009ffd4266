//===- Pipelines.cpp - From the token form to the LLVM dialect --------------------------------------------------===//

#include "rondo/Target/Pipelines.h"

#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Transforms/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/OpenMP/OpenMPToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace rondo;

void rondo::buildToChunkPipeline(OpPassManager &pm, const CpuPipelineOptions &options) {
  pm.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  RondoSpecializeOptions specialize;
  specialize.sizes.assign(options.sizes.begin(), options.sizes.end());
  pm.addPass(createRondoSpecialize(specialize));
  RondoDeriveOptions derive;
  derive.chunk = options.chunk;
  derive.form = options.form;
  pm.addPass(createRondoDerive(derive));
  if (options.gradients)
    pm.addPass(createRondoDifferentiate());
}

void rondo::buildBufferizePipeline(OpPassManager &pm, const CpuPipelineOptions &options) {
  OpPassManager &body = pm.nest<func::FuncOp>();
  // Equal values become one before they get buffers that are overwritten, not after.
  body.addPass(createCSEPass());
  body.addPass(createRondoLowerDecay());
  body.addPass(createRondoLowerSolve());
  body.addPass(createRondoLowerScan());
  RondoBuildKernelOptions kernel;
  kernel.dtype = options.dtype;
  kernel.dtypes.assign(options.dtypes.begin(), options.dtypes.end());
  kernel.block = options.block;
  kernel.keepEvery = options.keepEvery;
  pm.addPass(createRondoBuildKernel(kernel));
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createRondoFuseElementwise());
  function.addPass(createRondoBufferizeKernel());
  // Equal views become one value: only then can copies of a view to itself be seen and go.
  function.addPass(createCSEPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createRondoPlanScratch());
}

void rondo::buildToLLVMPipeline(OpPassManager &pm, const CpuPipelineOptions &options) {
  pm.addPass(createRondoOutlineOperations());
  OpPassManager &function = pm.nest<func::FuncOp>();
  RondoVectorizeOptions vectors;
  vectors.vectorWidth = options.vectorBits;
  function.addPass(createRondoVectorize(vectors));
  function.addPass(createCSEPass());
  function.addPass(createRondoApproximateMath());
  function.addPass(memref::createExpandStridedMetadataPass());
  function.addPass(createLowerAffinePass());
  function.addPass(createSCFToControlFlowPass());
  pm.addPass(createRondoConvertToLLVM());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void rondo::buildCpuPipeline(OpPassManager &pm, const CpuPipelineOptions &options) {
  buildToChunkPipeline(pm, options);
  buildBufferizePipeline(pm, options);
  buildToLLVMPipeline(pm, options);
}

void rondo::registerCpuPipelines() {
  PassPipelineRegistration<CpuPipelineOptions>("rondo-to-chunk", "The token form to chunk bodies",
                                               buildToChunkPipeline);
  PassPipelineRegistration<CpuPipelineOptions>("rondo-bufferize", "Chunk bodies to kernels on memrefs",
                                               buildBufferizePipeline);
  PassPipelineRegistration<CpuPipelineOptions>("rondo-to-llvm", "Kernels on memrefs to the LLVM dialect",
                                               buildToLLVMPipeline);
  PassPipelineRegistration<CpuPipelineOptions>("rondo-cpu", "The token form (or chunk bodies) to the LLVM dialect",
                                               buildCpuPipeline);
}

void rondo::registerCpuDialects(DialectRegistry &registry) {
  registry
      .insert<affine::AffineDialect, arith::ArithDialect, bufferization::BufferizationDialect, cf::ControlFlowDialect,
              func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
              omp::OpenMPDialect, scf::SCFDialect, tensor::TensorDialect, ub::UBDialect, vector::VectorDialect>();

  arith::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerSubsetOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  tensor::registerSubsetOpInterfaceExternalModels(registry);
  vector::registerBufferizableOpInterfaceExternalModels(registry);

  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerOpenMPDialectTranslation(registry);
}
