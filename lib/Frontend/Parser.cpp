//===- Parser.cpp - Recursive descent over the tokens of a `.rondo` file ----------------------------------------===//

#include "Parser.h"
#include "Lexer.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include <limits>

using namespace rondo::frontend;
using llvm::SMRange;
using llvm::StringRef;
using mlir::InFlightDiagnostic;

namespace {

/// Every method that returns a pointer or an optional gives nothing after it has reported an error; those that return
/// bool give false.
class Parser {
public:
  explicit Parser(const Source &source) : source(source), tokens(lex(source.text())), token(tokens.data()) {}

  std::optional<std::vector<Mixer>> parseFile();

private:
  // Declarations and statements.
  std::optional<Mixer> parseMixer();
  std::optional<Declaration> parseArgument();
  bool parseSizes(std::vector<ExprPtr> &sizes);
  bool parseStatement(Mixer &mixer);
  bool parseStates(Mixer &mixer);
  bool parseLets(Mixer &mixer);
  bool parseAssignment(Mixer &mixer);

  // Expressions, loosest operator first.
  ExprPtr parseExpr();
  ExprPtr parseSum();
  ExprPtr parseProduct();
  ExprPtr parseFactor();
  ExprPtr parsePower();
  ExprPtr parsePostfix();
  ExprPtr parsePrimary();
  ExprPtr parseCall(const Token &callee);

  // Tokens.
  bool at(StringRef spelling) const { return token->is(spelling); }
  bool atAny(llvm::ArrayRef<StringRef> spellings) const {
    return llvm::any_of(spellings, [&](StringRef spelling) { return at(spelling); });
  }
  bool accept(StringRef spelling) {
    if (!at(spelling))
      return false;
    ++token;
    return true;
  }
  /// Lines may break here although no bracket is open.
  void skipLineBreaks() {
    while (token->kind == Token::Separator && token->text == "\n")
      ++token;
  }
  std::optional<Name> parseName(StringRef what);
  /// Takes the bracket that closes `open`.
  bool close(const Token &open, StringRef spelling, StringRef expected);

  /// Counts an operation of the statement; false, with an error, past the limit that keeps the recursion shallow.
  bool countOperation();

  InFlightDiagnostic errorHere();
  std::string found() const;

  static ExprPtr make(Expr::Kind kind, SMRange range, SMRange focus, StringRef text = {}) {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->range = range;
    expr->focus = focus;
    expr->text = text;
    return expr;
  }
  static ExprPtr makeBinary(StringRef op, SMRange focus, ExprPtr lhs, ExprPtr rhs) {
    ExprPtr expr = make(Expr::Binary, {lhs->range.Start, rhs->range.End}, focus, op);
    expr->operands.push_back(std::move(lhs));
    expr->operands.push_back(std::move(rhs));
    return expr;
  }

  const Source &source;
  std::vector<Token> tokens;
  const Token *token;
  unsigned operations = 0;
};

} // namespace

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

std::string Parser::found() const {
  switch (token->kind) {
  case Token::End:
    return "the end of the file";
  case Token::Separator:
    return token->text == ";" ? "';'" : "the end of the line";
  default:
    return ("'" + token->text + "'").str();
  }
}

InFlightDiagnostic Parser::errorHere() {
  SMRange range = token->range();
  // Point behind the last statement, not below the comments and empty lines that follow it.
  if (token->kind == Token::End) {
    const Token *last = token;
    while (last != tokens.data() && (last->kind == Token::End || last->kind == Token::Separator))
      --last;
    range = {last->range().End, last->range().End};
  }
  InFlightDiagnostic error = source.error(range);
  if (token->kind == Token::Unknown)
    error << "the character '" << token->text << "' has no meaning here: ";
  return error;
}

std::optional<Name> Parser::parseName(StringRef what) {
  if (token->kind == Token::Keyword) {
    errorHere() << "'" << token->text << "' is a reserved word; choose another name for " << what;
    return std::nullopt;
  }
  if (token->kind != Token::Identifier) {
    errorHere() << "expected the name of " << what << ", found " << found();
    return std::nullopt;
  }
  Name name{token->text, token->range()};
  ++token;
  return name;
}

bool Parser::close(const Token &open, StringRef spelling, StringRef expected) {
  if (accept(spelling))
    return true;
  InFlightDiagnostic error = errorHere();
  error << "expected " << expected << ", found " << found();
  error.attachNote(source.at(open.range())) << "to close this '" << open.text << "'";
  return false;
}

