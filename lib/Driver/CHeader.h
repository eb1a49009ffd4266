//===- CHeader.h - The C interface of a compiled mixer --------------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_DRIVER_CHEADER_H
#define RONDO_LIB_DRIVER_CHEADER_H

#include "rondo/Driver/Source.h"
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
};

/// What the generated C files are about.
struct CInterface {
  const Signature &signature;
  const llvm::StringMap<int64_t> &sizes;
  std::vector<CTensor> tensors, backwardTensors, stepTensors;
  /// Tokens between two saved states of the backward kernel.
  int64_t chunk;
  /// Bytes a thread that the step kernel needs of its caller's scratch.
  int64_t scratch;
  /// The path of the source, for the comment at the top.
  std::string source;

  CInterface(const Signature &signature, const llvm::StringMap<int64_t> &sizes, int64_t chunk, int64_t scratch,
             const Options &options);
};

/// The header for users.
void printHeader(const CInterface &interface, llvm::raw_ostream &os);
/// The functions of that header: tables for the runtime, and the calls of the kernels.
void printWrapper(const CInterface &interface, llvm::raw_ostream &os);

} // namespace rondo::driver

#endif // RONDO_LIB_DRIVER_CHEADER_H
