//===- LowerGramStore.cpp - Gram values to shared memory ---------------------------------------------------------===//
//
// A warp has sums of each level (LowerGram.cpp has the places); with zeros above the diagonal they fill a matrix
// [64, 64], or the two diagonal blocks of 32x32, which may be folded: written to the same 32 columns.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Gram.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;
using namespace rondo::tile::gram;

using Predicate = arith::CmpIPredicate;

//===--- Shared with the products ---------------------------------------------------------------------------------===//
//------------------------------------------------------------------------------------===//

Scalars gram::choose(Lowering &l, Value condition, int64_t count, function_ref<Scalars()> one,
                     function_ref<Scalars()> other) {
  auto branch = scf::IfOp::create(l.b, SmallVector<Type>(count, l.b.getF32Type()), condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(l.b);
  l.b.setInsertionPointToStart(branch.thenBlock());
  Scalars values = one();
  if (count != 0)
    scf::YieldOp::create(l.b, values);
  l.b.setInsertionPointToStart(branch.elseBlock());
  values = other();
  if (count != 0)
    scf::YieldOp::create(l.b, values);
  return Scalars(branch.getResults());
}

bool gram::isInHalves(Value gram) {
  return cast<GramAttr>(cast<RankedTensorType>(gram.getType()).getEncoding()).getSpan() == 32;
}

namespace {
/// The lowering of a `tile.store` of a gram value.
class GramStore {
public:
  GramStore(StoreOp op, Lowering &l)
      : l(l), element(op.getBuffer().getType().getElementType()), isRounded(!element.isF32()),
        halves(isInHalves(op.getValue())), isFolded(op.getBuffer().getType().getShape()[1] < 64),
        rowBytes(4 * op.getBuffer().getType().getShape()[1]), sums(l.get(op.getValue())) {
    std::tie(buffer, firstUnit) = l.getRows(op.getBuffer());
  }
  void lower();

private:
  void store(Value octetRow, Value row, Value octetColumn, Value pair, ArrayRef<Value> values);
  void storeInner();
  void storeDiagonal();
  void storeZeros();

  Lowering &l;
  Value buffer;
  /// Of 16 bytes, where the columns begin.
  int64_t firstUnit;
  Type element;
  bool isRounded;
  /// Only the two diagonal blocks of 32x32 are written.
  bool halves;
  /// The second block is written to the columns of the first.
  bool isFolded;
  /// Of a plain buffer.
  int64_t rowBytes;
  SmallVector<Value> sums;
};
} // namespace

/// Two neighbours: row `row` of an octet of rows, columns 2 `pair` and one more of an octet of columns.
void GramStore::store(Value octetRow, Value row, Value octetColumn, Value pair, ArrayRef<Value> values) {
  if (isFolded)
    octetColumn = l.bitXor(l.bitAnd(octetColumn, 3), l.i32(firstUnit));
  if (isRounded) {
    Value offset = l.add(l.shl(octetRow, 10), l.shl(row, 7));
    offset = l.add(offset, l.add(l.shl(l.bitXor(octetColumn, row), 4), l.shl(pair, 2)));
    return l.storeI32(l.pack(values[0], values[1], element), l.gep(buffer, offset));
  }
  Value offset = l.mul(l.add(l.shl(octetRow, 3), row), rowBytes);
  offset = l.add(offset, l.add(l.shl(octetColumn, 5), l.shl(pair, 3)));
  l.storeF32s(values, l.gep(buffer, offset));
}

/// Levels 2 and 4: of the 8x8 product the two diagonal blocks of 4x4, of the first of them those of 2x2.
void GramStore::storeInner() {
  Value isLevel4 = l.compare(Predicate::uge, l.quad, l.i32(4));
  Value block = l.bitAnd(l.quad, 2);
  Value row2 = l.add(l.add(l.shl(block, 1), 2), l.bitAnd(l.quad, 1));
  Value row = l.select(isLevel4, l.quad, row2);
  Value pair = l.select(isLevel4, l.add(l.inQuad, -2), block);
  Value counts2 = l.compare(Predicate::eq, l.shl(l.inQuad, 1), block);
  Value counts4 = l.compare(Predicate::uge, l.inQuad, l.i32(2));
  l.ifThen(l.select(isLevel4, counts4, counts2),
           [&] { store(l.warp, row, l.warp, pair, {sums[kInner], sums[kInner + 1]}); });
}

/// Diagonal, level 1 and the zeros beside them: columns of row lane/4 from the token's pair on.
void GramStore::storeDiagonal() {
  Value sum = sums[kNeighbours];
  sum = l.fadd(sum, l.shuffle(NVVM::ShflKind::bfly, sum, l.i32(1)));
  Value level1 = l.shuffle(NVVM::ShflKind::idx, sum, l.bitAnd(l.quad, 6));
  Value diagonal = l.shuffle(NVVM::ShflKind::idx, sum, l.add(l.shl(l.quad, 1), 2 * kLevel1Rows));
  Value first = l.shr(l.quad, 1), zero = l.f32(0);
  Value isDiagonal = l.compare(Predicate::eq, l.inQuad, first);
  Value odd = l.compare(Predicate::ne, l.bitAnd(l.quad, 1), l.i32(0));
  Value one = l.select(isDiagonal, l.select(odd, level1, diagonal), zero);
  Value two = l.select(arith::AndIOp::create(l.b, isDiagonal, odd), diagonal, zero);
  l.ifThen(l.compare(Predicate::uge, l.inQuad, first), [&] { store(l.warp, l.quad, l.warp, l.inQuad, {one, two}); });
}

/// The octets of columns after this warp's, 16 bytes at a time.
void GramStore::storeZeros() {
  SmallVector<Value> zeros(4, l.f32(0));
  int64_t units = isRounded ? 8 : 16;
  Value last = isRounded ? l.warp : l.add(l.shl(l.warp, 1), 1);
  Value rows = l.gep(buffer, isRounded ? l.add(l.shl(l.warp, 10), l.shl(l.quad, 7))
                                       : l.mul(l.add(l.shl(l.warp, 3), l.quad), rowBytes));
  for (int64_t first = 0; first < units; first += 4) {
    Value unit = l.add(l.inQuad, first);
    Value isAbove = l.compare(Predicate::ugt, unit, last);
    // Eight columns a unit, or four.
    if (halves)
      isAbove = arith::AndIOp::create(l.b, isAbove,
                                      l.compare(Predicate::eq, l.shr(unit, isRounded ? 2 : 3), l.shr(l.warp, 2)));
    Value place = isFolded ? l.bitXor(l.bitAnd(unit, isRounded ? 3 : 7), l.i32(firstUnit)) : unit;
    l.ifThen(isAbove, [&] { l.storeF32s(zeros, l.gep(rows, l.shl(isRounded ? l.bitXor(place, l.quad) : place, 4))); });
  }
}

void GramStore::lower() {
  storeInner();
  storeDiagonal();
  storeZeros();
  auto storeOctet = [&](Value octetRow, Value octetColumn, int64_t scalar) {
    store(octetRow, l.quad, octetColumn, l.inQuad, ArrayRef(sums).slice(scalar, 2));
  };
  Value i = l.bitAnd(l.warp, 3), high = l.bitAnd(i, 2), low = l.bitAnd(i, 1);
  auto storeLevel8 = [&](int64_t scalar) {
    Value even = l.shl(i, 1);
    storeOctet(l.add(even, 1), even, scalar);
  };
  choose(
      l, l.compare(Predicate::ult, l.warp, l.i32(4)), 0,
      [&]() -> Scalars {
        if (halves) {
          storeLevel8(0);
          return {};
        }
        Value row = l.add(high, 4), column = l.shl(low, 1);
        for (int64_t half = 0; half < 2; ++half)
          for (int64_t below = 0; below < 2; ++below)
            storeOctet(l.add(row, below), l.add(column, half), 4 * half + 2 * below);
        return {};
      },
      [&]() -> Scalars {
        Value first = l.shl(high, 1);
        for (int64_t below = 0; below < 2; ++below)
          storeOctet(l.add(first, 2 + below), l.add(first, low), 2 * below);
        if (!halves)
          storeLevel8(4);
        return {};
      });
}

LogicalResult tile::lowerGramStore(StoreOp op, Lowering &l) {
  if (l.warps != kWarps)
    return op.emitOpError("of a gram value is the work of eight warps; its role has ") << l.warps;
  GramStore(op, l).lower();
  return success();
}
