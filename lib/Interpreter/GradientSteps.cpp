//===- GradientSteps.cpp - The adjoint of each operation of the token level -------------------------------------===//
//
// One function for each operation, written to be read, like Steps.cpp.
//
//===--------------------------------------------------------------------------------------------------------------===//

#include "GradientSteps.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace rondo;

/// A cotangent times a derivative. Zero times anything is zero: what nothing depends on, or what depends on nothing,
/// has no part in a gradient, even next to an infinity.
static double product(double x, double y) { return x == 0 || y == 0 ? 0 : x * y; }

//===---------------------------------------------------------------------===//
// Derivatives of elementwise functions
//===---------------------------------------------------------------------===//

static double sigmoid(double x) {
  double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

using UnaryFunction = double (*)(double);
static UnaryFunction getDerivative(UnaryKind kind) {
  switch (kind) {
  case UnaryKind::neg:
    return [](double) { return -1.0; };
  case UnaryKind::exp:
  case UnaryKind::expm1:
    return [](double x) { return std::exp(x); };
  case UnaryKind::log:
    return [](double x) { return 1 / x; };
  case UnaryKind::sqrt:
    return [](double x) { return 0.5 / std::sqrt(x); };
  case UnaryKind::rsqrt:
    return [](double x) { return -0.5 / (x * std::sqrt(x)); };
  case UnaryKind::abs:
    return [](double x) { return double(x > 0) - double(x < 0); };
  case UnaryKind::sigmoid:
    return [](double x) { return sigmoid(x) * sigmoid(-x); };
  case UnaryKind::log_sigmoid:
    return [](double x) { return sigmoid(-x); };
  case UnaryKind::softplus:
    return sigmoid;
  case UnaryKind::silu:
    return [](double x) { return sigmoid(x) + product(sigmoid(x) * sigmoid(-x), x); };
  case UnaryKind::relu:
    return [](double x) { return double(x > 0); };
  case UnaryKind::elu:
    return [](double x) { return x > 0 ? 1 : std::exp(x); };
  case UnaryKind::tanh:
    return [](double x) { return std::pow(std::cosh(x), -2); };
  case UnaryKind::sin:
    return [](double x) { return std::cos(x); };
  case UnaryKind::cos:
    return [](double x) { return -std::sin(x); };
  }
}

/// The cotangents of both operands x and y of a function with cotangent d.
using BinaryAdjoint = std::pair<double, double> (*)(double x, double y, double d);
static BinaryAdjoint getAdjoint(BinaryKind kind) {
  using Pair = std::pair<double, double>;
  switch (kind) {
  case BinaryKind::add:
    return [](double, double, double d) { return Pair(d, d); };
  case BinaryKind::sub:
    return [](double, double, double d) { return Pair(d, -d); };
  case BinaryKind::mul:
    return [](double x, double y, double d) { return Pair(product(d, y), product(d, x)); };
  case BinaryKind::div:
    return [](double x, double y, double d) {
      double dx = d == 0 ? 0 : d / y;
      return Pair(dx, -product(dx, x / y));
    };
  case BinaryKind::max:
    return [](double x, double y, double d) { return std::isnan(x) || x >= y ? Pair(d, 0) : Pair(0, d); };
  case BinaryKind::min:
    return [](double x, double y, double d) { return std::isnan(x) || x <= y ? Pair(d, 0) : Pair(0, d); };
  case BinaryKind::pow:
    // The exponent is constant.
    return [](double x, double y, double d) { return Pair(product(d, product(y, std::pow(x, y - 1))), 0); };
  case BinaryKind::lt:
  case BinaryKind::le:
  case BinaryKind::gt:
  case BinaryKind::ge:
  case BinaryKind::eq:
  case BinaryKind::ne:
    return [](double, double, double) { return Pair(0, 0); };
  }
}

//===---------------------------------------------------------------------===//
// Operations
//===---------------------------------------------------------------------===//

namespace {
/// In each `build`, capital letters are slots, `f` the frame (numbers) and `d` the cotangents. Operands gain, because
/// they may have other users; `d` of a result is complete when its adjoint runs.
class AdjointBuilder {
public:
  explicit AdjointBuilder(const Program &program) : program(program) {}

  Adjoint build(ConstantOp) {
    return [](const double *, double *) {};
  }

  Adjoint build(UnaryOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand()),
            derivative = getDerivative(op.getKind())](const double *f, double *d) {
      for (int64_t i = 0; i < R.size(); ++i)
        d[X.offset + i] += product(d[R.offset + i], derivative(f[X.offset + i]));
    };
  }

  Adjoint build(BinaryOp op) {
    return [R = slot(op.getResult()), X = slot(op.getLhs()), Y = slot(op.getRhs()), dx = step(op.getLhs()),
            dy = step(op.getRhs()), adjoint = getAdjoint(op.getKind())](const double *f, double *d) {
      for (int64_t i = 0; i < R.size(); ++i) {
        auto [x, y] = adjoint(f[X.offset + i * dx], f[Y.offset + i * dy], d[R.offset + i]);
        d[X.offset + i * dx] += x;
        d[Y.offset + i * dy] += y;
      }
    };
  }

  Adjoint build(SelectOp op) {
    return [R = slot(op.getResult()), C = slot(op.getCondition()), X = slot(op.getOnTrue()), Y = slot(op.getOnFalse()),
            dc = step(op.getCondition()), dx = step(op.getOnTrue()),
            dy = step(op.getOnFalse())](const double *f, double *d) {
      for (int64_t i = 0; i < R.size(); ++i)
        d[f[C.offset + i * dc] != 0 ? X.offset + i * dx : Y.offset + i * dy] += d[R.offset + i];
    };
  }

  Adjoint build(BroadcastOp op) {
    int64_t di = op.getAxis() == Axis::rows, dj = op.getAxis() == Axis::cols;
    return [R = slot(op.getResult()), X = slot(op.getOperand()), di, dj](const double *, double *d) {
      for (int64_t i = 0; i < R.rows; ++i)
        for (int64_t j = 0; j < R.cols; ++j)
          d[X.offset + i * di + j * dj] += d[R.offset + i * R.cols + j];
    };
  }

  Adjoint build(TransposeOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand())](const double *, double *d) {
      for (int64_t i = 0; i < R.rows; ++i)
        for (int64_t j = 0; j < R.cols; ++j)
          d[X.offset + j * X.cols + i] += d[R.offset + i * R.cols + j];
    };
  }

  Adjoint build(OuterOp op) { return outer(slot(op.getResult()), slot(op.getLhs()), slot(op.getRhs())); }

  Adjoint build(MatmulOp op) {
    Slot X = slot(op.getLhs()), Y = slot(op.getRhs());
    if (op.getLhs().getType().getRank() == 1)
      std::swap(X.rows, X.cols);
    return [R = slot(op.getResult()), X, Y](const double *f, double *d) {
      for (int64_t i = 0; i < X.rows; ++i)
        for (int64_t k = 0; k < X.cols; ++k)
          for (int64_t j = 0; j < Y.cols; ++j) {
            double r = d[R.offset + i * Y.cols + j];
            d[X.offset + i * X.cols + k] += product(r, f[Y.offset + k * Y.cols + j]);
            d[Y.offset + k * Y.cols + j] += product(r, f[X.offset + i * X.cols + k]);
          }
    };
  }

  Adjoint build(ReduceOp op) {
    Slot R = slot(op.getResult()), X = slot(op.getOperand());
    if (op.getKind() == ReduceKind::sum)
      return [R, X](const double *, double *d) {
        for (int64_t i = 0; i < X.size(); ++i)
          d[X.offset + i] += d[R.offset];
      };
    // All of it to the first element that is the maximum or minimum.
    return [R, X](const double *f, double *d) {
      for (int64_t i = 0; i < X.size(); ++i)
        if (f[X.offset + i] == f[R.offset]) {
          d[X.offset + i] += d[R.offset];
          return;
        }
    };
  }

  Adjoint build(CumsumOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand())](const double *, double *d) {
      double sum = 0;
      for (int64_t i = R.size(); i-- > 0;)
        d[X.offset + i] += sum += d[R.offset + i];
    };
  }

  Adjoint build(ConcatOp op) {
    auto parts = llvm::map_to_vector(op.getOperands(), [&](Value part) { return slot(part); });
    return [R = slot(op.getResult()), parts](const double *, double *d) {
      int64_t begin = R.offset;
      for (const Slot &X : parts) {
        for (int64_t i = 0; i < X.size(); ++i)
          d[X.offset + i] += d[begin + i];
        begin += X.size();
      }
    };
  }

  Adjoint build(RotateOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand()), A = slot(op.getTheta())](const double *f, double *d) {
      forEachPair(X, A, [&](int64_t a, int64_t even, int64_t odd) {
        Turned turned =
            turnBack(f[A.offset + a], f[X.offset + even], f[X.offset + odd], d[R.offset + even], d[R.offset + odd]);
        d[X.offset + even] += turned.even;
        d[X.offset + odd] += turned.odd;
        d[A.offset + a] += turned.theta;
      });
    };
  }

  Adjoint build(LoadOp op) {
    return [R = slot(op.getResult()), S = slot(op.getState())](const double *, double *d) {
      for (int64_t i = 0; i < R.size(); ++i)
        d[S.offset + i] += d[R.offset + i];
    };
  }

  /// What the state was before has no influence on anything after.
  Adjoint build(StoreOp op) {
    return [S = slot(op.getState()), X = slot(op.getValue())](const double *, double *d) {
      for (int64_t i = 0; i < S.size(); ++i) {
        d[X.offset + i] += d[S.offset + i];
        d[S.offset + i] = 0;
      }
    };
  }

  Adjoint build(DecayOp op) {
    bool whole = !op.getAxis() && !op.getFactor().getType().isScalar();
    int64_t di = op.getAxis() == Axis::rows, dj = op.getAxis() == Axis::cols;
    Slot S = slot(op.getState());
    if (whole)
      di = S.cols, dj = 1;
    return [S, A = slot(op.getFactor()), di, dj](const double *f, double *d) {
      for (int64_t i = 0; i < S.rows; ++i)
        for (int64_t j = 0; j < S.cols; ++j) {
          double &s = d[S.offset + i * S.cols + j];
          d[A.offset + i * di + j * dj] += product(s, f[S.offset + i * S.cols + j]);
          s = product(s, f[A.offset + i * di + j * dj]);
        }
    };
  }

  Adjoint build(RotateStateOp op) {
    return [S = slot(op.getState()), A = slot(op.getTheta())](const double *f, double *d) {
      forEachPair(S, A, [&](int64_t a, int64_t even, int64_t odd) {
        Turned turned =
            turnBack(f[A.offset + a], f[S.offset + even], f[S.offset + odd], d[S.offset + even], d[S.offset + odd]);
        d[S.offset + even] = turned.even;
        d[S.offset + odd] = turned.odd;
        d[A.offset + a] += turned.theta;
      });
    };
  }

  Adjoint build(ReadOp op) {
    int64_t qi = op.getAxis() == Axis::rows, qj = 1 - qi;
    return [S = slot(op.getState()), Q = slot(op.getVector()), R = slot(op.getResult()), qi, qj](const double *f,
                                                                                                 double *d) {
      for (int64_t i = 0; i < S.rows; ++i)
        for (int64_t j = 0; j < S.cols; ++j) {
          double r = d[R.offset + i * qj + j * qi];
          d[S.offset + i * S.cols + j] += product(r, f[Q.offset + i * qi + j * qj]);
          d[Q.offset + i * qi + j * qj] += product(r, f[S.offset + i * S.cols + j]);
        }
    };
  }

  /// The cotangent of the state stays: S is added to.
  Adjoint build(WriteOp op) { return outer(slot(op.getState()), slot(op.getKey()), slot(op.getValue())); }

  Adjoint build(AccumulateOp op) {
    return [S = slot(op.getState()), A = slot(op.getFactor()), X = slot(op.getSource())](const double *f, double *d) {
      for (int64_t i = 0; i < S.size(); ++i) {
        double s = d[S.offset + i];
        d[A.offset] += product(s, f[X.offset + i]);
        d[X.offset + i] += product(s, f[A.offset]);
      }
    };
  }

