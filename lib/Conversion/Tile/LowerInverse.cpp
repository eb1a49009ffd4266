//===- LowerInverse.cpp - The inverse of a unit lower triangular matrix by four warps --------------------------===//
//
// A = (I + L)^-1 by blocks of 16: A_ii is the inverse of the diagonal block, and for i > j
//
//   A_ij = A_ii (sum over j <= k < i of (-L_ik) A_kj).
//
// 1. The warp that holds block row i of L writes its blocks -L_ik to `scratch` (f16) and its diagonal block to its own
//    part of `diagonal` (f32, by columns).
// 2. It inverts the diagonal block by forward substitution in f32: a lane works on a column of the inverse, all lanes
//    read the same entry of L. A_ii^T goes to block (i, i) of `scratch`.
// 3. After a barrier warp j makes block column j, transposed so that what one product gives is an operand of the next
//    as it is: A_ij^T = (sum A_kj^T (-L_ik)^T) A_ii^T. The operands on the right are ldmatrix loads of `scratch`.
//
// Warp j steps through block rows i = j, j + 1, .. modulo 4, so that all warps run the same code. What comes after the
// last row is above the diagonal: its products read blocks of no meaning, are used by no other block, and zeros are
// stored instead. So all of the result is written each time.
//
// Of two matrices 32x32 on the diagonal (folded: the result has 32 columns) warps j and j ^ 1 have the same matrix, and
// there is one step: block row j ^ 1, above the diagonal where j is odd.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

using Predicate = arith::CmpIPredicate;

static constexpr int64_t kWarps = 4, kBlock = 16, kSize = kWarps * kBlock;
/// From one column of a diagonal block to the next, in f32: with 20 the stores of a fragment have no bank conflicts,
/// and four rows can be loaded at once.
static constexpr int64_t kColumnStride = 20;
static constexpr int64_t kDiagonal = kWarps * kBlock * kColumnStride;

/// Whether two matrices 32x32 on the diagonal are inverted, to the same columns.
static bool areHalves(InverseOp op) {
  return op.getResult().getType().getShape() == ArrayRef<int64_t>({kSize, kSize / 2});
}

static LogicalResult verify(InverseOp op, Lowering &l) {
  auto matrix = cast<RankedTensorType>(op.getMatrix().getType());
  auto fragment = dyn_cast_or_null<FragmentAttr>(matrix.getEncoding());
  if (l.warps != kWarps)
    return op.emitOpError("is the work of four warps; its role has ") << l.warps;
  if (!fragment || fragment.getWarps() != kWarps || matrix.getShape() != ArrayRef<int64_t>({kSize, kSize}) ||
      !matrix.getElementType().isF32())
    return op.emitOpError("inverts a `tensor<64x64xf32, #tile.fragment<warps = 4>>`, not ") << matrix;
  SharedType result = op.getResult().getType(), scratch = op.getScratch().getType(),
             diagonal = op.getDiagonal().getType();
  for (SharedType type : {result, scratch, diagonal})
    if (type.getRing())
      return op.emitOpError("works on single buffers: take a `tile.slot` of the ring ") << type;
  bool isSquare = result.getShape() == ArrayRef<int64_t>({kSize, kSize}), isFolded = areHalves(op);
  if (!(isSquare || isFolded) || !result.isSwizzled())
    return op.emitOpError("writes a `!tile.shared<64x64xbf16>`, a `!tile.shared<64x64xf16>` or the first 32 columns of "
                          "one, not ")
           << result;
  if (scratch.getShape() != ArrayRef<int64_t>({kSize, kSize}) || !scratch.getElementType().isF16())
    return op.emitOpError("needs `!tile.shared<64x64xf16>` as scratch, not ") << scratch;
  if (!diagonal.getElementType().isF32() || diagonal.getSlotBytes() < 4 * kDiagonal)
    return op.emitOpError("needs room for ")
           << kDiagonal << " f32 for the diagonal blocks (16 columns of 20 for each warp), such as `!tile.shared<"
           << kDiagonal << "xf32>`, not " << diagonal;
  if (Value scale = op.getScale()) {
    auto type = cast<SharedType>(scale.getType());
    if (type.getRing() || !type.getElementType().isF32() || type.getShape() != ArrayRef<int64_t>({kSize}))
      return op.emitOpError("scales by a `!tile.shared<64xf32>`, not ") << type;
  }
  return success();
}

