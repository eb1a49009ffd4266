// Every kind of transition on one head of a 2 x 2 state, and the same through the summary of two equal shards.
#include "rondo_runtime.h"
#include <stdio.h>

static float initial[] = {1, 2, 3, 4}, other[] = {10, 20, 30, 40}, contribution[] = {100, 200, 300, 400};

static DLTensor describe(float *data, int rank, int64_t *shape) {
  return (DLTensor){data, {kDLCPU, 0}, 2 + rank, {kDLFloat, 32, 1}, shape, NULL, 0};
}

static void print(const char *name, const float *values) {
  printf("%s: %g %g %g %g\n", name, values[0], values[1], values[2], values[3]);
}

/* The first of two states; `source` is the number of the state that the transition takes. */
static void check(const char *name, rondo_transition kind, int source, int rank, float *array) {
  const DLDataType f32 = {kDLFloat, 32, 1};
  const float init[] = {0, 0};
  int64_t shape[] = {1, 1, 2, 2};
  rondo_action action = {kind, 0, source};
  rondo_algebra algebra = {2, init, 1, &action};
  rondo_operand operands[9] = {
      {"S", RONDO_INITIAL, 0, f32, 2, {2, 2}, NULL},       {"S", RONDO_CONTRIBUTION, 0, f32, 2, {2, 2}, NULL},
      {"S", RONDO_FINAL, 0, f32, 2, {2, 2}, NULL},         {"R", RONDO_INITIAL, 0, f32, 2, {2, 2}, NULL},
      {"R", RONDO_CONTRIBUTION, 0, f32, 2, {2, 2}, NULL},  {"R", RONDO_FINAL, 0, f32, 2, {2, 2}, NULL},
      {"A", RONDO_TRANSITION, 0, f32, rank, {2, 2}, NULL}, {"A", RONDO_TRANSITION, 0, f32, rank, {2, 2}, NULL},
      {"A", RONDO_TRANSITION, 0, f32, rank, {2, 2}, NULL}};
  float after[4] = {0}, twice[4] = {0}, sum[4] = {0}, product[4] = {0};
  DLTensor s = describe(initial, 2, shape), r = describe(other, 2, shape), n = describe(contribution, 2, shape);
  DLTensor a = describe(array, rank, shape), result = describe(after, 2, shape), second = describe(twice, 2, shape);
  DLTensor sums = describe(sum, 2, shape), products = describe(product, rank, shape);
  rondo_descriptor d[9];

  const rondo_signature combine = {"m", 7, operands, 0};
  const DLTensor *tensors[] = {&s, &n, &result, &r, NULL, NULL, &a};
  rondo_status status = rondo_combine(&combine, &algebra, tensors, d);
  printf("%d ", status);
  print(name, after);
  if (source != 0)
    return;

  tensors[0] = &result, tensors[2] = &second;
  rondo_combine(&combine, &algebra, tensors, d);
  const rondo_signature compose = {"m", 9, operands, 0};
  operands[0].role = operands[2].role = RONDO_CONTRIBUTION;
  const DLTensor *both[] = {&n, &n, &sums, NULL, NULL, NULL, &a, &a, &products};
  status = rondo_compose(&compose, &algebra, both, d);
  float composed[4] = {0};
  DLTensor last = describe(composed, 2, shape);
  operands[0].role = RONDO_INITIAL, operands[2].role = RONDO_FINAL;
  const DLTensor *once[] = {&s, &sums, &last, NULL, NULL, NULL, &products};
  rondo_combine(&combine, &algebra, once, d);
  int equal = 1;
  for (int i = 0; i < 4; ++i)
    equal &= composed[i] == twice[i];
  printf("  composed: %d %s\n", status, equal ? "equal" : "different");
}

int main(void) {
  float array[] = {2, 3, 5, 7};
  check("scalar", RONDO_SCALAR, 0, 0, array);
  check("rows", RONDO_ROWS, 0, 1, array);
  check("cols", RONDO_COLS, 0, 1, array);
  check("elements", RONDO_ELEMENTS, 0, 2, array);
  check("coupling", RONDO_COUPLING, 1, 0, array);
  check("matrix", RONDO_MATRIX, 0, 2, array);
  check("matrix of another", RONDO_MATRIX, 1, 2, array);
  check("matrix_cols", RONDO_MATRIX_COLS, 0, 2, array);
  float large[] = {200, 3, 5, 700};
  check("maxplus", RONDO_MAXPLUS, 0, 2, large);
  return 0;
}
