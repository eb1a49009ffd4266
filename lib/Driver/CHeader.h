//===- CHeader.h - The C interface of a compiled mixer ------------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_DRIVER_CHEADER_H
#define RONDO_LIB_DRIVER_CHEADER_H

#include "rondo/Driver/Shards.h"
#include "rondo/Runtime/rondo_cuda.h"
#include "rondo/Support/Npy.h"

namespace rondo::driver {

/// One tensor of the C interface, in the kernel's order.
struct CTensor {
  /// The field of the arguments' struct: `q`, `initial_S`. Empty for what is no tensor: saved states.
  std::string field;
  /// The name and the role in the runtime's table: `S`, `RONDO_INITIAL`.
  std::string name, role;
  const Operand *operand;
  ElementType type;
  llvm::SmallVector<int64_t, 2> sizes;
  bool written = false;
  /// What the comment says about NULL, instead of what the role says.
  std::string note = {};
  /// Starts as the identity matrix.
  bool identity = false;
  /// A tensor map describes it to the GPU.
  bool isMapped = false;
};

/// What the generated C files are about.
struct CInterface {
  const Signature &signature;
  const llvm::StringMap<int64_t> &sizes;
  std::vector<CTensor> tensors, backwardTensors, stepTensors;
  /// Tokens between two saved states of the backward kernel.
  int64_t chunk = 0;
  /// Bytes a thread that the step kernel needs of its caller's scratch.
  int64_t scratch = 0;
  /// The path of the source, for the comment at the top.
  std::string source;

  /// Of the summary, when the mixer has one: its tensors, those of two functions on summaries, and all its states.
  std::vector<CTensor> summaryTensors, combineTensors, composeTensors;
  llvm::ArrayRef<SummaryState> summaryStates;
  /// Why there is no summary.
  std::string noSummary;

  /// Which kernels the library has. For a GPU: how they are launched, and the files with their code. The program and
  /// the files must outlive the interface; there may be no cubin.
  bool onCpu = true;
  const rondo_cuda_program *cuda = nullptr;
  std::string ptxFile, cubinFile;

  CInterface(const Signature &signature, const llvm::StringMap<int64_t> &sizes, const Options &options);
  /// `summary` and `states` must outlive the interface.
  void addSummary(const Signature &summary, llvm::ArrayRef<SummaryState> states, const Options &options);
  /// Fails with a message when the program's arrays are not those of the interface.
  llvm::Error addCuda(const rondo_cuda_program &program);

private:
  CTensor makeTensor(const Operand &operand, const llvm::Twine &field, llvm::StringRef role, const Options &options);
};

/// The header for users.
void printHeader(const CInterface &interface, llvm::raw_ostream &os);
/// The functions of that header: tables for the runtime, and the calls of the kernels.
void printWrapper(const CInterface &interface, llvm::raw_ostream &os);

/// Parts of the wrapper. The code of the kernels and how they are launched: `forward_cuda`, a `rondo_cuda_function`.
void printCudaProgram(const CInterface &interface, llvm::raw_ostream &os);
/// Statements that return when the tensors are on a GPU, or on no device that the library is for.
void printCudaCall(const CInterface &interface, llvm::raw_ostream &os);

} // namespace rondo::driver

#endif // RONDO_LIB_DRIVER_CHEADER_H
