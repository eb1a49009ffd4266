//===- Cuda.cpp - Code for an NVIDIA GPU ------------------------------------------------------------------------===//

#include "rondo/Target/Cuda.h"

#include "Optimize.h"
#include "StepTimer.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace rondo;

static llvm::Error error(const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

void rondo::registerCudaDialects(DialectRegistry &registry) {
  registry.insert<gpu::GPUDialect, LLVM::LLVMDialect, NVVM::NVVMDialect>();
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

static gpu::GPUModuleOp findCudaModule(ModuleOp module) { return module.lookupSymbol<gpu::GPUModuleOp>(kCudaModule); }

bool rondo::hasCudaModule(ModuleOp module) { return bool(findCudaModule(module)); }

//===----------------------------------------------------------------------------------------------------------------===//
// PTX
//===----------------------------------------------------------------------------------------------------------------===//

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> getMachine() {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return error(message);
  llvm::TargetOptions options;
  // A product and a sum may become one operation, as on the CPU.
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  // PTX 8.0: the oldest that knows sm_90a, and with it a driver of CUDA 12.0 is enough.
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, kCudaArchitecture, "+ptx80", options, std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  // There are no vectors in a thread; wide loads are formed by the back end.
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::cantFail(runIRPasses(module, machine, tuning, [](llvm::PassBuilder &builder) {
    return llvm::Expected<llvm::ModulePassManager>(builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3));
  }));
}

llvm::Expected<CudaCode> rondo::generatePtx(ModuleOp module, CudaTimes *times) {
  gpu::GPUModuleOp kernels = findCudaModule(module);
  if (!kernels)
    return error("the module has no kernels for a GPU: there is no gpu.module @" + kCudaModule);
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = getMachine();
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> ir;
  {
    StepTimer timer(times ? &times->translate : nullptr);
    ir = translateModuleToLLVMIR(kernels, context, kCudaModule);
    if (!ir)
      return error("the kernels cannot be translated to LLVM IR");
    ir->setTargetTriple((*machine)->getTargetTriple());
    ir->setDataLayout((*machine)->createDataLayout());
  }
  {
    StepTimer timer(times ? &times->optimize : nullptr);
    optimize(*ir, **machine);
  }
  // Nothing is linked to the code later.
  for (const llvm::Function &function : *ir)
    if (function.isDeclaration() && !function.isIntrinsic())
      return error("the kernels call '" + function.getName() + "', which does not exist on a GPU");
  StepTimer timer(times ? &times->generate : nullptr);
  SmallVector<char, 0> text;
  llvm::raw_svector_ostream os(text);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, os, nullptr, llvm::CodeGenFileType::AssemblyFile, /*DisableVerify=*/true))
    return error("the target cannot write PTX");
  passes.run(*ir);
  CudaCode code;
  code.ptx.assign(text.begin(), text.end());
  return code;
}

//===----------------------------------------------------------------------------------------------------------------===//
// ptxas
//===----------------------------------------------------------------------------------------------------------------===//

llvm::Expected<std::string> rondo::findPtxas() {
  using namespace llvm::sys;
  if (std::optional<std::string> chosen = Process::GetEnv("RONDO_PTXAS"); chosen && !chosen->empty()) {
    if (*chosen == "none")
      return std::string();
    // A path is returned as it is, whether or not there is a file.
    if (llvm::ErrorOr<std::string> path = findProgramByName(*chosen); path && fs::can_execute(*path))
      return *path;
    return error("RONDO_PTXAS: there is no program '" + *chosen + "'");
  }
  if (llvm::ErrorOr<std::string> path = findProgramByName("ptxas"))
    return *path;
  SmallVector<std::string> folders;
  if (std::optional<std::string> home = Process::GetEnv("CUDA_HOME"))
    folders.push_back(*home + "/bin");
  folders.push_back("/usr/local/cuda/bin");
  for (const std::string &folder : folders)
    if (llvm::ErrorOr<std::string> path = findProgramByName("ptxas", {folder}))
      return *path;
  return std::string();
}

