// RUN: rondo-opt --split-input-file --verify-diagnostics %s

// One function for each rule of the token-level verifiers.

// expected-error @below {{'rondo.mixer' op argument 0 must be a !rondo.val}}
rondo.mixer @mixer_argument_type(%x: f32 {rondo.name = "x"}) {
  rondo.yield
}

// -----

// expected-error @below {{'rondo.mixer' op argument 0 needs a name: {rondo.name = "..."}}}
rondo.mixer @mixer_argument_name(%x: !rondo.val<K>) {
  rondo.yield
}

// -----

// expected-error @below {{'rondo.mixer' op two arguments are named 'x'}}
rondo.mixer @mixer_argument_names(%x: !rondo.val<K> {rondo.name = "x"}, %y: !rondo.val<K> {rondo.name = "x"}) {
  rondo.yield
}

// -----

// expected-error @below {{'rondo.mixer' op argument 'x': rondo.kind is "token" or "param"}}
rondo.mixer @mixer_argument_kind(%x: !rondo.val<K> {rondo.name = "x", rondo.kind = "const"}) {
  rondo.yield
}

// -----

// expected-error @below {{'rondo.mixer' op result 0 must be a !rondo.val}}
rondo.mixer @mixer_result_type() -> (f32 {rondo.name = "o"}) {
  rondo.yield
}

// -----

// expected-error @below {{'rondo.mixer' op result 0 needs a name: {rondo.name = "..."}}}
rondo.mixer @mixer_result_name(%x: !rondo.val<K> {rondo.name = "x"}) -> !rondo.val<K> {
  rondo.yield %x : !rondo.val<K>
}

// -----

// expected-error @below {{'rondo.mixer' op must end in rondo.yield}}
rondo.mixer @mixer_without_yield(%x: !rondo.val<K> {rondo.name = "x"}) {
  llvm.unreachable
}

// -----

// expected-error @below {{'rondo.mixer' op region #0 ('body') failed to verify constraint: region with 1 blocks}}
rondo.mixer @mixer_without_body(%x: !rondo.val<K> {rondo.name = "x"})

// -----

rondo.mixer @mixer_state_names() {
  %0 = rondo.state "S" : !rondo.state<K>
  // expected-error @below {{'rondo.state' op two states are named 'S'}}
  %1 = rondo.state "S" : !rondo.state<V>
  rondo.yield
}

// -----

rondo.mixer @yield_types(%x: !rondo.val<K> {rondo.name = "x"}) -> (!rondo.val<V> {rondo.name = "o"}) {
  // expected-error @below {{'rondo.yield' op must yield the mixer's result types}}
  rondo.yield %x : !rondo.val<K>
}

// -----

func.func @yield_outside_a_mixer() {
  // expected-error @below {{'rondo.yield' op expects parent op 'rondo.mixer'}}
  rondo.yield
}

// -----

func.func @state_outside_a_mixer() {
  // expected-error @below {{'rondo.state' op expects parent op 'rondo.mixer'}}
  %0 = rondo.state "S" : !rondo.state<K>
  return
}

// -----

rondo.mixer @load_shape() {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.load' op must give a value of the state's shape}}
  %0 = rondo.load %S : !rondo.state<K, V> -> !rondo.val<V, K>
  rondo.yield
}

// -----

