//===- LowerElementwise.cpp - arith and math on values with layouts --------------------------------------------===//

#include "Kernel.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

/// The type of one scalar: an index is i32.
static Type scalarType(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isIndex() ? IntegerType::get(type.getContext(), 32) : element;
}

static bool isPackedType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isPacked(tensor);
}

/// The scalars of an operand, 16-bit pairs as two f32, repeated if it is one scalar for all elements.
static Scalars elements(RoleLowering &l, Value operand, int64_t count) {
  Scalars scalars;
  if (isPackedType(operand.getType())) {
    for (Value pair : l.get(operand)) {
      auto [low, high] = l.unpack(pair, getElementTypeOrSelf(operand.getType()));
      scalars.append({low, high});
    }
    return scalars;
  }
  llvm::append_range(scalars, l.get(operand));
  if (!isa<RankedTensorType>(operand.getType()))
    scalars.resize(count, scalars.front());
  return scalars;
}

static void setElements(RoleLowering &l, Value result, Scalars scalars) {
  if (!isPackedType(result.getType()))
    return l.set(result, std::move(scalars));
  Scalars pairs;
  for (size_t i = 0; i < scalars.size(); i += 2)
    pairs.push_back(l.pack(scalars[i], scalars[i + 1], getElementTypeOrSelf(result.getType())));
  l.set(result, std::move(pairs));
}

static LogicalResult lowerConstant(arith::ConstantOp op, RoleLowering &l) {
  TypedAttr value = op.getValue();
  int64_t count = 1;
  if (auto tensor = dyn_cast<RankedTensorType>(op.getType())) {
    auto dense = dyn_cast<SplatElementsAttr>(value);
    if (!dense)
      return op.emitOpError("must be the same in all elements of a value with a layout");
    value = cast<TypedAttr>(dense.getSplatValue<Attribute>());
    count = getScalarsPerThread(tensor) * (isPacked(tensor) ? 2 : 1);
  }
  if (auto integer = dyn_cast<IntegerAttr>(value); integer && integer.getType().isIndex())
    value = l.b.getI32IntegerAttr(integer.getInt());
  if (auto number = dyn_cast<FloatAttr>(value); number && isPackedType(op.getType()))
    value = l.b.getF32FloatAttr(number.getValueAsDouble());
  setElements(l, op.getResult(), Scalars(count, arith::ConstantOp::create(l.b, value)));
  return success();
}

/// The functions that have an instruction of their own or a polynomial (`rondo-approximate-math`).
static bool isSupportedMath(Operation *op) {
  return isa<math::ExpOp, math::Exp2Op, math::ExpM1Op, math::LogOp, math::Log2Op, math::Log1pOp, math::TanhOp,
             math::SinOp, math::CosOp, math::SqrtOp, math::RsqrtOp, math::PowFOp, math::AbsFOp, math::FmaOp,
             math::CopySignOp, math::FloorOp, math::CeilOp, math::TruncOp>(op);
}

/// One element of `op`. Instructions of the special function unit where they are accurate to a few units in the last
/// place: 2^x, 1 / x, x / y, 1 / sqrt(x).
static Value lowerElement(Operation *op, ArrayRef<Value> operands, Type type, RoleLowering &l) {
  bool isF32 = type.isF32();
  auto approximate = [&](StringRef text, StringRef constraints, ArrayRef<Value> operands) {
    return l.inlineAsm(text, constraints, operands, {type}, /*sideEffects=*/false).front();
  };
  if (isF32 && isa<math::Exp2Op>(op))
    return l.exp2(operands[0]);
  // exp(-inf) = 0 and exp(0) = 1 stay exact.
  if (isF32 && isa<math::ExpOp>(op))
    return l.exp2(l.fmul(operands[0], l.f32(M_LOG2E)));
  if (isF32 && isa<math::RsqrtOp>(op))
    return approximate("rsqrt.approx.f32 $0, $1;", "=f,f", operands);
  if (auto div = dyn_cast<arith::DivFOp>(op); div && isF32) {
    if (matchPattern(div.getLhs(), m_OneFloat()))
      return approximate("rcp.approx.f32 $0, $1;", "=f,f", operands[1]);
    return approximate("div.full.f32 $0, $1, $2;", "=f,f,f", operands);
  }
  OperationState state(l.b.getLoc(), op->getName(), operands, type, op->getAttrs());
  Operation *scalar = l.b.create(state);
  if (isa<arith::ArithFastMathInterface>(scalar))
    scalar->setAttr("fastmath", arith::FastMathFlagsAttr::get(op->getContext(), arith::FastMathFlags::contract));
  return scalar->getResult(0);
}

LogicalResult rondo::tile::lowerElementwise(Operation *op, RoleLowering &l) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return lowerConstant(constant, l);
  if (op->getNumResults() != 1 || op->getNumRegions() != 0 || op->getNumOperands() == 0)
    return op->emitOpError("has no lowering in a tile kernel");
  if (isa<math::MathDialect>(op->getDialect()) && !isSupportedMath(op))
    return op->emitOpError("has no lowering in a tile kernel: write it with exp, log, sqrt, sin, cos or tanh");

  Value result = op->getResult(0);
  int64_t count = 1;
  if (auto tensor = dyn_cast<RankedTensorType>(result.getType()))
    count = getScalarsPerThread(tensor) * (isPacked(tensor) ? 2 : 1);
  SmallVector<Scalars> operands;
  for (Value operand : op->getOperands())
    operands.push_back(elements(l, operand, count));

  // The conversions are what packing and unpacking do.
  if (isa<arith::TruncFOp, arith::ExtFOp>(op) && isa<RankedTensorType>(result.getType())) {
    setElements(l, result, std::move(operands[0]));
    return success();
  }
  Type type = isPackedType(result.getType()) ? l.b.getF32Type() : scalarType(result.getType());
  Scalars results;
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> scalars;
    for (const Scalars &operand : operands)
      scalars.push_back(operand[i]);
    // Between index and i32 there is nothing to do.
    if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op) && scalars[0].getType() == type) {
      results.push_back(scalars[0]);
      continue;
    }
    if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
      bool wider = type.getIntOrFloatBitWidth() > scalars[0].getType().getIntOrFloatBitWidth();
      results.push_back(!wider                        ? Value(arith::TruncIOp::create(l.b, type, scalars[0]))
                        : isa<arith::IndexCastOp>(op) ? Value(arith::ExtSIOp::create(l.b, type, scalars[0]))
                                                      : Value(arith::ExtUIOp::create(l.b, type, scalars[0])));
      continue;
    }
    results.push_back(lowerElement(op, scalars, type, l));
  }
  setElements(l, result, std::move(results));
  return success();
}
