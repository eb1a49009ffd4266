//===- Plan.h - What the threads of a column kernel own, stage and keep -------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_CONVERSION_COLUMNS_PLAN_H
#define RONDO_LIB_CONVERSION_COLUMNS_PLAN_H

#include "Columns.h"

namespace rondo::columns {

/// An array of the body, by its argument or (for outputs) its result.
struct Array {
  llvm::StringRef name, role;
  mlir::Type element;
  /// Of one token's value.
  llvm::ArrayRef<int64_t> sizes;
  mlir::ArrayAttr dims;
  unsigned position = 0;

  int64_t bytes() const { return element.getIntOrFloatBitWidth() / 8; }
  int64_t count() const;
};

/// A token array in shared memory: `tokens` rows for each stage.
struct Staged {
  const Array *array = nullptr;
  /// Only this block's columns; else the whole value of a token.
  bool columnsOnly = true;
  /// Elements and bytes of a row; bytes from the beginning of a stage.
  int64_t elements = 0, rowBytes = 0, offset = 0;
  /// Bytes that one asynchronous copy moves; 0: elements are too narrow for one.
  int64_t unit = 0;
};

/// A value of a token that no state and no column enters: computed once by the block, kept as f32 in shared memory.
struct Kept {
  int64_t elements = 0;
  /// f32 from the beginning of a token's row.
  int64_t offset = 0;
  /// What it is made of is kept at lower levels.
  int64_t level = 0;
};

struct Plan {
  Split split;
  llvm::SmallVector<Array> inputs, outputs, states;
  llvm::MapVector<mlir::Value, Kept> kept;
  /// By argument number.
  llvm::MapVector<unsigned, Staged> staged;
  /// f32 of a token's row of kept values, and levels of these.
  int64_t keptRow = 0, levels = 0;
  int64_t stageBytes = 0;
  /// Scalar operations a token and thread.
  int64_t operations = 0;

  int64_t blocks = 1, lanesPerBlock = 0, threads = 0;
  /// Tokens of a stage, stages, tokens that are written out one after the other.
  int64_t tokens = 16, stages = 3, unroll = 1;

  int64_t keptBytes() const { return 4 * keptRow * tokens; }
  int64_t sharedBytes() const { return stages * stageBytes + 2 * keptBytes(); }
  /// Elements of states that one thread holds.
  int64_t ownedCount() const;
  const Array &arrayOf(mlir::BlockArgument argument) const;
};

/// Whether a value is made by a sum, maximum ... over an axis.
bool isReduced(mlir::Value value);

/// Fills `plan`, whose arrays are set. With a reason (and where) if threads cannot own columns of this body.
mlir::LogicalResult makePlan(mlir::func::FuncOp body, Plan &plan, Dependences &dependences, std::string &reason,
                             mlir::Location &reasonLoc);

} // namespace rondo::columns

#endif // RONDO_LIB_CONVERSION_COLUMNS_PLAN_H
