/*===- rondo_cuda.h - Kernels on an NVIDIA GPU -------------------------------------------------------------*- C -*-===
 *
 * Loads the compiled kernels of a mixer and launches them. The CUDA driver (libcuda.so.1) is opened when the first
 * module is loaded: nothing of CUDA is needed to build or link this, and a machine without it gets an error text.
 * Plain C11, the C library, dlopen and a mutex (in old C libraries: -ldl -lpthread).
 *
 * How a kernel is launched is data: `rondo_cuda_program` is the C form of the attribute `rondo.launch`. Arrays are
 * those of `rondo_signature`, in its order, described as `rondo_prepare` does it; their memory is the device's:
 *
 *   static rondo_cuda_module *module;                 // once for a device
 *   rondo_cuda_load(&program, image, -1, &module);
 *   rondo_cuda_launch(module, descriptors, B, T, H, stream);
 *
 * Kernels of one call hand over arrays of the program's own, its temporaries: [B, T, H, ...] as those of the caller.
 * Each call takes their memory from a pool in the order of its stream and gives it back behind its last kernel; the
 * pool keeps it for the next call. Where the driver has no pools, they lie behind the workspace.
 *
 * Threads: a module may be used by one thread at a time. Its launches may go to several streams, unless they share
 * memory (`rondo_cuda_shares_memory`): a workspace, or temporaries without a pool. Different modules are independent.
 * Errors: the status, and one line in `rondo_error_message()`. A launch returns before the kernel ends; what goes wrong
 * on the device shows in a later call (`rondo_cuda_synchronize`).
 *
 * Environment: RONDO_LIBCUDA names another driver library than libcuda.so.1.
 *
 *===----------------------------------------------------------------------------------------------------------------===*/

#ifndef RONDO_RUNTIME_RONDO_CUDA_H
#define RONDO_RUNTIME_RONDO_CUDA_H

#include "rondo_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/*===---- How a kernel is launched ------------------------------------------------------------------------------===*/

/** What one parameter of a kernel is. */
typedef enum rondo_cuda_kind {
  RONDO_CUDA_POINTER,  /**< the first element of `array`; null for a state that is not there */
  RONDO_CUDA_STRIDE,   /**< i64: the stride of `array` along `dim`, in elements; 0 for a state that is not there */
  RONDO_CUDA_HEADS,    /**< i64: the number of heads of `array` */
  RONDO_CUDA_SIZE,     /**< i64: `dim` of the call */
  RONDO_CUDA_MAP,      /**< the 128 bytes of a tensor map of `array`: (feature, head, time, batch) */
  RONDO_CUDA_WORKSPACE /**< the memory of all launched blocks; block i has [i * workspace, (i + 1) * workspace) */
} rondo_cuda_kind;

typedef enum rondo_cuda_dim { RONDO_CUDA_B, RONDO_CUDA_T, RONDO_CUDA_H } rondo_cuda_dim;

typedef struct rondo_cuda_param {
  rondo_cuda_kind kind;
  int array;          /**< the operand of the signature, by number, and then the temporaries; of SIZE and WORKSPACE: not
                           used, 0 */
  rondo_cuda_dim dim; /**< of STRIDE and SIZE */
  int box[2];         /**< of MAP: features and tokens of one copy to shared memory */
  int swizzle;        /**< of MAP: 0, 32, 64 or 128 bytes */
} rondo_cuda_param;

/** One kernel: `threads` in a block, `blocks` blocks for every batch entry and head. */
typedef struct rondo_cuda_kernel {
  const char *name;
  int64_t threads;
  int64_t shared;     /**< dynamic shared memory of a block, bytes */
  int64_t blocks;     /**< the columns of a state may be split over several */
  int64_t max_blocks; /**< not 0: launch at most so many, which then loop */
  int64_t workspace;  /**< global memory of a launched block, bytes */
  int count;
  const rondo_cuda_param *params;
} rondo_cuda_kernel;

/** The kernels of one call, launched in order. */
typedef struct rondo_cuda_program {
  const rondo_signature *signature;
  int count;
  const rondo_cuda_kernel *kernels;
  int temporary_count;
  const rondo_operand *temporaries; /**< of role RONDO_OUTPUT: one kernel writes them, later ones read them */
} rondo_cuda_program;

