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
