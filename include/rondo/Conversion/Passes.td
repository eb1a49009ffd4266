//===- Passes.td - From the chunk form to code --------------------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_CONVERSION_PASSES_TD
#define RONDO_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def RondoApproximateMath : Pass<"rondo-approximate-math"> {
  let summary = "Compute elementary functions with additions and multiplications";
  let description = [{
    Replaces `math.exp`, `exp2`, `expm1`, `log`, `log2`, `log1p`, `tanh`, `sin`, `cos`, `rsqrt` and `powf`, on scalars and vectors of f32, by
    an exact range reduction and a polynomial, so that vectors stay vectors:

        exp(x) = 2^n (1 + r + r^2 P(r)),   n = round(x / ln 2),   r = x - n ln 2
        log(m 2^e) = f - f^2 / 2 + f^3 P(f) + e ln 2,   f = m - 1,   sqrt(1/2) <= m < sqrt(2)
        log1p(x): the same on 1 + x, and what the addition lost is added to f
        tanh(x) = x + x^3 P(x^2) for |x| < 0.625, else 1 - 2 / (exp(2 |x|) + 1) with the sign of x
        rsqrt(x) = 1 / sqrt(x)

    bf16 and f16 are computed in f32. f64 and other functions stay as they are.

    ```mlir
    %e = math.rsqrt %x : vector<8xf32>
    ```
    ==>
    ```mlir
    %s = math.sqrt %x : vector<8xf32>
    %e = arith.divf %one, %s : vector<8xf32>
    ```

    The result needs `convert-math-to-llvm` (`math.fma`, `sqrt`, `absf`, `copysign` and `trunc` remain).

    Numerics: within 2 units in the last place, exp(-inf) = 0, exp(0) = 1, log(0) = -inf, NaN stays NaN;
    sin and cos for |x| <= 1e5.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def RondoBufferizeKernel : Pass<"rondo-bufferize-kernel", "::mlir::func::FuncOp"> {
  let summary = "Turn the tensors of a kernel into buffers";
  let description = [{
    Empty-tensor elimination and one-shot bufferization of one function whose arguments are memrefs already. Before, every
    operation that overwrites a filled tensor gets a fill of its own: one that several start from would be copied for each.
    Copies that remain are `linalg.generic` operations, so that they become vector code like everything else; buffers are not
    freed (`rondo-plan-scratch` places them).

    ```mlir
    %e = tensor.empty() : tensor<64xf32>
    %0 = linalg.generic ... ins(%a : tensor<64xf32>) outs(%e : tensor<64xf32>)
    ```
    ==>
    ```mlir
    %m = memref.alloc() {alignment = 64 : i64} : memref<64xf32>
    linalg.generic ... ins(%b : memref<64xf32>) outs(%m : memref<64xf32>)
    ```

    Fails where upstream bufferization fails, with its message.

    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect", "::mlir::memref::MemRefDialect"];
}

def RondoBuildColumns : Pass<"rondo-build-columns", "::mlir::ModuleOp"> {
  let summary = "Turn the body of one token into a GPU kernel whose threads own columns of the states";
  let description = [{
    Where an axis V of the states is never summed over, each index v of it is a recurrence of its own, a column:

        S_t[:, v] = f(S_{t-1}[:, v], token t),   o_t[v] = g(S_t[:, v], token t)

    A thread takes a column, its elements in registers, through all tokens, in the order of the interpreter. (A mixer that only updates its
    states elementwise is the case of short columns.) A column may be dealt out to 2, 4 or 8 threads, four neighbouring elements at a time: sums over it
    then end with shuffles. A thread may take 2 or 4 neighbouring columns: then it reads less often what they share, and pairs of neighbours along V
    may enter each other, as in rotations. What costs least by a count of operations and words of shared memory is chosen.

    A state without that axis goes before, in a sweep of its own over the tokens of a stage with columns along one of its axes: `h` of `y = C^T h` has an axis that
    `y` sums over, and the first sweep leaves its values in shared memory for the second. (Small ones have a copy in every column.) So does the copy of a state that is read along both
    axes (`rondo-copy-states`).

    Tokens come into shared memory by asynchronous copies, some stages of 16 tokens ahead (element by element where rows are narrower than 4
    bytes or not aligned to what one copy moves). Values of a token that neither a state nor v enters (`exp(g)`, a normalised key,
    a bf16 vector as f32) are computed once by the whole block, a stage ahead, and kept in shared memory as f32. What does not depend on the token is computed once.

    ```mlir
    func.func @m(%n: index, %x: tensor<1x32xf32> ..., %g: ..., %h: tensor<32xf32> {rondo.role = "state"}) -> (...) attributes {rondo.chunk = 1 : i64} {
      %a = linalg.generic {exp} ins(%g)
      %o:2 = chunk.scan "affine" count %n rows(%a, %x) shared() states(%h) { ... h * a + x ... }
    ```
    ==>
    ```mlir
    llvm.func @m_kernel(...) attributes {nvvm.kernel, rondo.launch = {threads = 32 : i64, ...}} {
      scf.for %tile = ... iter_args(%h = %h0, ...) {
        nvvm.cp.async.wait.group 6
        nvvm.barrier0
        (copies of tile + 7)
        (16 tokens: x and g of this thread's column, h = a h + x, o)
    ```

    A body is evaluated element by element, by demand: linear algebra on small tensors, slices and scans. Left as they are, with a remark (an error
    with `required`): bodies of more than one token; bodies in which a column reads another one ("is read where another thread has it"); columns that do not fit into registers; sums of many terms for each element of a value that all columns share (products with
    matrices that are parameters); other operations ("has an operation that threads cannot share").

    Numerics: exp(x) is 2^(x log2 e) by the GPU's own function, results below 2^-126 are 0; in exp(x y) the factor log2 e goes to x or y. Sums of eight
    terms or more are four sums side by side. Products and sums are contracted to multiply-adds.
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"f32\"", "element type of token arguments and outputs: f32, bf16 or f16">,
    ListOption<"dtypes", "dtypes", "std::string", "NAME=TYPE for single arguments and outputs">,
    Option<"required", "required", "bool", "false", "a body that does not fit is an error">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect"];
}

def RondoBuildKernel : Pass<"rondo-build-kernel", "::mlir::ModuleOp"> {
  let summary = "Wrap the body of one chunk into a kernel over whole arrays";
  let description = [{
    With `body(count, rows, S) -> (o, S')` for one chunk of C tokens the kernel computes, for every batch b, head h and column
    block, in parallel:

        S_0 = initial state or init;   (o_c, S_{c+1}) = body(min(C, T - c C), rows of chunk c, S_c)   for c = 0 .. ceil(T/C)-1

    ```mlir
    func.func @m(%count: index, %q: tensor<64x32xf32> {rondo.name = "q", rondo.role = "token"}, ...,
                 %S: tensor<32x32xf32> {rondo.name = "S", rondo.role = "state"})
        -> (tensor<64x32xf32> {rondo.name = "o", rondo.role = "output"}, tensor<32x32xf32> ...) attributes {rondo.chunk = 64 : i64}
    ```
    ==>
    ```mlir
    func.func @m_kernel(%q: memref<?x?x?x?xf32, strided<[?, ?, ?, 1], offset: ?>>, ...,
                        %initial: i64, %final: i64, %threads: i64) attributes {llvm.emit_c_interface} {
      omp.parallel num_threads(%n : i32) {
        omp.wsloop { omp.loop_nest (%item) : index = (%c0) to (%items) step (%c1) {
          scf.for %c = %c0 to %chunks step %c1 iter_args(%S = %S0) -> (tensor<32x32xf32>) {
            (rows of q to a local f32 buffer, the last valid row repeated; body; the first count rows of o stored)
    ```

    Arguments: the inputs, the outputs, for every state its initial and its final value, the bit masks of the states that are
    given and wanted, and the number of threads (0: the OpenMP default). An array [B, T, H, ...] may have any strides (the
    innermost is 1) and, for inputs, a number of heads that divides H. Element types are f32, bf16 or f16 for tokens and outputs
    (converted on load and store) and f32 for parameters and states.

    With `block=V` the body was made for a part of V: the kernel also loops over the V / (size in the body) blocks.

    A body of one token (attribute `rondo.step`, from `rondo-derive{form=step}`) becomes a step kernel: for every state one array
    that holds its value before the call and after, and one [B, H, T, ...] for the value after each token; then the bit mask
    of the states that are wanted after each token, and the number of threads; before these two the caller's scratch (see
    `rondo-plan-scratch`). States and parameters are used where the
    caller has them. A function `<mixer>_step_item` does one head; calls too small to be worth threads run without OpenMP.

    The attribute `rondo.arrays` of the kernel lists name, role, type and sizes of its arrays for callers.

    Refuses a body whose arguments are not static f32 tensors with `rondo.name` and `rondo.role`, or whose results are
    not its outputs followed by its states.

    Numerics: exact in f32; bf16 and f16 outputs are rounded to nearest even.
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"f32\"", "element type of token arguments and outputs: f32, bf16 or f16">,
    ListOption<"dtypes", "dtypes", "std::string", "NAME=TYPE for single arguments and outputs">,
    Option<"block", "block", "std::string", "\"\"", "name of the size that is split into column blocks">,
    Option<"keepEvery", "keep-every", "int64_t", "1", "chunks between the states that a backward kernel keeps">
  ];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::omp::OpenMPDialect", "::mlir::scf::SCFDialect", "::mlir::linalg::LinalgDialect"];
}

def RondoConvertToLLVM : Pass<"rondo-convert-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert vector code to the LLVM dialect";
  let description = [{
    One dialect conversion for everything that a kernel is made of after vectorization: arith, cf, func, math, memref, omp, ub
    and vector (masks included). Structured control flow and `memref.subview` must be gone (`convert-scf-to-cf`,
    `expand-strided-metadata`). One pass instead of eight, because the time to compile counts.

    ```mlir
    %0 = vector.load %m[%i] : memref<64xf32>, vector<8xf32>
    ```
    ==>
    ```mlir
    %1 = llvm.getelementptr %p[%j] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %2 = llvm.load %1 : !llvm.ptr -> vector<8xf32>
    ```

    Fails on an operation without a conversion, with its name.

    Numerics: exact; sums over a vector keep their order.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def RondoFoldTileFactors : Pass<"rondo-fold-tile-factors", "::rondo::tile::KernelOp"> {
  let summary = "Make one factor of what a Gram matrix is multiplied and masked with";
  let description = [{
    A product (`tile.mma`) that is multiplied with decays between tokens, vectors along its rows and numbers, and masked below the diagonal, is
    multiplied once: with `tile.interval_products` that has the rows, the number, the diagonal and the zeros above in it.

    ```mlir
    %d = tile.interval_products %tables
    %x = arith.mulf %gram, %number
    %y = arith.mulf %x, (arith.mulf %d, (tile.broadcast %rows))
    %z = arith.select (column < row), %y, (arith.select (column = row), %x, %zero)
    ```
    ==>
    ```mlir
    %d = tile.interval_products %tables rows %rows {scale = number, diagonal = number}
    %z = arith.mulf %gram, %d
    ```

    A `tile.inverse` of such a product reads it below the diagonal only, and with the other sign: the zeros go, and the sign into the factor.

    A row factor on the diagonal other than 0, a factor along columns, a sum, or a release of the tables before the end of the expression leaves
    it as it is.

    Numerics: reassociates factors. Above the diagonal it multiplies with 0 instead of choosing 0: the same as long as the product is finite.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::rondo::tile::TileDialect"];
}

def RondoFuseElementwise : Pass<"rondo-fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "Compute elementwise values where they are used";
  let description = [{
    Fuses a `linalg.generic` into its only user when nothing is computed more often than before: both run over equally many
    points, or the producer only moves values.

    ```mlir
    %0 = linalg.generic {x * y} ins(%x, %y)
    %1 = linalg.generic {exp(x)} ins(%0)
    ```
    ==>
    ```mlir
    %1 = linalg.generic {exp(x * y)} ins(%x, %y)
    ```

    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def RondoLowerDecay : Pass<"rondo-lower-decay", "::mlir::func::FuncOp"> {
  let summary = "Turn products of decays into loops and matrix products";
  let description = [{
    Lowers `chunk.cumprod`, `chunk.total`, `chunk.interval_products`, `chunk.decayed_gram`, `chunk.decayed_apply` and
    `chunk.decay_adjoint` to linalg, tensor and scf. Running products are rows carried by a loop over time; row i of the
    interval products is row i-1 times a decay. The decays per channel between two tokens,

        result[t, s] = sum_r query[t, r] (d[s+1, r] ... d[t-1, r]) key[s, r],

    are split at the boundary m of two neighbouring blocks with s < m <= t:

        late[t] = query[t] d[m] ... d[t-1],   early[s] = key[s] d[s+1] ... d[m-1],   result[t, s] = late[t] . early[s],

    a matrix product. Blocks of `leaf`, 2 `leaf`, 4 `leaf` ... rows cover all pairs but those inside one leaf, which are
    computed one by one while `early[s]` decays; in the end of that, it is what the first level needs. Gram matrices with the
    same keys and decays are computed together, the rows of their queries alternating in one matrix. `decayed_apply` is the
    mirror image: early values are multiplied by weights, sums by late decays (late values and early decays with `reverse`).

    ```mlir
    %0 = chunk.decayed_gram %q, %k, %d : tensor<32x8xf32> -> tensor<32x32xf32>
    ```
    ==>
    ```mlir
    %leaves:2 = scf.for ...                               // pairs inside a leaf, and %early
    %late = scf.for ...
    %block = linalg.contract ... ins(%late[16:32], %early[0:16]) outs(%leaves#0[16:32, 0:16])
    ```

    Every chunk size is accepted. Loops are written so that one-shot bufferization needs no copy, but of a key or value that
    is used elsewhere too.

    Numerics: reassociates products of decays and sums over channels. No logarithm, quotient or difference is formed, so that
    nothing overflows for decays in [0, 1] and a decay of 0 is exact.
  }];
  let options = [Option<"leaf", "leaf", "int64_t", "16", "rows of the blocks whose pairs are computed one by one">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def RondoLowerScan : Pass<"rondo-lower-scan", "::mlir::func::FuncOp"> {
  let summary = "Turn scans and short chunks into loops and fills";
  let description = [{
    `chunk.scan` becomes a loop over time whose body is the region: rows are slices, states are carried and updated in place,
    stacked results are written row by row and the rows from `count` on filled with zeros. `chunk.keep_rows` fills the rows from
    `count` on in place, one by one: nothing when the chunk is full.

    ```mlir
    %o, %s = chunk.scan "affine" count %n rows(%x : tensor<64x8xf32>) shared() states(%s0 : tensor<8xf32>) {
    ^bb0(%row: tensor<8xf32>, %state: tensor<8xf32>):
      %e = tensor.empty() : tensor<8xf32>
      %new = linalg.add ins(%row, %state : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
      chunk.yield %new, %new : tensor<8xf32>, tensor<8xf32>
    } -> tensor<64x8xf32>, tensor<8xf32>
    ```
    ==>
    ```mlir
    %0:2 = scf.for %t = %c0 to %n step %c1 iter_args(%os = %allocated, %state = %s0) {
      %row = tensor.extract_slice %x[%t, 0] [1, 8] [1, 1]
      %new = linalg.add ins(%row, %state) outs(%state)
      %os1 = tensor.insert_slice %new into %os[%t, 0] [1, 8] [1, 1]
      scf.yield %os1, %new
    }
    %o = ... linalg.fill on %0#0[%n:64] ...
    ```

    A new state is written over the old one where nothing reads the old one later; else it is copied there.

    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def RondoLowerSolve : Pass<"rondo-lower-solve", "::mlir::func::FuncOp"> {
  let summary = "Turn triangular solves into blocks of matrix products";
  let description = [{
    Forward substitution for X = (I + stril(A))^-1 B. For a block of rows I that starts at i0:

        B[I] -= A[I, 0:i0] X[0:i0]                      one matrix product
        X[i] = B[i] - A[i, i0:i] X[i0:i]                row after row

    ```mlir
    %x = chunk.solve %a, %b : tensor<64x64xf32>, tensor<64x128xf32>
    ```
    ==>
    ```mlir
    %negated = linalg.generic ... arith.negf
    %x:2 = scf.for %i0 = %c0 to %c64 step %c16 iter_args(%b, %x = %empty) {
      linalg.contract ins(%negated[%i0:, 0:%i0], %x[0:%i0]) outs(%b[%i0:])
      scf.for %i = ... { linalg.contract ins(%negated[%i, %i0:%i], %x[%i0:%i]) outs(%b[%i]), copied to %x[%i] }
    }
    ```

    Sizes that are no multiple of `block` have a short last block. A right-hand side with one column is solved by scalars.
    With `transposed` the same runs from the last block to the first with columns of A.

    Numerics: the sums of one row are taken block by block, in the order of the substitution.
  }];
  let options = [Option<"block", "block", "int64_t", "16", "rows that one matrix product prepares">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def RondoLowerTiles : Pass<"rondo-lower-tiles", "::mlir::ModuleOp"> {
  let summary = "Turn tile kernels into the code of their threads";
  let description = [{
    A `tile.kernel` becomes an `llvm.func` with `nvvm.kernel` in `gpu.module @cuda`. A value with a layout becomes the scalars
    that one thread holds; each operation the instructions of one thread.

    * Shared memory: swizzled tiles at multiples of 1024 bytes, plain buffers, then two mbarriers (full, empty) for each slot of each
      channel. A full barrier counts one arrival of each warp that commits and one of each copy that fetches, an empty one those of the
      warps that release.
    * Roles of whole warpgroups come first. Where `registers` are given, the warpgroups share what the kernel was launched with by
      `setmaxnreg`. Each copy of a role has a hardware barrier of its own.
    * Products of four warps are wgmma and run beside the program. A wait stands before the first other use of a result, and before
      `tile.release`, `tile.sync`, and the beginning and end of loops and branches; a product that accumulates onto one in flight does not wait.
      Products with a vector are multiply-adds on CUDA cores, any number of warps.
    * Parameters of the kernel (pointers, strides, heads, sizes, tensor maps) are made as operations need them; `rondo.launch` lists them.
      Kernels of one program have the same `rondo.arrays`; an array of role `temporary` is written by one (`tile.write_back`) and read by later ones (`tile.fetch`), and is the
      run time's.
    * With `every-lane-arrives`, all 32 lanes of a warp arrive at a barrier instead of the first one after a warp barrier, and the
      barriers count 32 times as many. The order of accesses is the same; but the racecheck of compute-sanitizer takes an arrival for
      the arriving thread's accesses only, and without this reports those of the other 31 lanes as races.

    ```mlir
    tile.kernel @m_kernel attributes {arrays = [...], chunk = 64 : i64} {
      %b = tile.alloc : !tile.shared<ring 2x64x64xbf16>
      %c = tile.make_channel : !tile.channel<2>
      tile.role "load" warps 1 { ... tile.fetch %c[%t] ["q"] to %slot at %zero : ... }
      tile.role "state" warps 4 attributes {copies = 2 : i64} { ... %o = tile.mma %s, %q : ... }
    }
    ```
    ==>
    ```mlir
    gpu.module @cuda {
      llvm.func @m_kernel(%q: !llvm.ptr {llvm.byval = ..., nvvm.grid_constant}, %T: i64, ...) attributes {nvvm.kernel, rondo.launch = {...}} {
        ... nvvm.mbarrier.init ... nvvm.barrier0 ... scf.if %state { ... } else { ... }
    ```

    Fails where shared memory (232448 bytes), hardware barriers (15), threads (1024) or registers do not suffice, on a layout that does
    not fit its role, and on an operation that has no instructions, at that operation.

    Numerics: f32 products and sums may be contracted to multiply-adds; exp is 2^(x log2 e) by the GPU's own function (exp(0) = 1 and
    exp(-inf) = 0 are exact), quotients and reciprocal square roots are within 2 units in the last place. Other functions as
    `rondo-approximate-math` has them.
  }];
  let options = [Option<"everyLaneArrives", "every-lane-arrives", "bool", "false",
                        "all lanes of a warp arrive at its barriers, for compute-sanitizer">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect"];
}

def RondoMapToThreads : Pass<"rondo-map-to-threads", "::mlir::func::FuncOp"> {
  let summary = "Turn a kernel on buffers into the program of one GPU thread";
  let description = [{
    The items of the kernel's parallel loop (a head, or a column block of one) go to thread blocks, and everything inside to
    the `threads` threads of a block. Every structured operation becomes loops: iteration number i of its parallel loops, the
    result's innermost dimension running fastest, belongs to thread i mod `threads`; reduction loops run inside a thread. Sums
    with enough results take up to 4 x 4 of them a thread, so that an element once loaded serves several products; a fill
    before a sum becomes its beginning. Loops of the kernel whose iterations are independent (rows that are loaded or stored)
    are spread along with the operation inside. All other control flow is the same for all threads; single elements are
    stored by thread 0. Prefetches disappear.

    A barrier stands before a loop or an operation that touches an element which another thread may have touched since the last barrier,
    in this iteration of the loops around it or an earlier one. Accesses are compared by their places in the arena: different
    buffers, different rows and different iterations of a loop over rows do not meet; and no barrier is needed where both
    operations run over the same iterations in the same order, for then the same thread touches the same element.

    ```mlir
    omp.parallel { %arena = memref.alloc() : memref<256xi8> ... omp.loop_nest (%item) ... {
      linalg.generic {exp} ins(%a : memref<64xf32>) outs(%b : memref<64xf32>)
    ```
    ==>
    ```mlir
    %arena = memref.alloc() : memref<64xf32>
    scf.for %item = %block_id to %items step %blocks {
      gpu.barrier
      %mine = arith.cmpi ult, %thread, %c64_i32 : i32
      scf.if %mine {
        %x = memref.load %arena[%i] ... memref.store %e, %arena[%j]
    ```

    What remains is scf, loads and stores of elements of the arena and of the arguments, arith, math and the `gpu`
    identifiers. `rondo-threads-to-nvvm` makes a GPU kernel of it, `rondo-threads-to-openmp` runs it on a CPU. Places in the
    arena are computed with 32 bits, those in arguments with 64.

    Refuses buffers that it cannot follow to the arena or an argument, scratch that is not f32, and operations that are neither
    structured, nor control flow, nor free of effects ("has no form for the threads of a GPU").

    Numerics: sums keep their order; products inside them are contracted to multiply-adds.
  }];
  let options = [Option<"threads", "threads", "int64_t", "256", "threads of a block">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def RondoThreadsToNVVM : Pass<"rondo-threads-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Turn the program of one thread into a GPU kernel";
  let description = [{
    A function that `rondo-map-to-threads` has written becomes an `llvm.func` with `nvvm.kernel` in `gpu.module @cuda`. Arrays
    become pointers and strides; the arena becomes dynamic shared memory if it has at most `most-shared` bytes, else a part of a
    workspace in global memory for each block, of which there are then at most `most-blocks`. The attribute `rondo.launch`
    tells the host what to pass:

        threads, shared (bytes), blocks (for each batch entry and head), maxBlocks (0: no limit), workspace (bytes a block),
        params: kind = pointer | stride | heads | size | workspace, with array and dim

    States are two arrays, `S.initial` and `S.final`, whose pointers are null where the caller has none.

    ```mlir
    func.func @m_kernel(%q: memref<?x?x?x?xf32, strided<[?, ?, ?, 1], offset: ?>>, ...) { ... gpu.barrier ... }
    ```
    ==>
    ```mlir
    gpu.module @cuda {
      llvm.func @m_kernel(%q: !llvm.ptr, %q_B: i64, %q_T: i64, %q_H: i64, ...) attributes {nvvm.kernel, rondo.launch = {...}} {
        ... nvvm.barrier0 ...
    ```

    With a size in column blocks (`rondo.block`), `blocks` of them make the whole. Values of a token with two dimensions, parameters and
    states are contiguous after their leading dimensions.

    Refuses kernels that are not forward kernels ("has no launch on a GPU").

    Numerics: exp is 2^(x log2 e) by the GPU's own function, to a few units in the last place of its argument; exp(0) = 1 and
    exp(-inf) = 0 are exact. Other functions as `rondo-approximate-math` has them.
  }];
  let options = [Option<"blocks", "blocks", "int64_t", "1", "column blocks of a head">,
                 Option<"mostShared", "most-shared", "int64_t", "204800", "bytes of scratch that shared memory may hold">,
                 Option<"mostBlocks", "most-blocks", "int64_t", "264", "thread blocks when scratch is in global memory">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect", "::mlir::cf::ControlFlowDialect"];
}

def RondoThreadsToOpenMP : Pass<"rondo-threads-to-openmp", "::mlir::ModuleOp"> {
  let summary = "Run the program of one GPU thread on a CPU, to test it";
  let description = [{
    The threads of a block become the threads of an OpenMP team, a barrier of the block one of the team; one block does all
    items. The function keeps its arguments, so that it can be called like a CPU kernel: what `rondo-map-to-threads` has made is
    tested without a GPU.

    ```mlir
    %t = gpu.thread_id x
    gpu.barrier
    ```
    ==>
    ```mlir
    omp.parallel num_threads(%n : i32) {
      %t = call @omp_get_thread_num() : () -> i32
      omp.barrier
    ```

    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::omp::OpenMPDialect"];
}

def RondoOutlineOperations : Pass<"rondo-outline-operations", "::mlir::ModuleOp"> {
  let summary = "Move large structured operations into functions that equal ones share";
  let description = [{
    A chunk body repeats itself: the same product on other buffers. Every structured operation on buffers with at least `min-points`
    points becomes a call of a private function that is never inlined; operations that differ only in their buffers' places share
    one. LLVM also needs less time for many small functions than for a single one. A fill with zero goes along with the sum that
    it prepares. Run before `rondo-vectorize`.

    ```mlir
    linalg.contract ... ins(%a, %b : memref<64x64xf32>, memref<64x128xf32>) outs(%o : memref<64x128xf32>)
    linalg.contract ... ins(%c, %d : memref<64x64xf32>, memref<64x128xf32>) outs(%p : memref<64x128xf32>)
    ```
    ==>
    ```mlir
    call @sum_64x128x64(%a, %b, %o)
    call @sum_64x128x64(%c, %d, %p)
    ```

    Numerics: exact.
  }];
  let options = [Option<"minPoints", "min-points", "int64_t", "1024", "points of the smallest operation that is moved">];
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect"];
}

def RondoPlanScratch : Pass<"rondo-plan-scratch", "::mlir::func::FuncOp"> {
  let summary = "Place the local buffers of a kernel in one arena a thread";
  let description = [{
    Every static `memref.alloc` of an `omp.parallel` region becomes a view of one arena that each thread allocates once. A
    buffer lives from its first to its last use (views included) in the linear order of its block; two buffers
    whose lives do not meet may share bytes. The largest buffer is placed first, each at the lowest offset (a multiple of 64)
    that is free during its life. No size depends on T.

    ```mlir
    omp.parallel { ... %a = memref.alloc() : memref<64xf32> ... }
    ```
    ==>
    ```mlir
    omp.parallel {
      %arena = memref.alloc() {alignment = 64 : i64} : memref<256xi8>
      ... %a = memref.view %arena[%c0][] : memref<256xi8> to memref<64xf32> ...
      memref.dealloc %arena
    ```

    The function that a step kernel calls for each head (attribute `rondo.item`) allocates nothing: its arena is on the stack when
    it has at most 256 KiB, else in the caller's scratch, an argument, at the thread's number times the size;
    `rondo.caller_scratch_bytes` tells this size.

    The attribute `rondo.scratch_bytes` of the function reports the size of the arena.

    Refuses a buffer of dynamic size ("local buffer needs a static size") and one that leaves the iteration it is allocated in
    ("local buffer outlives its loop iteration").

    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def RondoScheduleTiles : Pass<"rondo-schedule-tiles", "::mlir::ModuleOp"> {
  let summary = "Turn chunk bodies into kernels of tiles, one role for each kind of work";
  let description = [{
    A thread block works on one (batch entry, head). The values of the chunk body are dealt out to roles by what they depend on:

    * *load*: TMA brings the token arrays, some chunks ahead;
    * *gates*: numbers of the tokens (decays, their running products, scalar states), in the lanes of a warp;
    * *products*: matrices [C, C] that depend on no state (Gram matrices, their masks and decays, triangular inverses), ahead of the states;
    * *state*: for a matrix state S everything that depends on it. Nothing is ever summed over one of its axes, the free axis: this axis runs
      along the rows of fragments, S^T stays in registers, and each product

          X^T = S^T k^T     U^T = R^T A^T     O^T += U^T P^T     S^T += U^T k

      has a fragment on the left (the rounded result of the one before: no data moves) and on the right a tile;
    * *vectors*: vector states, in f32 on CUDA cores: two warps beside those for TMA and gates;
    * *octets*: with a decay d[t, r] for each channel, everything of shape [C, K] that depends on no state. The state's products are

          S^T (q * prefix)^T     V^T P^T     S^T <- S^T diag(total) + V^T (k * suffix)

      and none of these right operands has the axis V. Eight warps make them in blocks of 64 channels (`tile.decayed_factors`, `tile.decayed_gram`); P and sums over
      channels are carried from block to block. The tiles take the slots of token arrays that only this role reads, and whoever reads the tiles frees the slots.

    Values are made where they are asked for, from the results backwards; what crosses roles goes through rings in shared memory with a
    channel each. `chunk.solve` becomes a product with the inverse, which the *products* role makes. Columns of the free axis are split over warpgroups, and over thread blocks
    when there are many. Rows after the last token read 0; where that does not give the value that `chunk.keep_rows` asks for, the last chunk is masked. Columns
    beyond the last of a tile that is a function of token arrays are 0 too, whatever the function of 0. Scalars of the tokens are read from device memory a chunk ahead.

    Values of tokens, [C, N] or [C], that depend on no state and have no form here (sums over the channels of a token, what turns pairs of channels, what a scan makes), go into a kernel of their own:
    the body of it, with `rondo.prepare`, stands before the kernel of tiles, which reads them as token arrays. They are found by trying: the innermost value that stood in the way is taken out, as often as
    one does (eight times at most), so that a sum is handed over and not the vector that it scales. A vector of the chunk that multiplies the columns of a state (a rotation over the whole chunk) is handed over as well.
    A vector that is multiplied with other tokens' vectors (a matrix [C, C]) is rounded when it is handed over, so a q.k that cancels has an error relative to |q| |k|. Over many tokens that is
    little against the output; with a few nothing hides it. So in the first chunk of a sequence what rounding has lost is handed over as well (`rondo.lost`: of which array; 0 in other chunks), and the
    product becomes three: q k^T + lost(q) k^T + q lost(k)^T. It comes to the slots of the vectors themselves, the last ones, which a later chunk needs.
    A vector that the products role itself makes and rounds (q - d p) loses as much: lost(q - d p) k^T comes before the product, in the first chunk and in the slot that the vectors of the second will
    have. Not where the product is the matrix of a triangular system: the identity is added to it, so that nothing cancels (`lib/Conversion/Schedule/Lost.cpp`).

    ```mlir
    func.func @m(%n, %q, %k, %v, %beta, %S) { %norm = linalg.contract ins(%k, %k) -> [C] ... }
    ```
    ==>
    ```mlir
    func.func @m_prepare(%n, %k) -> (%norm {rondo.name = "temporary_0"}) attributes {rondo.kernel = "m_kernel_0", rondo.prepare}
    tile.kernel @m_kernel_1 { ... tile.load_tokens "temporary_0" ... }
    ```

    A body that has a value of another kind (no matrix state, several, decays by channel along the free axis, matrices a token, sizes above 256, f32 arrays) is left as it is with a remark, or is an error
    with `required`: the CUDA-core path takes it.

    Numerics: narrows operands of products to the arrays' 16-bit type, once each, accumulates in f32; states, decays and vectors are f32. Token vectors that are handed over are narrowed, numbers are not. Reassociates.
    `expm1(x) + 1` is `exp(x)`.
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"bf16\"", "element type of token arguments and outputs: bf16 or f16">,
    ListOption<"dtypes", "dtypes", "std::string", "NAME=TYPE for single arguments and outputs">,
    Option<"required", "required", "bool", "false", "a body that does not fit is an error">
  ];
  let dependentDialects = ["::rondo::tile::TileDialect", "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

def RondoLowerPrepare : Pass<"rondo-lower-prepare", "::mlir::ModuleOp"> {
  let summary = "Turn bodies without states into kernels that go through tokens row by row";
  let description = [{
    What `rondo-schedule-tiles` has taken out of a chunk body (a function with `rondo.prepare`) depends on no state, so chunks run at the same time. A
    warp takes a piece of the tokens of a batch entry and head: a chunk if a scan runs over it, else 16 tokens. It goes through them one after the other, with the
    next row on its way from memory.

    ```mlir
    func.func @m_prepare(%n: index, %k: tensor<64x128xf32> {rondo.name = "k", rondo.role = "token"})
        -> (tensor<64xf32> {rondo.name = "temporary_0", rondo.role = "output"}) attributes {rondo.chunk = 64, rondo.prepare,
        rondo.kernel = "m_kernel_0", rondo.program = [...]} {
      %norm = linalg.contract ins(%k, %k) ...     // the sum over the channels of a row
      return %norm
    }
    ```
    ==>
    ```mlir
    llvm.func @m_kernel_0(...) attributes {nvvm.kernel, rondo.launch = {blocks = 16, threads = 128, ...}} {
      scf.for piece of this warp
        row = k[first token]
        scf.for token of the piece
          next = k[token + 1]
          norm = row[0] * row[0] + ...            // 4 of 128 channels a lane; then five shuffles
          temporary_0[token] = norm
    ```

    A lane has N/32 neighbouring channels of a vector [N]; numbers are in all lanes. Elementwise operations, sums, products, maxima and minima over channels, every n-th
    channel of a vector (`tensor.extract_slice`, `tensor.insert_slice`) and scans along time have this form, nothing else has: `rondo-schedule-tiles` takes out only what has it. A result
    of role `total` is a vector [N] of a chunk, known after its last row; it goes to the row of the chunk's first token. One of role `first` is written for the tokens of the first chunk only. Token vectors need 16-byte aligned rows, as those that TMA reads: the host
    checks it.

    Numerics: sums over channels in another order; narrows vectors to the 16-bit type of the arrays. Numbers and totals are f32.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::gpu::GPUDialect", "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

def RondoSplitCascade : Pass<"rondo-split-cascade", "::mlir::ModuleOp"> {
  let summary = "Split a chunk body with several matrix states into bodies with one each";
  let description = [{
    A kernel of tiles keeps one matrix state in registers. Where states form a cascade, the values of a token that one makes
    are arguments of the next:

        S <- S + k k^T     r = S^T q     F <- F + r v^T     o = F^T q

    becomes two kernels, which run one after the other over all chunks: the first carries S and writes r for every token, the second
    carries F and reads it.

    ```mlir
    func.func @m(%n: index, %q, %k, %v, %S, %F) -> (%o, %S1, %F1)
    ```
    ==>
    ```mlir
    func.func @m_part_0(%n: index, %q, %k, %S) -> (%r {rondo.name = "temporary_0"}, %S1)
    func.func @m_part_1(%n: index, %q, %v, %r {rondo.name = "temporary_0"}, %F) -> (%o, %F1)
    ```

    States are taken in the order of their dependence; a vector or scalar state goes with the last matrix state that it needs, else with the
    first that needs it. What a part needs of earlier ones is handed over as late as it is a value for each token, [C, N] or [C]: so a difference
    is taken before it is rounded, and a softmax made where its read is. Matrices [C, C], scales, `chunk.keep_rows`, products of decays that are read of a
    state, and dot products with a vector that is handed over anyway are computed again from what is handed over, and what
    depends on no state is computed in each part. Rows after the last token are not in memory; where `chunk.keep_rows` gave them a value, they are
    given it again. `rondo.kernel` is the name of the kernel that a part becomes, `rondo.program` lists the arrays of all: those that
    are handed over have the role `temporary`.

    A body stays whole, with the reason in `rondo.whole`, when two states depend on each other, or when an update or output needs two matrix states
    themselves (S <- S + M: nothing of M is a value for each token).

    Numerics: narrows what is handed over, vectors to the 16-bit type of the arrays, as a product of tiles narrows its operands; numbers [C] stay f32.
  }];
  let dependentDialects = ["::rondo::chunk::ChunkDialect", "::mlir::func::FuncDialect"];
}

def RondoSplitProducts : Pass<"rondo-split-products", "::mlir::ModuleOp"> {
  let summary = "Products of tokens with decays by channel, and inverses of systems of them, in a kernel before that of the state";
  let description = [{
    With a decay for each channel, a chunk's matrices [C, C] and the inverse of its triangular system are most of the work, and none of it
    depends on the state:

        P = decayed products of q and k     A = (I + stril(beta * decayed products of k))^-1 diag(beta)
        U = A (V - K~ S)     O = Q~ S + P U     S <- diag(total) S + K^^T U

    A kernel that does all has neither registers nor shared memory for two warpgroups of state. So two kernels run one after the other over all
    tokens: the first writes A and P, a row of each for a token; the second reads them and has the state, and of the decays only what is one
    value for a token and channel. A system is solved by a product with its inverse (`chunk.inverse`); where the rows of its right-hand side have a common factor
    (beta above, also with signs), the inverse's columns take it.

    ```mlir
    func.func @m(%n: index, %q, %k, %v, %g, %beta, %S) -> (%o, %S1) {rondo.chunk = 64}
    ```
    ==>
    ```mlir
    func.func @m_part_0(%n: index, %q, %k, %g, %beta) -> (%A {rondo.name = "temporary_0", rondo.square}, %P {..}) {rondo.chunk = 32}
    func.func @m_part_1(%n: index, %q, %k, %v, %g, %A {rondo.name = "temporary_0", rondo.square}, %P {..}, %S) -> (%o, %S1) {rondo.chunk = 32}
    ```

    Chunks have 32 tokens then: a quarter of the products. An array [B, T, H, C] holds a matrix of each chunk (`rondo.square`); rows after the last
    token are not in memory and read as zeros, which is what they add.

    A body stays whole when it has no such system, a system depends on a state or is transposed, or it has an operation that depends on the
    number of tokens in a chunk (numbers of tokens that run through it, scans).

    Numerics: narrows the matrices to the 16-bit type of the arrays, as a product of tiles narrows its operands; the factor of the rows goes from the
    right-hand side to the inverse before both are rounded: reassociates.
  }];
  let dependentDialects = ["::rondo::chunk::ChunkDialect", "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RondoVectorize : Pass<"rondo-vectorize", "::mlir::func::FuncOp"> {
  let summary = "Turn structured operations on buffers into loops over vectors";
  let description = [{
    Lowers every structured (`linalg`) operation and `memref.copy` on buffers, of any strides, to `scf`, `vector`, `memref`,
    `arith` and `math` operations.

    *Products* C[m, n] += sum_k A[m, k] B[k, n] (`+` or `-`, any layout, several outer loops and sums, one extent may be
    dynamic): a tile of C, 6 x 16 elements with 256-bit vectors and 8 x 32 with 512, stays in registers while k runs. A panel of
    B whose columns are not neighbours is transposed into a local buffer once. Any size is accepted; what does not
    fill a tile gets a smaller one, and the last columns a mask. A fill of C with zero right before disappears. The hint
    `chunk.causal = "result"` skips tiles above the diagonal (zero if the fill disappeared), `"lhs"` ends each sum at the diagonal and
    `"lhs-transposed"` begins it there.

    *Everything else*: one loop becomes vectors: the one that costs least per element, judged by the strides of the operands. A
    parallel loop gives vector loads and stores, a reduction loop vector accumulators that are summed at the end.
    Operations without such a loop become scalar loops.

    ```mlir
    linalg.contract ... ins(%q, %k : memref<64x128xf32>, memref<64x128xf32>) outs(%p : memref<64x64xf32>)
    ```
    ==>
    ```mlir
    scf.for %j = %c0 to %c64 step %c16 {
      (128 x 16 elements of k transposed into %packed)
      scf.for %i = %c0 to %c60 step %c6 {
        %tile:12 = scf.for %r = %c0 to %c128 step %c1 iter_args(...) -> (vector<8xf32>, ...) {
          ... vector.broadcast, vector.load, vector.fma
    ```

    The result needs `cse` (index arithmetic is emitted where it is used), `rondo-approximate-math`, `expand-strided-metadata`,
    `lower-affine`, `convert-scf-to-cf` and `rondo-convert-to-llvm`. LLVM should not unroll or vectorise the loops again
    (`PipelineTuningOptions`): that only costs time.

    Fails on an operation on tensors ("works on tensors; bufferize before rondo-vectorize").

    Numerics: sums are reassociated and multiply-adds contracted.
  }];
  let options = [Option<"vectorWidth", "vector-width", "int64_t", "256", "bits of a vector register: 128, 256 or 512">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

#endif // RONDO_CONVERSION_PASSES_TD
