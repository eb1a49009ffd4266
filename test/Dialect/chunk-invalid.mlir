// RUN: rondo-opt --split-input-file --verify-diagnostics %s

// One function for each rule of the chunk-level verifiers.

func.func @cumprod_shape(%x: tensor<4xf32>) {
  // expected-error @below {{'chunk.cumprod' op requires the same type for all operands and results}}
  %0 = "chunk.cumprod"(%x) : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @cumprod_dynamic(%x: tensor<?xf32>) {
  // expected-error @below {{'chunk.cumprod' op operand #0 must be statically shaped tensor of any type values, but got 'tensor<?xf32>'}}
  %0 = chunk.cumprod prefix %x : tensor<?xf32>
  return
}

// -----

func.func @total_shape(%x: tensor<4x2xf32>) {
  // expected-error @below {{'chunk.total' op must turn [C, ...] into [...]}}
  %0 = chunk.total %x : tensor<4x2xf32> -> tensor<4xf32>
  return
}

// -----

func.func @interval_products_scalar(%x: tensor<4xf32>) {
  // expected-error @below {{'chunk.interval_products' op must turn [C] into [C+1, C+1] or [C, n, n] into [n, n, C+1, C+1]}}
  %0 = chunk.interval_products %x : tensor<4xf32> -> tensor<4x4xf32>
  return
}

// -----

func.func @interval_products_matrix(%x: tensor<4x2x3xf32>) {
  // expected-error @below {{'chunk.interval_products' op must turn [C] into [C+1, C+1] or [C, n, n] into [n, n, C+1, C+1]}}
  %0 = chunk.interval_products %x : tensor<4x2x3xf32> -> tensor<2x3x5x5xf32>
  return
}

// -----

func.func @decayed_gram_rank(%x: tensor<4xf32>) {
  // expected-error @below {{'chunk.decayed_gram' op query, key and decay must have the same shape [C, R]}}
  %0 = chunk.decayed_gram %x, %x, %x : tensor<4xf32> -> tensor<4x4xf32>
  return
}

// -----

func.func @decayed_gram_result(%x: tensor<4x2xf32>) {
  // expected-error @below {{'chunk.decayed_gram' op the result must be [C, C]}}
  %0 = chunk.decayed_gram %x, %x, %x : tensor<4x2xf32> -> tensor<2x2xf32>
  return
}

// -----

func.func @decayed_apply_weight(%w: tensor<3x3xf32>, %x: tensor<4x2xf32>) {
  // expected-error @below {{'chunk.decayed_apply' op weight must be [C, C] and value [C, V]}}
  %0 = chunk.decayed_apply %w, %x, %x : tensor<3x3xf32>, tensor<4x2xf32>
  return
}

// -----

func.func @solve_matrix(%m: tensor<4x3xf32>, %x: tensor<4x2xf32>) {
  // expected-error @below {{'chunk.solve' op matrix must be [N, N] and rhs [N, V] or [N]}}
  %0 = chunk.solve %m, %x : tensor<4x3xf32>, tensor<4x2xf32>
  return
}

// -----

func.func @solve_rhs(%m: tensor<4x4xf32>, %x: tensor<3x2xf32>) {
  // expected-error @below {{'chunk.solve' op matrix must be [N, N] and rhs [N, V] or [N]}}
  %0 = chunk.solve %m, %x : tensor<4x4xf32>, tensor<3x2xf32>
  return
}

// -----

func.func @keep_rows_type(%x: tensor<4xf32>, %n: index) {
  // expected-error @below {{'chunk.keep_rows' op failed to verify that all of {operand, result} have same type}}
  %0 = "chunk.keep_rows"(%x, %n) <{fill = 0.0 : f32}> : (tensor<4xf32>, index) -> tensor<5xf32>
  return
}

// -----

func.func @scan_arguments(%n: index, %x: tensor<4xf32>) {
  // expected-error @below {{'chunk.scan' op the region needs one argument for each of rows, shared and states}}
  chunk.scan "affine" count %n rows(%x : tensor<4xf32>) shared() states() {
    chunk.yield
  }
  return
}

// -----

func.func @scan_results(%n: index, %x: tensor<4x2xf32>) {
  // expected-error @below {{'chunk.scan' op the region must yield one value for each result, the states last}}
  %0 = chunk.scan "affine" count %n rows(%x : tensor<4x2xf32>) shared() states() {
  ^bb0(%row: tensor<2xf32>):
    chunk.yield
  } -> tensor<4x2xf32>
  return
}

// -----

func.func @scan_states(%n: index, %x: tensor<2xf32>) {
  // expected-error @below {{'chunk.scan' op the region must yield one value for each result, the states last}}
  chunk.scan "affine" count %n rows() shared() states(%x : tensor<2xf32>) {
  ^bb0(%state: tensor<2xf32>):
    chunk.yield
  }
  return
}

// -----

func.func @yield_outside_a_scan() {
  // expected-error @below {{'chunk.yield' op expects parent op 'chunk.scan'}}
  chunk.yield
}
