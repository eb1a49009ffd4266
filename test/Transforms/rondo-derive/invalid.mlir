// RUN: rondo-opt %s -split-input-file -rondo-derive -verify-diagnostics

rondo.mixer @symbolic(%x: !rondo.val<K> {rondo.name = "x"}) -> (!rondo.val<K> {rondo.name = "o"}) {
  // expected-error @below {{sizes must be numbers before the chunk form is derived; run rondo-specialize}}
  %0 = rondo.unary exp %x : !rondo.val<K>
  rondo.yield %0 : !rondo.val<K>
}
