//===- ApproximateMath.cpp - Elementary functions as arithmetic -------------------------------------------------===//
//
// Polynomials after an exact range reduction; the coefficients of log, tanh, sin and cos are those of Cephes (Moshier).
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <cmath>
#include <limits>

namespace rondo {
#define GEN_PASS_DEF_RONDOAPPROXIMATEMATH
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-approximate-math"

using namespace mlir;

namespace {

/// 1.5 * 2^23: adding it to a float rounds to an integer, which then stands in the low 22 bits. Shifted left by 23, or
/// taken modulo 4, these bits are the integer itself.
constexpr float kRound = 12582912.0f;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
/// ln 2 = kLn2High + kLn2Low; the high part has few bits, so that its products with exponents are exact.
constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;

/// Arithmetic on numbers of one shape (a scalar or a vector), spelt as formulas.
class Formula {
public:
  Formula(OpBuilder &builder, Location loc, Type like) : b(loc, builder), like(like) {}

  Value number(double value) { return constant(b.getFloatAttr(element(), value)); }
  Value integer(int32_t value) { return constant(b.getI32IntegerAttr(value)); }

  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) { return math::FmaOp::create(b, x, y, z); }
  Value addi(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value subi(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value andi(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value xori(Value x, Value y) { return arith::XOrIOp::create(b, x, y); }
  Value shl(Value x, int32_t bits) { return arith::ShLIOp::create(b, x, integer(bits)); }
  Value shr(Value x, int32_t bits) { return arith::ShRSIOp::create(b, x, integer(bits)); }
  Value select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) { return arith::CmpFOp::create(b, predicate, x, y); }
  Value isZero(Value bits) { return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, bits, integer(0)); }
  Value bits(Value x) { return arith::BitcastOp::create(b, shaped(b.getI32Type()), x); }
  Value fromBits(Value x) { return arith::BitcastOp::create(b, shaped(b.getF32Type()), x); }
  Value toFloat(Value x) { return arith::SIToFPOp::create(b, shaped(element()), x); }

  /// Limits x to [low, high]; NaN stays NaN.
  Value clamp(Value x, float low, float high) {
    x = select(compare(arith::CmpFPredicate::OLT, x, number(low)), number(low), x);
    return select(compare(arith::CmpFPredicate::OGT, x, number(high)), number(high), x);
  }

  /// The polynomial with these coefficients, the highest power first.
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value sum = number(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = fma(sum, x, number(coefficient));
    return sum;
  }

  /// 2^n for an integer n in [-126, 127].
  Value power(Value n) { return fromBits(addi(shl(n, 23), integer(0x3F800000))); }

  /// x * perUnit rounded to an integer: as a number, and as the low bits of an integer (see kRound).
  std::pair<Value, Value> roundTo(Value x, double perUnit) {
    Value shifted = fma(x, number(perUnit), number(kRound));
    return {sub(shifted, number(kRound)), bits(shifted)};
  }

  Value exp(Value x);
  Value exp2(Value x);
  Value expm1(Value x);
  Value log(Value x);
  Value log1p(Value x);
  Value tanh(Value x);
  Value sine(Value x, bool cosine);
  Value pow(Value x, Value y);

private:
  Type element() { return getElementTypeOrSelf(like); }
  Type shaped(Type type) {
    if (auto vector = dyn_cast<VectorType>(like))
      return vector.clone(type);
    return type;
  }
  Value constant(TypedAttr attr) {
    Type type = shaped(attr.getType());
    if (auto shape = dyn_cast<ShapedType>(type))
      return arith::ConstantOp::create(b, shape, DenseElementsAttr::get(shape, Attribute(attr)));
    return arith::ConstantOp::create(b, attr);
  }

  /// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2: minimax, e^r to 3e-9 relative.
  Value expSeries(Value r) {
    return polynomial(r, {1.3814540068513204e-3, 8.368745108856341e-3, 4.166839078580766e-2, 1.6666520399042975e-1,
                          4.9999993432117706e-1});
  }
  /// e^r 2^n for |r| <= ln(2) / 2; n as roundTo gives it, from -150 to 128, which takes two factors.
  Value scaledExp(Value r, Value n) {
    Value mantissa = fma(fma(expSeries(r), r, number(1)), r, number(1));
    return scaled(mantissa, n);
  }
  Value scaled(Value mantissa, Value n) {
    Value half = shr(n, 1);
    return mul(mul(mantissa, power(half)), power(subi(n, half)));
  }
  /// log(1 + f) + e ln(2) for 1 + f between sqrt(1/2) and sqrt(2).
  Value logTail(Value f, Value e);
  /// x = m 2^e with m between sqrt(1/2) and sqrt(2): m - 1 and e.
  std::pair<Value, Value> splitExponent(Value x) {
    Value pattern = bits(x);
    Value e = shr(subi(pattern, integer(0x3F3504F3)), 23);
    return {sub(fromBits(subi(pattern, shl(e, 23))), number(1)), e};
  }
  /// The logarithm of what is not a positive finite number.
  Value logOrSpecial(Value x, Value value) {
    Value special = select(compare(arith::CmpFPredicate::OLT, x, number(0)), number(kNaN), x);
    special = select(compare(arith::CmpFPredicate::OEQ, x, number(0)), number(-kInfinity), special);
    Value usual = andi(compare(arith::CmpFPredicate::OGT, x, number(0)),
                       compare(arith::CmpFPredicate::OLT, x, number(kInfinity)));
    return select(usual, value, special);
  }

  ImplicitLocOpBuilder b;
  Type like;
};

Value Formula::exp(Value x) {
  // Beyond these limits the result is 0 or infinite, and the scaling below says so.
  x = clamp(x, -104.0f, 89.0f);
  auto [n, exponent] = roundTo(x, M_LOG2E);
  Value r = fma(n, number(-kLn2Low), fma(n, number(-kLn2High), x));
  return scaledExp(r, exponent);
}

Value Formula::exp2(Value x) {
  x = clamp(x, -151.0f, 129.0f);
  auto [n, exponent] = roundTo(x, 1);
  Value r = mul(sub(x, n), number(M_LN2));
  return scaledExp(r, exponent);
}

Value Formula::expm1(Value x) {
  Value limited = clamp(x, -20.0f, 89.0f);
  auto [n, exponent] = roundTo(limited, M_LOG2E);
  Value r = fma(n, number(-kLn2Low), fma(n, number(-kLn2High), limited));
  Value p = fma(expSeries(r), mul(r, r), r);
  // 2^n p + (2^n - 1), halved: 2^128 is no float.
  Value half = power(subi(exponent, integer(1)));
  Value sum = fma(half, p, sub(half, number(0.5)));
  return add(sum, sum);
}

Value Formula::logTail(Value f, Value e) {
  Value p = polynomial(f, {7.0376836292E-2, -1.1514610310E-1, 1.1676998740E-1, -1.2420140846E-1, 1.4249322787E-1,
                           -1.6668057665E-1, 2.0000714765E-1, -2.4999993993E-1, 3.3333331174E-1});
  Value square = mul(f, f);
  Value y = mul(mul(f, square), p);
  y = fma(e, number(kLn2Low), y);
  y = fma(square, number(-0.5), y);
  return fma(e, number(kLn2High), add(f, y));
}

Value Formula::log(Value x) {
  // Subnormal numbers are made normal first.
  Value tiny = compare(arith::CmpFPredicate::OLT, x, number(std::numeric_limits<float>::min()));
  Value normal = select(tiny, mul(x, number(8388608.0)), x);
  auto [f, e] = splitExponent(normal);
  Value exponent = sub(toFloat(e), select(tiny, number(23), number(0)));
  return logOrSpecial(x, logTail(f, exponent));
}

Value Formula::log1p(Value x) {
  Value sum = add(x, number(1));
  Value lost = sub(x, sub(sum, number(1)));
  auto [f, e] = splitExponent(sum);
  // What the addition lost, in units of the mantissa; nothing is lost where e is large.
  Value limit = arith::MinSIOp::create(b, e, integer(100));
  f = fma(lost, power(subi(integer(0), limit)), f);
  return logOrSpecial(sum, logTail(f, toFloat(e)));
}

Value Formula::tanh(Value x) {
  Value z = mul(x, x);
  Value p =
      polynomial(z, {-5.70498872745E-3, 2.06390887954E-2, -5.37397155531E-2, 1.33314422036E-1, -3.33332819422E-1});
  Value small = fma(mul(p, z), x, x);
  Value magnitude = math::AbsFOp::create(b, x);
  Value power = exp(add(magnitude, magnitude));
  Value large = sub(number(1), div(number(2), add(power, number(1))));
  large = math::CopySignOp::create(b, large, x);
  return select(compare(arith::CmpFPredicate::OLT, magnitude, number(0.625)), small, large);
}

Value Formula::sine(Value x, bool cosine) {
  auto [n, quadrant] = roundTo(x, M_2_PI);
  Value r = fma(n, number(-1.57079637050628662109375), x);
  r = fma(n, number(4.37113900018624283e-8), r);
  r = fma(n, number(1.71512451513e-15), r);
  if (cosine)
    quadrant = addi(quadrant, integer(1));
  Value z = mul(r, r);
  Value s = polynomial(z, {-1.9515295891E-4, 8.3321608736E-3, -1.6666654611E-1});
  s = fma(mul(s, z), r, r);
  Value c = polynomial(z, {2.443315711809948E-5, -1.388731625493765E-3, 4.166664568298827E-2});
  c = fma(mul(c, z), z, fma(z, number(-0.5), number(1)));
  Value value = select(isZero(andi(quadrant, integer(1))), s, c);
  Value sign = shl(andi(quadrant, integer(2)), 30);
  return fromBits(xori(bits(value), sign));
}

Value Formula::pow(Value x, Value y) {
  // In f64, so that the error of the logarithm, times y, does not reach the result.
  Value magnitude = math::AbsFOp::create(b, x);
  Value tiny = compare(arith::CmpFPredicate::OLT, magnitude, number(std::numeric_limits<float>::min()));
  Value normal = select(tiny, mul(magnitude, number(8388608.0)), magnitude);
  auto [mantissa, e] = splitExponent(normal);
  Value shift = sub(toFloat(e), select(tiny, number(23), number(0)));

  Formula wide(b, b.getLoc(), shaped(b.getF64Type()));
  auto widen = [&](Value v) { return arith::ExtFOp::create(b, shaped(b.getF64Type()), v).getResult(); };
  Value f = widen(mantissa);
  Value s = wide.div(f, wide.add(f, wide.number(2)));
  Value z = wide.mul(s, s);
  Value series = wide.polynomial(z, {1. / 17, 1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1});
  Value logarithm = wide.fma(widen(shift), wide.number(M_LN2), wide.mul(wide.add(s, s), series));

  // x^y = 2^n e^r.
  Value exponent = wide.mul(widen(y), logarithm);
  exponent = wide.clamp(exponent, -104.0f, 89.0f);
  Value n32 = sub(
      add(arith::TruncFOp::create(b, shaped(b.getF32Type()), wide.mul(exponent, wide.number(M_LOG2E))), number(kRound)),
      number(kRound));
  Value r = wide.fma(widen(n32), wide.number(-M_LN2), exponent);
  SmallVector<double> taylor(12, 1.0);
  for (int k = 10; k >= 0; --k)
    taylor[k] = taylor[k + 1] / (11 - k);
  Value root = arith::TruncFOp::create(b, shaped(b.getF32Type()), wide.polynomial(r, taylor));
  Value n = arith::FPToSIOp::create(b, shaped(b.getI32Type()), n32);
  Value value = scaled(root, n);

  // Zero, infinite and negative bases; the sign is negative for odd integers y only.
  Value positive = compare(arith::CmpFPredicate::OGT, y, number(0));
  Value zero = compare(arith::CmpFPredicate::OEQ, magnitude, number(0));
  Value infinite = compare(arith::CmpFPredicate::OEQ, magnitude, number(kInfinity));
  value = select(zero, select(positive, number(0), number(kInfinity)), value);
  value = select(infinite, select(positive, number(kInfinity), number(0)), value);
  Value whole = math::TruncOp::create(b, y);
  Value halved = mul(y, number(0.5));
  Value isWhole = compare(arith::CmpFPredicate::OEQ, whole, y);
  Value isEven = compare(arith::CmpFPredicate::OEQ, math::TruncOp::create(b, halved), halved);
  Value negative = compare(arith::CmpFPredicate::OLT, x, number(0));
  Value flipped = select(isEven, value, mul(value, number(-1)));
  Value infiniteBase = select(infinite, value, number(kNaN));
  value = select(negative, select(isWhole, flipped, infiniteBase), value);
  Value unordered = compare(arith::CmpFPredicate::UNO, x, y);
  value = select(unordered, add(x, y), value);
  Value isOne = arith::OrIOp::create(b, compare(arith::CmpFPredicate::OEQ, y, number(0)),
                                     compare(arith::CmpFPredicate::OEQ, x, number(1)));
  return select(isOne, number(1), value);
}

struct ApproximateMathPass : rondo::impl::RondoApproximateMathBase<ApproximateMathPass> {
  using RondoApproximateMathBase::RondoApproximateMathBase;

