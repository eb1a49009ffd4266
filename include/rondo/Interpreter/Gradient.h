//===- Gradient.h - The meaning of a mixer's gradient -------------------------------------------------*- C++ -*-===//
//
// Reverse mode over the interpreter, token by token in float64. Every other form of a gradient is tested against
// this one.
//
// Where the derivative is a matter of choice:
//
//   max, min, reduce max, reduce min  ties go to the left operand, the first element
//   relu and abs at 0                 0
//   select                            to the operand that was taken; conditions and comparisons have no gradient
//   unary functions at -inf and inf   the limit of the derivative
//
// Zero times anything is zero. So a factor exp(-inf) = 0 stops a cotangent whatever it meets next, and a cotangent of 0
// asks nothing of an infinite derivative: sqrt, log and negative powers at 0 give that infinity only to others.
//
//===--------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_INTERPRETER_GRADIENT_H
#define RONDO_INTERPRETER_GRADIENT_H

#include "rondo/Interpreter/Interpreter.h"

namespace rondo {

/// The gradient of sum(outputs * outputCotangents) + sum(finalStates * finalStateCotangents) for `interpret`, whose
/// inputs and initial states these are. Arrays go by the names in the source:
///
///   outputCotangents       like `outputs` of `interpret`; one that is missing is zero
///   finalStateCotangents   like `finalStates`; one that is missing is zero
///   inputGradients         every argument, in the shape of its input: summed over the heads that share a grouped
///                          argument, and over batch and time for a parameter
///   initialStateGradients  every state [B, H] + shape, also one that started with its `init`
///
/// Needs memory for the states before every token of one head. On failure `error` says which array is missing or has a
/// wrong shape.
mlir::LogicalResult interpretGradient(MixerOp mixer, const llvm::StringMap<Tensor> &inputs,
                                      const llvm::StringMap<Tensor> &initialStates,
                                      const llvm::StringMap<Tensor> &outputCotangents,
                                      const llvm::StringMap<Tensor> &finalStateCotangents,
                                      llvm::StringMap<Tensor> &inputGradients,
                                      llvm::StringMap<Tensor> &initialStateGradients, std::string &error);

} // namespace rondo

#endif // RONDO_INTERPRETER_GRADIENT_H
