/*===- rondo_runtime.c - From DLPack tensors to a kernel's arguments --------------------------------------*- C -*-===*/

#include "rondo_runtime.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One text a thread. It is visible, so that several mixers in one process share it with `rondo_error_message`. */
_Thread_local char rondo_error_text[320];

const char *rondo_error_message(void) { return rondo_error_text; }

__attribute__((format(printf, 4, 5))) static rondo_status fail(rondo_status status, const rondo_signature *signature,
                                                               const rondo_operand *operand, const char *format, ...) {
  static const char *const prefix[] = {"",
                                       "",
                                       "",
                                       "initial state ",
                                       "final state ",
                                       "cotangent of ",
                                       "gradient of ",
                                       "gradient of ",
                                       "cotangent of final state ",
                                       "saved state ",
                                       "gradient of initial state ",
                                       "state ",
                                       "history of state ",
                                       "contribution to state ",
                                       "transition "};
  int used = snprintf(rondo_error_text, sizeof rondo_error_text, "%s: %s'%s' ", signature->mixer, prefix[operand->role],
                      operand->name);
  if (used < 0 || used >= (int)sizeof rondo_error_text)
    return status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(rondo_error_text + used, sizeof rondo_error_text - (size_t)used, format, arguments);
  va_end(arguments);
  return status;
}

/*===---- Shapes
 * ------------------------------------------------------------------------------------------------------===*/

/* The sizes that belong to no operand: batch, time, heads, chunks. 0 stands for "not known yet". */
typedef struct extent {
  const char *name;
  int64_t size;
  const char *from; /* the operand that fixed it */
} extent;

enum { BATCH, TIME, HEADS, CHUNKS, EXTENTS };

/* The leading dimensions of a role, in order, and their number. */
static int leading(rondo_role role, int out[3]) {
  switch (role) {
  case RONDO_PARAM:
  case RONDO_PARAM_GRADIENT:
    out[0] = HEADS;
    return 1;
  case RONDO_INITIAL:
  case RONDO_FINAL:
  case RONDO_FINAL_COTANGENT:
  case RONDO_INITIAL_GRADIENT:
  case RONDO_STATE:
  case RONDO_CONTRIBUTION:
  case RONDO_TRANSITION:
    out[0] = BATCH, out[1] = HEADS;
    return 2;
  case RONDO_HISTORY:
    out[0] = BATCH, out[1] = HEADS, out[2] = TIME;
    return 3;
  case RONDO_SAVED:
    out[0] = BATCH, out[1] = HEADS, out[2] = CHUNKS;
    return 3;
  default:
    out[0] = BATCH, out[1] = TIME, out[2] = HEADS;
    return 3;
  }
}

static rondo_status check_shape(const rondo_signature *signature, const rondo_operand *operand, const DLTensor *tensor,
                                extent extents[EXTENTS]) {
  int lead[3], count = leading(operand->role, lead);
  if (tensor->ndim != count + operand->rank)
    return fail(RONDO_WRONG_RANK, signature, operand, "has %d dimensions, not %d", tensor->ndim, count + operand->rank);
  for (int i = 0; i < count; ++i) {
    extent *expected = &extents[lead[i]];
    int64_t size = tensor->shape[i];
    if (size < 1)
      return fail(RONDO_WRONG_SHAPE, signature, operand, "has %s = %" PRId64, expected->name, size);
    if (!expected->size) {
      expected->size = size;
      expected->from = operand->name;
    }
    int fits = operand->grouped && lead[i] == HEADS ? expected->size % size == 0 : expected->size == size;
    if (!fits)
      return fail(RONDO_WRONG_SHAPE, signature, operand, "has %s = %" PRId64 " and '%s' has %" PRId64, expected->name,
                  size, expected->from, expected->size);
  }
  for (int i = 0; i < operand->rank; ++i)
    if (tensor->shape[count + i] != operand->sizes[i])
      return fail(RONDO_WRONG_SHAPE, signature, operand,
                  "has size %" PRId64 " in dimension %d and was compiled for %" PRId64, tensor->shape[count + i],
                  count + i, operand->sizes[i]);
  return RONDO_OK;
}

