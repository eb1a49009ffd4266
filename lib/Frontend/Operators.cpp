//===- Operators.cpp - Operators, constants and the use of states -----------------------------------------------===//

#include "Sema.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>

using namespace mlir;
using namespace rondo;
using namespace rondo::frontend;

//===----------------------------------------------------------------------===//
// Text for messages
//===----------------------------------------------------------------------===//

std::string rondo::frontend::quote(const Expr &expr, StringRef otherwise) {
  StringRef text = textOf(expr.range);
  if (text.size() > 40 || text.contains('\n'))
    return otherwise.str();
  return ("'" + text + "'").str();
}

std::string rondo::frontend::operandText(const Expr &expr) {
  StringRef text = textOf(expr.range);
  bool needsBrackets = (expr.kind == Expr::Binary || expr.kind == Expr::Negate) && !expr.bracketed;
  return needsBrackets ? ("(" + text + ")").str() : text.str();
}

/// The expression transposed, as a user would write it.
static std::string transposedText(const Expr &expr) {
  return expr.kind == Expr::Transpose ? operandText(*expr.operands[0]) : operandText(expr) + ".T";
}

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

Term MixerBuilder::value(Value value) {
  return {Term::Value, value.getLoc(),
          0,           value,
          {},          {},
          false,       llvm::to_vector<2>(cast<ValueType>(value.getType()).getDims())};
}

Value MixerBuilder::constant(Location loc, double number) {
  return ConstantOp::create(builder, loc, type({}), APFloat(number));
}

Value MixerBuilder::unary(Location loc, UnaryKind kind, Value operand) {
  return UnaryOp::create(builder, loc, operand.getType(), kind, operand);
}

Value MixerBuilder::binary(Location loc, BinaryKind kind, Value lhs, Value rhs) {
  Type result = cast<ValueType>(lhs.getType()).isScalar() ? rhs.getType() : lhs.getType();
  return BinaryOp::create(builder, loc, result, kind, lhs, rhs);
}

Value MixerBuilder::reduce(Location loc, ReduceKind kind, Value operand) {
  return ReduceOp::create(builder, loc, type({}), kind, operand);
}

Value MixerBuilder::materialize(const Term &term) {
  if (term.kind == Term::Value)
    return term.value;
  if (term.kind == Term::Number)
    return constant(term.loc, term.number);
  Value loaded = LoadOp::create(builder, term.loc, cast<StateType>(term.value.getType()).getValueType(), term.value);
  if (term.transposed)
    loaded = TransposeOp::create(builder, term.loc, type(term.dims), loaded);
  return term.scale ? binary(term.scaleLoc, BinaryKind::mul, term.scale, loaded) : loaded;
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

static double evaluate(UnaryKind kind, double x) {
  switch (kind) {
  case UnaryKind::neg:
    return -x;
  case UnaryKind::exp:
    return std::exp(x);
  case UnaryKind::log:
    return std::log(x);
  case UnaryKind::sqrt:
    return std::sqrt(x);
  case UnaryKind::rsqrt:
    return 1 / std::sqrt(x);
  case UnaryKind::abs:
    return std::abs(x);
  case UnaryKind::sigmoid:
    return 1 / (1 + std::exp(-x));
  case UnaryKind::log_sigmoid:
    return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x)));
  case UnaryKind::softplus:
    return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
  case UnaryKind::silu:
    return x / (1 + std::exp(-x));
  case UnaryKind::relu:
    return std::max(x, 0.0);
  case UnaryKind::elu:
    return x > 0 ? x : std::expm1(x);
  case UnaryKind::tanh:
    return std::tanh(x);
  case UnaryKind::sin:
    return std::sin(x);
  case UnaryKind::cos:
    return std::cos(x);
  case UnaryKind::expm1:
    return std::expm1(x);
  }
  llvm_unreachable("unknown function");
}

