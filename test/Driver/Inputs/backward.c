// One backward call in every way in which it can be asked for, and mistakes. retnet: a parameter, grouped arguments.
#include "retnet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 70, H = 4, K = retnet_K, V = retnet_V };

typedef struct tensor {
  DLTensor dl;
  int64_t shape[4];
  float data[B * T * H * (K > V ? K : V)];
} tensor;

static tensor q, k, v, gamma_, o, S, dS, dq, dk, dv, dgamma, dS0;

static void make(tensor *t, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
  int64_t shape[] = {a, b, c, d};
  memcpy(t->shape, shape, sizeof shape);
  t->dl = (DLTensor){t->data, {kDLCPU, 0}, rank, {kDLFloat, 32, 1}, t->shape, NULL, 0};
  for (size_t i = 0; i < sizeof t->data / sizeof *t->data; ++i)
    t->data[i] = (float)rand() / (float)RAND_MAX;
}

static void try(const char *what, const retnet_backward_args *args) {
  rondo_status status = retnet_backward(args);
  printf("%s: %d %s\n", what, status, rondo_error_message());
}

static tensor saved[5];
static tensor *const gradients[] = {&dq, &dk, &dv, &dgamma, &dS0};

static void forget(void) {
  for (int i = 0; i < 5; ++i)
    memset(gradients[i]->data, 0x7f, sizeof gradients[i]->data);
}

static const char *compare(int count) {
  for (int i = 0; i < count; ++i)
    if (memcmp(saved[i].data, gradients[i]->data, sizeof saved[i].data) != 0)
      return "different";
  return "same";
}

int main(void) {
  make(&q, 4, B, T, H, K);
  make(&k, 4, B, T, 2, K);
  make(&v, 4, B, T, 1, V);
  make(&gamma_, 1, H, 0, 0, 0);
  make(&o, 4, B, T, H, V);
  make(&S, 4, B, H, K, V);
  make(&dS, 4, B, H, K, V);
  make(&dq, 4, B, T, H, K);
  make(&dk, 4, B, T, 2, K);
  make(&dv, 4, B, T, 1, V);
  make(&dgamma, 1, H, 0, 0, 0);
  make(&dS0, 4, B, H, K, V);
  retnet_backward_args args = {0};
  args.q = &q.dl, args.k = &k.dl, args.v = &v.dl, args.gamma = &gamma_.dl;
  args.grad_o = &o.dl, args.initial_S = &S.dl, args.grad_final_S = &dS.dl;
  args.grad_q = &dq.dl, args.grad_k = &dk.dl, args.grad_v = &dv.dl, args.grad_gamma = &dgamma.dl;
  args.grad_initial_S = &dS0.dl;
  args.check_nan = 1;

  printf("workspace %zu %zu\n", retnet_backward_workspace(B, T, H), (size_t)B * H * 2 * K * V * sizeof(float));
  printf("huge %d\n", retnet_backward_workspace(INT64_MAX, INT64_MAX, 1) == SIZE_MAX);
  forget();
  try("malloc", &args);
  for (int i = 0; i < 5; ++i)
    memcpy(saved[i].data, gradients[i]->data, sizeof saved[i].data);

  args.workspace_bytes = retnet_backward_workspace(B, T, H);
  char *memory = malloc(args.workspace_bytes + 1);
  args.workspace = memory;
  memory[args.workspace_bytes] = 42;
  forget();
  try("workspace", &args);
  printf("%s %d\n", compare(5), memory[args.workspace_bytes]);
  args.grad_initial_S = NULL;
  forget();
  try("without the initial state's", &args);
  printf("%s %d\n", compare(4), memory[args.workspace_bytes]);
  args.grad_final_S = NULL;
  try("without the final state's", &args);
  printf("%s\n", compare(4));

  args.workspace_bytes -= 1;
  try("too small", &args);
  args.workspace = NULL;
  dk.shape[2] = 4;
  try("heads", &args);
  dk.shape[2] = 2;
  args.grad_v = NULL;
  try("missing", &args);
  args.grad_v = &dv.dl;
  o.data[3] = 0.0f / 0.0f;
  try("nan", &args);
  o.data[3] = 0;
  dgamma.shape[0] = 3;
  try("parameter", &args);
  return 0;
}
