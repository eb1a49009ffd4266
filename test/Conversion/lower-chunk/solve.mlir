// RUN: rondo-opt %s -rondo-lower-solve -canonicalize -split-input-file | FileCheck %s
// RUN: rondo-opt %s -rondo-lower-solve=block=8 -canonicalize -split-input-file | FileCheck %s --check-prefix=EIGHT

// CHECK-LABEL: func @blocks
// CHECK-SAME: %[[M:.*]]: tensor<64x64xf32>, %[[B:.*]]: tensor<64x32xf32>
// EIGHT-LABEL: func @blocks
func.func @blocks(%m: tensor<64x64xf32>, %b: tensor<64x32xf32>) -> tensor<64x32xf32> {
  // CHECK: %[[EMPTY:.*]] = tensor.empty() : tensor<64x64xf32>
  // CHECK: %[[NEGATED:.*]] = linalg.generic {{.*}} ins(%[[M]] : {{.*}}) outs(%[[EMPTY]]
  // CHECK: arith.negf
  // CHECK: %[[X:.*]]:2 = scf.for %[[START:.*]] = %c0 to %c64 step %c16 iter_args(%[[RHS:.*]] = %[[B]], %[[SOLVED:.*]] =
  // CHECK-DAG: %[[LHS:.*]] = tensor.extract_slice %[[NEGATED]][%[[START]], 0] [16, %[[START]]] [1, 1]
  // CHECK-DAG: %[[ABOVE:.*]] = tensor.extract_slice %[[SOLVED]][0, 0] [%[[START]], 32] [1, 1]
  // CHECK-DAG: %[[ROWS:.*]] = tensor.extract_slice %[[RHS]][%[[START]], 0] [16, 32] [1, 1]
  // CHECK: %[[NEW:.*]] = linalg.contract {{.*}} ins(%[[LHS]], %[[ABOVE]] : {{.*}}) outs(%[[ROWS]]
  // CHECK: %[[RHS1:.*]] = tensor.insert_slice %[[NEW]] into %[[RHS]]
  // CHECK: scf.for %[[I:.*]] = %[[START]] to %{{.*}} iter_args(%[[RHS2:.*]] = %[[RHS1]], %[[SOLVED2:.*]] = %[[SOLVED]])
  // CHECK: %[[ROW:.*]] = linalg.contract {{.*}} tensor<1x?xf32>, tensor<?x32xf32>
  // CHECK-DAG: tensor.insert_slice %[[ROW]] into %[[RHS2]]
  // CHECK-DAG: tensor.insert_slice %[[ROW]] into %[[SOLVED2]]
  // CHECK: return %[[X]]#1
  // EIGHT: scf.for %{{.*}} = %c0 to %c64 step %c8
  %0 = chunk.solve %m, %b : tensor<64x64xf32>, tensor<64x32xf32>
  return %0 : tensor<64x32xf32>
}

// -----

// Four rows are left after one block.
// CHECK-LABEL: func @short_last_block
// EIGHT-LABEL: func @short_last_block
func.func @short_last_block(%m: tensor<20x20xf32>, %b: tensor<20x32xf32>) -> tensor<20x32xf32> {
  // CHECK: linalg.contract {{.*}} ins(%{{.*}} : tensor<4x16xf32>, tensor<16x32xf32>) outs(%{{.*}} : tensor<4x32xf32>)
  // CHECK: scf.for %{{.*}} = %c16 to %c20
  // EIGHT: scf.for %{{.*}} = %c0 to %c16 step %c8
  %0 = chunk.solve %m, %b : tensor<20x20xf32>, tensor<20x32xf32>
  return %0 : tensor<20x32xf32>
}

// -----

// CHECK-LABEL: func @one_column
// CHECK-SAME: %[[M:.*]]: tensor<64x64xf32>, %[[B:.*]]: tensor<64xf32>
func.func @one_column(%m: tensor<64x64xf32>, %b: tensor<64xf32>) -> tensor<64xf32> {
  // CHECK: %[[X:.*]] = scf.for %[[I:.*]] = %c0 to %c64 step %c1 iter_args(%[[SOLVED:.*]] = %[[B]])
  // CHECK: %[[FIRST:.*]] = tensor.extract %[[SOLVED]][%[[I]]]
  // CHECK: %[[SUM:.*]] = scf.for %[[J:.*]] = %c0 to %[[I]] {{.*}} iter_args(%{{.*}} = %[[FIRST]])
  // CHECK: tensor.insert %[[SUM]] into %[[SOLVED]][%[[I]]]
  // CHECK: return %[[X]]
  %0 = chunk.solve %m, %b : tensor<64x64xf32>, tensor<64xf32>
  return %0 : tensor<64xf32>
}
