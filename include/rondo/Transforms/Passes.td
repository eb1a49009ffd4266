//===- Passes.td - From the token form to the chunk form --------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_TRANSFORMS_PASSES_TD
#define RONDO_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def RondoDerive : Pass<"rondo-derive", "::mlir::ModuleOp"> {
  let summary = "Derive the chunk form of every mixer";
  let description = [{
    Replaces each `rondo.mixer` by a `func.func` on tensors that does to C tokens at once what the mixer does to one after the
    other. The states before the chunk are the last arguments, the states after it the last results; the first argument is
    the number of valid tokens (the last chunk of a sequence may be short).

    The structure analysis splits the mixer into phases. For a linear phase with write vectors k, written values W, read
    vectors q, and decays a, with every product of decays over an interval of tokens,

        P[t, s] = sum_r q[t, r] a(s..t, r) k[s, r]           (s before t)
        W       = (I - B P)^-1 (c + B Q~ S)                  (only if the state reads itself: W = c + B y)
        y       = Q~ S + P W
        S'      = a(0..C) S + K~^T W

    where Q~ and K~ carry the decay since the chunk began and to its end. A scalar decay becomes a table of interval products,
    a decay per row goes into the Gram matrix, a decay per column onto the written values, a rotation into q and k, and no
    decay leaves no trace. Phases feed each other inside the chunk. Any other phase becomes a `chunk.scan`.

    ```mlir
    rondo.decay %S, %a : !rondo.state<64, 64>, !rondo.val<>
    rondo.write %S, %k, %v : !rondo.state<64, 64>, !rondo.val<64>, !rondo.val<64>
    %o = rondo.read %S, %q rows : !rondo.state<64, 64>, !rondo.val<64> -> !rondo.val<64>
    ```
    ==> (shapes and types left out)
    ```mlir
    %R = chunk.interval_products %a                        // [C+1, C+1]
    %G = linalg.contract ins(%q, %k) {chunk.causal = "result"}
    %P = linalg.generic ins(%G, %R) { below the diagonal: product, on it: G, above: 0 }
    %y = linalg.contract ins(%qs, %S)                      // qs = q * R[t, 0] * a
    %o = linalg.contract ins(%P, %W) outs(%y) {chunk.causal = "lhs"}
    %S1 = linalg.generic outs(%S) { S * R[C, 0] }
    %S2 = linalg.contract ins(%ks, %W) outs(%S1)           // ks = k * R[C, t+1]
    ```

    A phase that must run token by token for another reason than being an elementwise or max-plus scan gets a remark at the
    statement that prevents the chunk form. `form=sequential` makes every phase a scan: the reference in speed for the
    chunk form, and the same code that the fallback uses. `form=step` derives the body of one token instead, `<mixer>_step`:
    the sequential form with C = 1; `step` adds it to another form. Refuses sizes that are still names (run `rondo-specialize`).

    Numerics: reassociates sums over the tokens of a chunk. Only products of decays over an interval are formed: no overflow
    and no cancellation for decays from 0 to 1.
  }];
  let options = [
    Option<"chunk", "chunk", "int64_t", "64", "Tokens a chunk">,
    Option<"form", "form", "std::string", "\"chunk\"", "chunk, sequential or step">,
    Option<"step", "step", "bool", "false", "Also the body of one token">];
  let statistics = [
    Statistic<"numLinear", "linear", "Phases in the chunkwise form">,
    Statistic<"numScans", "scans", "Phases that run token by token">];
  let dependentDialects = ["::rondo::RondoDialect", "::rondo::chunk::ChunkDialect", "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
}

