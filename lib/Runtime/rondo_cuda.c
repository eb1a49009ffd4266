/*===- rondo_cuda.c - Kernels on an NVIDIA GPU -------------------------------------------------------------*- C
 * -*-===*/

#include "rondo_cuda.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern _Thread_local char rondo_error_text[320];

__attribute__((format(printf, 3, 4))) static rondo_status fail(rondo_status status, const rondo_signature *signature,
                                                               const char *format, ...) {
  int used = snprintf(rondo_error_text, sizeof rondo_error_text, "%s: ", signature->mixer);
  if (used < 0 || used >= (int)sizeof rondo_error_text)
    return status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(rondo_error_text + used, sizeof rondo_error_text - (size_t)used, format, arguments);
  va_end(arguments);
  return status;
}

/*===---- The driver's interface --------------------------------------------------------------------------------===*/

/* What we use of cuda.h, which need not be there. Handles are pointers; a CUdeviceptr is an integer of 64 bits. */
typedef int cu_result;
typedef int cu_device;
typedef unsigned long long cu_address;
typedef void *cu_handle;

/* A CUtensorMap. */
typedef struct cu_map {
  _Alignas(64) uint64_t words[16];
} cu_map;

enum {
  CU_SUCCESS = 0,
  CU_OUT_OF_MEMORY = 2,
  CU_NO_DEVICE = 100,
  /* CUdevice_attribute */
  CU_CAPABILITY_MAJOR = 75,
  CU_CAPABILITY_MINOR = 76,
  CU_MOST_SHARED = 97,
  CU_HAS_POOLS = 115,
  /* CUfunction_attribute */
  CU_DYNAMIC_SHARED = 8,
  /* CUjit_option */
  CU_ERROR_LOG = 5,
  CU_ERROR_LOG_BYTES = 6,
  /* CUmemAllocationType, CUmemLocationType, CUmemPool_attribute */
  CU_PINNED = 1,
  CU_ON_DEVICE = 1,
  CU_RELEASE_THRESHOLD = 4,
  /* CUtensorMapDataType, CUtensorMapL2promotion */
  CU_MAP_F16 = 6,
  CU_MAP_F32 = 7,
  CU_MAP_BF16 = 9,
  CU_MAP_L2_256B = 3
};

/* A CUmemPoolProps. */
typedef struct cu_pool_properties {
  int allocation, handles, location, device;
  void *security;
  size_t most;
  unsigned short usage;
  unsigned char reserved[54];
} cu_pool_properties;

/* Name, symbol and parameters of every entry point. */
#define ENTRY_POINTS(X)                                                                                                \
  X(init, "cuInit", (unsigned flags))                                                                                  \
  X(error_string, "cuGetErrorString", (cu_result result, const char **text))                                           \
  X(device_count, "cuDeviceGetCount", (int *count))                                                                    \
  X(device_get, "cuDeviceGet", (cu_device * device, int ordinal))                                                      \
  X(device_name, "cuDeviceGetName", (char *name, int length, cu_device device))                                        \
  X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, cu_device device))                           \
  X(primary_retain, "cuDevicePrimaryCtxRetain", (cu_handle * context, cu_device device))                               \
  X(primary_release, "cuDevicePrimaryCtxRelease_v2", (cu_device device))                                               \
  X(context_current, "cuCtxGetCurrent", (cu_handle * context))                                                         \
  X(context_device, "cuCtxGetDevice", (cu_device * device))                                                            \
  X(context_push, "cuCtxPushCurrent_v2", (cu_handle context))                                                          \
  X(context_pop, "cuCtxPopCurrent_v2", (cu_handle * context))                                                          \
  X(context_synchronize, "cuCtxSynchronize", (void))                                                                   \
  X(module_load, "cuModuleLoadDataEx",                                                                                 \
    (cu_handle * module, const void *image, unsigned count, int *options, void **values))                              \
  X(module_unload, "cuModuleUnload", (cu_handle module))                                                               \
  X(module_function, "cuModuleGetFunction", (cu_handle * function, cu_handle module, const char *name))                \
  X(function_set, "cuFuncSetAttribute", (cu_handle function, int attribute, int value))                                \
  X(launch, "cuLaunchKernel",                                                                                          \
    (cu_handle function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,             \
     unsigned blockZ, unsigned shared, cu_handle stream, void **parameters, void **extra))                             \
  X(allocate, "cuMemAlloc_v2", (cu_address * address, size_t bytes))                                                   \
  X(release, "cuMemFree_v2", (cu_address address))                                                                     \
  X(pool_create, "cuMemPoolCreate", (cu_handle * pool, const cu_pool_properties *properties))                          \
  X(pool_destroy, "cuMemPoolDestroy", (cu_handle pool))                                                                \
  X(pool_set, "cuMemPoolSetAttribute", (cu_handle pool, int attribute, void *value))                                   \
  X(pool_allocate, "cuMemAllocFromPoolAsync", (cu_address * address, size_t bytes, cu_handle pool, cu_handle stream))  \
  X(pool_release, "cuMemFreeAsync", (cu_address address, cu_handle stream))                                            \
  X(copy_in, "cuMemcpyHtoD_v2", (cu_address target, const void *source, size_t bytes))                                 \
  X(copy_out, "cuMemcpyDtoH_v2", (void *target, cu_address source, size_t bytes))                                      \
  X(stream_synchronize, "cuStreamSynchronize", (cu_handle stream))                                                     \
  X(event_create, "cuEventCreate", (cu_handle * event, unsigned flags))                                                \
  X(event_destroy, "cuEventDestroy_v2", (cu_handle event))                                                             \
  X(event_record, "cuEventRecord", (cu_handle event, cu_handle stream))                                                \
  X(event_elapsed, "cuEventElapsedTime", (float *milliseconds, cu_handle start, cu_handle end))                        \
  X(encode_map, "cuTensorMapEncodeTiled",                                                                              \
    (cu_map * map, int type, unsigned rank, void *address, const uint64_t *sizes, const uint64_t *strides,             \
     const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int promotion, int fill))

