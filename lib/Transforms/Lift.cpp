//===- Lift.cpp - The values of one token as tensors over a chunk of tokens -------------------------------------===//

#include "Lift.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "llvm/ADT/SmallString.h"
#include <cmath>

using namespace mlir;
using namespace rondo;

Lifted Lifted::of(Value tensor, bool timed) {
  Lifted result;
  result.tensor = tensor;
  result.timed = timed;
  llvm::append_range(result.shape, Emitter::shapeOf(tensor).drop_front(timed));
  llvm::append_range(result.axes, llvm::seq<unsigned>(0, result.shape.size()));
  return result;
}

//===----------------------------------------------------------------------===//
// Emitter
//===----------------------------------------------------------------------===//

ArrayRef<int64_t> Emitter::shapeOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getShape(); }

Value Emitter::number(double value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }

Value Emitter::empty(ArrayRef<int64_t> shape) { return tensor::EmptyOp::create(b, shape, b.getF32Type()); }

Value Emitter::filled(ArrayRef<int64_t> shape, double value) {
  return linalg::FillOp::create(b, ValueRange{number(value)}, ValueRange{empty(shape)}).getResult(0);
}

Value Emitter::pointwise(ArrayRef<int64_t> shape, ArrayRef<Operand> operands, Body body, Value init) {
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (const Operand &operand : operands) {
    inputs.push_back(operand.tensor);
    SmallVector<AffineExpr> exprs;
    for (unsigned axis : operand.axes)
      exprs.push_back(b.getAffineDimExpr(axis));
    maps.push_back(AffineMap::get(shape.size(), 0, exprs, b.getContext()));
  }
  maps.push_back(b.getMultiDimIdentityMap(shape.size()));
  SmallVector<utils::IteratorType> iterators(shape.size(), utils::IteratorType::parallel);
  bool updates = bool(init);
  if (!init)
    init = empty(shape);
  auto generic = linalg::GenericOp::create(b, TypeRange{init.getType()}, inputs, ValueRange{init}, maps, iterators,
                                           [&](OpBuilder &nested, Location loc, ValueRange arguments) {
                                             ImplicitLocOpBuilder inner(loc, nested);
                                             linalg::YieldOp::create(
                                                 inner, body(inner, updates ? arguments : arguments.drop_back()));
                                           });
  return generic.getResult(0);
}

Value Emitter::contract(StringRef spec, Value lhs, Value rhs, Value init, StringRef causal) {
  auto [inputs, out] = spec.split("->");
  auto [left, right] = inputs.split(",");
  // Result letters first, so that the loop order is that of the result.
  llvm::SmallString<8> letters(out);
  for (char c : inputs)
    if (c != ',' && !letters.str().contains(c))
      letters.push_back(c);
  llvm::DenseMap<char, int64_t> sizes;
  for (auto [names, value] : {std::pair(left, lhs), std::pair(right, rhs)})
    for (auto [letter, size] : llvm::zip_equal(names, shapeOf(value)))
      sizes[letter] = size;
  auto mapOf = [&](StringRef names) {
    SmallVector<AffineExpr> exprs;
    for (char c : names)
      exprs.push_back(b.getAffineDimExpr(letters.str().find(c)));
    return AffineMap::get(letters.size(), 0, exprs, b.getContext());
  };
  if (!init) {
    SmallVector<int64_t> shape;
    for (char c : out)
      shape.push_back(sizes[c]);
    init = filled(shape, 0.0);
  }
  auto op = linalg::ContractOp::create(b, TypeRange{init.getType()}, ValueRange{lhs, rhs}, ValueRange{init},
                                       b.getAffineMapArrayAttr({mapOf(left), mapOf(right), mapOf(out)}));
  if (!causal.empty())
    op->setAttr(chunk::kCausalAttr, b.getStringAttr(causal));
  return op.getResult(0);
}

Value Emitter::keepRows(Value tensor, Value count, double fill) {
  return chunk::KeepRowsOp::create(b, tensor.getType(), tensor, count, b.getF32FloatAttr(fill));
}

