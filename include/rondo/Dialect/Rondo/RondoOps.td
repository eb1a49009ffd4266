//===- RondoOps.td - Operations on the values and states of one token ------------------------------------*- tablegen -*-===//

#ifndef RONDO_DIALECT_RONDO_OPS_TD
#define RONDO_DIALECT_RONDO_OPS_TD

include "rondo/Dialect/Rondo/RondoDialect.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"

class Rondo_Op<string mnemonic, list<Trait> traits = []> : Op<Rondo_Dialect, mnemonic, traits>;

//===----------------------------------------------------------------------===//
// Enumerations
//===----------------------------------------------------------------------===//

def Rondo_UnaryKind : I32EnumAttr<"UnaryKind", "an elementwise function of one value", [
    I32EnumAttrCase<"neg", 0>, I32EnumAttrCase<"exp", 1>, I32EnumAttrCase<"log", 2>, I32EnumAttrCase<"sqrt", 3>,
    I32EnumAttrCase<"rsqrt", 4>, I32EnumAttrCase<"abs", 5>, I32EnumAttrCase<"sigmoid", 6>,
    I32EnumAttrCase<"log_sigmoid", 7>, I32EnumAttrCase<"softplus", 8>, I32EnumAttrCase<"silu", 9>,
    I32EnumAttrCase<"relu", 10>, I32EnumAttrCase<"elu", 11>, I32EnumAttrCase<"tanh", 12>,
    I32EnumAttrCase<"sin", 13>, I32EnumAttrCase<"cos", 14>, I32EnumAttrCase<"expm1", 15>]> {
  let cppNamespace = "::rondo";
}

def Rondo_BinaryKind : I32EnumAttr<"BinaryKind", "an elementwise function of two values", [
    I32EnumAttrCase<"add", 0>, I32EnumAttrCase<"sub", 1>, I32EnumAttrCase<"mul", 2>, I32EnumAttrCase<"div", 3>,
    I32EnumAttrCase<"max", 4>, I32EnumAttrCase<"min", 5>, I32EnumAttrCase<"pow", 6>,
    I32EnumAttrCase<"lt", 7>, I32EnumAttrCase<"le", 8>, I32EnumAttrCase<"gt", 9>, I32EnumAttrCase<"ge", 10>,
    I32EnumAttrCase<"eq", 11>, I32EnumAttrCase<"ne", 12>]> {
  let cppNamespace = "::rondo";
}

def Rondo_ReduceKind : I32EnumAttr<"ReduceKind", "a reduction over all elements", [
    I32EnumAttrCase<"sum", 0>, I32EnumAttrCase<"max", 1>, I32EnumAttrCase<"min", 2>]> {
  let cppNamespace = "::rondo";
}

def Rondo_Axis : I32EnumAttr<"Axis", "which index of a matrix", [
    I32EnumAttrCase<"rows", 0>, I32EnumAttrCase<"cols", 1>]> {
  let cppNamespace = "::rondo";
}

//===----------------------------------------------------------------------===//
// The mixer
//===----------------------------------------------------------------------===//