static struct {
  pthread_mutex_t lock;
  int loaded;
#define MEMBER(name, symbol, parameters) cu_result(*name) parameters;
  ENTRY_POINTS(MEMBER)
#undef MEMBER
} cu = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Finds `symbol`; 0 when the driver has none. The pointer is not cast: C has no cast from an object to a function. */
static int find(void *library, const char *symbol, void *entry) {
  void *address = dlsym(library, symbol);
  memcpy(entry, &address, sizeof address);
  return address != NULL;
}

static rondo_status open_driver(const rondo_signature *signature) {
  const char *name = getenv("RONDO_LIBCUDA");
  if (!name || !*name)
    name = "libcuda.so.1";
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(RONDO_NO_DRIVER, signature, "no CUDA driver: %s", dlerror());
#define FIND(entry, symbol, parameters)                                                                                \
  if (!find(library, symbol, &cu.entry)) {                                                                             \
    dlclose(library);                                                                                                  \
    return fail(RONDO_NO_DRIVER, signature, "the CUDA driver %s has no %s; CUDA 12 or newer is needed", name, symbol); \
  }
  ENTRY_POINTS(FIND)
#undef FIND
  cu_result result = cu.init(0);
  if (result == CU_SUCCESS) {
    cu.loaded = 1; /* for the life of the process */
    return RONDO_OK;
  }
  const char *text = NULL;
  cu.error_string(result, &text);
  rondo_status status = fail(result == CU_NO_DEVICE ? RONDO_UNSUITABLE_DEVICE : RONDO_NO_DRIVER, signature,
                             "the CUDA driver cannot start: %s (%d)", text ? text : "unknown error", result);
  dlclose(library);
  return status;
}

static rondo_status get_driver(const rondo_signature *signature) {
  pthread_mutex_lock(&cu.lock);
  rondo_status status = cu.loaded ? RONDO_OK : open_driver(signature);
  pthread_mutex_unlock(&cu.lock);
  return status;
}

/* `what` failed. */
__attribute__((format(printf, 3, 4))) static rondo_status refuse(const rondo_signature *signature, cu_result result,
                                                                 const char *what, ...) {
  char text[200];
  va_list arguments;
  va_start(arguments, what);
  vsnprintf(text, sizeof text, what, arguments);
  va_end(arguments);
  const char *reason = NULL;
  cu.error_string(result, &reason);
  return fail(result == CU_OUT_OF_MEMORY ? RONDO_OUT_OF_MEMORY : RONDO_DRIVER_ERROR, signature, "%s: %s (CUDA %d)",
              text, reason ? reason : "unknown error", result);
}

/*===---- Modules -----------------------------------------------------------------------------------------------===*/

/* Where the value of one parameter lies: the driver copies it from here at the launch. */
typedef union slot {
  cu_map map;
  int64_t word;
  void *pointer;
} slot;

typedef struct kernel_state {
  cu_handle function;
  slot *slots;      /* one a parameter */
  void **addresses; /* of the slots */
} kernel_state;

struct rondo_cuda_module {
  const rondo_cuda_program *program;
  cu_device device;
  char name[96];
  cu_handle context;
  int is_primary; /* the context was retained */
  cu_handle code;
  int from_cubin;
  cu_address workspace;
  size_t workspace_bytes;
  cu_handle pool; /* of the temporaries; without one they are behind the workspace */
  rondo_descriptor *temporaries;
  kernel_state *kernels;
};

/* Makes the module's context current. It leaves the last message: what frees memory after a failure calls it too. */
static rondo_status enter(const rondo_cuda_module *module) {
  cu_result result = cu.context_push(module->context);
  return result ? refuse(module->program->signature, result, "cannot use the context of device %d", module->device)
                : RONDO_OK;
}