bool Parser::countOperation() {
  constexpr unsigned limit = 1000;
  if (++operations <= limit)
    return true;
  errorHere() << "this statement has more than " << limit << " operations; name parts of it with 'let'";
  return false;
}

//===----------------------------------------------------------------------===//
// Declarations and statements
//===----------------------------------------------------------------------===//

std::optional<std::vector<Mixer>> Parser::parseFile() {
  std::vector<Mixer> mixers;
  while (true) {
    while (token->kind == Token::Separator)
      ++token;
    if (token->kind == Token::End)
      break;
    auto mixer = parseMixer();
    if (!mixer)
      return std::nullopt;
    mixers.push_back(std::move(*mixer));
  }
  if (mixers.empty()) {
    source.error(
        {llvm::SMLoc::getFromPointer(source.text().begin()), llvm::SMLoc::getFromPointer(source.text().begin())})
        << "the file has no mixer; write 'mixer NAME(q[K], v[V]) -> o[V] { ... }'";
    return std::nullopt;
  }
  return mixers;
}

std::optional<Mixer> Parser::parseMixer() {
  operations = 0;
  if (!accept("mixer")) {
    errorHere() << "expected 'mixer NAME(arguments) -> outputs { statements }', found " << found();
    return std::nullopt;
  }
  Mixer mixer;
  auto name = parseName("the mixer");
  if (!name)
    return std::nullopt;
  mixer.name = *name;

  const Token &open = *token;
  if (!accept("(")) {
    errorHere() << "expected '(' and the arguments after the mixer's name, found " << found();
    return std::nullopt;
  }
  while (!at(")")) {
    auto argument = parseArgument();
    if (!argument)
      return std::nullopt;
    mixer.arguments.push_back(std::move(*argument));
    if (!accept(","))
      break;
  }
  if (!close(open, ")", "',' or ')'"))
    return std::nullopt;

  skipLineBreaks();
  if (!accept("->")) {
    errorHere() << "expected '->' and the outputs, as in '-> o[V]', found " << found();
    return std::nullopt;
  }
  do {
    skipLineBreaks();
    auto output = parseName("an output");
    Declaration declaration;
    if (!output || !parseSizes(declaration.sizes))
      return std::nullopt;
    declaration.name = *output;
    mixer.outputs.push_back(std::move(declaration));
  } while (accept(","));

  skipLineBreaks();
  const Token &body = *token;
  if (!accept("{")) {
    errorHere() << "expected '{' and the statements, found " << found();
    return std::nullopt;
  }
  while (true) {
    while (token->kind == Token::Separator)
      ++token;
    if (at("}") || at("mixer") || token->kind == Token::End)
      break;
    if (!parseStatement(mixer))
      return std::nullopt;
  }
  if (!close(body, "}", "a statement or '}'"))
    return std::nullopt;
  return mixer;
}

std::optional<Declaration> Parser::parseArgument() {
  Declaration argument;
  if (accept("grouped")) {
    argument.grouped = true;
    if (at("param") || at("const")) {
      errorHere() << "'grouped' is for arguments that vary with the token; leave it out before '" << token->text << "'";
      return std::nullopt;
    }
  } else if (accept("param")) {
    argument.kind = Declaration::Param;
  } else if (accept("const")) {
    argument.kind = Declaration::Const;
  }
  auto name = parseName("an argument");
  if (!name)
    return std::nullopt;
  argument.name = *name;
  if (argument.kind == Declaration::Const && at("[")) {
    errorHere() << "a 'const' is a number; write 'param " << name->text << "[...]' for a vector or matrix";
    return std::nullopt;
  }
  if (!parseSizes(argument.sizes))
    return std::nullopt;
  if (at("=")) {
    if (argument.kind != Declaration::Const) {
      errorHere() << "only a 'const' has a value here; write 'const " << name->text << " = ...'";
      return std::nullopt;
    }
    ++token;
    argument.value = parseExpr();
    if (!argument.value)
      return std::nullopt;
  }
  return argument;
}

bool Parser::parseSizes(std::vector<ExprPtr> &sizes) {
  const Token &open = *token;
  if (!accept("["))
    return true;
  if (at("]")) {
    errorHere() << "expected a size, found ']'; write the name without brackets for a scalar";
    return false;
  }
  do {
    ExprPtr size = parseSum();
    if (!size)
      return false;
    sizes.push_back(std::move(size));
  } while (accept(","));
  return close(open, "]", "',' or ']'");
}

