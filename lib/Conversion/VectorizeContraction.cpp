//===- VectorizeContraction.cpp - Products in register tiles ----------------------------------------------------===//
//
// C[m, n] += sum_k A[m, k] B[k, n]: a tile of C stays in registers while k runs; each step broadcasts elements of A
// against rows of B. Columns are cut into panels of a few vectors, a panel of B whose columns are not neighbours in
// memory is transposed into a small local buffer first, and the rows of tiles run inside the panel, so that it stays in
// the L1 cache.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "VectorizeSupport.h"

#include "mlir/Dialect/OpenMP/OpenMPDialect.h"

using namespace mlir;
using namespace rondo::vectorize;

namespace {

/// Panels are packed when they fit easily into the L1 or L2 cache.
constexpr int64_t kMaxPackedElements = 1 << 16;

/// Columns of C that are computed together: whole vectors, the last `lanes` of them perhaps partly valid.
struct Panel {
  Value start;
  int64_t vectors;
  /// Number of valid columns; null when all are.
  Value count;
};

class ContractionLowering {
public:
  ContractionLowering(RewriterBase &rewriter, linalg::LinalgOp op, const Target &target)
      : rewriter(rewriter), op(op), target(target), loc(op.getLoc()) {}

  LogicalResult run(SmallPtrSetImpl<Operation *> &erased) {
    if (!matchBody() || !matchLoops())
      return failure();
    rewriter.setInsertionPoint(op);
    if (linalg::FillOp fill = findZeroFill(op)) {
      startFromZero = true;
      erased.insert(fill);
      rewriter.eraseOp(fill);
    }
    extents = loopExtents(rewriter, op);
    auto makeOperand = [&](OpOperand *operand) {
      return Operand(rewriter, loc, operand->get(), op.getMatchingIndexingMap(operand));
    };
    rows = makeOperand(rowOperand);
    columns = makeOperand(columnOperand);
    result = makeOperand(op.getDpsInitOperand(0));
    ivs.assign(op.getNumLoops(), Value());
    chooseTile();
    if (packs())
      scratch = getScratch(packedElements());
    emitOuterLoops(rewriter, 0);
    return success();
  }

private:
  //===--------------------------------------------------------------------------------------------------------------===//
  // Recognition
  //===--------------------------------------------------------------------------------------------------------------===//

  /// The body is c + a * b or c - a * b on f32.
  bool matchBody() {
    if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1)
      return false;
    Block *block = op.getBlock();
    if (!llvm::all_of(block->getArgumentTypes(), [](Type type) { return type.isF32(); }) ||
        !llvm::all_of(op->getOperands(), [](Value v) { return isa<MemRefType>(v.getType()); }))
      return false;
    BlockArgument a = block->getArgument(0), c = block->getArgument(2), b = block->getArgument(1);
    Operation *sum = block->getTerminator()->getOperand(0).getDefiningOp();
    if (!isa_and_nonnull<arith::AddFOp, arith::SubFOp>(sum))
      return false;
    subtracts = isa<arith::SubFOp>(sum);
    Value product = sum->getOperand(1);
    if (sum->getOperand(0) != c) {
      if (subtracts || sum->getOperand(1) != c)
        return false;
      product = sum->getOperand(0);
    }
    auto mul = product.getDefiningOp<arith::MulFOp>();
    return mul && ((mul.getLhs() == a && mul.getRhs() == b) || (mul.getLhs() == b && mul.getRhs() == a));
  }

  static std::optional<int64_t> strideOf(linalg::LinalgOp op, OpOperand *operand, unsigned loop) {
    auto position = op.getMatchingIndexingMap(operand).getResultPosition(getAffineDimExpr(loop, op.getContext()));
    SmallVector<int64_t> strides;
    int64_t offset;
    if (!position || failed(cast<MemRefType>(operand->get().getType()).getStridesAndOffset(strides, offset)))
      return std::nullopt;
    return strides[*position];
  }

