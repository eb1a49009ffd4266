/* Runs a compiled mixer from C on DLPack tensors and compares it with a loop over tokens.
 *
 *   rondoc compile mixers/gated_delta_net.rondo -o out --size K=64 V=32
 *   cc examples/c/gated_delta_net.c -Iout out/libgated_delta_net.so -Wl,-rpath,$PWD/out -lm -o out/example
 *   out/example
 */
#include "gated_delta_net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { B = 2, T = 131, H = 3, K = gated_delta_net_K, V = gated_delta_net_V };

/* A tensor of float in C order with at most 4 dimensions. */
typedef struct tensor {
  DLTensor dl;
  int64_t shape[4];
} tensor;

static float uniform(float low, float high) { return low + (high - low) * (float)rand() / (float)RAND_MAX; }

static void make(tensor *t, int rank, const int64_t *shape, float low, float high) {
  size_t count = 1;
  for (int i = 0; i < rank; ++i)
    count *= (size_t)(t->shape[i] = shape[i]);
  float *data = malloc(count * sizeof *data);
  if (!data)
    abort();
  for (size_t i = 0; i < count; ++i)
    data[i] = uniform(low, high);
  t->dl = (DLTensor){data, {kDLCPU, 0}, rank, {kDLFloat, 32, 1}, t->shape, NULL, 0};
}

static float *at(const tensor *t, int64_t index) { return (float *)t->dl.data + index; }

/* One head, token by token, in double: what mixers/gated_delta_net.rondo says. */
static void reference(const tensor *q, const tensor *k, const tensor *v, const tensor *g, const tensor *beta, int b,
                      int h, double (*S)[V], double (*o)[V]) {
  for (int t = 0; t < T; ++t) {
    int64_t token = ((int64_t)b * T + t) * H + h;
    const float *qt = at(q, token * K), *kt = at(k, token * K), *vt = at(v, token * V);
    double decay = exp(*at(g, token)), rate = *at(beta, token);
    for (int j = 0; j < V; ++j) {
      double read = 0;
      for (int i = 0; i < K; ++i)
        read += (S[i][j] *= decay) * kt[i];
      o[t][j] = 0;
      for (int i = 0; i < K; ++i) {
        S[i][j] += kt[i] * rate * (vt[j] - read);
        o[t][j] += S[i][j] * qt[i] / sqrt(K);
      }
    }
  }
}

static double relative_error(const tensor *q, const tensor *k, const tensor *v, const tensor *g, const tensor *beta,
                             const tensor *initial, const tensor *o, const tensor *final) {
  static double S[K][V], expected[T][V];
  double error = 0, norm = 0;
  for (int b = 0; b < B; ++b)
    for (int h = 0; h < H; ++h) {
      int64_t head = (int64_t)b * H + h;
      for (int i = 0; i < K * V; ++i)
        S[i / V][i % V] = *at(initial, head * K * V + i);
      reference(q, k, v, g, beta, b, h, S, expected);
      for (int t = 0; t < T; ++t)
        for (int j = 0; j < V; ++j) {
          double difference = *at(o, (((int64_t)b * T + t) * H + h) * V + j) - expected[t][j];
          error += difference * difference;
          norm += expected[t][j] * expected[t][j];
        }
      for (int i = 0; i < K * V; ++i) {
        double difference = *at(final, head * K * V + i) - S[i / V][i % V];
        error += difference * difference;
        norm += S[i / V][i % V] * S[i / V][i % V];
      }
    }
  return sqrt(error / norm);
}

int main(void) {
  float unit = sqrtf(3.0f / K); /* keys of norm about 1 */
  tensor q, k, v, g, beta, o, initial, final;
  make(&q, 4, (int64_t[]){B, T, H, K}, -unit, unit);
  make(&k, 4, (int64_t[]){B, T, H, K}, -unit, unit);
  make(&v, 4, (int64_t[]){B, T, H, V}, -1, 1);
  make(&g, 3, (int64_t[]){B, T, H}, -2, 0);
  make(&beta, 3, (int64_t[]){B, T, H}, 0, 1);
  make(&o, 4, (int64_t[]){B, T, H, V}, 0, 0);
  make(&initial, 4, (int64_t[]){B, H, K, V}, -1, 1);
  make(&final, 4, (int64_t[]){B, H, K, V}, 0, 0);

  gated_delta_net_args args = {0};
  args.q = &q.dl;
  args.k = &k.dl;
  args.v = &v.dl;
  args.g = &g.dl;
  args.beta = &beta.dl;
  args.o = &o.dl;
  args.initial_S = &initial.dl;
  args.final_S = &final.dl;
  args.check_nan = 1;
  if (gated_delta_net_forward(&args) != RONDO_OK) {
    fprintf(stderr, "%s\n", rondo_error_message());
    return 1;
  }
  double error = relative_error(&q, &k, &v, &g, &beta, &initial, &o, &final);
  printf("relative error %.2e\n", error);

  /* Mistakes come back as a code and a message; nothing is computed. */
  beta.shape[1] = T - 1;
  rondo_status status = gated_delta_net_forward(&args);
  printf("status %d: %s\n", status, rondo_error_message());
  beta.shape[1] = T;
  *at(&g, 5) = NAN;
  status = gated_delta_net_forward(&args);
  printf("status %d: %s\n", status, rondo_error_message());
  args.v = NULL;
  status = gated_delta_net_forward(&args);
  printf("status %d: %s\n", status, rondo_error_message());
  return error < 1e-5 ? 0 : 1;
}
