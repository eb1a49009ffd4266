//===- Problem.h - Arrays and the sizes that they tell ------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_PROBLEM_H
#define RONDO_DRIVER_PROBLEM_H

#include "rondo/Driver/Source.h"
#include "rondo/Interpreter/CheckGradients.h"
#include "rondo/Support/Npy.h"

namespace rondo::driver {

/// The arrays of one run, by name.
using Arrays = CheckArrays;

/// The run-time and compile-time sizes of one run.
struct Problem {
  int64_t batch = 1, time = 0, heads = 0;
  /// Some array has the leading B: outputs get one too.
  bool batched = false;
  llvm::StringMap<int64_t> sizes;

  /// The shape of `operand`, with B whether or not the user's files have it. `heads` may be fewer for grouped ones.
  std::vector<int64_t> shape(const Operand &operand) const;
  /// The same as the user's files have it.
  std::vector<int64_t> fileShape(const Operand &operand) const;
};

/// Reads `--in` and `--state-in`, and checks every name given on the command line against the mixer.
mlir::LogicalResult readInputs(const Signature &signature, const Options &options, Arrays &arrays);

/// Checks the names in `--size`.
mlir::LogicalResult checkSizeNames(const Signature &signature, const std::map<std::string, int64_t> &given);

/// Finds the sizes that the arrays tell, with `given` for those that no array tells, and checks that all agree. Arrays
/// without B get one.
mlir::FailureOr<Problem> inferProblem(const Signature &signature, const std::map<std::string, int64_t> &given,
                                      Arrays &arrays);

/// Reads `--grad` and `--grad-state` and checks their shapes. Arrays without B get one.
mlir::LogicalResult readCotangents(const Signature &signature, const Options &options, const Problem &problem,
                                   GradientArrays &arrays);

/// Fails when the arrays of the problem do not fit in this machine's memory: `bytesPerElement` for every element of
/// every array. `savedStates`: when gradients are asked for, how often the backward pass keeps the states; else 0.
mlir::LogicalResult checkMemory(const Signature &signature, const Problem &problem, int64_t bytesPerElement,
                                int64_t savedStates = 0);

/// Fails with the name and index of the first NaN in an input or cotangent.
mlir::LogicalResult checkNumbers(const Signature &signature, const GradientArrays &arrays, const Problem &problem);

} // namespace rondo::driver

#endif // RONDO_DRIVER_PROBLEM_H
