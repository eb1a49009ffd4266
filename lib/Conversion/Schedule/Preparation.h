//===- Preparation.h - What a kernel before that of tiles makes ---------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_CONVERSION_SCHEDULE_PREPARATION_H
#define RONDO_LIB_CONVERSION_SCHEDULE_PREPARATION_H

#include "Scheduler.h"

#include "llvm/ADT/StringSet.h"

namespace rondo::schedule {

/// Takes values out of a chunk body: they become arguments of it, which a body without states computes. Grown value by
/// value, as the scheduler finds what has no tile form.
class Preparation {
public:
  /// `body` stays as it is; values are taken out of a copy of it.
  Preparation(mlir::func::FuncOp body, mlir::Type element);
  ~Preparation();

  /// The body that is left.
  mlir::func::FuncOp getBody() { return rest; }
  /// Takes `value` (of `getBody()`) out. False if there are too many values, or none like it in the body.
  bool take(mlir::Value value);
  bool isEmpty() { return cuts.empty(); }
  /// The arrays that are handed over and used, as `rondo.arrays` has them.
  llvm::SmallVector<mlir::DictionaryAttr> getArrays();
  /// The body that makes them, before `body`.
  mlir::func::FuncOp emit();

private:
  struct Cut {
    std::string name;
    /// What a row has; what a chunk has; what rounding the row before has lost, in the first chunk.
    enum Kind { Row, Total, Lost } kind;
    mlir::BlockArgument argument;
  };
  /// An argument of `rest` for a value of `body`.
  mlir::BlockArgument add(mlir::Value original, Cut::Kind kind);
  /// Products of tokens with each other, of which `value` is an operand.
  llvm::SmallVector<mlir::linalg::ContractOp> getGrams(mlir::Value value);
  bool isUsed(const Cut &cut) { return !cut.argument.use_empty(); }
  llvm::SmallVector<std::pair<mlir::Value, Cut>> cuts; ///< values of the body
  mlir::func::FuncOp body, rest;
  mlir::Type element; ///< of token vectors
  Analysis analysis;
  llvm::StringSet<> names;
  /// From values of `rest` to those of `body`.
  llvm::DenseMap<mlir::Value, mlir::Value> originals;
};

} // namespace rondo::schedule

#endif // RONDO_LIB_CONVERSION_SCHEDULE_PREPARATION_H
