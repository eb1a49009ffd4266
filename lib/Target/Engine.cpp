//===- Engine.cpp - Machine code from a compiled kernel ---------------------------------------------------------===//

#include "rondo/Target/Engine.h"

#include "Optimize.h"
#include "StepTimer.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include <thread>

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------------------------------------------------===//
// Descriptions
//===----------------------------------------------------------------------------------------------------------------===//

StringRef rondo::stringifyDtype(Dtype dtype) {
  switch (dtype) {
  case Dtype::F32:
    return "f32";
  case Dtype::BF16:
    return "bf16";
  case Dtype::F16:
    return "f16";
  }
  llvm_unreachable("unknown element type");
}

std::optional<Dtype> rondo::parseDtype(StringRef name) {
  for (Dtype dtype : {Dtype::F32, Dtype::BF16, Dtype::F16})
    if (name == stringifyDtype(dtype))
      return dtype;
  return std::nullopt;
}

static llvm::Error error(const Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// What the conversion to LLVM puts before the name of a kernel for its C interface.
static constexpr StringLiteral kWrapperPrefix = "_mlir_ciface_";

std::vector<KernelInfo> rondo::readKernels(Operation *module) {
  std::vector<KernelInfo> kernels;
  for (Operation &op : module->getRegion(0).front()) {
    auto arrays = op.getAttrOfType<ArrayAttr>("rondo.arrays");
    // The C interface wrapper carries the attributes of its kernel.
    if (!arrays || SymbolTable::getSymbolName(&op).getValue().starts_with(kWrapperPrefix))
      continue;
    KernelInfo kernel;
    kernel.name = SymbolTable::getSymbolName(&op).str();
    // A step kernel has its buffers in the function for one head.
    auto item = op.getAttrOfType<FlatSymbolRefAttr>("rondo.step");
    Operation *scope = item ? SymbolTable::lookupSymbolIn(module, item.getAttr()) : &op;
    auto integer = [&](StringRef name, Operation *scope) {
      auto attr = scope->getAttrOfType<IntegerAttr>(name);
      return attr ? attr.getInt() : 0;
    };
    kernel.chunk = integer("rondo.chunk", &op);
    kernel.keepEvery = std::max<int64_t>(1, integer("rondo.keep_every", &op));
    kernel.scratchBytes = integer("rondo.scratch_bytes", scope);
    kernel.callerScratchBytes = integer("rondo.caller_scratch_bytes", scope);
    kernel.isStep = bool(item);
    if (auto block = op.getAttrOfType<StringAttr>("rondo.block"))
      kernel.block = block.str();
    for (auto entry : arrays.getAsRange<DictionaryAttr>()) {
      ArrayInfo info;
      info.name = entry.getAs<StringAttr>("name").str();
      info.role = entry.getAs<StringAttr>("role").str();
      Type type = entry.getAs<TypeAttr>("type").getValue();
      info.dtype = type.isBF16() ? Dtype::BF16 : type.isF16() ? Dtype::F16 : Dtype::F32;
      llvm::append_range(info.sizes, entry.getAs<DenseI64ArrayAttr>("sizes").asArrayRef());
      for (auto dim : entry.getAs<ArrayAttr>("dims").getAsRange<StringAttr>())
        info.dims.push_back(dim.str());
      StringRef role = info.role;
      info.leading = role.ends_with("param") ? 1 : role == "state" ? 2 : 3;
      auto &list = role.ends_with("output")    ? kernel.outputs
                   : role.starts_with("grad_") ? kernel.gradients
                   : role == "state"           ? kernel.states
                   : role == "temporary"       ? kernel.temporaries
                                               : kernel.inputs;
      list.push_back(std::move(info));
    }
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

//===----------------------------------------------------------------------------------------------------------------===//
// CpuTarget
//===----------------------------------------------------------------------------------------------------------------===//

CpuTarget::CpuTarget() = default;
CpuTarget::CpuTarget(CpuTarget &&) = default;
CpuTarget &CpuTarget::operator=(CpuTarget &&) = default;
CpuTarget::~CpuTarget() = default;

llvm::Expected<CpuTarget> CpuTarget::get(StringRef name) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::Triple triple(llvm::sys::getProcessTriple());
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return error(message);

  std::string cpu = name.str(), features;
  if (name == "native") {
    cpu = llvm::sys::getHostCPUName().str();
    // A virtual machine may hide features that its CPU model has.
    llvm::SubtargetFeatures list;
    for (const auto &feature : llvm::sys::getHostCPUFeatures())
      list.AddFeature(feature.getKey(), feature.getValue());
    features = list.getString();
  }
  // Asked without a CPU first: LLVM prints a warning for an unknown one.
  std::unique_ptr<llvm::MCSubtargetInfo> known(target->createMCSubtargetInfo(triple, "", ""));
  if (!known->isCPUStringValid(cpu))
    return error("unknown CPU '" + name + "': write native or a name such as x86-64-v3, x86-64-v4 or znver5");

  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  CpuTarget result;
  result.targetMachine.reset(target->createTargetMachine(triple, cpu, features, options, llvm::Reloc::PIC_,
                                                         std::nullopt, llvm::CodeGenOptLevel::Less));
  const llvm::MCSubtargetInfo &info = *result.targetMachine->getMCSubtargetInfo();
  result.bits = info.checkFeatures("+avx512f") ? 512 : info.checkFeatures("+avx") ? 256 : 128;
  return result;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Code generation
//===----------------------------------------------------------------------------------------------------------------===//

static std::unique_ptr<llvm::Module> translate(ModuleOp module, llvm::LLVMContext &context, const CpuTarget &target) {
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(module, context);
  if (result) {
    result->setTargetTriple(target.machine().getTargetTriple());
    result->setDataLayout(target.machine().createDataLayout());
  }
  return result;
}

/// What is left to do after Rondo's own passes: they have tiled, vectorised and unrolled. -O2 takes seven times as long
/// for code that is at most 3 % faster.
static llvm::Error optimize(llvm::Module &module, const CpuTarget &target) {
  auto make = [](llvm::PassBuilder &builder) -> llvm::Expected<llvm::ModulePassManager> {
    llvm::ModulePassManager passes;
    if (llvm::Error failed = builder.parsePassPipeline(
            passes,
            "function(sroa,early-cse,loop-mssa(licm),instcombine<no-verify-fixpoint;max-iterations=1>,simplifycfg)"))
      return std::move(failed);
    return std::move(passes);
  };
  return runIRPasses(module, target.machine(), {}, make);
}

static llvm::Error generate(llvm::Module &module, const CpuTarget &target, llvm::CodeGenFileType type,
                            llvm::raw_pwrite_stream &os) {
  llvm::legacy::PassManager passes;
  if (target.machine().addPassesToEmitFile(passes, os, nullptr, type, /*DisableVerify=*/true))
    return error("the target cannot write this kind of file");
  passes.run(module);
  return llvm::Error::success();
}

llvm::Error rondo::emit(ModuleOp module, const CpuTarget &target, Artifact artifact, llvm::raw_ostream &os,
                        CodegenTimes *times) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> ir;
  {
    StepTimer timer(times ? &times->translate : nullptr);
    ir = translate(module, context, target);
  }
  if (!ir)
    return error("the module cannot be translated to LLVM IR");
  {
    StepTimer timer(times ? &times->optimize : nullptr);
    if (llvm::Error failed = optimize(*ir, target))
      return failed;
  }
  StepTimer timer(times ? &times->codegen : nullptr);
  if (artifact == Artifact::LLVMIR) {
    ir->print(os, nullptr);
    return llvm::Error::success();
  }
  SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (llvm::Error failed = generate(*ir, target,
                                    artifact == Artifact::Object ? llvm::CodeGenFileType::ObjectFile
                                                                 : llvm::CodeGenFileType::AssemblyFile,
                                    stream))
    return failed;
  os.write(bytes.data(), bytes.size());
  return llvm::Error::success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Engine
//===----------------------------------------------------------------------------------------------------------------===//

/// The symbol of the entry that takes its arguments as an array of pointers.
static std::string packedName(StringRef kernel) { return ("rondo_packed_" + kernel).str(); }

/// void rondo_packed_NAME(void **arguments) { NAME(*arguments[0], *arguments[1], ...) } for the C interface of a
/// kernel, whose arguments are pointers to descriptors and integers.
static void addPackedEntry(llvm::Module &module, StringRef kernel) {
  llvm::Function *callee = module.getFunction((kWrapperPrefix + kernel).str());
  llvm::LLVMContext &context = module.getContext();
  llvm::IRBuilder<> builder(context);
  auto *entryType = llvm::FunctionType::get(builder.getVoidTy(), {builder.getPtrTy()}, false);
  auto *entry = llvm::Function::Create(entryType, llvm::Function::ExternalLinkage, packedName(kernel), module);
  builder.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", entry));
  SmallVector<llvm::Value *> arguments;
  for (auto [i, type] : llvm::enumerate(callee->getFunctionType()->params())) {
    llvm::Value *slot = builder.CreateConstGEP1_64(builder.getPtrTy(), entry->getArg(0), i);
    llvm::Value *pointer = builder.CreateLoad(builder.getPtrTy(), slot);
    arguments.push_back(type->isPointerTy() ? pointer : builder.CreateLoad(type, pointer));
  }
  builder.CreateCall(callee, arguments);
  builder.CreateRetVoid();
}

Engine::Engine() = default;
Engine::~Engine() = default;

llvm::Expected<std::unique_ptr<Engine>> Engine::create(ModuleOp module, const CpuTarget &target, CodegenTimes *times) {
  std::unique_ptr<Engine> engine(new Engine());
  engine->infos = readKernels(module);

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> ir;
  {
    StepTimer timer(times ? &times->translate : nullptr);
    ir = translate(module, context, target);
    if (!ir)
      return error("the module cannot be translated to LLVM IR");
    for (const KernelInfo &kernel : engine->infos)
      addPackedEntry(*ir, kernel.name);
  }
  {
    StepTimer timer(times ? &times->optimize : nullptr);
    if (llvm::Error failed = optimize(*ir, target))
      return std::move(failed);
  }
  SmallVector<char, 0> bytes;
  {
    StepTimer timer(times ? &times->codegen : nullptr);
    llvm::raw_svector_ostream stream(bytes);
    if (llvm::Error failed = generate(*ir, target, llvm::CodeGenFileType::ObjectFile, stream))
      return std::move(failed);
  }

  StepTimer timer(times ? &times->link : nullptr);
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  engine->jit = std::move(*jit);
  char prefix = engine->jit->getDataLayout().getGlobalPrefix();
  auto openmp = llvm::orc::DynamicLibrarySearchGenerator::Load(RONDO_OPENMP_LIBRARY, prefix);
  if (!openmp)
    return openmp.takeError();
  engine->jit->getMainJITDylib().addGenerator(std::move(*openmp));
  if (llvm::Error failed = engine->jit->addObjectFile(
          std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(bytes), "rondo-kernels")))
    return std::move(failed);
  for (const KernelInfo &kernel : engine->infos) {
    auto entry = engine->jit->lookup(packedName(kernel.name));
    if (!entry)
      return entry.takeError();
    engine->entries[kernel.name] = entry->toPtr<KernelCall::Entry>();
  }
  return engine;
}

/// `[2, 3]` for messages.
static std::string stringifyShape(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << '[';
  llvm::interleaveComma(shape, os);
  os << ']';
  return text;
}

/// Compares an array with its description; `blocked` is the size that may be a multiple of the compiled one.
static llvm::Error check(const ArrayInfo &info, const Array &array, StringRef blocked) {
  if (array.dtype != info.dtype)
    return error("'" + Twine(info.name) + "' must be " + stringifyDtype(info.dtype) + ", not " +
                 stringifyDtype(array.dtype));
  int64_t rank = info.leading + info.sizes.size();
  if (int64_t(array.shape.size()) != rank || int64_t(array.strides.size()) != rank)
    return error("'" + Twine(info.name) + "' must have " + Twine(rank) + " dimensions, not " +
                 Twine(array.shape.size()));
  for (auto [i, size] : llvm::enumerate(info.sizes)) {
    int64_t actual = array.shape[info.leading + i];
    bool multiple = i < info.dims.size() && !blocked.empty() && info.dims[i] == blocked;
    if (multiple ? actual % size != 0 : actual != size)
      return error("'" + Twine(info.name) + "' has the shape " + stringifyShape(array.shape) +
                   "; its last dimensions must be " + stringifyShape(info.sizes));
  }
  if (!info.sizes.empty() && array.strides.back() != 1 && array.shape.back() > 1)
    return error("'" + Twine(info.name) + "' must have the inner stride 1, not " + Twine(array.strides.back()));
  return llvm::Error::success();
}

namespace {
/// Fills the arguments of a call, checking each array.
class ArgumentList {
public:
  ArgumentList(const KernelInfo &info, ArrayRef<int64_t> shape) : info(info), first(shape) {}

  void addWords(ArrayRef<int64_t> words) {
    auto &block = storage.emplace_back(std::make_unique<int64_t[]>(words.size()));
    llvm::copy(words, block.get());
    arguments.push_back(block.get());
  }
  /// The C interface wants {allocated, aligned, offset, sizes, strides}.
  void addBuffer(void *data, ArrayRef<int64_t> shape, ArrayRef<int64_t> strides) {
    auto address = reinterpret_cast<int64_t>(data);
    SmallVector<int64_t> words{address, address, 0};
    llvm::append_range(words, shape);
    llvm::append_range(words, strides);
    addWords(words);
  }
  llvm::Error addArray(const ArrayInfo &description, const Array &array) {
    if (llvm::Error failed = check(description, array, info.block))
      return failed;
    addBuffer(array.data, array.shape, array.strides);
    return llvm::Error::success();
  }
  /// An argument of the mixer or its gradient: heads may be fewer.
  llvm::Error addInput(const ArrayInfo &description, const Array &array) {
    if (llvm::Error failed = addArray(description, array))
      return failed;
    bool perToken = StringRef(description.role).ends_with("token");
    int64_t heads = array.shape[perToken ? 2 : 0];
    if (perToken && ArrayRef(array.shape).take_front(2) != first.take_front(2))
      return error("'" + Twine(description.name) + "' has the shape " + stringifyShape(array.shape) + " but '" +
                   reference() + "' has " + stringifyShape(first) + ": B and T must agree");
    if (heads == 0 ? first[2] != 0 : first[2] % heads != 0)
      return error("'" + Twine(description.name) + "' has " + Twine(heads) + " heads, which does not divide " +
                   Twine(first[2]));
    return llvm::Error::success();
  }
  llvm::Error addOutput(const ArrayInfo &description, const Array &array) {
    if (llvm::Error failed = addArray(description, array))
      return failed;
    if (ArrayRef(array.shape).take_front(3) != first.take_front(3))
      return error("'" + Twine(description.name) + "' must have the B, T and H of '" + reference() + "'");
    return llvm::Error::success();
  }
  llvm::Error addState(const ArrayInfo &description, const std::optional<Array> &array) {
    if (!array) {
      addWords(SmallVector<int64_t>(3 + 2 * (description.leading + description.sizes.size()), 0));
      return llvm::Error::success();
    }
    if (llvm::Error failed = addArray(description, *array))
      return failed;
    if (array->shape[0] != first[0] || array->shape[1] != first[2])
      return error("'" + Twine(description.name) + "' must have the B and H of '" + reference() + "'");
    return llvm::Error::success();
  }

  /// The values of a state after each token.
  llvm::Error addHistory(const ArrayInfo &description, const std::optional<Array> &array) {
    ArrayInfo history = description;
    ++history.leading;
    if (array && (array->shape.size() < 3 || array->shape[2] != first[1]))
      return error("'" + Twine(description.name) + "' after each token must have the B, H and T of '" +
                   info.outputs.front().name + "'");
    return addState(history, array);
  }

  std::vector<void *> arguments;
  std::vector<std::unique_ptr<int64_t[]>> storage;

private:
  /// The array that B, T and H are taken from.
  StringRef reference() const { return info.outputs.empty() ? info.inputs.front().name : info.outputs.front().name; }

  const KernelInfo &info;
  ArrayRef<int64_t> first;
};
} // namespace

const KernelInfo *Engine::find(StringRef kernel) const {
  auto info = llvm::find_if(infos, [&](const KernelInfo &candidate) { return candidate.name == kernel; });
  return info == infos.end() ? nullptr : &*info;
}

llvm::Expected<KernelCall> Engine::prepare(StringRef kernel, ArrayRef<Array> inputs, ArrayRef<Array> outputs,
                                           ArrayRef<StateArrays> states, int64_t threads) const {
  const KernelInfo *info = find(kernel);
  if (!info)
    return error("no kernel named '" + kernel + "'");
  if (inputs.size() != info->inputs.size() || outputs.size() != info->outputs.size() ||
      (!states.empty() && states.size() != info->states.size()))
    return error("'" + kernel + "' takes " + Twine(info->inputs.size()) + " inputs, " + Twine(info->outputs.size()) +
                 " outputs and " + Twine(info->states.size()) + " states");

  // [B, T, H]: of the first output, or without outputs (a summary) of the token argument with the most heads.
  ArrayRef<int64_t> first;
  if (!outputs.empty())
    first = outputs.front().shape;
  else
    for (auto [description, array] : llvm::zip(info->inputs, inputs))
      if (description.role == "token" && array.shape.size() >= 3 && (first.empty() || array.shape[2] > first[2]))
        first = array.shape;
  ArgumentList list(*info, first);
  for (auto [description, array] : llvm::zip(info->inputs, inputs))
    if (llvm::Error failed = list.addInput(description, array))
      return std::move(failed);
  for (auto [description, array] : llvm::zip(info->outputs, outputs))
    if (llvm::Error failed = list.addOutput(description, array))
      return std::move(failed);
  int64_t initialMask = 0, finalMask = 0;
  for (auto [i, description] : llvm::enumerate(info->states)) {
    StateArrays none;
    const StateArrays &given = states.empty() ? none : states[i];
    initialMask |= int64_t(given.initial.has_value()) << i;
    finalMask |= int64_t(given.final.has_value()) << i;
    for (const std::optional<Array> *array : {&given.initial, &given.final})
      if (llvm::Error failed = list.addState(description, *array))
        return std::move(failed);
  }
  for (int64_t word : {initialMask, finalMask, threads})
    list.addWords(word);
  KernelCall call;
  call.entry = entries.lookup(kernel);
  call.arguments = std::move(list.arguments);
  call.storage = std::move(list.storage);
  return call;
}

llvm::Expected<KernelCall> Engine::prepareBackward(StringRef kernel, ArrayRef<Array> inputs, ArrayRef<Array> cotangents,
                                                   ArrayRef<Array> gradients, ArrayRef<StateGradientArrays> states,
                                                   int64_t threads) const {
  const KernelInfo *info = find(kernel);
  if (!info)
    return error("no kernel named '" + kernel + "'");
  if (inputs.size() != info->inputs.size() || cotangents.size() != info->outputs.size() ||
      gradients.size() != info->gradients.size() || states.size() != info->states.size())
    return error("'" + kernel + "' takes " + Twine(info->inputs.size()) + " inputs and as many gradients, " +
                 Twine(info->outputs.size()) + " cotangents and " + Twine(info->states.size()) + " states");

  KernelCall call;
  ArrayRef<int64_t> first = cotangents.front().shape;
  ArgumentList list(*info, first);
  for (auto [description, array] : llvm::zip(info->inputs, inputs))
    if (llvm::Error failed = list.addInput(description, array))
      return std::move(failed);
  for (auto [description, array] : llvm::zip(info->outputs, cotangents))
    if (llvm::Error failed = list.addOutput(description, array))
      return std::move(failed);
  for (auto [description, array] : llvm::zip(info->gradients, gradients))
    if (llvm::Error failed = list.addInput(description, array))
      return std::move(failed);
  int64_t initialMask = 0, finalMask = 0, numKept = llvm::divideCeil(first[1], info->chunk * info->keepEvery);
  for (auto [i, description] : llvm::enumerate(info->states)) {
    initialMask |= int64_t(states[i].initial.has_value()) << i;
    finalMask |= int64_t(states[i].finalCotangent.has_value()) << i;
    for (const std::optional<Array> *array : {&states[i].initial, &states[i].finalCotangent})
      if (llvm::Error failed = list.addState(description, *array))
        return std::move(failed);
    SmallVector<int64_t> shape = {first[0], first[2], numKept};
    llvm::append_range(shape, description.sizes);
    SmallVector<int64_t> strides(shape.size(), 1);
    for (int64_t axis = int64_t(shape.size()) - 2; axis >= 0; --axis)
      strides[axis] = strides[axis + 1] * shape[axis + 1];
    int64_t size = strides[0] * shape[0];
    // Not initialised: every part is written before it is read.
    call.saved.emplace_back(new float[size]);
    call.savedBytes += size * int64_t(sizeof(float));
    list.addBuffer(call.saved.back().get(), shape, strides);
    if (llvm::Error failed = list.addState(description, states[i].initialGradient))
      return std::move(failed);
  }
  for (int64_t word : {initialMask, finalMask, threads})
    list.addWords(word);
  call.entry = entries.lookup(kernel);
  call.arguments = std::move(list.arguments);
  call.storage = std::move(list.storage);
  return call;
}

llvm::Expected<KernelCall> Engine::prepareStep(StringRef kernel, ArrayRef<Array> inputs, ArrayRef<Array> outputs,
                                               ArrayRef<StepStateArrays> states, int64_t threads) const {
  const KernelInfo *info = find(kernel);
  if (!info)
    return error("no kernel named '" + kernel + "'");
  if (inputs.size() != info->inputs.size() || outputs.size() != info->outputs.size() ||
      states.size() != info->states.size())
    return error("'" + kernel + "' takes " + Twine(info->inputs.size()) + " inputs, " + Twine(info->outputs.size()) +
                 " outputs and " + Twine(info->states.size()) + " states");
  ArgumentList list(*info, outputs.front().shape);
  for (auto [description, array] : llvm::zip(info->inputs, inputs))
    if (llvm::Error failed = list.addInput(description, array))
      return std::move(failed);
  for (auto [description, array] : llvm::zip(info->outputs, outputs))
    if (llvm::Error failed = list.addOutput(description, array))
      return std::move(failed);
  int64_t historyMask = 0;
  for (auto [i, description] : llvm::enumerate(info->states)) {
    historyMask |= int64_t(states[i].history.has_value()) << i;
    if (llvm::Error failed = list.addState(description, states[i].state))
      return std::move(failed);
    if (llvm::Error failed = list.addHistory(description, states[i].history))
      return std::move(failed);
  }
  KernelCall call;
  if (threads == 0 && info->callerScratchBytes)
    threads = std::max(1u, std::thread::hardware_concurrency());
  int64_t scratchBytes = info->callerScratchBytes * threads;
  call.saved.emplace_back(new float[llvm::divideCeil(scratchBytes, sizeof(float))]);
  list.addBuffer(call.saved.back().get(), {scratchBytes}, {1});
  list.addWords(historyMask);
  list.addWords(threads);
  call.entry = entries.lookup(kernel);
  call.arguments = std::move(list.arguments);
  call.storage = std::move(list.storage);
  return call;
}

llvm::Error Engine::run(StringRef kernel, ArrayRef<Array> inputs, ArrayRef<Array> outputs, ArrayRef<StateArrays> states,
                        int64_t threads) const {
  llvm::Expected<KernelCall> call = prepare(kernel, inputs, outputs, states, threads);
  if (!call)
    return call.takeError();
  (*call)();
  return llvm::Error::success();
}
