//===- SimtCheck.cpp - The threads of a GPU block, run on this CPU and compared with the interpreter ------------===//
//
// `rondo-simt-check FILE.rondo`: like `rondoc check`, for the SIMT pipeline up to `rondo-map-to-threads`. The threads
// of a block are those of an OpenMP team and meet at real barriers; with `--threads=1` there is nobody to wait for, and
// only values are tested.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Driver/Execute.h"
#include "rondo/Interpreter/Check.h"
#include "rondo/Target/CudaPipelines.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace rondo;

/// `--NAME=VALUE` of the command line, and the file. (LLVM's own options have taken names such as `threads`.)
struct Arguments {
  std::string file, form = "chunk", dtype = "f32", dump;
  int64_t threads = 1, chunk = 32;
  llvm::SmallVector<llvm::StringRef> sizes, lengths;

  bool parse(llvm::ArrayRef<char *> words) {
    for (llvm::StringRef word : words) {
      if (!word.consume_front("--")) {
        file = word.str();
        continue;
      }
      auto [name, value] = word.split('=');
      if (name == "form")
        form = value.str();
      else if (name == "dtype")
        dtype = value.str();
      else if (name == "dump")
        dump = value.str(); // where to write the module in the LLVM dialect
      else if (name == "size")
        value.split(sizes, ',');
      else if (name == "lengths")
        value.split(lengths, ',');
      else if (name == "threads" ? value.getAsInteger(10, threads) : name != "chunk" || value.getAsInteger(10, chunk))
        return false;
    }
    return !file.empty();
  }
};

static int fail(const llvm::Twine &message) {
  llvm::errs() << "error: " << message << "\n";
  return 1;
}

int main(int argc, char **argv) {
  Arguments arguments;
  if (!arguments.parse(llvm::ArrayRef(argv + 1, argc - 1)))
    return fail("usage: rondo-simt-check FILE [--threads=N] [--chunk=N] [--form=chunk|sequential] [--dtype=TYPE] "
                "[--size=NAME=NUMBER,...] [--lengths=N,...] [--dump=FILE]");
  driver::Options options;
  options.file = arguments.file;
  std::unique_ptr<driver::Source> source = driver::Source::load(options);
  if (!source)
    return 1;
  FailureOr<Generators> generators = parseCheckComments(source->getSources(), source->getModule());
  MixerOp mixer = succeeded(generators) ? source->keepMixer(options) : MixerOp();
  if (!mixer)
    return 1;
  driver::Signature signature(mixer);
  for (llvm::StringRef entry : arguments.sizes) {
    auto [name, number] = entry.split('=');
    if (number.getAsInteger(10, options.sizes[name.str()]))
      return fail("--size=" + entry);
  }
  FailureOr<llvm::StringMap<int64_t>> known = driver::getSizes(signature, options, 64);
  if (failed(known))
    return 1;
  OwningOpRef<ModuleOp> kept = source->getModule().clone();
  MixerOp meaning = *kept->getOps<MixerOp>().begin();
  if (failed(specialize(meaning, *known)))
    return 1;

  PassManager manager(&source->getContext(), ModuleOp::getOperationName());
  CudaPipelineOptions pipeline;
  for (auto &entry : *known)
    pipeline.sizes.push_back((entry.getKey() + "=" + llvm::Twine(entry.getValue())).str());
  pipeline.chunk = arguments.chunk;
  pipeline.form = arguments.form;
  pipeline.dtype = arguments.dtype;
  pipeline.threads = arguments.threads;
  buildSimtEmulationPipeline(manager, pipeline);
  if (failed(manager.run(source->getModule())))
    return 1;
  if (!arguments.dump.empty()) {
    std::error_code code;
    llvm::raw_fd_ostream os(arguments.dump, code);
    source->getModule().print(os);
  }
  llvm::Expected<CpuTarget> target = CpuTarget::get();
  if (!target)
    return fail(toString(target.takeError()));
  llvm::Expected<std::unique_ptr<Engine>> engine = Engine::create(source->getModule(), *target);
  if (!engine)
    return fail(toString(engine.takeError()));

  CheckCase checkCase;
  checkCase.type = *parseElementType(arguments.dtype);
  double tolerance = arguments.dtype == "f32" ? 1e-5 : 1e-2, worst = 0;
  bool allClose = true;
  llvm::SmallVector<int64_t> tokens;
  for (llvm::StringRef length : arguments.lengths)
    if (length.getAsInteger(10, tokens.emplace_back()))
      return fail("--lengths=" + length);
  if (tokens.empty())
    tokens = {1, arguments.chunk, 2 * arguments.chunk + 7};
  for (GateKind gates : getGateKinds(*generators))
    for (int64_t length : tokens) {
      checkCase.gates = gates;
      checkCase.time = length;
      checkCase.initialStates = !checkCase.initialStates;
      ++checkCase.seed;
      llvm::Expected<std::vector<CheckResult>> results =
          checkKernel(meaning, *generators, checkCase, [&](CheckArrays &arrays) -> llvm::Error {
            llvm::Expected<KernelCall> call = driver::prepareCall(**engine, signature, arrays, 1);
            if (!call)
              return call.takeError();
            (*call)();
            return llvm::Error::success();
          });
      if (!results)
        return fail(toString(results.takeError()));
      llvm::outs() << "check gates=" << stringifyGateKind(gates) << " T=" << length;
      bool close = true;
      for (const CheckResult &result : *results) {
        llvm::outs() << " " << result.name << "=" << llvm::format("%.1e", result.error);
        close &= result.isWithin(tolerance);
        worst = std::max(worst, result.error);
      }
      llvm::outs() << (close ? " ok\n" : " FAILED\n");
      allClose &= close;
    }
  llvm::outs() << "worst relative error " << llvm::format("%.1e: ", worst) << (allClose ? "ok" : "FAILED") << "\n";
  return !allClose;
}