/* The same for a call that may fail: without its own, there is no message. */
static rondo_status begin(const rondo_cuda_module *module) {
  rondo_error_text[0] = 0;
  return enter(module);
}

static void leave(void) {
  cu_handle popped;
  cu.context_pop(&popped);
}

/* Finds the device and its context. */
static rondo_status choose_device(rondo_cuda_module *module, int wanted) {
  const rondo_signature *signature = module->program->signature;
  cu_handle current = NULL;
  cu_device device = -1;
  int count = 0;
  cu_result result = cu.context_current(&current);
  if (!result && current)
    result = cu.context_device(&device);
  if (!result)
    result = cu.device_count(&count);
  if (result)
    return refuse(signature, result, "cannot ask the CUDA driver for devices");
  if (!count)
    return fail(RONDO_UNSUITABLE_DEVICE, signature, "the CUDA driver knows no device");
  int ordinal = wanted >= 0 ? wanted : current ? device : 0;
  if (ordinal >= count)
    return fail(RONDO_UNSUITABLE_DEVICE, signature, "there is no CUDA device %d; the driver knows %d", ordinal, count);

  int major = 0, minor = 0;
  if ((result = cu.device_get(&module->device, ordinal)) ||
      (result = cu.device_name(module->name, sizeof module->name, module->device)) ||
      (result = cu.device_attribute(&major, CU_CAPABILITY_MAJOR, module->device)) ||
      (result = cu.device_attribute(&minor, CU_CAPABILITY_MINOR, module->device)))
    return refuse(signature, result, "cannot ask for device %d", ordinal);
  /* Code for sm_90a runs on no other device, newer ones included. */
  if (major != 9 || minor != 0)
    return fail(RONDO_UNSUITABLE_DEVICE, signature,
                "device %d (%s) has compute capability %d.%d; 9.0 is needed (H100, H200, GH200)", ordinal, module->name,
                major, minor);
  if (current && device == module->device) {
    module->context = current;
    return RONDO_OK;
  }
  if ((result = cu.primary_retain(&module->context, module->device)))
    return refuse(signature, result, "cannot make a context on device %d (%s)", ordinal, module->name);
  module->is_primary = 1;
  return RONDO_OK;
}

/* Up to the end of the first line that says something. */
static void cut_line(char *text) {
  char *begin = text + strspn(text, "\n ");
  memmove(text, begin, strlen(begin) + 1);
  text[strcspn(text, "\n")] = 0;
}

static rondo_status load_code(rondo_cuda_module *module, const rondo_cuda_image *image) {
  const rondo_signature *signature = module->program->signature;
  char log[1024] = "";
  int options[] = {CU_ERROR_LOG, CU_ERROR_LOG_BYTES};
  void *values[] = {log, (void *)(uintptr_t)sizeof log};
  cu_result result = CU_SUCCESS;
  if (image->cubin) {
    result = cu.module_load(&module->code, image->cubin, 2, options, values);
    module->from_cubin = !result;
    if (!result || result == CU_OUT_OF_MEMORY || !image->ptx)
      return result ? refuse(signature, result, "cannot load the cubin onto %s", module->name) : RONDO_OK;
  }
  if (!image->ptx)
    return fail(RONDO_DRIVER_ERROR, signature, "there is neither a cubin nor PTX to load");
  log[0] = 0;
  values[1] = (void *)(uintptr_t)sizeof log;
  result = cu.module_load(&module->code, image->ptx, 2, options, values);
  cut_line(log);
  return result ? refuse(signature, result, "cannot load the PTX onto %s%s%s", module->name, *log ? ": " : "", log)
                : RONDO_OK;
}

static rondo_status find_kernels(rondo_cuda_module *module) {
  const rondo_cuda_program *program = module->program;
  int most = 0;
  cu_result result = cu.device_attribute(&most, CU_MOST_SHARED, module->device);
  if (result)
    return refuse(program->signature, result, "cannot ask for the shared memory of %s", module->name);
  module->kernels = calloc((size_t)program->count, sizeof *module->kernels);
  if (!module->kernels)
    return fail(RONDO_OUT_OF_MEMORY, program->signature, "no memory");
  for (int i = 0; i < program->count; ++i) {
    const rondo_cuda_kernel *kernel = &program->kernels[i];
    kernel_state *state = &module->kernels[i];
    /* At least one, so that the pointers mean something. */
    size_t count = (size_t)(kernel->count + 1);
    state->slots = aligned_alloc(_Alignof(slot), count * sizeof *state->slots);
    state->addresses = malloc(count * sizeof *state->addresses);
    if (!state->slots || !state->addresses)
      return fail(RONDO_OUT_OF_MEMORY, program->signature, "no memory");
    for (int p = 0; p < kernel->count; ++p)
      state->addresses[p] = &state->slots[p];
    if ((result = cu.module_function(&state->function, module->code, kernel->name)))
      return refuse(program->signature, result, "the code has no kernel '%s'", kernel->name);
    if (kernel->shared > most)
      return fail(RONDO_UNSUITABLE_DEVICE, program->signature,
                  "kernel '%s' needs %" PRId64 " bytes of shared memory and %s has %d", kernel->name, kernel->shared,
                  module->name, most);
    if ((result = cu.function_set(state->function, CU_DYNAMIC_SHARED, (int)kernel->shared)))
      return refuse(program->signature, result, "kernel '%s' cannot have %" PRId64 " bytes of shared memory",
                    kernel->name, kernel->shared);
  }
  return RONDO_OK;
}

