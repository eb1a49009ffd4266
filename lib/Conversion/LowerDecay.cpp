//===- LowerDecay.cpp - Products of decays over intervals to loops and products ---------------------------------===//

#include "LowerChunk.h"
#include "mlir/Transforms/RegionUtils.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "llvm/Support/MathExtras.h"

#define DEBUG_TYPE "rondo-lower-decay"

namespace rondo {
#define GEN_PASS_DEF_RONDOLOWERDECAY
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

using Values = TensorBuilder::Values;

//===----------------------------------------------------------------------------------------------------------------===//
// Running products
//===----------------------------------------------------------------------------------------------------------------===//

/// An empty row of `tensor`: its shape without time.
static Value emptyRow(TensorBuilder &b, Value tensor) { return b.empty(TensorBuilder::shapeOf(tensor).drop_front()); }

static Value lowerCumprod(TensorBuilder &b, chunk::CumprodOp op) {
  Value operand = op.getOperand();
  ArrayRef<int64_t> shape = TensorBuilder::shapeOf(operand);
  bool isVector = shape.size() == 1;
  Value one = isVector ? b.number(1) : b.fill(emptyRow(b, operand), 1);
  return b.loop(0, shape[0], 1, {b.empty(shape), one}, [&](Value step, ValueRange values) -> Values {
    Value t = op.getSuffix() ? arith::SubIOp::create(b, b.index(shape[0] - 1), step).getResult() : step;
    if (isVector) {
      Value next = arith::MulFOp::create(b, values[1], b.element(operand, t));
      return {b.setElement(values[0], t, values[1]), next};
    }
    Value stored = b.setRow(values[0], {t}, values[1]);
    return {stored, b.multiply(values[1], b.row(operand, {t}))};
  })[0];
}

/// Where running products of the operand are formed anyway, the last of them times the last row.
static Value lowerTotal(TensorBuilder &b, chunk::TotalOp op) {
  Value operand = op.getOperand();
  int64_t size = TensorBuilder::shapeOf(operand)[0];
  ArrayRef<int64_t> shape = TensorBuilder::shapeOf(op.getResult());
  for (Operation *user : operand.getUsers())
    if (auto running = dyn_cast<chunk::CumprodOp>(user); running && running->getBlock() == op->getBlock()) {
      if (op->isBeforeInBlock(running))
        running->moveBefore(op);
      OpFoldResult last = b.getIndexAttr(running.getSuffix() ? 0 : size - 1);
      b.setInsertionPoint(op);
      return b.product(b.row(running.getResult(), {last}), b.row(operand, {last}), b.empty(shape));
    }
  return b.multiplyRows(operand, b.filled(shape, 1));
}

//===----------------------------------------------------------------------------------------------------------------===//
// Products over every interval
//===----------------------------------------------------------------------------------------------------------------===//

static Value lowerIntervals(TensorBuilder &b, Value operand) {
  int64_t size = TensorBuilder::shapeOf(operand)[0];
  Value zero = b.index(0), one = b.number(1);
  // The first row is 1, 0, 0 ...; each other row is the one before times a decay, with a 1 on the diagonal.
  Value row = b.setElement(b.filled(size + 1, 0), zero, one);
  Value result = b.setRow(b.empty({size + 1, size + 1}), {b.getIndexAttr(0)}, row);
  return b.loop(0, size, 1, {result, row}, [&](Value t, ValueRange values) -> Values {
    Value decay = b.element(operand, t), i = b.add(t, 1);
    Value next =
        b.map({}, values[1], [&](ValueRange row) -> Values { return {arith::MulFOp::create(b, row[0], decay)}; })[0];
    next = b.setElement(next, i, one);
    return {b.setRow(values[0], {i}, next), next};
  })[0];
}

/// The same for n coupled states: n x n rows at once, each new one a combination of n old ones. All rows are results of
/// one operation, which reads them in its destinations: so they stay in place.
static Value lowerCoupledIntervals(TensorBuilder &b, Value operand) {
  int64_t size = TensorBuilder::shapeOf(operand)[0], n = TensorBuilder::shapeOf(operand)[1];
  Value zero = b.index(0), one = b.number(1);
  SmallVector<Value> indices;
  for (int64_t i = 0; i < n; ++i)
    indices.push_back(b.index(i));

  // values: the result, then row (a, c) at 1 + c * n + a, so that the rows of one column c are neighbours.
  auto store = [&](Value result, OpFoldResult i, ValueRange rows) {
    for (int64_t a = 0; a < n; ++a)
      for (int64_t c = 0; c < n; ++c)
        result = b.setRow(result, {b.getIndexAttr(a), b.getIndexAttr(c), i}, rows[c * n + a]);
    return result;
  };
  Values values{Value()};
  for (int64_t c = 0; c < n; ++c)
    for (int64_t a = 0; a < n; ++a) {
      Value row = b.filled(size + 1, 0);
      values.push_back(a == c ? b.setElement(row, zero, one) : row);
    }
  values[0] = store(b.empty({n, n, size + 1, size + 1}), b.getIndexAttr(0), ArrayRef(values).drop_front());

  return b.loop(0, size, 1, values, [&](Value t, ValueRange values) -> Values {
    Value i = b.add(t, 1);
    Values transition, next{Value()};
    for (int64_t a = 0; a < n; ++a)
      for (int64_t c = 0; c < n; ++c)
        transition.push_back(b.element(operand, {t, indices[a], indices[c]}));
    for (int64_t c = 0; c < n; ++c) {
      Values rows = b.map({}, values.slice(1 + c * n, n), [&](ValueRange old) {
        Values sums;
        for (int64_t a = 0; a < n; ++a) {
          Value sum = arith::MulFOp::create(b, old[0], transition[a * n]);
          for (int64_t j = 1; j < n; ++j)
            sum = arith::AddFOp::create(b, sum, arith::MulFOp::create(b, old[j], transition[a * n + j]));
          sums.push_back(sum);
        }
        return sums;
      });
      rows[c] = b.setElement(rows[c], i, one);
      next.append(rows);
    }
    next[0] = store(values[0], i, ArrayRef(next).drop_front());
    return next;
  })[0];
}

//===----------------------------------------------------------------------------------------------------------------===//
// Decays per channel between every pair of tokens
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// Walks over all pairs s < t of tokens, each pair once: in leaf blocks token by token, above them halves by halves.
///
/// With blocks of `size` rows, `early[s]` is a row of token s times its decays to the end of its block and `late[t]` a
/// row of token t times the decays from the beginning of its block (t itself excluded): between blocks that are
/// neighbours the decay of a pair is the product of the two. Doubling the blocks multiplies `early` of the left one by
/// all decays of the right one and `late` of the right one by all decays of the left one: only products over intervals.
///
/// `late` may have several rows a token, neighbours of each other.
class Halving {
public:
  Halving(TensorBuilder &b, Value decay, int64_t leaf, int64_t lateRows = 1)
      : b(b), decay(decay), leaf(leaf), lateRows(lateRows), size(TensorBuilder::shapeOf(decay)[0]) {}

