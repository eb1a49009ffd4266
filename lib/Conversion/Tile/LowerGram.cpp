//===- LowerGram.cpp - Products of tokens, decayed channel by channel between them ------------------------------===//
//
// For a chunk of 64 tokens and a block of 64 channels, with decays d in [0, 1] and each query q,
//
//   P[t, s] += sum_r q[t, r] (product of d[u, r] over s < u < t) k[s, r]        for s < t
//
// by levels of a binary tree of tokens. Let h be the highest bit in which t > s differ: t is in the right half of a
// block of 2h tokens, s in its left half, and each pair of tokens belongs to one level h = 1, 2, .. 32. With
//
//   before_h[t] = product of d over the tokens of t's half before t,   after_h[s] = .. of s's half after s,
//
// P at level h is the product of the rows q before_h of right halves with the rows k after_h of left halves. Both are
// products over intervals of numbers <= 1: nothing is divided or subtracted, so any decay down to 0 is exact and
// nothing overflows. From one level to the next only the total of the sibling half comes in:
//
//   before_2h[t] = before_h[t] total(left half) in right halves,   after_2h[s] = after_h[s] total(right half) in left
//   ones.
//
// Who does it, of eight warps: tokens are held in octets, warp o the tokens 8o .. 8o+7, lane l the channels 2l, 2l+1.
//   * The diagonal and level 1 have no decays: f32 products in each thread, added over the lanes through the room.
//   * Levels 2 and 4 stay inside an octet. The four right and the four left rows of both make one 8x8 product for each
//     query, whose two diagonal 4x4 blocks count (for level 2, the two diagonal 2x2 blocks of that). Each warp does its
//     own octet, with the room that belongs to it.
//   * Levels 8, 16 and 32 (bits 0, 1, 2 of the octet's number): an octet is on one side of a level as a whole, so a
//     tile of 64 rows is the operand of a level for key and first query. After a barrier warps 0 .. 3 form the
//     32x32 products of level 32, a 16x16 tile each; of warps 4 .. 7 each forms an 8x8 product of level 8 and a 16x8
//     tile of level 16.
// Running products are f32 and rounded once, to the room's element type, as operands of mma.sync.
//
// Room: slabs of eight rows of 128 bytes, 16-byte units exchanged as in any swizzled tile, eight slabs to a tile. With
// n queries, all levels at once take 3 tiles and 12 (n - 1) slabs, that is 96 (n + 1) rows; in two passes (8 and 16,
// then 32; two more barriers) 2 tiles and 8 (n - 1) slabs, 64 (n + 1) rows.
//   * levels 2 and 4:   slab o of tile 0: left rows of octet o; slab o of tile 1: right rows, for one query at a time,
//                       or of halves those of others in tiles after all else, of 128 n rows. Rows 0-3 are of level 2,
//                       rows 4-7 of level 4. Before that in slabs o of tiles 0 and 1, f32: a row for each product of
//                       level 1 and of the diagonal.
//   * level 8, 16, 32:  slab o of the level's tile: octet o, key or first query. Four slabs for each other query after
//   the
//                       tiles: its right octets, in order.
// Levels 2 and 4 use rows that only their own warp writes or reads before the barrier, so they need no other one.
//
// A `#tile.gram` value is 16 numbers a thread that stand for sums: only linear operations may come before the store.
//   0 .. 7     warps 0 .. 3: two accumulators of level 32; 4 .. 7: one of level 16, then half of one of level 8
//   8, 9       row lane/4, columns 2 (lane%4) + 0, 1 of the product of levels 2 and 4
//   10         level 1 (lanes 0 .. 7) and the diagonal (8 .. 23) of this warp's tokens, two lanes' sums for each
//   11 .. 15   nothing
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Gram.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/SmallPtrSet.h"
#include <array>

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;
using namespace rondo::tile::gram;

using Predicate = arith::CmpIPredicate;

namespace {
/// One token in two neighbouring channels.
using Pair = std::array<Value, 2>;
/// What a thread holds of an operand: eight tokens.
using Octet = std::array<Pair, kOctet>;
} // namespace

//===----------------------------------------------------------------------------------------------------------------===//
// Small parts
//===----------------------------------------------------------------------------------------------------------------===//

static Octet toOctet(ArrayRef<Value> scalars) {
  Octet octet;
  for (int64_t u = 0; u < kOctet; ++u)
    octet[u] = {scalars[2 * u], scalars[2 * u + 1]};
  return octet;
}

static Pair multiply(Lowering &l, Pair x, Pair y) { return {l.fmul(x[0], y[0]), l.fmul(x[1], y[1])}; }

static Pair select(Lowering &l, Value condition, Pair x, Pair y) {
  return {l.select(condition, x[0], y[0]), l.select(condition, x[1], y[1])};
}

