//===- GradientSteps.h - The adjoint of every step of a mixer -----------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_INTERPRETER_GRADIENTSTEPS_H
#define RONDO_LIB_INTERPRETER_GRADIENTSTEPS_H

#include "Steps.h"

namespace rondo {

/// The adjoint of one step: takes the cotangents of what the step wrote to those of what it read. `frame` holds the
/// values of the token and the states as they were before the step. `cotangents` is laid out like the frame.
using Adjoint = std::function<void(const double *frame, double *cotangents)>;

struct AdjointStep {
  Adjoint adjoint;
  /// The state that the step changes; empty (size 0) when it changes none.
  Slot changedState{0, 0, 0};
};

/// One for each of `program.steps`, which `buildProgram` made from `mixer`.
std::vector<AdjointStep> buildAdjoints(MixerOp mixer, const Program &program);

} // namespace rondo

#endif // RONDO_LIB_INTERPRETER_GRADIENTSTEPS_H
