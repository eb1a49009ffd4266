// RUN: rondo-opt --pass-pipeline='builtin.module(rondo.mixer(rondo-copy-states))' -split-input-file %s | FileCheck %s

// CHECK-LABEL: rondo.mixer @both_axes
// CHECK: %[[S:.*]] = rondo.state "S" init 1.0{{.*}} : <8, 4>
// CHECK: %[[C:.*]] = rondo.state "S by rows" init 1.0{{.*}} {rondo.copy_of = "S"}
// CHECK: rondo.decay %[[S]], %[[G:.*]] cols
// CHECK: rondo.decay %[[C]], %[[G]] cols
// CHECK: %[[Y:.*]] = rondo.read %[[C]], %[[V:.*]] cols
// CHECK: rondo.write %[[S]], %[[Y]], %[[V]]
// CHECK: rondo.write %[[C]], %[[Y]], %[[V]]
// CHECK: rondo.read %[[S]], %{{.*}} rows
rondo.mixer @both_axes(%q: !rondo.val<8> {rondo.name = "q"}, %v: !rondo.val<4> {rondo.name = "v"}, %g: !rondo.val<4> {rondo.name = "g"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" init 1.0 : !rondo.state<8, 4>
  rondo.decay %S, %g cols : !rondo.state<8, 4>, !rondo.val<4>
  %y = rondo.read %S, %v cols : !rondo.state<8, 4>, !rondo.val<4> -> !rondo.val<8>
  rondo.write %S, %y, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// -----

// One axis; both axes in what is written.
// CHECK-LABEL: rondo.mixer @one_axis
// CHECK-NOT: rondo.copy_of
rondo.mixer @one_axis(%k: !rondo.val<8> {rondo.name = "k"}, %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.write %S, %k, %y : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.yield %y : !rondo.val<4>
}

// -----

// CHECK-LABEL: rondo.mixer @written_of_both
// CHECK-NOT: rondo.copy_of
rondo.mixer @written_of_both(%k: !rondo.val<8> {rondo.name = "k"}, %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y = rondo.read %S, %k rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %z = rondo.read %S, %v cols : !rondo.state<8, 4>, !rondo.val<4> -> !rondo.val<8>
  rondo.write %S, %z, %y : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.yield %y : !rondo.val<4>
}
