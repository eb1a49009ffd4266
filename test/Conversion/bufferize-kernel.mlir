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
