//===- Passes.h - Transforms passes -------------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_TRANSFORMS_PASSES_H
#define RONDO_TRANSFORMS_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "rondo/Dialect/Rondo/Rondo.h"

namespace rondo {
#define GEN_PASS_DECL
#include "rondo/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

#endif // RONDO_TRANSFORMS_PASSES_H
