//===- Passes.td - From the token form to the chunk form --------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_TRANSFORMS_PASSES_TD
#define RONDO_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def RondoSpecialize : Pass<"rondo-specialize", "::mlir::ModuleOp"> {
  let summary = "Replace named sizes with numbers";
  let description = [{
    `rondo-specialize{sizes=K=128,V=64}` substitutes K and V in every type and replaces `rondo.dim` with a constant:

    ```mlir
    %0 = rondo.dim "K" : !rondo.val<>          // K = 128
    ```
    ==>
    ```mlir
    %0 = rondo.constant 1.280000e+02 : !rondo.val<>
    ```

    Fails with the name of a size that is missing, and when an expression such as `K/2` is no integer.

    Numerics: exact.
  }];
  let options = [ListOption<"sizes", "sizes", "std::string", "NAME=NUMBER for every named size">];
}

#endif // RONDO_TRANSFORMS_PASSES_TD
