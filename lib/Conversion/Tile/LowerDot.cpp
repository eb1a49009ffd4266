//===- LowerDot.cpp - Products of a tile with a vector, on CUDA cores ------------------------------------------===//
//
// A vector state meets the same tiles as a matrix state, but with one row where the tensor cores take 64, and it often
// divides: it stays in f32. A warp takes 16 rows of the product at a time (a strip). `ldmatrix` brings them, 16 columns
// an instruction, without bank conflicts and, where the tile is transposed, with the exchange between lanes done: a
// lane gets two rows and, of each 16 terms, the four at 2(l%4), 2(l%4)+1 and eight further, which it multiplies with
// the same four numbers of the vector for every strip. Per element: half an instruction to widen, one multiply-add.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Kernel.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

namespace {
/// What each lane gives to `ldmatrix` for the 16 x 16 block of a strip and a step along the sum: the addresses of the
/// rows of four 8x8 matrices, in the order rows 0-7 and 8-15 of the left eight columns, then of the right.
class Blocks {
public:
  Blocks(RoleLowering &l, Value buffer, SharedType type, bool transposed)
      : l(l), buffer(buffer), transposed(transposed), blockBytes(type.getBlockBytes()) {
    Value matrix = l.shr(l.lane, 3);
    inMatrix = l.bitAnd(l.lane, 7);
    Value down = l.bitAnd(matrix, 1), right = l.shr(matrix, 1);
    // The row of the tile modulo 8 is `inMatrix`: that is its swizzle. The unit is known up to a constant.
    Value row = transposed ? l.shl(right, 3) : l.add(l.shl(l.warp, 4), l.shl(down, 3));
    rowOffset = l.shl(l.add(row, inMatrix), 7);
    unit = transposed ? l.add(l.shl(l.warp, 1), down) : right;
  }

  Value operator()(int64_t strip, int64_t step) {
    // A strip of this warp begins at row 16 (strip * warps + warp); `warps` divides 4, so that the low two bits of
    // `strip * warps` and of `warp` are apart.
    int64_t first = strip * l.warps;
    if (transposed)
      return l.gep(address(2 * (first % 4)), first / 4 * blockBytes + step * 16 * 128);
    return l.gep(address(2 * (step % 4)), step / 4 * blockBytes + first * 16 * 128);
  }

private:
  /// In the first 64 columns and rows, `constant` units further.
  Value address(int64_t constant) {
    Value &known = addresses[constant / 2];
    if (!known)
      known = l.gep(buffer, l.add(rowOffset, l.shl(l.bitXor(l.add(unit, constant), inMatrix), 4)));
    return known;
  }

  RoleLowering &l;
  Value buffer;
  bool transposed;
  int64_t blockBytes;
  Value inMatrix, rowOffset, unit;
  Value addresses[4];
};
} // namespace

LogicalResult rondo::tile::lower(DotOp op, RoleLowering &l) {
  if (4 % l.warps)
    return op.emitOpError("is for roles of 1, 2 or 4 warps, this one has ") << l.warps;
  SharedType tile = op.getTile().getType();
  int64_t terms = op.getVector().getType().getShape()[0];
  int64_t strips = cast<RankedTensorType>(op.getResult().getType()).getShape()[0] / (16 * l.warps);
  Blocks blocks(l, l.getAddress(op.getTile()), tile, op.getTransposed());
  Value vector = l.gep(l.getAddress(op.getVector()), l.shl(l.inQuad, 3));

  // Two sums for each row, of the even and the odd terms: additions wait for each other half as long.
  SmallVector<Value> sums(4 * strips);
  auto accumulate = [&](Value &sum, Value x, Value y) {
    sum = sum ? Value(math::FmaOp::create(l.b, x, y, sum)) : l.fmul(x, y);
  };
  for (int64_t step = 0; step < terms / 16; ++step) {
    Scalars factors = l.loadF32s(l.gep(vector, step * 64), 2);
    llvm::append_range(factors, l.loadF32s(l.gep(vector, step * 64 + 32), 2));
    for (int64_t strip = 0; strip < strips; ++strip) {
      Scalars pairs = l.ldmatrix(blocks(strip, step), op.getTransposed());
      for (auto [i, pair] : llvm::enumerate(pairs)) {
        auto [even, odd] = l.unpack(pair, tile.getElementType());
        int64_t row = 2 * strip + i % 2;
        accumulate(sums[2 * row], even, factors[i / 2 * 2]);
        accumulate(sums[2 * row + 1], odd, factors[i / 2 * 2 + 1]);
      }
    }
  }
  Scalars result;
  for (int64_t row = 0; row < 2 * strips; ++row) {
    Value sum = l.sumOverLanes(l.fadd(sums[2 * row], sums[2 * row + 1]), 4);
    result.push_back(op.getAccumulator() ? l.fadd(l.get(op.getAccumulator())[row], sum) : sum);
  }
  l.set(op.getResult(), std::move(result));
  return success();
}
