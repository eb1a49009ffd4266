// RUN: rondo-opt %s -rondo-derive="chunk=8 step" | FileCheck %s
// RUN: rondo-opt %s -rondo-derive="form=step" | FileCheck %s --check-prefix=ONLY

// The body of one token comes beside that of a chunk, or instead of it.
// CHECK-LABEL: func.func @linear(
// CHECK-SAME:    tensor<8x4xf32>
// CHECK-SAME:    rondo.chunk = 8
// CHECK-NOT:     chunk.scan
// CHECK-LABEL: func.func @linear_step(
// CHECK-SAME:    tensor<1x4xf32>
// CHECK-SAME:    attributes {rondo.chunk = 1 : i64, rondo.step}
// CHECK:         chunk.scan "sequential"
// ONLY-NOT:    @linear(
// ONLY:        func.func @linear_step(
// ONLY-NOT:    @linear(
rondo.mixer @linear(%k: !rondo.val<4> {rondo.name = "k"}, %v: !rondo.val<4> {rondo.name = "v"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<4, 4>
  rondo.write %S, %k, %v : !rondo.state<4, 4>, !rondo.val<4>, !rondo.val<4>
  %o = rondo.read %S, %k rows : !rondo.state<4, 4>, !rondo.val<4> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}