namespace {
/// The lowering of one `tile.inverse`.
class Inverse {
public:
  Inverse(InverseOp op, Lowering &l);
  void writeBlocks();
  void invertDiagonal();
  void merge();

private:
  /// Byte offset of this lane's row of block (row, column) for ldmatrix and stmatrix. A block's numbers are bits that
  /// `laneOffset` leaves 0 or that the swizzle combines by exclusive or.
  Value block(Value row, Value column) { return l.bitXor(l.bitXor(laneOffset, l.shl(row, 11)), l.shl(column, 5)); }
  /// Block (`row`, `column`) of scratch, both counted from this warp's.
  Scalars load(int64_t row, int64_t column, bool transposed) {
    return l.ldmatrix(l.gep(scratch, block(rotated[row], rotated[column])), transposed);
  }
  /// The same as right operand: its upper eight rows' left and right halves, then its lower ones'.
  Scalars loadRight(int64_t row, int64_t column) {
    Value offset = l.bitXor(block(rotated[row], rotated[column]), l.bitXor(laneOffset, rightOffset));
    return l.ldmatrix(l.gep(scratch, offset), /*transposed=*/false);
  }
  void store(ArrayRef<Value> packed, int64_t row);
  Value diagonalOfWarp() { return l.gep(l.getAddress(op.getDiagonal()), l.mul(l.warp, 4 * kBlock * kColumnStride)); }
  Scalars packAll(ArrayRef<Value> values, Type element) {
    Scalars packed;
    for (size_t i = 0; i < values.size(); i += 2)
      packed.push_back(l.pack(values[i], values[i + 1], element));
    return packed;
  }

  InverseOp op;
  Lowering &l;
  Type f16;
  Value scratch;
  /// Where this lane's row of the 16x16 block at the origin of a swizzled tile is: lanes 0 to 15 have the left halves
  /// of its rows, 16 to 31 the right ones.
  Value laneOffset;
  /// Lanes 0 to 7 have the upper left, 8 to 15 the upper right, then the lower ones: neighbouring registers are a right
  /// operand of mma.sync without a move.
  Value rightOffset;
  /// (warp + step) modulo 4; of halves the other block row.
  SmallVector<Value> rotated;
  bool halves;
};
} // namespace

Inverse::Inverse(InverseOp op, Lowering &l)
    : op(op), l(l), f16(l.b.getF16Type()), scratch(l.getAddress(op.getScratch())), halves(areHalves(op)) {
  Value row = l.bitAnd(l.lane, 15), half = l.shr(l.lane, 4);
  laneOffset = l.add(l.shl(row, 7), l.shl(l.bitXor(l.bitAnd(l.lane, 7), half), 4));
  Value inEight = l.bitAnd(l.lane, 7), right = l.bitAnd(l.shr(l.lane, 3), 1);
  rightOffset = l.add(l.shl(l.add(l.shl(half, 3), inEight), 7), l.shl(l.bitXor(inEight, right), 4));
  for (int64_t step = 0; step < (halves ? 2 : kWarps); ++step)
    rotated.push_back(step == 0 ? l.warp
                      : halves  ? l.bitXor(l.warp, l.i32(1))
                                : l.bitAnd(l.add(l.warp, step), kWarps - 1));
}

/// -L to scratch, the diagonal block to f32 scratch.
void Inverse::writeBlocks() {
  ArrayRef<Value> matrix = l.get(op.getMatrix()); // 8 m + 4 h + 2 r + c: row 8 r + g, column 16 m + 8 h + 2 q + c
  // Also blocks on and above the diagonal, which nobody reads: cheaper than a branch.
  Value signs = l.i32(int32_t(0x80008000)), isHigh = l.compare(Predicate::uge, l.warp, l.i32(2));
  auto write = [&](ArrayRef<Value> values, Value column) {
    Scalars packed = packAll(values, f16);
    if (!op.getNegated())
      for (Value &pair : packed)
        pair = l.bitXor(pair, signs);
    l.stmatrix(l.gep(scratch, block(l.warp, column)), packed, /*transposed=*/false);
  };
  if (halves) {
    Scalars values;
    for (int64_t i = 0; i < 8; ++i)
      values.push_back(l.select(isHigh, matrix[16 + i], matrix[i]));
    write(values, rotated[1]);
  }
  for (int64_t m = 0; m + 1 < kWarps && !halves; ++m)
    write(matrix.slice(8 * m, 8), l.i32(m));
  // Substitution reads nothing on or above the diagonal; the 8x8 block above it need not be there at all.
  Value isOdd = l.compare(Predicate::ne, l.bitAnd(l.warp, 1), l.i32(0));
  Value column = l.mul(l.inQuad, 2 * 4 * kColumnStride);
  Value here = l.gep(diagonalOfWarp(), l.add(column, l.shl(l.quad, 2)));
  for (auto [h, r] : {std::pair(0, 0), std::pair(0, 1), std::pair(1, 1)})
    for (int64_t c = 0; c < 2; ++c) {
      int64_t i = 4 * h + 2 * r + c;
      Value entry =
          l.select(isHigh, l.select(isOdd, matrix[24 + i], matrix[16 + i]), l.select(isOdd, matrix[8 + i], matrix[i]));
      Value negated = op.getNegated() ? entry : Value(arith::NegFOp::create(l.b, entry));
      l.storeF32s(negated, l.gep(here, 4 * ((8 * h + c) * kColumnStride + 8 * r)));
    }
}

