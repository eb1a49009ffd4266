//===- Sema.cpp - Names, declarations and statements of a mixer -------------------------------------------------===//

#include "Sema.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include <cmath>

using namespace mlir;
using namespace rondo;
using namespace rondo::frontend;

//===----------------------------------------------------------------------===//
// Text for messages
//===----------------------------------------------------------------------===//

static std::string sizesText(ArrayRef<Dim> dims) {
  std::string text = "[";
  llvm::interleave(dims, [&](const Dim &dim) { text += dim.str(); }, [&] { text += ", "; });
  return text + "]";
}

std::string rondo::frontend::shapeText(ArrayRef<Dim> dims) {
  if (dims.empty())
    return "scalar";
  return (dims.size() == 1 ? "vector " : "matrix ") + sizesText(dims);
}

StringRef rondo::frontend::nearest(StringRef word, ArrayRef<StringRef> candidates) {
  StringRef best;
  unsigned bestDistance = std::max<size_t>(1, word.size() / 3) + 1;
  for (StringRef candidate : candidates) {
    unsigned distance = word.equals_insensitive(candidate) ? 0 : word.edit_distance(candidate);
    // Any letter is one edit away from any other: that is no likeness.
    bool alike = distance == 0 || distance < std::min(word.size(), candidate.size());
    if (alike && (distance < bestDistance || (distance == bestDistance && candidate < best))) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// What a symbol is, as in "'q' is an argument".
static StringRef kindText(unsigned kind) {
  static constexpr StringRef texts[] = {"a size", "a const", "an argument", "an output", "a state", "a 'let' value"};
  return texts[kind];
}

LogicalResult MixerBuilder::declare(const Name &name, Symbol::Kind kind) {
  auto [it, isNew] = symbols.try_emplace(name.text, Symbol{kind, name.range, std::nullopt, false, {}});
  if (isNew)
    return success();
  Symbol &other = it->second;
  InFlightDiagnostic error = source.error(name.range);
  if (kind == Symbol::Let && other.kind == Symbol::Let)
    error << "'" << name.text
          << "' is defined twice, and a 'let' value never changes; give the new value a new name, or "
          << "make it a state if the next token needs it";
  else
    error << "'" << name.text << "' is already " << kindText(other.kind) << "; choose another name";
  error.attachNote(source.at(other.range)) << "first used here";
  return failure();
}

StringRef MixerBuilder::nearestName(StringRef name, llvm::function_ref<bool(const Symbol &)> use) {
  SmallVector<StringRef> names;
  for (auto &entry : symbols)
    if (use(entry.second))
      names.push_back(entry.first());
  return nearest(name, names);
}

LogicalResult MixerBuilder::unknownName(StringRef name, SMRange range) {
  InFlightDiagnostic error = source.error(range);
  error << "unknown name '" << name << "'; ";
  StringRef near = nearestName(name, [](const Symbol &symbol) { return symbol.term.has_value(); });
  if (!near.empty())
    error << "did you mean '" << near << "'?";
  else
    error << "add it to the arguments or write 'let " << name << " = ...' above";
  return failure();
}

FailureOr<Term> MixerBuilder::buildName(const Expr &expr) {
  auto it = symbols.find(expr.text);
  if (it == symbols.end())
    return unknownName(expr.text, expr.range);
  Symbol &symbol = it->second;
  if (symbol.failed)
    return failure();
  Location loc = source.at(expr.range);
  if (symbol.kind == Symbol::Size)
    return value(DimOp::create(builder, loc, type({}), expr.text));
  if (!symbol.term) {
    InFlightDiagnostic error = source.error(expr.range);
    if (symbol.kind == Symbol::Output)
      error << "output '" << expr.text << "' has no value yet; assign it above this statement";
    else if (symbol.kind == Symbol::State)
      error << "state '" << expr.text << "' is read before its declaration; move 'state " << expr.text
            << "' above this statement";
    else
      error << "'" << expr.text << "' is used before its definition; move 'let " << expr.text
            << " = ...' above this statement";
    if (symbol.kind != Symbol::Output)
      error.attachNote(source.at(symbol.range)) << "'" << expr.text << "' is " << kindText(symbol.kind);
    return failure();
  }
  Term term = *symbol.term;
  term.loc = loc;
  return term;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// The names in an argument's sizes are the mixer's sizes, unless they are consts.
LogicalResult MixerBuilder::declareSizesOf(const Expr &size) {
  if (size.kind == Expr::Name) {
    auto it = symbols.find(size.text);
    if (it == symbols.end())
      return declare({size.text, size.range}, Symbol::Size);
  }
  for (const ExprPtr &operand : size.operands)
    if (failed(declareSizesOf(*operand)))
      return failure();
  return success();
}

FailureOr<Dim> MixerBuilder::evaluateSize(const Expr &size) {
  if (size.kind == Expr::Number) {
    if (size.number != std::floor(size.number) || std::abs(size.number) > 1e15) {
      source.error(size.range) << "a size is a whole number, not " << textOf(size.range);
      return failure();
    }
    return Dim(int64_t(size.number));
  }
  if (size.kind == Expr::Name) {
    auto it = symbols.find(size.text);
    if (it == symbols.end()) {
      InFlightDiagnostic error = source.error(size.range);
      error << "nothing gives the size '" << size.text << "' a value; ";
      StringRef near = nearestName(size.text, [](const Symbol &symbol) { return symbol.kind == Symbol::Size; });
      if (!near.empty())
        error << "did you mean '" << near << "'?";
      else
        error << "write a number, a const, or a size of an argument";
      return failure();
    }
    Symbol &symbol = it->second;
    if (symbol.kind == Symbol::Size)
      return Dim::name(size.text);
    if (symbol.kind == Symbol::Const && symbol.term) {
      double number = symbol.term->number;
      if (number == std::floor(number) && std::abs(number) < 1e15)
        return Dim(int64_t(number));
      SmallString<16> text;
      llvm::raw_svector_ostream(text) << llvm::format("%g", number);
      source.error(size.range) << "a size is a whole number, and const '" << size.text << "' is " << text;
      return failure();
    }
    if (!symbol.failed)
      source.error(size.range) << "'" << size.text << "' is " << kindText(symbol.kind)
                               << ", not a size; write a number, a const, or a size of an argument";
    return failure();
  }
  if (size.kind == Expr::Negate) {
    FailureOr<Dim> operand = evaluateSize(*size.operands[0]);
    return failed(operand) ? operand : Dim(-1) * *operand;
  }
  if (size.kind != Expr::Binary || !llvm::is_contained({"+", "-", "*", "/"}, size.text)) {
    source.error(size.focus) << "a size is made of names, numbers, + - * and /, as in K*(K+1)/2"
                             << (size.text == "**" ? "; write a power as K*K" : "");
    return failure();
  }
  FailureOr<Dim> lhs = evaluateSize(*size.operands[0]), rhs = evaluateSize(*size.operands[1]);
  if (failed(lhs) || failed(rhs))
    return failure();
  switch (size.text[0]) {
  case '+':
    return *lhs + *rhs;
  case '-':
    return *lhs - *rhs;
  case '*':
    return *lhs * *rhs;
  }
  if (std::optional<Dim> quotient = lhs->dividedBy(*rhs))
    return *quotient;
  source.error(size.focus) << "a size can be divided by a number other than 0, not by " << rhs->str();
  return failure();
}

FailureOr<SmallVector<Dim, 2>> MixerBuilder::evaluateShape(ArrayRef<ExprPtr> sizes) {
  SmallVector<Dim, 2> dims;
  for (const ExprPtr &size : sizes) {
    if (dims.size() == 2) {
      source.error(size->range)
          << "a shape has at most two sizes: scalars, vectors and matrices; heads, batch and time "
             "are never written";
      return failure();
    }
    FailureOr<Dim> dim = evaluateSize(*size);
    if (failed(dim))
      return failure();
    std::optional<int64_t> constant = dim->getConstant();
    if ((constant && *constant <= 0) || (!constant && dim->names().empty())) {
      source.error(size->range) << "a size is a whole number of at least 1, and this is " << dim->str();
      return failure();
    }
    dims.push_back(*dim);
  }
  return dims;
}

//===----------------------------------------------------------------------===//
// The signature
//===----------------------------------------------------------------------===//

LogicalResult MixerBuilder::declareConst(const Declaration &declaration) {
  const Name &name = declaration.name;
  if (failed(declare(name, Symbol::Const)))
    return failure();
  std::optional<double> constant;
  if (auto given = consts.find(name.text); given != consts.end())
    constant = given->second;
  else if (declaration.value)
    constant = evaluateConstant(*declaration.value);
  Symbol &symbol = symbols.find(name.text)->second;
  if (constant) {
    symbol.term = number(*constant, source.at(name.range));
    return success();
  }
  symbol.failed = true;
  if (declaration.value)
    source.error(declaration.value->range) << "the value of a const must be known at compile time: numbers and consts "
                                              "above it only; pass a value that varies as an argument";
  else
    source.error(name.range) << "const '" << name.text << "' has no value; write 'const " << name.text
                             << " = 1e-6' or give it to the compiler";
  return failure();
}

FailureOr<MixerOp> MixerBuilder::buildSignature(ModuleOp module) {
  for (const Declaration &argument : mixer.arguments)
    if (argument.kind == Declaration::Const && failed(declareConst(argument)))
      return failure();
  for (const Declaration &argument : mixer.arguments)
    for (const ExprPtr &size : argument.sizes)
      if (failed(declareSizesOf(*size)))
        return failure();

  SmallVector<Type> inputs, results;
  SmallVector<Location> locs;
  SmallVector<const Declaration *> values;
  for (const Declaration &argument : mixer.arguments) {
    if (argument.kind == Declaration::Const)
      continue;
    auto dims = evaluateShape(argument.sizes);
    if (failed(dims) || failed(declare(argument.name, Symbol::Argument)))
      return failure();
    inputs.push_back(type(*dims));
    locs.push_back(source.at(argument.name.range));
    values.push_back(&argument);
  }
  if (llvm::none_of(values, [](const Declaration *argument) { return argument->kind == Declaration::Token; })) {
    source.error(mixer.name.range) << "mixer '" << mixer.name.text
                                   << "' has no argument that varies with the token, so nothing gives the number of "
                                      "tokens; add one, as in 'v[V]'";
    return failure();
  }
  for (const Declaration &output : mixer.outputs) {
    auto dims = evaluateShape(output.sizes);
    if (failed(dims) || failed(declare(output.name, Symbol::Output)))
      return failure();
    symbols.find(output.name.text)->second.dims = *dims;
    results.push_back(type(*dims));
  }

  builder.setInsertionPointToEnd(module.getBody());
  MixerOp op =
      MixerOp::create(builder, source.at(mixer.name.range), mixer.name.text, builder.getFunctionType(inputs, results));
  Block *body = builder.createBlock(&op.getBody(), {}, inputs, locs);
  for (auto [i, argument] : llvm::enumerate(values)) {
    op.setArgAttr(i, kNameAttr, builder.getStringAttr(argument->name.text));
    if (argument->kind == Declaration::Param)
      op.setArgAttr(i, kKindAttr, builder.getStringAttr("param"));
    if (argument->grouped)
      op.setArgAttr(i, kGroupedAttr, builder.getUnitAttr());
    symbols.find(argument->name.text)->second.term = value(body->getArgument(i));
  }
  for (auto [i, output] : llvm::enumerate(mixer.outputs))
    op.setResultAttr(i, kNameAttr, builder.getStringAttr(output.name.text));
  return op;
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

LogicalResult MixerBuilder::build(ModuleOp module) {
  FailureOr<MixerOp> op = buildSignature(module);
  if (failed(op))
    return failure();
  for (const Statement &statement : mixer.statements)
    if (statement.kind != Statement::Assign &&
        failed(declare(statement.name, statement.kind == Statement::State ? Symbol::State : Symbol::Let)))
      return failure();

  bool ok = true;
  for (const Statement &statement : mixer.statements) {
    if (succeeded(buildStatement(statement)))
      continue;
    ok = false;
    if (auto it = symbols.find(statement.name.text); it != symbols.end() && !it->second.term)
      it->second.failed = true;
  }
  return success(succeeded(buildYield()) && ok);
}

LogicalResult MixerBuilder::buildYield() {
  SmallVector<Value> outputs;
  bool ok = true;
  for (const Declaration &output : mixer.outputs) {
    Symbol &symbol = symbols.find(output.name.text)->second;
    if (symbol.term) {
      outputs.push_back(symbol.term->value);
      continue;
    }
    ok = false;
    if (!symbol.failed)
      source.error(output.name.range) << "output '" << output.name.text << "' is never assigned; write '"
                                      << output.name.text << " = ...' in the body";
  }
  if (ok)
    YieldOp::create(builder, source.at(mixer.name.range), outputs);
  return success(ok);
}

LogicalResult MixerBuilder::buildStatement(const Statement &statement) {
  if (statement.kind == Statement::State)
    return buildState(statement);
  if (statement.kind == Statement::Assign)
    return buildAssignment(statement);
  FailureOr<Term> term = buildExpr(*statement.value);
  if (failed(term))
    return failure();
  // A state changes later: the name stands for its value now.
  symbols.find(statement.name.text)->second.term = term->kind == Term::State ? value(materialize(*term)) : *term;
  return success();
}

LogicalResult MixerBuilder::buildState(const Statement &statement) {
  auto dims = evaluateShape(statement.sizes);
  if (failed(dims))
    return failure();
  double init = 0;
  if (statement.value) {
    std::optional<double> constant = evaluateConstant(*statement.value);
    if (!constant) {
      source.error(statement.value->range)
          << "the initial value of a state must be a number or const; another start is "
             "passed by the caller as an initial state";
      return failure();
    }
    init = *constant;
  }
  Location loc = source.at(statement.name.range);
  auto stateType = StateType::get(source.getContext(), *dims);
  auto state = StateOp::create(builder, loc, stateType, statement.name.text, APFloat(init));
  symbols.find(statement.name.text)->second.term = Term{Term::State, loc, 0, state, {}, {}, false, *dims};
  return success();
}

/// The right side as a value of the shape of the name on the left.
FailureOr<Value> MixerBuilder::buildAssigned(const Statement &statement, ArrayRef<Dim> dims) {
  FailureOr<Term> term = buildExpr(*statement.value);
  if (failed(term))
    return failure();
  Value value = materialize(*term);
  if (ArrayRef<Dim>(term->dims) == dims)
    return value;
  if (term->kind == Term::Number)
    return BroadcastOp::create(builder, term->loc, type(dims), value, AxisAttr()).getResult();

  StringRef name = statement.name.text;
  InFlightDiagnostic error = source.error(statement.value->range);
  error << "'" << name << "' is a " << shapeText(dims) << " and this value is a " << shapeText(term->dims) << "; ";
  if (term->rank() == 0)
    error << "multiply it by ones(" << StringRef(sizesText(dims)).drop_front().drop_back() << ") to fill every element";
  else if (term->rank() == 2 && dims.size() == 2 && term->dims[0] == dims[1] && term->dims[1] == dims[0])
    error << "write '" << operandText(*statement.value) << ".T' for the transpose";
  else
    error << "change the value, or declare '" << name << sizesText(term->dims) << "'";
  return failure();
}

LogicalResult MixerBuilder::buildAssignment(const Statement &statement) {
  const Name &name = statement.name;
  auto it = symbols.find(name.text);
  if (it == symbols.end()) {
    InFlightDiagnostic error = source.error(name.range);
    error << "unknown name '" << name.text << "'; ";
    StringRef near = nearestName(
        name.text, [](const Symbol &symbol) { return symbol.kind == Symbol::State || symbol.kind == Symbol::Output; });
    if (!near.empty())
      error << "did you mean '" << near << "'?";
    else
      error << "write 'let " << name.text << " = ...' for a value of this token, or declare 'state " << name.text
            << "' if it is carried to the next";
    return failure();
  }
  Symbol &symbol = it->second;
  if (symbol.kind == Symbol::Output) {
    if (symbol.term || symbol.failed) {
      InFlightDiagnostic error = source.error(name.range);
      error << "output '" << name.text << "' is assigned twice; name the first value with 'let' and assign '"
            << name.text << "' once";
      error.attachNote(source.at(symbol.range)) << "first assigned here";
      return failure();
    }
    symbol.range = name.range;
    FailureOr<Value> result = buildAssigned(statement, symbol.dims);
    if (failed(result))
      return failure();
    symbol.term = value(*result);
    return success();
  }
  if (symbol.kind == Symbol::State) {
    if (symbol.failed)
      return failure();
    if (!symbol.term) {
      InFlightDiagnostic error = source.error(name.range);
      error << "state '" << name.text << "' is assigned before its declaration; move 'state " << name.text
            << "' above this statement";
      error.attachNote(source.at(symbol.range)) << "'" << name.text << "' is a state";
      return failure();
    }
    FailureOr<Value> result = buildAssigned(statement, symbol.term->dims);
    if (failed(result))
      return failure();
    StoreOp::create(builder, source.at(name.range), symbol.term->value, *result);
    return success();
  }
  InFlightDiagnostic error = source.error(name.range);
  error << "'" << name.text << "' is " << kindText(symbol.kind) << " and cannot be assigned; ";
  if (symbol.kind == Symbol::Let)
    error << "give the new value a new name with 'let', or declare 'state " << name.text
          << "' if it is carried to the next token";
  else
    error << "write 'let " << name.text << "2 = ...' and use that name below";
  error.attachNote(source.at(symbol.range)) << "'" << name.text << "' comes from here";
  return failure();
}