bool Parser::parseStatement(Mixer &mixer) {
  operations = 0;
  bool parsed = at("state") ? parseStates(mixer) : at("let") ? parseLets(mixer) : parseAssignment(mixer);
  if (!parsed)
    return false;
  if (token->kind == Token::Separator || at("}") || token->kind == Token::End)
    return true;
  if (at("="))
    errorHere() << "a statement has one '='; compare with '=='";
  else
    errorHere() << "expected the end of the statement, found " << found()
                << "; separate statements by a line break or ';'";
  return false;
}

bool Parser::parseStates(Mixer &mixer) {
  accept("state");
  do {
    skipLineBreaks();
    auto name = parseName("a state");
    if (!name)
      return false;
    Statement state{Statement::State, *name, {}, nullptr};
    if (!parseSizes(state.sizes))
      return false;
    if (accept("=") && !(state.value = parseExpr()))
      return false;
    mixer.statements.push_back(std::move(state));
  } while (accept(","));
  return true;
}

bool Parser::parseLets(Mixer &mixer) {
  accept("let");
  do {
    skipLineBreaks();
    auto name = parseName("a value");
    if (!name)
      return false;
    if (at("[")) {
      errorHere() << "a 'let' takes the shape of its value; leave the sizes out";
      return false;
    }
    if (!accept("=")) {
      errorHere() << "expected '=' after 'let " << name->text << "', found " << found();
      return false;
    }
    Statement let{Statement::Let, *name, {}, parseExpr()};
    if (!let.value)
      return false;
    mixer.statements.push_back(std::move(let));
  } while (accept(","));
  return true;
}

/// What to write instead of a statement that other languages have; empty for any other word.
static StringRef adviceFor(StringRef word) {
  return llvm::StringSwitch<StringRef>(word)
      .Cases({"if", "else", "elif"}, "there are no branches; write where(condition, a, b)")
      .Cases({"for", "while"}, "there are no loops: the statements run once for each token")
      .Case("return", "there is no 'return'; assign the output, as in 'o = ...'")
      .Cases({"var", "val", "const", "auto", "def", "fn"}, "name a value with 'let'")
      .Default("");
}