/* A gradient has as many heads as its argument, which may be fewer than the mixer's. */
static rondo_status check_gradient(const rondo_signature *signature, const DLTensor *const *tensors, int gradient) {
  const rondo_operand *operands = signature->operands;
  int argument = 0;
  while (strcmp(operands[argument].name, operands[gradient].name) != 0)
    ++argument;
  int64_t size = tensors[gradient]->shape[2], expected = tensors[argument]->shape[2];
  if (size != expected)
    return fail(RONDO_WRONG_SHAPE, signature, &operands[gradient], "has H = %" PRId64 " and '%s' has %" PRId64, size,
                operands[argument].name, expected);
  return RONDO_OK;
}

/* `in the memory of the CPU`, for messages. */
static const char *name_device(DLDevice device, char text[48]) {
  if (device.device_type == kDLCPU)
    snprintf(text, 48, "in the memory of the CPU");
  else if (device.device_type == kDLCUDA)
    snprintf(text, 48, "on CUDA device %d", (int)device.device_id);
  else
    snprintf(text, 48, "on a device of type %d", (int)device.device_type);
  return text;
}

rondo_status rondo_find_device(const rondo_signature *signature, const DLTensor *const *tensors, rondo_places places,
                               DLDevice *device) {
  static const char *const reasons[] = {"", "the function runs on the CPU only",
                                        "the library was compiled with --target=cuda, without code for the CPU",
                                        "the function runs on the CPU and on CUDA devices"};
  const char *from = NULL; /* the operand that tells the device */
  char text[48], other[48];
  *device = (DLDevice){kDLCPU, 0};
  rondo_error_text[0] = 0;
  for (int i = 0; i < signature->count; ++i) {
    const rondo_operand *operand = &signature->operands[i];
    if (!tensors[i] || !tensors[i]->data)
      continue;
    DLDevice own = tensors[i]->device;
    if (!from) {
      int place = own.device_type == kDLCPU ? RONDO_ON_CPU : own.device_type == kDLCUDA ? RONDO_ON_CUDA : 0;
      if (!(place & places))
        return fail(RONDO_WRONG_DEVICE, signature, operand, "is %s; %s", name_device(own, text), reasons[places]);
      *device = own;
      from = operand->name;
    } else if (own.device_type != device->device_type ||
               (own.device_type != kDLCPU && own.device_id != device->device_id)) {
      return fail(RONDO_WRONG_DEVICE, signature, operand, "is %s and '%s' %s", name_device(own, text), from,
                  name_device(*device, other));
    }
  }
  return RONDO_OK;
}

static rondo_status check_layout(const rondo_signature *signature, const rondo_operand *operand,
                                 const DLTensor *tensor) {
  if (memcmp(&tensor->dtype, &operand->dtype, sizeof(DLDataType)) != 0)
    return fail(RONDO_WRONG_DTYPE, signature, operand, "has type code %d with %d bits, not code %d with %d bits",
                tensor->dtype.code, tensor->dtype.bits, operand->dtype.code, operand->dtype.bits);
  if (operand->rank && tensor->strides && tensor->strides[tensor->ndim - 1] != 1 &&
      tensor->shape[tensor->ndim - 1] != 1)
    return fail(RONDO_WRONG_STRIDE, signature, operand, "has stride %" PRId64 " in its last dimension, not 1",
                tensor->strides[tensor->ndim - 1]);
  return RONDO_OK;
}

/*===---- Descriptors
 * -------------------------------------------------------------------------------------------------===*/

static void describe(const DLTensor *tensor, rondo_descriptor *descriptor) {
  descriptor->allocated = descriptor->aligned = (char *)tensor->data + tensor->byte_offset;
  descriptor->offset = 0;
  int64_t *sizes = descriptor->extents, *strides = sizes + tensor->ndim, stride = 1;
  for (int i = tensor->ndim - 1; i >= 0; --i) {
    sizes[i] = tensor->shape[i];
    strides[i] = tensor->strides ? tensor->strides[i] : stride;
    stride *= sizes[i];
  }
}

