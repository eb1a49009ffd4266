// RUN: rondo-opt --verify-roundtrip %s | FileCheck %s
// RUN: rondo-opt --mlir-print-op-generic %s | FileCheck %s --check-prefix=GENERIC
// RUN: rondo-opt --mlir-print-op-generic %s | rondo-opt | FileCheck %s

// CHECK-LABEL: rondo.mixer @mixer
// CHECK-SAME: (%[[Q:.*]]: !rondo.val<K> {rondo.grouped, rondo.name = "q"},
// CHECK-SAME: %[[W:.*]]: !rondo.val<K> {rondo.kind = "param", rondo.name = "w"})
// CHECK-SAME: -> (!rondo.val<> {rondo.name = "o"}) {
// GENERIC: "rondo.mixer"() <{
// GENERIC-SAME: function_type = (!rondo.val<K>, !rondo.val<K>) -> !rondo.val<>
// GENERIC-SAME: sym_name = "mixer"
rondo.mixer @mixer(%q: !rondo.val<K> {rondo.name = "q", rondo.grouped},
                   %w: !rondo.val<K> {rondo.name = "w", rondo.kind = "param"}) -> (!rondo.val<> {rondo.name = "o"}) {
  // CHECK: %[[O:.*]] = rondo.matmul %[[Q]], %[[W]] : <K>, <K> -> <>
  %o = rondo.matmul %q, %w : !rondo.val<K>, !rondo.val<K> -> !rondo.val<>
  // CHECK: rondo.yield %[[O]] : !rondo.val<>
  rondo.yield %o : !rondo.val<>
}

// CHECK-LABEL: rondo.mixer @without_arguments() {
// CHECK-NEXT: rondo.yield
// CHECK-NEXT: }
rondo.mixer @without_arguments() {
  rondo.yield
}

// CHECK-LABEL: rondo.mixer @states
// CHECK-SAME: (%[[K:.*]]: !rondo.val<K> {{.*}}, %[[V:.*]]: !rondo.val<V> {{.*}}, %[[T:.*]]: !rondo.val<"K/2"> {{.*}}, %[[G:.*]]: !rondo.val<> {{.*}}, %[[E:.*]]: !rondo.val<K, V>
rondo.mixer @states(%k: !rondo.val<K> {rondo.name = "k"}, %v: !rondo.val<V> {rondo.name = "v"},
                    %t: !rondo.val<"K/2"> {rondo.name = "t"}, %g: !rondo.val<> {rondo.name = "g"},
                    %e: !rondo.val<K, V> {rondo.name = "e"}) {
  // CHECK: %[[S:.*]] = rondo.state "S" : <K, V>
  // GENERIC: "rondo.state"() <{init = 0.000000e+00 : f64, name = "S"}> : () -> !rondo.state<K, V>
  %S = rondo.state "S" : !rondo.state<K, V>
  // CHECK: %[[F:.*]] = rondo.state "F" : <K, V>
  %F = rondo.state "F" : !rondo.state<K, V>
  // CHECK: %[[N:.*]] = rondo.state "n" : <K>
  %n = rondo.state "n" : !rondo.state<K>
  // CHECK: %[[M:.*]] = rondo.state "m" init 0xFFF0000000000000 : <>
  %m = rondo.state "m" init 0xFFF0000000000000 : !rondo.state<>
  // CHECK: rondo.decay %[[S]], %[[G]] : <K, V>, <>
  rondo.decay %S, %g : !rondo.state<K, V>, !rondo.val<>
  // CHECK: rondo.decay %[[S]], %[[E]] : <K, V>, <K, V>
  rondo.decay %S, %e : !rondo.state<K, V>, !rondo.val<K, V>
  // CHECK: rondo.decay %[[S]], %[[K]] rows : <K, V>, <K>
  // GENERIC: "rondo.decay"(%{{.*}}, %{{.*}}) <{axis = 0 : i32}> : (!rondo.state<K, V>, !rondo.val<K>) -> ()
  rondo.decay %S, %k rows : !rondo.state<K, V>, !rondo.val<K>
  // CHECK: rondo.decay %[[S]], %[[V]] cols : <K, V>, <V>
  rondo.decay %S, %v cols : !rondo.state<K, V>, !rondo.val<V>
  // CHECK: rondo.decay %[[N]], %[[K]] : <K>, <K>
  rondo.decay %n, %k : !rondo.state<K>, !rondo.val<K>
  // CHECK: rondo.rotate_state %[[S]], %[[T]] : <K, V>, <"K/2">
  rondo.rotate_state %S, %t : !rondo.state<K, V>, !rondo.val<"K/2">
  // CHECK: rondo.rotate_state %[[N]], %[[T]] : <K>, <"K/2">
  rondo.rotate_state %n, %t : !rondo.state<K>, !rondo.val<"K/2">
  // CHECK: rondo.read %[[S]], %[[K]] rows : <K, V>, <K> -> <V>
  %0 = rondo.read %S, %k rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<V>
  // CHECK: rondo.read %[[S]], %[[V]] cols : <K, V>, <V> -> <K>
  %1 = rondo.read %S, %v cols : !rondo.state<K, V>, !rondo.val<V> -> !rondo.val<K>
  // CHECK: %[[DOT:.*]] = rondo.read %[[N]], %[[K]] rows : <K>, <K> -> <>
  %2 = rondo.read %n, %k rows : !rondo.state<K>, !rondo.val<K> -> !rondo.val<>
  // CHECK: rondo.write %[[S]], %[[K]], %[[V]] : <K, V>, <K>, <V>
  rondo.write %S, %k, %v : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<V>
  // CHECK: rondo.write %[[N]], %[[K]], %[[G]] : <K>, <K>, <>
  rondo.write %n, %k, %g : !rondo.state<K>, !rondo.val<K>, !rondo.val<>
  // CHECK: rondo.write %[[M]], %[[G]], %[[DOT]] : <>, <>, <>
  rondo.write %m, %g, %2 : !rondo.state<>, !rondo.val<>, !rondo.val<>
  // CHECK: rondo.accumulate %[[F]], %[[G]], %[[S]] : <K, V>, <>, <K, V>
  rondo.accumulate %F, %g, %S : !rondo.state<K, V>, !rondo.val<>, !rondo.state<K, V>
  // CHECK: %[[L:.*]] = rondo.load %[[S]] : <K, V> -> <K, V>
  %3 = rondo.load %S : !rondo.state<K, V> -> !rondo.val<K, V>
  // CHECK: rondo.store %[[F]], %[[L]] : <K, V>, <K, V>
  rondo.store %F, %3 : !rondo.state<K, V>, !rondo.val<K, V>
  rondo.yield
}

