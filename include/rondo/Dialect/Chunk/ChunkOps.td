//===- ChunkOps.td - Operations of the chunk form ---------------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_DIALECT_CHUNK_CHUNK_OPS_TD
#define RONDO_DIALECT_CHUNK_CHUNK_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Chunk_Dialect : Dialect {
  let name = "chunk";
  let cppNamespace = "::rondo::chunk";
  let summary = "What a chunk of tokens does at once";
  let description = [{
    A chunk body is a `func.func` on tensors: the values of C consecutive tokens are the rows of a tensor `[C, ...]`. Elementwise
    functions and sums are `linalg.generic`, products `linalg.contract`; this dialect adds the operations that know about time.
    All are pure functions of tensors.
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

class Chunk_Op<string mnemonic, list<Trait> traits = []> : Op<Chunk_Dialect, mnemonic, traits>;

def Chunk_CumprodOp : Chunk_Op<"cumprod", [Pure, SameOperandsAndResultType]> {
  let summary = "running products along time";
  let description = [{
    Axis 0 is time. `prefix`: result[t] = product of operand[0..t-1] (t itself excluded, result[0] = 1); `suffix`:
    result[t] = product of operand[t+1..C-1] (t excluded, result[C-1] = 1). Only products over an interval: with decays in
    [0, 1] nothing overflows and nothing cancels, and a decay of 0 (a log decay of -inf) is exact.

    An `inclusive` prefix has operand[t] as a factor as well (`rondo-include-own-token` makes it, for tensor cores).
  }];
  let arguments = (ins AnyStaticShapeTensor:$operand, UnitAttr:$suffix, UnitAttr:$inclusive);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`suffix` $suffix^):(`prefix`)? (`inclusive` $inclusive^)? $operand attr-dict `:` type($result)";
}

def Chunk_LostOp : Chunk_Op<"lost", [Pure, SameOperandsAndResultType]> {
  let summary = "what rounding loses of a value that is handed over";
  let description = [{
    result = operand - round(operand), with the rounding to the type of the array in which one kernel hands the operand to the next; 0 where it is not rounded. Only what the
    first chunk of a sequence gives is read (`rondo.lost` on the argument of the next kernel).
  }];
  let arguments = (ins AnyStaticShapeTensor:$operand);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Chunk_TotalOp : Chunk_Op<"total", [Pure]> {
  let summary = "the product over all tokens of the chunk";
  let arguments = (ins AnyStaticShapeTensor:$operand);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Chunk_IntervalProductsOp : Chunk_Op<"interval_products", [Pure]> {
  let summary = "products of decays over every interval of tokens";
  let description = [{
    `[C] -> [C+1, C+1]`: result[i, j] = operand[j] operand[j+1] ... operand[i-1] for j <= i (1 for j = i) and 0 for j > i. So
    result[i, 0] is the decay since the chunk began, result[C, j] the decay to its end, result[t, s+1] the decay between
    tokens s and t, both excluded.

    With n states coupled by scalars the operand is `[C, n, n]`, one transition matrix A_t a token (new = A_t old), and the
    result `[n, n, C+1, C+1]` holds the entries of the matrix products A_{i-1} ... A_j.

    Row i is row i-1 times operand[i-1]: no logarithm is taken, no difference formed (reassociates nothing).
  }];
  let arguments = (ins AnyStaticShapeTensor:$operand);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Chunk_DecayedGramOp : Chunk_Op<"decayed_gram", [Pure, AllTypesMatch<["query", "key", "decay"]>]> {
  let summary = "dot products of reads with earlier writes, decayed per channel between them";
  let description = [{
    result[t, s] = sum_r query[t, r] (product of decay[u, r] over s < u < t) key[s, r] for s < t, and 0 for s >= t.
    query, key, decay: `[C, R]`; result: `[C, C]`.

    Lowered by halving the chunk again and again with the boundary as reference, so that every factor is a product over
    an interval: exact for decays of 0, no overflow, no cancellation.
  }];
  let arguments = (ins AnyStaticShapeTensor:$query, AnyStaticShapeTensor:$key, AnyStaticShapeTensor:$decay);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$query `,` $key `,` $decay attr-dict `:` type($query) `->` type($result)";
  let hasVerifier = 1;
}

def Chunk_DecayedApplyOp : Chunk_Op<"decayed_apply", [Pure, AllTypesMatch<["value", "decay", "result"]>]> {
  let summary = "weighted sums of earlier writes, decayed per column between write and read";
  let description = [{
    result[t, c] = sum over s < t of weight[t, s] (product of decay[u, c] over s < u < t) value[s, c].
    weight: `[C, C]`, value and decay: `[C, V]`; result: `[C, V]`. Same halving as `decayed_gram`.

    `reverse` gives the transposed map, from later tokens to earlier ones:
    result[s, c] = sum over t > s of weight[t, s] (product of decay[u, c] over s < u < t) value[t, c].

    `inclusive` (`rondo-include-own-token` makes it, for tensor cores) is what is read after token t was written:
    result[t, c] = sum over s <= t of weight[t, s] (product of decay[u, c] over s < u <= t) value[s, c].
  }];
  let arguments = (ins AnyStaticShapeTensor:$weight, AnyStaticShapeTensor:$value, AnyStaticShapeTensor:$decay,
                       UnitAttr:$reverse, UnitAttr:$inclusive);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`reverse` $reverse^)? (`inclusive` $inclusive^)? $weight `,` $value `,` $decay attr-dict `:` type($weight) `,` type($value)";
  let hasVerifier = 1;
}

def Chunk_DecayAdjointOp : Chunk_Op<"decay_adjoint", [Pure, AllTypesMatch<["later", "earlier", "decay", "result"]>]> {
  let summary = "derivative of decayed sums with respect to the decays";
  let description = [{
    Of F = sum over s < t of weight[t, s] later[t, r] (product of decay[u, r] over s < u < t) earlier[s, r], the derivative
    with respect to decay[u, r]:

    result[u, r] = sum over s < u < t of weight[t, s] later[t, r] (product of decay[v, r] over s < v < t, v != u) earlier[s, r].

    `decayed_gram` and `decayed_apply` are derivatives of the same F with respect to weight and to later or earlier. Lowered
    by the same halving, with products over intervals on both sides of u: no quotient by a decay, no difference of sums.
  }];
  let arguments = (ins AnyStaticShapeTensor:$weight, AnyStaticShapeTensor:$later, AnyStaticShapeTensor:$earlier,
                       AnyStaticShapeTensor:$decay);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $weight `,` $later `,` $earlier `,` $decay attr-dict `:` type($weight) `,` type($later)
  }];
  let hasVerifier = 1;
}

def Chunk_SolveOp : Chunk_Op<"solve", [Pure, AllTypesMatch<["rhs", "result"]>]> {
  let summary = "solve a unit lower triangular system";
  let description = [{
    result = (I + stril(matrix))^-1 rhs; entries of `matrix` on and above the diagonal are not read. matrix: `[N, N]`, rhs:
    `[N, V]` or `[N]`. By forward substitution in blocks (exact order of a substitution, f32). `transposed` solves with the
    transpose, (I + stril(matrix))^-T rhs, by backward substitution.
  }];
  let arguments = (ins AnyStaticShapeTensor:$matrix, AnyStaticShapeTensor:$rhs, UnitAttr:$transposed);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`transposed` $transposed^)? $matrix `,` $rhs attr-dict `:` type($matrix) `,` type($rhs)";
  let hasVerifier = 1;
}

