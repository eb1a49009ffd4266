//===- Structure.h - Which parts of a mixer can run a chunk at a time ---------------------------------*- C++ -*-===//
//
// The states of a mixer and the values of one token form a graph: a read depends on its state, a state on the values
// that decay it and that are written to it. The strongly connected components that hold a state are the mixer's
// *phases*; they run one after the other on a whole chunk of tokens, each fed by the reads of earlier ones (a cascade).
//
// A phase is *linear* when its states are touched by decays, rotations, writes and reads only, their vectors come from
// outside the phase, and what is written is affine in the phase's own reads (the delta rule) with scalar factors. A
// linear phase has a chunkwise form: Gram matrices, one triangular solve when a state reads itself, and matrix products
// with the carried state. Every other phase is a *scan*: token by token inside the chunk, everything around it still a
// chunk at a time.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_ANALYSIS_STRUCTURE_H
#define RONDO_ANALYSIS_STRUCTURE_H

#include "rondo/Dialect/Rondo/Rondo.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>
#include <string>

namespace rondo {

/// How a linear phase carries its states from token to token.
struct Transition {
  bool scalar = false;   ///< a factor for the whole state
  bool rows = false;     ///< a factor a row, diag(a) S
  bool cols = false;     ///< a factor a column, S diag(a)
  bool rotation = false; ///< rotation of row pairs (a complex diagonal)
  bool coupled = false;  ///< states feed each other linearly by scalar factors
  /// "identity", "scalar decay", "decay per row", ...
  std::string describe() const;
};

/// Why a phase is a scan, or what kind of scan it is.
enum class ScanKind {
  affine,    ///< elementwise and linear in the states
  maxplus,   ///< only max, min and sums
  sequential ///< anything else
};

struct Phase {
  llvm::SmallVector<StateOp> states;
  /// Operations on the phase's states, in program order.
  llvm::SmallVector<mlir::Operation *> touches;
  /// Operations on values that lie on a cycle through a state of the phase.
  llvm::SetVector<mlir::Operation *> members;
  /// True for the chunkwise form, false for a scan.
  bool linear = false;

  // Of a linear phase:
  Transition transition;
  /// The phase is treated as its transpose: its self-reads contract columns.
  bool transposed = false;
  /// Some write depends on a read of the phase: one triangular solve a chunk.
  bool selfRead = false;

  // Of a scan:
  ScanKind scan = ScanKind::sequential;
  /// The first operation that prevents the chunkwise form, and the reason in words ("it is nonlinear in itself").
  mlir::Operation *obstacle = nullptr;
  std::string reason;

  bool contains(mlir::Value state) const;
  /// The state declared first; diagnostics about the phase point there.
  StateOp front() const { return states.front(); }
};

class Structure {
public:
  /// Analyses a mixer whose updates were raised (`rondo-raise-updates`). `sequential` makes every phase a scan.
  explicit Structure(MixerOp mixer, bool sequential = false);

  /// In an order in which each phase needs only earlier ones.
  llvm::ArrayRef<Phase> getPhases() const { return phases; }
  /// The phase that a state belongs to.
  const Phase &getPhase(StateOp state) const;

  /// Whether what one linear phase gives goes into what another one writes or is read with, at the same token: second
  /// order and higher, and memories one after the other. In 16 bits each rounds what the one before it gave.
  bool isCascade() const;

  /// Emits a remark for every phase that must run token by token for another reason than being an elementwise or
  /// max-plus scan, at the statement that prevents the chunkwise form.
  void remarkSequential() const;

  /// Names of sizes (from `rondo.dims` or the types) over which nothing is ever contracted or reduced, so that states
  /// and outputs may be split into blocks along them: every use is elementwise in that size.
  llvm::SmallVector<std::string> getFreeSizes();

private:
  void classify(Phase &phase);
  MixerOp mixer;
  llvm::SmallVector<Phase> phases;
};

} // namespace rondo

#endif // RONDO_ANALYSIS_STRUCTURE_H
