//===- Emit.cpp - `rondoc emit`: a mixer at one stage of the compiler -------------------------------------------===//

#include "rondo/Driver/Build.h"
#include "rondo/Driver/Driver.h"
#include "rondo/Driver/ExecuteCuda.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

/// The stages of the CUDA target. None needs a GPU, and only the last one `ptxas`.
static LogicalResult emitCuda(Source &source, MixerOp mixer, const BuildRequest &request, const Options &options,
                              raw_ostream &os) {
  if (failed(checkCudaOptions(options)))
    return failure();
  Stopwatch stopwatch(options.verbose);
  CudaStage stage = options.stage == "tile" ? CudaStage::tile : CudaStage::nvvm;
  if (failed(buildCuda(source, mixer, stage, request, options, stopwatch)))
    return failure();
  if (options.stage == "tile" || options.stage == "nvvm") {
    source.getModule().print(os);
    return success();
  }
  Expected<CudaCode> code = generatePtx(source.getModule());
  if (!code)
    return error(toString(code.takeError()));
  stopwatch.lap("ptx");
  if (options.stage == "ptx") {
    os << code->ptx;
    return success();
  }
  Expected<std::string> ptxas = findPtxas();
  if (!ptxas)
    return error(toString(ptxas.takeError()));
  if (ptxas->empty())
    return error("--stage=cubin needs ptxas, which is not in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin; set "
                 "RONDO_PTXAS to where it is, or emit --stage=ptx");
  if (Error failure = assemble(*code, *ptxas))
    return error(toString(std::move(failure)));
  stopwatch.lap("cubin");
  code->report.print(errs());
  os << code->cubin;
  return success();
}

static LogicalResult emitStage(Source &source, const Options &options, raw_ostream &os) {
  if (options.stage == "rondo") {
    if (!options.mixer.empty() && !source.keepMixer(options))
      return failure();
    source.getModule().print(os);
    return success();
  }
  MixerOp mixer = source.keepMixer(options);
  if (!mixer)
    return failure();
  Signature signature(mixer);
  FailureOr<StringMap<int64_t>> sizes = getSizes(signature, options);
  if (failed(sizes) || failed(checkTypes(signature, options)))
    return failure();
  if (is_contained({"tile", "nvvm", "ptx", "cubin"}, options.stage))
    return emitCuda(source, mixer, {*sizes}, options, os);
  std::optional<CpuTarget> target = getTarget(options);
  if (!target)
    return failure();

  auto stage = llvm::StringSwitch<Stage>(options.stage)
                   .Case("chunk", Stage::chunk)
                   .Case("linalg", Stage::linalg)
                   .Default(Stage::llvm);
  Stopwatch stopwatch(options.verbose);
  if (failed(build(source, mixer, stage, {*sizes}, options, *target, stopwatch)))
    return failure();
  if (stage != Stage::llvm) {
    source.getModule().print(os);
    return success();
  }
  Artifact artifact = options.stage == "llvm" ? Artifact::LLVMIR : Artifact::Assembly;
  if (Error failure = rondo::emit(source.getModule(), *target, artifact, os))
    return error(toString(std::move(failure)));
  return success();
}

int emit(const Options &options) {
  std::unique_ptr<Source> source = Source::load(options);
  if (!source)
    return 1;
  std::string path = options.output.empty() ? "-" : options.output;
  std::error_code code;
  ToolOutputFile file(path, code, sys::fs::OF_Text);
  if (code) {
    (void)error("'" + path + "': " + code.message());
    return 1;
  }
  if (failed(emitStage(*source, options, file.os())))
    return 1;
  file.keep();
  return 0;
}

} // namespace rondo::driver
