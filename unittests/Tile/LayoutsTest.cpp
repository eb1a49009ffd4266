//===- LayoutsTest.cpp - The algebra of the tile layouts ----------------------------------------------------------===//
//
// Against definitions of their own: the register fragments and operands of mma.sync, ldmatrix and wgmma as the PTX
// manual has them, and the banks of shared memory.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Dialect/Tile/Layouts.h"
#include <array>
#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace rondo::tile;

namespace {

/// A thread that computes in numbers.
struct Numbers {
  Numbers(int64_t warp, int64_t lane) : lane(lane), warp(warp), quad(lane / 4), inQuad(lane % 4) {}
  int64_t lane, warp, quad, inQuad;
  int64_t i32(int64_t x) { return x; }
  int64_t add(int64_t x, int64_t y) { return x + y; }
  int64_t mul(int64_t x, int64_t y) { return x * y; }
  int64_t shl(int64_t x, int64_t bits) { return x << bits; }
  int64_t shr(int64_t x, int64_t bits) { return x >> bits; }
  int64_t bitAnd(int64_t x, int64_t mask) { return x & mask; }
  int64_t bitXor(int64_t x, int64_t y) { return x ^ y; }
};

using Place = std::pair<int64_t, int64_t>;

template <class Body>
void forEachThread(int64_t warps, Body body) {
  for (int64_t warp = 0; warp < warps; ++warp)
    for (int64_t lane = 0; lane < 32; ++lane) {
      Numbers thread(warp, lane);
      body(thread);
    }
}

/// Expects that each of `rows` x `columns` places was counted `times` times, and nothing else.
void expectEach(const std::map<Place, int> &counts, int64_t rows, int64_t columns, int times) {
  EXPECT_EQ(int64_t(counts.size()), rows * columns);
  for (const auto &[place, count] : counts) {
    EXPECT_TRUE(place.first >= 0 && place.first < rows && place.second >= 0 && place.second < columns);
    EXPECT_EQ(count, times) << place.first << ", " << place.second;
  }
}

/// What register `m` of a lane has after ldmatrix: elements of matrix m, whose row r is at the address of lane 8m + r.
std::array<int64_t, 2> matrixElements(const std::array<int64_t, 32> &addresses, int64_t lane, int64_t m,
                                      bool transposed) {
  std::array<int64_t, 2> elements;
  for (int64_t c = 0; c < 2; ++c)
    elements[c] = transposed ? addresses[8 * m + 2 * (lane % 4) + c] + 2 * (lane / 4)
                             : addresses[8 * m + lane / 4] + 2 * (2 * (lane % 4) + c);
  return elements;
}

/// Expects that eight lanes with 16 bytes each, as shared memory serves them, meet in no bank.
void expectNoConflict(const std::array<int64_t, 32> &addresses) {
  for (int64_t first = 0; first < 32; first += 8) {
    std::set<int64_t> units;
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(addresses[first + i] % 16, 0);
      units.insert(addresses[first + i] / 16 % 8);
    }
    EXPECT_EQ(units.size(), 8u);
  }
}

} // namespace

//===----------------------------------------------------------------------------------------------------------------===//
// Who has what
//===----------------------------------------------------------------------------------------------------------------===//

TEST(LayoutsTest, FragmentsHaveEachElementOnce) {
  for (int64_t warps : {1, 4, 8})
    for (int64_t columns : {8, 64, 256}) {
      std::map<Place, int> counts;
      forEachThread(warps, [&](Numbers &t) {
        for (int64_t i = 0; i < columns / 2; ++i)
          ++counts[{layouts::fragmentIndex(t, i, 0), layouts::fragmentIndex(t, i, 1)}];
      });
      expectEach(counts, 16 * warps, columns, 1);
    }
}

