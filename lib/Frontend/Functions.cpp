//===- Functions.cpp - The functions of the language ------------------------------------------------------------===//

#include "Sema.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::frontend;

/// Added under the root of l2norm and rmsnorm.
static constexpr double kNormEpsilon = 1e-6;

struct MixerBuilder::Function {
  StringLiteral name;
  /// How to write a call.
  StringLiteral usage;
  unsigned minArgs, maxArgs;
  FailureOr<Term> (MixerBuilder::*build)(const Expr &call, ArrayRef<Term> args);
};

llvm::ArrayRef<MixerBuilder::Function> MixerBuilder::functions() {
  using B = MixerBuilder;
  static constexpr unsigned any = 1000;
  static const Function table[] = {
      {"concat", "concat(a, b, ...)", 1, any, &B::buildConcat},
      {"cumsum", "cumsum(x)", 1, 1, &B::buildCumsum},
      {"dot", "dot(a, b)", 2, 2, &B::buildDot},
      {"l2norm", "l2norm(x)", 1, 1, &B::buildNorm},
      {"max", "max(a, b) for elements or max(x) for the largest", 1, 2, &B::buildExtremum},
      {"mean", "mean(x)", 1, 1, &B::buildMean},
      {"min", "min(a, b) for elements or min(x) for the smallest", 1, 2, &B::buildExtremum},
      {"outer", "outer(a, b)", 2, 2, &B::buildOuter},
      {"rmsnorm", "rmsnorm(x)", 1, 1, &B::buildNorm},
      {"rotate", "rotate(x, theta)", 2, 2, &B::buildRotate},
      {"softmax", "softmax(x)", 1, 1, &B::buildSoftmax},
      {"sum", "sum(x)", 1, 1, &B::buildSum},
      {"where", "where(condition, a, b)", 3, 3, &B::buildWhere},
      {"abs", "abs(x)", 1, 1, &B::buildUnary},
      {"cos", "cos(x)", 1, 1, &B::buildUnary},
      {"elu", "elu(x)", 1, 1, &B::buildUnary},
      {"exp", "exp(x)", 1, 1, &B::buildUnary},
      {"expm1", "expm1(x)", 1, 1, &B::buildUnary},
      {"log", "log(x)", 1, 1, &B::buildUnary},
      {"log_sigmoid", "log_sigmoid(x)", 1, 1, &B::buildUnary},
      {"relu", "relu(x)", 1, 1, &B::buildUnary},
      {"rsqrt", "rsqrt(x)", 1, 1, &B::buildUnary},
      {"sigmoid", "sigmoid(x)", 1, 1, &B::buildUnary},
      {"silu", "silu(x)", 1, 1, &B::buildUnary},
      {"sin", "sin(x)", 1, 1, &B::buildUnary},
      {"softplus", "softplus(x)", 1, 1, &B::buildUnary},
      {"sqrt", "sqrt(x)", 1, 1, &B::buildUnary},
      {"tanh", "tanh(x)", 1, 1, &B::buildUnary},
      {"ones", "ones(K) or ones(K, V)", 1, 2, nullptr},
  };
  return table;
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

FailureOr<Term> MixerBuilder::buildCall(const Expr &call) {
  const Function *function = llvm::find_if(functions(), [&](const Function &f) { return f.name == call.text; });
  if (function == functions().end())
    return unknownFunction(call);
  size_t count = call.operands.size();
  if (count < function->minArgs || count > function->maxArgs) {
    InFlightDiagnostic error = source.error(call.focus);
    error << "'" << call.text << "' takes " << function->minArgs;
    if (function->maxArgs > function->minArgs)
      error << (function->maxArgs == 2 ? " or 2" : " or more");
    error << (function->maxArgs == 1 ? " argument" : " arguments") << ", not " << count << "; write "
          << function->usage;
    return failure();
  }
  if (!function->build)
    return buildOnes(call);
  SmallVector<Term, 3> args;
  for (const ExprPtr &operand : call.operands) {
    FailureOr<Term> arg = buildExpr(*operand);
    if (failed(arg))
      return failure();
    args.push_back(*arg);
  }
  return (this->*function->build)(call, args);
}

/// What to write instead of a function that other languages have; empty for any other word.
static StringRef adviceFor(StringRef word) {
  return llvm::StringSwitch<StringRef>(word)
      .Cases({"matmul", "mm", "mv", "einsum"}, "write 'a @ b' for a product")
      .Cases({"transpose", "T"}, "write 'S.T' for a transpose")
      .Cases({"pow", "power", "square"}, "write 'x ** 2' for a power")
      .Case("diag", "write 'a * S' to scale the rows of S and 'S * a' for the columns")
      .Cases({"norm", "normalize"}, "write l2norm(x), or sqrt(sum(x * x)) for the norm itself")
      .Cases({"maximum", "fmax"}, "write max(a, b)")
      .Cases({"minimum", "fmin"}, "write min(a, b)")
      .Cases({"clip", "clamp"}, "write min(max(x, low), high)")
      .Cases({"zeros", "full"}, "write 0 * ones(K), or assign the number itself")
      .Cases({"cat", "stack"}, "write concat(a, b)")
      .Cases({"if", "select"}, "write where(condition, a, b)")
      .Cases({"exp2", "log2"}, "write exp(x) and log(x) of base e")
      .Case("swish", "write silu(x)")
      .Default("");
}

LogicalResult MixerBuilder::unknownFunction(const Expr &call) {
  SMRange name{llvm::SMLoc::getFromPointer(call.text.begin()), llvm::SMLoc::getFromPointer(call.text.end())};
  InFlightDiagnostic error = source.error(name);
  if (symbols.contains(call.text))
    return error << "'" << call.text << "' is a value and cannot be called; write '" << call.text
                 << " * (...)' to multiply";
  error << "unknown function '" << call.text << "'; ";
  if (StringRef advice = adviceFor(call.text); !advice.empty())
    return error << advice;
  SmallVector<StringRef> names;
  for (const Function &function : functions())
    names.push_back(function.name);
  StringRef near = nearest(call.text, names);
  if (!near.empty())
    return error << "did you mean '" << near << "'?";
  return error << "the functions are listed in docs/Language.md";
}

LogicalResult MixerBuilder::checkVectors(const Expr &call, ArrayRef<Term> args) {
  for (auto [arg, operand] : llvm::zip_equal(args, call.operands)) {
    if (arg.rank() == 1)
      continue;
    InFlightDiagnostic error = source.error(operand->range);
    error << "'" << call.text << "' takes " << (args.size() == 1 ? "a vector" : "vectors") << ", and "
          << quote(*operand, "this") << " is a ";
    if (arg.kind == Term::State)
      error << "state, a ";
    error << shapeText(arg.dims);
    if (arg.rank() == 2)
      error << "; contract it first, as in '" << operandText(*operand) << ".T @ x' or '" << operandText(*operand)
            << " @ x'";
    else
      error << (call.text == "outer" || call.text == "dot" ? "; write '*' to multiply by it"
                                                           : "; multiply it by ones(K)");
    return failure();
  }
  return success();
}

LogicalResult MixerBuilder::checkNotScalar(const Expr &call, const Term &arg) {
  if (arg.rank() > 0)
    return success();
  return source.error(call.operands[0]->range)
         << "'" << call.text << "' of one argument goes over the elements of a vector or matrix, and "
         << quote(*call.operands[0], "this") << " is a scalar; "
         << (call.text == "max" || call.text == "min" ? "give it two arguments to compare" : "use the scalar itself");
}

//===----------------------------------------------------------------------===//
// Elementwise functions and reductions
//===----------------------------------------------------------------------===//

FailureOr<Term> MixerBuilder::buildUnary(const Expr &call, ArrayRef<Term> args) {
  return value(unary(source.at(call.focus), *symbolizeUnaryKind(call.text), materialize(args[0])));
}

FailureOr<Term> MixerBuilder::buildExtremum(const Expr &call, ArrayRef<Term> args) {
  bool isMax = call.text == "max";
  if (args.size() == 2)
    return buildElementwise(isMax ? BinaryKind::max : BinaryKind::min, call.text, call, args[0], args[1]);
  if (failed(checkNotScalar(call, args[0])))
    return failure();
  return value(reduce(source.at(call.focus), isMax ? ReduceKind::max : ReduceKind::min, materialize(args[0])));
}

FailureOr<Term> MixerBuilder::buildSum(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkNotScalar(call, args[0])))
    return failure();
  return value(reduce(source.at(call.focus), ReduceKind::sum, materialize(args[0])));
}

