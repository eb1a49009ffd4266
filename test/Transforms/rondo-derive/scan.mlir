// RUN: rondo-opt %s -rondo-derive=chunk=16 -canonicalize -cse -verify-diagnostics | FileCheck %s

// An elementwise recurrence is a scan; its factor is computed for the whole chunk outside of it.
// CHECK-LABEL: func.func @affine
// CHECK: %[[A:.*]] = linalg.generic
// CHECK: math.exp
// CHECK: chunk.scan "affine" count %{{.*}} rows(%[[A]], %{{.*}} : tensor<16x8xf32>, tensor<16x8xf32>)
// CHECK-NOT: math.exp
rondo.mixer @affine(%g: !rondo.val<8> {rondo.name = "g"}, %x: !rondo.val<8> {rondo.name = "x"})
    -> (!rondo.val<8> {rondo.name = "o"}) {
  %h = rondo.state "h" : !rondo.state<8>
  %one = rondo.constant 1.0 : !rondo.val<>
  %a = rondo.unary exp %g : !rondo.val<8>
  rondo.decay %h, %a : !rondo.state<8>, !rondo.val<8>
  rondo.write %h, %x, %one : !rondo.state<8>, !rondo.val<8>, !rondo.val<>
  %o = rondo.load %h : !rondo.state<8> -> !rondo.val<8>
  rondo.yield %o : !rondo.val<8>
}

// A matrix that only the scan uses is made inside it.
// CHECK-LABEL: func.func @factor_of_each_element
// CHECK: chunk.scan "affine"
// CHECK: math.exp
rondo.mixer @factor_of_each_element(%d: !rondo.val<8> {rondo.name = "d"},
                                    %A: !rondo.val<8, 4> {rondo.name = "A", rondo.kind = "param"},
                                    %q: !rondo.val<8> {rondo.name = "q"}) -> (!rondo.val<4> {rondo.name = "o"}) {
  %h = rondo.state "h" : !rondo.state<8, 4>
  %db = rondo.broadcast %d rows : !rondo.val<8> -> !rondo.val<8, 4>
  %m = rondo.binary mul %db, %A : !rondo.val<8, 4>, !rondo.val<8, 4> -> !rondo.val<8, 4>
  %e = rondo.unary exp %m : !rondo.val<8, 4>
  rondo.decay %h, %e : !rondo.state<8, 4>, !rondo.val<8, 4>
  %o = rondo.read %h, %q rows : !rondo.state<8, 4>, !rondo.val<8> -> !rondo.val<4>
  rondo.yield %o : !rondo.val<4>
}

// CHECK-LABEL: func.func @maxplus
// CHECK: chunk.scan "maxplus"
rondo.mixer @maxplus(%f: !rondo.val<> {rondo.name = "f"}, %i: !rondo.val<> {rondo.name = "i"})
    -> (!rondo.val<> {rondo.name = "o"}) {
  %m = rondo.state "m" init 0xFFF0000000000000 : !rondo.state<>
  %0 = rondo.load %m : !rondo.state<> -> !rondo.val<>
  %1 = rondo.binary add %0, %f : !rondo.val<>, !rondo.val<> -> !rondo.val<>
  %2 = rondo.binary max %1, %i : !rondo.val<>, !rondo.val<> -> !rondo.val<>
  rondo.store %m, %2 : !rondo.state<>, !rondo.val<>
  rondo.yield %2 : !rondo.val<>
}

// A nonlinear recurrence works too, and says why it is slow.
// CHECK-LABEL: func.func @nonlinear
// CHECK: chunk.scan "sequential"
rondo.mixer @nonlinear(%x: !rondo.val<8> {rondo.name = "x"},
                       %U: !rondo.val<8, 8> {rondo.name = "U", rondo.kind = "param"})
    -> (!rondo.val<8> {rondo.name = "o"}) {
  // expected-note @below {{a state may enter its own update only linearly (decay, or a read inside a write) for the chunkwise form}}
  %h = rondo.state "h" : !rondo.state<8>
  %0 = rondo.load %h : !rondo.state<8> -> !rondo.val<8>
  %1 = rondo.matmul %U, %0 : !rondo.val<8, 8>, !rondo.val<8> -> !rondo.val<8>
  %2 = rondo.binary add %1, %x : !rondo.val<8>, !rondo.val<8> -> !rondo.val<8>
  // expected-remark @below {{state 'h' runs one token at a time: it is nonlinear in itself}}
  %3 = rondo.unary tanh %2 : !rondo.val<8>
  rondo.store %h, %3 : !rondo.state<8>, !rondo.val<8>
  rondo.yield %3 : !rondo.val<8>
}
