//===- Steps.cpp - What each operation of the token level computes ----------------------------------------------===//
//
// One function for each operation, written to be read: this file is the definition of the dialect's arithmetic.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Steps.h"
#include "llvm/ADT/TypeSwitch.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Elementwise functions
//===----------------------------------------------------------------------===//

static double sigmoid(double x) {
  double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
/// log(1 + exp(x)); exp takes no positive argument, so nothing overflows.
static double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

/// A NaN wins, as in `arith.maximumf`.
static double maximum(double x, double y) { return std::isnan(x) || x > y ? x : y; }
static double minimum(double x, double y) { return std::isnan(x) || x < y ? x : y; }

using UnaryFunction = double (*)(double);
static UnaryFunction getFunction(UnaryKind kind) {
  switch (kind) {
  case UnaryKind::neg:
    return [](double x) { return -x; };
  case UnaryKind::exp:
    return [](double x) { return std::exp(x); };
  case UnaryKind::log:
    return [](double x) { return std::log(x); };
  case UnaryKind::sqrt:
    return [](double x) { return std::sqrt(x); };
  case UnaryKind::rsqrt:
    return [](double x) { return 1 / std::sqrt(x); };
  case UnaryKind::abs:
    return [](double x) { return std::abs(x); };
  case UnaryKind::sigmoid:
    return sigmoid;
  case UnaryKind::log_sigmoid:
    return [](double x) { return -softplus(-x); };
  case UnaryKind::softplus:
    return softplus;
  case UnaryKind::silu:
    return [](double x) { return x * sigmoid(x); };
  case UnaryKind::relu:
    return [](double x) { return maximum(x, 0); };
  case UnaryKind::elu:
    return [](double x) { return x > 0 ? x : std::expm1(x); };
  case UnaryKind::tanh:
    return [](double x) { return std::tanh(x); };
  case UnaryKind::sin:
    return [](double x) { return std::sin(x); };
  case UnaryKind::cos:
    return [](double x) { return std::cos(x); };
  case UnaryKind::expm1:
    return [](double x) { return std::expm1(x); };
  }
}

using BinaryFunction = double (*)(double, double);
static BinaryFunction getFunction(BinaryKind kind) {
  switch (kind) {
  case BinaryKind::add:
    return [](double x, double y) { return x + y; };
  case BinaryKind::sub:
    return [](double x, double y) { return x - y; };
  case BinaryKind::mul:
    return [](double x, double y) { return x * y; };
  case BinaryKind::div:
    return [](double x, double y) { return x / y; };
  case BinaryKind::max:
    return maximum;
  case BinaryKind::min:
    return minimum;
  case BinaryKind::pow:
    return [](double x, double y) { return std::pow(x, y); };
  case BinaryKind::lt:
    return [](double x, double y) { return double(x < y); };
  case BinaryKind::le:
    return [](double x, double y) { return double(x <= y); };
  case BinaryKind::gt:
    return [](double x, double y) { return double(x > y); };
  case BinaryKind::ge:
    return [](double x, double y) { return double(x >= y); };
  case BinaryKind::eq:
    return [](double x, double y) { return double(x == y); };
  case BinaryKind::ne:
    return [](double x, double y) { return double(x != y); };
  }
}

static BinaryFunction getFunction(ReduceKind kind) {
  switch (kind) {
  case ReduceKind::sum:
    return getFunction(BinaryKind::add);
  case ReduceKind::max:
    return maximum;
  case ReduceKind::min:
    return minimum;
  }
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

namespace {
/// Turns operations into steps. In each `build`, capital letters are slots and small ones the numbers in them.
class StepBuilder {
public:
  explicit StepBuilder(Program &program) : program(program) {}

  Step build(ConstantOp op) {
    return [R = slot(op.getResult()), value = op.getValue().convertToDouble()](double *f) { f[R.offset] = value; };
  }

  Step build(UnaryOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand()), fn = getFunction(op.getKind())](double *f) {
      for (int64_t i = 0; i < R.size(); ++i)
        f[R.offset + i] = fn(f[X.offset + i]);
    };
  }

  Step build(BinaryOp op) {
    return [R = slot(op.getResult()), X = slot(op.getLhs()), Y = slot(op.getRhs()), dx = step(op.getLhs()),
            dy = step(op.getRhs()), fn = getFunction(op.getKind())](double *f) {
      for (int64_t i = 0; i < R.size(); ++i)
        f[R.offset + i] = fn(f[X.offset + i * dx], f[Y.offset + i * dy]);
    };
  }

  Step build(SelectOp op) {
    return [R = slot(op.getResult()), C = slot(op.getCondition()), X = slot(op.getOnTrue()), Y = slot(op.getOnFalse()),
            dc = step(op.getCondition()), dx = step(op.getOnTrue()), dy = step(op.getOnFalse())](double *f) {
      for (int64_t i = 0; i < R.size(); ++i)
        f[R.offset + i] = f[C.offset + i * dc] != 0 ? f[X.offset + i * dx] : f[Y.offset + i * dy];
    };
  }

  Step build(BroadcastOp op) {
    int64_t di = op.getAxis() == Axis::rows, dj = op.getAxis() == Axis::cols;
    return [R = slot(op.getResult()), X = slot(op.getOperand()), di, dj](double *f) {
      for (int64_t i = 0; i < R.rows; ++i)
        for (int64_t j = 0; j < R.cols; ++j)
          f[R.offset + i * R.cols + j] = f[X.offset + i * di + j * dj];
    };
  }

  Step build(TransposeOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand())](double *f) {
      for (int64_t i = 0; i < R.rows; ++i)
        for (int64_t j = 0; j < R.cols; ++j)
          f[R.offset + i * R.cols + j] = f[X.offset + j * X.cols + i];
    };
  }

  Step build(OuterOp op) {
    return [R = slot(op.getResult()), X = slot(op.getLhs()), Y = slot(op.getRhs())](double *f) {
      for (int64_t i = 0; i < R.rows; ++i)
        for (int64_t j = 0; j < R.cols; ++j)
          f[R.offset + i * R.cols + j] = f[X.offset + i] * f[Y.offset + j];
    };
  }

  Step build(MatmulOp op) {
    Slot X = slot(op.getLhs()), Y = slot(op.getRhs());
    if (op.getLhs().getType().getRank() == 1)
      std::swap(X.rows, X.cols);
    return [R = slot(op.getResult()), X, Y](double *f) {
      std::fill_n(f + R.offset, R.size(), 0.0);
      for (int64_t i = 0; i < X.rows; ++i)
        for (int64_t k = 0; k < X.cols; ++k)
          for (int64_t j = 0; j < Y.cols; ++j)
            f[R.offset + i * Y.cols + j] += f[X.offset + i * X.cols + k] * f[Y.offset + k * Y.cols + j];
    };
  }

  Step build(ReduceOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand()), fn = getFunction(op.getKind())](double *f) {
      double result = f[X.offset];
      for (int64_t i = 1; i < X.size(); ++i)
        result = fn(result, f[X.offset + i]);
      f[R.offset] = result;
    };
  }

  Step build(CumsumOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand())](double *f) {
      double sum = 0;
      for (int64_t i = 0; i < R.size(); ++i)
        f[R.offset + i] = sum += f[X.offset + i];
    };
  }

  Step build(ConcatOp op) {
    auto parts = llvm::map_to_vector(op.getOperands(), [&](Value part) { return slot(part); });
    return [R = slot(op.getResult()), parts](double *f) {
      double *end = f + R.offset;
      for (const Slot &X : parts)
        end = std::copy_n(f + X.offset, X.size(), end);
    };
  }

  Step build(RotateOp op) {
    return [R = slot(op.getResult()), X = slot(op.getOperand()), A = slot(op.getTheta())](double *f) {
      std::copy_n(f + X.offset, X.size(), f + R.offset);
      rotate(f, R, A);
    };
  }

  Step build(LoadOp op) { return copy(slot(op.getState()), slot(op.getResult())); }
  Step build(StoreOp op) { return copy(slot(op.getValue()), slot(op.getState())); }

  Step build(DecayOp op) {
    bool whole = !op.getAxis() && !op.getFactor().getType().isScalar();
    int64_t di = op.getAxis() == Axis::rows, dj = op.getAxis() == Axis::cols;
    Slot S = slot(op.getState());
    if (whole)
      di = S.cols, dj = 1;
    return [S, A = slot(op.getFactor()), di, dj](double *f) {
      for (int64_t i = 0; i < S.rows; ++i)
        for (int64_t j = 0; j < S.cols; ++j)
          f[S.offset + i * S.cols + j] *= f[A.offset + i * di + j * dj];
    };
  }

  Step build(RotateStateOp op) {
    return [S = slot(op.getState()), A = slot(op.getTheta())](double *f) { rotate(f, S, A); };
  }

  Step build(ReadOp op) {
    Slot S = slot(op.getState()), Q = slot(op.getVector()), R = slot(op.getResult());
    if (op.getAxis() == Axis::rows)
      return [S, Q, R](double *f) {
        std::fill_n(f + R.offset, R.size(), 0.0);
        for (int64_t i = 0; i < S.rows; ++i)
          for (int64_t j = 0; j < S.cols; ++j)
            f[R.offset + j] += f[S.offset + i * S.cols + j] * f[Q.offset + i];
      };
    return [S, Q, R](double *f) {
      for (int64_t i = 0; i < S.rows; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < S.cols; ++j)
          sum += f[S.offset + i * S.cols + j] * f[Q.offset + j];
        f[R.offset + i] = sum;
      }
    };
  }

  Step build(WriteOp op) {
    return [S = slot(op.getState()), K = slot(op.getKey()), V = slot(op.getValue())](double *f) {
      for (int64_t i = 0; i < S.rows; ++i)
        for (int64_t j = 0; j < S.cols; ++j)
          f[S.offset + i * S.cols + j] += f[K.offset + i] * f[V.offset + j];
    };
  }

  Step build(AccumulateOp op) {
    return [S = slot(op.getState()), A = slot(op.getFactor()), X = slot(op.getSource())](double *f) {
      for (int64_t i = 0; i < S.size(); ++i)
        f[S.offset + i] += f[A.offset] * f[X.offset + i];
    };
  }