FailureOr<Term> MixerBuilder::buildMean(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkNotScalar(call, args[0])))
    return failure();
  Location loc = source.at(call.focus);
  Dim count(1);
  for (const Dim &dim : args[0].dims)
    count = count * dim;
  Value sum = reduce(loc, ReduceKind::sum, materialize(args[0]));
  return value(binary(loc, BinaryKind::div, sum, DimOp::create(builder, loc, type({}), count.str())));
}

/// exp(x - max(x)) / sum of the same.
FailureOr<Term> MixerBuilder::buildSoftmax(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkVectors(call, args)))
    return failure();
  Location loc = source.at(call.focus);
  Value x = materialize(args[0]);
  Value shifted = binary(loc, BinaryKind::sub, x, reduce(loc, ReduceKind::max, x));
  Value weights = unary(loc, UnaryKind::exp, shifted);
  return value(binary(loc, BinaryKind::div, weights, reduce(loc, ReduceKind::sum, weights)));
}

/// x / sqrt(sum(x^2) + epsilon), with the mean in place of the sum for rmsnorm.
FailureOr<Term> MixerBuilder::buildNorm(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkVectors(call, args)))
    return failure();
  Location loc = source.at(call.focus);
  Value x = materialize(args[0]);
  Value square = reduce(loc, ReduceKind::sum, binary(loc, BinaryKind::mul, x, x));
  if (call.text == "rmsnorm")
    square = binary(loc, BinaryKind::div, square, DimOp::create(builder, loc, type({}), args[0].dims[0].str()));
  Value padded = binary(loc, BinaryKind::add, square, constant(loc, kNormEpsilon));
  return value(binary(loc, BinaryKind::div, x, unary(loc, UnaryKind::sqrt, padded)));
}

