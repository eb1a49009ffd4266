// RUN: rondo-opt %s --rondo-build-kernel="dtype=bf16" | FileCheck %s
// RUN: rondo-opt %s --rondo-build-kernel --rondo-fuse-elementwise --rondo-bufferize-kernel --cse --canonicalize | FileCheck %s --check-prefix=INPLACE

// One head: rows are converted, the parameter and the state are used where they are, and the state after the token is
// stored where it is wanted.
// CHECK-LABEL: func.func private @sum_step_item(
// CHECK-SAME:    %[[V:[^:]*]]: memref<?x?x?x?xbf16, strided<[?, ?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[W:[^:]*]]: memref<?x?xf32, strided<[?, 1], offset: ?>>
// CHECK-SAME:    %[[O:[^:]*]]: memref<?x?x?x?xbf16, strided<[?, ?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[S:[^:]*]]: memref<?x?x?xf32, strided<[?, ?, 1], offset: ?>>
// CHECK-SAME:    %[[HISTORY:[^:]*]]: memref<?x?x?x?xf32, strided<[?, ?, ?, 1], offset: ?>>
// CHECK-SAME:    %{{.*}}: memref<?xi8>, %[[MASK:[^:]*]]: i64, %{{.*}}: index, %{{.*}}: index)
// CHECK-SAME:    rondo.item
// CHECK:         %[[TOKENS:.*]] = memref.dim %[[O]]
// CHECK:         %[[MEMORY:.*]] = memref.subview %[[S]]
// CHECK-NOT:     memref.alloc
// CHECK:         %[[START:.*]] = bufferization.to_tensor %[[MEMORY]] restrict writable
// CHECK:         scf.for %{{.*}} to %[[TOKENS]] {{.*}} iter_args(%[[STATE:.*]] = %[[START]])
// CHECK:           %[[PARAM:.*]] = memref.subview %[[W]]
// CHECK:           bufferization.to_tensor %[[PARAM]] restrict :
// CHECK:           %[[MASKED:.*]] = arith.andi %[[MASK]]
// CHECK:           %[[WANTED:.*]] = arith.cmpi ne, %[[MASKED]]
// CHECK:           scf.if %[[WANTED]]
// CHECK:             memref.subview %[[HISTORY]]
// CHECK:           scf.yield

// Large calls on several threads, small ones without OpenMP.
// CHECK-LABEL: func.func @sum_step_kernel(
// CHECK-SAME:    %[[MASK:[^:]*]]: i64, %[[THREADS:[^:]*]]: i64)
// CHECK-SAME:    rondo.step = @sum_step_item
// CHECK:         scf.if
// CHECK:           omp.parallel
// CHECK:             %[[THREAD:.*]] = func.call @omp_get_thread_num()
// CHECK:             func.call @sum_step_item
// CHECK:         } else {
// CHECK-NOT:       omp
// CHECK:           scf.for
// CHECK:             func.call @sum_step_item

// Bufferized, the sum is made in the caller's state.
// INPLACE-LABEL: func.func private @sum_step_item(
// INPLACE:         %[[MEMORY:.*]] = memref.subview %arg3
// INPLACE:         linalg.generic {{.*}} outs(%[[MEMORY]] :
// INPLACE-NOT:     memref.copy
// INPLACE-LABEL: func.func @sum_step_kernel(
func.func @sum_step(%count: index, %v: tensor<1x32xf32> {rondo.name = "v", rondo.role = "token", rondo.dims = ["V"]},
                    %w: tensor<32xf32> {rondo.name = "w", rondo.role = "param", rondo.dims = ["V"]},
                    %S: tensor<32xf32> {rondo.name = "S", rondo.role = "state", rondo.dims = ["V"], rondo.init = 0.0 : f64})
    -> (tensor<1x32xf32> {rondo.name = "o", rondo.role = "output", rondo.dims = ["V"]},
        tensor<32xf32> {rondo.name = "S", rondo.role = "state", rondo.dims = ["V"]})
    attributes {rondo.chunk = 1 : i64, rondo.step} {
  %row = tensor.extract_slice %v[0, 0] [1, 32] [1, 1] : tensor<1x32xf32> to tensor<32xf32>
  %next = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                          iterator_types = ["parallel"]}
      ins(%row, %w : tensor<32xf32>, tensor<32xf32>) outs(%S : tensor<32xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %p = arith.mulf %x, %y : f32
    %r = arith.addf %s, %p : f32
    linalg.yield %r : f32
  } -> tensor<32xf32>
  %e = tensor.empty() : tensor<1x32xf32>
  %o = tensor.insert_slice %next into %e[0, 0] [1, 32] [1, 1] : tensor<32xf32> into tensor<1x32xf32>
  return %o, %next : tensor<1x32xf32>, tensor<32xf32>
}