  /// The rows of token t, times the products of decays of one row, in the destination.
  using LateFn = function_ref<Value(Value t, Value product, Value out)>;
  /// One pair of tokens: the new result from t, s and the row early[s].
  using PairFn = function_ref<Value(Value result, Value t, Value s, Value early)>;
  /// One pair of blocks, `left` and `right`, in tokens: the new result.
  using BlockFn = function_ref<Value(Value result, Span right, Span left, Value late, Value early)>;

  /// `early` begins as one row a token.
  Value run(Value result, Value early, LateFn makeLate, PairFn onTokens, BlockFn onBlocks);

private:
  void runLeaves(Value &result, Value &early, PairFn onTokens);
  void prepareLate(Value &late, Value &totals, LateFn makeLate);
  void runLevel(int64_t half, Value &result, Value late, Value early, BlockFn onBlocks);
  void doubleBlocks(int64_t half, Value &late, Value &early, Value &totals);

  Value endOfBlock(Value start);
  Value updateRows(Value tensor, Span span, Value factor) {
    return b.setSlice(tensor, span, b.multiply(b.slice(tensor, span), factor));
  }
  Span span(OpFoldResult from, int64_t count) { return {from, b.getIndexAttr(count)}; }

  TensorBuilder &b;
  Value decay;
  int64_t leaf, lateRows, size;
};
} // namespace

