// RUN: rondo-opt %s -rondo-outline-operations -split-input-file | FileCheck %s

#nn = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]

// Two products on other buffers, one of them at an offset, are one function; the fill goes along.
// CHECK-LABEL: func @equal
// CHECK-NOT:     linalg.
// CHECK:         call @[[F:sum_16x16x16]]
// CHECK:         call @[[F]]
// CHECK:       func.func private @[[F]]({{.*}}) attributes {llvm.linkage = #llvm.linkage<internal>, passthrough = ["noinline"]}
// CHECK:         linalg.fill
// CHECK:         linalg.contract
func.func @equal(%a: memref<16x16xf32>, %b: memref<16x16xf32>, %c: memref<2x16x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = memref.subview %c[0, 0, 0] [1, 16, 16] [1, 1, 1] : memref<2x16x16xf32> to memref<16x16xf32>
  %c1 = memref.subview %c[1, 0, 0] [1, 16, 16] [1, 1, 1]
      : memref<2x16x16xf32> to memref<16x16xf32, strided<[16, 1], offset: 256>>
  linalg.fill ins(%zero : f32) outs(%c0 : memref<16x16xf32>)
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<16x16xf32>, memref<16x16xf32>) outs(%c0 : memref<16x16xf32>)
  linalg.fill ins(%zero : f32) outs(%c1 : memref<16x16xf32, strided<[16, 1], offset: 256>>)
  linalg.contract indexing_maps = #nn ins(%b, %a : memref<16x16xf32>, memref<16x16xf32>)
      outs(%c1 : memref<16x16xf32, strided<[16, 1], offset: 256>>)
  return
}

// -----

// Other bodies are other functions; captured values are arguments, constants are not.
// CHECK-LABEL: func @different(
// CHECK-SAME:      %[[X:.*]]: memref<32x32xf32>, %[[N:.*]]: f32)
// CHECK:         call @map_32x32{{.*}}(%{{.*}}, %[[N]])
// CHECK:         call @map_32x32{{.*}}(%{{[^,]*}}) :
func.func @different(%x: memref<32x32xf32>, %n: f32) {
  %two = arith.constant 2.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%x : memref<32x32xf32>) {
  ^bb0(%a: f32):
    %r = arith.mulf %a, %n : f32
    linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%x : memref<32x32xf32>) {
  ^bb0(%a: f32):
    %r = arith.mulf %a, %two : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Small operations stay.
// CHECK-LABEL: func @small
// CHECK:         linalg.fill
// CHECK-NOT:   func.func private
func.func @small(%x: memref<128xf32>, %v: f32) {
  linalg.fill ins(%v : f32) outs(%x : memref<128xf32>)
  return
}
