//===- Optimize.h - LLVM's passes on a module ----------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_TARGET_OPTIMIZE_H
#define RONDO_LIB_TARGET_OPTIMIZE_H

#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"

namespace rondo {

/// Runs the passes that `make` builds, with their analyses.
inline llvm::Error runIRPasses(llvm::Module &module, llvm::TargetMachine &machine, llvm::PipelineTuningOptions tuning,
                               llvm::function_ref<llvm::Expected<llvm::ModulePassManager>(llvm::PassBuilder &)> make) {
  llvm::PassBuilder builder(&machine, tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  llvm::Expected<llvm::ModulePassManager> passes = make(builder);
  if (!passes)
    return passes.takeError();
  passes->run(module, modules);
  return llvm::Error::success();
}

} // namespace rondo

#endif // RONDO_LIB_TARGET_OPTIMIZE_H