/* A pool of our own keeps what is freed, so that the next call need not ask the system for it. */
static rondo_status make_temporaries(rondo_cuda_module *module) {
  const rondo_cuda_program *program = module->program;
  if (!program->temporary_count)
    return RONDO_OK;
  module->temporaries = calloc((size_t)program->temporary_count, sizeof *module->temporaries);
  if (!module->temporaries)
    return fail(RONDO_OUT_OF_MEMORY, program->signature, "no memory");
  int has_pools = 0;
  cu_result result = cu.device_attribute(&has_pools, CU_HAS_POOLS, module->device);
  if (result || !has_pools)
    return RONDO_OK;
  cu_pool_properties properties = {.allocation = CU_PINNED, .location = CU_ON_DEVICE, .device = module->device};
  uint64_t threshold = UINT64_MAX;
  if ((result = cu.pool_create(&module->pool, &properties)) ||
      (result = cu.pool_set(module->pool, CU_RELEASE_THRESHOLD, &threshold)))
    return refuse(program->signature, result, "cannot make a pool of memory on %s", module->name);
  return RONDO_OK;
}

/* What `rondo_cuda_unload` does in the module's context. */
static void release_code(rondo_cuda_module *module) {
  if (module->pool)
    cu.pool_destroy(module->pool);
  if (module->workspace)
    cu.release(module->workspace);
  if (module->code)
    cu.module_unload(module->code);
}

static void destroy(rondo_cuda_module *module) {
  if (module->is_primary)
    cu.primary_release(module->device);
  for (int i = 0; module->kernels && i < module->program->count; ++i) {
    free(module->kernels[i].slots);
    free(module->kernels[i].addresses);
  }
  free(module->kernels);
  free(module->temporaries);
  free(module);
}

rondo_status rondo_cuda_load(const rondo_cuda_program *program, const rondo_cuda_image *image, int device,
                             rondo_cuda_module **result) {
  *result = NULL;
  rondo_error_text[0] = 0;
  rondo_status status = get_driver(program->signature);
  if (status)
    return status;
  rondo_cuda_module *module = calloc(1, sizeof *module);
  if (!module)
    return fail(RONDO_OUT_OF_MEMORY, program->signature, "no memory");
  module->program = program;
  if (!(status = choose_device(module, device)) && !(status = enter(module))) {
    if (!(status = load_code(module, image)))
      status = find_kernels(module);
    if (!status)
      status = make_temporaries(module);
    if (status)
      release_code(module);
    leave();
  }
  if (status) {
    destroy(module);
    return status;
  }
  *result = module;
  return RONDO_OK;
}

void rondo_cuda_unload(rondo_cuda_module *module) {
  if (!module)
    return;
  if (enter(module) == RONDO_OK) {
    cu.context_synchronize();
    release_code(module);
    leave();
  }
  destroy(module);
}

int rondo_cuda_device(const rondo_cuda_module *module) { return module->device; }
const char *rondo_cuda_device_name(const rondo_cuda_module *module) { return module->name; }

int rondo_cuda_serves(const rondo_cuda_module *module, int device) {
  cu_handle current = NULL;
  cu_device owner = -1;
  if (module->device != device || cu.context_current(&current))
    return 0;
  if (current == module->context)
    return 1;
  return module->is_primary && (!current || (!cu.context_device(&owner) && owner != device));
}

int rondo_cuda_is_from_cubin(const rondo_cuda_module *module) { return module->from_cubin; }

int rondo_cuda_shares_memory(const rondo_cuda_module *module) {
  int shares = module->program->temporary_count && !module->pool;
  for (int i = 0; i < module->program->count; ++i)
    shares |= module->program->kernels[i].workspace != 0;
  return shares;
}

/*===---- Parameters --------------------------------------------------------------------------------------------===*/

/* The arrays of a call. */
typedef struct call {
  const rondo_cuda_program *program;
  const rondo_signature *signature;
  const rondo_descriptor *arrays;
  rondo_descriptor *temporaries;
  int64_t sizes[3]; /* B, T, H */
  cu_address workspace;
} call;

/* An array by the number that parameters have for it. */
static const rondo_operand *get_operand(const call *call, int array) {
  int count = call->signature->count;
  return array < count ? &call->signature->operands[array] : &call->program->temporaries[array - count];
}

