//===- Embedded.h - Files that `rondoc compile` writes or builds --------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_DRIVER_EMBEDDED_H
#define RONDO_LIB_DRIVER_EMBEDDED_H

namespace rondo::driver {

/// include/rondo/Runtime/rondo.h, rondo_runtime.h, lib/Runtime/rondo_runtime.c and DLPack's dlpack.h.
extern const char kRondoHeader[], kRuntimeHeader[], kRuntimeSource[], kDLPackHeader[];
/// rondo_cuda.h, rondo_cuda.c, rondo_cuda_call.h, rondo_cuda_call.c of the same folders.
extern const char kCudaHeader[], kCudaSource[], kCudaCallHeader[], kCudaCallSource[];
/// Where LLVM's OpenMP library is, and a C compiler to try first.
extern const char kLibraryDir[], kCompiler[];

} // namespace rondo::driver

#endif // RONDO_LIB_DRIVER_EMBEDDED_H
