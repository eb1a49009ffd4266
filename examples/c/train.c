/* Fits a sequence by gradient descent with the forward and the backward function of a compiled mixer.
 *
 *   rondoc compile mixers/gated_delta_net.rondo -o out --size K=16 V=8
 *   cc examples/c/train.c -Iout out/libgated_delta_net.so -Wl,-rpath,$PWD/out -lm -o out/train
 *   out/train
 *
 * The loss is the mean of (o - target)^2. What is learned are q, k, v, beta (through a sigmoid) and the initial state.
 */
#include "gated_delta_net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { B = 1, T = 100, H = 2, K = gated_delta_net_K, V = gated_delta_net_V, STEPS = 200 };

/* A tensor of float in C order with at most 4 dimensions, and its gradient or cotangent. */
typedef struct tensor {
  DLTensor dl, grad;
  int64_t shape[4], count;
} tensor;

static float *values(const DLTensor *t) { return t->data; }

static float uniform(float low, float high) { return low + (high - low) * (float)rand() / (float)RAND_MAX; }

static void make(tensor *t, int rank, const int64_t *shape, float low, float high) {
  t->count = 1;
  for (int i = 0; i < rank; ++i)
    t->count *= t->shape[i] = shape[i];
  t->dl = (DLTensor){NULL, {kDLCPU, 0}, rank, {kDLFloat, 32, 1}, t->shape, NULL, 0};
  t->grad = t->dl;
  t->dl.data = malloc((size_t)t->count * sizeof(float));
  t->grad.data = malloc((size_t)t->count * sizeof(float));
  if (!t->dl.data || !t->grad.data)
    abort();
  for (int64_t i = 0; i < t->count; ++i)
    values(&t->dl)[i] = uniform(low, high);
}

static void check(rondo_status status) {
  if (status == RONDO_OK)
    return;
  fprintf(stderr, "%s\n", rondo_error_message());
  exit(1);
}

static void descend(tensor *t, float rate) {
  for (int64_t i = 0; i < t->count; ++i)
    values(&t->dl)[i] -= rate * values(&t->grad)[i];
}

int main(void) {
  tensor q, k, v, g, beta, logits, o, S, target;
  make(&q, 4, (int64_t[]){B, T, H, K}, -1, 1);
  make(&k, 4, (int64_t[]){B, T, H, K}, -0.4f, 0.4f);
  make(&v, 4, (int64_t[]){B, T, H, V}, -1, 1);
  make(&g, 3, (int64_t[]){B, T, H}, -0.2f, 0);
  make(&beta, 3, (int64_t[]){B, T, H}, 0, 0);
  make(&logits, 3, (int64_t[]){B, T, H}, -1, 1);
  make(&o, 4, (int64_t[]){B, T, H, V}, 0, 0);
  make(&S, 4, (int64_t[]){B, H, K, V}, 0, 0);
  make(&target, 4, (int64_t[]){B, T, H, V}, -1, 1);

  gated_delta_net_args forward = {0};
  forward.q = &q.dl, forward.k = &k.dl, forward.v = &v.dl, forward.g = &g.dl, forward.beta = &beta.dl;
  forward.initial_S = &S.dl;
  forward.o = &o.dl;

  gated_delta_net_backward_args backward = {0};
  backward.q = &q.dl, backward.k = &k.dl, backward.v = &v.dl, backward.g = &g.dl, backward.beta = &beta.dl;
  backward.initial_S = &S.dl;
  backward.grad_o = &o.grad;
  backward.grad_q = &q.grad, backward.grad_k = &k.grad, backward.grad_v = &v.grad, backward.grad_g = &g.grad;
  backward.grad_beta = &beta.grad;
  backward.grad_initial_S = &S.grad;
  /* One workspace for all steps; without it the function would ask malloc every time. */
  backward.workspace_bytes = gated_delta_net_backward_workspace(B, T, H);
  backward.workspace = malloc(backward.workspace_bytes);

  double first = 0, loss = 0;
  for (int step = 0; step <= STEPS; ++step) {
    for (int64_t i = 0; i < beta.count; ++i)
      values(&beta.dl)[i] = 1 / (1 + expf(-values(&logits.dl)[i]));
    check(gated_delta_net_forward(&forward));

    loss = 0;
    for (int64_t i = 0; i < o.count; ++i) {
      float difference = values(&o.dl)[i] - values(&target.dl)[i];
      loss += (double)difference * difference / (double)o.count;
      values(&o.grad)[i] = 2 * difference / (float)o.count;
    }
    if (step == 0)
      first = loss;
    if (step % 50 == 0)
      printf("step %3d loss %.5f\n", step, loss);

    check(gated_delta_net_backward(&backward));
    for (int64_t i = 0; i < beta.count; ++i) {
      float b = values(&beta.dl)[i];
      values(&logits.grad)[i] = values(&beta.grad)[i] * b * (1 - b);
    }
    tensor *learned[] = {&q, &k, &v, &logits, &S};
    for (int i = 0; i < 5; ++i)
      descend(learned[i], 30);
  }

  /* Mistakes come back as a code and a message; nothing is computed. */
  backward.workspace_bytes /= 2;
  rondo_status status = gated_delta_net_backward(&backward);
  printf("status %d: %s\n", status, rondo_error_message());
  return loss < 0.1 * first ? 0 : 1;
}
