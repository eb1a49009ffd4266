// Loads two kernels and launches them with every kind of parameter, then with arrays that do not fit.
#include "rondo_cuda.h"
#include <stdio.h>
#include <stdlib.h>

static const rondo_operand operands[] = {
    {"q", RONDO_TOKEN, 1, {kDLBfloat, 16, 1}, 1, {64}, NULL},
    {"g", RONDO_TOKEN, 0, {kDLFloat, 32, 1}, 0, {0}, NULL},
    {"w", RONDO_PARAM, 0, {kDLFloat, 32, 1}, 1, {8}, NULL},
    {"o", RONDO_OUTPUT, 0, {kDLBfloat, 16, 1}, 1, {32}, NULL},
    {"S", RONDO_INITIAL, 0, {kDLFloat, 32, 1}, 2, {8, 4}, NULL},
    {"S", RONDO_FINAL, 0, {kDLFloat, 32, 1}, 2, {8, 4}, NULL},
};
enum { Q, G, W, O, INITIAL, FINAL, COUNT };
// What the first kernel hands over to the second.
static const rondo_operand temporaries[] = {
    {"r", RONDO_OUTPUT, 0, {kDLBfloat, 16, 1}, 1, {20}, NULL},
    {"s", RONDO_OUTPUT, 0, {kDLFloat, 32, 1}, 0, {0}, NULL},
};
enum { R = COUNT, S };
static const rondo_signature signature = {"m", COUNT, operands, 0};

static const rondo_cuda_param first[] = {
    {.kind = RONDO_CUDA_MAP, .array = Q, .box = {64, 32}, .swizzle = 128},
    {.kind = RONDO_CUDA_HEADS, .array = Q},
    {.kind = RONDO_CUDA_POINTER, .array = G},
    {.kind = RONDO_CUDA_STRIDE, .array = G, .dim = RONDO_CUDA_T},
    {.kind = RONDO_CUDA_STRIDE, .array = W, .dim = RONDO_CUDA_H},
    {.kind = RONDO_CUDA_SIZE, .dim = RONDO_CUDA_B},
    {.kind = RONDO_CUDA_SIZE, .dim = RONDO_CUDA_T},
    {.kind = RONDO_CUDA_SIZE, .dim = RONDO_CUDA_H},
    {.kind = RONDO_CUDA_WORKSPACE},
    {.kind = RONDO_CUDA_POINTER, .array = R},
    {.kind = RONDO_CUDA_STRIDE, .array = R, .dim = RONDO_CUDA_B},
};
static const rondo_cuda_param second[] = {
    {.kind = RONDO_CUDA_POINTER, .array = O},
    {.kind = RONDO_CUDA_POINTER, .array = INITIAL},
    {.kind = RONDO_CUDA_STRIDE, .array = INITIAL, .dim = RONDO_CUDA_B},
    {.kind = RONDO_CUDA_POINTER, .array = FINAL},
    {.kind = RONDO_CUDA_STRIDE, .array = FINAL, .dim = RONDO_CUDA_B},
    {.kind = RONDO_CUDA_STRIDE, .array = FINAL, .dim = RONDO_CUDA_H},
    {.kind = RONDO_CUDA_MAP, .array = R, .box = {16, 32}, .swizzle = 32},
    {.kind = RONDO_CUDA_POINTER, .array = S},
    {.kind = RONDO_CUDA_STRIDE, .array = S, .dim = RONDO_CUDA_T},
};
static const rondo_cuda_kernel kernels[] = {
    {"m_kernel_0", 384, 100000, 2, 0, 1000, 11, first},
    {"m_kernel_1", 128, 0, 1, 3, 0, 9, second},
};
static const rondo_cuda_program program = {&signature, 2, kernels, 2, temporaries};
static const char ptx[] =
    ".visible .entry m_kernel_0(.param .align 64 .b8 a[128], .param .u64 b, .param .u64 .ptr c,"
    ".param .u64 d, .param .u64 e, .param .u64 f, .param .u64 g, .param .u64 h, .param .u64 i, .param .u64 j,"
    ".param .u64 k) {}"
    ".visible .entry m_kernel_1(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d,"
    ".param .u64 e, .param .u64 f, .param .align 64 .b8 g[128], .param .u64 h, .param .u64 i) {}";

