// RUN: rondo-opt --rondo-interleave-writes -split-input-file %s | FileCheck %s

// One decay a token: the first row has it.
// CHECK-LABEL: rondo.mixer @one_decay
// CHECK-SAME: (%[[D:[^:]*]]: !rondo.val<> {rondo.name = "d", rondo.stack = ["d"]}, %[[N:[^:]*]]: !rondo.val<> {{{.*}}rondo.write_number},
// CHECK-SAME: %[[K:[^:]*]]: !rondo.val<8> {rondo.name = "k1+k2", rondo.stack = ["k1", "k2"]}, %[[V:[^:]*]]: !rondo.val<4> {rondo.name = "v1+v2", rondo.stack = ["v1", "v2"]},
// CHECK-SAME: %[[Q:[^:]*]]: !rondo.val<8> {rondo.name = "q", rondo.stack = ["q"]})
// CHECK-SAME: rondo.program = [{{.*}}name = "k2"{{.*}}name = "o", role = "output"{{.*}}name = "S", role = "state"
// CHECK-SAME: rondo.writes = 2
// CHECK: %[[ONE:.*]] = rondo.constant 1.0
// CHECK: %[[F:.*]] = rondo.select %[[N]], %[[ONE]], %[[D]]
// CHECK: rondo.decay %[[S:.*]], %[[F]]
// CHECK: %[[Y:.*]] = rondo.read %[[S]], %[[K]] rows
// CHECK: %[[E:.*]] = rondo.binary sub %[[V]], %[[Y]]
// CHECK: rondo.write %[[S]], %[[K]], %[[E]]
// CHECK-NOT: rondo.write
// CHECK: rondo.read %[[S]], %[[Q]] rows
rondo.mixer @one_decay(%q: !rondo.val<8> {rondo.name = "q"}, %k1: !rondo.val<8> {rondo.name = "k1"}, %k2: !rondo.val<8> {rondo.name = "k2"},
                       %v1: !rondo.val<4> {rondo.name = "v1"}, %v2: !rondo.val<4> {rondo.name = "v2"}, %d: !rondo.val<> {rondo.name = "d"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.decay %S, %d : !rondo.state<8, 4>, !rondo.val<>
  %y1 = rondo.read %S, %k1 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e1 = rondo.binary sub %v1, %y1 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k1, %e1 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %y2 = rondo.read %S, %k2 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e2 = rondo.binary sub %v2, %y2 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k2, %e2 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// -----

// Three writes: the fourth row writes nothing. The same argument in all rows is not stacked.
// CHECK-LABEL: rondo.mixer @three
// CHECK-SAME: rondo.stack = ["k1", "k2", "k3", "k3"]
// CHECK-SAME: %[[V:[^:]*]]: !rondo.val<4> {rondo.name = "v", rondo.stack = ["v"]}
// CHECK-SAME: %[[N:[^:]*]]: !rondo.val<> {{{.*}}rondo.write_number}
// CHECK-SAME: rondo.writes = 4
// CHECK-NOT: rondo.decay
// CHECK: %[[E:.*]] = rondo.binary sub %[[V]]
// CHECK: %[[C:.*]] = rondo.constant 3.0
// CHECK: %[[IS:.*]] = rondo.binary lt %[[N]], %[[C]]
// CHECK: %[[W:.*]] = rondo.binary mul %[[IS]], %[[E]]
// CHECK: rondo.write %{{.*}}, %{{.*}}, %[[W]]
rondo.mixer @three(%q: !rondo.val<8> {rondo.name = "q"}, %k1: !rondo.val<8> {rondo.name = "k1"}, %k2: !rondo.val<8> {rondo.name = "k2"},
                   %k3: !rondo.val<8> {rondo.name = "k3"}, %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y1 = rondo.read %S, %k1 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e1 = rondo.binary sub %v, %y1 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k1, %e1 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %y2 = rondo.read %S, %k2 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e2 = rondo.binary sub %v, %y2 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k2, %e2 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %y3 = rondo.read %S, %k3 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e3 = rondo.binary sub %v, %y3 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k3, %e3 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}
