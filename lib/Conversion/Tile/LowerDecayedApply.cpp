//===- LowerDecayedApply.cpp - Weighted sums of earlier columns, decayed row by row -----------------------------===//
//
// Tokens run along the columns of fragments: of each eight a thread has tokens 2q and 2q + 1 (q = lane mod 4) of two
// rows. For a half of m tokens of a binary tree, of each token t in it
//
//   before[t] = product of d over the tokens of the half before t       after[t] = product over those behind it
//
// so that a pair of tokens s in the left and t in the right half of the same node is decayed by after[s] before[t].
// One node:
//
//   A = x * after of the left half, rounded         (registers of the thread: the layout of operand A)
//   B = weights[t, s] of the node, by ldmatrix      (rows t, columns s: as mma.sync wants its second operand)
//   applied[t] += before[t] (A B)[t]                for t in the right half
//   before[t] *= total(left)   for t in the right half      after[s] *= total(right)   for s in the left half
//
// Nodes of two, four and eight tokens are made at once for eight tokens: entries of B that are not theirs are masked.
// In the smallest before and after are 1. Where a token's own decay and weight are included, before[t] has d[t] as well
// and the first step is a product with the weights on the diagonal.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Kernel.h"
#include "rondo/Dialect/Tile/Layouts.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

using arith::CmpIPredicate;

namespace {
/// Eight tokens: elements 2 r + c of this thread are of row r (0, 1) and token 2q + c.
struct Octet {
  Value before[4], after[4];
  /// Of each row.
  Value total[2];
};

class Tree {
public:
  Tree(DecayedApplyOp op, RoleLowering &l);
  /// Builds the tree bottom up.
  void build();
  void setResults();

private:
  using Pair = std::array<Value, 2>; ///< registers of operand A for eight tokens

  void makeLeaf(int64_t n);
  /// Joins the `size` octets from `left` on with as many behind them.
  void join(int64_t left, int64_t size);
  /// The values of octet n, `scaled` by `after`, as operand A.
  Pair round(int64_t n, bool scaled);
  /// Adds the product of operand A with registers of operand B, `scaled` by `before`, to what is applied to octet n.
  void addProduct(size_t which, int64_t n, ArrayRef<Value> a, ArrayRef<Value> weights, bool scaled);
  /// Weights of octet `to` of tokens from octet `from` on, four octets.
  Scalars loadWeights(size_t which, int64_t to, int64_t from);

  DecayedApplyOp op;
  RoleLowering &l;
  Type element;
  ArrayRef<Value> decays, values;
  int64_t count;
  SmallVector<Octet> octets;
  SmallVector<Scalars> applied;
  /// Addresses: of each tile, of the first and the second four octets.
  SmallVector<std::array<Value, 2>> first;
  /// Of operand B, for nodes of two, four and eight tokens; for each token itself.
  Value masks[3], diagonalMask;
  /// Whether this thread's two tokens are the left half of four; of eight.
  Value isLeft[2];
};
} // namespace

Tree::Tree(DecayedApplyOp op, RoleLowering &l)
    : op(op), l(l), decays(l.get(op.getDecays())), values(l.get(op.getValues())), count(decays.size() / 4),
      octets(count) {
  Value zero = l.f32(0);
  for (Value weights : op.getWeights()) {
    applied.push_back(Scalars(decays.size(), zero));
    first.emplace_back();
    auto type = cast<SharedType>(weights.getType());
    element = type.getElementType();
    Value row = l.bitAnd(l.lane, 7), bit = l.shr(l.lane, 3);
    auto [address, unit] = l.getRows(weights);
    for (int64_t part = 0; part < count / 4; ++part)
      first.back()[part] = l.matrixAddress(address, type, row, unit + 4 * part, bit);
  }
  // Of operand B a thread has tokens s = 2q, 2q + 1 (low and high half of the register) and t = lane / 4.
  Value t = l.quad, q = l.inQuad, none = l.i32(0), all = l.i32(-1);
  auto isEqual = [&](Value x, Value y) { return l.compare(CmpIPredicate::eq, x, y); };
  auto both = [&](Value x, Value y) -> Value { return arith::AndIOp::create(l.b, x, y); };
  Value half = l.shr(t, 1), isOdd = isEqual(l.bitAnd(t, 1), l.i32(1));
  isLeft[0] = isEqual(l.bitAnd(q, 1), none);
  isLeft[1] = l.compare(CmpIPredicate::ult, q, l.i32(2));
  masks[0] = l.select(both(isOdd, isEqual(half, q)), l.i32(0xffff), none);
  diagonalMask = l.select(isEqual(half, q), l.select(isOdd, l.i32(-65536), l.i32(0xffff)), none);
  masks[1] = l.select(both(isLeft[0], isEqual(half, l.add(q, 1))), all, none);
  masks[2] = l.select(both(isLeft[1], l.compare(CmpIPredicate::ugt, half, l.i32(1))), all, none);
}

Scalars Tree::loadWeights(size_t which, int64_t to, int64_t from) {
  return l.ldmatrix(l.gep(first[which][from / 4], to * layouts::kSlabBytes), /*transposed=*/false);
}

Tree::Pair Tree::round(int64_t n, bool scaled) {
  Pair result;
  for (int64_t r = 0; r < 2; ++r) {
    Value x[2];
    for (int64_t c = 0; c < 2; ++c) {
      x[c] = values[4 * n + 2 * r + c];
      if (scaled)
        x[c] = l.fmul(x[c], octets[n].after[2 * r + c]);
    }
    result[r] = l.pack(x[0], x[1], element);
  }
  return result;
}

