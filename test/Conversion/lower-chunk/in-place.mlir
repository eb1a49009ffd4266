// Bufferization makes in-place loops of the lowered form: buffers only for results and scratch, none of them in a loop, and no copies but
// of rows that the lowering writes.

// RUN: rondo-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(rondo-lower-decay,rondo-lower-solve,rondo-lower-scan,canonicalize,cse),one-shot-bufferize{bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map},canonicalize,cse,canonicalize)' | FileCheck %s

// The result, the late rows, their totals and one row.
// CHECK-LABEL: func @gram
func.func @gram(%q: tensor<64x32xf32>, %k: tensor<64x32xf32>, %d: tensor<64x32xf32>) -> tensor<64x64xf32> {
  // CHECK: memref.alloc() {{.*}} : memref<64x64xf32>
  // CHECK-NOT: {{memref.alloc|memref.copy}}
  // CHECK: memref.alloc() {{.*}} : memref<64x32xf32>
  // CHECK-NEXT: memref.alloc() {{.*}} : memref<4x32xf32>
  // CHECK-NEXT: memref.alloc() {{.*}} : memref<32xf32>
  // CHECK: memref.copy {{.*}} : memref<32xf32> to
  // CHECK-NOT: {{memref.alloc|memref.copy}}
  // CHECK: return
  %0 = chunk.decayed_gram %q, %k, %d : tensor<64x32xf32> -> tensor<64x64xf32>
  return %0 : tensor<64x64xf32>
}

// -----

// The negated matrix and the solved rows; each row is copied once.
// CHECK-LABEL: func @solve
func.func @solve(%m: tensor<64x64xf32>, %b: tensor<64x32xf32>) -> tensor<64x32xf32> {
  // CHECK: memref.alloc() {{.*}} : memref<64x64xf32>
  // CHECK: %[[SOLVED:.*]] = memref.alloc() {{.*}} : memref<64x32xf32>
  // CHECK-NOT: {{memref.alloc|memref.copy}}
  // CHECK: memref.copy {{.*}} : memref<1x32xf32, {{.*}}> to memref<1x32xf32
  // CHECK-NOT: {{memref.alloc|memref.copy}}
  // CHECK: return %[[SOLVED]]
  %0 = chunk.solve %m, %b : tensor<64x64xf32>, tensor<64x32xf32>
  return %0 : tensor<64x32xf32>
}

// -----

// CHECK-LABEL: func @solve_vector
// CHECK-SAME: %[[M:.*]]: memref<64x64xf32>, %[[B:.*]]: memref<64xf32>
func.func @solve_vector(%m: tensor<64x64xf32>, %b: tensor<64xf32>) -> tensor<64xf32> {
  // CHECK-NOT: {{memref.alloc|memref.copy}}
  // CHECK: return %[[B]]
  %0 = chunk.solve %m, %b : tensor<64x64xf32>, tensor<64xf32>
  return %0 : tensor<64xf32>
}

// -----

// CHECK-LABEL: func @scan
// CHECK-SAME: %[[N:.*]]: index, %[[X:.*]]: memref<64x8xf32>, %[[S:.*]]: memref<8xf32>
func.func @scan(%n: index, %x: tensor<64x8xf32>, %s0: tensor<8xf32>) -> (tensor<64x8xf32>, tensor<8xf32>) {
  // CHECK: %[[O:.*]] = memref.alloc() {{.*}} : memref<64x8xf32>
  // CHECK: linalg.add {{.*}} outs(%[[S]] : memref<8xf32>)
  // CHECK: memref.copy %[[S]], %{{.*}} : memref<8xf32> to
  // CHECK-NOT: {{memref.alloc|memref.copy}}
  // CHECK: return %[[O]], %[[S]]
  %o, %s = chunk.scan "affine" count %n rows(%x : tensor<64x8xf32>) shared() states(%s0 : tensor<8xf32>) {
  ^bb0(%row: tensor<8xf32>, %state: tensor<8xf32>):
    %e = tensor.empty() : tensor<8xf32>
    %new = linalg.add ins(%row, %state : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    chunk.yield %new, %new : tensor<8xf32>, tensor<8xf32>
  } -> tensor<64x8xf32>, tensor<8xf32>
  return %o, %s : tensor<64x8xf32>, tensor<8xf32>
}

// -----

// Nobody else reads the rows.
// CHECK-LABEL: func @keep_rows
func.func @keep_rows(%x: tensor<64x8xf32>, %n: index) -> tensor<64x8xf32> {
  // CHECK: %[[Y:.*]] = memref.alloc() {{.*}} : memref<64x8xf32>
  // CHECK: linalg.exp {{.*}} outs(%[[Y]]
  // CHECK-NOT: {{memref.alloc|copy}}
  // CHECK: %[[TAIL:.*]] = memref.subview %[[Y]]
  // CHECK: linalg.fill {{.*}} outs(%[[TAIL]]
  // CHECK-NOT: {{memref.alloc|copy}}
  // CHECK: return %[[Y]]
  %e = tensor.empty() : tensor<64x8xf32>
  %y = linalg.exp ins(%x : tensor<64x8xf32>) outs(%e : tensor<64x8xf32>) -> tensor<64x8xf32>
  %0 = chunk.keep_rows %y, %n fill 0.0 : tensor<64x8xf32>
  return %0 : tensor<64x8xf32>
}