static const rondo_descriptor *get_array(const call *call, int array) {
  int count = call->signature->count;
  return array < count ? &call->arrays[array] : &call->temporaries[array - count];
}

/* `initial state 'S'`, for messages. */
static const char *describe(const rondo_operand *operand, char text[120]) {
  const char *prefix = operand->role == RONDO_INITIAL ? "initial state "
                       : operand->role == RONDO_FINAL ? "final state "
                                                      : "";
  snprintf(text, 120, "%s'%s'", prefix, operand->name);
  return text;
}

/* The position of batch, time or head among an array's dimensions, or -1. */
static int find_dimension(rondo_role role, rondo_cuda_dim dim) {
  switch (role) {
  case RONDO_TOKEN:
  case RONDO_OUTPUT:
    return (int)dim;
  case RONDO_PARAM:
    return dim == RONDO_CUDA_H ? 0 : -1;
  default: /* states */
    return dim == RONDO_CUDA_B ? 0 : dim == RONDO_CUDA_H ? 1 : -1;
  }
}

static int count_leading(rondo_role role) {
  return role == RONDO_TOKEN || role == RONDO_OUTPUT ? 3 : role == RONDO_PARAM ? 1 : 2;
}

static const int64_t *get_strides(const rondo_operand *operand, const rondo_descriptor *array) {
  return array->extents + count_leading(operand->role) + operand->rank;
}

/* The value of one token (or the state of one head) must be dense: a kernel knows no strides inside it. */
static rondo_status check_values(const call *call) {
  for (int i = 0; i < call->signature->count; ++i) {
    const rondo_operand *operand = &call->signature->operands[i];
    const rondo_descriptor *array = &call->arrays[i];
    int leading = count_leading(operand->role);
    int64_t dense = 1;
    for (int d = operand->rank - 1; array->aligned && d >= 0; dense *= operand->sizes[d--]) {
      int64_t stride = get_strides(operand, array)[leading + d];
      char name[120];
      if (operand->sizes[d] > 1 && stride != dense)
        return fail(RONDO_WRONG_STRIDE, call->signature,
                    "%s has stride %" PRId64 " in dimension %d, not %" PRId64 ": its values must have no gaps",
                    describe(operand, name), stride, leading + d, dense);
    }
  }
  return RONDO_OK;
}

/* A tensor map of (feature, head, time, batch), the feature innermost. */
static rondo_status encode_map(const call *call, const rondo_cuda_param *param, cu_map *map) {
  static const char *const names[] = {"B", "T", "H"};
  const rondo_operand *operand = get_operand(call, param->array);
  const rondo_descriptor *array = get_array(call, param->array);
  const int64_t *extents = array->extents, *strides = get_strides(operand, array);
  char name[120];
  describe(operand, name);
  if (operand->rank != 1 || count_leading(operand->role) != 3)
    return fail(RONDO_WRONG_RANK, call->signature, "%s has no tensor map: it is not a vector for each token", name);
  uintptr_t address = (uintptr_t)array->aligned + (uintptr_t)(array->offset * (operand->dtype.bits / 8));
  if (address % 16)
    return fail(RONDO_MISALIGNED, call->signature,
                "%s starts at address 0x%" PRIxPTR ", which is not a multiple of 16: copy it to aligned memory", name,
                address);

  const int64_t limit = INT64_C(1) << 40;
  int64_t bytes = operand->dtype.bits / 8, row = (operand->sizes[0] * bytes + 15) / 16 * 16;
  uint64_t sizes[4] = {(uint64_t)operand->sizes[0]}, steps[3];
  for (int i = 0; i < 3; ++i) {
    int d = 2 - i; /* head, time, batch */
    int64_t extent = extents[d];
    /* The stride of a dimension with one element means nothing, and may be anything. */
    int64_t stride = extent > 1 ? strides[d] : row / bytes;
    if (stride * bytes % 16)
      return fail(RONDO_MISALIGNED, call->signature,
                  "%s has stride %" PRId64 " along %s, %" PRId64
                  " bytes, which is not a multiple of 16: pad it or copy it to a dense array",
                  name, stride, names[d], stride * bytes);
    if (stride < 0 || stride >= limit / bytes)
      return fail(RONDO_WRONG_STRIDE, call->signature, "%s has stride %" PRId64 " along %s, out of range", name, stride,
                  names[d]);
    if (extent > INT64_C(1) << 32)
      return fail(RONDO_WRONG_SHAPE, call->signature, "%s has %s = %" PRId64 ", more than 2^32", name, names[d],
                  extent);
    sizes[i + 1] = (uint64_t)(extent > 0 ? extent : 1);
    steps[i] = (uint64_t)(stride * bytes);
  }
  memset(map, 0, sizeof *map);
  if (!address) /* nothing to read: no token */
    return RONDO_OK;
  uint32_t box[4] = {(uint32_t)param->box[0], 1, (uint32_t)param->box[1], 1}, ones[4] = {1, 1, 1, 1};
  int type = bytes == 4 ? CU_MAP_F32 : operand->dtype.code == kDLBfloat ? CU_MAP_BF16 : CU_MAP_F16;
  int swizzle = param->swizzle == 32 ? 1 : param->swizzle == 64 ? 2 : param->swizzle == 128 ? 3 : 0;
  cu_result result = cu.encode_map(map, type, 4, (void *)address, sizes, steps, box, ones, /*interleave=*/0, swizzle,
                                   CU_MAP_L2_256B, /*fill=*/0);
  return result ? refuse(call->signature, result, "%s has no tensor map with box [%d, %d] and swizzle %d", name,
                         param->box[0], param->box[1], param->swizzle)
                : RONDO_OK;
}

