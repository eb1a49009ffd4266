//===- CudaProgram.cpp - The launch contract of a module's kernels, in C ----------------------------------------===//

#include "rondo/Target/Cuda.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/StringSwitch.h"
#include <deque>

using namespace mlir;
using namespace rondo;

/// What the C structs point to.
struct CudaProgram::Storage {
  KernelInfo info;
  std::deque<std::string> names;
  /// Those of the signature, then the temporaries.
  std::vector<rondo_operand> operands;
  rondo_signature signature;
  std::deque<std::vector<rondo_cuda_param>> params;
  std::vector<rondo_cuda_kernel> kernels;
  rondo_cuda_program program;

  const char *keep(StringRef text) { return names.emplace_back(text.str()).c_str(); }
};

CudaProgram::CudaProgram(std::unique_ptr<Storage> storage) : storage(std::move(storage)) {}
CudaProgram::CudaProgram(CudaProgram &&) = default;
CudaProgram &CudaProgram::operator=(CudaProgram &&) = default;
CudaProgram::~CudaProgram() = default;

const rondo_cuda_program &CudaProgram::get() const { return storage->program; }
const KernelInfo &CudaProgram::info() const { return storage->info; }

static DLDataType toDLDataType(Dtype dtype) {
  switch (dtype) {
  case Dtype::F32:
    return {kDLFloat, 32, 1};
  case Dtype::BF16:
    return {kDLBfloat, 16, 1};
  case Dtype::F16:
    return {kDLFloat, 16, 1};
  }
  llvm_unreachable("unknown element type");
}

namespace {
/// Reads the attribute of one kernel. An error is one of the compiler: the attribute is not the user's.
class ContractReader {
public:
  ContractReader(LLVM::LLVMFuncOp function, const llvm::StringMap<int> &arrays, ArrayRef<rondo_operand> operands)
      : function(function), arrays(arrays), operands(operands) {}

  llvm::Error read(rondo_cuda_kernel &kernel, std::vector<rondo_cuda_param> &params) {
    auto launch = function->getAttrOfType<DictionaryAttr>("rondo.launch");
    if (!launch)
      return error("it has no rondo.launch");
    for (auto [name, value, least, most] : {std::tuple("threads", &kernel.threads, int64_t(1), int64_t(1024)),
                                            std::tuple("shared", &kernel.shared, int64_t(0), int64_t(INT32_MAX)),
                                            std::tuple("blocks", &kernel.blocks, int64_t(1), int64_t(INT32_MAX)),
                                            std::tuple("maxBlocks", &kernel.max_blocks, int64_t(0), int64_t(INT32_MAX)),
                                            std::tuple("workspace", &kernel.workspace, int64_t(0), INT64_MAX)}) {
      auto attr = launch.getAs<IntegerAttr>(name);
      if (!attr || attr.getInt() < least || attr.getInt() > most)
        return error(Twine("rondo.launch needs '") + name + "', a number from " + Twine(least) + " to " + Twine(most));
      *value = attr.getInt();
    }
    auto list = launch.getAs<ArrayAttr>("params");
    if (!list || list.size() != function.getNumArguments())
      return error("rondo.launch needs 'params', one for each of " + Twine(function.getNumArguments()) + " parameters");
    for (auto [i, attr] : llvm::enumerate(list)) {
      auto param = dyn_cast<DictionaryAttr>(attr);
      if (!param)
        return error("parameter " + Twine(i) + " of rondo.launch is not a dictionary");
      if (llvm::Error failed = readParam(i, param, params.emplace_back()))
        return failed;
    }
    return llvm::Error::success();
  }

private:
  llvm::Error error(const Twine &message) {
    return llvm::createStringError("kernel '" + Twine(function.getName()) + "' cannot be launched: " + message);
  }