/* A state that the caller left out: the right shape and no memory, or the constant that stands for it. The masks keep
 * the kernel away from what has no memory, or `rondo_place_states` finds a place. */
static void describe_absent(const rondo_operand *operand, const extent extents[EXTENTS], rondo_descriptor *descriptor) {
  int lead[3], count = leading(operand->role, lead);
  int64_t shape[RONDO_MAX_RANK];
  for (int i = 0; i < count; ++i)
    shape[i] = extents[lead[i]].size;
  for (int i = 0; i < operand->rank; ++i)
    shape[count + i] = operand->sizes[i];
  DLTensor absent = {.data = NULL, .ndim = count + operand->rank, .shape = shape};
  describe(&absent, descriptor);
  descriptor->allocated = descriptor->aligned = (void *)operand->constant;
  for (int i = 0; i < count && operand->constant; ++i)
    descriptor->extents[absent.ndim + i] = 0;
}

/*===---- NaN
 * ---------------------------------------------------------------------------------------------------------===*/

static int is_nan_at(const char *element, DLDataType dtype) {
  if (dtype.bits == 32) {
    float value;
    memcpy(&value, element, sizeof value);
    return value != value;
  }
  uint16_t bits;
  memcpy(&bits, element, sizeof bits);
  uint16_t infinity = dtype.code == kDLBfloat ? 0x7f80 : 0x7c00;
  return (bits & 0x7fff) > infinity;
}

static rondo_status check_numbers(const rondo_signature *signature, const rondo_operand *operand,
                                  const DLTensor *tensor, const rondo_descriptor *descriptor) {
  const int64_t *strides = descriptor->extents + tensor->ndim;
  int64_t index[RONDO_MAX_RANK] = {0}, bytes = operand->dtype.bits / 8;
  for (;;) {
    int64_t at = 0;
    for (int i = 0; i < tensor->ndim; ++i)
      at += index[i] * strides[i];
    if (is_nan_at((const char *)descriptor->aligned + at * bytes, operand->dtype)) {
      char where[96];
      int used = 0;
      for (int i = 0; i < tensor->ndim; ++i)
        used += snprintf(where + used, sizeof where - (size_t)used, "%s%" PRId64, i ? ", " : "", index[i]);
      return fail(RONDO_NOT_A_NUMBER, signature, operand, "has NaN at [%s]", where);
    }
    int i = tensor->ndim - 1;
    while (i >= 0 && ++index[i] == tensor->shape[i])
      index[i--] = 0;
    if (i < 0)
      return RONDO_OK;
  }
}

/*===---- The entry point
 * ---------------------------------------------------------------------------------------------===*/

static int is_optional(rondo_role role) {
  return role == RONDO_INITIAL || role == RONDO_FINAL || role == RONDO_FINAL_COTANGENT || role == RONDO_SAVED ||
         role == RONDO_INITIAL_GRADIENT || role == RONDO_HISTORY || role == RONDO_CONTRIBUTION ||
         role == RONDO_TRANSITION;
}

static int is_read(rondo_role role) {
  return role == RONDO_TOKEN || role == RONDO_PARAM || role == RONDO_INITIAL || role == RONDO_OUTPUT_COTANGENT ||
         role == RONDO_FINAL_COTANGENT || role == RONDO_STATE;
}

static int64_t count_chunks(const rondo_signature *signature, int64_t tokens) {
  return signature->chunk && tokens > 0 ? (tokens - 1) / signature->chunk + 1 : 0;
}

rondo_status rondo_prepare(const rondo_signature *signature, const DLTensor *const *tensors, int check_nan,
                           rondo_descriptor *descriptors, rondo_masks *masks) {
  DLDevice device;
  rondo_status status = rondo_find_device(signature, tensors, RONDO_ON_CPU, &device);
  return status ? status : rondo_describe(signature, tensors, check_nan, descriptors, masks);
}

