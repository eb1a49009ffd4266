//===- CudaEngine.h - Kernels on a GPU, called with arrays of the host --------------------------------*- C++ -*-===//

#ifndef RONDO_TARGET_CUDAENGINE_H
#define RONDO_TARGET_CUDAENGINE_H

#include "rondo/Target/Cuda.h"

namespace rondo {

/// A call with its arrays on the device. The arrays of the host and the engine must outlive it.
class CudaCall {
public:
  CudaCall(CudaCall &&);
  ~CudaCall();

  /// Launches, waits, and copies outputs and final states to the host.
  llvm::Error run();
  /// Milliseconds of each of `runs` launches after `warmups`, by events.
  llvm::Expected<std::vector<float>> time(int warmups, int runs);
  /// Bytes of device memory beside the arrays.
  int64_t getWorkspaceBytes() const;

private:
  friend class CudaEngine;
  CudaCall();
  struct Copy;
  rondo_cuda_module *module = nullptr;
  int64_t batch = 0, tokens = 0, heads = 0;
  std::vector<rondo_descriptor> descriptors;
  /// Device memory and where it came from; one for each array that is there.
  std::vector<Copy> copies;
};

/// The kernels of a module, loaded onto a device.
class CudaEngine {
public:
  /// `device` < 0 is the current one. An error says what is missing on this machine.
  static llvm::Expected<std::unique_ptr<CudaEngine>> create(CudaProgram program, const CudaCode &code, int device = -1,
                                                            CudaTimes *times = nullptr);
  ~CudaEngine();

  const KernelInfo &info() const { return contract.info(); }
  const CudaProgram &program() const { return contract; }
  llvm::StringRef getDeviceName() const;
  /// Otherwise the driver compiled the PTX.
  bool isFromCubin() const;

  /// Checks the arrays, which are the host's, and copies all of them to the device: what the kernel does not write of
  /// an output is what the host had there. An error names the array and says what it must be.
  llvm::Expected<CudaCall> prepare(llvm::ArrayRef<Array> inputs, llvm::ArrayRef<Array> outputs,
                                   llvm::ArrayRef<StateArrays> states = {}) const;

private:
  explicit CudaEngine(CudaProgram program) : contract(std::move(program)) {}
  CudaProgram contract;
  rondo_cuda_module *module = nullptr;
};

} // namespace rondo

#endif // RONDO_TARGET_CUDAENGINE_H
