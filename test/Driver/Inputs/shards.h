/* Tensors of float and shards of them, for tests of summaries. */
#include <dlpack/dlpack.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor {
  DLTensor dl;
  int64_t shape[4], strides[4];
} tensor;

/* In C order, with numbers between `low` and `high`. */
static tensor *make(int rank, int64_t a, int64_t b, int64_t c, int64_t d, float low, float high) {
  tensor *t = calloc(1, sizeof *t);
  int64_t shape[] = {a, b, c, d}, count = 1;
  memcpy(t->shape, shape, sizeof shape);
  for (int i = rank - 1; i >= 0; count *= shape[i--])
    t->strides[i] = count;
  float *data = malloc((size_t)count * sizeof *data);
  for (int64_t i = 0; i < count; ++i)
    data[i] = low + (high - low) * (float)rand() / (float)RAND_MAX;
  t->dl = (DLTensor){data, {kDLCPU, 0}, rank, {kDLFloat, 32, 1}, t->shape, t->strides, 0};
  return t;
}

/* Tokens [begin, end) of [B, T, H, ...], in the same memory. */
static DLTensor *cut(const tensor *whole, int64_t begin, int64_t end) {
  tensor *t = malloc(sizeof *t);
  *t = *whole;
  t->dl.shape = t->shape;
  t->dl.strides = t->strides;
  t->dl.byte_offset = (uint64_t)(begin * t->strides[1]) * sizeof(float);
  t->shape[1] = end - begin;
  return &t->dl;
}

static double difference(const tensor *a, const tensor *b) {
  const float *x = a->dl.data, *y = b->dl.data;
  double error = 0, norm = 0;
  for (int64_t i = 0; i < a->shape[0] * a->strides[0]; ++i) {
    error += (x[i] - y[i]) * (double)(x[i] - y[i]);
    norm += y[i] * (double)y[i];
  }
  return sqrt(error / norm);
}

static void report(const char *what, const tensor *a, const tensor *b) {
  double error = difference(a, b);
  printf("%s: %s", what, error <= 1e-5 ? "equal" : "different");
  if (error > 1e-5)
    printf(" by %g", error);
  printf("\n");
}

static void try(const char *what, rondo_status status) { printf("%s: %d %s\n", what, status, rondo_error_message()); }
