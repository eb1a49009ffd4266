//===- Tile.h - The tile dialect ----------------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DIALECT_TILE_TILE_H
#define RONDO_DIALECT_TILE_TILE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "rondo/Dialect/Tile/TileDialect.h.inc"
#include "rondo/Dialect/Tile/TileEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "rondo/Dialect/Tile/TileAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "rondo/Dialect/Tile/TileTypes.h.inc"
#define GET_OP_CLASSES
#include "rondo/Dialect/Tile/TileOps.h.inc"

#endif // RONDO_DIALECT_TILE_TILE_H
