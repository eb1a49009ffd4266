/*===- rondo_cuda_call.c - Calls of a compiled library with tensors on a GPU ------------------------------*- C -*-===*/

#include "rondo_cuda_call.h"
#include <stdio.h>
#include <stdlib.h>

extern _Thread_local char rondo_error_text[320];

/* The code on one device, in one context. */
struct rondo_cuda_loaded {
  rondo_cuda_module *module;
  /* That of the first launch: where launches share memory, each stream has a module of its own. */
  void *stream;
  struct rondo_cuda_loaded *next;
};

static rondo_status fail(rondo_status status, const rondo_signature *signature, const char *text) {
  snprintf(rondo_error_text, sizeof rondo_error_text, "%s: %s", signature->mixer, text);
  return status;
}

/* Finds the module for the calling thread's context, or loads it. Under the lock. */
static rondo_status get_module(rondo_cuda_function *function, int device, void *stream, rondo_cuda_module **module) {
  for (struct rondo_cuda_loaded *loaded = function->loaded; loaded; loaded = loaded->next)
    if ((loaded->stream == stream || !rondo_cuda_shares_memory(loaded->module)) &&
        rondo_cuda_serves(loaded->module, device)) {
      *module = loaded->module;
      return RONDO_OK;
    }
  struct rondo_cuda_loaded *loaded = malloc(sizeof *loaded);
  if (!loaded)
    return fail(RONDO_OUT_OF_MEMORY, function->program->signature, "no memory");
  rondo_status status = rondo_cuda_load(function->program, function->image, device, module);
  if (status) {
    free(loaded);
    return status;
  }
  *loaded = (struct rondo_cuda_loaded){*module, stream, function->loaded};
  function->loaded = loaded;
  return RONDO_OK;
}

rondo_status rondo_cuda_call(rondo_cuda_function *function, const DLTensor *const *tensors, int device, int check_nan,
                             rondo_descriptor *descriptors, void *stream) {
  const rondo_signature *signature = function->program->signature;
  if (check_nan)
    return fail(RONDO_WRONG_DEVICE, signature, "check_nan: NaN can be looked for in the memory of the CPU only");
  rondo_masks masks;
  rondo_status status = rondo_describe(signature, tensors, 0, descriptors, &masks);
  if (status)
    return status;
  int output = 0;
  while (signature->operands[output].role != RONDO_OUTPUT)
    ++output;
  const int64_t *sizes = descriptors[output].extents; /* B, T, H */
  pthread_mutex_lock(&function->lock);
  rondo_cuda_module *module;
  status = get_module(function, device, stream, &module);
  if (!status)
    status = rondo_cuda_launch(module, descriptors, sizes[0], sizes[1], sizes[2], stream);
  pthread_mutex_unlock(&function->lock);
  return status;
}