rondo_status rondo_describe(const rondo_signature *signature, const DLTensor *const *tensors, int check_nan,
                            rondo_descriptor *descriptors, rondo_masks *masks) {
  extent extents[EXTENTS] = {{"B", 0, NULL}, {"T", 0, NULL}, {"H", 0, NULL}, {"chunks", 0, NULL}};
  rondo_error_text[0] = 0;
  *masks = (rondo_masks){0, 0};

  /* Without outputs (a summary) the token argument with the most heads fixes H, as in the kernel. */
  int has_outputs = 0;
  for (int i = 0; i < signature->count; ++i)
    has_outputs |= signature->operands[i].role == RONDO_OUTPUT || signature->operands[i].role == RONDO_OUTPUT_COTANGENT;
  for (int i = 0; i < signature->count && !has_outputs; ++i)
    if (signature->operands[i].role == RONDO_TOKEN && tensors[i] && tensors[i]->ndim > 2 &&
        tensors[i]->shape[2] > extents[HEADS].size) {
      extents[HEADS].size = tensors[i]->shape[2];
      extents[HEADS].from = signature->operands[i].name;
    }

  /* Outputs or their cotangents first: they fix B, T and H. */
  for (int pass = 0; pass < 2; ++pass) {
    for (int i = 0; i < signature->count; ++i) {
      const rondo_operand *operand = &signature->operands[i];
      const DLTensor *tensor = tensors[i];
      if ((operand->role == RONDO_OUTPUT || operand->role == RONDO_OUTPUT_COTANGENT) != (pass == 0))
        continue;
      if (!tensor || !tensor->data) {
        if (!is_optional(operand->role))
          return fail(RONDO_MISSING_TENSOR, signature, operand, "is missing");
        describe_absent(operand, extents, &descriptors[i]);
        continue;
      }
      rondo_status status = check_shape(signature, operand, tensor, extents);
      if (!status)
        status = check_layout(signature, operand, tensor);
      if (!status && operand->role == RONDO_TOKEN_GRADIENT)
        status = check_gradient(signature, tensors, i);
      if (status)
        return status;
      describe(tensor, &descriptors[i]);
      if (check_nan && is_read(operand->role)) {
        status = check_numbers(signature, operand, tensor, &descriptors[i]);
        if (status)
          return status;
      }
    }
    extents[CHUNKS].size = count_chunks(signature, extents[TIME].size);
  }

  int64_t bit = 0;
  for (int i = 0; i < signature->count; ++i) {
    rondo_role role = signature->operands[i].role;
    if (role == RONDO_INITIAL || role == RONDO_STATE)
      bit = bit ? bit << 1 : 1;
    if (role == RONDO_INITIAL && descriptors[i].aligned)
      masks->initial |= bit;
    if ((role == RONDO_FINAL || role == RONDO_FINAL_COTANGENT || role == RONDO_HISTORY || role == RONDO_CONTRIBUTION ||
         role == RONDO_TRANSITION) &&
        descriptors[i].aligned)
      masks->final |= bit;
  }
  return RONDO_OK;
}

/*===---- Saved states
 * ---------------------------------------------------------------------------------------------===*/

static size_t multiply(size_t a, int64_t b) {
  size_t factor = b > 0 ? (size_t)b : 0;
  return factor && a > SIZE_MAX / factor ? SIZE_MAX : a * factor;
}

size_t rondo_workspace_bytes(const rondo_signature *signature, int64_t batch, int64_t tokens, int64_t heads) {
  size_t elements = 0;
  for (int i = 0; i < signature->count; ++i) {
    const rondo_operand *operand = &signature->operands[i];
    if (operand->role != RONDO_SAVED)
      continue;
    size_t size = 1;
    for (int j = 0; j < operand->rank; ++j)
      size = multiply(size, operand->sizes[j]);
    elements += size;
  }
  size_t chunks = multiply(elements, count_chunks(signature, tokens));
  return multiply(multiply(multiply(chunks, batch), heads), sizeof(float));
}

