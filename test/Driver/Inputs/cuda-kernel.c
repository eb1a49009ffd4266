// What the kernel of cuda.mlir would do, for the driver of test/Cuda/Inputs/fake_cuda.c: one head of 8 elements a
// block.
#include <stdint.h>

#define POINTER(i) (*(float **)parameters[i])
#define NUMBER(i) (*(int64_t *)parameters[i])

void running_kernel(void **parameters, unsigned blocks) {
  int64_t heads = NUMBER(5), T = NUMBER(9), H = NUMBER(10);
  for (unsigned item = 0; item < blocks; ++item) {
    int64_t b = item / H, h = item % H;
    const float *x = POINTER(1) + b * NUMBER(2) + h / (H / heads) * NUMBER(4), *w = POINTER(6) + h * 8;
    float *o = POINTER(7) + (b * T * H + h) * 8;
    for (int i = 0; i < 8; ++i) {
      float sum = POINTER(11) ? POINTER(11)[item * 8 + i] : 0;
      for (int64_t t = 0; t < T; ++t)
        o[t * NUMBER(8) + i] = w[i] * (sum += x[t * NUMBER(3) + i]);
      if (POINTER(12))
        POINTER(12)[item * 8 + i] = sum;
    }
  }
}