private:
  Slot slot(Value value) const { return program.slots.lookup(value); }

  /// The distance between elements: 0 for a scalar, which is used for every element.
  static int64_t step(TypedValue<ValueType> value) { return value.getType().isScalar() ? 0 : 1; }

  static Step copy(Slot X, Slot R) {
    return [X, R](double *f) { std::copy_n(f + X.offset, X.size(), f + R.offset); };
  }

  /// (x, y) <- (x cos t - y sin t, x sin t + y cos t) for each pair of rows (2i, 2i+1) of X and t = A[i].
  static void rotate(double *f, Slot X, Slot A) {
    for (int64_t i = 0; i < A.size(); ++i) {
      double cos = std::cos(f[A.offset + i]), sin = std::sin(f[A.offset + i]);
      double *even = f + X.offset + 2 * i * X.cols, *odd = even + X.cols;
      for (int64_t j = 0; j < X.cols; ++j) {
        double x = even[j], y = odd[j];
        even[j] = x * cos - y * sin;
        odd[j] = x * sin + y * cos;
      }
    }
  }

  Program &program;
};
} // namespace

LogicalResult rondo::buildProgram(MixerOp mixer, Program &program, std::string &error) {
  auto allocate = [&](Value value) -> LogicalResult {
    bool isState = isa<StateType>(value.getType());
    auto type = isState ? cast<StateType>(value.getType()).getValueType() : cast<ValueType>(value.getType());
    if (!type.isStatic()) {
      error = "mixer '" + mixer.getSymName().str() + "' has sizes that are names; specialise it first";
      return failure();
    }
    SmallVector<int64_t> shape = type.getShape();
    shape.resize(2, 1);
    Slot slot{program.frameSize, shape[0], shape[1]};
    program.slots[value] = slot;
    program.frameSize += slot.size();
    return success();
  };

  StepBuilder builder(program);
  for (BlockArgument argument : mixer.getBody().getArguments())
    if (failed(allocate(argument)))
      return failure();
  for (Operation &op : mixer.getBody().getOps()) {
    for (Value result : op.getResults())
      if (failed(allocate(result)))
        return failure();
    if (isa<StateOp, YieldOp>(op))
      continue;
    Step step =
        llvm::TypeSwitch<Operation *, Step>(&op)
            .Case<AccumulateOp, BinaryOp, BroadcastOp, ConcatOp, ConstantOp, CumsumOp, DecayOp, LoadOp, MatmulOp,
                  OuterOp, ReadOp, ReduceOp, RotateOp, RotateStateOp, SelectOp, StoreOp, TransposeOp, UnaryOp, WriteOp>(
                [&](auto concrete) { return builder.build(concrete); })
            .Default([](Operation *) { return Step(); });
    if (!step) {
      error = "the interpreter cannot run '" + op.getName().getStringRef().str() + "'";
      return failure();
    }
    program.steps.push_back(std::move(step));
  }
  return success();
}
