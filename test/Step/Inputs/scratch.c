/* A step function that needs scratch: what it says without, and that threads keep to their own parts. */
#include "gateloop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 8, K = gateloop_K, V = gateloop_V };

static float q[H][K], k[H][K], v[H][V], g[H], theta[H][K / 2], o[2][H][V], state[2][H][K][V];

static void fill(void *array, size_t bytes, float low, float high) {
  for (float *x = array, *end = x + bytes / sizeof *x; x != end; ++x)
    *x = low + (high - low) * (float)rand() / (float)RAND_MAX;
}

static DLTensor tensor(void *data, int rank, int64_t *shape) {
  return (DLTensor){data, {kDLCPU, 0}, rank, {kDLFloat, 32, 1}, shape, NULL, 0};
}

int main(void) {
  fill(q, sizeof q, -1, 1), fill(k, sizeof k, -1, 1), fill(v, sizeof v, -1, 1);
  fill(g, sizeof g, -0.5f, 0), fill(theta, sizeof theta, -3, 3), fill(state[0], sizeof state[0], -1, 1);
  memcpy(state[1], state[0], sizeof state[0]);
  int64_t rows[] = {1, 1, H, K}, columns[] = {1, 1, H, V}, half[] = {1, 1, H, K / 2}, matrix[] = {1, H, K, V};
  DLTensor tq = tensor(q, 4, rows), tk = tensor(k, 4, rows), tv = tensor(v, 4, columns), tg = tensor(g, 3, rows),
           ttheta = tensor(theta, 4, half), to = tensor(o[0], 4, columns), ts = tensor(state[0], 4, matrix);
  gateloop_step_args args = {
      .q = &tq, .k = &tk, .v = &tv, .g = &tg, .theta = &ttheta, .o = &to, .state_S = &ts, .threads = 1};
  char *scratch = malloc(3 * gateloop_step_scratch);
  printf("status %d: ", gateloop_step(&args));
  printf("%s\n", rondo_error_message());
  args.scratch = scratch;
  args.scratch_bytes = 100;
  printf("status %d: ", gateloop_step(&args));
  printf("%s\n", rondo_error_message());

  args.scratch_bytes = gateloop_step_scratch;
  if (gateloop_step(&args))
    return 1;
  to.data = o[1];
  ts.data = state[1];
  args.scratch_bytes = 3 * gateloop_step_scratch;
  args.threads = 0;
  if (gateloop_step(&args))
    return 1;
  int equal = !memcmp(o[0], o[1], sizeof o[0]) && !memcmp(state[0], state[1], sizeof state[0]);
  printf("one thread and three: %s\n", equal ? "equal" : "differ");
  free(scratch);
  return 0;
}
