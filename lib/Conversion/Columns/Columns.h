//===- Columns.h - Kernels whose threads own columns of the states ------------------------------------*- C++ -*-===//
//
// `rondo-build-columns` takes the body of one token and gives each thread the elements of the states at one index of an
// axis that is never summed over: a column. The body is then evaluated element by element, by demand: `Evaluator` says
// what a scalar of a tensor is, in terms of the elements that the thread has. Nothing here knows what a mixer does.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_COLUMNS_COLUMNS_H
#define RONDO_LIB_CONVERSION_COLUMNS_COLUMNS_H

#include "../Tile/Lowering.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/MapVector.h"
#include <map>

namespace rondo::columns {

/// The index of an element along one dimension: lane * (this thread's column) + part * (its part of the column) +
/// offset, and a run-time number (i32) if there is one.
struct Index {
  int64_t lane = 0, part = 0, offset = 0;
  mlir::Value dynamic;

  bool isConstant() const { return lane == 0 && part == 0 && !dynamic; }
};
using Indices = llvm::SmallVector<Index>;

/// How the elements of a state are dealt out. A thread has `perLane` neighbouring indices of the axis `laneSize`; the
/// axis `partSize` (if any) is dealt out in groups of four to `parts` threads.
struct Split {
  llvm::StringRef laneSize, partSize;
  /// Columns of `perLane` elements.
  int64_t lanes = 0, perLane = 1, parts = 1;

  /// The elements of an array that a thread owns, in order; empty if an axis cannot be dealt out.
  llvm::SmallVector<Indices> getOwned(llvm::ArrayRef<int64_t> sizes, mlir::ArrayAttr dims) const;
  /// The place of an element among those; none if another thread owns it.
  std::optional<int64_t> getPosition(llvm::ArrayRef<int64_t> sizes, mlir::ArrayAttr dims,
                                     llvm::ArrayRef<Index> at) const;
  bool isLane(mlir::ArrayAttr dims, size_t i) const;
  bool isPart(mlir::ArrayAttr dims, size_t i) const;
};

/// What a value is made of: nothing but parameters, tokens, and a bit for each state from `kState` on.
enum Dependence : uint64_t { kNothing = 0, kTokens = 1, kState = 2 };

/// Follows what only passes a value on: the arguments and results of scans. `at` (if any) follows.
mlir::Value strip(mlir::Value value, Indices *at = nullptr);

class Dependences {
public:
  uint64_t get(mlir::Value value);
  /// Without the bit of tokens.
  uint64_t getStates(mlir::Value value) { return get(value) & ~uint64_t(kTokens); }
  /// The bit of a state, by its place among the states.
  static uint64_t bitOf(unsigned state) { return uint64_t(kState) << std::min(state, 62u); }

private:
  llvm::DenseMap<mlir::Value, uint64_t> known;
};

/// Elements of the values of one token.
class Evaluator {
public:
  Evaluator(mlir::ImplicitLocOpBuilder builder, Dependences &dependences, const Split &split)
      : l(std::move(builder)), dependences(dependences), split(split) {}
  virtual ~Evaluator() = default;

  /// The element; something of the right type, and `reason` set, if there is no way.
  mlir::Value get(mlir::Value tensor, Indices at);
  /// Forgets the elements of the last token.
  void beginToken() { values.clear(); }

  tile::Lowering l;
  /// Why an element cannot be had, and where.
  std::string reason;
  mlir::Location reasonLoc = l.b.getLoc();
  /// Scalar operations so far, and functions among them, without those that do not depend on the token.
  int64_t operations = 0, functions = 0;

protected:
  /// Elements of the body's arguments.
  virtual mlir::Value getState(mlir::BlockArgument argument, const Indices &at) = 0;
  virtual mlir::Value getToken(mlir::BlockArgument argument, const Indices &at) = 0;
  virtual mlir::Value getParameter(mlir::BlockArgument argument, const Indices &at) = 0;
  /// The element of a value that is at hand without being computed here; else null.
  virtual mlir::Value getKept(mlir::Value tensor, const Indices &at) = 0;
  /// The sum (or the like) over the parts of a column.
  virtual mlir::Value combineParts(mlir::Value value,
                                   llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> combine);

  mlir::Value refuse(mlir::Location loc, const llvm::Twine &why);
  /// Where values go that are the same for all tokens; null: nowhere.
  mlir::Operation *invariantsEnd = nullptr;

  Dependences &dependences;
  const Split &split;

private:
  using Key = std::vector<int64_t>;
  mlir::Value compute(mlir::Value tensor, const Indices &at);
  mlir::Value computeStructured(mlir::linalg::LinalgOp op, unsigned result, const Indices &at);
  mlir::Value reduce(mlir::linalg::LinalgOp op, unsigned result, Indices loops, llvm::ArrayRef<unsigned> reductions,
                     const Indices &at, bool inParts);
  /// The yielded value, of `value` where given.
  mlir::Value payload(mlir::linalg::LinalgOp op, const Indices &loops, mlir::Value yielded, mlir::Value accumulator);
  mlir::Value exp(mlir::Value x);
  bool isInvariant(mlir::Value value) const;
  mlir::Value readScalar(mlir::Value value);

  int64_t refusals = 0;
  std::map<Key, mlir::Value> values, invariants;
  llvm::DenseMap<mlir::Value, mlir::Value> scaled;
};

} // namespace rondo::columns

#endif // RONDO_LIB_CONVERSION_COLUMNS_COLUMNS_H