/// Column j of the inverse x of a diagonal block: x_i = (i = j) - sum over k < i of L_ik x_k. Lanes j and j + 16 do the
/// same and store half of it each.
void Inverse::invertDiagonal() {
  Value column = l.bitAnd(l.lane, kBlock - 1), from = diagonalOfWarp();
  Scalars x;
  for (int64_t i = 0; i < kBlock; ++i)
    x.push_back(l.select(l.compare(Predicate::eq, column, l.i32(i)), l.f32(1), l.f32(0)));
  for (int64_t k = 0; k + 1 < kBlock; ++k)
    for (int64_t rows = (k + 1) / 4 * 4; rows < kBlock; rows += 4)
      for (auto [r, entry] : llvm::enumerate(l.loadF32s(l.gep(from, 4 * (k * kColumnStride + rows)), 4)))
        if (int64_t i = rows + r; i > k)
          x[i] = LLVM::FMAOp::create(l.b, entry, x[k], x[i]);

  Value isSecond = l.compare(Predicate::uge, l.lane, l.i32(kBlock));
  Scalars half;
  for (int64_t i = 0; i < kBlock / 2; ++i)
    half.push_back(l.select(isSecond, x[kBlock / 2 + i], x[i]));
  Scalars packed = packAll(half, f16);
  for (Value &pair : packed)
    pair = LLVM::BitcastOp::create(l.b, l.b.getF32Type(), pair);
  // Row j of the transpose in one 16-byte store: the lane's row for ldmatrix.
  l.storeF32s(packed, l.gep(scratch, block(l.warp, l.warp)));
}

/// Block column `warp` of the result.
void Inverse::merge() {
  Type element = op.getResult().getType().getElementType();
  std::array<Value, 2> scale; // of rows g and g + 8 of the transposed blocks
  if (Value buffer = op.getScale()) {
    Value from = l.gep(l.getAddress(buffer), l.shl(l.add(l.shl(l.warp, 4), l.quad), 2));
    scale = {l.loadF32(from), l.loadF32(l.gep(from, 32))};
  }
  auto finish = [&](Scalars values) {
    if (op.getScale())
      for (auto [i, value] : llvm::enumerate(values))
        value = l.fmul(value, scale[i / 2 % 2]);
    return packAll(values, element);
  };

  SmallVector<Scalars> columns = {load(0, 0, /*transposed=*/false)}; // A_ij^T for the rows so far, left operands
  if (!op.getScale() && element == f16) {
    store(columns.front(), 0);
  } else {
    Scalars values;
    for (Value pair : columns.front()) {
      auto [low, high] = l.unpack(pair, f16);
      values.append({low, high});
    }
    store(finish(std::move(values)), 0);
  }
  for (int64_t i = 1; i < int64_t(rotated.size()); ++i) {
    Scalars left, right; // columns 0-7 and 8-15 of the sum
    for (int64_t k = 0; k < i; ++k) {
      Scalars matrix = loadRight(i, k);
      left = l.mmaSync(columns[k], {matrix[0], matrix[1]}, left, f16);
      right = l.mmaSync(columns[k], {matrix[2], matrix[3]}, right, f16);
    }
    left.append(right);
    Scalars sum = packAll(left, f16), diagonal = load(i, i, /*transposed=*/true);
    Scalars values = l.mmaSync(sum, {diagonal[0], diagonal[1]}, {}, f16);
    values.append(l.mmaSync(sum, {diagonal[2], diagonal[3]}, {}, f16));
    if (i + 1 < int64_t(rotated.size()))
      columns.push_back(packAll(values, f16));
    Scalars packed = finish(std::move(values));
    Value isBelow = halves ? l.compare(Predicate::eq, l.bitAnd(l.warp, 1), l.i32(0))
                           : l.compare(Predicate::ult, l.warp, l.i32(kWarps - i));
    for (Value &pair : packed)
      pair = l.select(isBelow, pair, l.i32(0));
    store(packed, i);
  }
}

/// Stores a transposed block of the result. stmatrix transposes each 8x8 matrix; the two off the diagonal change
/// places.
void Inverse::store(ArrayRef<Value> packed, int64_t row) {
  auto [result, unit] = l.getRows(op.getResult());
  Value column = halves ? l.bitXor(l.bitAnd(l.warp, 1), l.i32(unit / 2)) : l.warp;
  l.stmatrix(l.gep(result, block(rotated[row], column)), {packed[0], packed[2], packed[1], packed[3]},
             /*transposed=*/true);
}

LogicalResult tile::lower(InverseOp op, Lowering &l) {
  if (failed(verify(op, l)))
    return failure();
  Inverse inverse(op, l);
  l.sync(); // other warps may still read what the last use left in scratch
  inverse.writeBlocks();
  l.syncWarp();
  inverse.invertDiagonal();
  l.sync();
  inverse.merge();
  return success();
}