Value Halving::run(Value result, Value early, LateFn makeLate, PairFn onTokens, BlockFn onBlocks) {
  runLeaves(result, early, onTokens);
  if (size <= leaf)
    return result;
  Value late, totals;
  prepareLate(late, totals, makeLate);
  for (int64_t half = leaf; half < size; half *= 2) {
    runLevel(half, result, late, early, onBlocks);
    if (2 * half < size)
      doubleBlocks(half, late, early, totals);
  }
  return result;
}

Value Halving::endOfBlock(Value start) {
  Value end = b.add(start, leaf);
  return size % leaf ? arith::MinSIOp::create(b, end, b.index(size)).getResult() : end;
}

/// The pairs within a block. Row s of `early` decays as t goes on, and has seen the whole block in the end.
void Halving::runLeaves(Value &result, Value &early, PairFn onTokens) {
  Values values = b.loop(0, size, leaf, {result, early}, [&](Value start, ValueRange values) {
    Value end = endOfBlock(start);
    return b.loop(start, end, 1, values, [&](Value s, ValueRange values) {
      return b.loop(b.add(s, 1), end, 1, values, [&](Value t, ValueRange values) -> Values {
        Value row = b.row(values[1], {s});
        Value result = onTokens(values[0], t, s, row);
        return {result, b.setRow(values[1], {s}, b.multiply(row, b.row(decay, {t})))};
      });
    });
  });
  result = values[0];
  early = values[1];
}

/// `late` for leaf blocks, and the product of all decays of each block. The first block is no right half and its total
/// is never needed: both are left as they are.
void Halving::prepareLate(Value &late, Value &totals, LateFn makeLate) {
  int64_t channels = TensorBuilder::shapeOf(decay)[1];
  Values init{b.empty({size * lateRows, channels}), b.empty({llvm::divideCeilSigned(size, leaf), channels}),
              b.empty(channels)};
  Values values = b.loop(leaf, size, leaf, init, [&](Value start, ValueRange values) -> Values {
    Value one = b.fill(values[2], 1);
    Values rows = b.loop(start, endOfBlock(start), 1, {values[0], one}, [&](Value t, ValueRange values) -> Values {
      Span at = b.multiple(span(t, 1), lateRows);
      Value late = b.setSlice(values[0], at, makeLate(t, values[1], b.slice(values[0], at)));
      return {late, b.multiply(values[1], b.row(decay, {t}))};
    });
    Value block = arith::DivUIOp::create(b, start, b.index(leaf));
    return {rows[0], b.setRow(values[1], {block}, rows[1]), rows[1]};
  });
  late = values[0];
  totals = values[1];
}

/// Every right half with its left half; the last right half may be short.
void Halving::runLevel(int64_t half, Value &result, Value late, Value early, BlockFn onBlocks) {
  int64_t whole = size / (2 * half) * (2 * half);
  result = b.loop(0, whole, 2 * half, result, [&](Value start, ValueRange values) -> Values {
    return {onBlocks(values[0], span(b.add(start, half), half), span(start, half), late, early)};
  })[0];
  if (int64_t rest = size - whole - half; rest > 0)
    result = onBlocks(result, span(b.getIndexAttr(whole + half), rest), span(b.getIndexAttr(whole), half), late, early);
}

