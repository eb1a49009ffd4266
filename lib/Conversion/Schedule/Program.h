//===- Program.h - One chunk body as several ----------------------------------------------------------*- C++ -*-===//
//
// A *program* is the chunk bodies that one body becomes: kernels that run one after the other over all tokens and hand
// over arrays in global memory. Passes decide which part computes what (`rondo-split-cascade`, `rondo-split-products`);
// this makes the bodies.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_SCHEDULE_PROGRAM_H
#define RONDO_LIB_CONVERSION_SCHEDULE_PROGRAM_H

#include "Scheduler.h"

#include "llvm/ADT/DenseSet.h"

namespace rondo::schedule {

/// A value that one part computes and later ones read: for each token a vector, [C, N], a number, [C], or a row of a
/// matrix [C, C].
struct Cut {
  std::string name;
  /// What rows after the last token hold, where a later part may rely on it.
  std::optional<double> padding;
};

/// One of the bodies that the whole body becomes; values and operations are those of the whole.
struct Part {
  llvm::SmallVector<int64_t> states;
  /// Numbers of outputs and final states.
  llvm::SmallVector<unsigned> results;
  /// What it hands over, and what earlier parts hand over to it.
  llvm::SetVector<mlir::Value> written, read;
  llvm::DenseSet<mlir::Operation *> ops;
};

class Program {
public:
  explicit Program(mlir::func::FuncOp body);
  /// Whether a body is one that can become a program: a chunk's, forward, not yet a kernel.
  static bool isCandidate(mlir::func::FuncOp body);

protected:
  /// Makes a body of each of `parts`, with `cuts` named, and erases the whole. That may be a part of a program itself.
  void replaceBody();

  mlir::func::FuncOp body;
  Analysis analysis;
  int64_t chunk;
  llvm::SmallVector<mlir::BlockArgument> states;
  llvm::SmallVector<unsigned> finals; ///< the result of each state
  llvm::SmallVector<Part> parts;
  llvm::MapVector<mlir::Value, Cut> cuts;

private:
  mlir::ArrayAttr describeProgram();
  mlir::DictionaryAttr attributesOf(mlir::Value cut, mlir::StringRef role);
  void emit(int64_t number, mlir::ArrayAttr arrays);
  void renumber(mlir::Attribute before, mlir::ArrayAttr after);
};

/// What an operation reads, in its regions as well.
llvm::SetVector<mlir::Value> operandsOf(mlir::Operation *op);

} // namespace rondo::schedule

#endif // RONDO_LIB_CONVERSION_SCHEDULE_PROGRAM_H
