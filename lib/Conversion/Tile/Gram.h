//===- Gram.h - What the lowerings of `tile.decayed_gram` and of its store share ----------------------*- C++ -*-===//
//
// LowerGram.cpp says which thread has what of a gram value.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_TILE_GRAM_H
#define RONDO_LIB_CONVERSION_TILE_GRAM_H

#include "Lowering.h"

namespace rondo::tile::gram {

inline constexpr int64_t kWarps = 8, kOctet = 8;
inline constexpr int64_t kRowBytes = 128, kSlabBytes = kOctet * kRowBytes, kTileBytes = 8 * kSlabBytes;
/// Levels 8, 16, 32: bits of the octet's number.
inline constexpr int64_t kOuterLevels = 3;
/// The scalars of a gram value: of outer levels the first eight, then from where on the others are.
inline constexpr int64_t kOuter = 8, kInner = 8, kNeighbours = 10;
/// Tokens of an octet that are right halves of level 1.
inline constexpr int64_t kLevel1Rows = 4;

/// `if (condition) { one } else { other }`, giving `count` f32 values.
Scalars choose(Lowering &l, mlir::Value condition, int64_t count, mlir::function_ref<Scalars()> one,
               mlir::function_ref<Scalars()> other);

bool isInHalves(mlir::Value gram);

} // namespace rondo::tile::gram

#endif // RONDO_LIB_CONVERSION_TILE_GRAM_H
