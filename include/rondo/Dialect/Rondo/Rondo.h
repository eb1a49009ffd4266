//===- Rondo.h - The token-level dialect --------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DIALECT_RONDO_RONDO_H
#define RONDO_DIALECT_RONDO_RONDO_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "rondo/Support/Dim.h"

namespace rondo {
class ValueType;
class StateOp;
class YieldOp;

/// Names of the attributes on a mixer's arguments and results.
constexpr llvm::StringLiteral kNameAttr = "rondo.name";
constexpr llvm::StringLiteral kKindAttr = "rondo.kind";       // "token" (default) or "param"
constexpr llvm::StringLiteral kGroupedAttr = "rondo.grouped"; // unit: may have fewer heads
} // namespace rondo

#include "rondo/Dialect/Rondo/RondoDialect.h.inc"
#include "rondo/Dialect/Rondo/RondoEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "rondo/Dialect/Rondo/RondoTypes.h.inc"
#define GET_OP_CLASSES
#include "rondo/Dialect/Rondo/RondoOps.h.inc"

#endif // RONDO_DIALECT_RONDO_RONDO_H
