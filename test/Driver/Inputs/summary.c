// A sequence in three shards: summarise, combine, run each from the states that it begins with.
#include "gated_delta_net.h"
#include "shards.h"

enum { B = 2, T = 150, H = 2, SHARDS = 3, K = gated_delta_net_K, V = gated_delta_net_V };
static const int64_t begin[] = {0, 50, 114, T};

int main(void) {
  float unit = sqrtf(3.0f / K); // keys of norm about 1
  tensor *q = make(4, B, T, H, K, -unit, unit), *k = make(4, B, T, 1, K, -unit, unit);
  tensor *v = make(4, B, T, H, V, -1, 1), *g = make(3, B, T, H, 0, -0.1f, 0), *beta = make(3, B, T, H, 0, 0, 1);
  tensor *expected = make(4, B, T, H, V, 0, 0), *expectedFinal = make(4, B, H, K, V, 0, 0);
  tensor *o = make(4, B, T, H, V, NAN, NAN), *S[SHARDS + 1];
  for (int i = 0; i <= SHARDS; ++i)
    S[i] = make(4, B, H, K, V, -1, 1);

  gated_delta_net_args whole = {0};
  whole.q = &q->dl, whole.k = &k->dl, whole.v = &v->dl, whole.g = &g->dl, whole.beta = &beta->dl;
  whole.o = &expected->dl, whole.initial_S = &S[0]->dl, whole.final_S = &expectedFinal->dl;
  try("whole", gated_delta_net_forward(&whole));

  gated_delta_net_summary_args summary[SHARDS];
  gated_delta_net_combine_args combine = {0};
  for (int i = 0; i < SHARDS; ++i) {
    gated_delta_net_summary_args *s = &summary[i];
    memset(s, 0, sizeof *s);
    s->q = cut(q, begin[i], begin[i + 1]), s->k = cut(k, begin[i], begin[i + 1]), s->v = cut(v, begin[i], begin[i + 1]);
    s->g = cut(g, begin[i], begin[i + 1]), s->beta = cut(beta, begin[i], begin[i + 1]);
    s->contribution_S = &make(4, B, H, K, V, NAN, NAN)->dl;
    s->matrix_S_S = &make(4, B, H, K, K, NAN, NAN)->dl;
    try("summary", gated_delta_net_summary(s));
    combine.initial_S = &S[i]->dl, combine.final_S = &S[i + 1]->dl;
    combine.contribution_S = s->contribution_S, combine.matrix_S_S = s->matrix_S_S;
    try("combine", gated_delta_net_combine(&combine));
  }
  report("final state", S[SHARDS], expectedFinal);
  for (int i = 0; i < SHARDS; ++i) {
    gated_delta_net_args part = {0};
    part.q = summary[i].q, part.k = summary[i].k, part.v = summary[i].v, part.g = summary[i].g;
    part.beta = summary[i].beta, part.initial_S = &S[i]->dl, part.o = cut(o, begin[i], begin[i + 1]);
    try("shard", gated_delta_net_forward(&part));
  }
  report("output", o, expected);

  // The last two shards as one.
  tensor *composed = make(4, B, H, K, V, NAN, NAN), *matrix = make(4, B, H, K, K, NAN, NAN);
  gated_delta_net_compose_args compose = {0};
  compose.first_contribution_S = summary[1].contribution_S, compose.first_matrix_S_S = summary[1].matrix_S_S;
  compose.second_contribution_S = summary[2].contribution_S, compose.second_matrix_S_S = summary[2].matrix_S_S;
  compose.contribution_S = &composed->dl, compose.matrix_S_S = &matrix->dl;
  try("compose", gated_delta_net_compose(&compose));
  tensor *after = make(4, B, H, K, V, NAN, NAN);
  combine.initial_S = &S[1]->dl, combine.contribution_S = &composed->dl, combine.matrix_S_S = &matrix->dl;
  combine.final_S = &after->dl;
  try("combine", gated_delta_net_combine(&combine));
  report("composed", after, expectedFinal);

  // A sequence that starts with the shard: the contribution is the state after it.
  combine.initial_S = NULL;
  try("from the start", gated_delta_net_combine(&combine));
  report("state", after, composed);

  // Mistakes.
  compose.first_matrix_S_S = NULL;
  try("missing", gated_delta_net_compose(&compose));
  combine.contribution_S = NULL;
  try("missing", gated_delta_net_combine(&combine));
  summary[0].contribution_S->shape[1] = 1;
  try("heads", gated_delta_net_summary(&summary[0]));
  return 0;
}