/// From blocks of `half` rows to blocks of twice as many. The first block is never a right half and the last one never
/// a left half, so that not all rows are needed any more.
void Halving::doubleBlocks(int64_t half, Value &late, Value &early, Value &totals) {
  int64_t pairs = llvm::divideCeilSigned(size, 2 * half), whole = size / (2 * half),
          channels = TensorBuilder::shapeOf(decay)[1];
  auto total = [&](Value pair, int64_t side) {
    return b.row(totals, {b.add(arith::MulIOp::create(b, pair, b.index(2)), side)});
  };
  auto rows = [&](Value pair, int64_t side) {
    return span(b.add(arith::MulIOp::create(b, pair, b.index(2 * half)), side * half), half);
  };
  late = b.loop(1, whole, 1, late, [&](Value pair, ValueRange values) -> Values {
    return {updateRows(values[0], b.multiple(rows(pair, 1), lateRows), total(pair, 0))};
  })[0];
  if (int64_t rest = size - whole * 2 * half - half; rest > 0 && whole > 0) {
    Span last = span(b.getIndexAttr(whole * 2 * half + half), rest);
    late = updateRows(late, b.multiple(last, lateRows), total(b.index(whole), 0));
  }
  early = b.loop(0, pairs - 1, 1, early, [&](Value pair, ValueRange values) -> Values {
    return {updateRows(values[0], rows(pair, 0), total(pair, 1))};
  })[0];
  totals = b.loop(1, pairs - 1, 1, b.empty({pairs, channels}), [&](Value pair, ValueRange values) -> Values {
    Value product = b.product(total(pair, 0), total(pair, 1), b.row(values[0], {pair}));
    return {b.setRow(values[0], {pair}, product)};
  })[0];
}

/// For `late`: the products of decays themselves.
static Value productOnly(Value, Value product, Value) { return product; }

static Value ones(TensorBuilder &b, Value like) { return b.filled(TensorBuilder::shapeOf(like), 1); }

/// Gram matrices with the same keys and decays, at once: row t of query i is row t * count + i of one matrix, and
/// likewise for the results.
static Values lowerGrams(TensorBuilder &b, MutableArrayRef<chunk::DecayedGramOp> ops, int64_t leaf) {
  chunk::DecayedGramOp first = ops.front();
  int64_t count = ops.size(), size = TensorBuilder::shapeOf(first.getQuery())[0],
          channels = TensorBuilder::shapeOf(first.getQuery())[1];
  Value query = first.getQuery();
  if (count > 1) {
    query = b.empty({size * count, channels});
    for (auto [i, op] : llvm::enumerate(ops))
      query = b.setAlternate(query, count, i, op.getQuery());
  }
  auto rowsOf = [&](Value t) { return b.multiple({t, b.getIndexAttr(1)}, count); };
  auto scaleQuery = [&](Value t, Value product, Value out) {
    return b.product(b.slice(query, rowsOf(t)), product, out);
  };
  auto onTokens = [&](Value result, Value t, Value s, Value early) {
    Span rows = rowsOf(t);
    return b.setColumn(result, rows, s, b.dotRows(b.slice(query, rows), early, b.column(result, rows, s)));
  };
  auto onBlocks = [&](Value result, Span right, Span left, Value late, Value early) {
    Span rows = b.multiple(right, count);
    Value block =
        b.contract(b.slice(late, rows), b.slice(early, left), b.slice(result, {rows, left}), /*transposed=*/true);
    return b.setSlice(result, {rows, left}, block);
  };
  Value zero = b.filled({size * count, size}, 0);
  Value result = Halving(b, first.getDecay(), leaf, count).run(zero, first.getKey(), scaleQuery, onTokens, onBlocks);
  if (count == 1)
    return {result};
  Values results;
  for (int64_t i = 0; i < count; ++i)
    results.push_back(b.alternate(result, count, i));
  return results;
}

static Value lowerApply(TensorBuilder &b, chunk::DecayedApplyOp op, int64_t leaf) {
  Value weight = op.getWeight();
  ArrayRef<int64_t> shape = TensorBuilder::shapeOf(op.getValue());
  auto onTokens = [&](Value result, Value t, Value s, Value early) {
    Value factor = b.element(weight, {t, s});
    Value row = b.map(early, b.row(result, {t}), [&](ValueRange values) -> Values {
      return {arith::AddFOp::create(b, values[1], arith::MulFOp::create(b, factor, values[0]))};
    })[0];
    return b.setRow(result, {t}, row);
  };
  auto onBlocks = [&](Value result, Span right, Span left, Value late, Value early) {
    Value zero = b.filled({*getConstantIntValue(right.size), shape[1]}, 0);
    Value sum = b.contract(b.slice(weight, {right, left}), b.slice(early, left), zero, /*transposed=*/false);
    Value rows = b.map({b.slice(late, right), sum}, b.slice(result, right), [&](ValueRange values) -> Values {
      return {arith::AddFOp::create(b, values[2], arith::MulFOp::create(b, values[0], values[1]))};
    })[0];
    return b.setSlice(result, right, rows);
  };
  return Halving(b, op.getDecay(), leaf).run(b.filled(shape, 0), op.getValue(), productOnly, onTokens, onBlocks);
}