void Tree::addProduct(size_t which, int64_t n, ArrayRef<Value> a, ArrayRef<Value> weights, bool scaled) {
  MutableArrayRef<Value> sum = MutableArrayRef<Value>(applied[which]).slice(4 * n, 4);
  // From 16 tokens to a step; of eight the others are zeros.
  Scalars product;
  for (size_t k = 0; k < weights.size(); k += 2) {
    bool isLast = k + 1 == weights.size();
    Value none = l.i32(0);
    Value sources[] = {a[2 * k], a[2 * k + 1], isLast ? none : a[2 * k + 2], isLast ? none : a[2 * k + 3]};
    product = l.mmaSync(sources, {weights[k], isLast ? none : weights[k + 1]}, product, element);
  }
  for (int64_t i = 0; i < 4; ++i) {
    Value term = scaled ? l.fmul(product[i], octets[n].before[i]) : product[i];
    sum[i] = l.fadd(sum[i], term);
  }
}

void Tree::makeLeaf(int64_t n) {
  Octet &octet = octets[n];
  SmallVector<Value> weights;
  for (size_t which = 0; which < applied.size(); ++which)
    weights.push_back(loadWeights(which, n, n / 4 * 4)[n % 4]);
  auto multiply = [&](Value mask, bool byAfter, bool byBefore) {
    Pair a = round(n, byAfter);
    for (size_t which = 0; which < applied.size(); ++which) {
      Value own = arith::AndIOp::create(l.b, weights[which], mask);
      addProduct(which, n, a, own, byBefore);
    }
  };
  bool isInclusive = op.getInclusive();
  Value one = l.f32(1);
  for (int64_t i = 0; i < 4; ++i) {
    octet.before[i] = isInclusive ? decays[4 * n + i] : one;
    octet.after[i] = one;
  }
  if (isInclusive)
    multiply(diagonalMask, /*byAfter=*/false, /*byBefore=*/false);
  multiply(masks[0], /*byAfter=*/false, /*byBefore=*/isInclusive);
  for (int64_t r = 0; r < 2; ++r) {
    Value x = decays[4 * n + 2 * r], y = decays[4 * n + 2 * r + 1];
    octet.after[2 * r] = y;
    octet.total[r] = l.fmul(x, y);
    octet.before[2 * r + 1] = isInclusive ? octet.total[r] : x;
  }
  for (int64_t level = 1; level <= 2; ++level) {
    multiply(masks[level], /*byAfter=*/true, /*byBefore=*/true);
    for (int64_t r = 0; r < 2; ++r) {
      Value other = l.shuffle(NVVM::ShflKind::bfly, octet.total[r], l.i32(level));
      Value ofLeft = l.select(isLeft[level - 1], one, other), ofRight = l.select(isLeft[level - 1], other, one);
      for (int64_t i = 2 * r; i < 2 * r + 2; ++i) {
        octet.before[i] = l.fmul(octet.before[i], ofLeft);
        octet.after[i] = l.fmul(octet.after[i], ofRight);
      }
      octet.total[r] = l.fmul(octet.total[r], other);
    }
  }
}

void Tree::join(int64_t left, int64_t size) {
  int64_t right = left + size;
  SmallVector<Value> a;
  for (int64_t n = left; n < right; ++n)
    llvm::append_range(a, round(n, /*scaled=*/true));
  for (int64_t n = right; n < right + size; ++n)
    for (size_t which = 0; which < applied.size(); ++which) {
      Scalars weights = loadWeights(which, n, left / 4 * 4);
      addProduct(which, n, a, ArrayRef(weights).slice(left % 4, size), /*scaled=*/true);
    }
  Value totals[2][2];
  for (int64_t r = 0; r < 2; ++r) {
    totals[0][r] = octets[left].total[r];
    totals[1][r] = octets[right].total[r];
  }
  for (int64_t n = left; n < right + size; ++n)
    for (int64_t i = 0; i < 4; ++i) {
      Value &factor = n < right ? octets[n].after[i] : octets[n].before[i];
      factor = l.fmul(factor, totals[n < right][i / 2]);
    }
  for (int64_t r = 0; r < 2; ++r)
    octets[left].total[r] = l.fmul(totals[0][r], totals[1][r]);
}

void Tree::build() {
  for (int64_t n = 0; n < count; ++n) {
    makeLeaf(n);
    for (int64_t size = 1; (n + 1) % (2 * size) == 0 && 2 * size <= count; size *= 2)
      join(n + 1 - 2 * size, size);
  }
}

void Tree::setResults() {
  Scalars prefix, suffix;
  for (Octet &octet : octets) {
    prefix.append(std::begin(octet.before), std::end(octet.before));
    suffix.append(std::begin(octet.after), std::end(octet.after));
  }
  l.set(op.getPrefix(), std::move(prefix));
  l.set(op.getSuffix(), std::move(suffix));
  l.set(op.getTotal(), {octets[0].total[0], octets[0].total[1]});
  for (auto [result, scalars] : llvm::zip(op.getApplied(), applied))
    l.set(result, std::move(scalars));
}

LogicalResult rondo::tile::lower(DecayedApplyOp op, RoleLowering &l) {
  Tree tree(op, l);
  tree.build();
  tree.setResults();
  return success();
}
