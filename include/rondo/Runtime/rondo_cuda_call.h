/*===- rondo_cuda_call.h - Calls of a compiled library with tensors on a GPU ------------------------------*- C -*-===
 *
 * Between a function of a compiled library and `rondo_cuda.h`: checks the tensors, loads the code at the first call on
 * a device and keeps it for the life of the process, and launches on the caller's stream.
 *
 *===----------------------------------------------------------------------------------------------------------------===*/

#ifndef RONDO_RUNTIME_RONDO_CUDA_CALL_H
#define RONDO_RUNTIME_RONDO_CUDA_CALL_H

#include "rondo_cuda.h"
#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One function of a library, and where it has been loaded. Start with `{&program, &image, RONDO_CUDA_NOT_LOADED}`. */
typedef struct rondo_cuda_function {
  const rondo_cuda_program *program;
  const rondo_cuda_image *image;
  pthread_mutex_t lock;
  struct rondo_cuda_loaded *loaded;
} rondo_cuda_function;

/* clang-format off */
#define RONDO_CUDA_NOT_LOADED PTHREAD_MUTEX_INITIALIZER, 0
/* clang-format on */

/**
 * Checks the tensors, which `rondo_find_device` has found on CUDA device `device`, and launches. Fills `descriptors`,
 * one for each operand. NaN cannot be looked for: `check_nan` is an error. Threads may call it at the same time.
 *
 * What `rondo_describe`, `rondo_cuda_load` and `rondo_cuda_launch` return. On failure nothing has been launched, or the
 * driver refused a launch.
 */
rondo_status rondo_cuda_call(rondo_cuda_function *function, const DLTensor *const *tensors, int device, int check_nan,
                             rondo_descriptor *descriptors, void *stream);

#ifdef __cplusplus
}
#endif

#endif /* RONDO_RUNTIME_RONDO_CUDA_CALL_H */
