//===- Compile.cpp - `rondoc compile`: a shared object and a C header -------------------------------------------===//

#include "CHeader.h"
#include "Embedded.h"
#include "rondo/Driver/Build.h"
#include "rondo/Driver/Driver.h"
#include "rondo/Driver/Problem.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

namespace {

/// A folder that goes away with the object.
class TemporaryFolder {
public:
  TemporaryFolder() { failed = bool(sys::fs::createUniqueDirectory("rondoc", folder)); }
  ~TemporaryFolder() {
    if (!failed)
      sys::fs::remove_directories(folder);
  }
  explicit operator bool() const { return !failed; }
  std::string file(StringRef name) const {
    SmallString<128> path = folder;
    sys::path::append(path, name);
    return path.str().str();
  }

private:
  SmallString<128> folder;
  bool failed;
};

} // namespace

static LogicalResult writeFile(StringRef path, llvm::function_ref<LogicalResult(raw_ostream &)> print) {
  std::error_code code;
  raw_fd_ostream os(path, code);
  if (code)
    return error("'" + path + "': " + code.message());
  if (failed(print(os)))
    return failure();
  os.close();
  if (os.has_error()) {
    code = os.error();
    os.clear_error();
    return error("'" + path + "': " + code.message());
  }
  return success();
}

static LogicalResult writeText(StringRef path, StringRef text) {
  return writeFile(path, [&](raw_ostream &os) {
    os << text;
    return success();
  });
}

/// $CC, LLVM's clang, or whatever `cc` is.
static std::string findCompiler() {
  if (std::optional<std::string> chosen = sys::Process::GetEnv("CC"))
    if (ErrorOr<std::string> path = sys::findProgramByName(*chosen))
      return *path;
  if (sys::fs::can_execute(kCompiler))
    return kCompiler;
  for (StringRef name : {"cc", "clang", "gcc"})
    if (ErrorOr<std::string> path = sys::findProgramByName(name))
      return *path;
  return "";
}

/// Builds the runtime and the wrapper and links them with the kernels; only the mixer's own functions and the runtime's
/// message are visible.
static LogicalResult link(const TemporaryFolder &temporary, StringRef mixer, bool hasSummary, StringRef folder,
                          StringRef library) {
  std::string compiler = findCompiler();
  if (compiler.empty())
    return error("no C compiler found (CC, clang, cc, gcc): one is needed to link the shared object");
  std::string exports = "{ global: ";
  for (StringRef name : {"_forward", "_backward", "_backward_workspace", "_step"})
    exports += (mixer + name + "; ").str();
  if (hasSummary)
    for (StringRef name : {"_summary", "_combine", "_compose"})
      exports += (mixer + name + "; ").str();
  exports += "rondo_error_message; rondo_error_text; local: *; };\n";
  if (failed(writeText(temporary.file("rondo_runtime.h"), kRuntimeHeader)) ||
      failed(writeText(temporary.file("rondo_runtime.c"), kRuntimeSource)) ||
      failed(writeText(temporary.file("exports.map"), exports)))
    return failure();

  std::string include = "-I" + folder.str(), libraries = std::string("-L") + kLibraryDir,
              rpath = std::string("-Wl,-rpath,") + kLibraryDir,
              versions = "-Wl,--version-script=" + temporary.file("exports.map"),
              runtime = temporary.file("rondo_runtime.c"), wrapper = temporary.file("wrapper.c"),
              kernel = temporary.file("kernel.o"), summary = temporary.file("summary.o"), log = temporary.file("log");
  SmallVector<StringRef> arguments{compiler, "-std=c11", "-O2", "-fPIC", "-shared", include,   runtime, wrapper,
                                   kernel,   versions,   "-o",  library, "-lomp",   libraries, rpath,   "-lm"};
  if (hasSummary)
    arguments.insert(llvm::find(arguments, kernel), summary);
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log), StringRef(log)};
  std::string message;
  int code = sys::ExecuteAndWait(compiler, arguments, std::nullopt, redirects, 0, 0, &message);
  if (code == 0)
    return success();
  if (ErrorOr<std::unique_ptr<MemoryBuffer>> output = MemoryBuffer::getFile(log))
    message += (*output)->getBuffer().rtrim();
  return error("'" + compiler + "' could not link '" + library + "': " + message);
}

