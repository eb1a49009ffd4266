/*===- rondo_runtime.h - From DLPack tensors to a kernel's arguments --------------------------------------*- C -*-===
 *
 * A compiled mixer is a kernel, a table that describes its tensors, and a function that hands both to `rondo_prepare`.
 * Plain C11 and the C library: this is all that a compiled mixer needs at run time.
 *
 *===----------------------------------------------------------------------------------------------------------------===*/

#ifndef RONDO_RUNTIME_RONDO_RUNTIME_H
#define RONDO_RUNTIME_RONDO_RUNTIME_H

#include "rondo.h"
#include <dlpack/dlpack.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Batch, time and head before at most two sizes of a token. */
enum { RONDO_MAX_RANK = 5 };

typedef enum rondo_role {
  RONDO_TOKEN,   /**< [B, T, H, sizes...]; H may be a divisor of the mixer's H when grouped */
  RONDO_PARAM,   /**< [H, sizes...] */
  RONDO_OUTPUT,  /**< [B, T, H, sizes...] */
  RONDO_INITIAL, /**< [B, H, sizes...], optional */
  RONDO_FINAL,   /**< [B, H, sizes...], optional */
  /* Of the backward kernel: */
  RONDO_OUTPUT_COTANGENT, /**< like the output */
  RONDO_TOKEN_GRADIENT,   /**< like the argument of the same name */
  RONDO_PARAM_GRADIENT,
  RONDO_FINAL_COTANGENT, /**< [B, H, sizes...], optional */
  RONDO_SAVED, /**< states before every chunk, [B, H, chunks, sizes...]; no tensor but part of the workspace */
  RONDO_INITIAL_GRADIENT, /**< [B, H, sizes...], optional */
  /* Of the step kernel: */
  RONDO_STATE,   /**< [B, H, sizes...], read and written */
  RONDO_HISTORY, /**< the state after each token, [B, H, T, sizes...], optional */
  /* Of summaries: */
  RONDO_CONTRIBUTION, /**< what a shard adds to a state, [B, H, sizes...], optional */
  RONDO_TRANSITION    /**< what a shard makes of the states it begins with, [B, H, sizes...], optional */
} rondo_role;

typedef struct rondo_operand {
  const char *name;
  rondo_role role;
  int grouped;
  DLDataType dtype;
  int rank; /**< of one token's value: 0, 1 or 2 */
  int64_t sizes[2];
  const float *constant; /**< one head's values where the tensor is missing, or NULL: none */
} rondo_operand;

/**
 * The operands in the kernel's order: arguments, outputs, then initial and final value of every state. Of a backward
 * kernel: arguments, cotangents of the outputs, gradients of the arguments, then of every state the initial value, the
 * cotangent of the final value, the saved values, and the gradient of the initial value. Of a step kernel: arguments,
 * outputs, then every state and its history. Of a summary: arguments, then the initial value and the contribution of
 * every state, or the initial value and the final one of a transition.
 */
typedef struct rondo_signature {
  const char *mixer;
  int count;
  const rondo_operand *operands;
  int64_t chunk; /**< tokens between two saved states; 0 when none are saved */
} rondo_signature;

/** A memref in the layout of MLIR's C interface: sizes[rank], then strides[rank], without a gap. */
typedef struct rondo_descriptor {
  void *allocated, *aligned;
  int64_t offset;
  int64_t extents[2 * RONDO_MAX_RANK];
} rondo_descriptor;

typedef struct rondo_masks {
  int64_t initial; /**< bit s: state s has an initial value */
  int64_t final;   /**< bit s: the final value of state s is wanted, or its history */
} rondo_masks;

/** Devices that a function takes tensors of. */
typedef enum rondo_places { RONDO_ON_CPU = 1, RONDO_ON_CUDA = 2, RONDO_ON_BOTH = 3 } rondo_places;

/**
 * Finds the device that the tensors are on. RONDO_WRONG_DEVICE when they are on several, or on one that is not among
 * `places`; without a tensor it is the CPU.
 */
rondo_status rondo_find_device(const rondo_signature *signature, const DLTensor *const *tensors, rondo_places places,
                               DLDevice *device);

/**
 * Checks every tensor against the signature, but for its device, and fills one descriptor each. On failure nothing has
 * been computed, and `rondo_error_message` says which tensor is wrong and how. NaN can be looked for on the CPU only.
 */
rondo_status rondo_describe(const rondo_signature *signature, const DLTensor *const *tensors, int check_nan,
                            rondo_descriptor *descriptors, rondo_masks *masks);

/** Both, for a function on the CPU. */
rondo_status rondo_prepare(const rondo_signature *signature, const DLTensor *const *tensors, int check_nan,
                           rondo_descriptor *descriptors, rondo_masks *masks);

/** Bytes for the saved states of a backward kernel; SIZE_MAX when they are too many for a number. */
size_t rondo_workspace_bytes(const rondo_signature *signature, int64_t batch, int64_t tokens, int64_t heads);

/**
 * After `rondo_prepare` for a backward kernel: gives the saved states their memory, `workspace` or, when it is NULL,
 * what malloc gives. The caller frees `*owned` after the kernel. Gradients of initial states that nobody wants are
 * written over the states saved before the first chunk: nothing reads these any more.
 */
rondo_status rondo_place_states(const rondo_signature *signature, void *workspace, size_t bytes,
                                rondo_descriptor *descriptors, void **owned);

/**
 * After `rondo_prepare` for a step kernel whose threads need `each` bytes of the caller's scratch: describes it and
 * lowers `threads` to as many as have room.
 */
rondo_status rondo_place_scratch(const rondo_signature *signature, void *scratch, size_t bytes, size_t each,
                                 rondo_descriptor *descriptor, int64_t *threads);

/** How a transition array acts on a state; rows and columns are the state's. */
typedef enum rondo_transition {
  RONDO_SCALAR,
  RONDO_ROWS,
  RONDO_COLS,
  RONDO_ELEMENTS,
  RONDO_MAXPLUS,    /**< is added, element by element, and the contribution is a maximum */
  RONDO_COUPLING,   /**< a scalar times the source, summed over sources */
  RONDO_MATRIX,     /**< M S */
  RONDO_MATRIX_COLS /**< S M^T */
} rondo_transition;

/** One transition array. */
typedef struct rondo_action {
  rondo_transition kind;
  int target, source; /**< states of the mixer, by number */
} rondo_action;

/** How the summaries of shards combine. */
typedef struct rondo_algebra {
  int states;
  const float *init; /**< what each state of a sequence starts at */
  int actions;
  const rondo_action *action;
} rondo_algebra;

/**
 * States after a shard from those before it: A(before) + N. The operands are the initial value, the contribution and
 * the final value of every state, then the transition arrays in the order of the algebra's actions. Computes the final
 * values that are there.
 */
rondo_status rondo_combine(const rondo_signature *signature, const rondo_algebra *algebra,
                           const DLTensor *const *tensors, rondo_descriptor *descriptors);

/**
 * The summary of two shards, (A2 A1, A2(N1) + N2). The operands are those of the first shard, the second and both for
 * every state's contribution and then for every transition array. Computes the results that are there.
 */
rondo_status rondo_compose(const rondo_signature *signature, const rondo_algebra *algebra,
                           const DLTensor *const *tensors, rondo_descriptor *descriptors);

#ifdef __cplusplus
}
#endif

#endif /* RONDO_RUNTIME_RONDO_RUNTIME_H */
