// RUN: rondo-opt %s --pass-pipeline='builtin.module(rondo.mixer(rondo-raise-updates))' | FileCheck %s

// A scalar times the state plus an outer product.
// CHECK-LABEL: rondo.mixer @decay_and_write
// CHECK-SAME: (%[[K:.*]]: !rondo.val<K> {{.*}}, %[[V:.*]]: !rondo.val<V> {{.*}}, %[[A:.*]]: !rondo.val<> {{.*}})
// CHECK: %[[S:.*]] = rondo.state "S"
// CHECK-NOT: rondo.store
// CHECK: rondo.decay %[[S]], %[[A]] :
// CHECK-NEXT: rondo.write %[[S]], %[[K]], %[[V]]
// CHECK-NOT: rondo.load
rondo.mixer @decay_and_write(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"},
                             %a: !rondo.val<> {rondo.name = "a"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  %d = rondo.binary mul %a, %s : !rondo.val<>, !rondo.val<K, V> -> !rondo.val<K, V>
  %w = rondo.outer %k, %v : !rondo.val<K>, !rondo.val<V> -> !rondo.val<K, V>
  %n = rondo.binary add %d, %w : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.store %S, %n : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// A vector on the left scales rows, one on the right columns; a matrix every element.
// CHECK-LABEL: rondo.mixer @axes
// CHECK-SAME: (%[[A:.*]]: !rondo.val<K> {{.*}}, %[[B:.*]]: !rondo.val<V> {{.*}}, %[[E:.*]]: !rondo.val<K, V> {{.*}})
// CHECK: rondo.decay %{{.*}}, %[[A]] rows
// CHECK: rondo.decay %{{.*}}, %[[B]] cols
// CHECK: rondo.decay %{{.*}}, %[[E]] :
rondo.mixer @axes(%a: !rondo.val<K> {rondo.name = "a"}, %b: !rondo.val<V> {rondo.name = "b"},
                  %e: !rondo.val<K, V> {rondo.name = "e"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  %ab = rondo.broadcast %a rows : !rondo.val<K> -> !rondo.val<K, V>
  %bb = rondo.broadcast %b cols : !rondo.val<V> -> !rondo.val<K, V>
  %0 = rondo.binary mul %ab, %s : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  %1 = rondo.binary mul %0, %bb : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  %2 = rondo.binary mul %e, %1 : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.store %S, %2 : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// The read inside the written value stays above the decay: it sees the state before.
// CHECK-LABEL: rondo.mixer @delta
// CHECK: %[[Y:.*]] = rondo.read
// CHECK: rondo.decay
// CHECK: rondo.write
rondo.mixer @delta(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"},
                   %a: !rondo.val<> {rondo.name = "a"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  %d = rondo.binary mul %a, %s : !rondo.val<>, !rondo.val<K, V> -> !rondo.val<K, V>
  %y = rondo.read %S, %k rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
  %e = rondo.binary sub %v, %y : !rondo.val<V>, !rondo.val<V> -> !rondo.val<V>
  %w = rondo.outer %k, %e : !rondo.val<K>, !rondo.val<V> -> !rondo.val<K, V>
  %n = rondo.binary add %d, %w : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.store %S, %n : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// A rank-one matrix times the state is a read and a write.
// CHECK-LABEL: rondo.mixer @householder
// CHECK-SAME: (%[[A:.*]]: !rondo.val<K> {{.*}}, %[[B:.*]]: !rondo.val<K> {{.*}})
// CHECK: %[[S:.*]] = rondo.state "S"
// CHECK: %[[Y:.*]] = rondo.read %[[S]], %[[B]] rows
// CHECK: %[[N:.*]] = rondo.unary neg %[[Y]]
// CHECK: rondo.write %[[S]], %[[A]], %[[N]]
rondo.mixer @householder(%a: !rondo.val<K> {rondo.name = "a"}, %b: !rondo.val<K> {rondo.name = "b"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  %ab = rondo.outer %a, %b : !rondo.val<K>, !rondo.val<K> -> !rondo.val<K, K>
  %p = rondo.matmul %ab, %s : !rondo.val<K, K>, !rondo.val<K, V> -> !rondo.val<K, V>
  %n = rondo.binary sub %s, %p : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.store %S, %n : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// One state feeds another with a scalar factor.
// CHECK-LABEL: rondo.mixer @coupled
// CHECK-SAME: (%[[A:.*]]: !rondo.val<> {{.*}}, %[[B:.*]]: !rondo.val<> {{.*}})
// CHECK: %[[M:.*]] = rondo.state "M"
// CHECK: %[[S:.*]] = rondo.state "S"
// CHECK: rondo.decay %[[S]], %[[A]]
// CHECK: rondo.accumulate %[[S]], %[[B]], %[[M]]
rondo.mixer @coupled(%a: !rondo.val<> {rondo.name = "a"}, %b: !rondo.val<> {rondo.name = "b"}) {
  %M = rondo.state "M" : !rondo.state<K, V>
  %S = rondo.state "S" : !rondo.state<K, V>
  %s = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  %m = rondo.load %M : !rondo.state<K, V> -> !rondo.val<K, V>
  %0 = rondo.binary mul %a, %s : !rondo.val<>, !rondo.val<K, V> -> !rondo.val<K, V>
  %1 = rondo.binary mul %b, %m : !rondo.val<>, !rondo.val<K, V> -> !rondo.val<K, V>
  %n = rondo.binary add %0, %1 : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.store %S, %n : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// A rotation under a scalar decay.
// CHECK-LABEL: rondo.mixer @rotated
// CHECK: rondo.rotate_state %[[S:.*]], %{{.*}} :
// CHECK: rondo.decay %[[S]]
rondo.mixer @rotated(%a: !rondo.val<> {rondo.name = "a"}, %t: !rondo.val<N> {rondo.name = "t"}) {
  %S = rondo.state "S" : !rondo.state<"2*N", V>
  %s = rondo.load %S : !rondo.state<"2*N", V> -> !rondo.val<"2*N", V>
  %r = rondo.rotate %s, %t : !rondo.val<"2*N", V>, !rondo.val<N> -> !rondo.val<"2*N", V>
  %n = rondo.binary mul %a, %r : !rondo.val<>, !rondo.val<"2*N", V> -> !rondo.val<"2*N", V>
  rondo.store %S, %n : !rondo.state<"2*N", V>, !rondo.val<"2*N", V>
  rondo.yield
}

// What is added to a vector state is a key with the value 1.
// CHECK-LABEL: rondo.mixer @vector
// CHECK-SAME: (%[[K:.*]]: !rondo.val<K>
// CHECK: %[[ONE:.*]] = rondo.constant 1.0
// CHECK: rondo.write %{{.*}}, %[[K]], %[[ONE]]
rondo.mixer @vector(%k: !rondo.val<K> {rondo.name = "k"}) {
  %z = rondo.state "z" : !rondo.state<K>
  %s = rondo.load %z : !rondo.state<K> -> !rondo.val<K>
  %n = rondo.binary add %s, %k : !rondo.val<K>, !rondo.val<K> -> !rondo.val<K>
  rondo.store %z, %n : !rondo.state<K>, !rondo.val<K>
  rondo.yield
}