def Rondo_MixerOp : Rondo_Op<"mixer", [FunctionOpInterface, IsolatedFromAbove, Symbol, AutomaticAllocationScope]> {
  let summary = "the program of one token";
  let description = [{
    Every argument has the attribute `rondo.name`. `rondo.kind` says how it varies: `"token"` (the default: one value a
    token), or `"param"` (one value a head, constant in time). `rondo.grouped` marks a token argument that may come with
    fewer heads than the mixer. Results have `rondo.name`.

    ```mlir
    rondo.mixer @gla(%q: !rondo.val<K> {rondo.name = "q"}, %k: !rondo.val<K> {rondo.name = "k"},
                     %v: !rondo.val<V> {rondo.name = "v"}, %g: !rondo.val<K> {rondo.name = "gk"})
        -> (!rondo.val<V> {rondo.name = "o"}) {
      %S = rondo.state "S" : !rondo.state<K, V>
      %a = rondo.unary exp %g : !rondo.val<K>
      rondo.decay %S, %a rows : !rondo.state<K, V>, !rondo.val<K>
      rondo.write %S, %k, %v : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
      %o = rondo.read %S, %q rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
      rondo.yield %o : !rondo.val<V>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
                       OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::mlir::FunctionType":$type)>];
  let skipDefaultBuilders = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The name a user gave argument `i` / result `i`.
    ::llvm::StringRef getArgName(unsigned i);
    ::llvm::StringRef getResultName(unsigned i);
    /// True when argument `i` is constant in time (`param`).
    bool isParam(unsigned i);
    /// True when argument `i` may come with fewer heads than the mixer.
    bool isGrouped(unsigned i);
    /// The states, in the order of their declaration.
    ::llvm::SmallVector<::rondo::StateOp, 4> getStates();
    ::rondo::YieldOp getYield();
  }];
}

def Rondo_YieldOp : Rondo_Op<"yield", [Pure, Terminator, HasParent<"MixerOp">]> {
  let summary = "the outputs of the token";
  let arguments = (ins Variadic<Rondo_ValueType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

def Rondo_StateOp : Rondo_Op<"state", [HasParent<"MixerOp">, MemoryEffects<[MemAlloc]>]> {
  let summary = "declare a state, zero or `init` before the first token";
  let arguments = (ins StrAttr:$name, DefaultValuedAttr<F64Attr, "0.0">:$init);
  let results = (outs Rondo_StateType:$state);
  let assemblyFormat = "$name (`init` $init^)? attr-dict `:` type($state)";
}

def Rondo_LoadOp : Rondo_Op<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "the whole state as a value";
  let arguments = (ins Rondo_StateType:$state);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$state attr-dict `:` type($state) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_StoreOp : Rondo_Op<"store", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "replace the whole state";
  let description = [{
    The front end writes every assignment `S = expression` as a `store`. `rondo-raise-updates` turns those whose expression is
    linear in the loads of states into `decay`, `read`, `write` and `accumulate`.
  }];
  let arguments = (ins Rondo_StateType:$state, Rondo_ValueType:$value);
  let assemblyFormat = "$state `,` $value attr-dict `:` type($state) `,` type($value)";
  let hasVerifier = 1;
}

def Rondo_DecayOp : Rondo_Op<"decay", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "multiply a state by a factor of this token";
  let description = [{
    `factor` is the factor itself, not its logarithm: exp(g) for a log decay g. A scalar multiplies the whole state; `rows`
    multiplies row i by factor[i] (S <- diag(a) S); `cols` multiplies column j by factor[j] (S <- S diag(a)); without an axis
    a factor of the state's own shape multiplies elementwise.
  }];
  let arguments = (ins Rondo_StateType:$state, Rondo_ValueType:$factor, OptionalAttr<Rondo_Axis>:$axis);
  let assemblyFormat = "$state `,` $factor ($axis^)? attr-dict `:` type($state) `,` type($factor)";
  let hasVerifier = 1;
}

def Rondo_RotateStateOp : Rondo_Op<"rotate_state", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "turn each pair of rows (2i, 2i+1) of a state by theta[i]";
  let description = [{ (x, y) <- (x cos t - y sin t, x sin t + y cos t): multiplication of the complex number x + iy by exp(it). }];
  let arguments = (ins Rondo_StateType:$state, Rondo_ValueType:$theta);
  let assemblyFormat = "$state `,` $theta attr-dict `:` type($state) `,` type($theta)";
  let hasVerifier = 1;
}

def Rondo_ReadOp : Rondo_Op<"read", [MemoryEffects<[MemRead]>]> {
  let summary = "contract a state with a vector";
  let description = [{
    `rows` contracts the rows: y = S^T q (`S.T @ q`), y[j] = sum_i S[i, j] q[i]. `cols` contracts the columns: y = S q
    (`S @ q`). A vector state is contracted to a scalar, y = S . q, and is written `rows`.
  }];
  let arguments = (ins Rondo_StateType:$state, Rondo_ValueType:$vector, Rondo_Axis:$axis);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$state `,` $vector $axis attr-dict `:` type($state) `,` type($vector) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_WriteOp : Rondo_Op<"write", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "add an outer product to a state";
  let description = [{
    S <- S + key value^T for a matrix state. For a vector state [R] the value is a scalar: S <- S + key * value. For a scalar
    state both are scalars.
  }];
  let arguments = (ins Rondo_StateType:$state, Rondo_ValueType:$key, Rondo_ValueType:$value);
  let assemblyFormat = "$state `,` $key `,` $value attr-dict `:` type($state) `,` type($key) `,` type($value)";
  let hasVerifier = 1;
}

def Rondo_AccumulateOp : Rondo_Op<"accumulate", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "add a multiple of one state to another";
  let description = [{ state <- state + factor * source, with a scalar factor; both states have the same shape. }];
  let arguments = (ins Rondo_StateType:$state, Rondo_ValueType:$factor, Rondo_StateType:$source);
  let assemblyFormat = "$state `,` $factor `,` $source attr-dict `:` type($state) `,` type($factor) `,` type($source)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

def Rondo_ConstantOp : Rondo_Op<"constant", [Pure, ConstantLike]> {
  let summary = "a scalar known at compile time";
  let arguments = (ins F64Attr:$value);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Rondo_DimOp : Rondo_Op<"dim", [Pure]> {
  let summary = "a size as a number: `K` in `q * K**-0.5`";
  let description = [{ `size` is a size expression in the form of a type's size, for example "K" or "2*K". }];
  let arguments = (ins StrAttr:$size);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$size attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Rondo_UnaryOp : Rondo_Op<"unary", [Pure, SameOperandsAndResultType]> {
  let summary = "an elementwise function of one value";
  let description = [{
    sigmoid(x) = 1/(1+exp(-x)); log_sigmoid(x) = -log1p(exp(-x)); softplus(x) = log1p(exp(x)) (both without overflow);
    silu(x) = x sigmoid(x); elu(x) = x for x > 0, exp(x)-1 otherwise; rsqrt(x) = 1/sqrt(x).
  }];
  let arguments = (ins Rondo_UnaryKind:$kind, Rondo_ValueType:$operand);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$kind $operand attr-dict `:` type($result)";
}

def Rondo_BinaryOp : Rondo_Op<"binary", [Pure]> {
  let summary = "an elementwise function of two values";
  let description = [{
    Operands have the same shape, or one of them is a scalar that is used for every element. (A vector meets a matrix only
    through `broadcast`.) Comparisons give 1 or 0. `pow` has a constant exponent: a `constant`, possibly negated.
  }];
  let arguments = (ins Rondo_BinaryKind:$kind, Rondo_ValueType:$lhs, Rondo_ValueType:$rhs);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$kind $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_SelectOp : Rondo_Op<"select", [Pure]> {
  let summary = "`where(condition, a, b)`: a where the condition is not 0, b elsewhere";
  let description = [{ All three have the result's shape or are scalars. }];
  let arguments = (ins Rondo_ValueType:$condition, Rondo_ValueType:$onTrue, Rondo_ValueType:$onFalse);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = [{
    $condition `,` $onTrue `,` $onFalse attr-dict `:` type($condition) `,` type($onTrue) `,` type($onFalse) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Rondo_BroadcastOp : Rondo_Op<"broadcast", [Pure]> {
  let summary = "repeat a vector along the other axis of a matrix, or a scalar everywhere";
  let description = [{
    `rows`: result[i, j] = operand[i] (the vector indexes rows). `cols`: result[i, j] = operand[j]. A scalar has no axis and
    may become a vector or a matrix.
  }];
  let arguments = (ins Rondo_ValueType:$operand, OptionalAttr<Rondo_Axis>:$axis);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$operand ($axis^)? attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_TransposeOp : Rondo_Op<"transpose", [Pure]> {
  let summary = "the transpose of a matrix";
  let arguments = (ins Rondo_ValueType:$operand);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_OuterOp : Rondo_Op<"outer", [Pure]> {
  let summary = "the outer product of two vectors: result[i, j] = lhs[i] rhs[j]";
  let arguments = (ins Rondo_ValueType:$lhs, Rondo_ValueType:$rhs);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_MatmulOp : Rondo_Op<"matmul", [Pure]> {
  let summary = "`@`: matrix times matrix, matrix times vector, vector times matrix, or the dot product of two vectors";
  let arguments = (ins Rondo_ValueType:$lhs, Rondo_ValueType:$rhs);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_ReduceOp : Rondo_Op<"reduce", [Pure]> {
  let summary = "the sum, maximum or minimum of all elements; a scalar";
  let arguments = (ins Rondo_ReduceKind:$kind, Rondo_ValueType:$operand);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$kind $operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_CumsumOp : Rondo_Op<"cumsum", [Pure, SameOperandsAndResultType]> {
  let summary = "running sums along a vector: result[i] = sum of operand[0..i]";
  let arguments = (ins Rondo_ValueType:$operand);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Rondo_ConcatOp : Rondo_Op<"concat", [Pure]> {
  let summary = "vectors one after the other";
  let arguments = (ins Variadic<Rondo_ValueType>:$operands);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$operands attr-dict `:` type($operands) `->` type($result)";
  let hasVerifier = 1;
}

def Rondo_RotateOp : Rondo_Op<"rotate", [Pure]> {
  let summary = "turn each pair (2i, 2i+1) of a vector, or of a matrix's rows, by theta[i]";
  let description = [{ The same map as `rotate_state`. `theta` has half as many elements as the operand has rows. }];
  let arguments = (ins Rondo_ValueType:$operand, Rondo_ValueType:$theta);
  let results = (outs Rondo_ValueType:$result);
  let assemblyFormat = "$operand `,` $theta attr-dict `:` type($operand) `,` type($theta) `->` type($result)";
  let hasVerifier = 1;
}

#endif // RONDO_DIALECT_RONDO_OPS_TD
