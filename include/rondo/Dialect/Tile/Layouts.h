//===- Layouts.h - Which thread holds which element, and where it is in shared memory -----------------*- C++ -*-===//
//
// The maps behind the layouts of `TileOps.td`, each once. `Thread` is whoever computes: the lowering, which writes the
// arithmetic as code (`tile::Lowering`), or a test, which does it in numbers. It has `lane`, `warp`, `quad` = lane / 4
// and `inQuad` = lane % 4, and add, mul, shl, shr, bitAnd (the last four by a number), bitXor and i32.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_DIALECT_TILE_LAYOUTS_H
#define RONDO_DIALECT_TILE_LAYOUTS_H

#include <cstdint>

namespace rondo::tile::layouts {

//===----------------------------------------------------------------------------------------------------------------===//
// Elements of a thread
//===----------------------------------------------------------------------------------------------------------------===//

/// Row `half` (0, 1) of a fragment that this thread has.
template <class Thread>
auto fragmentRow(Thread &t, int64_t half) {
  return t.add(t.add(t.shl(t.warp, 4), t.quad), 8 * half);
}
/// Column c (0, 1) of its pair in the n-th eight columns.
template <class Thread>
auto fragmentColumn(Thread &t, int64_t n, int64_t c) {
  return t.add(t.shl(t.inQuad, 1), 8 * n + c);
}

/// `#tile.fragment`: element i of this thread, along `dimension`.
template <class Thread>
auto fragmentIndex(Thread &t, int64_t i, int64_t dimension) {
  return dimension == 0 ? fragmentRow(t, i / 2 % 2) : fragmentColumn(t, i / 4, i % 2);
}
/// `#tile.columns`, and `#tile.rows` of `warps` warps.
template <class Thread>
auto columnsIndex(Thread &t, int64_t i) {
  return fragmentColumn(t, i / 2, i % 2);
}
template <class Thread>
auto rowsIndex(Thread &t, int64_t i, int64_t warps) {
  return t.add(fragmentRow(t, i % 2), 16 * warps * (i / 2));
}
/// `#tile.lanes`, `count` elements a thread.
template <class Thread>
auto lanesIndex(Thread &t, int64_t i, int64_t count) {
  return t.add(t.mul(t.lane, count), i);
}
/// `#tile.octets` and `#tile.octet_rows`.
template <class Thread>
auto octetsIndex(Thread &t, int64_t i, int64_t dimension) {
  return dimension == 0 ? t.add(t.shl(t.warp, 3), i / 2) : t.add(t.shl(t.lane, 1), i % 2);
}
template <class Thread>
auto octetRowsIndex(Thread &t, int64_t i) {
  return t.add(t.shl(t.warp, 3), i);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Swizzled tiles
//===----------------------------------------------------------------------------------------------------------------===//

/// A row of a block of 64 columns; eight of them, a slab, are what the swizzle repeats after.
inline constexpr int64_t kRowBytes = 128, kSlabBytes = 8 * kRowBytes;

/// Bytes of a block of 64 columns.
inline constexpr int64_t blockBytes(int64_t rows) { return rows * kRowBytes; }

/// Where element (row, column) of a tile of `rows` rows is: the definition.
inline constexpr int64_t elementOffset(int64_t row, int64_t column, int64_t rows) {
  int64_t unit = column % 64 / 8;
  return column / 64 * blockBytes(rows) + row * kRowBytes + (unit ^ (row % 8)) * 16 + column % 8 * 2;
}

/// The 16-byte unit `unit` mod 8 (a number plus `bit`) of `row`, where row mod 8 is lane mod 8. The block that the unit
/// is in comes on top, `blockBytes` each.
template <class Thread, class Number>
auto matrixOffset(Thread &t, Number row, int64_t unit, Number bit) {
  Number inRow = t.bitXor(t.add(bit, unit % 8), t.bitAnd(t.lane, 7));
  return t.add(t.shl(row, 7), t.shl(inRow, 4));
}

/// The 8x8 matrices that ldmatrix and stmatrix move for 16 columns of a fragment, one register each: rows 0 to 7 and 8
/// to 15 of the left eight columns, then of the right. Lane l names row l mod 8 of matrix l / 8.
template <class Thread>
auto matrixIsLow(Thread &t) {
  return t.bitAnd(t.shr(t.lane, 3), 1);
}
template <class Thread>
auto matrixIsRight(Thread &t) {
  return t.shr(t.shr(t.lane, 3), 1);
}
/// The row of the fragment that this lane names.
template <class Thread>
auto matrixRow(Thread &t) {
  auto inMatrix = t.bitAnd(t.lane, 7), low = matrixIsLow(t);
  return t.add(t.add(t.shl(t.warp, 4), t.shl(low, 3)), inMatrix);
}
/// The same where rows of the fragment are columns of the tile: four warps to a block, and 2048 bytes to the next 16
/// columns of the fragment.
template <class Thread>
auto transposedOffset(Thread &t) {
  auto inMatrix = t.bitAnd(t.lane, 7), low = matrixIsLow(t), right = matrixIsRight(t);
  auto unit = t.add(t.shl(t.bitAnd(t.warp, 3), 1), low);
  return t.add(t.shl(t.add(t.shl(right, 3), inMatrix), 7), t.shl(t.bitXor(unit, inMatrix), 4));
}
inline constexpr int64_t kTransposedStep = 16 * kRowBytes;

/// The pair of columns that this thread has of row 8 warp + `row`, without the row's `kRowBytes * row`.
template <class Thread>
auto octetOffset(Thread &t, int64_t row) {
  // Row 8w + u: its swizzle is u. Lane l holds columns 2l and 2l+1, four lanes a unit.
  auto unit = t.bitXor(t.shr(t.lane, 2), t.i32(row));
  return t.add(t.add(t.shl(t.warp, 10), t.shl(unit, 4)), t.shl(t.bitAnd(t.lane, 3), 2));
}

//===----------------------------------------------------------------------------------------------------------------===//
// Operands of products
//===----------------------------------------------------------------------------------------------------------------===//

/// The descriptor of a swizzled tile as an operand of wgmma, without its address (in sixteens of bytes); blocks of
/// columns are `blockBytes` apart. Both kinds go from eight rows to the next by a slab. Rows along the summed dimension
/// (transposed): 64 columns are one after the other, and then comes the next block.
inline constexpr uint64_t descriptor(int64_t blockBytes, bool transposed) {
  uint64_t leading = transposed ? blockBytes / 16 : 1, stride = kSlabBytes / 16, swizzle128 = 1;
  return leading << 16 | stride << 32 | swizzle128 << 62;
}
/// Bytes from the tile's beginning to step k, 16 along the summed dimension.
inline constexpr int64_t stepOffset(int64_t blockBytes, bool transposed, int64_t k) {
  return transposed ? k * 16 * kRowBytes : k / 4 * blockBytes + k % 4 * 32;
}

} // namespace rondo::tile::layouts

#endif // RONDO_DIALECT_TILE_LAYOUTS_H
