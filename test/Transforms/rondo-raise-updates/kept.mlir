// RUN: rondo-opt %s --pass-pipeline='builtin.module(rondo.mixer(rondo-raise-updates))' | FileCheck %s

// Nonlinear in the state.
// CHECK-LABEL: rondo.mixer @nonlinear
// CHECK: rondo.store
rondo.mixer @nonlinear(%x: !rondo.val<K> {rondo.name = "x"}) {
  %h = rondo.state "h" : !rondo.state<K>
  %s = rondo.load %h : !rondo.state<K> -> !rondo.val<K>
  %0 = rondo.binary add %s, %x : !rondo.val<K>, !rondo.val<K> -> !rondo.val<K>
  %1 = rondo.unary tanh %0 : !rondo.val<K>
  rondo.store %h, %1 : !rondo.state<K>, !rondo.val<K>
  rondo.yield
}

// A state that is replaced: 0 * S would keep an infinity.
// CHECK-LABEL: rondo.mixer @replaced
// CHECK: rondo.store
rondo.mixer @replaced(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %w = rondo.outer %k, %v : !rondo.val<K>, !rondo.val<V> -> !rondo.val<K, V>
  rondo.store %S, %w : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// An old value of the state: it changed between the load and the store.
// CHECK-LABEL: rondo.mixer @stale
// CHECK: rondo.load
// CHECK: rondo.decay
// CHECK: rondo.store
rondo.mixer @stale(%a: !rondo.val<> {rondo.name = "a"}, %e: !rondo.val<K, V> {rondo.name = "e"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  rondo.decay %S, %a : !rondo.state<K, V>, !rondo.val<>
  %1 = rondo.binary mul %a, %s : !rondo.val<>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.store %S, %1 : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// Scalars stay as they are.
// CHECK-LABEL: rondo.mixer @scalar
// CHECK: rondo.store
rondo.mixer @scalar(%a: !rondo.val<> {rondo.name = "a"}) {
  %m = rondo.state "m" : !rondo.state<>
  %s = rondo.load %m : !rondo.state<> -> !rondo.val<>
  %1 = rondo.binary mul %a, %s : !rondo.val<>, !rondo.val<> -> !rondo.val<>
  rondo.store %m, %1 : !rondo.state<>, !rondo.val<>
  rondo.yield
}
