// RUN: rondo-opt %s --rondo-bufferize-kernel --canonicalize | FileCheck %s

#id = affine_map<(t) -> (t)>

// A value is computed in the memory that it is for.
// CHECK-LABEL: func.func @in_place(
// CHECK-SAME:    %[[X:[^:]*]]: memref<64xf32>, %[[Y:[^:]*]]: memref<64xf32>)
// CHECK-NOT:     memref.alloc
// CHECK:         linalg.generic {{.*}} ins(%[[X]] : memref<64xf32>) outs(%[[Y]] : memref<64xf32>)
// CHECK-NOT:     linalg.generic
func.func @in_place(%x: memref<64xf32>, %y: memref<64xf32>) {
  %t = bufferization.to_tensor %x restrict : memref<64xf32> to tensor<64xf32>
  %e = tensor.empty() : tensor<64xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%t : tensor<64xf32>) outs(%e : tensor<64xf32>) {
  ^bb0(%a: f32, %out: f32):
    %p = math.exp %a : f32
    linalg.yield %p : f32
  } -> tensor<64xf32>
  bufferization.materialize_in_destination %0 in restrict writable %y : (tensor<64xf32>, memref<64xf32>) -> ()
  return
}

// A copy that must be is a structured operation.
// CHECK-LABEL: func.func @copy(
// CHECK-SAME:    %[[X:[^:]*]]: memref<64xf32>, %[[Y:[^:]*]]: memref<64xf32>)
// CHECK-NOT:     memref.copy
// CHECK:         linalg.generic {{.*}} ins(%[[X]] : memref<64xf32>) outs(%[[Y]] : memref<64xf32>)
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      linalg.yield %[[IN]]
func.func @copy(%x: memref<64xf32>, %y: memref<64xf32>) {
  %t = bufferization.to_tensor %x restrict : memref<64xf32> to tensor<64xf32>
  bufferization.materialize_in_destination %t in restrict writable %y : (tensor<64xf32>, memref<64xf32>) -> ()
  return
}

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// Each product starts from a fill of its own, not from a copy of a common one.
// CHECK-LABEL: func.func @common_fill(
// CHECK-NOT:     linalg.generic
// CHECK:         linalg.fill {{.*}} outs(%[[FIRST:.*]] : memref<8x8xf32>)
// CHECK-NEXT:    linalg.contract {{.*}} outs(%[[FIRST]] : memref<8x8xf32>)
// CHECK:         linalg.fill {{.*}} outs(%[[SECOND:.*]] : memref<8x8xf32>)
// CHECK-NEXT:    linalg.contract {{.*}} outs(%[[SECOND]] : memref<8x8xf32>)
// CHECK-NOT:     linalg.generic
func.func @common_fill(%x: memref<8x8xf32>, %y: memref<8x8xf32>, %z: memref<8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %t = bufferization.to_tensor %x restrict : memref<8x8xf32> to tensor<8x8xf32>
  %e = tensor.empty() : tensor<8x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %0 = linalg.contract indexing_maps = [#mk, #kn, #mn]
      ins(%t, %t : tensor<8x8xf32>, tensor<8x8xf32>) outs(%f : tensor<8x8xf32>) -> tensor<8x8xf32>
  %1 = linalg.contract indexing_maps = [#mk, #kn, #mn]
      ins(%t, %0 : tensor<8x8xf32>, tensor<8x8xf32>) outs(%f : tensor<8x8xf32>) -> tensor<8x8xf32>
  bufferization.materialize_in_destination %0 in restrict writable %y : (tensor<8x8xf32>, memref<8x8xf32>) -> ()
  bufferization.materialize_in_destination %1 in restrict writable %z : (tensor<8x8xf32>, memref<8x8xf32>) -> ()
  return
}