/// From later tokens to earlier ones: result[s] += weight[t, s] * (decays between) * value[t].
static Value lowerReverseApply(TensorBuilder &b, chunk::DecayedApplyOp op, int64_t leaf) {
  Value weight = op.getWeight(), value = op.getValue();
  ArrayRef<int64_t> shape = TensorBuilder::shapeOf(value);
  auto times = [&](Value t, Value product, Value out) { return b.product(b.row(value, {t}), product, out); };
  auto addScaled = [&](ValueRange ins, Value out, Value factor) {
    return b.map(ins, out, [&](ValueRange v) -> Values {
      Value term = arith::MulFOp::create(b, v[0], v[1]);
      if (factor)
        term = arith::MulFOp::create(b, term, factor);
      return {arith::AddFOp::create(b, v.back(), term)};
    })[0];
  };
  auto onTokens = [&](Value result, Value t, Value s, Value early) {
    return b.setRow(result, {s}, addScaled({early, b.row(value, {t})}, b.row(result, {s}), b.element(weight, {t, s})));
  };
  auto onBlocks = [&](Value result, Span right, Span left, Value late, Value early) {
    Value zero = b.filled({*getConstantIntValue(left.size), shape[1]}, 0);
    Value sum = b.contractTransposed(b.slice(weight, {right, left}), b.slice(late, right), zero);
    return b.setSlice(result, left, addScaled({b.slice(early, left), sum}, b.slice(result, left), {}));
  };
  return Halving(b, op.getDecay(), leaf).run(b.filled(shape, 0), ones(b, value), times, onTokens, onBlocks);
}

/// result[u] += product[u] * f[u] for the rows of a block, where f sums the `terms` of the tokens after u (before u
/// with `forwards`), each times the decays between: f[u] = terms[v] + decay[v] f[v] with v the neighbour of u.
static Value addRunningSums(TensorBuilder &b, Value result, Value products, Value terms, Value decay, Span rows,
                            bool forwards) {
  int64_t size = *getConstantIntValue(rows.size);
  Value start = getValueOrCreateConstantIndexOp(b, b.getLoc(), rows.from), zero = b.fill(emptyRow(b, decay), 0);
  return b.loop(0, size, 1, {result, zero}, [&](Value step, ValueRange values) -> Values {
    Value i = forwards ? step : arith::SubIOp::create(b, b.index(size - 1), step).getResult();
    Value u = arith::AddIOp::create(b, start, i);
    auto addProduct = [&](ValueRange v) -> Values {
      return {arith::AddFOp::create(b, v[2], arith::MulFOp::create(b, v[0], v[1]))};
    };
    Value row = b.map({b.row(products, {u}), values[1]}, b.row(values[0], {u}), addProduct)[0];
    Value stored = b.setRow(values[0], {u}, row);
    Value next = b.map({b.row(decay, {u}), b.row(terms, {i})}, values[1], [&](ValueRange v) -> Values {
      return {arith::AddFOp::create(b, v[1], arith::MulFOp::create(b, v[0], v[2]))};
    })[0];
    return {stored, next};
  })[0];
}

