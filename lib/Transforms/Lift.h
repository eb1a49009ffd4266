//===- Lift.h - The values of one token as tensors over a chunk of tokens -----------------------------*- C++ -*-===//
//
// A token-level value of shape [D...] becomes a tensor [C, D...] when it varies with the token (`timed`) and [D...]
// when it does not. Repeating a vector along a matrix axis, transposing and constants cost nothing: a `Lifted`
// remembers which axes its tensor has and every use reads it through an indexing map.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_TRANSFORMS_LIFT_H
#define RONDO_LIB_TRANSFORMS_LIFT_H

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include <functional>
#include <optional>

namespace rondo {

struct Lifted {
  /// Null for a constant.
  mlir::Value tensor;
  std::optional<double> constant;
  bool timed = false;
  /// The value's own shape, without time.
  llvm::SmallVector<int64_t, 2> shape;
  /// Tensor axis i (after time) runs along axis axes[i] of the value.
  llvm::SmallVector<unsigned, 2> axes;

  static Lifted of(double number) { return {{}, number, false, {}, {}}; }
  /// A tensor that has all axes in order.
  static Lifted of(mlir::Value tensor, bool timed);
  bool is(double number) const { return constant && *constant == number; }
};

/// Rotations of row pairs as complex numbers of modulus 1. They compose by multiplication: a sum of angles would lose
/// the precision of its fraction of a turn.
struct Rotation {
  Lifted cos, sin;
};

/// One input of `Emitter::pointwise`: a tensor and the result axes that its own axes run along.
struct Operand {
  mlir::Value tensor;
  llvm::SmallVector<unsigned, 3> axes;
};

/// Emits linalg on f32 tensors.
class Emitter {
public:
  using Body = llvm::function_ref<mlir::Value(mlir::ImplicitLocOpBuilder &, mlir::ValueRange)>;

  Emitter(mlir::ImplicitLocOpBuilder &builder, int64_t chunk) : b(builder), chunk(chunk) {}

  mlir::Value empty(llvm::ArrayRef<int64_t> shape);
  mlir::Value filled(llvm::ArrayRef<int64_t> shape, double value);
  /// result[i...] = body(operands at i...); `init`, if given, is updated in place and passed to the body last.
  mlir::Value pointwise(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<Operand> operands, Body body,
                        mlir::Value init = {});
  /// `contract("ts,sc->tc", a, b)`; sums over the letters that the result lacks and adds to `init`. `causal` as in
  /// kCausalAttr.
  mlir::Value contract(llvm::StringRef spec, mlir::Value a, mlir::Value b, mlir::Value init = {},
                       llvm::StringRef causal = {});
  /// The first `count` rows of `tensor`, `fill` in the others.
  mlir::Value keepRows(mlir::Value tensor, mlir::Value count, double fill);
  /// A sub-tensor; sizes of 1 listed in `dropped` lose their axis.
  mlir::Value slice(mlir::Value tensor, llvm::ArrayRef<int64_t> offsets, llvm::ArrayRef<int64_t> sizes,
                    llvm::ArrayRef<unsigned> dropped = {}, llvm::ArrayRef<int64_t> strides = {});
  mlir::Value insert(mlir::Value source, mlir::Value target, llvm::ArrayRef<int64_t> offsets,
                     llvm::ArrayRef<int64_t> sizes, llvm::ArrayRef<int64_t> strides = {});
  mlir::Value number(double value);
  static llvm::ArrayRef<int64_t> shapeOf(mlir::Value tensor);

  //===--- on lifted values ---===//

  /// Elementwise over the common shape (scalars are repeated); timed if an operand is.
  Lifted map(llvm::ArrayRef<Lifted> operands, Body body);
  /// The product; 1 and 0 are simplified.
  Lifted mul(const Lifted &a, const Lifted &b);
  Lifted add(const Lifted &a, const Lifted &b);
  Lifted neg(const Lifted &a);
  /// All axes in order; with time if `timed` is asked for.
  mlir::Value materialize(const Lifted &value, bool timed);
  Lifted sub(const Lifted &a, const Lifted &b) { return add(a, neg(b)); }
  /// The rotation by an angle for each row pair.
  Rotation rotation(const Lifted &theta);
  Rotation compose(const Rotation &a, const Rotation &b);
  /// Turns pairs of rows (axis 0 of the value's shape), or turns them back.
  Lifted rotate(const Lifted &value, const Rotation &rotation, bool backwards = false);

  mlir::ImplicitLocOpBuilder &b;
  int64_t chunk;
};

/// Translates the pure operations of the token level.
class Lifter : public Emitter {
public:
  using Emitter::Emitter;
  /// `get` gives the lifted operands.
  Lifted lift(mlir::Operation *op, llvm::function_ref<Lifted(mlir::Value)> get);

private:
  Lifted unary(UnaryKind kind, const Lifted &x);
  Lifted binary(BinaryKind kind, const Lifted &lhs, const Lifted &rhs);
  Lifted matmul(const Lifted &lhs, const Lifted &rhs);
  Lifted reduce(ReduceKind kind, const Lifted &x);
};

} // namespace rondo

#endif // RONDO_LIB_TRANSFORMS_LIFT_H
