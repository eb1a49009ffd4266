//===- Emit.cpp - `rondoc emit`: a mixer at one stage of the compiler -------------------------------------------===//

#include "rondo/Driver/Build.h"
#include "rondo/Driver/Driver.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

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