rondo_status rondo_place_states(const rondo_signature *signature, void *workspace, size_t bytes,
                                rondo_descriptor *descriptors, void **owned) {
  int cotangent = 0;
  while (signature->operands[cotangent].role != RONDO_OUTPUT_COTANGENT)
    ++cotangent;
  const int64_t *extents = descriptors[cotangent].extents;
  size_t needed = rondo_workspace_bytes(signature, extents[0], extents[1], extents[2]);
  *owned = NULL;
  if (workspace && bytes < needed) {
    snprintf(rondo_error_text, sizeof rondo_error_text, "%s: the workspace has %zu bytes and needs %zu",
             signature->mixer, bytes, needed);
    return RONDO_OUT_OF_MEMORY;
  }
  if (!workspace && needed) {
    workspace = *owned = malloc(needed);
    if (!workspace) {
      snprintf(rondo_error_text, sizeof rondo_error_text, "%s: no memory for a workspace of %zu bytes",
               signature->mixer, needed);
      return RONDO_OUT_OF_MEMORY;
    }
  }
  float *next = workspace;
  for (int i = 0; i < signature->count; ++i) {
    if (signature->operands[i].role != RONDO_SAVED)
      continue;
    rondo_descriptor *saved = &descriptors[i], *gradient = &descriptors[i + 1];
    int rank = 3 + signature->operands[i].rank;
    const int64_t *strides = saved->extents + rank;
    saved->allocated = saved->aligned = next;
    next += saved->extents[0] * strides[0];
    if (gradient->aligned)
      continue;
    gradient->allocated = gradient->aligned = saved->aligned;
    gradient->extents[rank - 1] = strides[0];
    gradient->extents[rank] = strides[1];
  }
  return RONDO_OK;
}

/*===---- Scratch
 * -----------------------------------------------------------------------------------------------------===*/

rondo_status rondo_place_scratch(const rondo_signature *signature, void *scratch, size_t bytes, size_t each,
                                 rondo_descriptor *descriptor, int64_t *threads) {
  if (!scratch || bytes < each) {
    snprintf(rondo_error_text, sizeof rondo_error_text, "%s: the scratch has %zu bytes, and each thread needs %zu",
             signature->mixer, scratch ? bytes : 0, each);
    return RONDO_OUT_OF_MEMORY;
  }
  int64_t room = (int64_t)(bytes / each);
  if (*threads == 0 || *threads > room)
    *threads = room;
  int64_t shape[1] = {(int64_t)bytes};
  DLTensor tensor = {.data = scratch, .ndim = 1, .shape = shape};
  describe(&tensor, descriptor);
  return RONDO_OK;
}

/*===---- Summaries of shards
 * -------------------------------------------------------------------------------------------===*/

/* One head's matrix; a vector has one column, a scalar also one row. */
typedef struct view {
  float *data;
  int64_t rows, cols, row_stride, col_stride;
} view;

static float *at(view v, int64_t i, int64_t j) { return v.data + i * v.row_stride + j * v.col_stride; }

static view view_of(const rondo_operand *operand, const rondo_descriptor *descriptor, int64_t batch, int64_t head) {
  int rank = operand->rank;
  const int64_t *strides = descriptor->extents + 2 + rank;
  return (view){(float *)descriptor->aligned + batch * strides[0] + head * strides[1], rank > 0 ? operand->sizes[0] : 1,
                rank > 1 ? operand->sizes[1] : 1, rank > 0 ? strides[2] : 0, rank > 1 ? strides[3] : 0};
}

/* A transition that sums over source states; the others multiply or add element by element. */
static int is_sum(rondo_transition kind) {
  return kind == RONDO_COUPLING || kind == RONDO_MATRIX || kind == RONDO_MATRIX_COLS;
}

static void fill(view result, float value) {
  for (int64_t i = 0; i < result.rows; ++i)
    for (int64_t j = 0; j < result.cols; ++j)
      *at(result, i, j) = value;
}

