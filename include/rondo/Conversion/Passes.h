//===- Passes.h - Conversion passes -------------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_CONVERSION_PASSES_H
#define RONDO_CONVERSION_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace rondo {
#define GEN_PASS_DECL
#include "rondo/Conversion/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#endif // RONDO_CONVERSION_PASSES_H
