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
  explicit Preparation(mlir::func::FuncOp body);
  ~Preparation();

  /// The body that is left.
  mlir::func::FuncOp getBody() { return rest; }
  /// Takes `value` (of `getBody()`) out. False if there are too many values, or none like it in the body.
  bool take(mlir::Value value);
  bool isEmpty() { return cuts.empty(); }
  /// The arrays that are handed over and used, as `rondo.arrays` has them.
  llvm::SmallVector<mlir::DictionaryAttr> getArrays(mlir::Type element);
  /// The body that makes them, before `body`.
  mlir::func::FuncOp emit();

private:
  struct Cut {
    std::string name;
    bool isTotal;
    mlir::BlockArgument argument;
  };
  bool isUsed(const Cut &cut) { return !cut.argument.use_empty(); }
  llvm::SmallVector<std::pair<mlir::Value, Cut>> cuts; ///< values of the body
  mlir::func::FuncOp body, rest;
  Analysis analysis;
  llvm::StringSet<> names;
  /// From values of `rest` to those of `body`.
  llvm::DenseMap<mlir::Value, mlir::Value> originals;
};

} // namespace rondo::schedule

#endif // RONDO_LIB_CONVERSION_SCHEDULE_PREPARATION_H
