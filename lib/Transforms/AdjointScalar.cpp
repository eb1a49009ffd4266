//===- AdjointScalar.cpp - Derivatives of scalar code -----------------------------------------------------------===//
//
// The body of an elementwise operation is differentiated in reverse for one argument at a time; what is not needed is
// dead code. Rules are written so that a factor of zero meets no infinity: exp(-inf) has the derivative exp(-inf) = 0.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Adjoint.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;

namespace {
class Reverse {
public:
  Reverse(ImplicitLocOpBuilder &b) : b(b) {}

  void add(Value value, Value cotangent) {
    if (!isa<FloatType>(value.getType()))
      return;
    Value &sum = cotangents[value];
    sum = sum ? arith::AddFOp::create(b, sum, cotangent).getResult() : cotangent;
  }
  Value get(Value value) const { return cotangents.lookup(value); }
  /// False when there is no rule for `op`.
  bool visit(Operation *op);

private:
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(b, x); }
  Value number(double value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }
  Value select(Value flag, Value x, Value y) { return arith::SelectOp::create(b, flag, x, y); }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) { return arith::CmpFOp::create(b, predicate, x, y); }

  ImplicitLocOpBuilder &b;
  DenseMap<Value, Value> cotangents;
};

bool Reverse::visit(Operation *op) {
  // Conditions and positions have no derivative.
  if (op->getNumResults() != 1 || !isa<FloatType>(op->getResult(0).getType()))
    return true;
  Value d = get(op->getResult(0)), result = op->getResult(0);
  if (!d)
    return true;
  auto x = [&] { return op->getOperand(0); };
  auto y = [&] { return op->getOperand(1); };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](arith::ConstantOp) { return true; })
      .Case([&](arith::AddFOp) { return add(x(), d), add(y(), d), true; })
      .Case([&](arith::SubFOp) { return add(x(), d), add(y(), neg(d)), true; })
      .Case([&](arith::MulFOp) { return add(x(), mul(d, y())), add(y(), mul(d, x())), true; })
      .Case([&](arith::DivFOp) {
        Value quotient = div(d, y());
        return add(x(), quotient), add(y(), neg(mul(quotient, result))), true;
      })
      .Case([&](arith::NegFOp) { return add(x(), neg(d)), true; })
      .Case([&](arith::MaximumFOp) { // ties go to the left operand
        Value left = compare(arith::CmpFPredicate::OGE, x(), y());
        return add(x(), select(left, d, number(0))), add(y(), select(left, number(0), d)), true;
      })
      .Case([&](arith::MinimumFOp) { // ties go to the right operand, so that min(x, 0) + max(x, 0) has the derivative 1
        Value left = compare(arith::CmpFPredicate::OLT, x(), y());
        return add(x(), select(left, d, number(0))), add(y(), select(left, number(0), d)), true;
      })
      .Case([&](arith::SelectOp choice) {
        add(choice.getTrueValue(), select(choice.getCondition(), d, number(0)));
        add(choice.getFalseValue(), select(choice.getCondition(), number(0), d));
        return true;
      })
      .Case([&](math::ExpOp) { return add(x(), mul(d, result)), true; })
      .Case([&](math::ExpM1Op) { return add(x(), mul(d, arith::AddFOp::create(b, result, number(1)))), true; })
      .Case([&](math::LogOp) { return add(x(), div(d, x())), true; })
      .Case([&](math::Log1pOp) { return add(x(), div(d, arith::AddFOp::create(b, x(), number(1)))), true; })
      .Case([&](math::SqrtOp) { return add(x(), div(mul(d, number(0.5)), result)), true; })
      .Case([&](math::RsqrtOp) { return add(x(), mul(mul(mul(d, number(-0.5)), result), mul(result, result))), true; })
      .Case([&](math::AbsFOp) {
        Value positive = compare(arith::CmpFPredicate::OGE, x(), number(0));
        return add(x(), select(positive, d, neg(d))), true;
      })
      .Case([&](math::TanhOp) {
        return add(x(), mul(d, arith::SubFOp::create(b, number(1), mul(result, result)))), true;
      })
      .Case([&](math::SinOp) { return add(x(), mul(d, math::CosOp::create(b, x()))), true; })
      .Case([&](math::CosOp) { return add(x(), neg(mul(d, math::SinOp::create(b, x())))), true; })
      .Case([&](math::PowFOp power) {
        FloatAttr exponent;
        if (!matchPattern(power.getRhs(), m_Constant(&exponent)))
          return false;
        double e = exponent.getValueAsDouble();
        return add(x(), mul(mul(d, number(e)), math::PowFOp::create(b, x(), number(e - 1)))), true;
      })
      .Default([](Operation *) { return false; });
}
} // namespace

Value rondo::differentiateScalar(ImplicitLocOpBuilder &b, Block &body, ValueRange arguments, unsigned wrt, Value seed,
                                 Operation *&unknown) {
  IRMapping mapping;
  mapping.map(body.getArguments(), arguments);
  SmallVector<Operation *> copies;
  for (Operation &op : body.without_terminator())
    copies.push_back(b.clone(op, mapping));
  Reverse reverse(b);
  Value result = mapping.lookupOrDefault(body.getTerminator()->getOperand(0));
  reverse.add(result, seed);
  for (Operation *op : llvm::reverse(copies))
    if (!reverse.visit(op)) {
      unknown = op;
      return {};
    }
  return reverse.get(arguments[wrt]);
}