TEST(LayoutsTest, ColumnsAndRowsAreThoseOfFragments) {
  constexpr int64_t warps = 4, columns = 64;
  std::map<Place, int> ofColumns, ofRows;
  forEachThread(warps, [&](Numbers &t) {
    for (int64_t i = 0; i < columns / 4; ++i)
      ++ofColumns[{layouts::columnsIndex(t, i), 0}];
    for (int64_t i = 0; i < 4; ++i)
      ++ofRows[{layouts::rowsIndex(t, i, warps), 0}];
    // As `tile.broadcast` takes them.
    for (int64_t i = 0; i < columns / 2; ++i) {
      EXPECT_EQ(layouts::columnsIndex(t, i / 4 * 2 + i % 2), layouts::fragmentIndex(t, i, 1));
      EXPECT_EQ(layouts::rowsIndex(t, i / 2 % 2, warps), layouts::fragmentIndex(t, i, 0));
    }
  });
  expectEach(ofColumns, columns, 1, warps * 8);
  expectEach(ofRows, 2 * 16 * warps, 1, 4); // two blocks
}

TEST(LayoutsTest, EachWarpHasACopyOfLanes) {
  for (int64_t count : {1, 2, 4}) {
    std::map<Place, int> counts;
    forEachThread(2, [&](Numbers &t) {
      for (int64_t i = 0; i < count; ++i)
        ++counts[{layouts::lanesIndex(t, i, count), 0}];
    });
    expectEach(counts, 32 * count, 1, 2);
  }
}

TEST(LayoutsTest, OctetsHaveEachElementOnceAndTheirRowsEachLane) {
  std::map<Place, int> counts, rows;
  forEachThread(8, [&](Numbers &t) {
    for (int64_t i = 0; i < 16; ++i) {
      ++counts[{layouts::octetsIndex(t, i, 0), layouts::octetsIndex(t, i, 1)}];
      // As `tile.broadcast` takes it.
      EXPECT_EQ(layouts::octetRowsIndex(t, i / 2), layouts::octetsIndex(t, i, 0));
    }
    for (int64_t i = 0; i < 8; ++i)
      ++rows[{layouts::octetRowsIndex(t, i), 0}];
  });
  expectEach(counts, 64, 64, 1);
  expectEach(rows, 64, 1, 32);
}

/// The manual's m16n8 accumulator and m16k16 left operand: two neighbours in each register of the latter.
TEST(LayoutsTest, AccumulatorsAreLeftOperandsOfTheNextProduct) {
  forEachThread(4, [&](Numbers &t) {
    int64_t group = t.lane / 4, inGroup = t.lane % 4;
    for (int64_t n = 0; n < 8; ++n)
      for (int64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(layouts::fragmentIndex(t, 4 * n + i, 0), 16 * t.warp + group + (i < 2 ? 0 : 8));
        EXPECT_EQ(layouts::fragmentIndex(t, 4 * n + i, 1), 8 * n + 2 * inGroup + i % 2);
      }
    for (int64_t step = 0; step < 4; ++step)
      for (int64_t a = 0; a < 8; ++a) { // register a / 2, half a % 2
        int64_t row = group + (a / 2 % 2 == 0 ? 0 : 8), k = 2 * inGroup + a % 2 + (a < 4 ? 0 : 8);
        EXPECT_EQ(layouts::fragmentIndex(t, 8 * step + a, 0), 16 * t.warp + row);
        EXPECT_EQ(layouts::fragmentIndex(t, 8 * step + a, 1), 16 * step + k);
      }
  });
}

//===----------------------------------------------------------------------------------------------------------------===//
// Swizzled tiles
//===----------------------------------------------------------------------------------------------------------------===//

/// The 128-byte swizzle of TMA and wgmma: bits 7 to 9 of an address onto bits 4 to 6.
static int64_t swizzle(int64_t offset) { return offset ^ (offset >> 7 & 7) << 4; }

TEST(LayoutsTest, TheSwizzleIsAnInvolution) {
  constexpr int64_t rows = 64, columns = 128;
  std::set<int64_t> offsets;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      int64_t plain = column / 64 * rows * 128 + row * 128 + column % 64 * 2;
      EXPECT_EQ(layouts::elementOffset(row, column, rows), swizzle(plain));
      EXPECT_EQ(swizzle(swizzle(plain)), plain);
      offsets.insert(layouts::elementOffset(row, column, rows));
    }
  EXPECT_EQ(int64_t(offsets.size()), rows * columns);
  EXPECT_EQ(*offsets.rbegin(), 2 * (rows * columns - 1));
}

