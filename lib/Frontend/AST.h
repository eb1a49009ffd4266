//===- AST.h - The syntax tree of a `.rondo` file -----------------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_FRONTEND_AST_H
#define RONDO_LIB_FRONTEND_AST_H

#include "Source.h"
#include "llvm/ADT/StringRef.h"
#include <memory>
#include <vector>

namespace rondo::frontend {

/// A name and where it stands.
struct Name {
  llvm::StringRef text;
  llvm::SMRange range;
};

struct Expr {
  enum Kind { Number, Name, Negate, Binary, Transpose, Call };

  Kind kind;
  /// The whole expression, with brackets around it.
  llvm::SMRange range;
  bool bracketed = false;
  /// Where a message about the operation points: the operator, the name, or a whole call.
  llvm::SMRange focus;
  /// `Name` and `Call`: the name. `Binary`: the operator.
  llvm::StringRef text;
  /// `Number`: the value.
  double number = 0;
  std::vector<std::unique_ptr<Expr>> operands;
};
using ExprPtr = std::unique_ptr<Expr>;

/// `q[K]`, `param W[K, K]`, `const eps = 1e-6`; also an output, without kind and value.
struct Declaration {
  enum Kind { Token, Param, Const };

  Kind kind = Token;
  bool grouped = false;
  Name name;
  std::vector<ExprPtr> sizes;
  /// The value of a `const`, if it has one.
  ExprPtr value;
};

/// One name of a `state` or `let`, or an assignment.
struct Statement {
  enum Kind { State, Let, Assign };

  Kind kind;
  Name name;
  /// `State` only.
  std::vector<ExprPtr> sizes;
  /// The initial value of a state (may be null) or the right side.
  ExprPtr value;
};

struct Mixer {
  Name name;
  std::vector<Declaration> arguments;
  std::vector<Declaration> outputs;
  std::vector<Statement> statements;
};

} // namespace rondo::frontend

#endif // RONDO_LIB_FRONTEND_AST_H