Value Emitter::slice(Value tensor, ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes, ArrayRef<unsigned> dropped,
                     ArrayRef<int64_t> strides) {
  SmallVector<int64_t> ones(offsets.size(), 1), shape;
  if (strides.empty())
    strides = ones;
  for (auto [axis, size] : llvm::enumerate(sizes))
    if (!llvm::is_contained(dropped, axis))
      shape.push_back(size);
  auto type = RankedTensorType::get(shape, b.getF32Type());
  return tensor::ExtractSliceOp::create(b, type, tensor, ValueRange(), ValueRange(), ValueRange(),
                                        b.getDenseI64ArrayAttr(offsets), b.getDenseI64ArrayAttr(sizes),
                                        b.getDenseI64ArrayAttr(strides));
}

Value Emitter::insert(Value source, Value target, ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes,
                      ArrayRef<int64_t> strides) {
  SmallVector<int64_t> ones(offsets.size(), 1);
  if (strides.empty())
    strides = ones;
  return tensor::InsertSliceOp::create(b, target.getType(), source, target, ValueRange(), ValueRange(), ValueRange(),
                                       b.getDenseI64ArrayAttr(offsets), b.getDenseI64ArrayAttr(sizes),
                                       b.getDenseI64ArrayAttr(strides));
}

Lifted Emitter::map(ArrayRef<Lifted> operands, Body body) {
  Lifted result;
  for (const Lifted &operand : operands) {
    result.timed |= operand.timed;
    if (operand.shape.size() > result.shape.size())
      result.shape = operand.shape;
  }
  // Axes that every operand leaves out stay left out.
  SmallVector<bool> used(result.shape.size(), false);
  for (const Lifted &operand : operands)
    for (unsigned axis : operand.axes)
      used[axis] = true;
  SmallVector<unsigned> position(result.shape.size());
  SmallVector<int64_t> shape;
  if (result.timed)
    shape.push_back(chunk);
  for (unsigned axis = 0; axis < used.size(); ++axis) {
    if (!used[axis])
      continue;
    position[axis] = shape.size();
    result.axes.push_back(axis);
    shape.push_back(result.shape[axis]);
  }
  SmallVector<Operand> inputs;
  for (const Lifted &operand : operands) {
    if (operand.constant)
      continue;
    Operand &input = inputs.emplace_back(Operand{operand.tensor, {}});
    if (operand.timed)
      input.axes.push_back(0);
    for (unsigned axis : operand.axes)
      input.axes.push_back(position[axis]);
  }
  result.tensor = pointwise(shape, inputs, [&](ImplicitLocOpBuilder &inner, ValueRange scalars) {
    SmallVector<Value> all;
    unsigned next = 0;
    for (const Lifted &operand : operands)
      all.push_back(operand.constant
                        ? arith::ConstantOp::create(inner, inner.getF32FloatAttr(*operand.constant)).getResult()
                        : scalars[next++]);
    return body(inner, all);
  });
  return result;
}

/// A constant 0 or 1 of the shape of `like` would lose its shape; keep the shape with no axes.
static Lifted withShape(Lifted value, const Lifted &like) {
  if (value.shape.size() < like.shape.size())
    value.shape = like.shape;
  return value;
}

Lifted Emitter::mul(const Lifted &x, const Lifted &y) {
  if (x.constant && y.constant)
    return withShape(withShape(Lifted::of(*x.constant * *y.constant), x), y);
  if (x.is(1.0))
    return withShape(y, x);
  if (y.is(1.0))
    return withShape(x, y);
  return map({x, y}, [](ImplicitLocOpBuilder &inner, ValueRange v) -> Value {
    return arith::MulFOp::create(inner, v[0], v[1]);
  });
}

Lifted Emitter::add(const Lifted &x, const Lifted &y) {
  if (x.constant && y.constant)
    return withShape(withShape(Lifted::of(*x.constant + *y.constant), x), y);
  if (x.is(0.0))
    return withShape(y, x);
  if (y.is(0.0))
    return withShape(x, y);
  return map({x, y}, [](ImplicitLocOpBuilder &inner, ValueRange v) -> Value {
    return arith::AddFOp::create(inner, v[0], v[1]);
  });
}

