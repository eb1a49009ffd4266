//===- VectorizeSupport.h - Shared pieces of rondo-vectorize ------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_CONVERSION_VECTORIZESUPPORT_H
#define RONDO_LIB_CONVERSION_VECTORIZESUPPORT_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

namespace rondo::vectorize {

/// What the code generator needs to know about the machine.
struct Target {
  /// f32 lanes of one vector register.
  int64_t lanes;
  /// Number of vector registers.
  int64_t registers;
};

/// Called once for every block of a loop: the builder, the first index and the values carried by the loop.
using LoopBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::OpBuilder &, mlir::Value, mlir::ValueRange)>;

/// Index arithmetic that folds constants.
mlir::Value addIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x, mlir::Value y);
mlir::Value addIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x, int64_t y);
mlir::Value mulIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x, mlir::Value y);
mlir::Value mulIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x, int64_t y);
mlir::Value indexConstant(mlir::OpBuilder &b, mlir::Location loc, int64_t value);

/// The loop `for iv = lower to upper step step`, or the body alone when it runs exactly once. Returns the carried
/// values.
llvm::SmallVector<mlir::Value> emitLoop(mlir::OpBuilder &b, mlir::Location loc, mlir::Value lower, mlir::Value upper,
                                        int64_t step, mlir::ValueRange carried, LoopBody body);

/// `value` in every lane; the constant case gives a constant.
mlir::Value broadcast(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, int64_t lanes);

/// The zero vector (or splat of any f32).
mlir::Value splat(mlir::OpBuilder &b, mlir::Location loc, mlir::TypedAttr value, int64_t lanes);

/// A mask with the first `count` of `lanes` lanes set.
mlir::Value emitMask(mlir::OpBuilder &b, mlir::Location loc, mlir::Value count, int64_t lanes);

/// An operand of a structured operation: its buffer seen as one dimension, and the stride of every loop of the
/// operation (zero for loops that do not move in it). Linear addresses keep what LLVM has to simplify small: a base and
/// constants.
class Operand {
public:
  Operand() = default;
  Operand(mlir::OpBuilder &b, mlir::Location loc, mlir::Value memref, mlir::AffineMap map);

  mlir::Type getElementType() const { return element; }
  /// The loop moves in this operand.
  bool uses(unsigned loop) const { return used[loop]; }
  /// Consecutive iterations of the loop are neighbours in memory.
  bool isUnit(unsigned loop) const { return used[loop] && constantStride(loop) == 1; }
  std::optional<int64_t> constantStride(unsigned loop) const { return mlir::getConstantIntValue(strides[loop]); }
  mlir::Value stride(mlir::OpBuilder &b, mlir::Location loc, unsigned loop) const;

  /// The linear address for the values of the loops; loops whose value is null count as zero.
  mlir::Value address(mlir::OpBuilder &b, mlir::Location loc, llvm::ArrayRef<mlir::Value> loops) const;

  /// `lanes` neighbours (or one scalar when `lanes` is 0) from a linear address; masked off lanes read zero.
  mlir::Value load(mlir::OpBuilder &b, mlir::Location loc, mlir::Value address, int64_t lanes,
                   mlir::Value mask = {}) const;
  void store(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, mlir::Value address,
             mlir::Value mask = {}) const;

  /// `lanes` elements along `loop`, whatever its stride; lanes from `count` on (when given) repeat the last valid one.
  mlir::Value gather(mlir::OpBuilder &b, mlir::Location loc, mlir::Value address, unsigned loop, int64_t lanes,
                     mlir::Value count = {}) const;
  /// The first `count` (when given) elements of a vector to addresses along `loop`.
  void scatter(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, mlir::Value address, unsigned loop,
               mlir::Value count = {}) const;

private:
  /// One-dimensional view of the buffer, or the scalar itself when the operand is not a memref.
  mlir::Value flat;
  mlir::Type element;
  mlir::OpFoldResult offset;
  llvm::SmallVector<mlir::OpFoldResult> strides;
  llvm::SmallVector<bool> used;
};

/// The number of iterations of every loop of `op`, from its operands' shapes.
llvm::SmallVector<mlir::Value> loopExtents(mlir::OpBuilder &b, mlir::linalg::LinalgOp op);

/// The `linalg.fill` with zero of the buffer that `op` adds to, when nothing between the two can see the buffer.
mlir::linalg::FillOp findZeroFill(mlir::linalg::LinalgOp op);

/// Lowers a product of two operands summed over loops to register tiles; fails, leaving the IR as it was, when `op` is
/// something else or its layout does not suit. Erased operations other than `op` are added to `erased`.
mlir::LogicalResult lowerContraction(mlir::RewriterBase &rewriter, mlir::linalg::LinalgOp op, const Target &target,
                                     llvm::SmallPtrSetImpl<mlir::Operation *> &erased);

/// Lowers any other structured operation, one loop of it in vectors; fails when no loop suits.
mlir::LogicalResult lowerGeneric(mlir::RewriterBase &rewriter, mlir::linalg::LinalgOp op, const Target &target);

} // namespace rondo::vectorize

#endif // RONDO_LIB_CONVERSION_VECTORIZESUPPORT_H
