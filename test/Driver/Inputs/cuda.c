// Calls a library with GPU kernels, on a driver without a device: what is right, then what is wrong.
#include "running.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 3, H = 4, K = running_K };

static _Alignas(16) float x[B * T * 2 * K], w[H * K], o[B * T * H * K], initial[B * H * K], final[B * H * K];
static int64_t shapes[5][4] = {{B, T, 2, K}, {H, K}, {B, T, H, K}, {B, H, K}, {B, H, K}};
static DLTensor tensors[5];
static running_args args;

static void reset(DLDeviceType type) {
  float *data[] = {x, w, o, initial, final};
  for (int i = 0; i < 5; ++i)
    tensors[i] = (DLTensor){data[i], {type, 0}, i == 1 ? 2 : i < 3 ? 4 : 3, {kDLFloat, 32, 1}, shapes[i], NULL, 0};
  args = (running_args){.x = &tensors[0],
                        .w = &tensors[1],
                        .o = &tensors[2],
                        .initial_S = &tensors[3],
                        .final_S = &tensors[4],
                        .stream = (void *)7};
  memset(o, 0xff, sizeof o);
  memset(final, 0xff, sizeof final);
}

static rondo_status call(const char *what) {
  rondo_status status = running_forward(&args);
  printf("%s: %d %s\n", what, status, rondo_error_message());
  return status;
}

static double sum(void) {
  double total = 0;
  for (int i = 0; i < B * T * H * K; ++i)
    total += o[i] * (i % 7 + 1);
  for (int i = 0; i < B * H * K; ++i)
    total += final[i] * (i % 5 + 1);
  return total;
}

static void *call_from_thread(void *what) {
  call(what);
  return NULL;
}

/* Makes the context of a device current, or none, as another user of the driver would have done. */
static void set_context(int device) {
  void *driver = dlopen(getenv("RONDO_LIBCUDA"), RTLD_NOW);
  int (*push)(void *), (*pop)(void **);
  *(void **)&push = dlsym(driver, "cuCtxPushCurrent_v2");
  *(void **)&pop = dlsym(driver, "cuCtxPopCurrent_v2");
  void *popped;
  if (device < 0)
    pop(&popped);
  else
    push((void *)(uintptr_t)(device + 1));
}

int main(void) {
  for (int i = 0; i < B * T * 2 * K; ++i)
    x[i] = (float)(i % 11) - 4;
  for (int i = 0; i < H * K; ++i)
    w[i] = (float)(i % 3) + 1;
  for (int i = 0; i < B * H * K; ++i)
    initial[i] = (float)(i % 13);

  reset(kDLCUDA);
  if (call("first") && !ON_CPU)
    return 0;
  printf("sum %.0f\n", sum());
#if ON_CPU
  reset(kDLCPU);
  call("on the CPU");
  printf("sum %.0f\n", sum());
  args.check_nan = 1;
  call("checked");
  reset(kDLCUDA);
  running_step_args step = {.x = &tensors[0], .w = &tensors[1], .o = &tensors[2], .state_S = &tensors[4]};
  rondo_status status = running_step(&step);
  printf("step: %d %s\n", status, rondo_error_message());
  return 0;
#endif

  reset(kDLCUDA);
  args.initial_S = args.final_S = NULL;
  args.stream = NULL;
  call("without states");
  int64_t strides[] = {K, B * 2 * K, 2 * B * K, 1}; /* x is stored as [T, H, B, K] */
  tensors[0].strides = strides;
  tensors[0].shape[2] = 1;
  tensors[0].byte_offset = 4 * K;
  call("other strides");
  tensors[0].shape[2] = 2;

  reset(kDLCUDA);
  for (int i = 0; i < 5; ++i)
    tensors[i].device.device_id = 1;
  call("second device");
  set_context(1);
  call("its context is current");
  set_context(-1);
  set_context(0);
  call("another one is");
  set_context(-1);
  reset(kDLCUDA);
  pthread_t thread;
  pthread_create(&thread, NULL, call_from_thread, "another thread");
  pthread_join(thread, NULL);

  reset(kDLCUDA);
  tensors[1].device.device_type = kDLCPU;
  call("mixed");
  reset(kDLCUDA);
  tensors[2].device.device_id = 1;
  call("two devices");
  reset(kDLCPU);
  call("on the CPU");
  reset(kDLCUDAHost);
  call("elsewhere");
  reset(kDLCUDA);
  args.check_nan = 1;
  call("NaN");
  reset(kDLCUDA);
  tensors[0].dtype.bits = 16;
  call("type");
  reset(kDLCUDA);
  tensors[1].ndim = 1;
  call("rank");
  reset(kDLCUDA);
  int64_t three[] = {B, T, 3, K};
  tensors[0].shape = three;
  call("heads");
  reset(kDLCUDA);
  tensors[0].byte_offset = 4;
  call("address");
  reset(kDLCUDA);
  int64_t odd[] = {T * 2 * (K + 1), 2 * (K + 1), K + 1, 1};
  tensors[0].strides = odd;
  call("stride");
  reset(kDLCUDA);
  int64_t spread[] = {T * 2 * K * 2, 2 * K * 2, K * 2, 2};
  tensors[0].strides = spread;
  call("innermost");
  reset(kDLCUDA);
  args.w = NULL;
  call("missing");
  args = (running_args){0};
  call("nothing");
  reset(kDLCUDA);
  for (int i = 0; i < 5; ++i)
    tensors[i].device.device_id = 2;
  call("third device");
  reset(kDLCUDA);
  call("right again");
  return 0;
}