std::optional<double> MixerBuilder::evaluateConstant(const Expr &expr) {
  SmallVector<double, 2> operands;
  for (const ExprPtr &operand : expr.operands) {
    std::optional<double> value = evaluateConstant(*operand);
    if (!value)
      return std::nullopt;
    operands.push_back(*value);
  }
  switch (expr.kind) {
  case Expr::Number:
    return expr.number;
  case Expr::Name: {
    auto it = symbols.find(expr.text);
    if (it == symbols.end() || !it->second.term || it->second.term->kind != Term::Number)
      return std::nullopt;
    return it->second.term->number;
  }
  case Expr::Negate:
    return -operands[0];
  case Expr::Call: {
    std::optional<UnaryKind> kind = symbolizeUnaryKind(expr.text);
    if (!kind || *kind == UnaryKind::neg || operands.size() != 1)
      return std::nullopt;
    return evaluate(*kind, operands[0]);
  }
  case Expr::Binary: {
    double a = operands[0], b = operands[1];
    return llvm::StringSwitch<std::optional<double>>(expr.text)
        .Case("+", a + b)
        .Case("-", a - b)
        .Case("*", a * b)
        .Case("/", a / b)
        .Case("**", std::pow(a, b))
        .Case("<", a < b)
        .Case("<=", a <= b)
        .Case(">", a > b)
        .Case(">=", a >= b)
        .Case("==", a == b)
        .Case("!=", a != b)
        .Default(std::nullopt);
  }
  case Expr::Transpose:
    return std::nullopt;
  }
  llvm_unreachable("unknown expression");
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

FailureOr<Term> MixerBuilder::buildExpr(const Expr &expr) {
  if (std::optional<double> constant = evaluateConstant(expr))
    return number(*constant, source.at(expr.range));
  switch (expr.kind) {
  case Expr::Number:
    return number(expr.number, source.at(expr.range));
  case Expr::Name:
    return buildName(expr);
  case Expr::Negate: {
    FailureOr<Term> operand = buildExpr(*expr.operands[0]);
    if (failed(operand))
      return failure();
    return value(unary(source.at(expr.focus), UnaryKind::neg, materialize(*operand)));
  }
  case Expr::Transpose:
    return buildTranspose(expr);
  case Expr::Binary:
    return buildBinary(expr);
  case Expr::Call:
    return buildCall(expr);
  }
  llvm_unreachable("unknown expression");
}

FailureOr<Term> MixerBuilder::buildTranspose(const Expr &expr) {
  FailureOr<Term> operand = buildExpr(*expr.operands[0]);
  if (failed(operand))
    return failure();
  if (operand->rank() != 2) {
    source.error(expr.focus) << quote(*expr.operands[0], "this value") << " is a " << shapeText(operand->dims)
                             << ", and only a matrix has a transpose; leave '.T' out";
    return failure();
  }
  std::swap(operand->dims[0], operand->dims[1]);
  if (operand->kind == Term::State) {
    operand->transposed = !operand->transposed;
    return operand;
  }
  return value(TransposeOp::create(builder, source.at(expr.focus), type(operand->dims), operand->value));
}

FailureOr<Term> MixerBuilder::buildBinary(const Expr &expr) {
  if (expr.text == "**")
    return buildPower(expr);
  FailureOr<Term> lhs = buildExpr(*expr.operands[0]), rhs = buildExpr(*expr.operands[1]);
  if (failed(lhs) || failed(rhs))
    return failure();
  if (expr.text == "@")
    return buildMatmul(expr, *lhs, *rhs);
  BinaryKind kind = llvm::StringSwitch<BinaryKind>(expr.text)
                        .Case("+", BinaryKind::add)
                        .Case("-", BinaryKind::sub)
                        .Case("*", BinaryKind::mul)
                        .Case("/", BinaryKind::div)
                        .Case("<", BinaryKind::lt)
                        .Case("<=", BinaryKind::le)
                        .Case(">", BinaryKind::gt)
                        .Case(">=", BinaryKind::ge)
                        .Case("==", BinaryKind::eq)
                        .Default(BinaryKind::ne);
  return buildElementwise(kind, expr.text, expr, *lhs, *rhs);
}

FailureOr<Term> MixerBuilder::buildPower(const Expr &expr) {
  const Expr &exponent = *expr.operands[1];
  FailureOr<Term> base = buildExpr(*expr.operands[0]);
  if (failed(base))
    return failure();
  std::optional<double> constant = evaluateConstant(exponent);
  if (!constant) {
    source.error(exponent.range) << "the exponent of '**' must be a number or const; write 'exp("
                                 << operandText(exponent) << " * log(" << textOf(expr.operands[0]->range)
                                 << "))' for a positive base";
    return failure();
  }
  Value lhs = materialize(*base);
  return value(
      binary(source.at(expr.focus), BinaryKind::pow, lhs, materialize(number(*constant, source.at(exponent.range)))));
}

//===----------------------------------------------------------------------===//
// Elementwise operators
//===----------------------------------------------------------------------===//

FailureOr<Term> MixerBuilder::buildElementwise(BinaryKind kind, StringRef op, const Expr &expr, const Term &lhs,
                                               const Term &rhs) {
  Location loc = source.at(expr.focus);
  // A scalar times a state stays a state, so that `a * S.T @ q` reads it.
  if (kind == BinaryKind::mul) {
    auto canScale = [](const Term &factor, const Term &state) {
      return factor.rank() == 0 && state.kind == Term::State && state.rank() > 0 && !state.scale;
    };
    bool scalesRight = canScale(lhs, rhs);
    if (scalesRight || canScale(rhs, lhs)) {
      Term scaled = scalesRight ? rhs : lhs;
      scaled.scale = materialize(scalesRight ? lhs : rhs);
      scaled.scaleLoc = loc;
      return scaled;
    }
  }
  if (lhs.dims == rhs.dims || lhs.rank() == 0 || rhs.rank() == 0) {
    Value left = materialize(lhs), right = materialize(rhs);
    return value(binary(loc, kind, left, right));
  }
  bool vectorAndMatrix = lhs.rank() != rhs.rank();
  if (vectorAndMatrix && (kind == BinaryKind::mul || kind == BinaryKind::div))
    return buildScaledMatrix(kind, expr, lhs, rhs);
  return shapesDiffer(op, expr, lhs, rhs);
}

/// A vector on the left belongs to the rows of the matrix on the right, a vector on the right to the columns of the
/// matrix on the left.
FailureOr<Term> MixerBuilder::buildScaledMatrix(BinaryKind kind, const Expr &expr, const Term &lhs, const Term &rhs) {
  bool onLeft = lhs.rank() == 1;
  const Term &vector = onLeft ? lhs : rhs, &matrix = onLeft ? rhs : lhs;
  const Expr &vectorExpr = *expr.operands[onLeft ? 0 : 1], &matrixExpr = *expr.operands[onLeft ? 1 : 0];
  Dim size = vector.dims[0];
  if (size == matrix.dims[onLeft ? 0 : 1]) {
    Location loc = source.at(expr.focus);
    auto axis = AxisAttr::get(source.getContext(), onLeft ? Axis::rows : Axis::cols);
    Value left = materialize(lhs), right = materialize(rhs);
    Value &operand = onLeft ? left : right;
    operand = BroadcastOp::create(builder, loc, type(matrix.dims), operand, axis);
    return value(binary(loc, kind, left, right));
  }
  if (size != matrix.dims[onLeft ? 1 : 0])
    return shapesDiffer(expr.text, expr, lhs, rhs);
  std::string vectorText = operandText(vectorExpr), matrixText = operandText(matrixExpr);
  InFlightDiagnostic error = source.error(expr.focus);
  error << "a vector on the " << (onLeft ? "left" : "right") << " of '" << expr.text << "' belongs to the "
        << (onLeft ? "rows" : "columns") << ", and " << quote(vectorExpr, "the vector") << " is a "
        << shapeText(vector.dims) << " beside a " << shapeText(matrix.dims) << "; write '";
  if (kind == BinaryKind::mul)
    error << (onLeft ? matrixText : vectorText) << " * " << (onLeft ? vectorText : matrixText);
  else if (onLeft)
    error << "outer(ones(" << matrix.dims[0].str() << "), " << textOf(vectorExpr.range) << ") / " << matrixText;
  else
    error << "1 / " << vectorText << " * " << matrixText;
  error << "' for the " << (onLeft ? "columns" : "rows");
  return failure();
}

LogicalResult MixerBuilder::shapesDiffer(StringRef op, const Expr &expr, const Term &lhs, const Term &rhs) {
  const Expr &left = *expr.operands[0], &right = *expr.operands[1];
  InFlightDiagnostic error = source.error(expr.focus);
  error << "'" << op << "' needs two " << (op == "dot" ? "vectors of one size: " : "values of one shape or a scalar: ")
        << quote(left, "the left side") << " is a " << shapeText(lhs.dims) << " and " << quote(right, "the right side")
        << " is a " << shapeText(rhs.dims) << "; ";
  if (lhs.rank() == 1 && rhs.rank() == 1) {
    if (op == "*" || op == "dot")
      return error << "all products of two vectors are outer(" << textOf(left.range) << ", " << textOf(right.range)
                   << ")";
    return error << "declare both with one size, or bring one to the size of the other with a matrix and '@'";
  }
  if (lhs.rank() == 2 && rhs.rank() == 2) {
    if (lhs.dims[0] == rhs.dims[1] && lhs.dims[1] == rhs.dims[0])
      return error << "write '" << transposedText(right) << "' for the transpose";
    return error << "use matrices of one shape";
  }
  const Term &vector = lhs.rank() == 1 ? lhs : rhs, &matrix = lhs.rank() == 1 ? rhs : lhs;
  StringRef text = textOf((lhs.rank() == 1 ? left : right).range);
  if (vector.dims[0] == matrix.dims[0])
    return error << "write outer(" << text << ", ones(" << matrix.dims[1].str()
                 << ")) to repeat the vector in every column, or outer(" << text << ", ...) with a vector of columns";
  if (vector.dims[0] == matrix.dims[1])
    return error << "write outer(ones(" << matrix.dims[0].str() << "), " << text
                 << ") to repeat the vector in every row, or outer(..., " << text << ") with a vector of rows";
  return error << "the vector has neither a value for each row nor one for each column";
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

FailureOr<Term> MixerBuilder::buildMatmul(const Expr &expr, const Term &lhs, const Term &rhs) {
  const Expr &left = *expr.operands[0], &right = *expr.operands[1];
  if (lhs.rank() == 0 || rhs.rank() == 0) {
    const Expr &scalar = lhs.rank() == 0 ? left : right;
    source.error(expr.focus) << "'@' multiplies matrices and vectors, and " << quote(scalar, "one side")
                             << " is a scalar; write '*'";
    return failure();
  }
  if (lhs.dims.back() == rhs.dims.front())
    return contract(source.at(expr.focus), lhs, rhs);

  InFlightDiagnostic error = source.error(expr.focus);
  error << "the inner sizes of '@' differ: " << quote(left, "the left side") << " is a " << shapeText(lhs.dims)
        << " and " << quote(right, "the right side") << " is a " << shapeText(rhs.dims) << "; ";
  if (lhs.rank() == 2 && lhs.dims[0] == rhs.dims[0])
    error << "write '" << transposedText(left) << " @ " << operandText(right) << "'";
  else if (rhs.rank() == 2 && lhs.dims.back() == rhs.dims[1])
    error << "write '" << operandText(left) << " @ " << transposedText(right) << "'";
  else if (lhs.rank() == 1 && rhs.rank() == 1)
    error << "all products of two vectors are outer(" << textOf(left.range) << ", " << textOf(right.range) << ")";
  else if (lhs.rank() == 2)
    error << "the right side needs " << lhs.dims[1].str() << " elements or rows";
  else
    error << "the left side needs " << rhs.dims[0].str() << " elements";
  return failure();
}

Term MixerBuilder::contract(Location loc, const Term &lhs, const Term &rhs) {
  SmallVector<Dim> dims(ArrayRef<Dim>(lhs.dims).drop_back());
  llvm::append_range(dims, ArrayRef<Dim>(rhs.dims).drop_front());
  bool readsLeft = lhs.kind == Term::State && rhs.rank() == 1;
  bool readsRight = !readsLeft && rhs.kind == Term::State && lhs.rank() == 1;
  if (!readsLeft && !readsRight) {
    Value left = materialize(lhs), right = materialize(rhs);
    return value(MatmulOp::create(builder, loc, type(dims), left, right));
  }
  const Term &state = readsLeft ? lhs : rhs;
  // S @ q and q @ S.T contract the columns; a vector has rows only.
  bool columns = state.rank() == 2 && (readsLeft != state.transposed);
  Value vector = materialize(readsLeft ? rhs : lhs);
  Value result = ReadOp::create(builder, loc, type(dims), state.value, vector, columns ? Axis::cols : Axis::rows);
  return value(state.scale ? binary(state.scaleLoc, BinaryKind::mul, state.scale, result) : result);
}
