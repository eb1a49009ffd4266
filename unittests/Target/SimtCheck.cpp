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
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace rondo;

static llvm::cl::opt<std::string> file(llvm::cl::Positional, llvm::cl::Required, llvm::cl::desc("FILE"));
static llvm::cl::opt<int64_t> threads("threads", llvm::cl::init(1), llvm::cl::desc("threads of a block"));
static llvm::cl::opt<int64_t> chunk("chunk", llvm::cl::init(32), llvm::cl::desc("tokens a chunk"));
static llvm::cl::opt<std::string> form("form", llvm::cl::init("chunk"), llvm::cl::desc("chunk or sequential"));
static llvm::cl::opt<std::string> dtype("dtype", llvm::cl::init("f32"), llvm::cl::desc("type of tokens and outputs"));
static llvm::cl::list<std::string> sizes("size", llvm::cl::CommaSeparated, llvm::cl::desc("NAME=NUMBER; default 64"));
static llvm::cl::list<int64_t> lengths("lengths", llvm::cl::CommaSeparated, llvm::cl::desc("numbers of tokens"));
static llvm::cl::opt<std::string> dump("dump", llvm::cl::desc("write the module in the LLVM dialect to this file"));

static int fail(const llvm::Twine &message) {
  llvm::errs() << "error: " << message << "\n";
  return 1;
}

int main(int argc, char **argv) {
  llvm::cl::ParseCommandLineOptions(argc, argv, "Runs the threads of a GPU block on this CPU\n");
  driver::Options options;
  options.file = file;
  std::unique_ptr<driver::Source> source = driver::Source::load(options);
  if (!source)
    return 1;
  FailureOr<Generators> generators = parseCheckComments(source->getSources(), source->getModule());
  MixerOp mixer = succeeded(generators) ? source->keepMixer(options) : MixerOp();
  if (!mixer)
    return 1;
  driver::Signature signature(mixer);
  for (const std::string &entry : sizes) {
    auto [name, number] = llvm::StringRef(entry).split('=');
    if (number.getAsInteger(10, options.sizes[name.str()]))
      return fail("--size " + entry);
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
  pipeline.chunk = chunk;
  pipeline.form = form;
  pipeline.dtype = dtype;
  pipeline.threads = threads;
  buildSimtEmulationPipeline(manager, pipeline);
  if (failed(manager.run(source->getModule())))
    return 1;
  if (!dump.empty()) {
    std::error_code code;
    llvm::raw_fd_ostream os(dump, code);
    source->getModule().print(os);
  }
  llvm::Expected<CpuTarget> target = CpuTarget::get();
  if (!target)
    return fail(toString(target.takeError()));
  llvm::Expected<std::unique_ptr<Engine>> engine = Engine::create(source->getModule(), *target);
  if (!engine)
    return fail(toString(engine.takeError()));

  CheckCase checkCase;
  checkCase.type = *parseElementType(dtype);
  double tolerance = dtype == "f32" ? 1e-5 : 1e-2, worst = 0;
  bool allClose = true;
  llvm::SmallVector<int64_t> tokens(lengths.begin(), lengths.end());
  if (tokens.empty())
    tokens = {1, chunk, 2 * chunk + 7};
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
