//===- CudaEngine.cpp - Kernels on a GPU, called with arrays of the host ----------------------------------------===//

#include "rondo/Target/CudaEngine.h"

#include "StepTimer.h"

using namespace mlir;
using namespace rondo;

static llvm::Error runtimeError() { return llvm::createStringError(Twine(rondo_error_message())); }

//===----------------------------------------------------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------------------------------------------------===//

/// An array of the host and its copy on the device.
struct CudaCall::Copy {
  rondo_cuda_module *module;
  void *device;
  void *host;
  size_t bytes;
  bool isResult;

  Copy(rondo_cuda_module *module, void *host, size_t bytes, bool isResult)
      : module(module), device(nullptr), host(host), bytes(bytes), isResult(isResult) {}
  Copy(Copy &&other)
      : module(other.module), device(std::exchange(other.device, nullptr)), host(other.host), bytes(other.bytes),
        isResult(other.isResult) {}
  ~Copy() { rondo_cuda_free(module, device); }
};

CudaCall::CudaCall() = default;
CudaCall::CudaCall(CudaCall &&) = default;
CudaCall::~CudaCall() = default;

llvm::Error CudaCall::run() {
  if (rondo_cuda_launch(module, descriptors.data(), batch, tokens, heads, nullptr) ||
      rondo_cuda_synchronize(module, nullptr))
    return runtimeError();
  for (const Copy &copy : copies)
    if (copy.isResult && rondo_cuda_copy_out(module, copy.host, copy.device, copy.bytes))
      return runtimeError();
  return llvm::Error::success();
}

llvm::Expected<std::vector<float>> CudaCall::time(int warmups, int runs) {
  std::vector<float> milliseconds(runs);
  if (rondo_cuda_time(module, descriptors.data(), batch, tokens, heads, nullptr, warmups, runs, milliseconds.data()))
    return runtimeError();
  return milliseconds;
}

int64_t CudaCall::getWorkspaceBytes() const { return rondo_cuda_workspace_bytes(module, batch, tokens, heads); }

//===----------------------------------------------------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------------------------------------------------===//

static llvm::Error error(const ArrayInfo &info, const Twine &message) {
  return llvm::createStringError("'" + Twine(info.name) + "' " + message);
}

