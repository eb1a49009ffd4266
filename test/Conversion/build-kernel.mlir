// RUN: rondo-opt %s --rondo-build-kernel="dtype=bf16 dtypes=g=f32" | FileCheck %s
// RUN: rondo-opt %s --rondo-build-kernel="block=V" | FileCheck %s --check-prefix=BLOCK

// Arguments: inputs, outputs, initial and final state, two masks and the number of threads.
// CHECK-LABEL: func.func @sum_kernel(
// CHECK-SAME:    %[[V:[^:]*]]: memref<?x?x?x?xbf16, strided<[?, ?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[G:[^:]*]]: memref<?x?x?xf32, strided<[?, ?, ?], offset: ?>>
// CHECK-SAME:    %[[W:[^:]*]]: memref<?x?xf32, strided<[?, 1], offset: ?>>
// CHECK-SAME:    %[[O:[^:]*]]: memref<?x?x?x?xbf16, strided<[?, ?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[S0:[^:]*]]: memref<?x?x?xf32, strided<[?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[S1:[^:]*]]: memref<?x?x?xf32, strided<[?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[INITIAL:[^:]*]]: i64, %[[FINAL:[^:]*]]: i64, %[[THREADS:[^:]*]]: i64)
// CHECK-SAME:    llvm.emit_c_interface
// CHECK:         memref.dim %[[O]]
// CHECK:         %[[CHUNKS:.*]] = arith.ceildivui
// CHECK:         omp.parallel num_threads(%{{.*}} : i32)
// CHECK:           omp.wsloop
// CHECK:             omp.loop_nest
// The initial state is the given one or the constant.
// CHECK:               scf.if
// CHECK:                 memref.subview %[[S0]]
// CHECK:               } else {
// CHECK:                 linalg.fill
// CHECK:               %[[START:.*]] = bufferization.to_tensor %{{.*}} restrict writable
// CHECK:               %[[END:.*]] = scf.for %{{.*}} to %[[CHUNKS]] {{.*}} iter_args(%[[STATE:.*]] = %[[START]])
// Rows after the last token are copies of it.
// CHECK:                 %[[COUNT:.*]] = arith.minui
// CHECK:                 %[[LAST:.*]] = arith.subi %[[COUNT]]
// CHECK:                 scf.for %[[T:.*]] = %{{.*}}
// CHECK:                   arith.minui %[[T]], %[[LAST]]
// CHECK:                   memref.subview %[[V]]
// CHECK:                   linalg.generic
// CHECK:                     arith.extf %{{.*}} : bf16 to f32
// The row of the next chunk is on its way meanwhile.
// CHECK:                   memref.prefetch {{.*}}, read
// CHECK:                 scf.for
// CHECK:                   memref.load
// What the output needs comes before the new state.
// CHECK:                 linalg.mul ins(%{{.*}}, %[[STATE]] :
// CHECK:                 linalg.add
// CHECK:                 scf.for %{{.*}} to %[[COUNT]]
// CHECK:                   arith.bitcast %{{.*}} : i16 to bf16
// CHECK:                   memref.prefetch {{.*}}, write
// CHECK:                 %[[NEW:.*]] = bufferization.materialize_in_destination %{{.*}} in %[[STATE]]
// CHECK:                 scf.yield %[[NEW]]
// CHECK:               bufferization.to_buffer %[[END]] read_only
// CHECK:               scf.if
// CHECK:                 memref.subview %[[S1]]

// Column blocks: V of the arrays over V of the body.
// BLOCK-LABEL: func.func @sum_kernel(
// BLOCK-SAME:    rondo.block = "V"
// BLOCK:         %[[SIZE:.*]] = memref.dim %{{.*}}, %c3
// BLOCK:         %[[BLOCKS:.*]] = arith.divui %[[SIZE]], %c16
// BLOCK:         omp.loop_nest (%[[ITEM:.*]]) : index
// BLOCK:           %[[AT:.*]] = arith.remui %[[ITEM]], %[[BLOCKS]]
// BLOCK:           arith.muli %[[AT]], %c16
func.func @sum(%count: index,
    %v: tensor<8x16xf32> {rondo.name = "v", rondo.role = "token", rondo.dims = ["V"]},
    %g: tensor<8xf32> {rondo.name = "g", rondo.role = "token", rondo.dims = []},
    %w: tensor<16xf32> {rondo.name = "w", rondo.role = "param", rondo.dims = ["V"]},
    %S: tensor<16xf32> {rondo.name = "S", rondo.role = "state", rondo.dims = ["V"], rondo.init = 1.0 : f64})
    -> (tensor<8x16xf32> {rondo.name = "o", rondo.role = "output", rondo.dims = ["V"]},
        tensor<16xf32> {rondo.name = "S", rondo.role = "state", rondo.dims = ["V"]})
    attributes {rondo.chunk = 8 : i64} {
  %e = tensor.empty() : tensor<16xf32>
  %eo = tensor.empty() : tensor<8x16xf32>
  %new = linalg.add ins(%w, %S : tensor<16xf32>, tensor<16xf32>) outs(%e : tensor<16xf32>) -> tensor<16xf32>
  %row = linalg.mul ins(%w, %S : tensor<16xf32>, tensor<16xf32>) outs(%e : tensor<16xf32>) -> tensor<16xf32>
  %all = linalg.broadcast ins(%row : tensor<16xf32>) outs(%eo : tensor<8x16xf32>) dimensions = [0]
  return %all, %new : tensor<8x16xf32>, tensor<16xf32>
}
