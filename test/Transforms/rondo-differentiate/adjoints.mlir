// RUN: rondo-opt %s -rondo-differentiate -canonicalize -cse | FileCheck %s

// Products have products for adjoints, and keep what is known of the triangle. Roles say what each array is.
// CHECK-LABEL: func.func @products_backward
// CHECK-SAME: %[[N:.*]]: index, %[[Q:.*]]: tensor<8x4xf32> {rondo.name = "q", rondo.role = "token"}, %[[K:.*]]: tensor<8x4xf32> {{.*}}, %[[D:.*]]: tensor<8x8xf32> {rondo.name = "p", rondo.role = "grad_output"}
// CHECK-SAME: -> (tensor<8x4xf32> {rondo.name = "q", rondo.role = "grad_token"}, tensor<8x4xf32> {rondo.name = "k", rondo.role = "grad_token"})
// CHECK-DAG: linalg.contract {{.*}} {chunk.causal = "lhs"} ins(%[[D]], %[[K]] :
// CHECK-DAG: linalg.contract {{.*}} {chunk.causal = "lhs-transposed"} ins(%[[D]], %[[Q]] :
func.func @products(%n: index, %q: tensor<8x4xf32> {rondo.name = "q", rondo.role = "token"},
                    %k: tensor<8x4xf32> {rondo.name = "k", rondo.role = "token"})
    -> (tensor<8x8xf32> {rondo.name = "p", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %p = linalg.contract indexing_maps = [affine_map<(t, s, r) -> (t, r)>, affine_map<(t, s, r) -> (s, r)>,
                                        affine_map<(t, s, r) -> (t, s)>] {chunk.causal = "result"}
    ins(%q, %k : tensor<8x4xf32>, tensor<8x4xf32>) outs(%f : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %p : tensor<8x8xf32>
}

// A solve has the transposed solve.
// CHECK-LABEL: func.func @solve_backward
// CHECK-SAME: %{{.*}}: index, %[[A:.*]]: tensor<8x8xf32> {{.*}}, %[[R:.*]]: tensor<8x4xf32> {{.*}}, %[[D:.*]]: tensor<8x4xf32> {{.*}})
// CHECK: %[[W:.*]] = chunk.solve %[[A]], %[[R]]
// CHECK: %[[B:.*]] = chunk.solve transposed %[[A]], %[[D]]
// CHECK: linalg.contract {{.*}} ins(%[[B]], %[[W]] :
func.func @solve(%n: index, %a: tensor<8x8xf32> {rondo.name = "a", rondo.role = "token"},
                 %r: tensor<8x4xf32> {rondo.name = "r", rondo.role = "token"})
    -> (tensor<8x4xf32> {rondo.name = "w", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  %w = chunk.solve %a, %r : tensor<8x8xf32>, tensor<8x4xf32>
  return %w : tensor<8x4xf32>
}

// Running products: sums over later tokens, backwards, and no division.
// CHECK-LABEL: func.func @running_backward
// CHECK: %[[P:.*]] = chunk.cumprod prefix
// CHECK: chunk.scan "affine" reverse
// CHECK-NOT: arith.divf
func.func @running(%n: index, %a: tensor<8x4xf32> {rondo.name = "a", rondo.role = "token"})
    -> (tensor<8x4xf32> {rondo.name = "p", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  %p = chunk.cumprod prefix %a : tensor<8x4xf32>
  return %p : tensor<8x4xf32>
}

// Decayed Gram matrices.
// CHECK-LABEL: func.func @gram_backward
// CHECK-SAME: %{{.*}}: index, %[[Q:.*]]: tensor<8x4xf32> {{.*}}, %[[K:.*]]: tensor<8x4xf32> {{.*}}, %[[A:.*]]: tensor<8x4xf32> {{.*}}, %[[D:.*]]: tensor<8x8xf32> {{.*}})
// CHECK-DAG: chunk.decayed_apply %[[D]], %[[K]], %[[A]]
// CHECK-DAG: chunk.decayed_apply reverse %[[D]], %[[Q]], %[[A]]
// CHECK-DAG: chunk.decay_adjoint %[[D]], %[[Q]], %[[K]], %[[A]]
func.func @gram(%n: index, %q: tensor<8x4xf32> {rondo.name = "q", rondo.role = "token"},
                %k: tensor<8x4xf32> {rondo.name = "k", rondo.role = "token"},
                %a: tensor<8x4xf32> {rondo.name = "a", rondo.role = "token"})
    -> (tensor<8x8xf32> {rondo.name = "p", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  %p = chunk.decayed_gram %q, %k, %a : tensor<8x4xf32> -> tensor<8x8xf32>
  return %p : tensor<8x8xf32>
}