FailureOr<Term> MixerBuilder::buildWhere(const Expr &call, ArrayRef<Term> args) {
  const Term *shape = &args[0];
  for (const Term &arg : args)
    if (arg.rank() > 0 && shape->rank() == 0)
      shape = &arg;
  for (auto [arg, operand] : llvm::zip_equal(args, call.operands)) {
    if (arg.rank() == 0 || arg.dims == shape->dims)
      continue;
    return source.error(operand->range) << "the arguments of 'where' need one shape or are scalars: "
                                        << quote(*operand, "this") << " is a " << shapeText(arg.dims) << " beside a "
                                        << shapeText(shape->dims)
                                        << "; repeat a vector in a matrix with outer(x, ones(...))";
  }
  Value condition = materialize(args[0]), onTrue = materialize(args[1]), onFalse = materialize(args[2]);
  return value(SelectOp::create(builder, source.at(call.focus), type(shape->dims), condition, onTrue, onFalse));
}

//===----------------------------------------------------------------------===//
// Vectors and matrices
//===----------------------------------------------------------------------===//

FailureOr<Term> MixerBuilder::buildOuter(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkVectors(call, args)))
    return failure();
  Value lhs = materialize(args[0]), rhs = materialize(args[1]);
  return value(OuterOp::create(builder, source.at(call.focus), type({args[0].dims[0], args[1].dims[0]}), lhs, rhs));
}

FailureOr<Term> MixerBuilder::buildDot(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkVectors(call, args)))
    return failure();
  if (args[0].dims != args[1].dims)
    return shapesDiffer("dot", call, args[0], args[1]);
  return contract(source.at(call.focus), args[0], args[1]);
}

FailureOr<Term> MixerBuilder::buildConcat(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkVectors(call, args)))
    return failure();
  SmallVector<Value> operands;
  Dim size(0);
  for (const Term &arg : args) {
    operands.push_back(materialize(arg));
    size = size + arg.dims[0];
  }
  return value(ConcatOp::create(builder, source.at(call.focus), type({size}), operands));
}

FailureOr<Term> MixerBuilder::buildCumsum(const Expr &call, ArrayRef<Term> args) {
  if (failed(checkVectors(call, args)))
    return failure();
  Value operand = materialize(args[0]);
  return value(CumsumOp::create(builder, source.at(call.focus), operand.getType(), operand));
}

FailureOr<Term> MixerBuilder::buildRotate(const Expr &call, ArrayRef<Term> args) {
  const Term &x = args[0], &theta = args[1];
  if (x.rank() == 0)
    return source.error(call.operands[0]->range)
           << "'rotate' turns the pairs (2i, 2i+1) of a vector or of a matrix's rows, "
           << "and " << quote(*call.operands[0], "this") << " is a scalar; pass a vector or matrix";
  if (theta.rank() != 1 || theta.dims[0] * Dim(2) != x.dims[0]) {
    std::optional<Dim> half = x.dims[0].dividedBy(Dim(2));
    return source.error(call.operands[1]->range)
           << "'rotate' of a " << shapeText(x.dims) << " needs one angle for two rows, a vector [" << half->str()
           << "], and " << quote(*call.operands[1], "this") << " is a " << shapeText(theta.dims);
  }
  Value operand = materialize(x), angle = materialize(theta);
  return value(RotateOp::create(builder, source.at(call.focus), operand.getType(), operand, angle));
}

/// The arguments are sizes, not values.
FailureOr<Term> MixerBuilder::buildOnes(const Expr &call) {
  auto dims = evaluateShape(call.operands);
  if (failed(dims))
    return failure();
  Location loc = source.at(call.focus);
  return value(BroadcastOp::create(builder, loc, type(*dims), constant(loc, 1), AxisAttr()));
}
