// Prints what rondo_prepare says about one wrong tensor after the other, and the descriptors that it makes of right
// ones.
#include "rondo_runtime.h"
#include <inttypes.h>
#include <stdio.h>

static const rondo_operand operands[] = {
    {"q", RONDO_TOKEN, 1, {kDLFloat, 32, 1}, 1, {4}, NULL},   {"g", RONDO_TOKEN, 0, {kDLBfloat, 16, 1}, 0, {0}, NULL},
    {"w", RONDO_PARAM, 0, {kDLFloat, 32, 1}, 1, {4}, NULL},   {"o", RONDO_OUTPUT, 0, {kDLFloat, 32, 1}, 1, {4}, NULL},
    {"S", RONDO_INITIAL, 0, {kDLFloat, 32, 1}, 0, {0}, NULL}, {"S", RONDO_FINAL, 0, {kDLFloat, 32, 1}, 0, {0}, NULL},
};
enum { Q, G, W, O, INITIAL, FINAL, COUNT };
static const rondo_signature signature = {"m", COUNT, operands, 0};

static float floats[256];
static uint16_t halves[64];
static int64_t shapes[COUNT][4] = {{2, 3, 2, 4}, {2, 3, 4}, {4, 4}, {2, 3, 4, 4}, {2, 4}, {2, 4}};
static int ranks[COUNT] = {4, 3, 2, 4, 2, 2};
static DLTensor tensors[COUNT];

static void reset(void) {
  for (int i = 0; i < COUNT; ++i)
    tensors[i] = (DLTensor){floats, {kDLCPU, 0}, ranks[i], operands[i].dtype, shapes[i], NULL, 0};
  tensors[G].data = halves;
}

static void try(int final, int check_nan) {
  const DLTensor *pointers[COUNT] = {&tensors[Q], &tensors[G], &tensors[W],
                                     &tensors[O], NULL,        final ? &tensors[FINAL] : NULL};
  rondo_descriptor d[COUNT];
  rondo_masks masks;
  rondo_status status = rondo_prepare(&signature, pointers, check_nan, d, &masks);
  printf("%d %s\n", status, rondo_error_message());
  if (status)
    return;
  printf("masks %" PRId64 " %" PRId64 "\n", masks.initial, masks.final);
  for (int i = 0; i < COUNT; ++i) {
    printf("%s%s", operands[i].name, d[i].aligned ? "" : " absent");
    for (int j = 0; j < 2 * ranks[i]; ++j)
      printf(" %" PRId64, d[i].extents[j]);
    printf("\n");
  }
}

int main(void) {
  reset();
  try(1, 1); // right, with fewer heads for q and a state left out

  reset();
  int64_t heads_first[] = {3 * 2 * 4, 4, 3 * 4, 1}; // q is stored as [B, H, T, D]
  tensors[Q].strides = heads_first;
  tensors[Q].byte_offset = 8;
  try(0, 0);

  reset();
  tensors[Q].ndim = 3;
  try(0, 0);
  reset();
  int64_t three_heads[] = {2, 3, 3, 4};
  tensors[Q].shape = three_heads;
  try(0, 0);
  reset();
  int64_t wide[] = {4, 5};
  tensors[W].shape = wide;
  try(0, 0);
  reset();
  int64_t empty[] = {2, 0, 4, 4};
  tensors[O].shape = empty;
  try(0, 0);
  reset();
  int64_t batches[] = {3, 4};
  tensors[FINAL].shape = batches;
  try(1, 0);
  reset();
  tensors[G].dtype.bits = 32;
  try(0, 0);
  reset();
  int64_t transposed[] = {24, 8, 1, 2};
  tensors[Q].strides = transposed;
  try(0, 0);
  reset();
  tensors[O].device.device_type = kDLCUDA;
  try(0, 0);
  reset();
  tensors[W].data = NULL;
  try(0, 0);
  reset();
  halves[7] = 0x7fc0;
  try(0, 1);
  return 0;
}
