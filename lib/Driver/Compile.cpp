//===- Compile.cpp - `rondoc compile`: a shared object and a C header -------------------------------------------===//

#include "CHeader.h"
#include "Embedded.h"
#include "rondo/Driver/Build.h"
#include "rondo/Driver/Driver.h"
#include "rondo/Driver/ExecuteCuda.h"
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

/// The folder of the headers, the one of what is linked, and which objects there are.
namespace {
struct Library {
  TemporaryFolder temporary;
  SmallVector<std::string> objects;
  /// How the GPU's kernels are launched, for the interface.
  std::optional<CudaProgram> cuda;
};
} // namespace

/// Builds the runtime and the wrapper and links them with the kernels; only the mixer's own functions and the runtime's
/// message are visible.
static LogicalResult link(const Library &library, const CInterface &interface, StringRef folder, StringRef path) {
  std::string compiler = findCompiler();
  if (compiler.empty())
    return error("no C compiler found (CC, clang, cc, gcc): one is needed to link the shared object");
  SmallVector<StringRef> functions{"_forward"};
  if (interface.onCpu)
    functions.append({"_backward", "_backward_workspace", "_step"});
  if (interface.onCpu && interface.noSummary.empty())
    functions.append({"_summary", "_combine", "_compose"});
  std::string exports = "{ global: ";
  for (StringRef name : functions)
    exports += (interface.signature.mixer + name + "; ").str();
  exports += "rondo_error_message; rondo_error_text; local: *; };\n";

  const TemporaryFolder &temporary = library.temporary;
  SmallVector<std::string> arguments{compiler, "-std=c11", "-O2", "-fPIC", "-shared", "-I" + folder.str()};
  auto add = [&](StringRef name, StringRef text, bool isSource) {
    if (isSource)
      arguments.push_back(temporary.file(name));
    return writeText(temporary.file(name), text);
  };
  if (failed(add("exports.map", exports, false)) || failed(add("rondo_runtime.h", kRuntimeHeader, false)) ||
      failed(add("rondo_runtime.c", kRuntimeSource, true)))
    return failure();
  if (interface.cuda &&
      (failed(add("rondo_cuda.h", kCudaHeader, false)) || failed(add("rondo_cuda.c", kCudaSource, true)) ||
       failed(add("rondo_cuda_call.h", kCudaCallHeader, false)) ||
       failed(add("rondo_cuda_call.c", kCudaCallSource, true))))
    return failure();
  arguments.push_back(temporary.file("wrapper.c"));
  llvm::append_range(arguments, library.objects);
  arguments.append({"-Wl,--version-script=" + temporary.file("exports.map"), "-o", path.str()});
  if (interface.onCpu)
    arguments.append({"-lomp", std::string("-L") + kLibraryDir, std::string("-Wl,-rpath,") + kLibraryDir, "-lm"});
  if (interface.cuda)
    arguments.append({"-ldl", "-lpthread"});

  std::string log = temporary.file("log"), message;
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log), StringRef(log)};
  SmallVector<StringRef> views(arguments.begin(), arguments.end());
  int code = sys::ExecuteAndWait(compiler, views, std::nullopt, redirects, 0, 0, &message);
  if (code == 0)
    return success();
  if (ErrorOr<std::unique_ptr<MemoryBuffer>> output = MemoryBuffer::getFile(log))
    message += (*output)->getBuffer().rtrim();
  return error("'" + compiler + "' could not link '" + path + "': " + message);
}

/// Starts again with `mixer` alone, which `source` owns from now on.
static void restart(Source &source, MixerOp mixer) {
  ModuleOp module = source.getModule();
  module.getBody()->clear();
  module->setAttrs(DictionaryAttr::get(module.getContext()));
  module.push_back(mixer);
}