Lifted Emitter::neg(const Lifted &x) {
  if (x.constant)
    return withShape(Lifted::of(-*x.constant), x);
  return map({x},
             [](ImplicitLocOpBuilder &inner, ValueRange v) -> Value { return arith::NegFOp::create(inner, v[0]); });
}

Value Emitter::materialize(const Lifted &value, bool timed) {
  SmallVector<int64_t> shape;
  if (timed)
    shape.push_back(chunk);
  llvm::append_range(shape, value.shape);
  if (value.constant)
    return filled(shape, *value.constant);
  bool ordered = value.axes.size() == value.shape.size() && llvm::is_sorted(value.axes);
  if (ordered && timed == value.timed)
    return value.tensor;
  assert((timed || !value.timed) && "a timed value has no form without time");
  Operand operand{value.tensor, {}};
  if (value.timed)
    operand.axes.push_back(0);
  for (unsigned axis : value.axes)
    operand.axes.push_back(axis + timed);
  return pointwise(shape, {operand}, [](ImplicitLocOpBuilder &, ValueRange v) { return v[0]; });
}

Rotation Emitter::rotation(const Lifted &theta) {
  Lifted c = map({theta}, [](ImplicitLocOpBuilder &i, ValueRange v) -> Value { return math::CosOp::create(i, v[0]); });
  Lifted s = map({theta}, [](ImplicitLocOpBuilder &i, ValueRange v) -> Value { return math::SinOp::create(i, v[0]); });
  return {c, s};
}

Rotation Emitter::compose(const Rotation &x, const Rotation &y) {
  if (x.sin.is(0.0))
    return y;
  if (y.sin.is(0.0))
    return x;
  return {sub(mul(x.cos, y.cos), mul(x.sin, y.sin)), add(mul(x.sin, y.cos), mul(x.cos, y.sin))};
}

Lifted Emitter::rotate(const Lifted &value, const Rotation &rotation, bool backwards) {
  bool timed = value.timed || rotation.cos.timed;
  Value full = materialize(value, value.timed);
  // Rows 0, 2, 4, ... and 1, 3, 5, ...
  SmallVector<int64_t> offsets(shapeOf(full).size(), 0), sizes(shapeOf(full)), strides(sizes.size(), 1);
  unsigned axis = value.timed;
  sizes[axis] /= 2;
  strides[axis] = 2;
  Lifted even = Lifted::of(slice(full, offsets, sizes, {}, strides), value.timed);
  offsets[axis] = 1;
  Lifted odd = Lifted::of(slice(full, offsets, sizes, {}, strides), value.timed);
  Lifted c = rotation.cos, s = rotation.sin;
  c.shape = s.shape = even.shape; // the same for every column
  auto turn = [&](const Lifted &x, const Lifted &y, bool plus) {
    Lifted along = mul(x, c), across = mul(y, s);
    return plus ? add(along, across) : sub(along, across);
  };
  Value newEven = materialize(turn(even, odd, backwards), timed),
        newOdd = materialize(turn(odd, even, !backwards), timed);
  SmallVector<int64_t> shape;
  if (timed)
    shape.push_back(chunk);
  llvm::append_range(shape, value.shape);
  offsets.assign(shape.size(), 0);
  strides.assign(shape.size(), 1);
  strides[timed] = 2;
  Value result = insert(newEven, empty(shape), offsets, shapeOf(newEven), strides);
  offsets[timed] = 1;
  return Lifted::of(insert(newOdd, result, offsets, shapeOf(newOdd), strides), timed);
}

//===----------------------------------------------------------------------===//
// Lifter
//===----------------------------------------------------------------------===//

static Value constantLike(ImplicitLocOpBuilder &b, double value) {
  return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
}

