//===- CheckGradients.h - Does a backward kernel compute what the mixer's gradient means? -------------*- C++ -*-===//
//
// Random cotangents next to the inputs of Check.h, and the distance between a backward kernel and the interpreter's
// gradient on them.
//
//===--------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_INTERPRETER_CHECKGRADIENTS_H
#define RONDO_INTERPRETER_CHECKGRADIENTS_H

#include "rondo/Interpreter/Check.h"

namespace rondo {

/// One set of inputs and cotangents to draw.
struct GradientCase : CheckCase {
  /// Decays are strong in every second run of this many tokens, and of the case's kind between; 0: the case's kind
  /// throughout. A backward pass that takes a log decay's gradient as a sum over all later tokens loses that of the
  /// soft decays, for what should cancel is larger.
  int64_t strongRuns = 0;
};

/// The arrays of one run of a backward kernel by name, in the shapes of Gradient.h.
struct GradientArrays {
  /// The arrays of the forward run.
  CheckArrays forward;
  llvm::StringMap<NpyArray> outputCotangents, finalStateCotangents;
  llvm::StringMap<NpyArray> inputGradients, initialStateGradients;
};

/// Draws inputs, initial states and cotangents for the specialised `mixer`. Cotangents of outputs have the types of the
/// outputs, those of states are f32. Gradients have the types of what they are the gradients of, and are full of NaN.
GradientArrays drawGradientArrays(MixerOp mixer, const Generators &generators, const GradientCase &gradientCase);

/// The arrays with the gradients, in f64, that the interpreter gives for the inputs, initial states and cotangents.
llvm::Expected<GradientArrays> interpretGradientArrays(MixerOp mixer, const GradientArrays &arrays);

/// How far one gradient is from what it means.
struct GradientResult {
  /// Of the argument or state.
  std::string name;
  bool isState = false;
  /// ||kernel - interpreter|| / ||interpreter|| over the whole array. A gradient that cancels to less than 2e-3 of the
  /// largest gradient (root mean squares) is measured against that.
  double error = 0;
  /// The largest such quotient over batch entries and heads. It is larger where one head hides behind another.
  double worstHeadError = 0;
  /// Elements that are not finite where the interpreter's are, or the other way round. They are not part of the errors.
  int64_t wrongNonFinite = 0;
  /// The kernel gives nothing but zeros where the interpreter does not.
  bool isWronglyZero = false;

  bool isWithin(double tolerance) const { return wrongNonFinite == 0 && !isWronglyZero && error <= tolerance; }
};

/// Compares the gradients in `arrays` with the interpreter's: first those of the arguments, then those of the states.
llvm::Expected<std::vector<GradientResult>> compareGradients(MixerOp mixer, const GradientArrays &arrays);

/// All of it: draws arrays, lets `kernel` fill the gradients, and compares. What `kernel` puts there may have another
/// element type.
llvm::Expected<std::vector<GradientResult>> checkGradients(MixerOp mixer, const Generators &generators,
                                                           const GradientCase &gradientCase,
                                                           llvm::function_ref<llvm::Error(GradientArrays &)> kernel);

} // namespace rondo

#endif // RONDO_INTERPRETER_CHECKGRADIENTS_H
