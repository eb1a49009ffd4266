// A cascade in three shards: the states of one level at a time.
#include "hla2.h"
#include "shards.h"

enum { B = 2, T = 150, H = 2, SHARDS = 3, K = hla2_K, V = hla2_V };
static const int64_t begin[] = {0, 50, 114, T};

int main(void) {
  tensor *q = make(4, B, T, H, K, -0.5f, 0.5f), *k = make(4, B, T, H, K, -0.5f, 0.5f);
  tensor *v = make(4, B, T, H, V, -1, 1), *o = make(4, B, T, H, V, NAN, NAN);
  tensor *expected = make(4, B, T, H, V, 0, 0), *expectedFinal = make(4, B, H, K, V, 0, 0);
  tensor *S[SHARDS + 1], *F[SHARDS + 1];
  for (int i = 0; i <= SHARDS; ++i) {
    S[i] = make(4, B, H, K, K, 0, 1);
    F[i] = make(4, B, H, K, V, -1, 1);
  }
  hla2_args whole = {0};
  whole.q = &q->dl, whole.k = &k->dl, whole.v = &v->dl, whole.o = &expected->dl;
  whole.initial_S = &S[0]->dl, whole.initial_F = &F[0]->dl, whole.final_F = &expectedFinal->dl;
  try("whole", hla2_forward(&whole));

  for (int level = 0; level < 2; ++level)
    for (int i = 0; i < SHARDS; ++i) {
      hla2_summary_args s = {0};
      s.q = cut(q, begin[i], begin[i + 1]), s.k = cut(k, begin[i], begin[i + 1]), s.v = cut(v, begin[i], begin[i + 1]);
      if (level == 0)
        s.contribution_S = &make(4, B, H, K, K, NAN, NAN)->dl;
      else
        s.initial_S = &S[i]->dl, s.contribution_F = &make(4, B, H, K, V, NAN, NAN)->dl;
      try("summary", hla2_summary(&s));
      hla2_combine_args combine = {0};
      combine.initial_S = &S[i]->dl, combine.initial_F = &F[i]->dl;
      combine.contribution_S = s.contribution_S, combine.contribution_F = s.contribution_F;
      if (level == 0)
        combine.final_S = &S[i + 1]->dl;
      else
        combine.final_F = &F[i + 1]->dl;
      try("combine", hla2_combine(&combine));
    }
  report("final state", F[SHARDS], expectedFinal);
  for (int i = 0; i < SHARDS; ++i) {
    hla2_args part = {0};
    part.q = cut(q, begin[i], begin[i + 1]), part.k = cut(k, begin[i], begin[i + 1]);
    part.v = cut(v, begin[i], begin[i + 1]), part.o = cut(o, begin[i], begin[i + 1]);
    part.initial_S = &S[i]->dl, part.initial_F = &F[i]->dl;
    try("shard", hla2_forward(&part));
  }
  report("output", o, expected);
  return 0;
}
