// RUN: rondo-opt %s -rondo-vectorize -split-input-file -verify-diagnostics
// RUN: not rondo-opt %s -rondo-vectorize=vector-width=64 2>&1 | FileCheck %s

// CHECK: vector-width must be 128, 256 or 512 bits, not 64
func.func @tensors(%a: tensor<8xf32>) -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32
  // expected-error @below {{works on tensors; bufferize before rondo-vectorize}}
  %0 = linalg.fill ins(%zero : f32) outs(%a : tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}
