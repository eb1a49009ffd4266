// RUN: rondo-opt %s -rondo-derive=chunk=16 -canonicalize -cse | FileCheck %s

// No decay leaves no table: a causal product, a read of the carried state, an update in place.
// CHECK-LABEL: func.func @identity
// CHECK-SAME: %[[N:.*]]: index
// CHECK-SAME: %[[Q:.*]]: tensor<16x8xf32> {rondo.dims = ["8"], rondo.name = "q", rondo.role = "token"}
// CHECK-SAME: %[[K:.*]]: tensor<16x8xf32>
// CHECK-SAME: %[[V:.*]]: tensor<16x4xf32>
// CHECK-SAME: %[[S:.*]]: tensor<8x4xf32> {rondo.dims = ["8", "4"], rondo.init = 0.000000e+00 : f64, rondo.name = "S", rondo.role = "state"}
// CHECK-NOT: chunk.interval_products
// CHECK: %[[W:.*]] = chunk.keep_rows %[[V]], %[[N]] fill 0.0
// CHECK: %[[Y:.*]] = linalg.contract {{.*}} ins(%[[Q]], %[[S]] :
// CHECK: %[[G:.*]] = linalg.contract {{.*}} {chunk.causal = "result"} ins(%[[Q]], %[[K]] :
// CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[G]] : tensor<16x16xf32>)
// CHECK: %[[O:.*]] = linalg.contract {{.*}} {chunk.causal = "lhs"} ins(%[[P]], %[[W]] : {{.*}}) outs(%[[Y]] :
// CHECK: %[[E:.*]] = linalg.contract {{.*}} ins(%[[K]], %[[W]] : {{.*}}) outs(%[[S]] :
// CHECK: return %[[O]], %[[E]]
rondo.mixer @identity(%q: !rondo.val<8> {rondo.name = "q"}, %k: !rondo.val<8> {rondo.name = "k"},
                      %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.write %S, %k, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// A scalar decay is a table; the last tokens of a short chunk decay by 1.
// CHECK-LABEL: func.func @scalar
// CHECK-SAME: %[[A:[a-z0-9]+]]: tensor<16xf32> {{{.*}}rondo.name = "a"
// CHECK: %[[M:.*]] = chunk.keep_rows %[[A]], %{{.*}} fill 1.0
// CHECK: chunk.interval_products %[[M]] : tensor<16xf32> -> tensor<17x17xf32>
// CHECK-NOT: chunk.decayed_gram
rondo.mixer @scalar(%q: !rondo.val<8> {rondo.name = "q"}, %k: !rondo.val<8> {rondo.name = "k"},
                    %v: !rondo.val<4> {rondo.name = "v"}, %a: !rondo.val<> {rondo.name = "a"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.decay %S, %a : !rondo.state<8, 4>, !rondo.val<>
  rondo.write %S, %k, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// A decay per row goes into the Gram matrix, one per column onto the written values.
// CHECK-LABEL: func.func @rows_and_cols
// CHECK: chunk.cumprod prefix
// CHECK: chunk.cumprod suffix
// CHECK: chunk.total
// CHECK: %[[P:.*]] = chunk.decayed_gram
// CHECK: chunk.decayed_apply
// CHECK-NOT: chunk.interval_products
rondo.mixer @rows_and_cols(%q: !rondo.val<8> {rondo.name = "q"}, %k: !rondo.val<8> {rondo.name = "k"},
                           %v: !rondo.val<4> {rondo.name = "v"}, %a: !rondo.val<8> {rondo.name = "a"},
                           %b: !rondo.val<4> {rondo.name = "b"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.decay %S, %a rows : !rondo.state<8, 4>, !rondo.val<8>
  rondo.decay %S, %b cols : !rondo.state<8, 4>, !rondo.val<4>
  rondo.write %S, %k, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// One self-read, one system of 16 rows.
// CHECK-LABEL: func.func @delta
// CHECK: chunk.solve %{{.*}}, %{{.*}} : tensor<16x16xf32>, tensor<16x4xf32>
rondo.mixer @delta(%k: !rondo.val<8> {rondo.name = "k"}, %v: !rondo.val<4> {rondo.name = "v"},
                   %beta: !rondo.val<> {rondo.name = "beta"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e = rondo.binary sub %v, %y : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  %w = rondo.binary mul %beta, %e : !rondo.val<>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k, %w : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// Two dependent writes a token interleave in one system of 32 rows.
// CHECK-LABEL: func.func @two_writes
// CHECK: chunk.solve %{{.*}}, %{{.*}} : tensor<32x32xf32>, tensor<32x4xf32>
// CHECK-NOT: chunk.solve
rondo.mixer @two_writes(%k: !rondo.val<8> {rondo.name = "k"}, %l: !rondo.val<8> {rondo.name = "l"},
                        %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e = rondo.binary sub %v, %y : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k, %e : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %z = rondo.read %S, %l rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %f = rondo.binary sub %v, %z : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %l, %f : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.yield %e : !rondo.val<4>
}

// Coupled states share a table of 2 x 2 transitions.
// CHECK-LABEL: func.func @coupled
// CHECK: chunk.interval_products %{{.*}} : tensor<16x2x2xf32> -> tensor<2x2x17x17xf32>
rondo.mixer @coupled(%k: !rondo.val<8> {rondo.name = "k"}, %v: !rondo.val<4> {rondo.name = "v"},
                     %a: !rondo.val<> {rondo.name = "a"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %M = rondo.state "M" : !rondo.state<8, 4>
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.decay %M, %a : !rondo.state<8, 4>, !rondo.val<>
  rondo.write %M, %k, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.accumulate %S, %a, %M : !rondo.state<8, 4>, !rondo.val<>, !rondo.state<8, 4>
  %o = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}
