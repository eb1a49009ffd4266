//===- LowerTime.cpp - Running products, recurrences and interval decays in a warp ------------------------------===//
//
// Vectors along time lie in the lanes of a warp: lane l holds the E = C/32 entries l E .. l E + E - 1, every warp of
// the role a copy. What runs along time is a fold inside each thread and a tree of shuffles over the lanes. Only
// products over intervals are formed: no logarithm, no quotient, no difference, so a decay of 0 is exact.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

using Predicate = arith::CmpIPredicate;

static constexpr int64_t kLanes = 32;

/// Refuses a vector that does not lie along the lanes of a warp.
static LogicalResult verifyLanes(Operation *op, Value vector) {
  auto type = cast<RankedTensorType>(vector.getType());
  if (type.getRank() == 1 && isa_and_nonnull<LanesAttr>(type.getEncoding()) && type.getElementType().isF32() &&
      type.getDimSize(0) % kLanes == 0)
    return success();
  return op->emitOpError("works along the lanes of a warp: give it a `tensor<Nxf32, #tile.lanes>`, N a multiple of 32, "
                         "instead of ")
         << type;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------------------------------------------------===//

/// The product of the scalars of one thread.
static Value productOf(Lowering &l, ArrayRef<Value> scalars) {
  Value product = scalars.front();
  for (Value scalar : scalars.drop_front())
    product = l.fmul(product, scalar);
  return product;
}

/// Whether this lane has a neighbour `distance` lanes before it (after it where `suffix`).
static Value hasNeighbour(Lowering &l, int64_t distance, bool suffix) {
  return suffix ? l.compare(Predicate::ult, l.lane, l.i32(kLanes - distance))
                : l.compare(Predicate::uge, l.lane, l.i32(distance));
}

static Value fromNeighbour(Lowering &l, Value value, int64_t distance, bool suffix) {
  return l.shuffle(suffix ? NVVM::ShflKind::down : NVVM::ShflKind::up, value, l.i32(distance));
}

LogicalResult tile::lower(CumprodOp op, Lowering &l) {
  if (failed(verifyLanes(op, op.getOperand())))
    return failure();
  bool suffix = op.getSuffix();
  Scalars entries(l.get(op.getOperand()));
  // The product of the lanes before this one: shifted by one lane, then an inclusive scan.
  Value one = l.f32(1);
  Value running = l.select(hasNeighbour(l, 1, suffix), fromNeighbour(l, productOf(l, entries), 1, suffix), one);
  for (int64_t distance = 1; distance < kLanes; distance *= 2) {
    Value earlier = fromNeighbour(l, running, distance, suffix);
    running = l.fmul(running, l.select(hasNeighbour(l, distance, suffix), earlier, one));
  }
  // Then entry by entry inside the thread, each excluded from its own product.
  Scalars result(entries.size());
  for (size_t step = 0, size = entries.size(); step < size; ++step) {
    size_t i = suffix ? size - 1 - step : step;
    result[i] = running;
    if (step + 1 < size)
      running = l.fmul(running, entries[i]);
  }
  l.set(op.getResult(), std::move(result));
  return success();
}

LogicalResult tile::lower(TotalOp op, Lowering &l) {
  if (failed(verifyLanes(op, op.getOperand())))
    return failure();
  // Both lanes of an exchange form the same product, so all lanes end with the same bits.
  Value product = productOf(l, l.get(op.getOperand()));
  for (int64_t distance = 1; distance < kLanes; distance *= 2)
    product = l.fmul(product, l.shuffle(NVVM::ShflKind::bfly, product, l.i32(distance)));
  l.set(op.getResult(), {product});
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Recurrences
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// Maps x -> a x + b (affine) or x -> max(a + x, b) (maxplus).
struct Recurrence {
  Lowering &l;
  ScanKind kind;

  struct Map {
    Value a, b;
  };

  Map identity() const { return kind == ScanKind::affine ? Map{l.f32(1), l.f32(0)} : Map{l.f32(0), l.f32(-INFINITY)}; }
  Value apply(Map map, Value x) const {
    if (kind == ScanKind::affine)
      return LLVM::FMAOp::create(l.b, map.a, x, map.b);
    return arith::MaximumFOp::create(l.b, l.fadd(map.a, x), map.b);
  }
  /// First `earlier`, then `later`.
  Map compose(Map earlier, Map later) const {
    Value a = kind == ScanKind::affine ? l.fmul(earlier.a, later.a) : l.fadd(earlier.a, later.a);
    return {a, apply(later, earlier.b)};
  }
  Map select(Value condition, Map x, Map y) const {
    return {l.select(condition, x.a, y.a), l.select(condition, x.b, y.b)};
  }
  Map fromLaneBefore(Map map, int64_t distance) const {
    return {fromNeighbour(l, map.a, distance, /*suffix=*/false), fromNeighbour(l, map.b, distance, /*suffix=*/false)};
  }
};
} // namespace

LogicalResult tile::lower(ScanOp op, Lowering &l) {
  if (failed(verifyLanes(op, op.getA())))
    return failure();
  Recurrence r{l, op.getKind()};
  Recurrence::Map identity = r.identity();
  ArrayRef<Value> a = l.get(op.getA()), b = l.get(op.getB());
  int64_t size = a.size();
  Value initial = l.getScalar(op.getInitial()), count = l.getScalar(op.getCount());

  // Tokens from `count` on leave x as it is: the last entry of the last lane is then x_{count-1}.
  SmallVector<Recurrence::Map> maps;
  Value first = l.mul(l.lane, size);
  for (int64_t i = 0; i < size; ++i)
    maps.push_back(r.select(l.compare(Predicate::slt, l.add(first, i), count), {a[i], b[i]}, identity));

  // What the lanes before this one do.
  Recurrence::Map running = maps.front();
  for (const Recurrence::Map &map : ArrayRef(maps).drop_front())
    running = r.compose(running, map);
  running = r.select(hasNeighbour(l, 1, false), r.fromLaneBefore(running, 1), identity);
  for (int64_t distance = 1; distance < kLanes; distance *= 2) {
    Recurrence::Map longer = r.compose(r.fromLaneBefore(running, distance), running);
    running = r.select(hasNeighbour(l, distance, false), longer, running);
  }

  // Then token by token inside the thread.
  Value x = r.apply(running, initial);
  Scalars before, after;
  for (const Recurrence::Map &map : maps) {
    before.push_back(x);
    x = r.apply(map, x);
    after.push_back(x);
  }
  l.set(op.getBefore(), std::move(before));
  l.set(op.getAfter(), std::move(after));
  l.set(op.getLast(), {l.shuffle(NVVM::ShflKind::idx, x, l.i32(kLanes - 1))});
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Products between every two tokens
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// Tables `2 x levels x chunk` of f32: prefixes (0) and suffixes (1) of each level.
struct IntervalTables {
  int64_t chunk, levels;

  int64_t getOffset(int64_t side, int64_t level) const { return 4 * chunk * (side * levels + level); }
  int64_t getLevelBytes() const { return 4 * chunk; }
};
} // namespace

static FailureOr<IntervalTables> getTables(Operation *op, SharedType type, int64_t chunk) {
  IntervalTables tables{chunk, llvm::Log2_64_Ceil(chunk)};
  if (llvm::isPowerOf2_64(chunk) && type.getElementType().isF32() && !type.getRing() &&
      type.getShape() == ArrayRef<int64_t>({2, tables.levels, chunk}))
    return tables;
  if (!llvm::isPowerOf2_64(chunk))
    return op->emitOpError("halves the chunk down to single tokens: its size must be a power of two, not ") << chunk;
  return op->emitOpError("needs tables `!tile.shared<2x")
         << tables.levels << "x" << chunk << "xf32>` for a chunk of " << chunk << " tokens, not " << type;
}

LogicalResult tile::lower(IntervalTablesOp op, Lowering &l) {
  if (failed(verifyLanes(op, op.getDecays())))
    return failure();
  FailureOr<IntervalTables> tables =
      getTables(op, op.getTables().getType(), cast<RankedTensorType>(op.getDecays().getType()).getDimSize(0));
  if (failed(tables))
    return failure();
  Scalars decays(l.get(op.getDecays()));
  Value address = l.getAddress(op.getTables());
  int64_t size = decays.size();

  auto write = [&] {
    Value here = l.gep(address, l.mul(l.lane, 4 * size));
    Value one = l.f32(1);
    // Of each entry of this thread at the present level, and the product of the block of each entry.
    Scalars prefixes(size, one), suffixes(size, one), totals = decays;
    for (int64_t level = 0; level < tables->levels; ++level) {
      l.storeF32s(prefixes, l.gep(here, tables->getOffset(0, level)));
      l.storeF32s(suffixes, l.gep(here, tables->getOffset(1, level)));
      // Two blocks of 2^level tokens become one: the right one's prefixes have the left one's product before them, the
      // left one's suffixes the right one's after them.
      int64_t block = int64_t(1) << level;
      if (level + 1 == tables->levels)
        break;
      if (block < size) { // both in this thread
        Scalars whole(size);
        for (int64_t i = 0; i < size; ++i) {
          if (i & block)
            prefixes[i] = l.fmul(prefixes[i], totals[i ^ block]);
          else
            suffixes[i] = l.fmul(suffixes[i], totals[i ^ block]);
          whole[i] = i & block ? whole[i ^ block] : l.fmul(totals[i], totals[i ^ block]);
        }
        totals = whole;
        continue;
      }
      int64_t distance = block / size;
      Value sibling = l.shuffle(NVVM::ShflKind::bfly, totals.front(), l.i32(distance));
      Value isLeft = l.compare(Predicate::eq, l.bitAnd(l.lane, distance), l.i32(0));
      Value before = l.select(isLeft, one, sibling), after = l.select(isLeft, sibling, one);
      for (int64_t i = 0; i < size; ++i) {
        prefixes[i] = l.fmul(prefixes[i], before);
        suffixes[i] = l.fmul(suffixes[i], after);
      }
      totals.assign(size, l.fmul(totals.front(), sibling));
    }
  };
  if (l.warps == 1)
    write();
  else
    l.ifThen(l.compare(Predicate::eq, l.warp, l.i32(0)), write);
  return success();
}

namespace {
/// A small square matrix of one token; entries that are 0 whatever the data are null.
struct SmallMatrix {
  int64_t n;
  SmallVector<Value, 4> entries;

  static SmallMatrix identity(int64_t n, Value one) {
    SmallMatrix result{n, SmallVector<Value, 4>(n * n)};
    for (int64_t a = 0; a < n; ++a)
      result.entries[a * n + a] = one;
    return result;
  }
  /// `one` is the factor that changes nothing.
  static SmallMatrix multiply(Lowering &l, const SmallMatrix &later, const SmallMatrix &earlier, Value one) {
    SmallMatrix result{later.n, SmallVector<Value, 4>(later.n * later.n)};
    for (int64_t a = 0; a < later.n; ++a)
      for (int64_t b = 0; b < later.n; ++b)
        for (int64_t k = 0; k < later.n; ++k) {
          Value x = later.entries[a * later.n + k], y = earlier.entries[k * later.n + b];
          Value &sum = result.entries[a * later.n + b];
          if (!x || !y)
            continue;
          Value product = x == one ? y : y == one ? x : l.fmul(x, y);
          sum = sum ? l.fadd(sum, product) : product;
        }
    return result;
  }
  template <class Get>
  SmallMatrix map(Get get) const {
    SmallMatrix result = *this;
    for (Value &entry : result.entries)
      if (entry)
        entry = get(entry);
    return result;
  }
  /// `x` where the condition holds, else `y`.
  static SmallMatrix select(Lowering &l, Value condition, const SmallMatrix &x, const SmallMatrix &y) {
    SmallMatrix result = x;
    auto orZero = [&](Value entry) { return entry ? entry : l.f32(0); };
    for (auto [entry, other] : llvm::zip_equal(result.entries, y.entries))
      if ((entry || other) && entry != other)
        entry = l.select(condition, orZero(entry), orZero(other));
    return result;
  }
};
} // namespace

LogicalResult tile::lower(CoupledProductsOp op, Lowering &l) {
  int64_t n = op.getSize();
  ArrayRef<int64_t> places = op.getEntries(), terms = op.getTerms();
  if (places.size() != op.getDecays().size() || terms.size() != 3 * op.getTables().size() ||
      int64_t(op.getResults().size()) != 3 * n * n || op.getDecays().empty())
    return op.emitOpError("has a decay for each entry, a buffer for each triple of terms, and three results an entry");
  for (Value decays : op.getDecays())
    if (failed(verifyLanes(op, decays)))
      return failure();
  int64_t chunk = cast<RankedTensorType>(op.getDecays()[0].getType()).getDimSize(0), size = chunk / kLanes;
  std::optional<IntervalTables> tables;
  for (Value buffer : op.getTables()) {
    FailureOr<IntervalTables> own = getTables(op, cast<SharedType>(buffer.getType()), chunk);
    if (failed(own))
      return failure();
    tables = *own;
  }
  if (l.warps != 1)
    return op.emitOpError("is for roles of one warp");

  Value one = l.f32(1), zero = l.f32(0);
  SmallVector<SmallMatrix> prefixes(size, SmallMatrix::identity(n, one)), suffixes = prefixes, totals;
  for (int64_t i = 0; i < size; ++i) {
    totals.push_back({n, SmallVector<Value, 4>(n * n)});
    for (auto [place, decays] : llvm::zip_equal(places, op.getDecays()))
      totals.back().entries[place] = l.get(decays)[i];
  }
  auto entriesOf = [&](ArrayRef<SmallMatrix> matrices, int64_t place) {
    Scalars entries;
    for (const SmallMatrix &matrix : matrices)
      entries.push_back(matrix.entries[place] ? matrix.entries[place] : zero);
    return entries;
  };
  int64_t levels = llvm::Log2_64_Ceil(chunk);
  for (int64_t level = 0; level < levels; ++level) {
    for (auto [i, buffer] : llvm::enumerate(op.getTables())) {
      Value here = l.gep(l.getAddress(buffer), l.mul(l.lane, 4 * size));
      int64_t a = terms[3 * i], k = terms[3 * i + 1], b = terms[3 * i + 2];
      l.storeF32s(entriesOf(prefixes, a * n + k), l.gep(here, tables->getOffset(0, level)));
      l.storeF32s(entriesOf(suffixes, k * n + b), l.gep(here, tables->getOffset(1, level)));
    }
    // Two blocks of 2^level tokens become one, as in `tile.interval_tables`; what is later stands on the left.
    int64_t block = int64_t(1) << level;
    if (block < size) {
      SmallVector<SmallMatrix> whole(totals);
      for (int64_t i = 0; i < size; ++i) {
        if (i & block)
          prefixes[i] = SmallMatrix::multiply(l, prefixes[i], totals[i ^ block], one);
        else
          suffixes[i] = SmallMatrix::multiply(l, totals[i ^ block], suffixes[i], one);
        whole[i] = i & block ? whole[i ^ block] : SmallMatrix::multiply(l, totals[i ^ block], totals[i], one);
      }
      totals = whole;
      continue;
    }
    int64_t distance = block / size;
    const SmallMatrix own = totals.front();
    SmallMatrix sibling = own.map([&](Value entry) { return l.shuffle(NVVM::ShflKind::bfly, entry, l.i32(distance)); });
    Value isLeft = l.compare(Predicate::eq, l.bitAnd(l.lane, distance), l.i32(0));
    SmallMatrix identity = SmallMatrix::identity(n, one);
    SmallMatrix before = SmallMatrix::select(l, isLeft, identity, sibling),
                after = SmallMatrix::select(l, isLeft, sibling, identity);
    for (int64_t i = 0; i < size; ++i) {
      prefixes[i] = SmallMatrix::multiply(l, prefixes[i], before, one);
      suffixes[i] = SmallMatrix::multiply(l, after, suffixes[i], one);
    }
    SmallMatrix later = SmallMatrix::select(l, isLeft, sibling, own),
                earlier = SmallMatrix::select(l, isLeft, own, sibling);
    totals.assign(size, SmallMatrix::multiply(l, later, earlier, one));
  }
  for (int64_t place = 0; place < n * n; ++place) {
    l.set(op.getResult(place), entriesOf(prefixes, place));
    l.set(op.getResult(n * n + place), entriesOf(suffixes, place));
    l.set(op.getResult(2 * n * n + place), entriesOf(totals.front(), place));
  }
  return success();
}

/// `levels[0]` for warps below `from[1]`, `levels[1]` for warps below `from[2]` and so on: for each warp after warp
/// `m`, the level of rows 16 warp .. + 15 and columns 16 m .. + 15. It never falls as the warp number grows.
static SmallVector<std::pair<int64_t, int64_t>> getLevelsBelow(int64_t m, int64_t warps) {
  SmallVector<std::pair<int64_t, int64_t>> levels; // first warp, level
  for (int64_t warp = m + 1; warp < warps; ++warp) {
    int64_t level = 4 + llvm::Log2_64(warp ^ m);
    if (levels.empty() || levels.back().second != level)
      levels.push_back({warp, level});
  }
  return levels;
}

// Rows i = 16 w + g + 8 r and columns j = 16 m + 8 h + 2 q + c, with w the warp, g = lane / 4, q = lane % 4. The level
// of (i, j) is the highest bit of i xor j:
//   * m < w: 4 + log2 (w xor m), the same for the whole warp;
//   * m = w, r = 1, h = 0: level 3;
//   * m = w, r = h: the highest bit of g xor (2 q + c), which is at most level 2: level 0 (an empty product, 1) where
//     g / 2 = q, level 1 or 2 elsewhere, for c = 0 and 1 alike.
// Everything else is above the diagonal.
LogicalResult tile::lower(IntervalProductsOp op, Lowering &l) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  auto fragment = dyn_cast_or_null<FragmentAttr>(type.getEncoding());
  if (!fragment || fragment.getWarps() != l.warps || type.getRank() != 2 || type.getDimSize(0) != 16 * l.warps ||
      type.getDimSize(1) != 16 * l.warps || !type.getElementType().isF32())
    return op.emitOpError("gives a square f32 fragment of all warps of its role: ")
           << l.warps << " warps hold `tensor<" << 16 * l.warps << "x" << 16 * l.warps
           << "xf32, #tile.fragment<warps = " << l.warps << ">>`, not " << type;
  FailureOr<IntervalTables> tables = getTables(op, op.getTables().getType(), type.getDimSize(0));
  if (failed(tables))
    return failure();

  Scalars rowFactors;
  if (Value rows = op.getRows())
    rowFactors = Scalars(l.get(rows));
  if (double scale = op.getScale().convertToDouble(); scale != 1) {
    rowFactors.resize(2, l.f32(1));
    for (Value &factor : rowFactors)
      factor = l.fmul(factor, l.f32(scale));
  }

  Value address = l.getAddress(op.getTables());
  Value row = l.add(l.shl(l.warp, 4), l.quad);
  Value prefixes = l.gep(address, l.shl(row, 2));      // of row i, r = 0; 32 bytes further: r = 1
  Value suffixes = l.gep(address, l.shl(l.inQuad, 3)); // of columns 2 q, 2 q + 1
  Value own = l.gep(suffixes, l.shl(l.warp, 6));       // of columns 16 w + 2 q + c
  auto prefixOf = [&](Value base, int64_t level, int64_t r) {
    Value prefix = l.loadF32(l.gep(base, tables->getOffset(0, level) + 32 * r));
    return rowFactors.empty() ? prefix : l.fmul(rowFactors[r], prefix);
  };
  auto suffixesOf = [&](Value base, int64_t level, int64_t h) {
    return l.loadF32s(l.gep(base, tables->getOffset(1, level) + 32 * h), 2);
  };

  // Blocks on the diagonal: the same values for every m, of which the warp takes those with m = w.
  Value distance = l.bitXor(l.shr(l.quad, 1), l.inQuad);
  Value level = l.select(l.compare(Predicate::eq, distance, l.i32(0)), l.i32(0),
                         l.select(l.compare(Predicate::eq, distance, l.i32(1)), l.i32(tables->getLevelBytes()),
                                  l.i32(2 * tables->getLevelBytes())));
  Value prefixesInEight = l.gep(prefixes, level), suffixesInEight = l.gep(own, level);
  Scalars diagonal(8, l.f32(0)); // 4 h + 2 r + c, as in a fragment
  for (int64_t half = 0; half < 2; ++half) {
    Value factor = prefixOf(prefixesInEight, 0, half);
    for (auto [c, suffix] : llvm::enumerate(suffixesOf(suffixesInEight, 0, half)))
      diagonal[6 * half + c] = l.fmul(factor, suffix);
  }
  Value lower = prefixOf(prefixes, 3, 1);
  for (auto [c, suffix] : llvm::enumerate(suffixesOf(own, 3, 0)))
    diagonal[2 + c] = l.fmul(lower, suffix);
  Value zero = l.f32(0);
  if (std::optional<APFloat> number = op.getDiagonal()) {
    Value one = l.f32(number->convertToDouble());
    for (int64_t c = 0; c < 2; ++c) {
      Value column = l.add(l.shl(l.inQuad, 1), c);
      Value isBelow = l.compare(Predicate::ult, column, l.quad), isOn = l.compare(Predicate::eq, column, l.quad);
      for (Value *value : {&diagonal[c], &diagonal[6 + c]})
        *value = l.select(isBelow, *value, l.select(isOn, one, zero));
    }
  }

  // Prefixes of the rows at the levels of whole warps, in registers.
  SmallVector<std::array<Value, 2>> ofRows(tables->levels);
  for (int64_t p = 4; p < tables->levels; ++p)
    ofRows[p] = {prefixOf(prefixes, p, 0), prefixOf(prefixes, p, 1)};

  Scalars result;
  for (int64_t m = 0; m < l.warps; ++m) {
    SmallVector<std::pair<int64_t, int64_t>> below = getLevelsBelow(m, l.warps);
    // Warps before m are above the diagonal.
    Value isOn = l.compare(Predicate::eq, l.warp, l.i32(m)), isBelow = l.compare(Predicate::ugt, l.warp, l.i32(m));
    if (below.empty()) { // the last columns: only the diagonal
      for (Value value : diagonal)
        result.push_back(op.getDiagonal() ? l.select(isOn, value, zero) : value);
      continue;
    }
    std::array<Value, 2> factors = ofRows[below.front().second];
    Value columns = suffixes;
    if (below.size() == 1) {
      columns = l.gep(columns, below.front().second * tables->getLevelBytes());
    } else {
      Value offset = l.i32(below.front().second * tables->getLevelBytes());
      for (auto [warp, p] : ArrayRef(below).drop_front()) {
        Value isFar = l.compare(Predicate::uge, l.warp, l.i32(warp));
        offset = l.select(isFar, l.i32(p * tables->getLevelBytes()), offset);
        for (auto [r, factor] : llvm::enumerate(factors))
          factor = l.select(isFar, ofRows[p][r], factor);
      }
      columns = l.gep(columns, offset);
    }
    if (op.getDiagonal() && m > 0)
      for (Value &factor : factors)
        factor = l.select(isBelow, factor, zero);
    for (int64_t h = 0; h < 2; ++h) {
      Scalars suffix = suffixesOf(columns, 0, 2 * m + h);
      for (int64_t r = 0; r < 2; ++r)
        for (int64_t c = 0; c < 2; ++c)
          result.push_back(l.select(isOn, diagonal[4 * h + 2 * r + c], l.fmul(factors[r], suffix[c])));
    }
  }
  l.set(op.getResult(), std::move(result));
  return success();
}
