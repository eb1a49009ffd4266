//===- Chunk.h - The chunk-form dialect ---------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DIALECT_CHUNK_CHUNK_H
#define RONDO_DIALECT_CHUNK_CHUNK_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace rondo::chunk {
/// A hint on a `linalg.contract`, never needed for its meaning. "result": entries of the [C, C] result above the
/// diagonal are not used; "lhs": entries of the [C, C] left operand above the diagonal are zero.
constexpr llvm::StringLiteral kCausalAttr = "chunk.causal";
} // namespace rondo::chunk

#include "rondo/Dialect/Chunk/ChunkDialect.h.inc"
#define GET_OP_CLASSES
#include "rondo/Dialect/Chunk/ChunkOps.h.inc"

#endif // RONDO_DIALECT_CHUNK_CHUNK_H
