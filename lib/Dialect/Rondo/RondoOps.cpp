//===- RondoOps.cpp - Verifiers of the token-level operations ---------------------------------------------------===//

#include "mlir/IR/OpImplementation.h"
#include "rondo/Dialect/Rondo/Rondo.h"

using namespace mlir;
using namespace rondo;

#define GET_OP_CLASSES
#include "rondo/Dialect/Rondo/RondoOps.cpp.inc"

/// A scalar, or exactly `shape`.
static bool isScalarOr(ValueType type, ArrayRef<Dim> shape) { return type.isScalar() || type.getDims() == shape; }

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

LogicalResult LoadOp::verify() {
  if (getResult().getType() != getState().getType().getValueType())
    return emitOpError("must give a value of the state's shape");
  return success();
}

LogicalResult StoreOp::verify() {
  if (getValue().getType() != getState().getType().getValueType())
    return emitOpError("must store a value of the state's shape");
  return success();
}

LogicalResult DecayOp::verify() {
  ArrayRef<Dim> state = getState().getType().getDims(), factor = getFactor().getType().getDims();
  if (!getAxis()) {
    if (!isScalarOr(getFactor().getType(), state))
      return emitOpError("without an axis the factor must be a scalar or have the state's shape");
    return success();
  }
  if (state.size() != 2)
    return emitOpError("an axis needs a matrix state; leave it out for a vector state");
  if (factor.size() != 1 || factor[0] != state[*getAxis() == Axis::rows ? 0 : 1])
    return emitOpError("the factor must be a vector with one element a ")
           << (*getAxis() == Axis::rows ? "row" : "column") << " of the state";
  return success();
}

/// Rows turn in pairs: `theta` must have half as many elements.
static LogicalResult verifyRotation(Operation *op, ArrayRef<Dim> shape, ValueType theta) {
  if (shape.empty())
    return op->emitOpError("cannot turn a scalar");
  if (theta.getRank() != 1 || theta.getDims()[0] * Dim(2) != shape[0])
    return op->emitOpError("theta must be a vector with one angle for two rows");
  return success();
}

LogicalResult RotateStateOp::verify() {
  return verifyRotation(*this, getState().getType().getDims(), getTheta().getType());
}

LogicalResult RotateOp::verify() {
  if (getOperand().getType() != getResult().getType())
    return emitOpError("must give a value of the operand's shape");
  return verifyRotation(*this, getOperand().getType().getDims(), getTheta().getType());
}

LogicalResult ReadOp::verify() {
  ArrayRef<Dim> state = getState().getType().getDims();
  if (state.empty())
    return emitOpError("cannot contract a scalar state; load it");
  bool rows = getAxis() == Axis::rows;
  if (state.size() == 1 && !rows)
    return emitOpError("a vector state has rows only");
  ArrayRef<Dim> vector = getVector().getType().getDims();
  if (vector.size() != 1 || vector[0] != state[rows ? 0 : 1])
    return emitOpError("the vector must have one element a ") << (rows ? "row" : "column") << " of the state";
  SmallVector<Dim> result;
  if (state.size() == 2)
    result.push_back(state[rows ? 1 : 0]);
  if (getResult().getType().getDims() != ArrayRef<Dim>(result))
    return emitOpError("the result must have the other size of the state");
  return success();
}

LogicalResult WriteOp::verify() {
  ArrayRef<Dim> state = getState().getType().getDims();
  if (getKey().getType().getDims() != state.take_front(1))
    return emitOpError("the key must have one element a row of the state");
  if (getValue().getType().getDims() != (state.size() == 2 ? state.drop_front() : ArrayRef<Dim>()))
    return emitOpError("the value must have one element a column of the state");
  return success();
}