def RondoDifferentiate : Pass<"rondo-differentiate", "::mlir::ModuleOp"> {
  let summary = "Derive the backward body of every chunk body";
  let description = [{
    For a chunk body `(o, S') = f(x, S)` adds a function `f_backward(x, S, do, dS') = (dx, dS)`. It computes the forward values
    again and then visits the operations last to first: each adds to the cotangents of its operands. The scan over chunks
    runs backwards with dS carried; only the states at chunk boundaries are kept from the forward pass.

    A product's adjoints are products, an elementwise function's are its derivative times the cotangent, summed where an
    operand was repeated; chunk operations have

        W = (I + L)^-1 B           dB = (I + L)^-T dW,  dL = -stril(dB W^T)
        p[t] = prod_(u<t) a[u]     da[u] = p[u] sum_(t>u) dp[t] prod_(u<v<t) a[v]
        R = interval products      da[u] = sum_j R[u, j] sum_i R[i, u+1] dR[i, j]
        A = decayed Gram matrix    dq = decayed apply of dA to k, dk its transpose to q, da: `chunk.decay_adjoint`
        scan                       the states before each token, then the scan backwards

    ```mlir
    func.func @f(%n: index, %x: tensor<64x8xf32>, %S: tensor<8x8xf32>) -> (tensor<64x8xf32>, tensor<8x8xf32>)
    ```
    ==>
    ```mlir
    func.func @f_backward(%n: index, %x: tensor<64x8xf32>, %S: tensor<8x8xf32>, %do: tensor<64x8xf32>,
                          %dS1: tensor<8x8xf32>) -> (tensor<64x8xf32>, tensor<8x8xf32>)
    ```

    The derivative of a decay is a sum of products over the intervals on both sides of a token: no quotient by a decay and no
    difference of running sums, so soft gates behind strong ones and resets keep their precision. Maxima have subgradients
    (ties: the left operand). Fails with the operation's name where there is no rule ("no derivative for ...").

    Numerics: reassociates sums.
  }];
  let dependentDialects = ["::rondo::chunk::ChunkDialect", "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def RondoPullConstants : Pass<"rondo-pull-constants", "::mlir::func::FuncOp"> {
  let summary = "Take constant factors of token arrays out to the outputs";
  let description = [{
    An output that is linear in an array q times a number c, whatever the way,

        o = (c q p) S + P U,  P = decayed products of c q and k   ==>   o = c ((q p) S + P' U)

    ```mlir
    %qs = linalg.generic ins(%q) { mulf %q, %c }
    %P = chunk.decayed_gram %qs, %k, %d
    %o = linalg.contract ins(%P, %U) outs(%read_of_qs)
    return %o
    ```
    ==>
    ```mlir
    %P = chunk.decayed_gram %q, %k, %d
    %1 = linalg.contract ins(%P, %U) outs(%read_of_q)
    %o = linalg.generic ins(%1) { mulf %1, %c }
    return %o
    ```
    so that nobody multiplies every element of q, where decays by channel go to all of them, or of what is read (in other
    bodies `rondo-move-scales` does it product by product). Terms of a sum need the same factor; where they have not, the output
    keeps its constants. Only positive factors: signs stay.

    Numerics: reassociates; q enters products of tokens as it is in memory, without a rounding.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def RondoIncludeOwnToken : Pass<"rondo-include-own-token", "::mlir::func::FuncOp"> {
  let summary = "Sums over earlier tokens, decayed by column, and the token's own term as one sum";
  let description = [{
    What is read of a state with decays d along its free axis after a token was written comes in three terms: of the state before the chunk,
    of earlier tokens, of the token itself,

        o[t] = (q[t] S) prefix[t] d[t] + d[t] sum_(s < t) w[t, s] (product of d over s < u < t) x[s] + c[t] x[t]

    All three need d or x once more. With prefixes and sums that include the token's own decay, and c as the diagonal of w, neither is needed:

        o[t] = (q[t] S) prefix'[t] + sum_(s <= t) w'[t, s] (product of d over s < u <= t) x[s]

    ```mlir
    %1 = chunk.decayed_apply %w, %x, %d          %2 = linalg.generic ins(%1, %d) { mulf }
    %3 = linalg.generic ins(%x, %c) { mulf }     %4 = linalg.generic ins(%2, %3) { addf }
    ```
    ==>
    ```mlir
    %w1 = linalg.generic ins(%w, %c) { column == row ? %c : %w }
    %4 = chunk.decayed_apply inclusive %w1, %x, %d
    ```
    and `(r * prefix) * d` ==> `r * (chunk.cumprod prefix inclusive)`. Where c is the diagonal of the product of which w is the part below it, w' is that
    product's lower triangle. Sums of another form stay as they are.

    Numerics: exact but for the order of products (reassociates); c is rounded with the other weights where these are.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def RondoMoveScales : Pass<"rondo-move-scales", "::mlir::func::FuncOp"> {
  let summary = "Take scales out of the operands of matrix products";
  let description = [{
    For a product that sums over r, with a vector a along t or s, or a number,

        sum_r (a[t] q[t, r]) k[s, r]  =  a[t] sum_r q[t, r] k[s, r]
        sum_t (a[t] k[t, r]) u[t, c]  =  sum_t k[t, r] (a[t] u[t, c])

    ```mlir
    %qs = linalg.generic ins(%q, %a) { mulf }
    %o = linalg.contract ins(%qs, %S) outs(%zero)
    ```
    ==>
    ```mlir
    %0 = linalg.contract ins(%q, %S) outs(%zero)
    %o = linalg.generic ins(%0, %a) { mulf }
    ```
    so that operands of products are, as often as possible, what memory holds: tensor cores read them there. A scale along
    the summed axis moves only off a left operand that is an argument (possibly scaled several times).
    Two scales along the same axis become one.

    Numerics: reassociates products; in 16-bit operands it saves one rounding.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def RondoRaiseUpdates : Pass<"rondo-raise-updates", "::rondo::MixerOp"> {
  let summary = "Turn assignments to states into decays, writes and reads";
  let description = [{
    A stored expression that is linear in whole states,
    `S <- a diag(r) S diag(c) + f M + k_1 v_1^T + k_2 v_2^T + ...`, becomes micro-steps on S in the order rotate, decay,
    accumulate, write. Reads inside k, v, a keep their place above the store, so they see the state before the update.

    ```mlir
    %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
    %d = rondo.binary mul %a, %s : !rondo.val<>, !rondo.val<K, V> -> !rondo.val<K, V>
    %w = rondo.outer %k, %v : !rondo.val<K>, !rondo.val<V> -> !rondo.val<K, V>
    %n = rondo.binary add %d, %w : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
    rondo.store %S, %n : !rondo.state<K, V>, !rondo.val<K, V>
    ```
    ==>
    ```mlir
    rondo.decay %S, %a : !rondo.state<K, V>, !rondo.val<>
    rondo.write %S, %k, %v : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
    ```

    Also `(a b^T) S` becomes a write of the read `S^T b`, and a product of a loaded state with a vector a read. A store whose
    expression is not of this form (nonlinear, a factor for each element, a state that is replaced, scalars) is left alone;
    the structure analysis says what follows from that.

    Numerics: reassociates (a sum of products is distributed over its factors).
  }];
  let statistics = [Statistic<"numRaised", "raised", "Stores turned into micro-steps">];
  let dependentDialects = ["::rondo::RondoDialect"];
}

def RondoCopyStates : Pass<"rondo-copy-states", "::rondo::MixerOp"> {
  let summary = "Copy states that are read along both axes";
  let description = [{
    A matrix state that writes what it reads along one axis, and is read along the other too, couples its rows and its columns: neither evolve on their own.
    But what is written is a value of the token. So the state gets a copy, with the same decays and writes, that is read along the first axis only;
    the rows (columns) of the copy evolve on their own, and the state's columns (rows) once they are given what is written.

    ```mlir
    %y = rondo.read %S, %v cols
    rondo.write %S, %y, %v
    %o = rondo.read %S, %q rows
    ```
    ==>
    ```mlir
    %C = rondo.state "S by rows" {rondo.copy_of = "S"}
    %y = rondo.read %C, %v cols
    rondo.write %S, %y, %v
    rondo.write %C, %y, %v
    %o = rondo.read %S, %q rows
    ```
    A copy begins as its state does and is no array of the kernel. Left alone: states that are read along one axis, or of which writes and decays need both, and
    those that change in another way.

    Numerics: exact.
  }];
  let statistics = [Statistic<"numCopies", "copies", "States copied">];
  let dependentDialects = ["::rondo::RondoDialect"];
}

def RondoInterleaveWrites : Pass<"rondo-interleave-writes", "::mlir::ModuleOp"> {
  let summary = "Turn a mixer with several writes a token into one with a row for each write";
  let description = [{
    The delta rule with n writes a token, S <- a S, then for j = 1 .. n  S <- S + k_j f(v_j, S^T k_j)^T, is the delta rule with one write for a sequence of
    n T rows: row n t + j has k_j[t], v_j[t], the decay a[t] for the first of a token and 1 for the others, and what the token reads is the read of its last
    row. The system of a chunk of 64 rows is then unit lower triangular as any other, 64 x 64, with 64 / n tokens in it.

    ```mlir
    rondo.mixer @m(%k1, %k2, %v1, %v2: tokens, %a, %q) {
      rondo.decay %S, %a
      %y1 = rondo.read %S, %k1 rows                          // and %e1 = %v1 - %y1
      rondo.write %S, %k1, %e1
      %y2 = rondo.read %S, %k2 rows                          // and %e2 = %v2 - %y2
      rondo.write %S, %k2, %e2
      %o = rondo.read %S, %q rows
    ```
    ==> (types left out)
    ```mlir
    rondo.mixer @m(%n {rondo.write_number}, %a {rondo.stack = ["a"]}, %k {rondo.stack = ["k1", "k2"]}, %v {rondo.stack = ["v1", "v2"]}, %q {rondo.stack = ["q"]})
        attributes {rondo.writes = 2, rondo.program = [the arrays of before]} {
      %b = rondo.select %n, 1, %a
      rondo.decay %S, %b
      %y = rondo.read %S, %k rows                            // and %e = %v - %y
      rondo.write %S, %k, %e
      %o = rondo.read %S, %q rows
    ```

    `rondo.stack` names the arrays that the rows of a token come from, one after the other (one name: the same in all rows); `rondo.write_number` is the number of a
    row in its token. Rows are a power of two: with three writes the fourth row writes nothing.

    A mixer stays as it is unless it has one matrix state with numbers as decays, two to four writes that each depend on a read, made in the same way of
    different token values, and no other read before the last of them. Needs sizes that are numbers.

    Numerics: exact.
  }];
  let statistics = [Statistic<"numInterleaved", "interleaved", "Mixers with a row for each write">];
  let dependentDialects = ["::rondo::RondoDialect"];
}

def RondoSpecialize : Pass<"rondo-specialize", "::mlir::ModuleOp"> {
  let summary = "Replace named sizes with numbers";
  let description = [{
    `rondo-specialize{sizes=K=128,V=64}` substitutes K and V in every type and replaces `rondo.dim` with a constant. What was
    written stays as `rondo.dims` on arguments, results and states, so that later stages can still tell sizes apart:

    ```mlir
    rondo.mixer @m(%q: !rondo.val<K> {rondo.name = "q"}) {
      %S = rondo.state "S" : <K, "K/2">
      %0 = rondo.dim "K" : <>
    ```
    ==>
    ```mlir
    rondo.mixer @m(%q: !rondo.val<128> {rondo.dims = ["K"], rondo.name = "q"}) {
      %S = rondo.state "S" {rondo.dims = ["K", "K/2"]} : <128, 64>
      %0 = rondo.constant 1.280000e+02 : <>
    ```

    Fails, and changes nothing in that mixer, when a size is missing ("the size 'V' is not given; add V=NUMBER to the
    sizes"), when an expression is no positive whole number ("the size 'K/2' is no positive whole number with K=127"), when
    a size is not in 1 .. 2^31-1, and when no mixer has a size of a given name.

    Numerics: exact.
  }];
  let options = [ListOption<"sizes", "sizes", "std::string", "NAME=NUMBER for every named size">];
}

def RondoSummarize : Pass<"rondo-summarize", "::rondo::MixerOp"> {
  let summary = "Turn a mixer into what a shard of the sequence does to its states";
  let description = [{
    A shard takes the states S it begins with to A(S) + N. The summary mixer has the states of the mixer, which begin at
    zero (a running maximum at -inf) and give the contribution N, and states for the transition A:

    * `scalar`, `rows`, `cols`, `elements`: products of decays (begin at 1);
    * `coupling`: scalars, one for each pair of coupled states;
    * `matrix`: for self-reads and rotations, a matrix M that begins as the identity and is touched like the state, but
      written only what comes from its own reads: S -> M S (or S M^T for a state that reads its columns);
    * `maxplus`: the sum f of m <- max(m + f, i); the contribution is m from -inf.

    Two shards compose to (A2 A1, A2(N1) + N2). A state whose vectors depend on reads of other states has its
    contribution only once those begin right: `rondo.level` says in which order states become known.

    ```mlir
    rondo.mixer @delta(%k: !rondo.val<K>, %v: !rondo.val<V>) -> (!rondo.val<V>) {
      %S = rondo.state "S" : !rondo.state<K, V>
      %y = rondo.read %S, %k rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
      %e = rondo.binary sub %v, %y : !rondo.val<V>, !rondo.val<V> -> !rondo.val<V>
      rondo.write %S, %k, %e : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
      ...
    ```
    ==>
    ```mlir
    rondo.mixer @delta_summary(%k: !rondo.val<K>, %v: !rondo.val<V>) {
      %S = rondo.state "S" : !rondo.state<K, V>
      %M = rondo.state "matrix_S_S" {rondo.identity} : !rondo.state<K, K>
      (as above)
      %z = rondo.read %M, %k rows : !rondo.state<K, K>, !rondo.val<K> -> !rondo.val<K>
      %n = rondo.unary neg %z : !rondo.val<K>
      rondo.write %M, %k, %n : !rondo.state<K, K>, !rondo.val<K>, !rondo.val<K>
    ```

    Needs `rondo-raise-updates`. Refuses states that change in another way ("has no summary: ...", with the statement that is to
    blame).

    Numerics: exact; composing shards reassociates.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
}

#endif // RONDO_TRANSFORMS_PASSES_TD