/// The function in a form that neither overflows nor cancels.
static Value emitUnary(ImplicitLocOpBuilder &b, UnaryKind kind, Value x) {
  auto num = [&](double value) { return constantLike(b, value); };
  // exp(-|x|) never overflows, nor does anything in the derivative.
  auto sigmoid = [&] {
    Value e = math::ExpOp::create(b, arith::NegFOp::create(b, math::AbsFOp::create(b, x)));
    Value positive = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, x, num(0.0));
    Value numerator = arith::SelectOp::create(b, positive, num(1.0), e);
    return arith::DivFOp::create(b, numerator, arith::AddFOp::create(b, num(1.0), e)).getResult();
  };
  // log(1 + exp(-|x|))
  auto tail = [&] {
    Value e = math::ExpOp::create(b, arith::NegFOp::create(b, math::AbsFOp::create(b, x)));
    return math::Log1pOp::create(b, e).getResult();
  };
  switch (kind) {
  case UnaryKind::neg:
    return arith::NegFOp::create(b, x);
  case UnaryKind::exp:
    return math::ExpOp::create(b, x);
  case UnaryKind::log:
    return math::LogOp::create(b, x);
  case UnaryKind::sqrt:
    return math::SqrtOp::create(b, x);
  case UnaryKind::rsqrt:
    return math::RsqrtOp::create(b, x);
  case UnaryKind::abs:
    return math::AbsFOp::create(b, x);
  case UnaryKind::sigmoid:
    return sigmoid();
  case UnaryKind::log_sigmoid:
    return arith::SubFOp::create(b, arith::MinimumFOp::create(b, x, num(0.0)), tail());
  case UnaryKind::softplus:
    return arith::AddFOp::create(b, arith::MaximumFOp::create(b, x, num(0.0)), tail());
  case UnaryKind::silu:
    return arith::MulFOp::create(b, x, sigmoid());
  case UnaryKind::relu:
    return arith::MaximumFOp::create(b, x, num(0.0));
  case UnaryKind::elu: {
    Value positive = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, num(0.0));
    Value negative = math::ExpM1Op::create(b, arith::MinimumFOp::create(b, x, num(0.0)));
    return arith::SelectOp::create(b, positive, x, negative);
  }
  case UnaryKind::tanh:
    return math::TanhOp::create(b, x);
  case UnaryKind::sin:
    return math::SinOp::create(b, x);
  case UnaryKind::cos:
    return math::CosOp::create(b, x);
  case UnaryKind::expm1:
    return math::ExpM1Op::create(b, x);
  }
  llvm_unreachable("unknown function");
}

Lifted Lifter::unary(UnaryKind kind, const Lifted &x) {
  if (kind == UnaryKind::neg)
    return neg(x);
  return map({x}, [&](ImplicitLocOpBuilder &inner, ValueRange v) { return emitUnary(inner, kind, v[0]); });
}

/// x to a constant power: products and roots where they are exact or nearly so.
static Value emitPower(ImplicitLocOpBuilder &b, Value x, double exponent) {
  if (exponent == 0.5)
    return math::SqrtOp::create(b, x);
  if (exponent == -0.5)
    return math::RsqrtOp::create(b, x);
  if (exponent == std::floor(exponent) && std::abs(exponent) <= 8) {
    Value product = exponent == 0 ? constantLike(b, 1.0) : x;
    for (int i = 1; i < std::abs(exponent); ++i)
      product = arith::MulFOp::create(b, product, x);
    return exponent < 0 ? arith::DivFOp::create(b, constantLike(b, 1.0), product).getResult() : product;
  }
  return math::PowFOp::create(b, x, constantLike(b, exponent));
}

static double foldBinary(BinaryKind kind, double x, double y) {
  switch (kind) {
  case BinaryKind::add:
    return x + y;
  case BinaryKind::sub:
    return x - y;
  case BinaryKind::mul:
    return x * y;
  case BinaryKind::div:
    return x / y;
  case BinaryKind::max:
    return std::max(x, y);
  case BinaryKind::min:
    return std::min(x, y);
  case BinaryKind::pow:
    return std::pow(x, y);
  case BinaryKind::lt:
    return x < y;
  case BinaryKind::le:
    return x <= y;
  case BinaryKind::gt:
    return x > y;
  case BinaryKind::ge:
    return x >= y;
  case BinaryKind::eq:
    return x == y;
  case BinaryKind::ne:
    return x != y;
  }
  llvm_unreachable("unknown function");
}

