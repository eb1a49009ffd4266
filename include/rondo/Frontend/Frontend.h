//===- Frontend.h - From `.rondo` text to the token-level dialect -------------------------------------*- C++ -*-===//
//
// docs/Language.md describes the language.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_FRONTEND_FRONTEND_H
#define RONDO_FRONTEND_FRONTEND_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"

namespace llvm {
class SourceMgr;
} // namespace llvm

namespace rondo {

/// Parses and checks the main buffer of `sources` and builds one `rondo.mixer` for each mixer in it. `consts` replaces
/// the values of `const` arguments by name, in every mixer that has the name. Errors go to the context's diagnostic
/// engine; the result is null when there was one.
mlir::OwningOpRef<mlir::ModuleOp> parseRondo(llvm::SourceMgr &sources, mlir::MLIRContext *context,
                                             const llvm::StringMap<double> &consts = {});

/// Prints diagnostics like `mlir::SourceMgrDiagnosticHandler`, and underlines the whole range where a location has one.
class RangeDiagnosticHandler : public mlir::ScopedDiagnosticHandler {
public:
  RangeDiagnosticHandler(llvm::SourceMgr &sources, mlir::MLIRContext *context, llvm::raw_ostream &os = llvm::errs());

private:
  void print(mlir::Location loc, const llvm::Twine &message, mlir::DiagnosticSeverity severity);

  llvm::SourceMgr &sources;
  llvm::raw_ostream &os;
};

} // namespace rondo

#endif // RONDO_FRONTEND_FRONTEND_H