/* result += A(source) */
static void add_product(rondo_transition kind, view a, view source, view result) {
  for (int64_t i = 0; i < result.rows; ++i) {
    if (kind == RONDO_MATRIX_COLS) {
      for (int64_t j = 0; j < result.cols; ++j)
        for (int64_t k = 0; k < a.cols; ++k)
          *at(result, i, j) += *at(a, j, k) * *at(source, i, k);
      continue;
    }
    for (int64_t k = 0; k < (kind == RONDO_MATRIX ? a.cols : 1); ++k) {
      float factor = kind == RONDO_MATRIX ? *at(a, i, k) : *at(a, 0, 0);
      int64_t row = kind == RONDO_MATRIX ? k : i;
      for (int64_t j = 0; j < result.cols; ++j)
        *at(result, i, j) += factor * *at(source, row, j);
    }
  }
}

/* result = A(source), element by element; both may be the same. */
static void scale(rondo_transition kind, view a, view source, view result) {
  int by_row = kind == RONDO_ROWS || kind == RONDO_ELEMENTS || kind == RONDO_MAXPLUS;
  for (int64_t i = 0; i < result.rows; ++i)
    for (int64_t j = 0; j < result.cols; ++j) {
      float factor = kind == RONDO_COLS ? *at(a, j, 0) : *at(a, by_row ? i : 0, kind == RONDO_ROWS || !by_row ? 0 : j);
      float value = *at(source, i, j);
      *at(result, i, j) = kind == RONDO_MAXPLUS ? factor + value : factor * value;
    }
}

/* The operands of a combination and where its transitions are: `first`, `first + step`, ... */
typedef struct combination {
  const rondo_signature *signature;
  const rondo_algebra *algebra;
  rondo_descriptor *descriptors;
  int first, step;
} combination;

static view view_at(const combination *c, int operand, int64_t batch, int64_t head) {
  return view_of(&c->signature->operands[operand], &c->descriptors[operand], batch, head);
}

static rondo_status check_present(const combination *c, int operand) {
  if (c->descriptors[operand].aligned)
    return RONDO_OK;
  return fail(RONDO_MISSING_TENSOR, c->signature, &c->signature->operands[operand], "is missing");
}

/* What the state after needs: the contribution, the transitions, and the states that these take. */
static rondo_status check_state(const combination *c, int state) {
  rondo_status status = check_present(c, 3 * state);
  if (!status)
    status = check_present(c, 3 * state + 1);
  for (int i = 0; i < c->algebra->actions && !status; ++i) {
    const rondo_action *action = &c->algebra->action[i];
    if (action->target != state)
      continue;
    status = check_present(c, c->first + c->step * i);
    if (!status)
      status = check_present(c, 3 * action->source);
  }
  return status;
}

/* A(before) + N of one head: sums over coupled states first, then factors of the state's own, which commute with
 * them. */
static void combine_head(const combination *c, int state, int64_t batch, int64_t head) {
  view result = view_at(c, 3 * state + 2, batch, head), contribution = view_at(c, 3 * state + 1, batch, head);
  view source = view_at(c, 3 * state, batch, head);
  int sums = 0, maximum = 0;
  for (int i = 0; i < c->algebra->actions; ++i) {
    const rondo_action *action = &c->algebra->action[i];
    if (action->target != state || !is_sum(action->kind))
      continue;
    if (!sums++)
      fill(result, 0);
    add_product(action->kind, view_at(c, c->first + c->step * i, batch, head),
                view_at(c, 3 * action->source, batch, head), result);
  }
  if (sums)
    source = result;
  for (int i = 0; i < c->algebra->actions; ++i) {
    const rondo_action *action = &c->algebra->action[i];
    if (action->target != state || is_sum(action->kind))
      continue;
    scale(action->kind, view_at(c, c->first + c->step * i, batch, head), source, result);
    source = result;
    maximum |= action->kind == RONDO_MAXPLUS;
  }
  for (int64_t i = 0; i < result.rows; ++i)
    for (int64_t j = 0; j < result.cols; ++j) {
      float before = *at(source, i, j), own = *at(contribution, i, j);
      *at(result, i, j) = !maximum ? before + own : before > own ? before : own;
    }
}

