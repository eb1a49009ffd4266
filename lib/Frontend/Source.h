//===- Source.h - A buffer and the locations in it ----------------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_FRONTEND_SOURCE_H
#define RONDO_LIB_FRONTEND_SOURCE_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/SourceMgr.h"

namespace rondo::frontend {

/// The text that `range` covers.
inline llvm::StringRef textOf(llvm::SMRange range) {
  return {range.Start.getPointer(), size_t(range.End.getPointer() - range.Start.getPointer())};
}

/// Turns pointers into the main buffer of a source manager into locations, and reports errors there.
class Source {
public:
  Source(llvm::SourceMgr &manager, mlir::MLIRContext *context)
      : manager(manager), context(context),
        fileName(
            mlir::StringAttr::get(context, manager.getMemoryBuffer(manager.getMainFileID())->getBufferIdentifier())) {}

  llvm::StringRef text() const { return manager.getMemoryBuffer(manager.getMainFileID())->getBuffer(); }
  mlir::MLIRContext *getContext() const { return context; }

  unsigned line(llvm::SMLoc loc) const { return manager.getLineAndColumn(loc, manager.getMainFileID()).first; }

  mlir::Location at(llvm::SMRange range) const {
    auto [line, column] = manager.getLineAndColumn(range.Start, manager.getMainFileID());
    auto [endLine, endColumn] = manager.getLineAndColumn(range.End, manager.getMainFileID());
    if (endLine == line && endColumn <= column + 1)
      return mlir::FileLineColLoc::get(fileName, line, column);
    return mlir::FileLineColRange::get(fileName, line, column, endLine, endColumn);
  }

  mlir::InFlightDiagnostic error(llvm::SMRange range) const { return mlir::emitError(at(range)); }

private:
  llvm::SourceMgr &manager;
  mlir::MLIRContext *context;
  mlir::StringAttr fileName;
};

} // namespace rondo::frontend

#endif // RONDO_LIB_FRONTEND_SOURCE_H
