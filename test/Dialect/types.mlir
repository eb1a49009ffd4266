// RUN: rondo-opt --verify-roundtrip %s | FileCheck %s

// Sizes are names, numbers and polynomials of names; equal polynomials print the same.

// CHECK-LABEL: rondo.mixer @sizes
// CHECK-SAME: !rondo.val<> {rondo.name = "scalar"}
// CHECK-SAME: !rondo.val<K> {rondo.name = "named"}
// CHECK-SAME: !rondo.val<K, 128> {rondo.name = "matrix"}
// CHECK-SAME: !rondo.val<"2*K"> {rondo.name = "double"}
// CHECK-SAME: !rondo.val<"2*K"> {rondo.name = "sum"}
// CHECK-SAME: !rondo.val<"(K*K+K)/2"> {rondo.name = "triangle"}
// CHECK-SAME: !rondo.val<K> {rondo.name = "cancelled"}
rondo.mixer @sizes(%0: !rondo.val<> {rondo.name = "scalar"}, %1: !rondo.val<K> {rondo.name = "named"},
                   %2: !rondo.val<K, 128> {rondo.name = "matrix"}, %3: !rondo.val<"2*K"> {rondo.name = "double"},
                   %4: !rondo.val<"K+K"> {rondo.name = "sum"}, %5: !rondo.val<"K*(K+1)/2"> {rondo.name = "triangle"},
                   %6: !rondo.val<"K+V-V"> {rondo.name = "cancelled"}) {
  // CHECK: rondo.state "a" : <K, "V/2">
  %a = rondo.state "a" : !rondo.state<K, "V/2">
  // CHECK: rondo.state "b" : <K>
  %b = rondo.state "b" : !rondo.state<K>
  // CHECK: rondo.state "c" : <>
  %c = rondo.state "c" : !rondo.state<>
  rondo.yield
}
