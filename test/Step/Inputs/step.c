/* Decodes with a compiled mixer through its header: parts of any length give the same bits as the sequential prefill,
 * and nothing is allocated. */
#include "gated_delta_net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, H = 3, K = gated_delta_net_K, V = gated_delta_net_V };

/* Counts what the library allocates. */
static long allocations;
void *__libc_malloc(size_t);
void *malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}

static float q[B][T][H][K], k[B][T][H][K], v[B][T][H][V], g[B][T][H], beta[B][T][H];
static float prefilled[B][T][H][V], decoded[B][T][H][V], final[B][H][K][V], state[B][H][K][V], history[B][H][T][K][V];

/* Tokens [begin, end) of an array [B, T, H, size], or of one without the last dimension when size is 0. */
typedef struct part {
  DLTensor dl;
  int64_t shape[5], strides[5];
} part;

static DLTensor *tokens(part *p, float *data, int64_t size, int64_t begin, int64_t end) {
  int64_t row = size ? size : 1;
  memcpy(p->shape, (int64_t[]){B, end - begin, H, size}, 4 * sizeof(int64_t));
  memcpy(p->strides, (int64_t[]){T * H * row, H * row, row, 1}, 4 * sizeof(int64_t));
  p->dl = (DLTensor){data + begin * H * row, {kDLCPU, 0}, size ? 4 : 3, {kDLFloat, 32, 1}, p->shape, p->strides, 0};
  return &p->dl;
}

static DLTensor *states(part *p, float *data) {
  memcpy(p->shape, (int64_t[]){B, H, K, V}, 4 * sizeof(int64_t));
  p->dl = (DLTensor){data, {kDLCPU, 0}, 4, {kDLFloat, 32, 1}, p->shape, NULL, 0};
  return &p->dl;
}

static void fill(void *array, size_t bytes, float low, float high) {
  for (float *x = array, *end = x + bytes / sizeof *x; x != end; ++x)
    *x = low + (high - low) * (float)rand() / (float)RAND_MAX;
}

int main(void) {
  fill(q, sizeof q, -0.3f, 0.3f), fill(k, sizeof k, -0.3f, 0.3f), fill(v, sizeof v, -1, 1);
  fill(g, sizeof g, -0.5f, 0), fill(beta, sizeof beta, 0, 1);
  part p[8];
  gated_delta_net_args all = {.q = tokens(&p[0], &q[0][0][0][0], K, 0, T),
                              .k = tokens(&p[1], &k[0][0][0][0], K, 0, T),
                              .v = tokens(&p[2], &v[0][0][0][0], V, 0, T),
                              .g = tokens(&p[3], &g[0][0][0], 0, 0, T),
                              .beta = tokens(&p[4], &beta[0][0][0], 0, 0, T),
                              .o = tokens(&p[5], &prefilled[0][0][0][0], V, 0, T),
                              .final_S = states(&p[6], &final[0][0][0][0]),
                              .threads = 1};
  if (gated_delta_net_forward(&all))
    return printf("%s\n", rondo_error_message()), 1;

  long before = allocations;
  for (int begin = 0, length = 1; begin < T; begin += length++) { /* 1, 2, 3 and 3 tokens */
    int end = begin + length < T ? begin + length : T;
    part after = {.shape = {B, H, end - begin, K, V},
                  .strides = {(int64_t)H * T * K * V, (int64_t)T * K * V, (int64_t)K * V, V, 1}};
    after.dl =
        (DLTensor){&history[0][0][begin][0][0], {kDLCPU, 0}, 5, {kDLFloat, 32, 1}, after.shape, after.strides, 0};
    gated_delta_net_step_args step = {.q = tokens(&p[0], &q[0][0][0][0], K, begin, end),
                                      .k = tokens(&p[1], &k[0][0][0][0], K, begin, end),
                                      .v = tokens(&p[2], &v[0][0][0][0], V, begin, end),
                                      .g = tokens(&p[3], &g[0][0][0], 0, begin, end),
                                      .beta = tokens(&p[4], &beta[0][0][0], 0, begin, end),
                                      .o = tokens(&p[5], &decoded[0][0][0][0], V, begin, end),
                                      .state_S = states(&p[6], &state[0][0][0][0]),
                                      .history_S = &after.dl,
                                      .threads = 1};
    if (gated_delta_net_step(&step))
      return printf("%s\n", rondo_error_message()), 1;
  }
  printf("allocations %ld\n", allocations - before);
  int last = 1;
  for (int b = 0; b < B; ++b)
    for (int h = 0; h < H; ++h)
      last &= !memcmp(history[b][h][T - 1], state[b][h], sizeof state[b][h]);
  printf("outputs %s, states %s, histories %s\n", memcmp(prefilled, decoded, sizeof decoded) ? "differ" : "equal",
         memcmp(final, state, sizeof state) ? "differ" : "equal", last ? "equal" : "differ");

  gated_delta_net_step_args wrong = {.q = all.q, .k = all.k, .v = all.v, .g = all.g, .beta = all.beta, .o = all.o};
  int status = gated_delta_net_step(&wrong);
  printf("status %d: %s\n", status, rondo_error_message());
  p[7] = p[6];
  p[7].shape[1] = H - 1;
  p[7].dl.shape = p[7].shape;
  wrong.state_S = &p[7].dl;
  status = gated_delta_net_step(&wrong);
  printf("status %d: %s\n", status, rondo_error_message());
  state[1][2][0][0] = 0.0f / 0.0f;
  wrong.state_S = states(&p[6], &state[0][0][0][0]);
  wrong.check_nan = 1;
  status = gated_delta_net_step(&wrong);
  printf("status %d: %s\n", status, rondo_error_message());
  return 0;
}