  /// The value of `op` for f32 operands, null for a function that stays.
  static Value approximate(Operation *op, OpBuilder &b, ValueRange operands) {
    Formula f(b, op->getLoc(), operands[0].getType());
    Value x = operands[0];
    return llvm::TypeSwitch<Operation *, Value>(op)
        .Case([&](math::ExpOp) { return f.exp(x); })
        .Case([&](math::Exp2Op) { return f.exp2(x); })
        .Case([&](math::ExpM1Op) { return f.expm1(x); })
        .Case([&](math::LogOp) { return f.log(x); })
        .Case([&](math::Log2Op) { return f.mul(f.log(x), f.number(M_LOG2E)); })
        .Case([&](math::Log1pOp) { return f.log1p(x); })
        .Case([&](math::TanhOp) { return f.tanh(x); })
        .Case([&](math::SinOp) { return f.sine(x, /*cosine=*/false); })
        .Case([&](math::CosOp) { return f.sine(x, /*cosine=*/true); })
        .Case([&](math::RsqrtOp) { return f.div(f.number(1), math::SqrtOp::create(b, op->getLoc(), x)); })
        .Case([&](math::PowFOp) { return f.pow(x, operands[1]); })
        .Default([](Operation *) { return Value(); });
  }

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()) && op->getNumResults() == 1)
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      Type type = op->getResult(0).getType(), element = getElementTypeOrSelf(type);
      if (!element.isF32() && !element.isF16() && !element.isBF16())
        continue;
      OpBuilder b(op);
      SmallVector<Value> operands(op->getOperands());
      Type wide = b.getF32Type();
      if (auto vector = dyn_cast<VectorType>(type))
        wide = vector.clone(wide);
      if (!element.isF32() && llvm::all_of(operands, [&](Value v) { return v.getType() == type; }))
        for (Value &operand : operands)
          operand = arith::ExtFOp::create(b, op->getLoc(), wide, operand);
      Value value = approximate(op, b, operands);
      if (!value)
        continue;
      if (!element.isF32())
        value = arith::TruncFOp::create(b, op->getLoc(), type, value);
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    }
  }
};

} // namespace