static rondo_status fill_slot(const call *call, const rondo_cuda_param *param, slot *slot) {
  const rondo_operand *operand = get_operand(call, param->array);
  const rondo_descriptor *array = get_array(call, param->array);
  switch (param->kind) {
  case RONDO_CUDA_POINTER:
    slot->pointer = array->aligned ? (char *)array->aligned + array->offset * (operand->dtype.bits / 8) : NULL;
    return RONDO_OK;
  case RONDO_CUDA_STRIDE: {
    int d = find_dimension(operand->role, param->dim);
    slot->word = array->aligned && d >= 0 ? get_strides(operand, array)[d] : 0;
    return RONDO_OK;
  }
  case RONDO_CUDA_HEADS:
    slot->word = array->extents[find_dimension(operand->role, RONDO_CUDA_H)];
    return RONDO_OK;
  case RONDO_CUDA_SIZE:
    slot->word = call->sizes[param->dim];
    return RONDO_OK;
  case RONDO_CUDA_MAP:
    return encode_map(call, param, &slot->map);
  case RONDO_CUDA_WORKSPACE:
    slot->pointer = (void *)(uintptr_t)call->workspace;
    return RONDO_OK;
  }
  return RONDO_OK;
}

/*===---- Launches ----------------------------------------------------------------------------------------------===*/

/* The blocks of a grid; -1 when they are too many for a number. */
static int64_t count_blocks(const rondo_cuda_kernel *kernel, int64_t batch, int64_t heads) {
  int64_t blocks;
  if (__builtin_mul_overflow(batch, heads, &blocks) || __builtin_mul_overflow(blocks, kernel->blocks, &blocks))
    return -1;
  return kernel->max_blocks && blocks > kernel->max_blocks ? kernel->max_blocks : blocks;
}

/* Bytes that all blocks of the largest kernel need. */
static int64_t count_workspace(const rondo_cuda_program *program, int64_t batch, int64_t heads) {
  int64_t most = 0;
  for (int i = 0; i < program->count; ++i) {
    const rondo_cuda_kernel *kernel = &program->kernels[i];
    int64_t blocks = count_blocks(kernel, batch, heads), bytes;
    if (blocks < 0 || __builtin_mul_overflow(blocks, kernel->workspace, &bytes))
      return INT64_MAX;
    most = bytes > most ? bytes : most;
  }
  return most;
}

/* Rounds up to where an array may begin; INT64_MAX stays what it is. */
static int64_t round_up(int64_t bytes) { return bytes > INT64_MAX - 255 ? INT64_MAX : (bytes + 255) / 256 * 256; }

/* Bytes of all temporaries, one behind the other. Fills `descriptors` where it is not NULL: dense [B, T, H, ...], but
 * for the 16 bytes that a tensor map's strides are multiples of. */
static int64_t place_temporaries(const rondo_cuda_program *program, int64_t batch, int64_t time, int64_t heads,
                                 cu_address memory, rondo_descriptor *descriptors) {
  int64_t end = 0;
  for (int i = 0; i < program->temporary_count; ++i) {
    const rondo_operand *operand = &program->temporaries[i];
    int64_t bytes = operand->dtype.bits / 8, row = 1;
    for (int d = 0; d < operand->rank; ++d)
      row *= operand->sizes[d];
    if (operand->rank)
      row = (row * bytes + 15) / 16 * 16 / bytes;
    int64_t strides[3] = {0, 0, row}, size;
    if (__builtin_mul_overflow(row, heads, &strides[1]) || __builtin_mul_overflow(strides[1], time, &strides[0]) ||
        __builtin_mul_overflow(strides[0], batch, &size) || __builtin_mul_overflow(size, bytes, &size) ||
        __builtin_add_overflow(end, round_up(size), &size))
      return INT64_MAX;
    if (descriptors) {
      rondo_descriptor *array = &descriptors[i];
      int rank = 3 + operand->rank;
      array->allocated = array->aligned = (void *)(uintptr_t)(memory + (cu_address)end);
      array->offset = 0;
      for (int d = 0; d < 3; ++d) {
        array->extents[d] = (int64_t[]){batch, time, heads}[d];
        array->extents[rank + d] = strides[d];
      }
      for (int d = operand->rank - 1; d >= 0; --d) {
        array->extents[3 + d] = operand->sizes[d];
        array->extents[rank + 3 + d] = d == operand->rank - 1 ? 1 : operand->sizes[d + 1];
      }
    }
    end = size;
  }
  return end;
}

