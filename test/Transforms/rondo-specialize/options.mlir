// RUN: not rondo-opt %s --rondo-specialize=sizes=K=128,N=64 2>&1 | FileCheck %s --check-prefix=UNUSED
// RUN: not rondo-opt %s --rondo-specialize=sizes=K 2>&1 | FileCheck %s --check-prefix=SYNTAX
// RUN: rondo-opt %s --rondo-specialize=sizes=K=8 --rondo-specialize | FileCheck %s --check-prefix=TWICE

// UNUSED: error: no mixer has a size 'N'
// SYNTAX: error: 'K' is not NAME=NUMBER

// TWICE: !rondo.val<8> {rondo.dims = ["K"], rondo.name = "q"}
rondo.mixer @mixer(%q: !rondo.val<K> {rondo.name = "q"}) {
  rondo.yield
}