bool Parser::parseAssignment(Mixer &mixer) {
  if (token->kind != Token::Identifier) {
    errorHere() << "expected a statement: 'state S[K, V]', 'let x = ...' or 'NAME = ...', found " << found();
    return false;
  }
  Name name{token->text, token->range()};
  ++token;
  if (at("[")) {
    errorHere() << "the elements of '" << name.text << "' cannot be assigned one by one; write '" << name.text
                << " = ...' for all of them";
    return false;
  }
  if (!atAny({"=", "+=", "-=", "*=", "/="})) {
    StringRef advice = adviceFor(name.text);
    if (!advice.empty())
      source.error(name.range) << advice;
    else
      errorHere() << "expected '=' after '" << name.text << "', found " << found()
                  << "; a statement assigns a value to a name";
    return false;
  }
  Token op = *token++;
  ExprPtr value = parseExpr();
  if (!value)
    return false;
  if (op.text.size() == 2) {
    ExprPtr old = make(Expr::Name, name.range, name.range, name.text);
    value = makeBinary(op.text.take_front(), op.range(), std::move(old), std::move(value));
  }
  mixer.statements.push_back({Statement::Assign, name, {}, std::move(value)});
  return true;
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

ExprPtr Parser::parseExpr() {
  static constexpr StringRef comparisons[] = {"<", "<=", ">", ">=", "==", "!="};
  ExprPtr lhs = parseSum();
  if (!lhs || !atAny(comparisons))
    return lhs;
  Token op = *token++;
  ExprPtr rhs = parseSum();
  if (!rhs)
    return nullptr;
  if (atAny(comparisons)) {
    errorHere() << "comparisons do not chain; write (a < b) * (b < c)";
    return nullptr;
  }
  return makeBinary(op.text, op.range(), std::move(lhs), std::move(rhs));
}

ExprPtr Parser::parseSum() {
  ExprPtr lhs = parseProduct();
  while (lhs && atAny({"+", "-"})) {
    Token op = *token++;
    ExprPtr rhs = parseProduct();
    if (!rhs)
      return nullptr;
    lhs = makeBinary(op.text, op.range(), std::move(lhs), std::move(rhs));
  }
  return lhs;
}

/// A leading minus takes the whole product: `-a * b` is -(a * b), so that `-S.T @ k` still reads the state.
ExprPtr Parser::parseProduct() {
  if (at("-")) {
    if (!countOperation())
      return nullptr;
    Token op = *token++;
    ExprPtr operand = parseProduct();
    if (!operand)
      return nullptr;
    ExprPtr expr = make(Expr::Negate, {op.range().Start, operand->range.End}, op.range());
    expr->operands.push_back(std::move(operand));
    return expr;
  }
  ExprPtr lhs = parseFactor();
  while (lhs && atAny({"*", "/", "@"})) {
    Token op = *token++;
    ExprPtr rhs = parseFactor();
    if (!rhs)
      return nullptr;
    lhs = makeBinary(op.text, op.range(), std::move(lhs), std::move(rhs));
  }
  return lhs;
}

/// An operand of a product or an exponent: a power, possibly negated.
ExprPtr Parser::parseFactor() {
  if (!at("-"))
    return parsePower();
  if (!countOperation())
    return nullptr;
  Token op = *token++;
  ExprPtr operand = parseFactor();
  if (!operand)
    return nullptr;
  ExprPtr expr = make(Expr::Negate, {op.range().Start, operand->range.End}, op.range());
  expr->operands.push_back(std::move(operand));
  return expr;
}

ExprPtr Parser::parsePower() {
  ExprPtr base = parsePostfix();
  if (!base || !at("**"))
    return base;
  Token op = *token++;
  ExprPtr exponent = parseFactor();
  if (!exponent)
    return nullptr;
  return makeBinary(op.text, op.range(), std::move(base), std::move(exponent));
}

ExprPtr Parser::parsePostfix() {
  ExprPtr expr = parsePrimary();
  while (expr && atAny({".", "[", "("})) {
    if (at("[")) {
      errorHere() << "a value has no index; contract it with '@' or dot, or pass its parts as arguments of their own";
      return nullptr;
    }
    if (at("(")) {
      errorHere() << "expected an operator between a value and '('; write '*' to multiply";
      return nullptr;
    }
    Token dot = *token++;
    if (token->text != "T") {
      errorHere() << "expected 'T' (the transpose) after '.', found " << found();
      return nullptr;
    }
    SMRange focus{dot.range().Start, token->range().End};
    ++token;
    ExprPtr transpose = make(Expr::Transpose, {expr->range.Start, focus.End}, focus);
    transpose->operands.push_back(std::move(expr));
    expr = std::move(transpose);
  }
  return expr;
}

ExprPtr Parser::parsePrimary() {
  if (!countOperation())
    return nullptr;
  if (token->kind == Token::Number || at("inf")) {
    ExprPtr expr = make(Expr::Number, token->range(), token->range());
    if (at("inf"))
      expr->number = std::numeric_limits<double>::infinity();
    else if (token->text.getAsDouble(expr->number, /*AllowInexact=*/true)) {
      errorHere() << "'" << token->text << "' is not a number";
      return nullptr;
    }
    ++token;
    if (token->kind == Token::Identifier && token->text.begin() == expr->range.End.getPointer()) {
      errorHere() << "expected an operator between '" << textOf(expr->range) << "' and '" << token->text
                  << "'; write '*' to multiply";
      return nullptr;
    }
    return expr;
  }
  if (token->kind == Token::Identifier) {
    const Token &name = *token++;
    if (at("("))
      return parseCall(name);
    return make(Expr::Name, name.range(), name.range(), name.text);
  }
  if (at("(")) {
    const Token &open = *token++;
    ExprPtr expr = parseExpr();
    if (!expr || !close(open, ")", "an operator or ')'"))
      return nullptr;
    expr->range = {open.range().Start, token[-1].range().End};
    expr->bracketed = true;
    return expr;
  }
  if (token->kind == Token::Separator && token->text == "\n")
    errorHere() << "expected a value, found the end of the line; put brackets around an expression that goes on in the "
                   "next line";
  else if (at("+"))
    errorHere() << "expected a value, found '+'; leave the sign out";
  else
    errorHere() << "expected a value, found " << found();
  return nullptr;
}

ExprPtr Parser::parseCall(const Token &callee) {
  const Token &open = *token++;
  std::vector<ExprPtr> arguments;
  while (!at(")")) {
    ExprPtr argument = parseExpr();
    if (!argument)
      return nullptr;
    arguments.push_back(std::move(argument));
    if (at("=")) {
      errorHere() << "arguments have no names; pass them in order";
      return nullptr;
    }
    if (!accept(","))
      break;
  }
  if (!close(open, ")", "',' or ')'"))
    return nullptr;
  SMRange range{callee.range().Start, token[-1].range().End};
  ExprPtr expr = make(Expr::Call, range, range, callee.text);
  expr->operands = std::move(arguments);
  return expr;
}

std::optional<std::vector<Mixer>> rondo::frontend::parse(const Source &source) { return Parser(source).parseFile(); }