int64_t rondo_cuda_workspace_bytes(const rondo_cuda_module *module, int64_t batch, int64_t time, int64_t heads) {
  int64_t workspace = count_workspace(module->program, batch, heads), bytes;
  int64_t temporaries = place_temporaries(module->program, batch, time, heads, 0, NULL);
  if (!temporaries)
    return workspace;
  return __builtin_add_overflow(round_up(workspace), temporaries, &bytes) ? INT64_MAX : bytes;
}

/* Frees the smaller one first: the driver then waits for the launches that use it. */
static rondo_status grow_workspace(rondo_cuda_module *module, size_t bytes) {
  if (bytes <= module->workspace_bytes)
    return RONDO_OK;
  if (module->workspace)
    cu.release(module->workspace);
  module->workspace = 0;
  module->workspace_bytes = 0;
  cu_result result = cu.allocate(&module->workspace, bytes);
  if (result)
    return refuse(module->program->signature, result, "cannot allocate a workspace of %zu bytes on %s", bytes,
                  module->name);
  module->workspace_bytes = bytes;
  return RONDO_OK;
}

/* Memory for the call: the workspace, which stays, and the temporaries, until `release_memory`. */
static rondo_status take_memory(rondo_cuda_module *module, call *call, void *stream, cu_address *temporaries) {
  const rondo_cuda_program *program = module->program;
  const int64_t *sizes = call->sizes;
  int64_t workspace = count_workspace(program, sizes[0], sizes[2]);
  int64_t bytes = place_temporaries(program, sizes[0], sizes[1], sizes[2], 0, NULL);
  int64_t kept = module->pool ? workspace : rondo_cuda_workspace_bytes(module, sizes[0], sizes[1], sizes[2]);
  rondo_status status = grow_workspace(module, (size_t)kept);
  if (status)
    return status;
  call->workspace = module->workspace;
  cu_address memory = module->workspace + (cu_address)round_up(workspace);
  if (module->pool && bytes) {
    cu_result result = cu.pool_allocate(temporaries, (size_t)bytes, module->pool, stream);
    if (result)
      return refuse(program->signature, result,
                    "cannot allocate %" PRId64
                    " bytes on %s for what its kernels hand over (fewer batch entries or heads a call need less)",
                    bytes, module->name);
    memory = *temporaries;
  }
  call->temporaries = module->temporaries;
  place_temporaries(program, sizes[0], sizes[1], sizes[2], memory, module->temporaries);
  return RONDO_OK;
}

/* The memory is another call's when the stream comes to here. */
static void release_memory(cu_address temporaries, void *stream) {
  if (temporaries)
    cu.pool_release(temporaries, stream);
}

/* Fills the parameters of all kernels. What it takes is to be released in any case. */
static rondo_status fill_parameters(rondo_cuda_module *module, const rondo_descriptor *arrays, int64_t batch,
                                    int64_t time, int64_t heads, void *stream, cu_address *temporaries) {
  const rondo_cuda_program *program = module->program;
  call call = {program, program->signature, arrays, NULL, {batch, time, heads}, 0};
  *temporaries = 0;
  rondo_status status = check_values(&call);
  for (int i = 0; i < program->count && !status; ++i) {
    int64_t blocks = count_blocks(&program->kernels[i], batch, heads);
    if (blocks < 0 || blocks > INT32_MAX)
      status = fail(RONDO_WRONG_SHAPE, program->signature,
                    "B = %" PRId64 " and H = %" PRId64 " need more thread blocks than a grid can have (%d)", batch,
                    heads, INT32_MAX);
  }
  if (!status)
    status = take_memory(module, &call, stream, temporaries);
  for (int i = 0; i < program->count && !status; ++i)
    for (int p = 0; p < program->kernels[i].count && !status; ++p)
      status = fill_slot(&call, &program->kernels[i].params[p], &module->kernels[i].slots[p]);
  return status;
}

/* Launches the kernels with the parameters that are there. */
static rondo_status launch_kernels(rondo_cuda_module *module, int64_t batch, int64_t heads, void *stream) {
  const rondo_cuda_program *program = module->program;
  for (int i = 0; i < program->count; ++i) {
    const rondo_cuda_kernel *kernel = &program->kernels[i];
    int64_t blocks = count_blocks(kernel, batch, heads);
    if (blocks == 0)
      continue;
    cu_result result = cu.launch(module->kernels[i].function, (unsigned)blocks, 1, 1, (unsigned)kernel->threads, 1, 1,
                                 (unsigned)kernel->shared, stream, module->kernels[i].addresses, NULL);
    if (result)
      return refuse(program->signature, result,
                    "cannot launch kernel '%s' with %" PRId64 " blocks of %" PRId64 " threads and %" PRId64
                    " bytes of shared memory",
                    kernel->name, blocks, kernel->threads, kernel->shared);
  }
  return RONDO_OK;
}