static Value emitBinary(ImplicitLocOpBuilder &b, BinaryKind kind, Value x, Value y) {
  auto compare = [&](arith::CmpFPredicate predicate) -> Value {
    Value flag = arith::CmpFOp::create(b, predicate, x, y);
    return arith::SelectOp::create(b, flag, constantLike(b, 1.0), constantLike(b, 0.0));
  };
  switch (kind) {
  case BinaryKind::add:
    return arith::AddFOp::create(b, x, y);
  case BinaryKind::sub:
    return arith::SubFOp::create(b, x, y);
  case BinaryKind::mul:
    return arith::MulFOp::create(b, x, y);
  case BinaryKind::div:
    return arith::DivFOp::create(b, x, y);
  case BinaryKind::max:
    return arith::MaximumFOp::create(b, x, y);
  case BinaryKind::min:
    return arith::MinimumFOp::create(b, x, y);
  case BinaryKind::pow:
    return math::PowFOp::create(b, x, y);
  case BinaryKind::lt:
    return compare(arith::CmpFPredicate::OLT);
  case BinaryKind::le:
    return compare(arith::CmpFPredicate::OLE);
  case BinaryKind::gt:
    return compare(arith::CmpFPredicate::OGT);
  case BinaryKind::ge:
    return compare(arith::CmpFPredicate::OGE);
  case BinaryKind::eq:
    return compare(arith::CmpFPredicate::OEQ);
  case BinaryKind::ne:
    return compare(arith::CmpFPredicate::UNE);
  }
  llvm_unreachable("unknown function");
}

Lifted Lifter::binary(BinaryKind kind, const Lifted &lhs, const Lifted &rhs) {
  if (lhs.constant && rhs.constant)
    return withShape(withShape(Lifted::of(foldBinary(kind, *lhs.constant, *rhs.constant)), lhs), rhs);
  if (kind == BinaryKind::mul)
    return mul(lhs, rhs);
  if (kind == BinaryKind::add)
    return add(lhs, rhs);
  if (kind == BinaryKind::pow && rhs.constant)
    return map({lhs}, [&](ImplicitLocOpBuilder &inner, ValueRange v) { return emitPower(inner, v[0], *rhs.constant); });
  return map({lhs, rhs},
             [&](ImplicitLocOpBuilder &inner, ValueRange v) { return emitBinary(inner, kind, v[0], v[1]); });
}

Lifted Lifter::matmul(const Lifted &lhs, const Lifted &rhs) {
  bool timed = lhs.timed || rhs.timed;
  std::string left = lhs.shape.size() == 2 ? "ik" : "k", right = rhs.shape.size() == 2 ? "kj" : "k";
  std::string out = std::string(lhs.shape.size() == 2 ? "i" : "") + (rhs.shape.size() == 2 ? "j" : "");
  std::string spec =
      (lhs.timed ? "t" : "") + left + "," + (rhs.timed ? "t" : "") + right + "->" + (timed ? "t" : "") + out;
  return Lifted::of(contract(spec, materialize(lhs, lhs.timed), materialize(rhs, rhs.timed)), timed);
}

Lifted Lifter::reduce(ReduceKind kind, const Lifted &x) {
  Value full = materialize(x, x.timed);
  ArrayRef<int64_t> shape = shapeOf(full);
  double neutral = kind == ReduceKind::sum ? 0.0
                                           : (kind == ReduceKind::max ? -std::numeric_limits<double>::infinity()
                                                                      : std::numeric_limits<double>::infinity());
  Value init = filled(shape.take_front(x.timed), neutral);
  SmallVector<utils::IteratorType> iterators(shape.size(), utils::IteratorType::reduction);
  SmallVector<AffineExpr> kept;
  if (x.timed) {
    iterators[0] = utils::IteratorType::parallel;
    kept.push_back(b.getAffineDimExpr(0));
  }
  SmallVector<AffineMap> maps = {b.getMultiDimIdentityMap(shape.size()),
                                 AffineMap::get(shape.size(), 0, kept, b.getContext())};
  auto generic = linalg::GenericOp::create(b, TypeRange{init.getType()}, ValueRange{full}, ValueRange{init}, maps,
                                           iterators, [&](OpBuilder &nested, Location loc, ValueRange v) {
                                             ImplicitLocOpBuilder inner(loc, nested);
                                             BinaryKind combine =
                                                 kind == ReduceKind::sum
                                                     ? BinaryKind::add
                                                     : (kind == ReduceKind::max ? BinaryKind::max : BinaryKind::min);
                                             linalg::YieldOp::create(inner, emitBinary(inner, combine, v[1], v[0]));
                                           });
  return Lifted::of(generic.getResult(0), x.timed);
}

