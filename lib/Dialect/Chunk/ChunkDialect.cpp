//===- ChunkDialect.cpp - The chunk-form dialect ----------------------------------------------------------------===//

#include "rondo/Dialect/Chunk/Chunk.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::chunk;

#include "rondo/Dialect/Chunk/ChunkDialect.cpp.inc"
#define GET_OP_CLASSES
#include "rondo/Dialect/Chunk/ChunkOps.cpp.inc"

void ChunkDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "rondo/Dialect/Chunk/ChunkOps.cpp.inc"
      >();
}

static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

LogicalResult TotalOp::verify() {
  ArrayRef<int64_t> operand = shapeOf(getOperand());
  if (operand.empty() || shapeOf(getResult()) != operand.drop_front())
    return emitOpError("must turn [C, ...] into [...]");
  return success();
}

LogicalResult IntervalProductsOp::verify() {
  ArrayRef<int64_t> operand = shapeOf(getOperand()), result = shapeOf(getResult());
  int64_t size = operand.empty() ? 0 : operand[0] + 1;
  if (operand.size() == 1 && result == ArrayRef<int64_t>({size, size}))
    return success();
  if (operand.size() == 3 && operand[1] == operand[2] &&
      result == ArrayRef<int64_t>({operand[1], operand[1], size, size}))
    return success();
  return emitOpError("must turn [C] into [C+1, C+1] or [C, n, n] into [n, n, C+1, C+1]");
}

LogicalResult DecayedGramOp::verify() {
  ArrayRef<int64_t> query = shapeOf(getQuery());
  if (query.size() != 2 || shapeOf(getKey()) != query || shapeOf(getDecay()) != query)
    return emitOpError("query, key and decay must have the same shape [C, R]");
  if (shapeOf(getResult()) != ArrayRef<int64_t>({query[0], query[0]}))
    return emitOpError("the result must be [C, C]");
  return success();
}

LogicalResult DecayedApplyOp::verify() {
  ArrayRef<int64_t> weight = shapeOf(getWeight()), value = shapeOf(getValue());
  if (weight.size() != 2 || value.size() != 2 || weight[0] != weight[1] || weight[0] != value[0])
    return emitOpError("weight must be [C, C] and value [C, V]");
  if (shapeOf(getDecay()) != value || shapeOf(getResult()) != value)
    return emitOpError("decay and result must have the value's shape");
  return success();
}

LogicalResult DecayAdjointOp::verify() {
  ArrayRef<int64_t> weight = shapeOf(getWeight()), later = shapeOf(getLater());
  if (weight.size() != 2 || later.size() != 2 || weight[0] != weight[1] || weight[0] != later[0])
    return emitOpError("weight must be [C, C] and later, earlier and decay [C, R]");
  return success();
}

LogicalResult SolveOp::verify() {
  ArrayRef<int64_t> matrix = shapeOf(getMatrix()), rhs = shapeOf(getRhs());
  if (matrix.size() != 2 || matrix[0] != matrix[1] || rhs.empty() || rhs.size() > 2 || rhs[0] != matrix[0])
    return emitOpError("matrix must be [N, N] and rhs [N, V] or [N]");
  if (getResult().getType() != getRhs().getType())
    return emitOpError("the result must have the type of rhs");
  return success();
}

LogicalResult ScanOp::verify() {
  Block &block = getBody().front();
  unsigned numArguments = getRows().size() + getShared().size() + getStates().size();
  if (block.getNumArguments() != numArguments)
    return emitOpError("the region needs one argument for each of rows, shared and states");
  if (block.getTerminator()->getNumOperands() != getNumResults() || getNumResults() < getStates().size())
    return emitOpError("the region must yield one value for each result, the states last");
  return success();
}
