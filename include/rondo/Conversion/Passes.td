//===- Passes.td - From the chunk form to code --------------------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_CONVERSION_PASSES_TD
#define RONDO_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

#endif // RONDO_CONVERSION_PASSES_TD