static _Alignas(16) char memory[1 << 16];
enum { B = 2, T = 5, H = 4 };

/* Dense, as rondo_prepare makes them. */
static void describe(rondo_descriptor *array, int rank, const int64_t *sizes) {
  array->allocated = array->aligned = memory;
  array->offset = 0;
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; stride *= sizes[i--])
    array->extents[i] = sizes[i], array->extents[rank + i] = stride;
}

static void reset(rondo_descriptor arrays[COUNT]) {
  describe(&arrays[Q], 4, (int64_t[]){B, T, 2, 64});
  describe(&arrays[G], 3, (int64_t[]){B, T, H});
  describe(&arrays[W], 2, (int64_t[]){H, 8});
  describe(&arrays[O], 4, (int64_t[]){B, T, H, 32});
  describe(&arrays[INITIAL], 4, (int64_t[]){B, H, 8, 4});
  describe(&arrays[FINAL], 4, (int64_t[]){B, H, 8, 4});
  arrays[INITIAL].aligned = NULL;
}

int main(int argc, char **argv) {
  int device = argc > 1 ? atoi(argv[1]) : -1;
  static const rondo_cuda_image image = {"\177ELF", ptx};
  rondo_cuda_module *module = NULL;
  rondo_status status = rondo_cuda_load(&program, &image, device, &module);
  printf("load %d %s\n", status, rondo_error_message());
  if (status)
    return 1;
  printf("device %d %s%s\n", rondo_cuda_device(module), rondo_cuda_device_name(module),
         rondo_cuda_is_from_cubin(module) ? " cubin" : "");
  printf("bytes %lld %lld shared=%d\n", (long long)rondo_cuda_workspace_bytes(module, B, T, H),
         (long long)rondo_cuda_workspace_bytes(module, INT64_C(1) << 30, INT64_C(1) << 30, H),
         rondo_cuda_shares_memory(module));

  rondo_descriptor arrays[COUNT];
  reset(arrays);
#define TRY(text, ...)                                                                                                 \
  status = rondo_cuda_launch(module, arrays, __VA_ARGS__);                                                             \
  printf("%s: %d %s\n", text, status, rondo_error_message());                                                          \
  reset(arrays)
  TRY("fits", B, T, H, NULL);
  TRY("grows", 2 * B, T, H, (void *)7);
  TRY("shrinks", B, T, H, NULL);
  TRY("nothing to do", 0, T, H, NULL);
  arrays[Q].aligned = memory + 2;
  TRY("address", B, T, H, NULL);
  arrays[Q].extents[4 + 1] = 2 * 64 + 4;
  TRY("stride of T", B, T, H, NULL);
  arrays[Q].extents[0] = 1;
  arrays[Q].extents[4 + 0] = 3;
  TRY("stride of one", 1, T, H, NULL);
  arrays[Q].extents[4 + 2] = -64;
  TRY("backwards", B, T, H, NULL);
  arrays[FINAL].extents[4 + 2] = 5;
  TRY("gaps", B, T, H, NULL);
  TRY("too many", INT64_C(1) << 40, T, INT64_C(1) << 40, NULL);

  float milliseconds[3];
  status = rondo_cuda_time(module, arrays, B, T, H, NULL, 1, 3, milliseconds);
  printf("time %d %s %.2f %.2f\n", status, rondo_error_message(), milliseconds[0], milliseconds[2]);
  status = rondo_cuda_synchronize(module, NULL);
  printf("synchronize %d %s\n", status, rondo_error_message());
  rondo_cuda_unload(module);
  return 0;
}