/// Products of neighbours: totals of blocks twice as long.
static SmallVector<Pair> multiplyNeighbours(Lowering &l, ArrayRef<Pair> totals) {
  SmallVector<Pair> doubled;
  for (size_t i = 0; i < totals.size(); i += 2)
    doubled.push_back(multiply(l, totals[i], totals[i + 1]));
  return doubled;
}

/// Whether bit `bit` of the octet's number is set.
static Value octetBit(Lowering &l, int64_t bit) {
  return l.compare(Predicate::ne, l.bitAnd(l.warp, int64_t(1) << bit), l.i32(0));
}

/// Where the total of this lane's channels in octet 0 is.
static Value totalsOfLane(Lowering &l, Value totals) { return l.gep(totals, l.shl(l.lane, 3)); }

/// The totals of the blocks of 8, 16, .. tokens next to the one that this octet is in: blocks of 2^bit octets.
static SmallVector<Pair> loadSiblings(Lowering &l, Value totals, int64_t count) {
  Value mine = totalsOfLane(l, totals);
  SmallVector<Pair> siblings;
  for (int64_t bit = 0; bit < count; ++bit) {
    int64_t size = int64_t(1) << bit;
    Value first = l.bitAnd(l.bitXor(l.warp, l.i32(size)), kWarps - size);
    Value pointer = l.gep(mine, l.shl(first, 8));
    SmallVector<Pair> parts;
    for (int64_t i = 0; i < size; ++i) {
      Scalars loaded = l.loadF32s(l.gep(pointer, 256 * i), 2);
      parts.push_back({loaded[0], loaded[1]});
    }
    while (parts.size() > 1)
      parts = multiplyNeighbours(l, parts);
    siblings.push_back(parts.front());
  }
  return siblings;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Barriers between operations
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// What an operation means for a buffer that is to be written next.
enum class Effect { None, Barrier, Read };
} // namespace

