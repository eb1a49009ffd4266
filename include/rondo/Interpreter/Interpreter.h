//===- Interpreter.h - The meaning of a mixer ---------------------------------------------------------*- C++ -*-===//
//
// Runs a specialised mixer token by token in float64. Every other form of a mixer is tested against this one.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_INTERPRETER_INTERPRETER_H
#define RONDO_INTERPRETER_INTERPRETER_H

#include "rondo/Dialect/Rondo/Rondo.h"
#include <vector>

namespace rondo {

/// Numbers in C order.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> data;

  Tensor() = default;
  explicit Tensor(std::vector<int64_t> shape, double fill = 0.0)
      : shape(std::move(shape)), data(numElements(this->shape), fill) {}
  static int64_t numElements(llvm::ArrayRef<int64_t> shape) {
    int64_t product = 1;
    for (int64_t size : shape)
      product *= size;
    return product;
  }
};

/// Runs `mixer`, whose sizes must be numbers, before or after `rondo-raise-updates`. Arrays go by the names in the
/// source:
///
///   inputs         token arguments [B, T, H] + shape, parameters [H] + shape. An argument may have fewer heads Ha,
///   where
///                  Ha divides H, the largest number of heads: head h reads head h * Ha / H.
///   initialStates  [B, H] + shape; a state that is missing starts with its `init`.
///   outputs        [B, T, H] + shape
///   finalStates    [B, H] + shape
///
/// On failure `error` says which array is missing or has a wrong shape.
mlir::LogicalResult interpret(MixerOp mixer, const llvm::StringMap<Tensor> &inputs,
                              const llvm::StringMap<Tensor> &initialStates, llvm::StringMap<Tensor> &outputs,
                              llvm::StringMap<Tensor> &finalStates, std::string &error);

} // namespace rondo

#endif // RONDO_INTERPRETER_INTERPRETER_H
