// RUN: rondo-opt %s -pass-pipeline='builtin.module(rondo-to-llvm{vector-bits=512})' | mlir-translate -mlir-to-llvmir \
// RUN:   | opt -O2 -disable-loop-unrolling | llc -mcpu=znver5 -mtriple=x86_64-linux-gnu | FileCheck %s

// The inner loop is 16 multiply-adds on zmm registers, 8 broadcasts and 2 loads; nothing is spilled.
// CHECK-LABEL: product:
// CHECK-NOT:     Spill
// CHECK:       .p2align
// CHECK-COUNT-16: vfmadd231ps %zmm
// CHECK-NOT:      vfmadd
// CHECK:          jb
// CHECK-NOT:     Spill
// CHECK:         retq
func.func @product(%a: memref<64x128xf32>, %b: memref<128x64xf32>, %c: memref<64x64xf32>) {
  linalg.matmul ins(%a, %b : memref<64x128xf32>, memref<128x64xf32>) outs(%c : memref<64x64xf32>)
  return
}
