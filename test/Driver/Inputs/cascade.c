// Calls a mixer whose kernels hand over an array, on two streams.
#include "hla2.h"
#include <stdio.h>

enum { B = 2, T = 70, H = 3, K = 64, V = 64 };
static _Alignas(16) uint16_t q[B * T * H * K], k[B * T * H * K], v[B * T * H * V], o[B * T * H * V];

static DLTensor describe(void *data, int64_t *shape) {
  DLTensor tensor = {.data = data, .device = {kDLCUDA, 0}, .ndim = 4, .dtype = {kDLBfloat, 16, 1}, .shape = shape};
  return tensor;
}

int main(void) {
  int64_t wide[] = {B, T, H, K}, high[] = {B, T, H, V};
  DLTensor tensors[] = {describe(q, wide), describe(k, wide), describe(v, high), describe(o, high)};
  hla2_args args = {.q = &tensors[0], .k = &tensors[1], .v = &tensors[2], .o = &tensors[3]};
  for (uintptr_t stream = 7; stream < 9; ++stream) {
    args.stream = (void *)stream;
    printf("call: %d", hla2_forward(&args));
    printf(" %s\n", rondo_error_message());
  }
  return 0;
}
