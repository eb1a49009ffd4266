//===- LowerSolve.cpp - Triangular solves to blocks of products -------------------------------------------------===//

#include "LowerChunk.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Chunk/Chunk.h"

#define DEBUG_TYPE "rondo-lower-solve"

namespace rondo {
#define GEN_PASS_DEF_RONDOLOWERSOLVE
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

using Values = TensorBuilder::Values;

/// One right-hand side: result[i] = rhs[i] - sum over j < i of matrix[i, j] result[j], number by number.
static Value solveVector(TensorBuilder &b, Value matrix, Value rhs) {
  return b.loop(0, TensorBuilder::shapeOf(rhs)[0], 1, rhs, [&](Value i, ValueRange values) -> Values {
    Value solved = values[0];
    Value sum = b.loop(b.index(0), i, 1, b.element(solved, i), [&](Value j, ValueRange sums) -> Values {
      Value term = arith::MulFOp::create(b, b.element(matrix, {i, j}), b.element(solved, j));
      return {arith::SubFOp::create(b, sums[0], term)};
    })[0];
    return {b.setElement(solved, i, sum)};
  })[0];
}

/// Rows `start` to `start + size - 1`: first what the solved rows above take from all of them at once, then row by row.
/// A row is updated in `rhs` and then copied to `solved`, because no operation may read and write the same buffer.
static Values solveBlock(TensorBuilder &b, Value negated, Value start, int64_t size, ValueRange values) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1), rows = b.getIndexAttr(size);
  Value rhs = values[0], solved = values[1];
  Value above = b.contract(b.slice(negated, {{start, rows}, {zero, start}}), b.slice(solved, {{zero, start}}),
                           b.slice(rhs, {{start, rows}}), /*transposed=*/false);
  rhs = b.setSlice(rhs, {{start, rows}}, above);
  return b.loop(start, b.add(start, size), 1, {rhs, solved}, [&](Value i, ValueRange values) -> Values {
    Value before = arith::SubIOp::create(b, i, start);
    Value row = b.contract(b.slice(negated, {{i, one}, {start, before}}), b.slice(values[1], {{start, before}}),
                           b.slice(values[0], {{i, one}}), /*transposed=*/false);
    return {b.setSlice(values[0], {{i, one}}, row), b.setSlice(values[1], {{i, one}}, row)};
  });
}

static Value solveMatrix(TensorBuilder &b, Value matrix, Value rhs, int64_t block) {
  ArrayRef<int64_t> shape = TensorBuilder::shapeOf(rhs);
  Value negated = b.map(matrix, b.empty(TensorBuilder::shapeOf(matrix)),
                        [&](ValueRange values) -> Values { return {arith::NegFOp::create(b, values[0])}; })[0];
  int64_t whole = shape[0] / block * block;
  Values values{rhs, b.empty(shape)};
  values = b.loop(0, whole, block, values,
                  [&](Value start, ValueRange values) { return solveBlock(b, negated, start, block, values); });
  if (whole < shape[0])
    values = solveBlock(b, negated, b.index(whole), shape[0] - whole, values);
  return values[1];
}

//===----------------------------------------------------------------------------------------------------------------===//
// The transposed system: from the last block to the first
//===----------------------------------------------------------------------------------------------------------------===//

static Value solveTransposedVector(TensorBuilder &b, Value matrix, Value rhs) {
  int64_t size = TensorBuilder::shapeOf(rhs)[0];
  return b.loop(0, size, 1, rhs, [&](Value step, ValueRange values) -> Values {
    Value i = arith::SubIOp::create(b, b.index(size - 1), step), solved = values[0];
    Value sum = b.loop(b.add(i, 1), b.index(size), 1, b.element(solved, i), [&](Value j, ValueRange sums) -> Values {
      Value term = arith::MulFOp::create(b, b.element(matrix, {j, i}), b.element(solved, j));
      return {arith::SubFOp::create(b, sums[0], term)};
    })[0];
    return {b.setElement(solved, i, sum)};
  })[0];
}

/// Rows `start` to `start + size - 1`: first what the solved rows below take from all of them at once, then row by row
/// from the last.
static Values solveTransposedBlock(TensorBuilder &b, Value negated, Value start, int64_t size, ValueRange values) {
  OpFoldResult one = b.getIndexAttr(1), rows = b.getIndexAttr(size);
  Value end = b.add(start, size), solved = values[1];
  OpFoldResult below = arith::SubIOp::create(b, b.index(TensorBuilder::shapeOf(solved)[0]), end).getResult();
  Value sum = b.contractTransposed(b.slice(negated, {{end, below}, {start, rows}}), b.slice(solved, {{end, below}}),
                                   b.slice(values[0], {{start, rows}}));
  Value rhs = b.setSlice(values[0], {{start, rows}}, sum);
  return b.loop(0, size, 1, {rhs, solved}, [&](Value step, ValueRange values) -> Values {
    Value i = arith::SubIOp::create(b, arith::SubIOp::create(b, end, b.index(1)), step), next = b.add(i, 1);
    Span after{next, arith::SubIOp::create(b, end, next).getResult()};
    Value row = b.contractTransposed(b.slice(negated, {after, {i, one}}), b.slice(values[1], {after}),
                                     b.slice(values[0], {{i, one}}));
    return {b.setSlice(values[0], {{i, one}}, row), b.setSlice(values[1], {{i, one}}, row)};
  });
}

static Value solveTransposedMatrix(TensorBuilder &b, Value matrix, Value rhs, int64_t block) {
  ArrayRef<int64_t> shape = TensorBuilder::shapeOf(rhs);
  Value negated = b.map(matrix, b.empty(TensorBuilder::shapeOf(matrix)),
                        [&](ValueRange values) -> Values { return {arith::NegFOp::create(b, values[0])}; })[0];
  int64_t whole = shape[0] / block * block;
  Values values{rhs, b.empty(shape)};
  if (whole < shape[0])
    values = solveTransposedBlock(b, negated, b.index(whole), shape[0] - whole, values);
  values = b.loop(0, whole, block, values, [&](Value step, ValueRange values) {
    Value start = arith::SubIOp::create(b, b.index(whole - block), step);
    return solveTransposedBlock(b, negated, start, block, values);
  });
  return values[1];
}

namespace {
struct RondoLowerSolvePass : rondo::impl::RondoLowerSolveBase<RondoLowerSolvePass> {
  using RondoLowerSolveBase::RondoLowerSolveBase;

  void runOnOperation() override {
    getOperation().walk([&](chunk::SolveOp op) {
      TensorBuilder b(op);
      Value rhs = op.getRhs();
      bool isVector = TensorBuilder::shapeOf(rhs).size() == 1;
      Value solved;
      if (op.getTransposed())
        solved = isVector ? solveTransposedVector(b, op.getMatrix(), rhs)
                          : solveTransposedMatrix(b, op.getMatrix(), rhs, block);
      else
        solved = isVector ? solveVector(b, op.getMatrix(), rhs) : solveMatrix(b, op.getMatrix(), rhs, block);
      op.replaceAllUsesWith(solved);
      op.erase();
    });
  }
};
} // namespace
