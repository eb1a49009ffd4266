// Integer and floating-point operations of every kind, and branches: thread i computes element i of each result.
// Compiled for a GPU (with DEVICE) and for the host; the results must be the same to the last bit.
#include <stdint.h>

#define THREADS 128
#define INLINE static inline __attribute__((always_inline))

#ifdef DEVICE
INLINE float round_bf16(float x) { return (float)(__bf16)x; }
#else
INLINE float round_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  if (x != x)
    return x;
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
#endif

INLINE void compute(int i, const uint32_t *a, const uint32_t *b, const uint64_t *c, const float *f, const float *g,
                    uint32_t *narrow, uint64_t *wide, float *single) {
  uint32_t x = a[i], y = b[i], positive = (y | 1) & 0x7fffffff;
  int32_t sx = x, sy = y;
  uint64_t z = c[i];
  int64_t sz = z;
  float u = f[i], v = g[i];
  int k = 0;
#define NARROW(value) narrow[k++ * THREADS + i] = (uint32_t)(value)
  NARROW(x + y);
  NARROW(x * y);
  NARROW(x / (y | 1));
  NARROW(x % (y | 1));
  NARROW(sx / (int32_t)positive);
  NARROW(sx % (int32_t)positive);
  NARROW(x << (y & 31));
  NARROW(x >> (y & 31));
  NARROW(sx >> (y & 31));
  NARROW((x >> 5) & 0x3ff);
  NARROW((sx << 9) >> 20);
  NARROW(__builtin_popcount(x));
  NARROW(__builtin_clz(x | 1));
  NARROW(__builtin_ctz(x | 1));
  NARROW(__builtin_bitreverse32(x));
  NARROW(__builtin_bswap32(x));
  NARROW(__builtin_rotateleft32(x, y & 31));
  NARROW(x < y ? x : y);
  NARROW(sx < sy ? sx : sy);
  NARROW(sx > sy ? sx : sy);
  NARROW((uint64_t)x * y >> 32);
  NARROW((int64_t)sx * sy >> 32);
  NARROW((uint16_t)x * (uint16_t)y);
  NARROW((int8_t)x + (int8_t)y);
  NARROW((int16_t)x / ((int16_t)y | 1));
  NARROW(~x & y);
  NARROW(sx < 0 ? -sx : sx);
  NARROW(x == y);
  NARROW(u < v);
  NARROW(u != v);
  NARROW(!(u >= v));
  NARROW(u > v || x < y);
  NARROW(__builtin_isnan(u));
  NARROW((uint16_t)x > (uint16_t)y ? 1 : 7);
  NARROW(x > y && (sx < sy || z > 5));
  NARROW(__builtin_fabsf(u) < 1e6f ? (int32_t)u : 0);
  switch (x & 7) {
  case 0:
    NARROW(y * 3);
    break;
  case 1:
    NARROW(y ^ 77);
    break;
  case 2:
    NARROW(y - x);
    break;
  case 3:
    NARROW(x - 9);
    break;
  case 4:
    NARROW(x >> y % 5);
    break;
  default:
    NARROW(0);
  }
  uint32_t sum = 0;
  for (uint32_t j = 0; j < x % 37; ++j) {
    sum = sum * 31 + (y >> (j & 15));
    if (sum % 5 == 0) {
      sum += j;
    } else if (sum % 7 == 1) {
      sum ^= x;
      if (sum & 1)
        continue;
      sum += 3;
    }
  }
  NARROW(sum);

  k = 0;
#define WIDE(value) wide[k++ * THREADS + i] = (uint64_t)(value)
  WIDE(z + x);
  WIDE(z * z);
  WIDE(z / (x | 1));
  WIDE(sz / (int64_t)((y | 1) & 0xffff));
  WIDE(sz % (int64_t)((y | 1) & 0xffff));
  WIDE(z << (x & 63));
  WIDE(sz >> (x & 63));
  WIDE(z >> (x & 63));
  WIDE(__builtin_popcountll(z));
  WIDE(__builtin_clzll(z | 1));
  WIDE((int64_t)sx * sy + sz);
  WIDE((uint64_t)x * y + z);
  WIDE(sz < 0 ? -sz : sz);
  WIDE(z < x ? z : x);
  WIDE((int64_t)(int32_t)z);
  WIDE((int64_t)(int8_t)z);
  WIDE((unsigned __int128)z * (z ^ x) >> 64);
  WIDE(__builtin_rotateleft64(z, x & 63));

  k = 0;
#define SINGLE(value) single[k++ * THREADS + i] = value
  SINGLE(u + v);
  SINGLE(u - v);
  SINGLE(u * v);
  SINGLE(u / v);
  SINGLE(__builtin_fmaf(u, v, u));
  SINGLE(__builtin_sqrtf(u < 0 ? -u : u));
  SINGLE(__builtin_fabsf(u));
  SINGLE(-u);
  SINGLE(u < v ? u : v);
  SINGLE(__builtin_fminf(u, v));
  SINGLE(__builtin_fmaxf(u, v));
  SINGLE(__builtin_copysignf(u, v));
  SINGLE(__builtin_floorf(u));
  SINGLE(__builtin_ceilf(u));
  SINGLE(__builtin_truncf(u));
  SINGLE(__builtin_rintf(u));
  SINGLE((float)x);
  SINGLE((float)sx);
  SINGLE((float)z);
  SINGLE((float)sz);
  SINGLE((float)((double)u * (double)v + 1.0));
  SINGLE((float)(_Float16)u);
  SINGLE((float)((_Float16)u * (_Float16)v));
  SINGLE(round_bf16(u));
  SINGLE((float)(uint16_t)x);
  SINGLE((float)(int8_t)y);
}

#ifdef DEVICE
__attribute__((device_kernel)) void compute_kernel(const uint32_t *a, const uint32_t *b, const uint64_t *c,
                                                   const float *f, const float *g, uint32_t *narrow, uint64_t *wide,
                                                   float *single) {
  compute(__nvvm_read_ptx_sreg_tid_x(), a, b, c, f, g, narrow, wide, single);
}
#else
void compute_host(const uint32_t *a, const uint32_t *b, const uint64_t *c, const float *f, const float *g,
                  uint32_t *narrow, uint64_t *wide, float *single) {
  for (int i = 0; i < THREADS; ++i)
    compute(i, a, b, c, f, g, narrow, wide, single);
}
#endif