static rondo_status combine_states(const combination *c, int computes) {
  for (int state = 0; state < c->algebra->states; ++state) {
    const rondo_descriptor *result = &c->descriptors[3 * state + 2];
    if (!result->aligned)
      continue;
    rondo_status status = check_state(c, state);
    if (status)
      return status;
    for (int64_t batch = 0; computes && batch < result->extents[0]; ++batch)
      for (int64_t head = 0; head < result->extents[1]; ++head)
        combine_head(c, state, batch, head);
  }
  return RONDO_OK;
}

rondo_status rondo_combine(const rondo_signature *signature, const rondo_algebra *algebra,
                           const DLTensor *const *tensors, rondo_descriptor *descriptors) {
  combination c = {signature, algebra, descriptors, 3 * algebra->states, 1};
  rondo_masks masks;
  rondo_status status = rondo_prepare(signature, tensors, 0, descriptors, &masks);
  if (status)
    return status;
  for (int state = 0; state < algebra->states; ++state) {
    rondo_descriptor *initial = &descriptors[3 * state];
    if (initial->aligned)
      continue;
    initial->allocated = initial->aligned = (void *)&algebra->init[state];
    memset(initial->extents, 0, sizeof initial->extents);
  }
  status = combine_states(&c, 0);
  return status ? status : combine_states(&c, 1);
}

/* The transition of `first` and then `second`, A2 A1: [target, middle] times [middle, source], summed over what is in
 * the middle; factors multiply element by element, and what running maxima add is added. */
static rondo_status compose_transition(const combination *c, int wanted, int computes) {
  const rondo_action *actions = c->algebra->action, *product = &actions[wanted];
  int begin = 3 * c->algebra->states, sums = is_sum(product->kind);
  const rondo_descriptor *composed = &c->descriptors[begin + 3 * wanted + 2];
  for (int64_t batch = 0; sums && computes && batch < composed->extents[0]; ++batch)
    for (int64_t head = 0; head < composed->extents[1]; ++head)
      fill(view_at(c, begin + 3 * wanted + 2, batch, head), 0);
  for (int i = 0; i < c->algebra->actions; ++i)
    for (int j = 0; j < c->algebra->actions; ++j) {
      const rondo_action *second = &actions[i], *first = &actions[j];
      if (second->kind != product->kind || first->kind != product->kind || second->target != product->target ||
          first->target != second->source || first->source != product->source)
        continue;
      rondo_status status = check_present(c, begin + 3 * i + 1);
      if (!status)
        status = check_present(c, begin + 3 * j);
      if (status)
        return status;
      for (int64_t batch = 0; computes && batch < composed->extents[0]; ++batch)
        for (int64_t head = 0; head < composed->extents[1]; ++head) {
          view a = view_at(c, begin + 3 * i + 1, batch, head), source = view_at(c, begin + 3 * j, batch, head);
          view result = view_at(c, begin + 3 * wanted + 2, batch, head);
          if (sums)
            add_product(RONDO_MATRIX, a, source, result);
          else
            scale(product->kind == RONDO_MAXPLUS ? RONDO_MAXPLUS : RONDO_ELEMENTS, a, source, result);
        }
    }
  return RONDO_OK;
}

rondo_status rondo_compose(const rondo_signature *signature, const rondo_algebra *algebra,
                           const DLTensor *const *tensors, rondo_descriptor *descriptors) {
  combination c = {signature, algebra, descriptors, 3 * algebra->states + 1, 3};
  rondo_masks masks;
  rondo_status status = rondo_prepare(signature, tensors, 0, descriptors, &masks);
  for (int computes = 0; computes < 2 && !status; ++computes) {
    status = combine_states(&c, computes);
    for (int i = 0; i < algebra->actions && !status; ++i)
      if (descriptors[3 * (algebra->states + i) + 2].aligned)
        status = compose_transition(&c, i, computes);
  }
  return status;
}
