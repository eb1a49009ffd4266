//===- Engine.h - Machine code from a compiled kernel -------------------------------------------------*- C++ -*-===//
//
// The last step of the corridor: a module in the LLVM dialect (the end of the `rondo-cpu` pipeline) becomes LLVM IR,
// assembly, an object file, or code that runs in this process.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_TARGET_ENGINE_H
#define RONDO_TARGET_ENGINE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <optional>
#include <string>

namespace llvm {
class TargetMachine;
namespace orc {
class LLJIT;
} // namespace orc
} // namespace llvm

namespace rondo {

/// Element types of the arrays at the boundary of a kernel.
enum class Dtype { F32, BF16, F16 };

/// The name that a user writes: f32, bf16, f16.
llvm::StringRef stringifyDtype(Dtype dtype);
std::optional<Dtype> parseDtype(llvm::StringRef name);

/// An array of the caller; strides in elements, the innermost 1.
struct Array {
  void *data = nullptr;
  Dtype dtype = Dtype::F32;
  llvm::SmallVector<int64_t> shape, strides;
};

/// The arrays of one state; both are optional.
struct StateArrays {
  std::optional<Array> initial, final;
};

/// The arrays of one state in a backward call: where it began, the cotangent of where it ended, and where the gradient
/// of where it began goes.
struct StateGradientArrays {
  std::optional<Array> initial, finalCotangent;
  Array initialGradient;
};

/// The arrays of one state in a step call: its value before and after the call, and optionally its value after each
/// token, [B, H, T, ...].
struct StepStateArrays {
  Array state;
  std::optional<Array> history;
};

/// What one array of a kernel must look like (from the attribute `rondo.arrays`).
struct ArrayInfo {
  std::string name, role;
  Dtype dtype;
  /// Sizes of one token's value, or of a parameter or state of one head.
  llvm::SmallVector<int64_t> sizes;
  /// Names of these sizes.
  llvm::SmallVector<std::string> dims;
  /// Number of dimensions before them: [B, T, H], [H] or [B, H].
  int64_t leading;
};

/// A kernel of a module: inputs, outputs and states in the order of its arguments.
struct KernelInfo {
  std::string name;
  /// A backward kernel has the cotangents of the outputs for outputs, and gradients as well.
  std::vector<ArrayInfo> inputs, outputs, gradients, states;
  /// What kernels of one call hand over: no arrays of the caller.
  std::vector<ArrayInfo> temporaries;
  int64_t chunk = 0;
  /// Of a backward kernel: chunks between the states that it keeps.
  int64_t keepEvery = 1;
  /// Whether it updates states in place, token by token.
  bool isStep = false;
  /// Bytes of local memory a thread.
  int64_t scratchBytes = 0;
  /// The same where a step kernel has it from its caller; 0 where it is on the stack.
  int64_t callerScratchBytes = 0;
  /// The size that is split into column blocks, or empty.
  std::string block;
};

/// The kernels of a module (also a `gpu.module`), before or after the conversion to the LLVM dialect.
std::vector<KernelInfo> readKernels(mlir::Operation *module);

/// Milliseconds that each step took.
struct CodegenTimes {
  double translate = 0, optimize = 0, codegen = 0, link = 0;
};

/// A CPU to compile for.
class CpuTarget {
public:
  /// `name` is `native` or a CPU that LLVM knows, such as x86-64-v3, x86-64-v4 or znver5.
  static llvm::Expected<CpuTarget> get(llvm::StringRef name = "native");

  CpuTarget(CpuTarget &&);
  CpuTarget &operator=(CpuTarget &&);
  ~CpuTarget();

  /// Bits of the widest vector registers: what the vectorizer should use.
  unsigned vectorBits() const { return bits; }
  llvm::TargetMachine &machine() const { return *targetMachine; }

private:
  CpuTarget();
  std::unique_ptr<llvm::TargetMachine> targetMachine;
  unsigned bits = 0;
};

/// What `emit` writes.
enum class Artifact { LLVMIR, Assembly, Object };

/// Writes the optimised code of a module in the LLVM dialect.
llvm::Error emit(mlir::ModuleOp module, const CpuTarget &target, Artifact artifact, llvm::raw_ostream &os,
                 CodegenTimes *times = nullptr);

/// A call with its arguments in place: cheap to repeat. The arrays must outlive it.
class KernelCall {
public:
  void operator()() const { entry(const_cast<void **>(arguments.data())); }
  /// Bytes for the states at chunk boundaries (backward calls).
  int64_t getSavedBytes() const { return savedBytes; }

private:
  friend class Engine;
  using Entry = void (*)(void **);
  Entry entry = nullptr;
  std::vector<void *> arguments;
  /// What `arguments` points to.
  std::vector<std::unique_ptr<int64_t[]>> storage;
  /// States at chunk boundaries, or scratch.
  std::vector<std::unique_ptr<float[]>> saved;
  int64_t savedBytes = 0;
};

/// The kernels of a module as code in this process.
class Engine {
public:
  static llvm::Expected<std::unique_ptr<Engine>> create(mlir::ModuleOp module, const CpuTarget &target,
                                                        CodegenTimes *times = nullptr);
  ~Engine();

  llvm::ArrayRef<KernelInfo> kernels() const { return infos; }

  /// Checks the arrays against the kernel and builds the call. `states` is empty or has one entry a state; `threads` =
  /// 0 is OpenMP's default. An error names the array and says what it must be.
  llvm::Expected<KernelCall> prepare(llvm::StringRef kernel, llvm::ArrayRef<Array> inputs,
                                     llvm::ArrayRef<Array> outputs, llvm::ArrayRef<StateArrays> states = {},
                                     int64_t threads = 0) const;

  /// The same for a backward kernel (`<mixer>_backward_kernel`): `cotangents` of every output, `gradients` of every
  /// input. The call owns the memory for the states at chunk boundaries: it grows with T.
  llvm::Expected<KernelCall> prepareBackward(llvm::StringRef kernel, llvm::ArrayRef<Array> inputs,
                                             llvm::ArrayRef<Array> cotangents, llvm::ArrayRef<Array> gradients,
                                             llvm::ArrayRef<StateGradientArrays> states, int64_t threads = 0) const;

  /// The same for a step kernel (`<mixer>_step_kernel`). The call owns its scratch when that is not on the stack.
  llvm::Expected<KernelCall> prepareStep(llvm::StringRef kernel, llvm::ArrayRef<Array> inputs,
                                         llvm::ArrayRef<Array> outputs, llvm::ArrayRef<StepStateArrays> states,
                                         int64_t threads = 0) const;

  llvm::Error run(llvm::StringRef kernel, llvm::ArrayRef<Array> inputs, llvm::ArrayRef<Array> outputs,
                  llvm::ArrayRef<StateArrays> states = {}, int64_t threads = 0) const;

private:
  Engine();
  const KernelInfo *find(llvm::StringRef kernel) const;
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::vector<KernelInfo> infos;
  llvm::StringMap<KernelCall::Entry> entries;
};

} // namespace rondo

#endif // RONDO_TARGET_ENGINE_H