Lifted Lifter::lift(Operation *op, llvm::function_ref<Lifted(Value)> get) {
  b.setLoc(op->getLoc());
  auto shape = [](Value value) { return cast<ValueType>(value.getType()).getShape(); };
  return llvm::TypeSwitch<Operation *, Lifted>(op)
      .Case([&](ConstantOp constant) { return Lifted::of(constant.getValue().convertToDouble()); })
      .Case([&](UnaryOp unaryOp) { return unary(unaryOp.getKind(), get(unaryOp.getOperand())); })
      .Case(
          [&](BinaryOp binaryOp) { return binary(binaryOp.getKind(), get(binaryOp.getLhs()), get(binaryOp.getRhs())); })
      .Case([&](SelectOp select) {
        return map({get(select.getCondition()), get(select.getOnTrue()), get(select.getOnFalse())},
                   [](ImplicitLocOpBuilder &inner, ValueRange v) -> Value {
                     Value flag =
                         arith::CmpFOp::create(inner, arith::CmpFPredicate::UNE, v[0], constantLike(inner, 0.0));
                     return arith::SelectOp::create(inner, flag, v[1], v[2]);
                   });
      })
      .Case([&](BroadcastOp broadcast) {
        Lifted value = get(broadcast.getOperand());
        value.shape.assign(shape(broadcast.getResult()));
        if (broadcast.getAxis() && *broadcast.getAxis() == Axis::cols && !value.axes.empty())
          value.axes = {1};
        return value;
      })
      .Case([&](TransposeOp transpose) {
        Lifted value = get(transpose.getOperand());
        value.shape.assign(shape(transpose.getResult()));
        for (unsigned &axis : value.axes)
          axis = 1 - axis;
        return value;
      })
      .Case([&](OuterOp outer) {
        Lifted lhs = get(outer.getLhs()), rhs = get(outer.getRhs());
        SmallVector<int64_t> full = shape(outer.getResult());
        lhs.shape.assign(full);
        rhs.shape.assign(full);
        for (unsigned &axis : rhs.axes)
          axis = 1;
        return mul(lhs, rhs);
      })
      .Case([&](MatmulOp matmulOp) { return matmul(get(matmulOp.getLhs()), get(matmulOp.getRhs())); })
      .Case([&](ReduceOp reduceOp) { return reduce(reduceOp.getKind(), get(reduceOp.getOperand())); })
      .Case([&](CumsumOp cumsum) {
        // A product with the triangle of ones.
        Lifted value = get(cumsum.getOperand());
        int64_t size = value.shape[0];
        Value ones = pointwise({size, size}, {}, [](ImplicitLocOpBuilder &inner, ValueRange) -> Value {
          Value below = arith::CmpIOp::create(inner, arith::CmpIPredicate::sle, linalg::IndexOp::create(inner, 1),
                                              linalg::IndexOp::create(inner, 0));
          return arith::SelectOp::create(inner, below, constantLike(inner, 1.0), constantLike(inner, 0.0));
        });
        return matmul(Lifted::of(ones, false), value);
      })
      .Case([&](ConcatOp concat) {
        SmallVector<Lifted> parts;
        bool timed = false;
        for (Value operand : concat.getOperands()) {
          parts.push_back(get(operand));
          timed |= parts.back().timed;
        }
        SmallVector<int64_t> full = shape(concat.getResult()), offsets(1 + timed, 0);
        if (timed)
          full.insert(full.begin(), chunk);
        Value result = empty(full);
        for (const Lifted &part : parts) {
          Value value = materialize(part, timed);
          result = insert(value, result, offsets, shapeOf(value));
          offsets.back() += part.shape[0];
        }
        return Lifted::of(result, timed);
      })
      .Case([&](RotateOp rotateOp) { return rotate(get(rotateOp.getOperand()), rotation(get(rotateOp.getTheta()))); })
      .Default([](Operation *other) -> Lifted {
        llvm::report_fatal_error(Twine("no chunk form for ") + other->getName().getStringRef());
      });
}