LogicalResult AccumulateOp::verify() {
  if (getState().getType() != getSource().getType())
    return emitOpError("both states must have the same shape");
  if (!getFactor().getType().isScalar())
    return emitOpError("the factor must be a scalar");
  return success();
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

LogicalResult ConstantOp::verify() {
  return getResult().getType().isScalar() ? success() : emitOpError("must be a scalar");
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValueAttr(); }

LogicalResult DimOp::verify() {
  if (!Dim::parse(getSize()))
    return emitOpError("'") << getSize() << "' is not a size expression";
  return getResult().getType().isScalar() ? success() : emitOpError("must be a scalar");
}

LogicalResult BinaryOp::verify() {
  ArrayRef<Dim> result = getResult().getType().getDims();
  ValueType lhs = getLhs().getType(), rhs = getRhs().getType();
  if (!isScalarOr(lhs, result) || !isScalarOr(rhs, result) || (lhs.getDims() != result && rhs.getDims() != result))
    return emitOpError("operands must have the same shape or one be a scalar, and the result the larger shape");
  return success();
}

LogicalResult SelectOp::verify() {
  ArrayRef<Dim> result = getResult().getType().getDims();
  for (Value operand : getOperands())
    if (!isScalarOr(cast<ValueType>(operand.getType()), result))
      return emitOpError("operands must be scalars or have the result's shape");
  return success();
}

LogicalResult BroadcastOp::verify() {
  ValueType operand = getOperand().getType(), result = getResult().getType();
  if (!getAxis())
    return operand.isScalar() && !result.isScalar() ? success()
                                                    : emitOpError("without an axis the operand must be a scalar");
  if (operand.getRank() != 1 || result.getRank() != 2 ||
      operand.getDims()[0] != result.getDims()[*getAxis() == Axis::rows ? 0 : 1])
    return emitOpError("an axis needs a vector with one element a row (rows) or column (cols) of a matrix");
  return success();
}

LogicalResult TransposeOp::verify() {
  ArrayRef<Dim> operand = getOperand().getType().getDims(), result = getResult().getType().getDims();
  if (operand.size() != 2 || result.size() != 2 || operand[0] != result[1] || operand[1] != result[0])
    return emitOpError("must turn a matrix [M, N] into a matrix [N, M]");
  return success();
}

LogicalResult OuterOp::verify() {
  ArrayRef<Dim> lhs = getLhs().getType().getDims(), rhs = getRhs().getType().getDims();
  if (lhs.size() != 1 || rhs.size() != 1 || getResult().getType().getDims() != ArrayRef<Dim>({lhs[0], rhs[0]}))
    return emitOpError("must turn vectors [M] and [N] into a matrix [M, N]");
  return success();
}

LogicalResult MatmulOp::verify() {
  ArrayRef<Dim> lhs = getLhs().getType().getDims(), rhs = getRhs().getType().getDims();
  if (lhs.empty() || rhs.empty())
    return emitOpError("operands must be vectors or matrices; use * for scalars");
  if (lhs.back() != rhs.front())
    return emitOpError("the inner sizes differ: ") << lhs.back().str() << " and " << rhs.front().str();
  SmallVector<Dim> result(lhs.drop_back());
  llvm::append_range(result, rhs.drop_front());
  if (getResult().getType().getDims() != ArrayRef<Dim>(result))
    return emitOpError("the result must have the outer sizes");
  return success();
}

LogicalResult ReduceOp::verify() {
  if (getOperand().getType().isScalar() || !getResult().getType().isScalar())
    return emitOpError("must turn a vector or matrix into a scalar");
  return success();
}

LogicalResult CumsumOp::verify() {
  return getOperand().getType().getRank() == 1 ? success() : emitOpError("the operand must be a vector");
}

LogicalResult ConcatOp::verify() {
  Dim sum(0);
  for (Value operand : getOperands()) {
    auto type = cast<ValueType>(operand.getType());
    if (type.getRank() != 1)
      return emitOpError("operands must be vectors");
    sum = sum + type.getDims()[0];
  }
  if (getResult().getType().getDims() != ArrayRef<Dim>({sum}))
    return emitOpError("the result's size must be the sum of the operands' sizes");
  return success();
}
