// RUN: rondo-opt %s --rondo-build-kernel -split-input-file -verify-diagnostics

// expected-error @+1 {{needs static f32 tensors with rondo.name and rondo.role}}
func.func @no_role(%count: index, %v: tensor<8xf32> {rondo.name = "v"})
    -> (tensor<8xf32> {rondo.name = "o", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  return %v : tensor<8xf32>
}

// -----

// expected-error @+1 {{has the unknown role 'weight'}}
func.func @role(%count: index, %v: tensor<8xf32> {rondo.name = "v", rondo.role = "weight"})
    -> (tensor<8xf32> {rondo.name = "o", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  return %v : tensor<8xf32>
}

// -----

// expected-error @+1 {{needs 8 rows in 'v'}}
func.func @rows(%count: index, %v: tensor<4xf32> {rondo.name = "v", rondo.role = "token"})
    -> (tensor<4xf32> {rondo.name = "o", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  return %v : tensor<4xf32>
}

// -----

// expected-error @+1 {{has no token array to take B, T and H from}}
func.func @output(%count: index, %v: tensor<8xf32> {rondo.name = "v", rondo.role = "param"}) attributes {rondo.chunk = 8 : i64} {
  return
}

// -----

// expected-error @+1 {{has no output}}
func.func @step(%count: index, %v: tensor<1xf32> {rondo.name = "v", rondo.role = "token"}) attributes {rondo.chunk = 1 : i64, rondo.step} {
  return
}

// -----

// expected-error @+1 {{must return its outputs and then its 1 states}}
func.func @states(%count: index, %S: tensor<8xf32> {rondo.name = "S", rondo.role = "state"}, %v: tensor<8xf32> {rondo.name = "v", rondo.role = "token"})
    -> (tensor<8xf32> {rondo.name = "o", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  return %v : tensor<8xf32>
}