// CHECK-LABEL: rondo.mixer @values
// CHECK-SAME: (%[[X:.*]]: !rondo.val<> {{.*}}, %[[K:.*]]: !rondo.val<K> {{.*}}, %[[V:.*]]: !rondo.val<V> {{.*}}, %[[A:.*]]: !rondo.val<K, V> {{.*}}, %[[T:.*]]: !rondo.val<"K/2">
rondo.mixer @values(%x: !rondo.val<> {rondo.name = "x"}, %k: !rondo.val<K> {rondo.name = "k"},
                    %v: !rondo.val<V> {rondo.name = "v"}, %a: !rondo.val<K, V> {rondo.name = "a"},
                    %t: !rondo.val<"K/2"> {rondo.name = "t"}) {
  // CHECK: rondo.constant 5.000000e-01 : <>
  %0 = rondo.constant 0.5 : !rondo.val<>
  // CHECK: rondo.dim "2*K" : <>
  %1 = rondo.dim "2*K" : !rondo.val<>
  // CHECK: rondo.unary log_sigmoid %[[K]] : <K>
  // GENERIC: "rondo.unary"(%{{.*}}) <{kind = 7 : i32}> : (!rondo.val<K>) -> !rondo.val<K>
  %2 = rondo.unary log_sigmoid %k : !rondo.val<K>
  // CHECK: rondo.binary max %[[X]], %[[K]] : <>, <K> -> <K>
  %3 = rondo.binary max %x, %k : !rondo.val<>, !rondo.val<K> -> !rondo.val<K>
  // CHECK: rondo.select %[[X]], %[[K]], %[[X]] : <>, <K>, <> -> <K>
  %4 = rondo.select %x, %k, %x : !rondo.val<>, !rondo.val<K>, !rondo.val<> -> !rondo.val<K>
  // CHECK: rondo.broadcast %[[K]] rows : <K> -> <K, V>
  %5 = rondo.broadcast %k rows : !rondo.val<K> -> !rondo.val<K, V>
  // CHECK: rondo.broadcast %[[V]] cols : <V> -> <K, V>
  %6 = rondo.broadcast %v cols : !rondo.val<V> -> !rondo.val<K, V>
  // CHECK: rondo.broadcast %[[X]] : <> -> <K>
  %7 = rondo.broadcast %x : !rondo.val<> -> !rondo.val<K>
  // CHECK: rondo.transpose %[[A]] : <K, V> -> <V, K>
  %8 = rondo.transpose %a : !rondo.val<K, V> -> !rondo.val<V, K>
  // CHECK: rondo.outer %[[K]], %[[V]] : <K>, <V> -> <K, V>
  %9 = rondo.outer %k, %v : !rondo.val<K>, !rondo.val<V> -> !rondo.val<K, V>
  // CHECK: rondo.matmul %[[A]], %[[V]] : <K, V>, <V> -> <K>
  %10 = rondo.matmul %a, %v : !rondo.val<K, V>, !rondo.val<V> -> !rondo.val<K>
  // CHECK: rondo.reduce sum %[[A]] : <K, V> -> <>
  %11 = rondo.reduce sum %a : !rondo.val<K, V> -> !rondo.val<>
  // CHECK: rondo.cumsum %[[K]] : <K>
  %12 = rondo.cumsum %k : !rondo.val<K>
  // CHECK: rondo.concat %[[K]], %[[V]] : !rondo.val<K>, !rondo.val<V> -> <"K+V">
  %13 = rondo.concat %k, %v : !rondo.val<K>, !rondo.val<V> -> !rondo.val<"K+V">
  // CHECK: rondo.rotate %[[A]], %[[T]] : <K, V>, <"K/2"> -> <K, V>
  %14 = rondo.rotate %a, %t : !rondo.val<K, V>, !rondo.val<"K/2"> -> !rondo.val<K, V>
  rondo.yield
}

