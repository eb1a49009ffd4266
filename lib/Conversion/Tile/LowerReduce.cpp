//===- LowerReduce.cpp - Sums and maxima of a fragment ----------------------------------------------------------===//
//
// Over columns: four lanes of a warp have a row, nothing leaves the warp.
//
// Over rows: a lane has two rows of its warp's sixteen, and the eight lanes with the same columns the others. They
// halve what they have with each exchange: a lane gives one half of its columns away and gets the other lane's part of
// the half that it keeps, so that in the end lane l has columns 2l and 2l+1 of 64, complete for the warp: 14 shuffles
// where adding up in all lanes takes 48. That is a row of the buffer, in order. Behind the barrier each warp adds the
// rows of all warps, again two columns a lane, and lanes get their own columns from each other.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Kernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

static Value combine(RoleLowering &l, ReduceKind kind, Value x, Value y) {
  switch (kind) {
  case ReduceKind::add:
    return l.fadd(x, y);
  case ReduceKind::maximum:
    return arith::MaximumFOp::create(l.b, x, y);
  case ReduceKind::minimum:
    return arith::MinimumFOp::create(l.b, x, y);
  }
  llvm_unreachable("a kind of reduction");
}

/// By pairs, so that operations do not wait for each other.
static Value combineAll(RoleLowering &l, ReduceKind kind, SmallVector<Value> terms) {
  while (terms.size() > 1) {
    SmallVector<Value> next;
    for (size_t i = 0; i + 1 < terms.size(); i += 2)
      next.push_back(combine(l, kind, terms[i], terms[i + 1]));
    if (terms.size() % 2)
      next.push_back(terms.back());
    terms = std::move(next);
  }
  return terms.front();
}

static Scalars overColumns(ReduceOp op, RoleLowering &l) {
  ArrayRef<Value> value = l.get(op.getValue());
  Scalars result;
  if (isa<OctetsAttr>(cast<RankedTensorType>(op.getValue().getType()).getEncoding())) {
    for (size_t u = 0; u < value.size(); u += 2)
      result.push_back(l.sumOverLanes(l.fadd(value[u], value[u + 1]), 32));
    return result;
  }
  for (size_t r = 0; r < 2; ++r) {
    SmallVector<Value> terms;
    for (size_t i = 0; i < value.size(); ++i)
      if (i / 2 % 2 == r)
        terms.push_back(value[i]);
    result.push_back(l.sumOverLanes(combineAll(l, ReduceKind::add, terms), 4));
  }
  return result;
}

static Scalars overRows(ReduceOp op, RoleLowering &l) {
  ArrayRef<Value> value = l.get(op.getValue());
  ArrayRef<int64_t> scratch = op.getScratch().getType().getShape();
  int64_t columns = scratch[1], width = std::min<int64_t>(columns, 64), groups = width / 8;
  Value own = l.add(l.mul(l.copy, l.warps), l.warp), first = l.getAddress(op.getScratch());
  own = l.gep(first, l.mul(own, 4 * columns));

  // In the end a lane has the group of eight columns that its upper bits name.
  int64_t unused = 8 / groups;
  Value group = l.shr(l.quad, llvm::Log2_64(unused)), pair = l.add(l.shl(group, 2), l.inQuad);
  for (int64_t block = 0; block < columns / width; ++block) {
    Scalars parts;
    for (int64_t n = 0; n < groups; ++n)
      for (int64_t c = 0; c < 2; ++c) {
        int64_t i = 4 * (block * groups + n) + c;
        parts.push_back(combine(l, op.getKind(), value[i], value[i + 2]));
      }
    for (int64_t distance : {16, 8, 4}) {
      Scalars given = parts;
      if (parts.size() > 2) {
        size_t half = parts.size() / 2;
        Value isUpper = l.compare(arith::CmpIPredicate::ne, l.bitAnd(l.lane, distance), l.i32(0));
        for (size_t i = 0; i < half; ++i) {
          given[i] = l.select(isUpper, parts[i], parts[half + i]);
          parts[i] = l.select(isUpper, parts[half + i], parts[i]);
        }
        parts.resize(half);
      }
      for (auto [part, other] : llvm::zip(parts, given))
        part = combine(l, op.getKind(), part, l.shuffle(NVVM::ShflKind::bfly, other, l.i32(distance)));
    }
    auto store = [&] { l.storeF32s(parts, l.gep(l.gep(own, l.shl(pair, 3)), block * width * 4)); };
    if (unused == 1)
      store();
    else
      l.ifThen(l.compare(arith::CmpIPredicate::eq, l.bitAnd(l.quad, unused - 1), l.i32(0)), store);
  }
  l.syncCopies();

  Scalars result;
  Value mine = l.gep(first, l.shl(l.bitAnd(l.lane, width / 2 - 1), 3));
  for (int64_t block = 0; block < columns / width; ++block) {
    SmallVector<Value> terms[2];
    for (int64_t row = 0; row < scratch[0]; ++row)
      for (auto [c, term] : llvm::enumerate(l.loadF32s(l.gep(mine, 4 * (row * columns + block * width)), 2)))
        terms[c].push_back(term);
    Value whole[2] = {combineAll(l, op.getKind(), terms[0]), combineAll(l, op.getKind(), terms[1])};
    for (int64_t n = 0; n < groups; ++n)
      for (Value entry : whole)
        result.push_back(l.shuffle(NVVM::ShflKind::idx, entry, l.add(l.inQuad, 4 * n)));
  }
  return result;
}

LogicalResult rondo::tile::lower(ReduceOp op, RoleLowering &l) {
  l.set(op.getResult(), op.getDimension() == 0 ? overRows(op, l) : overColumns(op, l));
  return success();
}