/// Of `warps` warps, with and without transposition; the fragment is [16 warps, 16 steps].
TEST(LayoutsTest, MatricesOfFragments) {
  for (bool transposed : {false, true})
    for (int64_t warps : {1, 4, 8})
      for (int64_t warp = 0; warp < warps; ++warp)
        for (int64_t steps : {4, 8}) {
          int64_t rows = transposed ? 16 * steps : 16 * warps;
          for (int64_t k = 0; k < steps; ++k) {
            std::array<int64_t, 32> addresses;
            for (int64_t lane = 0; lane < 32; ++lane) {
              Numbers t(warp, lane);
              if (transposed)
                addresses[lane] =
                    layouts::transposedOffset(t) + warp / 4 * layouts::blockBytes(rows) + k * layouts::kTransposedStep;
              else
                addresses[lane] = layouts::matrixOffset(t, layouts::matrixRow(t), 2 * k, layouts::matrixIsRight(t)) +
                                  2 * k / 8 * layouts::blockBytes(rows);
            }
            expectNoConflict(addresses);
            for (int64_t lane = 0; lane < 32; ++lane)
              for (int64_t m = 0; m < 4; ++m) {
                Numbers t(warp, lane);
                std::array<int64_t, 2> elements = matrixElements(addresses, lane, m, transposed);
                for (int64_t c = 0; c < 2; ++c) {
                  int64_t i = 8 * k + 2 * m + c;
                  int64_t row = layouts::fragmentIndex(t, i, 0), column = layouts::fragmentIndex(t, i, 1);
                  if (transposed)
                    std::swap(row, column);
                  EXPECT_EQ(elements[c], layouts::elementOffset(row, column, rows));
                }
              }
          }
        }
}

TEST(LayoutsTest, OctetsMeetInNoBank) {
  for (int64_t warp = 0; warp < 8; ++warp)
    for (int64_t u = 0; u < 8; ++u) {
      std::set<int64_t> banks;
      for (int64_t lane = 0; lane < 32; ++lane) {
        Numbers t(warp, lane);
        int64_t offset = layouts::octetOffset(t, u) + u * layouts::kRowBytes;
        EXPECT_EQ(offset,
                  layouts::elementOffset(layouts::octetsIndex(t, 2 * u, 0), layouts::octetsIndex(t, 2 * u, 1), 64));
        banks.insert(offset / 4 % 32);
      }
      EXPECT_EQ(banks.size(), 32u);
    }
}

//===----------------------------------------------------------------------------------------------------------------===//
// Operands of products
//===----------------------------------------------------------------------------------------------------------------===//

/// Where wgmma finds element (`along`, k) of an operand, k in 0 .. 15 of a step, `along` the rows of the left or the
/// columns of the result, in the canonical layouts with 128-byte swizzle: atoms of 8 x 128 bytes.
static int64_t canonicalOffset(uint64_t descriptor, int64_t start, int64_t along, int64_t k, bool transposed) {
  int64_t leading = (descriptor >> 16 & 0x3fff) * 16, stride = (descriptor >> 32 & 0x3fff) * 16;
  EXPECT_EQ(descriptor >> 62, 1u); // 128-byte swizzle
  int64_t offset = transposed ? along / 64 * leading + k / 8 * stride + k % 8 * 128 + along % 64 * 2
                              : along / 8 * stride + along % 8 * 128 + k * 2;
  return swizzle(start + offset);
}

TEST(LayoutsTest, DescriptorsFindTheElements) {
  // [N, K], summed along rows of the tile; [K, N], along its columns.
  for (bool transposed : {false, true})
    for (int64_t rows : {16, 64, 128})
      for (int64_t columns : {64, 128, 256}) {
        int64_t depth = transposed ? rows : columns, width = transposed ? columns : rows;
        for (int64_t step = 0; step < depth / 16; ++step)
          for (int64_t along = 0; along < width; ++along)
            for (int64_t k = 0; k < 16; ++k) {
              int64_t summed = 16 * step + k;
              int64_t expected = transposed ? layouts::elementOffset(summed, along, rows)
                                            : layouts::elementOffset(along, summed, rows);
              EXPECT_EQ(canonicalOffset(layouts::descriptor(layouts::blockBytes(rows), transposed),
                                        layouts::stepOffset(layouts::blockBytes(rows), transposed, step), along, k,
                                        transposed),
                        expected);
            }
      }
}
