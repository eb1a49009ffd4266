/* The largest number of f32 multiply-adds this machine can do, as GFLOP/s, on THREADS threads: independent accumulators
 * in the widest vector registers, no loads. The best of several samples.
 *
 *   clang -O3 -march=native -ffp-contract=fast -pthread peak.c -o peak && ./peak THREADS
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 16, CHAINS = 24 };
#else
enum { LANES = 8, CHAINS = 12 };
#endif
enum { MAX_THREADS = 256, SAMPLES = 100, STEPS = 1000000 };

typedef float vec __attribute__((vector_size(4 * LANES)));

static volatile float sink;
static pthread_barrier_t start;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *argument) {
  double *seconds = argument;
  vec sums[CHAINS], factor, term;
  for (int i = 0; i < LANES; ++i)
    factor[i] = 0.999f, term[i] = 1e-3f;
  for (int c = 0; c < CHAINS; ++c)
    sums[c] = term * (float)c;
  pthread_barrier_wait(&start);
  double begin = now();
  for (long n = 0; n < STEPS; ++n) {
#pragma clang loop unroll(full)
    for (int c = 0; c < CHAINS; ++c)
      sums[c] = sums[c] * factor + term;
  }
  *seconds = now() - begin;
  for (int c = 1; c < CHAINS; ++c)
    sums[0] += sums[c];
  sink = sums[0][0];
  return NULL;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  if (threads < 1 || threads > MAX_THREADS)
    return fprintf(stderr, "usage: peak THREADS\n"), 2;
  double best = 0;
  for (int s = 0; s < SAMPLES; ++s) {
    pthread_t id[MAX_THREADS];
    double seconds[MAX_THREADS], slowest = 0;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int t = 0; t < threads; ++t)
      pthread_create(&id[t], NULL, work, &seconds[t]);
    for (int t = 0; t < threads; ++t) {
      pthread_join(id[t], NULL);
      if (seconds[t] > slowest)
        slowest = seconds[t];
    }
    pthread_barrier_destroy(&start);
    double rate = 2e-9 * LANES * CHAINS * STEPS * threads / slowest;
    best = rate > best ? rate : best;
  }
  printf("%.1f\n", best);
  return 0;
}