/// Replaces what `source` holds by the summary of `mixer`, as code. Returns why there is none, or nothing.
static std::string buildSummary(Source &source, MixerOp mixer, const StringMap<int64_t> &sizes, const Options &options,
                                const CpuTarget &target, Stopwatch &stopwatch, std::vector<SummaryState> &states,
                                std::optional<Signature> &signature) {
  restart(source, mixer);
  std::string reason;
  ScopedDiagnosticHandler handler(&source.getContext(), [&](Diagnostic &diagnostic) {
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

/// Forward, backward and step kernel, and the summary where there is one.
static LogicalResult addCpuKernels(Source &source, MixerOp mixer, const Options &options, Library &library,
                                   CInterface &interface, std::vector<SummaryState> &summaryStates,
                                   std::optional<Signature> &summary, Stopwatch &stopwatch) {
  OwningOpRef<MixerOp> copy = mixer.clone();
  const StringMap<int64_t> &sizes = interface.sizes;
  std::optional<CpuTarget> target = getTarget(options);
  if (!target || failed(build(source, mixer, Stage::llvm, {sizes, 0, 0, /*gradients=*/true, /*step=*/true}, options,
                              *target, stopwatch)))
    return failure();
  auto writeObject = [&](StringRef name) {
    library.objects.push_back(library.temporary.file(name));
    return writeFile(library.objects.back(), [&](raw_ostream &os) -> LogicalResult {
      if (Error failure = rondo::emit(source.getModule(), *target, Artifact::Object, os))
        return error(toString(std::move(failure)));
      return success();
    });
  };
  std::vector<KernelInfo> kernels = readKernels(source.getModule());
  auto step = llvm::find_if(kernels, [](const KernelInfo &kernel) { return kernel.isStep; });
  auto backward = llvm::find_if(kernels, [](const KernelInfo &kernel) { return !kernel.gradients.empty(); });
  interface.chunk = backward->chunk * backward->keepEvery;
  interface.scratch = step->callerScratchBytes;
  if (failed(writeObject("kernel.o")))
    return failure();
  stopwatch.lap("codegen");

  interface.noSummary =
      buildSummary(source, copy.release(), sizes, options, *target, stopwatch, summaryStates, summary);
  if (!interface.noSummary.empty())
    return success();
  interface.addSummary(*summary, summaryStates, options);
  if (failed(writeObject("summary.o")))
    return failure();
  stopwatch.lap("codegen");
  return success();
}

/// The forward kernel as PTX and, with `ptxas`, a cubin.
static LogicalResult addCudaKernels(Source &source, MixerOp mixer, const Options &options, Library &library,
                                    CInterface &interface, Stopwatch &stopwatch) {
  std::optional<CudaCode> code = generateCuda(source, mixer, {interface.sizes}, options, stopwatch);
  if (!code)
    return failure();
  Expected<CudaProgram> program = CudaProgram::read(source.getModule());
  if (!program)
    return error(toString(program.takeError()));
  library.cuda = std::move(*program);
  if (Error failure = interface.addCuda(library.cuda->get()))
    return error(toString(std::move(failure)));
  interface.ptxFile = library.temporary.file("kernel.ptx");
  if (failed(writeText(interface.ptxFile, code->ptx)))
    return failure();
  if (code->cubin.empty()) {
    errs() << "note: there is no ptxas in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin: the driver will compile the PTX "
              "at the first call\n";
    return success();
  }
  interface.cubinFile = library.temporary.file("kernel.cubin");
  return writeText(interface.cubinFile, code->cubin);
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
  Library library;
  if (!library.temporary)
    return error("cannot make a temporary folder");

  CInterface interface(signature, *sizes, options);
  interface.onCpu = options.withCpu;
  OwningOpRef<MixerOp> copy = mixer.clone();
  std::vector<SummaryState> summaryStates;
  std::optional<Signature> summary;
  if (options.withCuda) {
    if (failed(addCudaKernels(*source, mixer, options, library, interface, stopwatch)))
      return failure();
    restart(*source, mixer = copy.release());
  }
  if (options.withCpu &&
      failed(addCpuKernels(*source, mixer, options, library, interface, summaryStates, summary, stopwatch)))
    return failure();

  auto inFolder = [&](const Twine &name) {
    SmallString<128> path(options.output);
    sys::path::append(path, name);
    return path.str().str();
  };
  std::string dlpackFolder = inFolder("dlpack"), path = inFolder("lib" + signature.mixer + ".so");
  if (std::error_code code = sys::fs::create_directories(dlpackFolder))
    return error("'" + dlpackFolder + "': " + code.message());
  auto printed = [&](void (*print)(const CInterface &, raw_ostream &)) {
    return [&interface, print](raw_ostream &os) {
      print(interface, os);
      return success();
    };
  };
  if (failed(writeFile(library.temporary.file("wrapper.c"), printed(printWrapper))) ||
      failed(writeFile(inFolder(signature.mixer + ".h"), printed(printHeader))) ||
      failed(writeText(inFolder("rondo.h"), kRondoHeader)) ||
      failed(writeText(inFolder("dlpack/dlpack.h"), kDLPackHeader)) ||
      failed(link(library, interface, options.output, path)))
    return failure();
  stopwatch.lap("link");
  outs() << path << "\n" << inFolder(signature.mixer + ".h") << "\n";
  return success();
}

int compile(const Options &options) { return failed(compileStages(options)); }

} // namespace rondo::driver
