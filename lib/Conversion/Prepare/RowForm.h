//===- RowForm.h - Values of tokens that one warp can make row by row ---------------------------------*- C++ -*-===//
//
// What a *prepare* kernel can compute: values [C, N] and [C] of tokens that depend on no state. A warp goes through the
// tokens of a chunk, its lanes hold neighbouring channels. So a row is made of the same row of token arrays, of
// parameters, of sums over the channels of the row (shuffles) and of what a scan carries from the rows before it.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_PREPARE_ROWFORM_H
#define RONDO_LIB_CONVERSION_PREPARE_ROWFORM_H

#include "rondo/Dialect/Chunk/Chunk.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace rondo::prepare {

/// Vectors are dealt out to the lanes of a warp.
constexpr int64_t kLanes = 32;

/// A reduction over the channels of a row: sum, product, maximum or minimum of what `terms` gives.
struct Reduction {
  /// Combines two partial results; its other operand is the term.
  mlir::Operation *combiner;
  mlir::Value term;
};
/// The reduction of a structured operation whose last loop is the only one that reduces.
std::optional<Reduction> matchReduction(mlir::linalg::LinalgOp op);

/// Every `step`-th channel from `offset` on.
struct Channels {
  int64_t offset, step;
};
/// The channels that a slice takes or puts, if it takes all rows; `isRow`: axis 0 is time.
std::optional<Channels> matchChannels(mlir::OffsetSizeAndStrideOpInterface op, llvm::ArrayRef<int64_t> whole,
                                      llvm::ArrayRef<int64_t> part, bool isRow);

class RowForms {
public:
  /// Whether axis 0 of a value is time and its rows can be made one by one.
  bool hasRows(mlir::Value value) { return check(value, Kind::Row); }
  /// Whether a value without time (of a chunk) can be made once the rows have been gone through.
  bool hasTotal(mlir::Value value) { return check(value, Kind::Total); }

private:
  /// A row of a value; one without time that is there before the rows; one that is there after them.
  enum class Kind { Row, Before, Total };
  bool check(mlir::Value value, Kind kind);
  bool compute(mlir::Value value, Kind kind);
  llvm::DenseMap<std::pair<mlir::Value, unsigned>, bool> known;
};

} // namespace rondo::prepare

#endif // RONDO_LIB_CONVERSION_PREPARE_ROWFORM_H
