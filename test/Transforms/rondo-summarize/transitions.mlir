// RUN: rondo-opt %s --pass-pipeline='builtin.module(rondo.mixer(rondo-summarize))' | FileCheck %s

// Products of decays, one state for each axis; outputs are gone.
// CHECK-LABEL: rondo.mixer @decays_summary
// CHECK-NOT: rondo.read
// CHECK-DAG: rondo.state "scalar_S" init 1.0{{.*}}rondo.transition = "scalar", rondo.transition_of = ["S"]
// CHECK-DAG: rondo.state "rows_S" init 1.0{{.*}}rondo.transition = "rows"
// CHECK: rondo.yield{{ *$}}
rondo.mixer @decays(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"},
                    %a: !rondo.val<> {rondo.name = "a"}, %b: !rondo.val<K> {rondo.name = "b"})
    -> (!rondo.val<V> {rondo.name = "o"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  rondo.decay %S, %a : !rondo.state<K, V>, !rondo.val<>
  rondo.decay %S, %b rows : !rondo.state<K, V>, !rondo.val<K>
  rondo.write %S, %k, %v : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
  %o = rondo.read %S, %k rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
  rondo.yield %o : !rondo.val<V>
}

// A self-read gives a matrix that is touched like the state, without what is written from outside.
// CHECK-LABEL: rondo.mixer @delta_summary
// CHECK-SAME: (%[[K:.*]]: !rondo.val<K> {{.*}}, %[[V:.*]]: !rondo.val<V> {{.*}}, %[[B:.*]]: !rondo.val<> {{.*}})
// CHECK: %[[M:.*]] = rondo.state "matrix_S_S" {rondo.identity{{.*}}} : <K, K>
// CHECK: %[[Z:.*]] = rondo.read %[[M]], %[[K]] rows
// CHECK: %[[N:.*]] = rondo.unary neg %[[Z]]
// CHECK: %[[W:.*]] = rondo.binary mul %[[B]], %[[N]]
// CHECK: rondo.write %[[M]], %[[K]], %[[W]]
rondo.mixer @delta(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"},
                   %beta: !rondo.val<> {rondo.name = "beta"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %y = rondo.read %S, %k rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
  %e = rondo.binary sub %v, %y : !rondo.val<V>, !rondo.val<V> -> !rondo.val<V>
  %w = rondo.binary mul %beta, %e : !rondo.val<>, !rondo.val<V> -> !rondo.val<V>
  rondo.write %S, %k, %w : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
  rondo.yield
}

// A running maximum: the sum of what is added to it.
// CHECK-LABEL: rondo.mixer @maximum_summary
// CHECK: rondo.state "maxplus_m"{{.*}}rondo.transition = "maxplus"
rondo.mixer @maximum(%f: !rondo.val<> {rondo.name = "f"}, %i: !rondo.val<> {rondo.name = "i"}) {
  %m = rondo.state "m" : !rondo.state<>
  %0 = rondo.load %m : !rondo.state<> -> !rondo.val<>
  %1 = rondo.binary add %0, %f : !rondo.val<>, !rondo.val<> -> !rondo.val<>
  %2 = rondo.binary max %1, %i : !rondo.val<>, !rondo.val<> -> !rondo.val<>
  rondo.store %m, %2 : !rondo.state<>, !rondo.val<>
  rondo.yield
}

// The second state of a cascade is known one level later.
// CHECK-LABEL: rondo.mixer @cascade_summary
// CHECK: rondo.state "S" {rondo.level = 0
// CHECK: rondo.state "F" {rondo.level = 1
rondo.mixer @cascade(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"}) {
  %S = rondo.state "S" : !rondo.state<K, K>
  %F = rondo.state "F" : !rondo.state<K, V>
  rondo.write %S, %k, %k : !rondo.state<K, K>, !rondo.val<K>, !rondo.val<K>
  %u = rondo.read %S, %k rows : !rondo.state<K, K>, !rondo.val<K> -> !rondo.val<K>
  rondo.write %F, %u, %v : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
  rondo.yield
}