  llvm::Error readParam(unsigned position, DictionaryAttr attr, rondo_cuda_param &param) {
    auto wrong = [&](const Twine &message) { return error("parameter " + Twine(position) + " " + message); };
    auto text = [&](StringRef name) {
      auto value = attr.getAs<StringAttr>(name);
      return value ? value.getValue() : StringRef();
    };
    param = {};
    int kind = llvm::StringSwitch<int>(text("kind"))
                   .Case("pointer", RONDO_CUDA_POINTER)
                   .Case("stride", RONDO_CUDA_STRIDE)
                   .Case("heads", RONDO_CUDA_HEADS)
                   .Case("size", RONDO_CUDA_SIZE)
                   .Case("map", RONDO_CUDA_MAP)
                   .Case("workspace", RONDO_CUDA_WORKSPACE)
                   .Default(-1);
    if (kind < 0)
      return wrong("has the unknown kind '" + text("kind") + "'");
    param.kind = rondo_cuda_kind(kind);

    if (kind != RONDO_CUDA_SIZE && kind != RONDO_CUDA_WORKSPACE) {
      auto found = arrays.find(text("array"));
      if (found == arrays.end())
        return wrong("is about the array '" + text("array") + "', which rondo.arrays does not have");
      param.array = found->second;
    }
    if (kind == RONDO_CUDA_STRIDE || kind == RONDO_CUDA_SIZE) {
      int dim = llvm::StringSwitch<int>(text("dim"))
                    .Case("B", RONDO_CUDA_B)
                    .Case("T", RONDO_CUDA_T)
                    .Case("H", RONDO_CUDA_H)
                    .Default(-1);
      if (dim < 0)
        return wrong("has the dimension '" + text("dim") + "', not B, T or H");
      param.dim = rondo_cuda_dim(dim);
    }

    Type type = function.getArgumentTypes()[position];
    bool isAddress = kind == RONDO_CUDA_POINTER || kind == RONDO_CUDA_WORKSPACE || kind == RONDO_CUDA_MAP;
    if (isAddress ? !isa<LLVM::LLVMPointerType>(type) : !type.isInteger(64))
      return wrong("is a " + text("kind") + ", and the kernel has another type there");
    bool isMap = bool(function.getArgAttr(position, LLVM::LLVMDialect::getByValAttrName()));
    if (isMap != (kind == RONDO_CUDA_MAP))
      return wrong(isMap ? "is passed by value, which only a map is" : "is a map and must be passed by value");
    return isMap ? readMap(attr, param, wrong) : llvm::Error::success();
  }

  llvm::Error readMap(DictionaryAttr attr, rondo_cuda_param &param,
                      llvm::function_ref<llvm::Error(const Twine &)> wrong) {
    SmallVector<int64_t> box;
    if (auto dense = attr.getAs<DenseI64ArrayAttr>("box"))
      llvm::append_range(box, dense.asArrayRef());
    else if (auto list = attr.getAs<ArrayAttr>("box"))
      for (auto size : list.getAsRange<IntegerAttr>())
        box.push_back(size.getInt());
    constexpr int64_t kLargestBox = 256;
    if (box.size() != 2 || llvm::any_of(box, [](int64_t size) { return size < 1 || size > kLargestBox; }))
      return wrong("needs box = [features, tokens], each from 1 to " + Twine(kLargestBox));
    auto swizzle = attr.getAs<IntegerAttr>("swizzle");
    int64_t span = swizzle ? swizzle.getInt() : 0;
    if (!llvm::is_contained({0, 32, 64, 128}, span))
      return wrong("needs swizzle = 0, 32, 64 or 128, not " + Twine(span));
    const rondo_operand &operand = operands[param.array];
    int64_t bytes = box[0] * operand.dtype.bits / 8;
    if ((operand.role != RONDO_TOKEN && operand.role != RONDO_OUTPUT) || operand.rank != 1)
      return wrong("is a map of '" + Twine(operand.name) + "', which is not one vector for each token");
    if (bytes % 16 || (span && bytes > span))
      return wrong("has a box of " + Twine(bytes) + " bytes a row: a multiple of 16" +
                   (span ? ", and at most its swizzle" : "") + " is needed");
    param.box[0] = int(box[0]);
    param.box[1] = int(box[1]);
    param.swizzle = int(span);
    return llvm::Error::success();
  }

  LLVM::LLVMFuncOp function;
  const llvm::StringMap<int> &arrays;
  ArrayRef<rondo_operand> operands;
};
} // namespace