rondo.mixer @store_shape(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.store' op must store a value of the state's shape}}
  rondo.store %S, %x : !rondo.state<K, V>, !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @decay_without_axis(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.decay' op without an axis the factor must be a scalar or have the state's shape}}
  rondo.decay %S, %x : !rondo.state<K, V>, !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @decay_axis_of_a_vector(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K>
  // expected-error @below {{'rondo.decay' op an axis needs a matrix state; leave it out for a vector state}}
  rondo.decay %S, %x rows : !rondo.state<K>, !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @decay_rows(%x: !rondo.val<V> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.decay' op the factor must be a vector with one element a row of the state}}
  rondo.decay %S, %x rows : !rondo.state<K, V>, !rondo.val<V>
  rondo.yield
}

// -----

rondo.mixer @decay_cols(%x: !rondo.val<> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.decay' op the factor must be a vector with one element a column of the state}}
  rondo.decay %S, %x cols : !rondo.state<K, V>, !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @rotate_state_scalar(%x: !rondo.val<1> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<>
  // expected-error @below {{'rondo.rotate_state' op cannot turn a scalar}}
  rondo.rotate_state %S, %x : !rondo.state<>, !rondo.val<1>
  rondo.yield
}

// -----

rondo.mixer @rotate_state_theta(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.rotate_state' op theta must be a vector with one angle for two rows}}
  rondo.rotate_state %S, %x : !rondo.state<K, V>, !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @rotate_shape(%x: !rondo.val<4> {rondo.name = "x"}, %t: !rondo.val<2> {rondo.name = "t"}) {
  // expected-error @below {{'rondo.rotate' op must give a value of the operand's shape}}
  %0 = rondo.rotate %x, %t : !rondo.val<4>, !rondo.val<2> -> !rondo.val<2>
  rondo.yield
}

// -----

rondo.mixer @rotate_theta(%x: !rondo.val<4> {rondo.name = "x"}, %t: !rondo.val<> {rondo.name = "t"}) {
  // expected-error @below {{'rondo.rotate' op theta must be a vector with one angle for two rows}}
  %0 = rondo.rotate %x, %t : !rondo.val<4>, !rondo.val<> -> !rondo.val<4>
  rondo.yield
}

// -----

rondo.mixer @read_scalar(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<>
  // expected-error @below {{'rondo.read' op cannot contract a scalar state; load it}}
  %0 = rondo.read %S, %x rows : !rondo.state<>, !rondo.val<K> -> !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @read_cols_of_a_vector(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K>
  // expected-error @below {{'rondo.read' op a vector state has rows only}}
  %0 = rondo.read %S, %x cols : !rondo.state<K>, !rondo.val<K> -> !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @read_rows(%x: !rondo.val<V> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.read' op the vector must have one element a row of the state}}
  %0 = rondo.read %S, %x rows : !rondo.state<K, V>, !rondo.val<V> -> !rondo.val<V>
  rondo.yield
}

// -----

rondo.mixer @read_cols(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.read' op the vector must have one element a column of the state}}
  %0 = rondo.read %S, %x cols : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @read_result(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.read' op the result must have the other size of the state}}
  %0 = rondo.read %S, %x rows : !rondo.state<K, V>, !rondo.val<K> -> !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @write_key(%x: !rondo.val<V> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.write' op the key must have one element a row of the state}}
  rondo.write %S, %x, %x : !rondo.state<K, V>, !rondo.val<V>, !rondo.val<V>
  rondo.yield
}

// -----

rondo.mixer @write_value(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  // expected-error @below {{'rondo.write' op the value must have one element a column of the state}}
  rondo.write %S, %x, %x : !rondo.state<K, V>, !rondo.val<K>, !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @accumulate_shapes(%x: !rondo.val<> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K, V>
  %F = rondo.state "F" : !rondo.state<V, K>
  // expected-error @below {{'rondo.accumulate' op both states must have the same shape}}
  rondo.accumulate %S, %x, %F : !rondo.state<K, V>, !rondo.val<>, !rondo.state<V, K>
  rondo.yield
}

// -----

rondo.mixer @accumulate_factor(%x: !rondo.val<K> {rondo.name = "x"}) {
  %S = rondo.state "S" : !rondo.state<K>
  // expected-error @below {{'rondo.accumulate' op the factor must be a scalar}}
  rondo.accumulate %S, %x, %S : !rondo.state<K>, !rondo.val<K>, !rondo.state<K>
  rondo.yield
}

// -----

rondo.mixer @constant_type() {
  // expected-error @below {{'rondo.constant' op must be a scalar}}
  %0 = rondo.constant 1.0 : !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @dim_size() {
  // expected-error @below {{'rondo.dim' op 'K+' is not a size expression}}
  %0 = rondo.dim "K+" : !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @dim_type() {
  // expected-error @below {{'rondo.dim' op must be a scalar}}
  %0 = rondo.dim "K" : !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @unary_shape(%x: !rondo.val<K> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.unary' op requires the same type for all operands and results}}
  %0 = "rondo.unary"(%x) <{kind = 1 : i32}> : (!rondo.val<K>) -> !rondo.val<V>
  rondo.yield
}

// -----

rondo.mixer @binary_shapes(%x: !rondo.val<K> {rondo.name = "x"}, %y: !rondo.val<V> {rondo.name = "y"}) {
  // expected-error @below {{'rondo.binary' op operands must have the same shape or one be a scalar, and the result the larger shape}}
  %0 = rondo.binary add %x, %y : !rondo.val<K>, !rondo.val<V> -> !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @binary_result(%x: !rondo.val<> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.binary' op operands must have the same shape or one be a scalar, and the result the larger shape}}
  %0 = rondo.binary add %x, %x : !rondo.val<>, !rondo.val<> -> !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @select_shapes(%x: !rondo.val<K> {rondo.name = "x"}, %y: !rondo.val<V> {rondo.name = "y"}) {
  // expected-error @below {{'rondo.select' op operands must be scalars or have the result's shape}}
  %0 = rondo.select %x, %y, %x : !rondo.val<K>, !rondo.val<V>, !rondo.val<K> -> !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @broadcast_without_axis(%x: !rondo.val<K> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.broadcast' op without an axis the operand must be a scalar}}
  %0 = rondo.broadcast %x : !rondo.val<K> -> !rondo.val<K, V>
  rondo.yield
}

// -----

rondo.mixer @broadcast_axis(%x: !rondo.val<K> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.broadcast' op an axis needs a vector with one element a row (rows) or column (cols) of a matrix}}
  %0 = rondo.broadcast %x cols : !rondo.val<K> -> !rondo.val<K, V>
  rondo.yield
}

// -----

rondo.mixer @transpose_shape(%x: !rondo.val<K, V> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.transpose' op must turn a matrix [M, N] into a matrix [N, M]}}
  %0 = rondo.transpose %x : !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.yield
}

// -----

rondo.mixer @outer_shape(%x: !rondo.val<K> {rondo.name = "x"}, %y: !rondo.val<V> {rondo.name = "y"}) {
  // expected-error @below {{'rondo.outer' op must turn vectors [M] and [N] into a matrix [M, N]}}
  %0 = rondo.outer %x, %y : !rondo.val<K>, !rondo.val<V> -> !rondo.val<V, K>
  rondo.yield
}

// -----

rondo.mixer @matmul_scalar(%x: !rondo.val<> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.matmul' op operands must be vectors or matrices; use * for scalars}}
  %0 = rondo.matmul %x, %x : !rondo.val<>, !rondo.val<> -> !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @matmul_inner(%x: !rondo.val<K, V> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.matmul' op the inner sizes differ: V and K}}
  %0 = rondo.matmul %x, %x : !rondo.val<K, V>, !rondo.val<K, V> -> !rondo.val<K, V>
  rondo.yield
}

// -----

rondo.mixer @matmul_result(%x: !rondo.val<K, K> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.matmul' op the result must have the outer sizes}}
  %0 = rondo.matmul %x, %x : !rondo.val<K, K>, !rondo.val<K, K> -> !rondo.val<K>
  rondo.yield
}

// -----

rondo.mixer @reduce_scalar(%x: !rondo.val<> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.reduce' op must turn a vector or matrix into a scalar}}
  %0 = rondo.reduce sum %x : !rondo.val<> -> !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @cumsum_rank(%x: !rondo.val<K, V> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.cumsum' op the operand must be a vector}}
  %0 = rondo.cumsum %x : !rondo.val<K, V>
  rondo.yield
}

// -----

rondo.mixer @concat_operands(%x: !rondo.val<> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.concat' op operands must be vectors}}
  %0 = rondo.concat %x, %x : !rondo.val<>, !rondo.val<> -> !rondo.val<2>
  rondo.yield
}

// -----

rondo.mixer @concat_result(%x: !rondo.val<K> {rondo.name = "x"}) {
  // expected-error @below {{'rondo.concat' op the result's size must be the sum of the operands' sizes}}
  %0 = rondo.concat %x, %x : !rondo.val<K>, !rondo.val<K> -> !rondo.val<K>
  rondo.yield
}