/** The code. One of the two may be missing: a cubin loads at once, PTX is compiled by the driver. */
typedef struct rondo_cuda_image {
  const void *cubin; /**< an ELF file, or NULL */
  const char *ptx;   /**< a text that ends in 0, or NULL; taken when there is no cubin or the device refuses it */
} rondo_cuda_image;

/*===---- Load and launch ---------------------------------------------------------------------------------------===*/

typedef struct rondo_cuda_module rondo_cuda_module;

/**
 * Loads the code onto `device`, or with -1 onto the device that is current in this thread (without one, device 0). The
 * context is the current one when it belongs to the device, which is PyTorch's, else the device's primary one.
 * `program` and all that it points to must outlive the module.
 *
 * RONDO_NO_DRIVER, RONDO_UNSUITABLE_DEVICE (no device, or not of compute capability 9.0), RONDO_DRIVER_ERROR.
 */
rondo_status rondo_cuda_load(const rondo_cuda_program *program, const rondo_cuda_image *image, int device,
                             rondo_cuda_module **module);

/** Waits for what the module has launched, and frees it and its memory. NULL is allowed. */
void rondo_cuda_unload(rondo_cuda_module *module);

/** The number of the device that a module is on, and its name; for messages. */
int rondo_cuda_device(const rondo_cuda_module *module);
const char *rondo_cuda_device_name(const rondo_cuda_module *module);
/** Whether a load onto `device` in this thread would choose the device and the context that the module is in. */
int rondo_cuda_serves(const rondo_cuda_module *module, int device);
/** Whether launches use the same memory, so that they must go to one stream. */
int rondo_cuda_shares_memory(const rondo_cuda_module *module);
/** Whether the code came from the cubin; otherwise the driver compiled the PTX. */
int rondo_cuda_is_from_cubin(const rondo_cuda_module *module);

/**
 * Launches the kernels of the module on `stream` (a CUstream or cudaStream_t; NULL: the default stream). `arrays` has
 * one descriptor for each operand of the signature, of which the memory is on the device and `aligned` is NULL for a
 * state that is not there. The descriptors are read before the call returns.
 *
 * RONDO_WRONG_STRIDE (a value of a token that has gaps), RONDO_MISALIGNED (an array that a tensor map cannot describe),
 * RONDO_WRONG_SHAPE (sizes too large for a grid), RONDO_OUT_OF_MEMORY (workspace and temporaries),
 * RONDO_DRIVER_ERROR.
 */
rondo_status rondo_cuda_launch(rondo_cuda_module *module, const rondo_descriptor *arrays, int64_t batch, int64_t time,
                               int64_t heads, void *stream);

/** Bytes of global memory that a call of these sizes needs beside its arrays: workspace and temporaries. */
int64_t rondo_cuda_workspace_bytes(const rondo_cuda_module *module, int64_t batch, int64_t time, int64_t heads);

/*===---- For hosts that have no other way to the device --------------------------------------------------------===*/

/** Waits for everything on `stream`; what failed on the device shows here. */
rondo_status rondo_cuda_synchronize(rondo_cuda_module *module, void *stream);

/** Memory on the module's device; of 0 bytes there is still a place. */
rondo_status rondo_cuda_allocate(rondo_cuda_module *module, size_t bytes, void **memory);
void rondo_cuda_free(rondo_cuda_module *module, void *memory);
rondo_status rondo_cuda_copy_in(rondo_cuda_module *module, void *device, const void *host, size_t bytes);
rondo_status rondo_cuda_copy_out(rondo_cuda_module *module, void *host, const void *device, size_t bytes);

/**
 * `warmups` launches, and then `runs` of which each lies between two events on `stream`: `milliseconds[runs]`. All are
 * queued before the first is waited for, so that the time that a launch takes on the host is not in them.
 */
rondo_status rondo_cuda_time(rondo_cuda_module *module, const rondo_descriptor *arrays, int64_t batch, int64_t time,
                             int64_t heads, void *stream, int warmups, int runs, float *milliseconds);

#ifdef __cplusplus
}
#endif

#endif /* RONDO_RUNTIME_RONDO_CUDA_H */