/// The number before `unit` in `line`, such as "0 bytes spill stores".
static int64_t numberBefore(StringRef line, StringRef unit) {
  size_t at = line.find(unit);
  if (at == StringRef::npos)
    return 0;
  StringRef digits = line.take_front(at).rtrim();
  size_t begin = digits.find_last_not_of("0123456789");
  int64_t value = 0;
  digits.substr(begin == StringRef::npos ? 0 : begin + 1).getAsInteger(10, value);
  return value;
}

PtxasReport PtxasReport::parse(StringRef log) {
  PtxasReport report;
  static const llvm::Regex numbered("\\(C[0-9]+\\)");
  SmallVector<StringRef> lines;
  log.split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (StringRef line : lines) {
    if (numbered.match(line) || line.contains_insensitive("warning")) {
      report.warnings.push_back(line.trim().str());
      continue;
    }
    if (size_t at = line.find("Function properties for "); at != StringRef::npos)
      report.kernels.emplace_back().name = line.substr(at).split("for ").second.trim().str();
    if (report.kernels.empty())
      continue;
    PtxasKernel &kernel = report.kernels.back();
    if (line.contains("bytes stack frame")) {
      kernel.stack = numberBefore(line, " bytes stack frame");
      kernel.spillStores = numberBefore(line, " bytes spill stores");
      kernel.spillLoads = numberBefore(line, " bytes spill loads");
    } else if (line.contains(" registers")) {
      kernel.registers = numberBefore(line, " registers");
      kernel.barriers = numberBefore(line, " barriers");
      kernel.staticShared = numberBefore(line, " bytes smem");
    }
  }
  return report;
}

void PtxasReport::print(llvm::raw_ostream &os) const {
  for (const PtxasKernel &kernel : kernels)
    os << "ptxas " << kernel.name << " registers=" << kernel.registers << " stack_bytes=" << kernel.stack
       << " spill_store_bytes=" << kernel.spillStores << " spill_load_bytes=" << kernel.spillLoads
       << " static_shared_bytes=" << kernel.staticShared << " barriers=" << kernel.barriers << "\n";
  for (const std::string &warning : warnings)
    os << warning << "\n";
  os << "ptxas warnings=" << warnings.size() << "\n";
}

namespace {
/// A file that goes away with the object.
class TemporaryFile {
public:
  explicit TemporaryFile(StringRef suffix) { code = llvm::sys::fs::createTemporaryFile("rondo", suffix, path); }
  ~TemporaryFile() {
    if (!code)
      llvm::sys::fs::remove(path);
  }
  StringRef getPath() const { return path; }
  llvm::Expected<std::string> read() const {
    auto buffer = llvm::MemoryBuffer::getFile(path);
    if (!buffer)
      return llvm::errorCodeToError(buffer.getError());
    return (*buffer)->getBuffer().str();
  }
  std::error_code code;

private:
  llvm::SmallString<128> path;
};
} // namespace

llvm::Error rondo::assemble(CudaCode &code, StringRef ptxas, CudaTimes *times) {
  StepTimer timer(times ? &times->assemble : nullptr);
  TemporaryFile ptx("ptx"), cubin("cubin"), log("log");
  for (const TemporaryFile *file : {&ptx, &cubin, &log})
    if (file->code)
      return error("cannot make a temporary file: " + file->code.message());
  {
    std::error_code failed;
    llvm::raw_fd_ostream os(ptx.getPath(), failed);
    os << code.ptx;
    os.close();
    if (failed || os.has_error()) {
      os.clear_error();
      return error("cannot write '" + ptx.getPath() + "'");
    }
  }
  std::string architecture = "-arch=" + kCudaArchitecture.str();
  StringRef arguments[] = {ptxas, architecture, "-O3", "-v", ptx.getPath(), "-o", cubin.getPath()};
  std::optional<StringRef> redirects[] = {std::nullopt, log.getPath(), log.getPath()};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, 0, 0, &message);
  llvm::Expected<std::string> text = log.read();
  if (!text)
    return text.takeError();
  if (status != 0)
    return error("'" + ptxas + "' cannot assemble the kernels: " + message + StringRef(*text).rtrim());
  llvm::Expected<std::string> elf = cubin.read();
  if (!elf)
    return elf.takeError();
  code.cubin = std::move(*elf);
  code.report = PtxasReport::parse(*text);
  return llvm::Error::success();
}
