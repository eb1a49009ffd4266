// RUN: rondo-opt %s --rondo-move-scales --canonicalize --cse | FileCheck %s

#tr = affine_map<(t, r) -> (t, r)>
#t = affine_map<(t, r) -> (t)>
#lhs = affine_map<(t, c, r) -> (t, r)>
#rhs = affine_map<(t, c, r) -> (r, c)>
#res = affine_map<(t, c, r) -> (t, c)>
#sumLhs = affine_map<(r, c, t) -> (t, r)>
#sumRhs = affine_map<(r, c, t) -> (t, c)>
#sumRes = affine_map<(r, c, t) -> (r, c)>

// A scale along an axis of the result moves to the result.
// CHECK-LABEL: func.func @read
// CHECK-SAME: %[[Q:[^:]*]]: tensor<64x32xf32>, %[[A:[^:]*]]: tensor<64xf32>, %[[S:[^:]*]]: tensor<32x16xf32>
// CHECK: %[[O:.*]] = linalg.contract {{.*}} ins(%[[Q]], %[[S]]
// CHECK: linalg.generic {{.*}} ins(%[[O]], %[[A]]
// CHECK: arith.mulf
func.func @read(%q: tensor<64x32xf32>, %a: tensor<64xf32>, %S: tensor<32x16xf32>) -> tensor<64x16xf32> {
  %e = tensor.empty() : tensor<64x32xf32>
  %qs = linalg.generic {indexing_maps = [#tr, #t, #tr], iterator_types = ["parallel", "parallel"]}
      ins(%q, %a : tensor<64x32xf32>, tensor<64xf32>) outs(%e : tensor<64x32xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %p = arith.mulf %x, %y : f32
    linalg.yield %p : f32
  } -> tensor<64x32xf32>
  %zero = arith.constant 0.0 : f32
  %f = tensor.empty() : tensor<64x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%f : tensor<64x16xf32>) -> tensor<64x16xf32>
  %o = linalg.contract indexing_maps = [#lhs, #rhs, #res] ins(%qs, %S : tensor<64x32xf32>, tensor<32x16xf32>)
      outs(%init : tensor<64x16xf32>) -> tensor<64x16xf32>
  return %o : tensor<64x16xf32>
}

// A scale along the summed axis moves to the right operand, a number with it: the product still accumulates.
// CHECK-LABEL: func.func @write
// CHECK-SAME: %[[K:[^:]*]]: tensor<64x32xf32>, %[[A:[^:]*]]: tensor<64xf32>, %[[U:[^:]*]]: tensor<64x16xf32>, %[[S:[^:]*]]: tensor<32x16xf32>
// CHECK: %[[N:.*]] = linalg.generic {{.*}} ins(%[[A]] : tensor<64xf32>)
// CHECK: %[[V:.*]] = linalg.generic {{.*}} ins(%[[U]], %[[N]]
// CHECK: linalg.contract {{.*}} ins(%[[K]], %[[V]] {{.*}} outs(%[[S]]
func.func @write(%k: tensor<64x32xf32>, %a: tensor<64xf32>, %u: tensor<64x16xf32>, %S: tensor<32x16xf32>) -> tensor<32x16xf32> {
  %e = tensor.empty() : tensor<64x32xf32>
  %half = arith.constant 0.5 : f32
  %kh = linalg.generic {indexing_maps = [#tr, #tr], iterator_types = ["parallel", "parallel"]}
      ins(%k : tensor<64x32xf32>) outs(%e : tensor<64x32xf32>) {
  ^bb0(%x: f32, %out: f32):
    %p = arith.mulf %x, %half : f32
    linalg.yield %p : f32
  } -> tensor<64x32xf32>
  %ks = linalg.generic {indexing_maps = [#tr, #t, #tr], iterator_types = ["parallel", "parallel"]}
      ins(%kh, %a : tensor<64x32xf32>, tensor<64xf32>) outs(%e : tensor<64x32xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %p = arith.mulf %x, %y : f32
    linalg.yield %p : f32
  } -> tensor<64x32xf32>
  %o = linalg.contract indexing_maps = [#sumLhs, #sumRhs, #sumRes] ins(%ks, %u : tensor<64x32xf32>, tensor<64x16xf32>)
      outs(%S : tensor<32x16xf32>) -> tensor<32x16xf32>
  return %o : tensor<32x16xf32>
}
