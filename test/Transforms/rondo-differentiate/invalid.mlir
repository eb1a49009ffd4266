// RUN: rondo-opt %s -rondo-differentiate -verify-diagnostics

func.func @unknown(%n: index, %x: tensor<8xf32> {rondo.name = "x", rondo.role = "token"})
    -> (tensor<8xf32> {rondo.name = "o", rondo.role = "output"}) attributes {rondo.chunk = 8 : i64} {
  // expected-error @below {{no derivative for 'math.erf'}}
  %0 = math.erf %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}