rondo_status rondo_cuda_launch(rondo_cuda_module *module, const rondo_descriptor *arrays, int64_t batch, int64_t time,
                               int64_t heads, void *stream) {
  rondo_status status = begin(module);
  if (status)
    return status;
  cu_address temporaries;
  status = fill_parameters(module, arrays, batch, time, heads, stream, &temporaries);
  if (!status)
    status = launch_kernels(module, batch, heads, stream);
  release_memory(temporaries, stream);
  leave();
  return status;
}

/*===---- For hosts that have no other way to the device --------------------------------------------------------===*/

rondo_status rondo_cuda_synchronize(rondo_cuda_module *module, void *stream) {
  rondo_status status = begin(module);
  if (status)
    return status;
  cu_result result = cu.stream_synchronize(stream);
  leave();
  return result ? refuse(module->program->signature, result, "a kernel failed on %s", module->name) : RONDO_OK;
}

rondo_status rondo_cuda_allocate(rondo_cuda_module *module, size_t bytes, void **memory) {
  *memory = NULL;
  rondo_status status = begin(module);
  if (status)
    return status;
  cu_address address = 0;
  cu_result result = cu.allocate(&address, bytes ? bytes : 1);
  leave();
  if (result)
    return refuse(module->program->signature, result, "cannot allocate %zu bytes on %s", bytes, module->name);
  *memory = (void *)(uintptr_t)address;
  return RONDO_OK;
}

void rondo_cuda_free(rondo_cuda_module *module, void *memory) {
  if (!memory || enter(module))
    return;
  cu.release((cu_address)(uintptr_t)memory);
  leave();
}

rondo_status rondo_cuda_copy_in(rondo_cuda_module *module, void *device, const void *host, size_t bytes) {
  rondo_status status = begin(module);
  if (status || !bytes) {
    if (!status)
      leave();
    return status;
  }
  cu_result result = cu.copy_in((cu_address)(uintptr_t)device, host, bytes);
  leave();
  return result ? refuse(module->program->signature, result, "cannot copy %zu bytes to %s", bytes, module->name)
                : RONDO_OK;
}

rondo_status rondo_cuda_copy_out(rondo_cuda_module *module, void *host, const void *device, size_t bytes) {
  rondo_status status = begin(module);
  if (status || !bytes) {
    if (!status)
      leave();
    return status;
  }
  cu_result result = cu.copy_out(host, (cu_address)(uintptr_t)device, bytes);
  leave();
  return result ? refuse(module->program->signature, result, "cannot copy %zu bytes from %s", bytes, module->name)
                : RONDO_OK;
}

/* Queues the launches and their events, waits, and reads the times. */
static rondo_status time_launches(rondo_cuda_module *module, int64_t batch, int64_t heads, void *stream, int warmups,
                                  int runs, cu_handle *events, float *milliseconds) {
  rondo_status status = RONDO_OK;
  cu_result result = CU_SUCCESS;
  for (int i = 0; i < warmups && !status; ++i)
    status = launch_kernels(module, batch, heads, stream);
  for (int i = 0; i < 2 * runs && !result; ++i)
    result = cu.event_create(&events[i], 0);
  for (int i = 0; i < runs && !status && !result; ++i) {
    if ((result = cu.event_record(events[2 * i], stream)))
      break;
    status = launch_kernels(module, batch, heads, stream);
    result = cu.event_record(events[2 * i + 1], stream);
  }
  if (status)
    return status;
  if (!result)
    result = cu.stream_synchronize(stream);
  for (int i = 0; i < runs && !result; ++i)
    result = cu.event_elapsed(&milliseconds[i], events[2 * i], events[2 * i + 1]);
  return result ? refuse(module->program->signature, result, "cannot time the kernel on %s", module->name) : RONDO_OK;
}

rondo_status rondo_cuda_time(rondo_cuda_module *module, const rondo_descriptor *arrays, int64_t batch, int64_t time,
                             int64_t heads, void *stream, int warmups, int runs, float *milliseconds) {
  rondo_status status = begin(module);
  if (status)
    return status;
  cu_handle *events = calloc(2 * (size_t)runs + 1, sizeof *events);
  if (!events) {
    leave();
    return fail(RONDO_OUT_OF_MEMORY, module->program->signature, "no memory");
  }
  cu_address temporaries;
  status = fill_parameters(module, arrays, batch, time, heads, stream, &temporaries);
  if (!status)
    status = time_launches(module, batch, heads, stream, warmups, runs, events, milliseconds);
  release_memory(temporaries, stream);
  for (int i = 0; i < 2 * runs && events[i]; ++i)
    cu.event_destroy(events[i]);
  free(events);
  leave();
  return status;
}