def Chunk_InverseOp : Chunk_Op<"inverse", [Pure, AllTypesMatch<["matrix", "result"]>]> {
  let summary = "the inverse of a unit lower triangular matrix";
  let description = [{
    result = (I + stril(matrix))^-1, `[N, N]`; entries of `matrix` on and above the diagonal are not read. What `chunk.solve` multiplies by, for kernels that
    have it ahead of time.
  }];
  let arguments = (ins AnyStaticShapeTensor:$matrix);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$matrix attr-dict `:` type($matrix)";
}

def Chunk_KeepRowsOp : Chunk_Op<"keep_rows", [Pure, AllTypesMatch<["operand", "result"]>]> {
  let summary = "the first n rows; `fill` in the others";
  let description = [{
    result[t] = operand[t] for t < count, `fill` for t >= count. The last chunk of a sequence may be short: its decays are kept
    with fill 1 and its written values with fill 0, so that tokens after the end change no state. Costs nothing when the
    chunk is full.
  }];
  let arguments = (ins AnyStaticShapeTensor:$operand, Index:$count, F32Attr:$fill);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$operand `,` $count `fill` $fill attr-dict `:` type($result)";
}

def Chunk_ScanOp : Chunk_Op<"scan", [AttrSizedOperandSegments, RecursiveMemoryEffects, IsolatedFromAbove,
                                     SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "run states token by token inside a chunk";
  let description = [{
    For t = 0 .. count-1 the region gets row t of every `rows` operand, the `shared` operands whole, and the states; it yields
    one row for each of the first results, then the new states. The results are the rows stacked (`[C, ...]`, rows from
    `count` on are zero) and the final states. `kind` records what the region is: `affine` (elementwise, linear in the states),
    `maxplus` (scalars under max and plus), or `sequential` (anything). `reverse` runs from t = count-1 down to 0.
  }];
  let arguments = (ins Index:$count, Variadic<AnyType>:$rows, Variadic<AnyType>:$shared, Variadic<AnyType>:$states,
                       StrAttr:$kind, UnitAttr:$reverse);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasVerifier = 1;
  let assemblyFormat = [{
    $kind (`reverse` $reverse^)? `count` $count `rows` `(` ($rows^ `:` type($rows))? `)` `shared` `(` ($shared^ `:` type($shared))? `)`
    `states` `(` ($states^ `:` type($states))? `)` attr-dict-with-keyword $body (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    unsigned getNumStackedResults() { return getNumResults() - getStates().size(); }
  }];
}

def Chunk_YieldOp : Chunk_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"ScanOp">]> {
  let summary = "the rows and new states of one token";
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ /* empty */ }]>];
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

#endif // RONDO_DIALECT_CHUNK_CHUNK_OPS_TD