// CHECK-LABEL: func.func @chunk
// CHECK-SAME: (%[[N:.*]]: index, %[[Q:.*]]: tensor<4x2xf32>, %[[G:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<4x4xf32>, %[[A:.*]]: tensor<4x3x3xf32>)
func.func @chunk(%n: index, %q: tensor<4x2xf32>, %g: tensor<4xf32>, %p: tensor<4x4xf32>, %a: tensor<4x3x3xf32>) {
  // CHECK: chunk.cumprod prefix %[[G]] : tensor<4xf32>
  %0 = chunk.cumprod prefix %g : tensor<4xf32>
  // CHECK: chunk.cumprod suffix %[[Q]] : tensor<4x2xf32>
  // GENERIC: "chunk.cumprod"(%{{.*}}) <{suffix}> : (tensor<4x2xf32>) -> tensor<4x2xf32>
  %1 = chunk.cumprod suffix %q : tensor<4x2xf32>
  // CHECK: chunk.total %[[Q]] : tensor<4x2xf32> -> tensor<2xf32>
  %2 = chunk.total %q : tensor<4x2xf32> -> tensor<2xf32>
  // CHECK: chunk.interval_products %[[G]] : tensor<4xf32> -> tensor<5x5xf32>
  %3 = chunk.interval_products %g : tensor<4xf32> -> tensor<5x5xf32>
  // CHECK: chunk.interval_products %[[A]] : tensor<4x3x3xf32> -> tensor<3x3x5x5xf32>
  %4 = chunk.interval_products %a : tensor<4x3x3xf32> -> tensor<3x3x5x5xf32>
  // CHECK: chunk.decayed_gram %[[Q]], %[[Q]], %[[Q]] : tensor<4x2xf32> -> tensor<4x4xf32>
  %5 = chunk.decayed_gram %q, %q, %q : tensor<4x2xf32> -> tensor<4x4xf32>
  // CHECK: chunk.decayed_apply %[[P]], %[[Q]], %[[Q]] : tensor<4x4xf32>, tensor<4x2xf32>
  %6 = chunk.decayed_apply %p, %q, %q : tensor<4x4xf32>, tensor<4x2xf32>
  // CHECK: chunk.solve %[[P]], %[[Q]] : tensor<4x4xf32>, tensor<4x2xf32>
  %7 = chunk.solve %p, %q : tensor<4x4xf32>, tensor<4x2xf32>
  // CHECK: chunk.solve %[[P]], %[[G]] : tensor<4x4xf32>, tensor<4xf32>
  %8 = chunk.solve %p, %g : tensor<4x4xf32>, tensor<4xf32>
  // CHECK: chunk.keep_rows %[[Q]], %[[N]] fill 1.000000e+00 : tensor<4x2xf32>
  %9 = chunk.keep_rows %q, %n fill 1.0 : tensor<4x2xf32>
  return
}

// CHECK-LABEL: func.func @scan
// CHECK-SAME: (%[[N:.*]]: index, %[[Q:.*]]: tensor<4x2xf32>, %[[W:.*]]: tensor<2xf32>, %[[S:.*]]: tensor<2xf32>)
func.func @scan(%n: index, %q: tensor<4x2xf32>, %w: tensor<2xf32>, %s: tensor<2xf32>) {
  // CHECK: chunk.scan "affine" count %[[N]] rows(%[[Q]] : tensor<4x2xf32>) shared(%[[W]] : tensor<2xf32>) states(%[[S]] : tensor<2xf32>) {
  // CHECK-NEXT: ^bb0(%[[ROW:.*]]: tensor<2xf32>, %[[SHARED:.*]]: tensor<2xf32>, %[[STATE:.*]]: tensor<2xf32>):
  // CHECK-NEXT: %[[NEW:.*]] = arith.addf %[[STATE]], %[[ROW]]
  // CHECK-NEXT: chunk.yield %[[NEW]], %[[NEW]] : tensor<2xf32>, tensor<2xf32>
  // CHECK-NEXT: } -> tensor<4x2xf32>, tensor<2xf32>
  %0:2 = chunk.scan "affine" count %n rows(%q : tensor<4x2xf32>) shared(%w : tensor<2xf32>) states(%s : tensor<2xf32>) {
  ^bb0(%row: tensor<2xf32>, %shared: tensor<2xf32>, %state: tensor<2xf32>):
    %new = arith.addf %state, %row : tensor<2xf32>
    chunk.yield %new, %new : tensor<2xf32>, tensor<2xf32>
  } -> tensor<4x2xf32>, tensor<2xf32>
  // CHECK: chunk.scan "sequential" count %[[N]] rows() shared() states() {
  // CHECK-NEXT: }
  chunk.scan "sequential" count %n rows() shared() states() {
    chunk.yield
  }
  return
}