/// Column blocks of the first kernel.
static int64_t countBlocks(gpu::GPUModuleOp scope) {
  for (auto function : scope.getOps<LLVM::LLVMFuncOp>())
    if (auto launch = function->getAttrOfType<DictionaryAttr>("rondo.launch"))
      if (auto blocks = launch.getAs<IntegerAttr>("blocks"))
        return blocks.getInt();
  return 1;
}

llvm::Expected<CudaProgram> CudaProgram::read(ModuleOp module) {
  auto scope = module.lookupSymbol<gpu::GPUModuleOp>(kCudaModule);
  std::vector<KernelInfo> infos = scope ? readKernels(scope) : std::vector<KernelInfo>();
  if (infos.empty())
    return llvm::createStringError("the module has no kernels for a GPU");
  auto storage = std::make_unique<Storage>();
  storage->info = infos.front();
  // Blocks of columns are one kernel's business; the arrays of the caller are whole.
  if (KernelInfo &info = storage->info; !info.block.empty()) {
    int64_t blocks = countBlocks(scope);
    for (std::vector<ArrayInfo> *list : {&info.inputs, &info.outputs, &info.states})
      for (ArrayInfo &array : *list)
        for (auto [size, dim] : llvm::zip(array.sizes, array.dims))
          if (dim == info.block)
            size *= blocks;
  }
  llvm::StringMap<int> arrays;
  auto add = [&](const ArrayInfo &info, rondo_role role, StringRef suffix) {
    rondo_operand operand = {};
    operand.name = storage->keep(info.name);
    operand.role = role;
    operand.grouped = role == RONDO_TOKEN;
    operand.dtype = toDLDataType(info.dtype);
    operand.rank = int(info.sizes.size());
    llvm::copy(ArrayRef(info.sizes).take_front(2), operand.sizes);
    arrays[info.name + suffix.str()] = int(storage->operands.size());
    storage->operands.push_back(operand);
  };
  for (const ArrayInfo &info : storage->info.inputs)
    add(info, info.role == "param" ? RONDO_PARAM : RONDO_TOKEN, "");
  for (const ArrayInfo &info : storage->info.outputs)
    add(info, RONDO_OUTPUT, "");
  for (const ArrayInfo &info : storage->info.states) {
    add(info, RONDO_INITIAL, ".initial");
    add(info, RONDO_FINAL, ".final");
  }

  int count = int(storage->operands.size());
  for (const ArrayInfo &info : storage->info.temporaries)
    add(info, RONDO_OUTPUT, "");

  ArrayAttr all;
  for (auto function : scope.getOps<LLVM::LLVMFuncOp>()) {
    // Functions that kernels call are no kernels.
    if (!function->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()))
      continue;
    if (ArrayAttr own = function->getAttrOfType<ArrayAttr>("rondo.arrays"); all && own != all)
      return llvm::createStringError("kernel '" + function.getName() + "' has other arrays than the one before");
    else
      all = own;
    rondo_cuda_kernel kernel = {};
    std::vector<rondo_cuda_param> &params = storage->params.emplace_back();
    if (llvm::Error failed = ContractReader(function, arrays, storage->operands).read(kernel, params))
      return std::move(failed);
    kernel.name = storage->keep(function.getName());
    kernel.params = params.data();
    kernel.count = int(params.size());
    storage->kernels.push_back(kernel);
  }
  if (storage->kernels.empty())
    return llvm::createStringError("gpu.module @" + kCudaModule + " has no llvm.func with nvvm.kernel");
  // In the order of their numbers; `<mixer>_kernel_10` comes after `_2`.
  llvm::sort(storage->kernels, [](const rondo_cuda_kernel &a, const rondo_cuda_kernel &b) {
    return StringRef(a.name).compare_numeric(b.name) < 0;
  });
  StringRef mixer = StringRef(storage->info.name).rsplit("_kernel").first;
  storage->signature = {storage->keep(mixer), count, storage->operands.data(), 0};
  storage->program = {&storage->signature, int(storage->kernels.size()), storage->kernels.data(),
                      int(storage->operands.size()) - count, storage->operands.data() + count};
  return CudaProgram(std::move(storage));
}
