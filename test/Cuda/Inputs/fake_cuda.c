// A CUDA driver without a device, for tests: memory is the host's, and calls are written to the file FAKE_CUDA_LOG.
// Code is PTX text, of which it reads the parameters of each entry; a launch prints their values. FAKE_CUDA holds words
// that make it fail: no-device, ampere, no-pools, no-cubin, bad-ptx, launch, device-memory, pool-memory, late. A kernel
// does nothing, unless FAKE_CUDA_KERNELS is a shared object with a function of its name: void NAME(void **parameters,
// unsigned blocks).
#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int result;
enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, NO_BINARY = 209, INVALID_PTX = 218, NOT_FOUND = 500 };
enum { ILLEGAL_ADDRESS = 700, LAUNCH_RESOURCES = 701 };

static int asks(const char *word) {
  const char *words = getenv("FAKE_CUDA");
  return words && strstr(words, word);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  static FILE *file;
  const char *path = getenv("FAKE_CUDA_LOG");
  if (!file)
    file = path ? fopen(path, "w") : NULL;
  if (!file)
    return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(file, format, arguments);
  va_end(arguments);
  fflush(file);
}

result cuInit(unsigned flags) { return flags ? INVALID_VALUE : asks("no-device") ? NO_DEVICE : 0; }
result cuGetErrorString(result code, const char **text) {
  *text = code == INVALID_VALUE      ? "invalid argument"
          : code == OUT_OF_MEMORY    ? "out of memory"
          : code == NO_DEVICE        ? "no CUDA-capable device is detected"
          : code == NO_BINARY        ? "no kernel image is available for execution on the device"
          : code == INVALID_PTX      ? "a PTX JIT compilation failed"
          : code == NOT_FOUND        ? "named symbol not found"
          : code == ILLEGAL_ADDRESS  ? "an illegal memory access was encountered"
          : code == LAUNCH_RESOURCES ? "too many resources requested for launch"
                                     : "unrecognized error code";
  return 0;
}

// Two devices; contexts are numbers from 1 on.
static uintptr_t stack[16];
static int depth;
result cuDeviceGetCount(int *count) { return *count = 2, 0; }
result cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
result cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, (size_t)length, "Fake %s %d", asks("ampere") ? "A100" : "H200", device);
  return 0;
}
result cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  if (attribute == 115)
    return *value = !asks("no-pools"), 0;
  *value = attribute == 75 ? (asks("ampere") ? 8 : 9) : attribute == 76 ? 0 : attribute == 97 ? 232448 : -1;
  return *value < 0 ? INVALID_VALUE : 0;
}
result cuDevicePrimaryCtxRetain(void **context, int device) {
  say("retain %d\n", device);
  return *context = (void *)(uintptr_t)(device + 1), 0;
}
result cuDevicePrimaryCtxRelease_v2(int device) { return say("release %d\n", device), 0; }
result cuCtxGetCurrent(void **context) { return *context = (void *)(depth ? stack[depth - 1] : 0), 0; }
result cuCtxGetDevice(int *device) { return *device = (int)stack[depth - 1] - 1, 0; }
result cuCtxPushCurrent_v2(void *context) { return stack[depth++] = (uintptr_t)context, 0; }
result cuCtxPopCurrent_v2(void **context) { return *context = (void *)stack[--depth], 0; }
result cuCtxSynchronize(void) { return 0; }

// The parameters of an entry, a letter for each: w for a word of 64 bits, m for a tensor map of 128 bytes.
typedef struct function {
  char name[128], kinds[128];
  void (*code)(void **, unsigned);
} function;

result cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  int is_cubin = memcmp(image, "\177ELF", 4) == 0;
  if (is_cubin && asks("no-cubin"))
    return NO_BINARY;
  if (!is_cubin && asks("bad-ptx")) {
    for (unsigned i = 0; i < count; ++i)
      if (options[i] == 5)
        strcpy(values[i], "\nptxas application ptx input, line 9; error   : Unknown symbol 'x'\nptxas fatal\n");
    return INVALID_PTX;
  }
  say("load %s\n", is_cubin ? "cubin" : "ptx");
  return *module = strdup(is_cubin ? "" : image), 0;
}
result cuModuleUnload(void *module) { return say("unload\n"), free(module), 0; }
result cuModuleGetFunction(void **result_, void *module, const char *name) {
  char head[160];
  snprintf(head, sizeof head, ".entry %s(", name);
  const char *at = strstr(module, head);
  int is_cubin = !*(char *)module;
  if (!at && !is_cubin)
    return NOT_FOUND;
  function *f = calloc(1, sizeof *f);
  snprintf(f->name, sizeof f->name, "%s", name);
  for (at = at ? at + strlen(head) : ")"; *at && *at != ')'; ++at)
    if (strncmp(at, ".param", 6) == 0) {
      size_t length = strcspn(at, ",)");
      int is_map = memmem(at, length, ".b8", 3) && memmem(at, length, "[128]", 5);
      f->kinds[strlen(f->kinds)] = is_map ? 'm' : 'w';
      at += length - 1;
    }
  const char *path = getenv("FAKE_CUDA_KERNELS");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL, *code = library ? dlsym(library, name) : NULL;
  memcpy(&f->code, &code, sizeof code);
  return *result_ = f, 0;
}
result cuFuncSetAttribute(void *f, int attribute, int value) {
  if (attribute != 8)
    return INVALID_VALUE;
  say("shared %s %d\n", ((function *)f)->name, value);
  return 0;
}
result cuLaunchKernel(void *handle, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threadsY,
                      unsigned threadsZ, unsigned shared, void *stream, void **parameters, void **extra) {
  function *f = handle;
  if (asks("launch") || y != 1 || z != 1 || threadsY != 1 || threadsZ != 1 || threads > 1024 || extra)
    return LAUNCH_RESOURCES;
  say("launch %s blocks=%u threads=%u shared=%u stream=%p\n", f->name, x, threads, shared, stream);
  for (int i = 0; f->kinds[i]; ++i)
    if (f->kinds[i] == 'w') {
      int64_t word;
      memcpy(&word, parameters[i], sizeof word);
      // Addresses differ from run to run.
      if (word < 0 || word > INT64_C(1) << 32)
        say("  pointer\n");
      else
        say("  %" PRId64 "\n", word);
    } else {
      char text[129] = "";
      memcpy(text, parameters[i], 128);
      say("  map %s%s\n", text, (uintptr_t)parameters[i] % 64 ? " misaligned" : "");
    }
  if (f->code)
    f->code(parameters, x);
  return 0;
}

result cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
  if (asks("device-memory") || !bytes)
    return bytes ? OUT_OF_MEMORY : INVALID_VALUE;
  say("allocate %zu\n", bytes);
  // Nothing lies at addresses below: see cuLaunchKernel.
  void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset(memory, 0xff, bytes);
  return *address = (uintptr_t)memory, 0;
}
result cuMemFree_v2(unsigned long long address) { return say("free\n"), free((void *)(uintptr_t)address), 0; }

struct properties {
  int allocation, handles, location, device;
  void *security;
  size_t most;
  unsigned short usage;
  unsigned char reserved[54];
};
result cuMemPoolCreate(void **pool, const struct properties *properties) {
  if (properties->allocation != 1 || properties->handles || properties->location != 1 || properties->most)
    return INVALID_VALUE;
  say("pool %d\n", properties->device);
  return *pool = (void *)4096, 0;
}
result cuMemPoolDestroy(void *pool) { return (void)pool, say("pool ends\n"), 0; }
result cuMemPoolSetAttribute(void *pool, int attribute, void *value) {
  return !pool || attribute != 4 || *(uint64_t *)value != UINT64_MAX ? INVALID_VALUE : 0;
}
result cuMemAllocFromPoolAsync(unsigned long long *address, size_t bytes, void *pool, void *stream) {
  if (!pool || asks("pool-memory") || !bytes)
    return pool && bytes ? OUT_OF_MEMORY : INVALID_VALUE;
  say("take %zu stream=%p\n", bytes, stream);
  void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset(memory, 0xff, bytes);
  return *address = (uintptr_t)memory, 0;
}
result cuMemFreeAsync(unsigned long long address, void *stream) {
  return say("give back stream=%p\n", stream), free((void *)(uintptr_t)address), 0;
}
result cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t bytes) {
  return memcpy((void *)(uintptr_t)to, from, bytes), 0;
}
result cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t bytes) {
  return memcpy(to, (void *)(uintptr_t)from, bytes), 0;
}
result cuStreamSynchronize(void *stream) { return (void)stream, asks("late") ? ILLEGAL_ADDRESS : 0; }
result cuEventCreate(void **event, unsigned flags) { return *event = (void *)(uintptr_t)(flags + 1), 0; }
result cuEventDestroy_v2(void *event) { return (void)event, 0; }
result cuEventRecord(void *event, void *stream) { return (void)event, (void)stream, 0; }
result cuEventElapsedTime(float *ms, void *start, void *end) { return (void)start, (void)end, *ms = 0.25f, 0; }

// The "map" is a text of what it was asked for.
result cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address, const uint64_t *sizes,
                              const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave,
                              int swizzle, int promotion, int fill) {
  if ((uintptr_t)map % 64 || (uintptr_t)address % 16 || interleave || fill || promotion != 3 || rank != 4)
    return INVALID_VALUE;
  for (int i = 0; i < 4; ++i)
    if (!sizes[i] || !box[i] || box[i] > 256 || steps[i] != 1 || (i < 3 && strides[i] % 16))
      return INVALID_VALUE;
  if (swizzle && box[0] * (type == 7 ? 4u : 2u) > 16u << swizzle)
    return INVALID_VALUE;
  snprintf(map, 128, "type=%d sizes=%d,%d,%d,%d strides=%d,%d,%d box=%u,%u,%u,%u swizzle=%d", type, (int)sizes[0],
           (int)sizes[1], (int)sizes[2], (int)sizes[3], (int)strides[0], (int)strides[1], (int)strides[2], box[0],
           box[1], box[2], box[3], swizzle);
  return 0;
}
