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
  /// A state that is another one's copy, by whose name it goes (`rondo-copy-states`): it begins like that and ends
  /// nowhere.
  bool isCopy = false;

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

/// A value of a token without columns of its own that states enter: one sweep leaves it for the later ones, in shared
/// memory.
struct Handed {
  int64_t elements = 0;
  /// f32 from the beginning of a token's row.
  int64_t offset = 0;
  /// The sweep that makes it.
  unsigned sweep = 0;
};

/// One way through the tokens of a stage: which threads have which columns, of which states.
struct Sweep {
  Split split;
  int64_t lanesPerBlock = 0;
  /// Tokens that are written out one after the other.
  int64_t unroll = 1;
  /// By position.
  llvm::SmallVector<unsigned> states;
  llvm::SmallVector<mlir::Value> handed;
  /// Scalar operations a token and thread, and what a block takes for a token, in cycles of a multiprocessor (a guess).
  int64_t operations = 0, cycles = 0;
  /// Elements of states and of parameters that one thread holds.
  int64_t owned = 0, parameters = 0;

  int64_t threads() const { return llvm::alignTo(lanesPerBlock * split.parts, 32); }
};

struct Plan {
  /// In order; the last one has the outputs.
  llvm::SmallVector<Sweep, 2> sweeps;
  llvm::MapVector<mlir::Value, Handed> handed;
  llvm::SmallVector<Array> inputs, outputs, states;
  llvm::MapVector<mlir::Value, Kept> kept;
  /// By argument number.
  llvm::MapVector<unsigned, Staged> staged;
  /// f32 of a token's row of kept values, levels of these, and f32 of a row of handed values.
  int64_t keptRow = 0, levels = 0, handedRow = 0;
  int64_t stageBytes = 0;

  int64_t blocks = 1, threads = 0;
  /// Tokens of a stage, and stages.
  int64_t tokens = 16, stages = 3;

  int64_t keptBytes() const { return 4 * keptRow * tokens; }
  int64_t handedBytes() const { return 4 * handedRow * tokens; }
  int64_t sharedBytes() const { return stages * stageBytes + 2 * keptBytes() + handedBytes(); }
  Sweep &main() { return sweeps.back(); }
  /// The sweep that has a state.
  unsigned sweepOf(unsigned state) const;
  const Array &arrayOf(mlir::BlockArgument argument) const;
};

/// The elements that a thread makes of a value that a sweep leaves: those of its columns, or the one there is. Nothing
/// if its size is another.
std::optional<llvm::SmallVector<Indices>> getHandedIndices(mlir::Value value, const Split &split);

/// Whether a value is made by a sum, maximum ... over an axis.
bool isReduced(mlir::Value value);

/// Fills `plan`, whose arrays are set. With a reason (and where) if threads cannot own columns of this body.
mlir::LogicalResult makePlan(mlir::func::FuncOp body, Plan &plan, Dependences &dependences, std::string &reason,
                             mlir::Location &reasonLoc);

} // namespace rondo::columns

#endif // RONDO_LIB_CONVERSION_COLUMNS_PLAN_H
