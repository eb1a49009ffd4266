//===- Deriver.h - One mixer on its way to the chunk form ---------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_TRANSFORMS_DERIVER_H
#define RONDO_LIB_TRANSFORMS_DERIVER_H

#include "Lift.h"
#include "rondo/Analysis/Structure.h"

namespace rondo {

/// The body of the chunk function under construction. Values are lifted when they are first asked for; asking for a
/// read of a state runs the state's phase, so the order of phases follows from the dependencies.
class Deriver {
public:
  Deriver(MixerOp mixer, const Structure &structure, mlir::ImplicitLocOpBuilder &builder, int64_t chunk);

  /// The value of every token of the chunk.
  Lifted get(mlir::Value value);
  void set(mlir::Value value, const Lifted &lifted) { values[value] = lifted; }
  bool isKnown(mlir::Value value) const { return values.contains(value); }
  /// The state before the chunk, and after it once its phase has run.
  mlir::Value getState(StateOp state) const { return states.lookup(state); }
  void setState(StateOp state, mlir::Value tensor) { states[state] = tensor; }
  /// Runs the phases that nothing asked for.
  void finish();

  MixerOp mixer;
  Lifter emit;
  /// The number of valid tokens.
  mlir::Value count;

private:
  void run(const Phase &phase);

  const Structure &structure;
  llvm::DenseMap<mlir::Operation *, const Phase *> phaseOf;
  llvm::DenseMap<mlir::Value, Lifted> values;
  llvm::DenseMap<mlir::Operation *, mlir::Value> states;
  llvm::DenseSet<const Phase *> done;
};

/// Emits a phase in the chunkwise form (DeriveLinear.cpp).
void deriveLinear(Deriver &deriver, const Phase &phase);
/// Emits a phase token by token (DeriveScan.cpp).
void deriveScan(Deriver &deriver, const Phase &phase);

} // namespace rondo

#endif // RONDO_LIB_TRANSFORMS_DERIVER_H