  /// Sorts the loops into the vectorised one (unit stride in C), the row loop of the tile, sums, and outer loops.
  bool matchLoops() {
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    if (!llvm::all_of(maps, [](AffineMap map) { return map.isProjectedPermutation(); }))
      return false;
    ranges = op.getStaticLoopRanges();
    SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
    SmallVector<unsigned> onlyA, onlyB, batch;
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop) {
      auto in = [&](unsigned i) { return maps[i].isFunctionOfDim(loop); };
      if (iterators[loop] == utils::IteratorType::reduction) {
        if (!in(0) || !in(1) || in(2))
          return false;
        sums.push_back(loop);
        continue;
      }
      if (!in(2) || !(in(0) || in(1)))
        return false;
      (in(0) && in(1) ? batch : in(0) ? onlyA : onlyB).push_back(loop);
    }
    OpOperand *a = op.getDpsInputOperand(0), *b = op.getDpsInputOperand(1), *c = op.getDpsInitOperand(0);
    auto takeUnit = [&](SmallVectorImpl<unsigned> &loops) {
      auto found = llvm::find_if(loops, [&](unsigned loop) { return ranges[loop] != 1 && strideOf(op, c, loop) == 1; });
      if (found == loops.end())
        return false;
      vec = *found;
      loops.erase(found);
      return true;
    };
    rowOperand = a;
    columnOperand = b;
    if (!takeUnit(onlyB)) {
      if (!takeUnit(onlyA))
        return false;
      std::swap(onlyA, onlyB);
      std::swap(rowOperand, columnOperand);
    }
    auto size = [&](unsigned loop) { return ShapedType::isDynamic(ranges[loop]) ? INT64_MAX : ranges[loop]; };
    auto largest = llvm::max_element(onlyA, [&](unsigned x, unsigned y) { return size(x) < size(y); });
    // Products with a vector, or nearly so, read a matrix once: the general path does that as well.
    if (sums.empty() || largest == onlyA.end() || size(*largest) < 3)
      return false;
    row = *largest;
    onlyA.erase(largest);
    outer = batch;
    llvm::append_range(outer, onlyA);
    llvm::append_range(outer, onlyB);

