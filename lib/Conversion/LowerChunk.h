//===- LowerChunk.h - Tensor programs that become in-place loops --------------------------------------*- C++ -*-===//
//
// What the lowerings of the chunk dialect share. The programs they write keep every tensor that is updated in a loop
// among the loop's iteration arguments and change it by extract_slice, a destination-style operation and insert_slice,
// and no operation reads one part of a tensor while it writes another part of the same tensor: one-shot bufferization
// then makes in-place loops of them, without copies.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_LOWERCHUNK_H
#define RONDO_LIB_CONVERSION_LOWERCHUNK_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace rondo {

/// `size` positions of an axis from `from` on.
struct Span {
  mlir::OpFoldResult from, size;
};

/// Writes tensor programs before one operation.
class TensorBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Values = llvm::SmallVector<Value>;

  explicit TensorBuilder(mlir::Operation *op) : ImplicitLocOpBuilder(op->getLoc(), op) {}

  static llvm::ArrayRef<int64_t> shapeOf(Value tensor);

  Value index(int64_t value);
  Value number(double value);
  Value add(Value lhs, int64_t rhs);
  /// `count` positions for each one of `span`.
  Span multiple(Span span, int64_t count);

  Value empty(llvm::ArrayRef<int64_t> shape);
  Value filled(llvm::ArrayRef<int64_t> shape, double value);
  Value fill(Value tensor, double value);
  /// `tensor` with `value` in the rows from `from` on.
  Value fillRowsFrom(Value tensor, Value from, double value);

  /// The part of a tensor that `spans` say of its first axes; the other axes are whole.
  Value slice(Value tensor, llvm::ArrayRef<Span> spans);
  Value setSlice(Value tensor, llvm::ArrayRef<Span> spans, Value part);
  /// The part of a tensor at the position `at` of its first axes, which are dropped.
  Value row(Value tensor, llvm::ArrayRef<mlir::OpFoldResult> at);
  Value setRow(Value tensor, llvm::ArrayRef<mlir::OpFoldResult> at, Value part);
  /// The part of a matrix in the given rows and one column, without that column's axis.
  Value column(Value tensor, Span rows, Value at);
  Value setColumn(Value tensor, Span rows, Value at, Value part);
  /// Row i times `count` plus `offset` of a matrix, for every i: one of `count` matrices whose rows alternate.
  Value alternate(Value tensor, int64_t count, int64_t offset);
  Value setAlternate(Value tensor, int64_t count, int64_t offset, Value part);
  /// One element.
  Value element(Value tensor, ValueRange at);
  Value setElement(Value tensor, ValueRange at, Value value);

  /// Elementwise `outs = body(ins..., outs...)`; an input of lower rank is repeated along the leading axes.
  Values map(ValueRange ins, ValueRange outs, llvm::function_ref<Values(ValueRange)> body);
  /// out *= factor.
  Value multiply(Value out, Value factor);
  /// out = lhs * rhs.
  Value product(Value lhs, Value rhs, Value out);
  /// out *= every row of `tensor` in turn.
  Value multiplyRows(Value tensor, Value out);
  /// out[i] += sum of lhs[i] * rhs: the products of rows with one row.
  Value dotRows(Value lhs, Value rhs, Value out);
  /// out += lhs rhs, or with `transposed` out += lhs rhs^T.
  Value contract(Value lhs, Value rhs, Value out, bool transposed);
  /// out += lhs^T rhs.
  Value contractTransposed(Value lhs, Value rhs, Value out);

  /// for i = from, from + step ... < to: values = body(i, values).
  Values loop(Value from, Value to, int64_t step, ValueRange init, llvm::function_ref<Values(Value, ValueRange)> body);
  Values loop(int64_t from, int64_t to, int64_t step, ValueRange init,
              llvm::function_ref<Values(Value, ValueRange)> body) {
    return loop(index(from), index(to), step, init, body);
  }
};

} // namespace rondo

#endif // RONDO_LIB_CONVERSION_LOWERCHUNK_H
