//===- MapToThreads.h - Shared pieces of rondo-map-to-threads -----------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_CONVERSION_MAPTOTHREADS_H
#define RONDO_LIB_CONVERSION_MAPTOTHREADS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/MapVector.h"
#include <vector>

namespace rondo::threads {

/// Where the elements of a memref lie: in the scratch of the thread block, at an offset in elements, or in an argument
/// of the kernel, at indices of that argument.
struct View {
  /// The arena, or the argument.
  mlir::Value base;
  bool isScratch = false;
  mlir::Type element;
  /// Sizes of the view's dimensions.
  llvm::SmallVector<mlir::OpFoldResult> sizes;

  // Scratch: element (i, j, ...) is at offset + sum of terms + i * strides[0] + j * strides[1] ...
  /// The elements of the arena that belong to the buffer.
  int64_t begin = 0, end = 0;
  int64_t offset = 0;
  llvm::SmallVector<std::pair<mlir::Value, int64_t>> terms;
  llvm::SmallVector<int64_t> strides;

  // Arguments: an index for each dimension of the argument, and which of them the view's dimensions move.
  llvm::SmallVector<mlir::OpFoldResult> indices;
  llvm::SmallVector<int64_t> positions;
};

/// Follows views down to the arena or an argument. Reports a buffer that cannot be followed.
mlir::FailureOr<View> resolve(mlir::Value memref, mlir::Operation *user);

/// Loops of one piece of work, spread over the threads: the iteration of a parallel loop around an operation (if any),
/// then the operation's own parallel loops, outermost first; then its reduction loops, which each thread runs by
/// itself.
struct WorkLoop {
  /// The loop of the operation, or -1 for `around`.
  int64_t loop = -1;
  /// Its number of iterations, or dynamic.
  int64_t extent = mlir::ShapedType::kDynamic;
  /// Iterations that one thread does together, `extent / together` apart.
  int64_t together = 1;
};

/// One piece of work that all threads of a block share: a structured operation, a store or load of a scalar, perhaps
/// for each iteration of a parallel loop around it.
struct Work {
  mlir::Operation *op = nullptr;
  mlir::scf::ForOp around;
  llvm::SmallVector<WorkLoop> parallel, reduction;
};

/// Says how `op` is spread over `threads` threads.
Work planWork(mlir::Operation *op, mlir::scf::ForOp around, int64_t threads);

/// An operation that touches memory: what `planWork` takes.
bool isWork(mlir::Operation *op);

/// The work of a kernel and where its threads must wait for each other.
class Schedule {
public:
  explicit Schedule(int64_t threads) : threads(threads) {}

  /// Finds the parallel loops and the work under `loop` and the barriers that they need; `loop` is the loop over the
  /// items of a block.
  mlir::LogicalResult build(mlir::scf::ForOp loop);

  /// The work in the order of the program; that of a parallel loop is listed under the loop.
  llvm::MapVector<mlir::Operation *, llvm::SmallVector<Work>> work;
  /// Work (by its operation) and loops that begin with a barrier.
  llvm::DenseSet<mlir::Operation *> barriers;

private:
  int64_t threads;
};

} // namespace rondo::threads

#endif // RONDO_LIB_CONVERSION_MAPTOTHREADS_H