/// Block by block: a decay of the right half lies between all of the left half and the tokens after it, one of the left
/// half between the tokens before it and all of the right half. The halves go down to single tokens.
static Value lowerDecayAdjoint(TensorBuilder &b, chunk::DecayAdjointOp op) {
  Value weight = op.getWeight(), later = op.getLater(), earlier = op.getEarlier(), decay = op.getDecay();
  int64_t channels = TensorBuilder::shapeOf(decay)[1];
  auto multiplied = [&](Value x, Value y, int64_t rows) { return b.product(x, y, b.empty({rows, channels})); };
  auto onTokens = [&](Value result, Value, Value, Value) { return result; }; // a leaf of one token has no pairs
  auto onBlocks = [&](Value result, Span right, Span left, Value late, Value early) {
    int64_t numLeft = *getConstantIntValue(left.size), numRight = *getConstantIntValue(right.size);
    Value block = b.slice(weight, {right, left});
    Value x = b.slice(later, right), y = b.slice(earlier, left);
    Value fromLeft = b.contract(block, multiplied(b.slice(early, left), y, numLeft), b.filled({numRight, channels}, 0),
                                /*transposed=*/false);
    Value fromRight =
        b.contractTransposed(block, multiplied(b.slice(late, right), x, numRight), b.filled({numLeft, channels}, 0));
    result = addRunningSums(b, result, late, multiplied(fromLeft, x, numRight), decay, right, /*forwards=*/false);
    return addRunningSums(b, result, early, multiplied(fromRight, y, numLeft), decay, left, /*forwards=*/true);
  };
  Value zero = b.filled(TensorBuilder::shapeOf(decay), 0);
  return Halving(b, decay, /*leaf=*/1).run(zero, ones(b, decay), productOnly, onTokens, onBlocks);
}

namespace {
struct RondoLowerDecayPass : rondo::impl::RondoLowerDecayBase<RondoLowerDecayPass> {
  using RondoLowerDecayBase::RondoLowerDecayBase;

  void runOnOperation() override {
    // What is made for the tile scheduler alone.
    WalkResult inclusive = getOperation().walk([&](Operation *op) {
      return op->hasAttr("inclusive") ? WalkResult(op->emitOpError("has no lowering that includes a token's own decay"))
                                      : WalkResult::advance();
    });
    if (inclusive.wasInterrupted())
      return signalPassFailure();
    // Totals first: they look for running products.
    getOperation().walk([&](chunk::TotalOp op) { replace(op, lowerTotal); });
    SmallVector<chunk::DecayedGramOp> grams;
    getOperation().walk([&](chunk::DecayedGramOp op) { grams.push_back(op); });
    while (!grams.empty())
      lowerGramsLike(grams.front(), grams);
    getOperation().walk([&](Operation *op) {
      llvm::TypeSwitch<Operation *>(op)
          .Case([&](chunk::CumprodOp op) { replace(op, lowerCumprod); })
          .Case([&](chunk::IntervalProductsOp op) {
            bool isVector = TensorBuilder::shapeOf(op.getOperand()).size() == 1;
            replace(op, [&](TensorBuilder &b, auto) {
              return isVector ? lowerIntervals(b, op.getOperand()) : lowerCoupledIntervals(b, op.getOperand());
            });
          })
          .Case([&](chunk::DecayedApplyOp op) {
            replace(op, [&](TensorBuilder &b, auto op) {
              return op.getReverse() ? lowerReverseApply(b, op, leaf) : lowerApply(b, op, leaf);
            });
          })
          .Case([&](chunk::DecayAdjointOp op) { replace(op, lowerDecayAdjoint); });
    });
  }

private:
  /// Lowers `first` and, where their queries can be computed as early, the others with the same keys and decays;
  /// removes them from `grams`.
  void lowerGramsLike(chunk::DecayedGramOp first, SmallVectorImpl<chunk::DecayedGramOp> &grams) {
    IRRewriter rewriter(&getContext());
    SmallVector<chunk::DecayedGramOp> group;
    for (chunk::DecayedGramOp op : grams)
      if (op == first ||
          (op->getBlock() == first->getBlock() && op.getKey() == first.getKey() && op.getDecay() == first.getDecay() &&
           succeeded(moveValueDefinitions(rewriter, op.getQuery(), first))))
        group.push_back(op);
    llvm::erase_if(grams, [&](chunk::DecayedGramOp op) { return llvm::is_contained(group, op); });
    TensorBuilder b(first);
    for (auto [op, result] : llvm::zip(group, lowerGrams(b, group, leaf)))
      op.replaceAllUsesWith(result);
    for (chunk::DecayedGramOp op : group)
      op.erase();
  }

  template <typename OpTy, typename Fn>
  void replace(OpTy op, Fn lower) {
    TensorBuilder b(op);
    op.getOperation()->getResult(0).replaceAllUsesWith(lower(b, op));
    op.erase();
  }
};
} // namespace