private:
  Slot slot(Value value) const { return program.slots.lookup(value); }

  /// The distance between elements: 0 for a scalar, which is used for every element.
  static int64_t step(TypedValue<ValueType> value) { return value.getType().isScalar() ? 0 : 1; }

  /// R[i, j] = X[i] Y[j], or has that added to it.
  static Adjoint outer(Slot R, Slot X, Slot Y) {
    return [R, X, Y](const double *f, double *d) {
      for (int64_t i = 0; i < R.rows; ++i)
        for (int64_t j = 0; j < R.cols; ++j) {
          double r = d[R.offset + i * R.cols + j];
          d[X.offset + i] += product(r, f[Y.offset + j]);
          d[Y.offset + j] += product(r, f[X.offset + i]);
        }
    };
  }

  /// Calls `fn` with the index of the angle and those of both elements for every pair that a rotation of X by A turns.
  static void forEachPair(Slot X, Slot A, llvm::function_ref<void(int64_t, int64_t, int64_t)> fn) {
    for (int64_t a = 0; a < A.size(); ++a)
      for (int64_t j = 0; j < X.cols; ++j)
        fn(a, 2 * a * X.cols + j, (2 * a + 1) * X.cols + j);
  }

  /// (x, y) was turned by theta and the result has cotangents (dx, dy): those of x, y and theta.
  struct Turned {
    double even, odd, theta;
  };
  static Turned turnBack(double theta, double x, double y, double dx, double dy) {
    double cos = std::cos(theta), sin = std::sin(theta);
    return {product(dx, cos) + product(dy, sin), product(dy, cos) - product(dx, sin),
            product(dy, x * cos - y * sin) - product(dx, x * sin + y * cos)};
  }

  const Program &program;
};
} // namespace

std::vector<AdjointStep> rondo::buildAdjoints(MixerOp mixer, const Program &program) {
  AdjointBuilder builder(program);
  std::vector<AdjointStep> adjoints;
  for (Operation &op : mixer.getBody().getOps()) {
    if (isa<StateOp, YieldOp>(op))
      continue;
    AdjointStep step;
    step.adjoint =
        llvm::TypeSwitch<Operation *, Adjoint>(&op)
            .Case<AccumulateOp, BinaryOp, BroadcastOp, ConcatOp, ConstantOp, CumsumOp, DecayOp, LoadOp, MatmulOp,
                  OuterOp, ReadOp, ReduceOp, RotateOp, RotateStateOp, SelectOp, StoreOp, TransposeOp, UnaryOp, WriteOp>(
                [&](auto concrete) { return builder.build(concrete); });
    llvm::TypeSwitch<Operation *>(&op).Case<AccumulateOp, DecayOp, RotateStateOp, StoreOp, WriteOp>(
        [&](auto concrete) { step.changedState = program.slots.lookup(concrete.getState()); });
    adjoints.push_back(std::move(step));
  }
  return adjoints;
}