/// Compares an array with its description and, where they are known (not 0), B, T and H, which it tells otherwise.
static llvm::Error check(const ArrayInfo &info, const Array &array, int64_t (&extents)[3]) {
  static const char *const names[] = {"B", "T", "H"};
  if (array.dtype != info.dtype)
    return error(info, "must be " + stringifyDtype(info.dtype) + ", not " + stringifyDtype(array.dtype));
  int64_t rank = info.leading + info.sizes.size();
  if (int64_t(array.shape.size()) != rank || int64_t(array.strides.size()) != rank)
    return error(info, "must have " + Twine(rank) + " dimensions, not " + Twine(array.shape.size()));
  for (int64_t i = 0; i < info.leading; ++i) {
    int dim = info.leading == 1 ? 2 : info.leading == 2 ? 2 * i : i;
    int64_t &extent = extents[dim];
    // Arguments of a mixer may be shared by several heads.
    bool grouped = dim == 2 && (info.role == "token" || info.role == "param");
    if (extent == 0)
      extent = array.shape[i];
    if (array.shape[i] < 1 || (grouped ? extent % array.shape[i] != 0 : extent != array.shape[i]))
      return error(info, Twine("has ") + names[dim] + " = " + Twine(array.shape[i]) + ", and other arrays have " +
                             Twine(extent));
  }
  for (auto [i, size] : llvm::enumerate(info.sizes))
    if (array.shape[info.leading + i] != size)
      return error(info, "has size " + Twine(array.shape[info.leading + i]) + " in dimension " +
                             Twine(info.leading + i) + " and was compiled for " + Twine(size));
  if (llvm::any_of(array.strides, [](int64_t stride) { return stride < 0; }))
    return error(info, "has a negative stride");
  return llvm::Error::success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Engine
//===----------------------------------------------------------------------------------------------------------------===//

llvm::Expected<std::unique_ptr<CudaEngine>> CudaEngine::create(CudaProgram program, const CudaCode &code, int device,
                                                               CudaTimes *times) {
  StepTimer timer(times ? &times->load : nullptr);
  std::unique_ptr<CudaEngine> engine(new CudaEngine(std::move(program)));
  rondo_cuda_image image = {code.cubin.empty() ? nullptr : code.cubin.data(), code.ptx.c_str()};
  if (rondo_cuda_load(&engine->contract.get(), &image, device, &engine->module))
    return runtimeError();
  return engine;
}

CudaEngine::~CudaEngine() { rondo_cuda_unload(module); }

StringRef CudaEngine::getDeviceName() const { return rondo_cuda_device_name(module); }

bool CudaEngine::isFromCubin() const { return rondo_cuda_is_from_cubin(module); }

llvm::Expected<CudaCall> CudaEngine::prepare(ArrayRef<Array> inputs, ArrayRef<Array> outputs,
                                             ArrayRef<StateArrays> states) const {
  const KernelInfo &kernel = info();
  if (inputs.size() != kernel.inputs.size() || outputs.size() != kernel.outputs.size() ||
      (!states.empty() && states.size() != kernel.states.size()))
    return llvm::createStringError("'" + kernel.name + "' takes " + Twine(kernel.inputs.size()) + " inputs, " +
                                   Twine(kernel.outputs.size()) + " outputs and " + Twine(kernel.states.size()) +
                                   " states");
  CudaCall call;
  call.module = module;
  int64_t extents[3] = {0, 0, 0};
  // The outputs tell H: arguments may have fewer. Without outputs it is the argument with the most heads.
  if (!outputs.empty() && outputs.front().shape.size() >= 3)
    std::copy_n(outputs.front().shape.begin(), 3, extents);
  else
    for (auto [description, array] : llvm::zip(kernel.inputs, inputs))
      if (description.role == "token" && array.shape.size() >= 3 && array.shape[2] > extents[2])
        std::copy_n(array.shape.begin(), 3, extents);

  auto add = [&](const ArrayInfo &description, const std::optional<Array> &array, bool isResult) -> llvm::Error {
    rondo_descriptor &descriptor = call.descriptors.emplace_back();
    descriptor = {};
    if (!array)
      return llvm::Error::success();
    if (llvm::Error failed = check(description, *array, extents))
      return failed;
    int64_t span = 1, bytes = array->dtype == Dtype::F32 ? 4 : 2;
    for (auto [i, size] : llvm::enumerate(array->shape)) {
      descriptor.extents[i] = size;
      descriptor.extents[array->shape.size() + i] = array->strides[i];
      span += (size - 1) * array->strides[i];
    }
    CudaCall::Copy &copy = call.copies.emplace_back(module, array->data, size_t(span * bytes), isResult);
    if (rondo_cuda_allocate(module, copy.bytes, &copy.device) ||
        rondo_cuda_copy_in(module, copy.device, copy.host, copy.bytes))
      return runtimeError();
    descriptor.allocated = descriptor.aligned = copy.device;
    return llvm::Error::success();
  };
  for (auto [description, array] : llvm::zip(kernel.inputs, inputs))
    if (llvm::Error failed = add(description, array, /*isResult=*/false))
      return std::move(failed);
  for (auto [description, array] : llvm::zip(kernel.outputs, outputs))
    if (llvm::Error failed = add(description, array, /*isResult=*/true))
      return std::move(failed);
  for (auto [i, description] : llvm::enumerate(kernel.states)) {
    StateArrays given = states.empty() ? StateArrays() : states[i];
    if (llvm::Error failed = add(description, given.initial, /*isResult=*/false))
      return std::move(failed);
    if (llvm::Error failed = add(description, given.final, /*isResult=*/true))
      return std::move(failed);
  }
  call.batch = extents[0];
  call.tokens = extents[1];
  call.heads = extents[2];
  return call;
}
