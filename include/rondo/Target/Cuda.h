//===- Cuda.h - Code for an NVIDIA GPU ----------------------------------------------------------------*- C++ -*-===//
//
// The last step for the CUDA target: a module with a `gpu.module @cuda` in the `llvm` and `nvvm` dialects becomes PTX
// in this process, a cubin where there is a `ptxas`, and the launch contract of its kernels in C
// (`rondo_cuda_program`).
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_TARGET_CUDA_H
#define RONDO_TARGET_CUDA_H

#include "rondo/Runtime/rondo_cuda.h"
#include "rondo/Target/Engine.h"

namespace rondo {

/// What ptxas says about one kernel (or function that was not inlined).
struct PtxasKernel {
  std::string name;
  int64_t registers = 0, barriers = 0;
  /// Bytes.
  int64_t stack = 0, spillStores = 0, spillLoads = 0, staticShared = 0;
};

struct PtxasReport {
  std::vector<PtxasKernel> kernels;
  /// Whole lines: warnings, and remarks with a number such as (C7510), which say that the code is slower than it could
  /// be.
  std::vector<std::string> warnings;

  /// Reads what `ptxas -v` writes.
  static PtxasReport parse(llvm::StringRef log);
  /// One line for each kernel and each warning.
  void print(llvm::raw_ostream &os) const;
};

/// Milliseconds that each step took.
struct CudaTimes {
  double translate = 0, optimize = 0, generate = 0, assemble = 0, load = 0;
};

/// The code of a module's kernels.
struct CudaCode {
  std::string ptx;
  /// An ELF file; empty where nothing has assembled the PTX: the driver does it then.
  std::string cubin;
  PtxasReport report;
};

/// The name of the `gpu.module` with the kernels.
inline constexpr llvm::StringLiteral kCudaModule = "cuda";
/// The only architecture that there is code for.
inline constexpr llvm::StringLiteral kCudaArchitecture = "sm_90a";

/// Makes the dialects and translations known that the code generator needs.
void registerCudaDialects(mlir::DialectRegistry &registry);

/// Whether the module has kernels for a GPU.
bool hasCudaModule(mlir::ModuleOp module);

/// PTX of the kernels in `gpu.module @cuda`. An error names a function that the kernels call and that is not there.
llvm::Expected<CudaCode> generatePtx(mlir::ModuleOp module, CudaTimes *times = nullptr);

/// $RONDO_PTXAS (also "none"), or `ptxas` in $PATH, $CUDA_HOME/bin or /usr/local/cuda/bin; empty when there is none.
/// What $RONDO_PTXAS says must exist.
llvm::Expected<std::string> findPtxas();

/// Fills the cubin and the report. An error has the words of ptxas.
llvm::Error assemble(CudaCode &code, llvm::StringRef ptxas, CudaTimes *times = nullptr);

/// How the kernels of a module are launched: the attributes `rondo.arrays` and `rondo.launch` in C. Kernels of one
/// program all have its whole `rondo.arrays`; those of role `temporary` are the program's own.
class CudaProgram {
public:
  static llvm::Expected<CudaProgram> read(mlir::ModuleOp module);
  CudaProgram(CudaProgram &&);
  CudaProgram &operator=(CudaProgram &&);
  ~CudaProgram();

  /// Stays where it is when this object moves.
  const rondo_cuda_program &get() const;
  /// The arrays of the call, and the chunk; the name is that of the first kernel.
  const KernelInfo &info() const;

private:
  struct Storage;
  explicit CudaProgram(std::unique_ptr<Storage> storage);
  std::unique_ptr<Storage> storage;
};

} // namespace rondo

#endif // RONDO_TARGET_CUDA_H
