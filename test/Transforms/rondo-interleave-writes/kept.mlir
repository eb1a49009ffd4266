// RUN: rondo-opt --rondo-interleave-writes -split-input-file %s | FileCheck %s
// What stays as it is.
// CHECK-NOT: rondo.writes

// A read of the state between the writes.
rondo.mixer @read_between(%k1: !rondo.val<8> {rondo.name = "k1"}, %k2: !rondo.val<8> {rondo.name = "k2"}, %v: !rondo.val<4> {rondo.name = "v"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y1 = rondo.read %S, %k1 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e1 = rondo.binary sub %v, %y1 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k1, %e1 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %y2 = rondo.read %S, %k2 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e2 = rondo.binary sub %v, %y2 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k2, %e2 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.yield %y2 : !rondo.val<4>
}

// -----

// Writes that are made differently; a read that both use.
rondo.mixer @different(%q: !rondo.val<8> {rondo.name = "q"}, %k1: !rondo.val<8> {rondo.name = "k1"}, %k2: !rondo.val<8> {rondo.name = "k2"},
                       %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y1 = rondo.read %S, %k1 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e1 = rondo.binary sub %v, %y1 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k1, %e1 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %y2 = rondo.read %S, %k2 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  %e2 = rondo.binary add %v, %y2 : !rondo.val<4>, !rondo.val<4> -> !rondo.val<4>
  rondo.write %S, %k2, %e2 : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// -----

rondo.mixer @one_read(%q: !rondo.val<8> {rondo.name = "q"}, %k1: !rondo.val<8> {rondo.name = "k1"}, %k2: !rondo.val<8> {rondo.name = "k2"})
    -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  %y = rondo.read %S, %k1 rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.write %S, %k1, %y : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.write %S, %k2, %y : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// -----

// Writes that read nothing: sums of products, in any order. Decays by row.
rondo.mixer @sums(%q: !rondo.val<8> {rondo.name = "q"}, %k1: !rondo.val<8> {rondo.name = "k1"}, %k2: !rondo.val<8> {rondo.name = "k2"},
                  %v: !rondo.val<4> {rondo.name = "v"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<8, 4>
  rondo.write %S, %k1, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  rondo.write %S, %k2, %v : !rondo.state<8, 4>, !rondo.val<8>, !rondo.val<4>
  %o = rondo.read %S, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}
