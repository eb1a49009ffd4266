// RUN: rondo-opt %s --split-input-file --rondo-specialize=sizes=K=128,V=64 | FileCheck %s

// Numbers replace names everywhere; what was written stays in `rondo.dims`.

// CHECK-LABEL: rondo.mixer @types
// CHECK-SAME: (%[[Q:.*]]: !rondo.val<128> {rondo.dims = ["K"], rondo.name = "q"},
// CHECK-SAME: %[[V:.*]]: !rondo.val<64> {rondo.dims = ["V"], rondo.name = "v"},
// CHECK-SAME: %[[G:.*]]: !rondo.val<> {rondo.dims = [], rondo.name = "g"})
// CHECK-SAME: -> (!rondo.val<64> {rondo.dims = ["V"], rondo.name = "o"})
rondo.mixer @types(%q: !rondo.val<K> {rondo.name = "q"}, %v: !rondo.val<V> {rondo.name = "v"},
                   %g: !rondo.val<> {rondo.name = "g"}) -> (!rondo.val<V> {rondo.name = "o"}) {
  // CHECK: %[[S:.*]] = rondo.state "S" {rondo.dims = ["K", "V"]} : <128, 64>
  %S = rondo.state "S" : !rondo.state<K, V>
  // CHECK: rondo.write %[[S]], %[[Q]], %[[V]] : <128, 64>, <128>, <64>
  rondo.write %S, %q, %v : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
  // CHECK: rondo.read %[[S]], %[[Q]] rows : <128, 64>, <128> -> <64>
  %o = rondo.read %S, %q rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
  rondo.yield %o : !rondo.val<V>
}

// -----

// A size in an expression becomes a constant; a size expression keeps its text.

// CHECK-LABEL: rondo.mixer @expressions
// CHECK-SAME: !rondo.val<128> {rondo.dims = ["(2*K+V-64)/2"], rondo.name = "x"}
rondo.mixer @expressions(%x: !rondo.val<"K+V/2-32+K/2-K/2"> {rondo.name = "x"}, %v: !rondo.val<V> {rondo.name = "v"})
    -> (!rondo.val<> {rondo.name = "o"}) {
  // CHECK: %[[N:.*]] = rondo.constant 8.256000e+03 : <>
  %n = rondo.dim "K*(K+1)/2" : !rondo.val<>
  // CHECK: rondo.yield %[[N]]
  rondo.yield %n : !rondo.val<>
}
