//===- Steps.h - A mixer as a list of steps on a frame of numbers -------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_INTERPRETER_STEPS_H
#define RONDO_LIB_INTERPRETER_STEPS_H

#include "rondo/Dialect/Rondo/Rondo.h"
#include <functional>

namespace rondo {

/// Where a value or a state lives in the frame, row major. A vector has one column, a scalar also one row.
struct Slot {
  int64_t offset = 0, rows = 1, cols = 1;
  int64_t size() const { return rows * cols; }
};

/// One operation of one token.
using Step = std::function<void(double *frame)>;

/// What one token does. All values and states of one head live in one array, the frame.
struct Program {
  int64_t frameSize = 0;
  llvm::DenseMap<mlir::Value, Slot> slots;
  std::vector<Step> steps;
};

/// Gives every value of `mixer` a slot and turns every operation into a step.
mlir::LogicalResult buildProgram(MixerOp mixer, Program &program, std::string &error);

} // namespace rondo

#endif // RONDO_LIB_INTERPRETER_STEPS_H