/// Whether on each way to `end` of `block` a barrier of the role comes after the last read.
static bool isBarrierLast(Block *block, Block::iterator end, function_ref<Effect(Operation *)> effect,
                          SmallPtrSetImpl<Block *> &loops) {
  while (end != block->begin()) {
    Operation *op = &*--end;
    if (Effect own = effect(op); own != Effect::None)
      return own == Effect::Barrier;
    auto nested = op->walk([&](Operation *inner) {
      return effect(inner) == Effect::Read ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (!nested.wasInterrupted())
      continue;
    // A loop that ends with a barrier: it may also have run not at all, so look further back as well.
    auto loop = dyn_cast<scf::ForOp>(op);
    if (!loop || !isBarrierLast(loop.getBody(), loop.getBody()->end(), effect, loops))
      return false;
  }
  Operation *parent = block->getParentOp();
  if (isa<RoleOp>(parent)) // Roles start after a barrier of the thread block.
    return true;
  if (isa<LoopLikeOpInterface>(parent) && loops.insert(block).second &&
      !isBarrierLast(block, block->end(), effect, loops))
    return false;
  return isBarrierLast(parent->getBlock(), parent->getIterator(), effect, loops);
}

static bool isBarrierLast(Operation *before, function_ref<Effect(Operation *)> effect) {
  SmallPtrSet<Block *, 4> loops;
  return isBarrierLast(before->getBlock(), before->getIterator(), effect, loops);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Factors
//===----------------------------------------------------------------------------------------------------------------===//

static bool isOctets(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa_and_nonnull<OctetsAttr>(tensor.getEncoding()) && tensor.getElementType().isF32() &&
         tensor.getShape() == ArrayRef<int64_t>({64, 64});
}

static bool isTotals(SharedType type) {
  return !type.getRing() && type.getElementType().isF32() && type.getShape() == ArrayRef<int64_t>({8, 64});
}

static LogicalResult verify(DecayedFactorsOp op, Lowering &l) {
  if (l.warps != kWarps)
    return op.emitOpError("is the work of eight warps; its role has ") << l.warps;
  if (!isOctets(op.getDecays().getType()))
    return op.emitOpError("takes a `tensor<64x64xf32, #tile.octets>`, not ") << op.getDecays().getType();
  if (!isTotals(op.getTotals().getType()))
    return op.emitOpError("writes the totals of octets to a `!tile.shared<8x64xf32>`, not ")
           << op.getTotals().getType();
  SharedType total = op.getTotal().getType();
  bool isPlain = !total.getRing() && total.getElementType().isF32() && total.getSlotBytes() % 256 == 0;
  if (!isPlain || total.getShape().size() > 2 || (total.getShape().size() == 2 && total.getShape()[0] > 2))
    return op.emitOpError("writes the total of the chunk to a `!tile.shared<Nxf32>`, N a multiple of 64, or the totals "
                          "of its halves to a `!tile.shared<2xNxf32>`, not ")
           << total;
  return success();
}

LogicalResult tile::lower(DecayedFactorsOp op, Lowering &l) {
  if (failed(verify(op, l)))
    return failure();
  Octet decays = toOctet(l.get(op.getDecays()));
  SmallVector<Pair> parts(decays.begin(), decays.end());
  while (parts.size() > 1)
    parts = multiplyNeighbours(l, parts);
  Pair own = parts.front();

  Value totals = l.getAddress(op.getTotals());
  if (!isBarrierLast(op, [](Operation *other) {
        if (isa<DecayedFactorsOp>(other))
          return Effect::Read;
        return isa<SyncOp, DecayedGramOp>(other) ? Effect::Barrier : Effect::None;
      }))
    l.sync();
  l.storeF32s({own[0], own[1]}, l.gep(totalsOfLane(l, totals), l.shl(l.warp, 8)));
  l.sync();

  SharedType totalType = op.getTotal().getType();
  bool halves = totalType.getShape().size() == 2 && totalType.getShape()[0] == 2;
  SmallVector<Pair> siblings = loadSiblings(l, totals, halves ? kOuterLevels - 1 : kOuterLevels);
  // The first octet of a half writes its total.
  l.ifThen(l.compare(Predicate::eq, halves ? l.bitAnd(l.warp, 3) : l.warp, l.i32(0)), [&] {
    Pair whole = own;
    for (Pair sibling : siblings)
      whole = multiply(l, whole, sibling);
    Value place = l.add(l.shl(l.getScalar(op.getOffset()), 2), l.shl(l.lane, 3));
    if (halves)
      place = l.add(place, l.mul(l.shr(l.warp, 2), totalType.getSlotBytes() / 2));
    l.storeF32s({whole[0], whole[1]}, l.gep(l.getAddress(op.getTotal()), place));
  });
  // Where the octet is the right one of its pair the sibling comes before it, else after it.
  Pair one = {l.f32(1), l.f32(1)}, before = one, after = one;
  for (auto [bit, sibling] : llvm::enumerate(siblings)) {
    Value right = octetBit(l, bit);
    Pair left = select(l, right, sibling, one), behind = select(l, right, one, sibling);
    before = bit == 0 ? left : multiply(l, before, left);
    after = bit == 0 ? behind : multiply(l, after, behind);
  }
  Scalars prefix(2 * kOctet), suffix(2 * kOctet);
  for (int64_t u = 0; u < kOctet; ++u) {
    int64_t last = kOctet - 1 - u;
    for (int64_t c = 0; c < 2; ++c) {
      prefix[2 * u + c] = before[c];
      suffix[2 * last + c] = after[c];
    }
    if (u + 1 < kOctet) {
      before = multiply(l, before, decays[u]);
      after = multiply(l, after, decays[last]);
    }
  }
  l.set(op.getPrefix(), std::move(prefix));
  l.set(op.getSuffix(), std::move(suffix));
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Gram
//===----------------------------------------------------------------------------------------------------------------===//

static LogicalResult verify(DecayedGramOp op, Lowering &l) {
  if (l.warps != kWarps)
    return op.emitOpError("is the work of eight warps; its role has ") << l.warps;
  int64_t count = op.getQueries().size();
  if (count == 0 || int64_t(op.getAccumulators().size()) != count || int64_t(op.getResults().size()) != count ||
      int64_t(op.getDiagonals().size()) > count)
    return op.emitOpError("has an accumulator and a result for each query, and at most as many diagonals");
  SmallVector<Value> octets = {op.getKey(), op.getDecays()};
  llvm::append_range(octets, op.getQueries());
  llvm::append_range(octets, op.getDiagonals());
  for (Value value : octets)
    if (!isOctets(value.getType()))
      return op.emitOpError("takes `tensor<64x64xf32, #tile.octets>`, not ") << value.getType();
  if (!isTotals(op.getTotals().getType()))
    return op.emitOpError("reads the totals of octets from a `!tile.shared<8x64xf32>`, not ")
           << op.getTotals().getType();
  auto layout = cast<GramAttr>(cast<RankedTensorType>(op.getResults()[0].getType()).getEncoding());
  for (Value value : op.getAccumulators())
    if (value.getType() != op.getResults()[0].getType())
      return op.emitOpError("adds to and gives values of one layout");
  if (layout.getSpan() != 64 && layout.getSpan() != 32)
    return op.emitOpError("multiplies tokens of the whole chunk of 64 or of its halves of 32, not of ")
           << layout.getSpan();
  SharedType room = op.getRoom().getType();
  int64_t least = 64 * (count + 1), all = layout.getSpan() == 32 ? least : 96 * (count + 1);
  if (room.getRing() || !room.isSwizzled() || room.getSlotBytes() < least * kRowBytes)
    return op.emitOpError("with ") << count << " queries needs `!tile.shared<" << all
                                   << "x64xbf16>` as room, or at least " << least << " rows to work in two passes, not "
                                   << room;
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Stores beside a gram
//===----------------------------------------------------------------------------------------------------------------===//
//
// A state's role reads the same operands times the decays to the ends of the chunk: prefix and suffix of
// `tile.decayed_factors`. Within an octet those are the running products that the gram ends with; so it makes the
// stores of `truncf (query * prefix)` and `truncf (key * suffix)` that stand in its block, and the factors' own
// products are dead code.

/// The query or key of which `store` stores a product with a prefix or suffix; null: it does something else.
static Value getDecayedOperand(StoreOp store) {
  auto narrow = store.getValue().getDefiningOp<arith::TruncFOp>();
  auto product = narrow && narrow->hasOneUse() ? narrow.getIn().getDefiningOp<arith::MulFOp>() : arith::MulFOp();
  if (!product || !product->hasOneUse() || store.getTransposed())
    return {};
  for (auto [value, factor] : {std::pair(product.getLhs(), product.getRhs()), {product.getRhs(), product.getLhs()}})
    if (factor.getDefiningOp<DecayedFactorsOp>())
      return value;
  return {};
}

/// Whether nothing between two operations of a block minds that a store to `buffer` moves from one to the other.
static bool mayMoveBetween(Operation *one, Operation *two, Value buffer) {
  if (one->getBlock() != two->getBlock())
    return false;
  auto rootOf = [](Value value) {
    while (isa_and_nonnull<SlotOp, BlockOp, WindowOp>(value.getDefiningOp()))
      value = value.getDefiningOp()->getOperand(0);
    return value;
  };
  if (two->isBeforeInBlock(one))
    std::swap(one, two);
  for (Operation *between = one->getNextNode(); between != two; between = between->getNextNode()) {
    if (isa<DecayedGramOp, DecayedFactorsOp, SlotOp, BlockOp, WindowOp>(between) ||
        isa_and_nonnull<arith::ArithDialect, math::MathDialect>(between->getDialect()))
      continue;
    if (isa<LoadOp, StoreOp>(between) &&
        llvm::none_of(between->getOperands(), [&](Value other) { return rootOf(other) == rootOf(buffer); }))
      continue;
    return false;
  }
  return true;
}

void tile::planGramStores(RoleOp role, Lowering &l) {
  role.walk([&](StoreOp store) {
    Value operand = getDecayedOperand(store);
    if (!operand || !store.getBuffer().getType().isSwizzled() || store.getBuffer().getType().isWindow())
      return;
    auto product = store.getValue().getDefiningOp()->getOperand(0).getDefiningOp();
    Value factor = product->getOperand(product->getOperand(0) == operand ? 1 : 0);
    auto factors = factor.getDefiningOp<DecayedFactorsOp>();
    bool isPrefix = factor == factors.getPrefix();
    bool halves =
        factors.getTotal().getType().getShape().size() == 2 && factors.getTotal().getType().getShape()[0] == 2;
    for (Operation *user : operand.getUsers()) {
      auto gram = dyn_cast<DecayedGramOp>(user);
      // The buffer must be there when the gram comes.
      Operation *buffer = store.getBuffer().getDefiningOp();
      bool isThere = !buffer || buffer->getBlock() != user->getBlock() || buffer->isBeforeInBlock(user);
      if (!gram || gram.getDecays() != factors.getDecays() || gram.getTotals() != factors.getTotals() || !isThere ||
          isInHalves(gram.getResults()[0]) != halves || (operand == gram.getKey()) == isPrefix ||
          (isPrefix && !llvm::is_contained(gram.getQueries(), operand)) ||
          !mayMoveBetween(store, gram, store.getBuffer()))
        continue;
      l.storesOfGram[gram].push_back(store);
      l.madeElsewhere.insert(store);
      return;
    }
  });
}

//===----------------------------------------------------------------------------------------------------------------===//
// One gram
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// A place in the room that depends on the warp: bytes, `base` being a multiple of a slab.
struct Slab {
  Value base;
  int64_t offset;
};

/// The lowering of one `tile.decayed_gram`.
class Gram {
public:
  Gram(DecayedGramOp op, Lowering &l);
  void lower();

private:
  // Operands.
  Value row(int64_t u, Value slab) { return row(room, u, slab); }
  Value row(Value base, int64_t u, Value slab);
  void store(Pair value, Value row, int64_t offset);
  void doubleBlocks(Octet &operand, bool isRead, int64_t size, ArrayRef<Pair> totals);
  void storeInner(Octet &operand, bool isRead, int64_t tile);
  void storeLevel(int64_t bit);
  void storeDecayed(StoreOp store);

  // Products.
  Value unitsOfLane(Value unit);
  Scalars load(Slab slab, Value units, int64_t step);
  SmallVector<Scalars> loadColumns(Slab slab);
  void addSlabs(Slab right, ArrayRef<Scalars> left, Value *target);
  /// Sums of level 1 and on the diagonal.
  int64_t rowsOf(int64_t query) { return kLevel1Rows + (query < int64_t(op.getDiagonals().size()) ? kOctet : 0); }
  void addNeighbours();
  void addNeighbours(int64_t first, int64_t last, int64_t rows);
  void addInner();
  Slab getRight(int64_t query, int64_t bit, Slab first, Value rank);
  Scalars addLevel32();
  Scalars addLevels8And16(bool has8, bool has16);

  DecayedGramOp op;
  Lowering &l;
  int64_t queries;
  /// Without level 32.
  bool halves;
  Type element;
  Value room;
  /// Times the running products.
  Octet key;
  SmallVector<Octet> reads;
  SmallVector<Pair> decays, siblings;
  /// Of each query.
  SmallVector<Scalars> sums;
  /// The outer levels that are in the room at the same time.
  SmallVector<int64_t> pass;
  /// Byte offsets of this warp's slab in a tile.
  Value own;
  /// Offsets of this lane's row for ldmatrix: four units of a slab as the right operand of two k steps; the same as the
  /// left operand, one k step in the upper and one in the lower half of the rows; two units of two slabs as left and as
  /// right operand of a k step.
  Value columnUnits, rowUnits, rowSlabs, columnSlabs;
};
} // namespace

Gram::Gram(DecayedGramOp op, Lowering &l)
    : op(op), l(l), queries(op.getQueries().size()), halves(isInHalves(op.getResults()[0])),
      element(op.getRoom().getType().getElementType()), room(l.getAddress(op.getRoom())),
      key(toOctet(l.get(op.getKey()))) {
  Octet octet = toOctet(l.get(op.getDecays()));
  decays.assign(octet.begin(), octet.end());
  for (auto [query, accumulator] : llvm::zip_equal(op.getQueries(), op.getAccumulators())) {
    reads.push_back(toOctet(l.get(query)));
    sums.emplace_back(l.get(accumulator));
  }
  own = l.shl(l.warp, 10);
  Value low = l.bitAnd(l.shr(l.lane, 3), 1), high = l.shr(l.lane, 4);
  columnUnits = unitsOfLane(l.shr(l.lane, 3));
  rowUnits = unitsOfLane(l.add(l.shl(low, 1), high));
  rowSlabs = l.add(unitsOfLane(high), l.shl(low, 10));
  columnSlabs = l.add(unitsOfLane(low), l.shl(high, 10));
}

void Gram::lower() {
  ArrayRef<StoreOp> stores = l.storesOfGram[op];
  // Up to the ends of the chunk (or half), or to the middle of the largest block.
  int64_t levels = halves ? kOuterLevels - 1 : kOuterLevels;
  siblings = loadSiblings(l, l.getAddress(op.getTotals()), stores.empty() ? levels - 1 : levels);
  addNeighbours();
  addInner();
  SmallVector<SmallVector<int64_t>> passes = {{0, 1, 2}};
  if (halves)
    passes = {{0, 1}};
  else if (op.getRoom().getType().getSlotBytes() < 96 * (queries + 1) * kRowBytes)
    passes = {{0, 1}, {2}};
  for (auto [i, levels] : llvm::enumerate(passes)) {
    if (i != 0)
      l.sync();
    pass = levels;
    for (int64_t bit : pass)
      storeLevel(bit);
    if (i + 1 == passes.size())
      for (StoreOp store : stores)
        storeDecayed(store);
    l.sync();
    auto keep = [&] {
      Scalars kept;
      for (Scalars &query : sums)
        llvm::append_range(kept, ArrayRef(query).take_front(kOuter));
      return kept;
    };
    Scalars outer = choose(
        l, l.compare(Predicate::ult, l.warp, l.i32(4)), kOuter * queries,
        [&] {
          if (halves)
            return addLevels8And16(/*has8=*/true, /*has16=*/false);
          return pass.back() == 2 ? addLevel32() : keep();
        },
        [&] { return pass.front() == 0 ? addLevels8And16(/*has8=*/!halves, /*has16=*/true) : keep(); });
    for (auto [query, values] : llvm::enumerate(sums))
      llvm::copy(ArrayRef(outer).slice(query * kOuter, kOuter), values.begin());
  }
  for (auto [result, values] : llvm::zip_equal(op.getResults(), sums))
    l.set(result, values);
}

//===--- Operands -------------------------------------------------------------------------------------------------===//

/// This lane's channels of row `u` of a slab, without the row's 128 u bytes: the same for all slabs of a tile, so that
/// tile and row are constants in the address.
Value Gram::row(Value base, int64_t u, Value slab) {
  Value unit = l.bitXor(l.shr(l.lane, 2), l.i32(u));
  Value place = l.add(l.add(slab, l.shl(unit, 4)), l.shl(l.bitAnd(l.lane, 3), 2));
  return l.gep(base, place);
}

void Gram::store(Pair value, Value row, int64_t offset) {
  l.storeI32(l.pack(value[0], value[1], element), l.gep(row, offset));
}

/// From running products in blocks of `size` tokens to blocks twice as long, inside an octet.
void Gram::doubleBlocks(Octet &operand, bool isRead, int64_t size, ArrayRef<Pair> totals) {
  for (int64_t u = 0; u < kOctet; ++u) {
    int64_t block = u / size;
    if ((block % 2 == 1) == isRead)
      operand[u] = multiply(l, operand[u], totals[isRead ? block - 1 : block + 1]);
  }
}

/// Running products up to level 8, with the rows of levels 2 and 4 to this warp's slab of the tile at byte `tile`.
void Gram::storeInner(Octet &operand, bool isRead, int64_t tile) {
  SmallVector<Pair> totals = decays;
  for (int64_t size = 1; size < kOctet; size *= 2) {
    doubleBlocks(operand, isRead, size, totals);
    totals = multiplyNeighbours(l, totals);
    int64_t level = 2 * size;
    if (level == kOctet)
      break;
    for (int64_t u = 0; u < kOctet; ++u)
      if (((u & level) != 0) == isRead) {
        int64_t place = (level == 4 ? 4 : 0) + u / (2 * level) * level + u % level;
        store(operand[u], row(place, own), tile + place * kRowBytes);
      }
  }
}

/// The rows of an outer level, times the product over the octets between them and the middle of their block.
void Gram::storeLevel(int64_t bit) {
  Value right = octetBit(l, bit);
  // The sibling of size 2^j octets lies between where the octet's side at j is that at `bit`.
  std::optional<Pair> between;
  Pair one = {l.f32(1), l.f32(1)};
  for (int64_t j = 0; j < bit; ++j) {
    Value different = l.bitAnd(l.bitXor(l.shr(l.warp, j), l.shr(l.warp, bit)), 1);
    Value lies = l.compare(Predicate::eq, different, l.i32(0));
    Pair factor = select(l, lies, siblings[j], one);
    between = between ? multiply(l, *between, factor) : factor;
  }
  int64_t index = bit - pass.front();
  auto storeRows = [&](const Octet &operand, Value slab, int64_t offset) {
    for (int64_t u = 0; u < kOctet; ++u)
      store(between ? multiply(l, operand[u], *between) : operand[u], row(u, slab), offset + u * kRowBytes);
  };
  choose(
      l, right, 0,
      [&]() -> Scalars {
        storeRows(reads.front(), own, index * kTileBytes);
        // Its rank among the right octets: the number without the bit.
        Value low = l.bitAnd(l.warp, (int64_t(1) << bit) - 1), rank = l.add(l.shl(l.shr(l.warp, bit + 1), bit), low);
        for (int64_t query = 1; query < queries; ++query)
          storeRows(reads[query], l.shl(rank, 10), getRight(query, bit, {}, {}).offset);
        return {};
      },
      [&]() -> Scalars {
        storeRows(key, own, index * kTileBytes);
        return {};
      });
}

/// A read times the decays before its octet back to the start of the chunk (or half), or the key times those after it
/// to the end.
void Gram::storeDecayed(StoreOp store) {
  Value operand = getDecayedOperand(store);
  bool isRead = operand != op.getKey();
  Octet octet = key;
  for (auto [i, query] : llvm::enumerate(op.getQueries()))
    if (query == operand)
      octet = reads[i];
  std::optional<Pair> outside;
  Pair one = {l.f32(1), l.f32(1)};
  for (auto [bit, sibling] : llvm::enumerate(siblings)) {
    Value right = octetBit(l, bit);
    Pair factor = isRead ? select(l, right, sibling, one) : select(l, right, one, sibling);
    outside = outside ? multiply(l, *outside, factor) : factor;
  }
  Value buffer = l.getAddress(store.getBuffer());
  Type element = store.getBuffer().getType().getElementType();
  for (int64_t u = 0; u < kOctet; ++u) {
    Pair value = multiply(l, octet[u], *outside);
    l.storeI32(l.pack(value[0], value[1], element), l.gep(row(buffer, u, own), u * kRowBytes));
  }
}

//===--- Products -------------------------------------------------------------------------------------------------===//

/// Offset of the row that this lane names to ldmatrix: row lane % 8 of its matrix, at 16-byte unit `unit`.
Value Gram::unitsOfLane(Value unit) {
  Value row = l.bitAnd(l.lane, 7);
  return l.add(l.shl(row, 7), l.shl(l.bitXor(unit, row), 4));
}

/// ldmatrix, `step` units further.
Scalars Gram::load(Slab slab, Value units, int64_t step) {
  Value offset = l.add(step == 0 ? units : l.bitXor(units, l.i32(step * 16)), slab.base);
  return l.ldmatrix(l.gep(l.gep(room, offset), slab.offset), /*transposed=*/false);
}

/// Eight rows as right operand: registers 2i and 2i + 1 of j are those of k step 2j + i.
SmallVector<Scalars> Gram::loadColumns(Slab slab) { return {load(slab, columnUnits, 0), load(slab, columnUnits, 4)}; }

/// The product of two slabs, added to its row lane/4, columns 2 (lane%4) + 0, 1. One register operand holds two k
/// steps, in its upper and lower eight rows; the other half of each product is of no meaning.
void Gram::addSlabs(Slab right, ArrayRef<Scalars> left, Value *target) {
  Scalars upper = {target[0], target[1], l.f32(0), l.f32(0)}, lower;
  for (int64_t i = 0; i < 2; ++i) {
    Scalars a = load(right, rowUnits, 4 * i);
    upper = l.mmaSync(a, ArrayRef(left[i]).take_front(2), upper, element);
    lower = l.mmaSync(a, ArrayRef(left[i]).take_back(2), lower, element);
  }
  target[0] = l.fadd(upper[0], lower[2]);
  target[1] = l.fadd(upper[1], lower[3]);
}

/// Diagonal and level 1. Each thread has its channels' part of 12 (4) sums, one a row of the room: two lanes add up the
/// 32 parts of a row, of up to 16 rows at a time. Shuffles would do as well; but ptxas moves those to the end, and
/// keeps the parts in registers.
void Gram::addNeighbours() {
  for (int64_t first = 0, last; first < queries; first = last) {
    int64_t rows = 0;
    for (last = first; last < queries && rows + rowsOf(last) <= 2 * kOctet; ++last)
      rows += rowsOf(last);
    addNeighbours(first, last, rows);
  }
}

void Gram::addNeighbours(int64_t first, int64_t last, int64_t rows) {
  auto dot = [&](Pair x, Pair y) -> Value { return LLVM::FMAOp::create(l.b, x[1], y[1], l.fmul(x[0], y[0])); };
  Value lane = l.gep(room, l.add(own, l.shl(l.lane, 2)));
  int64_t next = 0;
  auto store = [&](Value part) {
    l.storeF32s(part, l.gep(lane, next / kOctet * kTileBytes + next % kOctet * kRowBytes));
    ++next;
  };
  for (int64_t query = first; query < last; ++query) {
    for (int64_t i = 0; i < kLevel1Rows; ++i)
      store(dot(reads[query][2 * i + 1], key[2 * i]));
    if (query < int64_t(op.getDiagonals().size())) {
      Octet diagonal = toOctet(l.get(op.getDiagonals()[query]));
      for (int64_t u = 0; u < kOctet; ++u)
        store(dot(diagonal[u], key[u]));
    }
  }
  l.syncWarp();
  // Lanes beyond the last row repeat others. The order of the 16-byte units differs from row to row: no bank conflicts.
  Value row = l.shr(l.lane, 1);
  if (rows <= kOctet / 2)
    row = l.bitAnd(row, kLevel1Rows - 1);
  else if (rows < 2 * kOctet)
    row = l.select(l.compare(Predicate::ult, row, l.i32(rows)), row, l.bitAnd(row, 7));
  Value unit = l.add(l.shl(l.bitAnd(l.lane, 1), 2), l.bitAnd(row, 3));
  Value place = l.add(l.shl(l.bitAnd(row, kOctet - 1), 7), l.mul(l.shr(row, 3), kTileBytes));
  place = l.add(place, own);
  Value sum;
  for (int64_t step = 0; step < 4; ++step) {
    Value offset = l.add(place, l.shl(l.bitXor(unit, l.i32(step)), 4));
    Scalars parts = l.loadF32s(l.gep(room, offset), 4);
    Value four = l.fadd(l.fadd(parts[0], parts[1]), l.fadd(parts[2], parts[3]));
    sum = sum ? l.fadd(sum, four) : four;
  }
  int64_t before = 0;
  for (int64_t query = first; query < last; ++query) {
    Value own = sum, &target = sums[query][kNeighbours];
    // The rows of later queries come from later lanes.
    if (before != 0)
      own = l.shuffle(NVVM::ShflKind::idx, sum, l.bitAnd(l.add(l.lane, 2 * before), 31));
    // Without a diagonal its lanes keep what they have.
    Value isRow = l.compare(Predicate::ult, l.lane, l.i32(2 * kLevel1Rows));
    Value added = l.fadd(target, own);
    target = rowsOf(query) > kLevel1Rows ? added : l.select(isRow, added, target);
    before += rowsOf(query);
  }
  l.syncWarp();
}

/// Levels 2 and 4, in rows of the room that no other warp touches before the next barrier.
void Gram::addInner() {
  // Right rows of each query in a tile of their own, where there is room.
  int64_t all = (queries + 1) * kTileBytes;
  bool atOnce = halves && op.getRoom().getType().getSlotBytes() >= all + (queries - 1) * kTileBytes;
  auto tileOf = [&](int64_t query) { return query == 0 || !atOnce ? kTileBytes : all + (query - 1) * kTileBytes; };
  storeInner(key, /*isRead=*/false, 0);
  SmallVector<Scalars> left;
  for (int64_t first = 0, step = atOnce ? queries : 1; first < queries; first += step) {
    for (int64_t query = first; query < first + step; ++query)
      storeInner(reads[query], /*isRead=*/true, tileOf(query));
    l.syncWarp();
    if (left.empty())
      left = loadColumns({own, 0});
    for (int64_t query = first; query < first + step; ++query)
      addSlabs({own, tileOf(query)}, left, &sums[query][kInner]);
    l.syncWarp();
  }
}

/// Rows of right octets: of the first query in the level's tile, of others after the tiles by rank.
Slab Gram::getRight(int64_t query, int64_t bit, Slab first, Value rank) {
  if (query == 0)
    return first;
  int64_t levels = pass.size(), index = bit - pass.front();
  return {rank, levels * kTileBytes + ((query - 1) * levels + index) * 4 * kSlabBytes};
}

/// Warps 0 .. 3: 16 rows of right octets (two of them from 2 (warp / 2) on) by 16 of left ones.
Scalars Gram::addLevel32() {
  Value rank = l.shl(l.shr(l.warp, 1), 11), column = l.shl(l.bitAnd(l.warp, 1), 11);
  int64_t tile = (2 - pass.front()) * kTileBytes;
  Scalars results;
  for (Scalars &query : sums)
    llvm::append_range(results, ArrayRef(query).take_front(kOuter));
  for (int64_t step = 0; step < 4; ++step) {
    Scalars x = load({column, tile}, columnSlabs, 2 * step);
    for (int64_t query = 0; query < queries; ++query) {
      Scalars a = load(getRight(query, 2, {rank, tile + 4 * kSlabBytes}, rank), rowSlabs, 2 * step);
      for (int64_t half = 0; half < 2; ++half) {
        Value *target = &results[query * kOuter + 4 * half];
        llvm::copy(l.mmaSync(a, ArrayRef(x).slice(2 * half, 2), ArrayRef(target, 4), element), target);
      }
    }
  }
  return results;
}

/// Warps 4 .. 7, i = 0 .. 3 of them: level 16 in the half of 32 tokens i / 2, left octet i % 2; level 8 in block i
/// of 16.
Scalars Gram::addLevels8And16(bool has8, bool has16) {
  Value i = l.bitAnd(l.warp, 3);
  Scalars results;
  for (Scalars &query : sums)
    llvm::append_range(results, ArrayRef(query).take_front(kOuter));
  if (has16) {
    Value half = l.shr(i, 1), side = l.bitAnd(i, 1), wide = l.shl(half, 12);
    int64_t tile = (1 - pass.front()) * kTileBytes;
    SmallVector<Scalars> left = loadColumns({l.add(wide, l.shl(side, 10)), tile});
    for (int64_t query = 0; query < queries; ++query) {
      Value *target = &results[query * kOuter];
      for (int64_t step = 0; step < 4; ++step) {
        Scalars a = load(getRight(query, 1, {wide, tile + 2 * kSlabBytes}, l.shl(half, 11)), rowSlabs, 2 * step);
        ArrayRef<Value> x = ArrayRef(left[step / 2]).slice(step % 2 * 2, 2);
        llvm::copy(l.mmaSync(a, x, ArrayRef(target, 4), element), target);
      }
    }
  }
  if (has8) {
    Value block = l.shl(i, 11);
    SmallVector<Scalars> left = loadColumns({block, 0});
    for (int64_t query = 0; query < queries; ++query)
      addSlabs(getRight(query, 0, {block, kSlabBytes}, l.shl(i, 10)), left,
               &results[query * kOuter + (halves ? 0 : kOuter / 2)]);
  }
  return results;
}

LogicalResult tile::lower(DecayedGramOp op, Lowering &l) {
  if (failed(verify(op, l)))
    return failure();
  if (!isBarrierLast(op, [](Operation *other) {
        if (isa<DecayedGramOp>(other))
          return Effect::Read;
        return isa<SyncOp, DecayedFactorsOp>(other) ? Effect::Barrier : Effect::None;
      }))
    l.sync();
  Gram(op, l).lower();
  return success();
}
