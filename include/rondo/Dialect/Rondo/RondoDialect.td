//===- RondoDialect.td - The token-level dialect -------------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_DIALECT_RONDO_DIALECT_TD
#define RONDO_DIALECT_RONDO_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Rondo_Dialect : Dialect {
  let name = "rondo";
  let cppNamespace = "::rondo";
  let summary = "What a sequence mixer does with one token";
  let description = [{
    A `rondo.mixer` is the program of one token. It runs for t = 0, 1, ..., T-1, for every batch entry and head by itself.
    Its states are carried from token to token; everything else is recomputed. Sizes are names (`K`, `V`) or expressions of
    names (`K*(K+1)/2`) until `rondo-specialize` replaces them with numbers.

    Statements that touch a state run in program order: a `read` or `load` sees every `decay`, `write` and `store` above it
    and none below. All other operations are pure.
  }];
  let useDefaultTypePrinterParser = 1;
}

class Rondo_Type<string name, string typeMnemonic> : TypeDef<Rondo_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Rondo_ValueType : Rondo_Type<"Value", "val"> {
  let summary = "a scalar, vector or matrix of one token";
  let description = [{
    `!rondo.val<>` is a scalar, `!rondo.val<K>` a vector, `!rondo.val<K, V>` a matrix. A size is a name, a number, or a
    quoted polynomial of names: `!rondo.val<"2*K">`. Elements are real numbers; the precision belongs to later stages.
  }];
  let parameters = (ins ArrayRefParameter<"::rondo::Dim", "sizes">:$dims);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// 0 for a scalar, 1 for a vector, 2 for a matrix.
    unsigned getRank() const { return getDims().size(); }
    bool isScalar() const { return getDims().empty(); }
    /// The sizes as numbers; fails an assertion while a size is still a name (see `isStatic`).
    ::llvm::SmallVector<int64_t> getShape() const;
    bool isStatic() const;
  }];
}

def Rondo_StateType : Rondo_Type<"State", "state"> {
  let summary = "a state carried from token to token";
  let description = [{ `!rondo.state<K, V>`, `!rondo.state<K>` or `!rondo.state<>`; sizes as in `!rondo.val`. }];
  let parameters = (ins ArrayRefParameter<"::rondo::Dim", "sizes">:$dims);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    unsigned getRank() const { return getDims().size(); }
    ::llvm::SmallVector<int64_t> getShape() const;
    bool isStatic() const;
    /// The type of the whole state as a value.
    ::rondo::ValueType getValueType() const;
  }];
}

#endif // RONDO_DIALECT_RONDO_DIALECT_TD
