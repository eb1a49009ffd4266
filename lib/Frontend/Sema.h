//===- Sema.h - From the syntax tree of a mixer to `rondo.mixer` --------------------------------------*- C++ -*-===//
//
// One pass over the statements checks names and shapes and builds the operations. Sema.cpp has the declarations and
// statements, Operators.cpp the operators, Functions.cpp the functions.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_FRONTEND_SEMA_H
#define RONDO_LIB_FRONTEND_SEMA_H

#include "AST.h"
#include "mlir/IR/BuiltinOps.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "llvm/ADT/StringMap.h"

namespace rondo::frontend {

/// The meaning of an expression. A number becomes an operation, and a state is loaded, only when a value is asked for:
/// `S.T @ q` reads the state instead.
struct Term {
  enum Kind { Number, Value, State };

  Kind kind;
  mlir::Location loc;
  double number = 0;
  /// `Value`: the value. `State`: the state, of which the term is `scale * state` or `scale * state.T`.
  mlir::Value value;
  mlir::Value scale;
  /// Where the multiplication by `scale` stands.
  mlir::LocationAttr scaleLoc;
  bool transposed = false;
  llvm::SmallVector<Dim, 2> dims;

  unsigned rank() const { return dims.size(); }
};

/// "scalar", "vector [K]", "matrix [K, V]".
std::string shapeText(llvm::ArrayRef<Dim> dims);

/// Builds one mixer. Methods that return a failure have reported it, except for uses of a name whose definition has
/// failed: one mistake gives one error.
class MixerBuilder {
public:
  MixerBuilder(const Source &source, const Mixer &mixer, const llvm::StringMap<double> &consts)
      : source(source), mixer(mixer), consts(consts), builder(source.getContext()) {}

  mlir::LogicalResult build(mlir::ModuleOp module);

private:
  struct Symbol {
    enum Kind { Size, Const, Argument, Output, State, Let };

    Kind kind;
    llvm::SMRange range;
    /// What a use means; nothing before the definition, and after a definition that failed.
    std::optional<Term> term;
    bool failed = false;
    /// Outputs only.
    llvm::SmallVector<Dim, 2> dims;
  };

  // Declarations (Sema.cpp).
  mlir::LogicalResult declare(const Name &name, Symbol::Kind kind);
  mlir::LogicalResult declareConst(const Declaration &declaration);
  mlir::LogicalResult declareSizesOf(const Expr &size);
  mlir::FailureOr<Dim> evaluateSize(const Expr &size);
  mlir::FailureOr<llvm::SmallVector<Dim, 2>> evaluateShape(llvm::ArrayRef<ExprPtr> sizes);
  mlir::FailureOr<MixerOp> buildSignature(mlir::ModuleOp module);

  // Statements (Sema.cpp).
  mlir::LogicalResult buildStatement(const Statement &statement);
  mlir::LogicalResult buildState(const Statement &statement);
  mlir::LogicalResult buildAssignment(const Statement &statement);
  mlir::FailureOr<mlir::Value> buildAssigned(const Statement &statement, llvm::ArrayRef<Dim> dims);
  mlir::LogicalResult buildYield();

  // Names (Sema.cpp).
  mlir::FailureOr<Term> buildName(const Expr &expr);
  mlir::LogicalResult unknownName(llvm::StringRef name, llvm::SMRange range);
  /// The nearest of the names in scope; empty when none is near.
  llvm::StringRef nearestName(llvm::StringRef name, llvm::function_ref<bool(const Symbol &)> use);

  // Expressions (Operators.cpp).
  mlir::FailureOr<Term> buildExpr(const Expr &expr);
  mlir::FailureOr<Term> buildTranspose(const Expr &expr);
  mlir::FailureOr<Term> buildBinary(const Expr &expr);
  mlir::FailureOr<Term> buildPower(const Expr &expr);
  mlir::FailureOr<Term> buildMatmul(const Expr &expr, const Term &lhs, const Term &rhs);
  mlir::FailureOr<Term> buildElementwise(BinaryKind kind, llvm::StringRef op, const Expr &expr, const Term &lhs,
                                         const Term &rhs);
  mlir::FailureOr<Term> buildScaledMatrix(BinaryKind kind, const Expr &expr, const Term &lhs, const Term &rhs);
  mlir::LogicalResult shapesDiffer(llvm::StringRef op, const Expr &expr, const Term &lhs, const Term &rhs);
  /// The value of an expression of numbers and consts.
  std::optional<double> evaluateConstant(const Expr &expr);
  /// lhs @ rhs, whose shapes fit; reads the state when one side is a state and the other a vector.
  Term contract(mlir::Location loc, const Term &lhs, const Term &rhs);

  // Functions (Functions.cpp).
  struct Function;
  static llvm::ArrayRef<Function> functions();
  mlir::FailureOr<Term> buildCall(const Expr &call);
  mlir::LogicalResult unknownFunction(const Expr &call);
  mlir::LogicalResult checkVectors(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::LogicalResult checkNotScalar(const Expr &call, const Term &arg);
  mlir::FailureOr<Term> buildUnary(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildExtremum(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildSum(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildMean(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildSoftmax(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildNorm(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildOuter(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildDot(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildConcat(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildCumsum(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildWhere(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildRotate(const Expr &call, llvm::ArrayRef<Term> args);
  mlir::FailureOr<Term> buildOnes(const Expr &call);

  // Building blocks (Operators.cpp).
  ValueType type(llvm::ArrayRef<Dim> dims) { return ValueType::get(source.getContext(), dims); }
  Term number(double number, mlir::Location loc) { return {Term::Number, loc, number, {}, {}, {}, false, {}}; }
  Term value(mlir::Value value);
  /// The term as a value: emits the constant or the load.
  mlir::Value materialize(const Term &term);
  mlir::Value unary(mlir::Location loc, UnaryKind kind, mlir::Value operand);
  /// Shapes agree or one is a scalar.
  mlir::Value binary(mlir::Location loc, BinaryKind kind, mlir::Value lhs, mlir::Value rhs);
  mlir::Value reduce(mlir::Location loc, ReduceKind kind, mlir::Value operand);
  mlir::Value constant(mlir::Location loc, double number);

  const Source &source;
  const Mixer &mixer;
  const llvm::StringMap<double> &consts;
  mlir::OpBuilder builder;
  llvm::StringMap<Symbol> symbols;
};

/// The text of an expression for a message, in quotes; `otherwise` when it is long.
std::string quote(const Expr &expr, llvm::StringRef otherwise);
/// The text of an expression as the operand of an operator: with brackets where it needs them.
std::string operandText(const Expr &expr);

/// The nearest of `candidates` to a misspelt `word`; empty when none is near.
llvm::StringRef nearest(llvm::StringRef word, llvm::ArrayRef<llvm::StringRef> candidates);

} // namespace rondo::frontend

#endif // RONDO_LIB_FRONTEND_SEMA_H