/// Replaces what `source` holds by the summary of `mixer`, as code. Returns why there is none, or nothing.
static std::string buildSummary(Source &source, MixerOp mixer, const StringMap<int64_t> &sizes, const Options &options,
                                const CpuTarget &target, Stopwatch &stopwatch, std::vector<SummaryState> &states,
                                std::optional<Signature> &signature) {
  ModuleOp module = source.getModule();
  module.getBody()->clear();
  module->setAttrs(DictionaryAttr::get(module.getContext()));
  module.push_back(mixer);
  std::string reason;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && reason.empty())
      reason = diagnostic.str();
    return success();
  });
  if (mixer.getStates().empty())
    return "the mixer has no state";
  if (failed(summarize(source)))
    return reason;
  signature.emplace(mixer);
  states = SummaryAlgebra(mixer).getStates().vec();
  if (failed(build(source, mixer, Stage::llvm, {sizes}, options, target, stopwatch)))
    return reason;
  return "";
}

static LogicalResult compileStages(const Options &options) {
  Stopwatch stopwatch(options.verbose);
  std::unique_ptr<Source> source = Source::load(options);
  MixerOp mixer = source ? source->keepMixer(options) : MixerOp();
  if (!mixer)
    return failure();
  stopwatch.lap("parse");

  Signature signature(mixer);
  FailureOr<StringMap<int64_t>> sizes = getSizes(signature, options);
  if (failed(sizes) || failed(checkTypes(signature, options)))
    return failure();
  Problem smallest{1, 1, 1, true, *sizes};
  if (failed(checkMemory(signature, smallest, 4)))
    return failure();
  OwningOpRef<MixerOp> copy = mixer.clone();
  std::optional<CpuTarget> target = getTarget(options);
  if (!target || failed(build(*source, mixer, Stage::llvm, {*sizes, 0, 0, /*gradients=*/true, /*step=*/true}, options,
                              *target, stopwatch)))
    return failure();

  auto inFolder = [&](const Twine &name) {
    SmallString<128> path(options.output);
    sys::path::append(path, name);
    return path.str().str();
  };
  std::string dlpackFolder = inFolder("dlpack"), library = inFolder("lib" + signature.mixer + ".so");
  if (std::error_code code = sys::fs::create_directories(dlpackFolder))
    return error("'" + dlpackFolder + "': " + code.message());
  TemporaryFolder temporary;
  if (!temporary)
    return error("cannot make a temporary folder");

  auto writeObject = [&](raw_ostream &os) -> LogicalResult {
    if (Error failure = rondo::emit(source->getModule(), *target, Artifact::Object, os))
      return error(toString(std::move(failure)));
    return success();
  };
  std::vector<KernelInfo> kernels = readKernels(source->getModule());
  auto step = llvm::find_if(kernels, [](const KernelInfo &kernel) { return kernel.isStep; });
  auto backward = llvm::find_if(kernels, [](const KernelInfo &kernel) { return !kernel.gradients.empty(); });
  CInterface interface(signature, *sizes, backward->chunk * backward->keepEvery, step->callerScratchBytes, options);
  auto printed = [&](void (*print)(const CInterface &, raw_ostream &)) {
    return [&interface, print](raw_ostream &os) {
      print(interface, os);
      return success();
    };
  };
  if (failed(writeFile(temporary.file("kernel.o"), writeObject)))
    return failure();
  stopwatch.lap("codegen");

  std::vector<SummaryState> summaryStates;
  std::optional<Signature> summary;
  interface.noSummary =
      buildSummary(*source, copy.release(), *sizes, options, *target, stopwatch, summaryStates, summary);
  bool hasSummary = interface.noSummary.empty();
  if (hasSummary) {
    interface.addSummary(*summary, summaryStates, options);
    if (failed(writeFile(temporary.file("summary.o"), writeObject)))
      return failure();
    stopwatch.lap("codegen");
  }
  if (failed(writeFile(temporary.file("wrapper.c"), printed(printWrapper))) ||
      failed(writeFile(inFolder(signature.mixer + ".h"), printed(printHeader))) ||
      failed(writeText(inFolder("rondo.h"), kRondoHeader)) ||
      failed(writeText(inFolder("dlpack/dlpack.h"), kDLPackHeader)) ||
      failed(link(temporary, signature.mixer, hasSummary, options.output, library)))
    return failure();
  stopwatch.lap("link");
  outs() << library << "\n" << inFolder(signature.mixer + ".h") << "\n";
  return success();
}

int compile(const Options &options) { return failed(compileStages(options)); }

} // namespace rondo::driver
