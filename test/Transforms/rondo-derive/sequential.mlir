// RUN: rondo-opt %s -rondo-derive=form=sequential -canonicalize -cse | FileCheck %s

// Every state runs in a scan; what does not depend on it stays outside.
// CHECK-LABEL: func.func @delta
// CHECK-NOT: chunk.solve
// CHECK: chunk.scan
// CHECK-NOT: chunk.solve
rondo.mixer @delta(%k: !rondo.val<8> {rondo.name = "k"}, %v: !rondo.val<4> {rondo.name = "v"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e = rondo.binary sub %v, %y : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k, %e : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// A read of a decayed state reads the old one and scales what it gives (or the vector, along the axis that is summed over):
// the state is written once a token, with decay and update together.
// CHECK-LABEL: func.func @gated
// CHECK:       chunk.scan
// CHECK:       ^bb0({{.*}}, %[[S:[^:]*]]: tensor<8x4xf32>):
// CHECK:         %[[SUM:.*]] = linalg.contract {{.*}} ins(%{{.*}}, %[[S]] : tensor<8xf32>, tensor<8x4xf32>)
// CHECK:         linalg.generic {{.*}} ins(%[[SUM]], %{{.*}} : tensor<4xf32>, tensor<f32>)
// CHECK:         %[[NEXT:.*]] = linalg.generic {{.*}} outs(%[[S]] : tensor<8x4xf32>)
// CHECK:           arith.mulf
// CHECK:           arith.mulf
// CHECK:           arith.addf
// CHECK-NOT:     linalg.generic
// CHECK:         chunk.yield %{{.*}}, %[[NEXT]]
rondo.mixer @gated(%k: !rondo.val<8> {rondo.name = "k"}, %a: !rondo.val<> {rondo.name = "a"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.decay %S, %a : !rondo.state<8, 4>, !rondo.val<>
  %y = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.write %S, %k, %y : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.yield %y : !rondo.val<4>
}