    // The sum that moves fastest in memory goes innermost.
    auto unit = llvm::find_if(sums, [&](unsigned loop) { return strideOf(op, columnOperand, loop) == 1; });
    if (unit != sums.end())
      std::rotate(unit, unit + 1, sums.end());
    if (packs()) {
      int64_t depth = 1;
      for (unsigned loop : sums) {
        if (ShapedType::isDynamic(ranges[loop]))
          return false;
        depth *= ranges[loop];
      }
      if (depth * target.lanes * 2 > kMaxPackedElements)
        return false;
    }
    auto hint = op->getAttrOfType<StringAttr>("chunk.causal");
    bool sameOrder = rowOperand == a;
    skipsAbove = hint && hint.getValue() == "result" && sameOrder && outer.empty();
    limitsSum = hint && hint.getValue() == "lhs" && sameOrder && sums.size() == 1;
    startsSum = hint && hint.getValue() == "lhs-transposed" && sameOrder && sums.size() == 1;
    return true;
  }

  bool packs() const { return strideOf(op, columnOperand, vec) != 1; }

  //===--------------------------------------------------------------------------------------------------------------===//
  // Shape of the tile
  //===--------------------------------------------------------------------------------------------------------------===//

  /// The accumulators, a row of B and one broadcast fill the registers: 6 x 2 vectors of 16, 8 x 2 or 12 x 2 of 32.
  void chooseTile() {
    int64_t height = ranges[row];
    bool many = target.registers >= 32;
    tileRows = many ? 8 : 6;
    tileVectors = 2;
    if (ShapedType::isDynamic(height))
      return;
    if (many && height % 8 != 0 && (height % 12 == 0 || height < 12))
      tileRows = 12;
    tileRows = std::min(tileRows, height);
    // Few rows: more columns, so that enough additions are under way at once.
    int64_t accumulators = many ? 24 : 12;
    while (tileRows * tileVectors * 2 <= accumulators && ShapedType::isStatic(ranges[vec]) &&
           ranges[vec] % (tileVectors * 2 * target.lanes) == 0)
      tileVectors *= 2;
  }

  int64_t sumLength() const {
    int64_t length = 1;
    for (unsigned loop : sums)
      length *= ranges[loop];
    return length;
  }

  int64_t packedElements() const { return sumLength() * tileVectors * target.lanes; }

  /// One buffer for the packed panels of all products of the enclosing function (or thread): they run one after the
  /// other.
  Value getScratch(int64_t elements) {
    Operation *scope = op->getParentOp();
    while (!isa<omp::ParallelOp>(scope) && !isa<FunctionOpInterface>(scope))
      scope = scope->getParentOp();
    OpBuilder::InsertionGuard guard(rewriter);
    Block &entry = scope->getRegion(0).front();
    auto type = MemRefType::get({elements}, rewriter.getF32Type());
    for (auto alloca : entry.getOps<memref::AllocaOp>()) {
      if (!alloca->hasAttr("rondo.packed"))
        continue;
      if (alloca.getType().getDimSize(0) < elements)
        alloca.getResult().setType(type);
      return alloca;
    }
    rewriter.setInsertionPointToStart(&entry);
    auto alloca = memref::AllocaOp::create(rewriter, loc, type, rewriter.getI64IntegerAttr(64));
    alloca->setAttr("rondo.packed", rewriter.getUnitAttr());
    return alloca;
  }

  //===--------------------------------------------------------------------------------------------------------------===//
  // Loops
  //===--------------------------------------------------------------------------------------------------------------===//

  void emitOuterLoops(OpBuilder &b, unsigned depth) {
    if (depth == outer.size())
      return emitPanels(b);
    emitLoop(b, loc, indexConstant(b, loc, 0), extents[outer[depth]], 1, {},
             [&](OpBuilder &inner, Value iv, ValueRange) {
               ivs[outer[depth]] = iv;
               emitOuterLoops(inner, depth + 1);
               return SmallVector<Value>();
             });
  }

  void emitPanels(OpBuilder &b) {
    int64_t width = tileVectors * target.lanes;
    Value extent = extents[vec];
    Value rest = b.createOrFold<arith::RemSIOp>(loc, extent, indexConstant(b, loc, width));
    Value main = b.createOrFold<arith::SubIOp>(loc, extent, rest);
    emitLoop(b, loc, indexConstant(b, loc, 0), main, width, {}, [&](OpBuilder &inner, Value start, ValueRange) {
      emitPanel(inner, Panel{start, tileVectors, Value()});
      return SmallVector<Value>();
    });
    std::optional<int64_t> known = getConstantIntValue(rest);
    if (known && *known == 0)
      return;
    if (known) {
      int64_t vectors = llvm::divideCeil(*known, target.lanes);
      return emitPanel(b, Panel{main, vectors, *known % target.lanes ? rest : Value()});
    }
    emitLoop(b, loc, main, extent, target.lanes, {}, [&](OpBuilder &inner, Value start, ValueRange) {
      Value count = arith::SubIOp::create(inner, loc, extent, start);
      emitPanel(inner, Panel{start, 1, count});
      return SmallVector<Value>();
    });
  }

  void emitPanel(OpBuilder &b, const Panel &panel) {
    ivs[vec] = panel.start;
    if (scratch)
      emitPack(b, panel, 0);
    Value zero = indexConstant(b, loc, 0), first = zero, extent = extents[row];
    Value rest = b.createOrFold<arith::RemSIOp>(loc, extent, indexConstant(b, loc, tileRows));
    Value main = b.createOrFold<arith::SubIOp>(loc, extent, rest);
    if (skipsAbove) {
      Value height = indexConstant(b, loc, tileRows);
      first = mulIndex(b, loc, b.createOrFold<arith::DivUIOp>(loc, panel.start, height), height);
      first = b.createOrFold<arith::MinSIOp>(loc, first, main);
      if (startFromZero)
        emitLoop(b, loc, zero, first, 1, {}, [&](OpBuilder &inner, Value iv, ValueRange) {
          ivs[row] = iv;
          SmallVector<Value> zeros(panel.vectors, zeroVector(inner));
          storeRow(inner, panel, result.address(inner, loc, ivs), zeros);
          return SmallVector<Value>();
        });
    }
    auto tile = [&](int64_t height) {
      return [&, height](OpBuilder &inner, Value iv, ValueRange) {
        ivs[row] = iv;
        emitTile(inner, panel, height);
        return SmallVector<Value>();
      };
    };
    emitLoop(b, loc, first, main, tileRows, {}, tile(tileRows));
    std::optional<int64_t> known = getConstantIntValue(rest);
    emitLoop(b, loc, main, extent, known ? std::max<int64_t>(*known, 1) : 1, {}, tile(known ? *known : 1));
  }

  /// Copies a panel of B so that its columns are neighbours: [sums..., columns].
  void emitPack(OpBuilder &b, const Panel &panel, unsigned depth) {
    unsigned loop = sums[depth];
    bool innermost = depth + 1 == sums.size();
    auto forSum = [&](Value lower, Value upper, int64_t step, llvm::function_ref<void(OpBuilder &)> body) {
      emitLoop(b, loc, lower, upper, step, {}, [&](OpBuilder &inner, Value iv, ValueRange) {
        ivs[loop] = iv;
        body(inner);
        ivs[loop] = Value();
        return SmallVector<Value>();
      });
    };
    Value zero = indexConstant(b, loc, 0);
    if (!innermost)
      return forSum(zero, extents[loop], 1, [&](OpBuilder &inner) { emitPack(inner, panel, depth + 1); });
    int64_t length = ranges[loop];
    if (!columns.isUnit(loop) || length < 4 || target.lanes % 4 != 0)
      return forSum(zero, extents[loop], 1, [&](OpBuilder &inner) { packRow(inner, panel); });
    auto block = [&](OpBuilder &inner) { packBlock(inner, panel); };
    forSum(zero, indexConstant(b, loc, length / 4 * 4), 4, block);
    // The last block overlaps the one before: the same values are written twice.
    if (length % 4 != 0)
      forSum(indexConstant(b, loc, length - 4), extents[loop], 4, block);
  }

  Value packedAddress(OpBuilder &b) const {
    Value address = indexConstant(b, loc, 0);
    for (unsigned loop : sums)
      address = addIndex(b, loc, mulIndex(b, loc, address, ranges[loop]), ivs[loop]);
    return mulIndex(b, loc, address, tileVectors * target.lanes);
  }

  void packRow(OpBuilder &b, const Panel &panel) {
    Value from = columns.address(b, loc, ivs), to = packedAddress(b);
    for (int64_t v = 0; v < panel.vectors; ++v) {
      Value skipped = indexConstant(b, loc, v * target.lanes);
      Value count = panel.count ? b.createOrFold<arith::SubIOp>(loc, panel.count, skipped) : Value();
      Value at = addIndex(b, loc, from, mulIndex(b, loc, skipped, columns.stride(b, loc, vec)));
      Value values = columns.gather(b, loc, at, vec, target.lanes, count);
      vector::StoreOp::create(b, loc, values, scratch, ValueRange{addIndex(b, loc, to, v * target.lanes)});
    }
  }

  /// Four steps of the sum for all columns of the panel: 4 x 4 transpositions inside each 128-bit lane.
  void packBlock(OpBuilder &b, const Panel &panel) {
    Value from = columns.address(b, loc, ivs), to = packedAddress(b);
    Value stride = columns.stride(b, loc, vec);
    Value last = panel.count ? addIndex(b, loc, panel.count, -1) : Value();
    int64_t lanes = target.lanes;
    for (int64_t v = 0; v < panel.vectors; ++v) {
      SmallVector<Value> in;
      for (int64_t i = 0; i < 4; ++i) {
        SmallVector<Value> parts;
        for (int64_t column = v * lanes + i; column < (v + 1) * lanes; column += 4) {
          Value position = indexConstant(b, loc, column);
          if (last)
            position = b.createOrFold<arith::MinSIOp>(loc, position, last);
          parts.push_back(columns.load(b, loc, addIndex(b, loc, from, mulIndex(b, loc, position, stride)), 4));
        }
        in.push_back(concatenate(b, parts));
      }
      auto shuffle = [&](Value x, Value y, std::array<int64_t, 4> lane) {
        SmallVector<int64_t> mask;
        for (int64_t base = 0; base < lanes; base += 4)
          for (int64_t pick : lane)
            mask.push_back(base + (pick < 4 ? pick : pick - 4 + lanes));
        return vector::ShuffleOp::create(b, loc, x, y, mask).getResult();
      };
      Value low01 = shuffle(in[0], in[1], {0, 4, 1, 5}), high01 = shuffle(in[0], in[1], {2, 6, 3, 7});
      Value low23 = shuffle(in[2], in[3], {0, 4, 1, 5}), high23 = shuffle(in[2], in[3], {2, 6, 3, 7});
      std::array<Value, 4> out = {shuffle(low01, low23, {0, 1, 4, 5}), shuffle(low01, low23, {2, 3, 6, 7}),
                                  shuffle(high01, high23, {0, 1, 4, 5}), shuffle(high01, high23, {2, 3, 6, 7})};
      for (int64_t k = 0; k < 4; ++k) {
        Value at = addIndex(b, loc, to, k * tileVectors * lanes + v * lanes);
        vector::StoreOp::create(b, loc, out[k], scratch, ValueRange{at});
      }
    }
  }

  Value concatenate(OpBuilder &b, SmallVector<Value> parts) const {
    while (parts.size() > 1) {
      SmallVector<Value> joined;
      for (size_t i = 0; i < parts.size(); i += 2) {
        int64_t length = cast<VectorType>(parts[i].getType()).getDimSize(0);
        auto mask = llvm::to_vector(llvm::seq<int64_t>(0, 2 * length));
        joined.push_back(vector::ShuffleOp::create(b, loc, parts[i], parts[i + 1], mask));
      }
      parts = std::move(joined);
    }
    return parts[0];
  }

  //===--------------------------------------------------------------------------------------------------------------===//
  // The register tile
  //===--------------------------------------------------------------------------------------------------------------===//

  Value zeroVector(OpBuilder &b) const { return splat(b, loc, b.getF32FloatAttr(0), target.lanes); }

  /// The mask of vector `v` of a panel, null when all its columns are valid.
  Value maskOf(OpBuilder &b, const Panel &panel, int64_t v) const {
    if (!panel.count || v + 1 < panel.vectors)
      return {};
    return emitMask(b, loc, addIndex(b, loc, panel.count, -v * target.lanes), target.lanes);
  }

  void storeRow(OpBuilder &b, const Panel &panel, Value address, ArrayRef<Value> values) const {
    for (auto [v, value] : llvm::enumerate(values))
      result.store(b, loc, value, addIndex(b, loc, address, v * target.lanes), maskOf(b, panel, v));
  }

  void emitTile(OpBuilder &b, const Panel &panel, int64_t height) {
    Value origin = result.address(b, loc, ivs);
    auto rowAddress = [&](OpBuilder &at, int64_t r) {
      return addIndex(at, loc, origin, mulIndex(at, loc, result.stride(at, loc, row), r));
    };
    SmallVector<Value> accumulators;
    for (int64_t r = 0; r < height; ++r)
      for (int64_t v = 0; v < panel.vectors; ++v)
        accumulators.push_back(startFromZero ? zeroVector(b)
                                             : result.load(b, loc, addIndex(b, loc, rowAddress(b, r), v * target.lanes),
                                                           target.lanes, maskOf(b, panel, v)));
    // Before its first row the tile meets only zeros.
    Value sumEnd, sumBegin = startsSum ? ivs[row] : indexConstant(b, loc, 0);
    if (limitsSum) {
      // Beyond the diagonal of its last row the tile meets only zeros.
      sumEnd = addIndex(b, loc, ivs[row], height);
      sumEnd = b.createOrFold<arith::MinSIOp>(loc, sumEnd, extents[sums[0]]);
    }
    accumulators = emitSums(b, panel, height, sumBegin, sumEnd, 0, accumulators);
    for (int64_t r = 0; r < height; ++r)
      storeRow(b, panel, rowAddress(b, r), ArrayRef<Value>(accumulators).slice(r * panel.vectors, panel.vectors));
  }

  SmallVector<Value> emitSums(OpBuilder &b, const Panel &panel, int64_t height, Value sumBegin, Value sumEnd,
                              unsigned depth, ValueRange accumulators) {
    unsigned loop = sums[depth];
    bool innermost = depth + 1 == sums.size();
    return emitLoop(b, loc, sumBegin, sumEnd ? sumEnd : extents[loop], 1, accumulators,
                    [&](OpBuilder &inner, Value iv, ValueRange values) {
                      ivs[loop] = iv;
                      SmallVector<Value> next = innermost ? emitStep(inner, panel, height, values)
                                                          : emitSums(inner, panel, height, indexConstant(inner, loc, 0),
                                                                     sumEnd, depth + 1, values);
                      ivs[loop] = Value();
                      return next;
                    });
  }

  /// One term of the sum. Larger steps are not faster: a tile's multiply-adds hide the loop's few instructions.
  SmallVector<Value> emitStep(OpBuilder &b, const Panel &panel, int64_t height, ValueRange values) {
    SmallVector<Value> accumulators(values);
    Value columnAt = scratch ? packedAddress(b) : columns.address(b, loc, ivs);
    auto type = VectorType::get({target.lanes}, b.getF32Type());
    SmallVector<Value> line;
    for (int64_t v = 0; v < panel.vectors; ++v) {
      Value at = addIndex(b, loc, columnAt, v * target.lanes);
      line.push_back(scratch ? vector::LoadOp::create(b, loc, type, scratch, ValueRange{at}).getResult()
                             : columns.load(b, loc, at, target.lanes, maskOf(b, panel, v)));
    }
    Value rowAt = rows.address(b, loc, ivs);
    for (int64_t r = 0; r < height; ++r) {
      Value at = addIndex(b, loc, rowAt, mulIndex(b, loc, rows.stride(b, loc, row), r));
      Value scalar = rows.load(b, loc, at, 0);
      if (subtracts)
        scalar = arith::NegFOp::create(b, loc, scalar);
      Value factor = broadcast(b, loc, scalar, target.lanes);
      for (int64_t v = 0; v < panel.vectors; ++v) {
        Value &sum = accumulators[r * panel.vectors + v];
        sum = vector::FMAOp::create(b, loc, factor, line[v], sum);
      }
    }
    return accumulators;
  }

  RewriterBase &rewriter;
  linalg::LinalgOp op;
  const Target &target;
  Location loc;

  bool subtracts = false, startFromZero = false;
  /// Hints: tiles above the diagonal are not wanted; the row operand is zero above, or read transposed below, the
  /// diagonal.
  bool skipsAbove = false, limitsSum = false, startsSum = false;
  OpOperand *rowOperand = nullptr, *columnOperand = nullptr;
  unsigned vec = 0, row = 0;
  SmallVector<unsigned> sums, outer;
  SmallVector<int64_t> ranges;
  SmallVector<Value> extents;
  Operand rows, columns, result;
  int64_t tileRows = 0, tileVectors = 0;
  /// The packed panel of the column operand; null when its columns are neighbours already.
  Value scratch;
  SmallVector<Value> ivs;
};

} // namespace

LogicalResult rondo::vectorize::lowerContraction(RewriterBase &rewriter, linalg::LinalgOp op, const Target &target,
                                                 SmallPtrSetImpl<Operation *> &erased) {
  return ContractionLowering(rewriter, op, target).run(erased);
}
