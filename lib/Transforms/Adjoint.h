//===- Adjoint.h - Reverse-mode derivatives of chunk bodies -------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_TRANSFORMS_ADJOINT_H
#define RONDO_LIB_TRANSFORMS_ADJOINT_H

#include "Lift.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/SetVector.h"

namespace rondo {

namespace chunk {
class ScanOp;
}

/// Derivatives of straight-line tensor programs. Cotangents of results are seeded, the operations are visited last to
/// first, and each adds to the cotangents of its operands.
class Adjoint {
public:
  /// New operations go where `builder` points; `count` is the number of valid tokens of the chunk.
  Adjoint(mlir::ImplicitLocOpBuilder &builder, int64_t chunk, mlir::Value count)
      : emit(builder, chunk), b(builder), count(count) {}

  /// Marks a value whose cotangent is wanted, and with it all that is computed from it.
  void want(mlir::Value value) { active.insert(value); }
  void seed(mlir::Value value, mlir::Value cotangent) { accumulate(value, cotangent); }
  /// The cotangent of `value`; zeros when nothing depends on it.
  mlir::Value get(mlir::Value value);
  /// Differentiates `ops`, given in program order, from what `seedResults` seeds. Fails with an error on an operation
  /// without a rule.
  mlir::LogicalResult run(llvm::ArrayRef<mlir::Operation *> ops, llvm::function_ref<void()> seedResults);

private:
  bool isActive(mlir::Value value) const { return active.contains(value); }
  /// The cotangent so far, or null.
  mlir::Value known(mlir::Value value) const { return cotangents.lookup(value); }
  void accumulate(mlir::Value value, mlir::Value cotangent);
  mlir::LogicalResult visit(mlir::Operation *op);
  void visitContract(mlir::linalg::ContractOp op, mlir::Value out);
  mlir::LogicalResult visitGeneric(mlir::linalg::GenericOp op, mlir::Value out);
  void visitCumprod(mlir::Operation *op, mlir::Value decay, bool suffix, mlir::Value out);
  void visitIntervalProducts(mlir::Operation *op, mlir::Value out);
  mlir::LogicalResult visitScan(chunk::ScanOp op);
  /// sum over intervals that end (or begin) at each token: s[u] = c[u+1] + decay[u+1] s[u+1], or the mirror image.
  mlir::Value runningSum(mlir::Value terms, mlir::Value decay, bool backwards);

  Emitter emit;
  mlir::ImplicitLocOpBuilder &b;
  mlir::Value count;
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, mlir::Value> cotangents;
};

/// Copies the scalar operations of `body` with `arguments` for its block arguments and returns the derivative of its
/// result with respect to argument `wrt`, times `seed`; null when it is zero everywhere. Sets `unknown` to an operation
/// without a rule.
mlir::Value differentiateScalar(mlir::ImplicitLocOpBuilder &b, mlir::Block &body, mlir::ValueRange arguments,
                                unsigned wrt, mlir::Value seed, mlir::Operation *&unknown);

} // namespace rondo

#endif // RONDO_LIB_TRANSFORMS_ADJOINT_H
