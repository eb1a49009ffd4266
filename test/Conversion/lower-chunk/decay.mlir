// RUN: rondo-opt %s -rondo-lower-decay -canonicalize -split-input-file | FileCheck %s
// RUN: rondo-opt %s -rondo-lower-decay=leaf=8 -canonicalize -split-input-file | FileCheck %s --check-prefix=EIGHT

// CHECK-LABEL: func @prefix
// CHECK-SAME: %[[D:.*]]: tensor<64x32xf32>
func.func @prefix(%d: tensor<64x32xf32>) -> tensor<64x32xf32> {
  // CHECK: %[[ONES:.*]] = linalg.fill
  // CHECK: scf.for %[[T:.*]] = %c0 to %c64 step %c1 iter_args(%[[RESULT:.*]] = %{{.*}}, %[[PRODUCT:.*]] = %[[ONES]])
  // CHECK: %[[NEXT:.*]] = tensor.insert_slice %[[PRODUCT]] into %[[RESULT]][%[[T]], 0] [1, 32] [1, 1]
  // CHECK: %[[ROW:.*]] = tensor.extract_slice %[[D]][%[[T]], 0] [1, 32] [1, 1]
  // CHECK: %[[PRODUCT1:.*]] = linalg.generic {{.*}} ins(%[[ROW]] : {{.*}}) outs(%[[PRODUCT]]
  // CHECK: scf.yield %[[NEXT]], %[[PRODUCT1]]
  %0 = chunk.cumprod prefix %d : tensor<64x32xf32>
  return %0 : tensor<64x32xf32>
}

// -----

// From the last token to the first one.
// CHECK-LABEL: func @suffix_of_numbers
// CHECK-SAME: %[[D:.*]]: tensor<64xf32>
func.func @suffix_of_numbers(%d: tensor<64xf32>) -> tensor<64xf32> {
  // CHECK: scf.for %[[STEP:.*]] = %c0 to %c64 step %c1 iter_args(%[[RESULT:.*]] = %{{.*}}, %[[PRODUCT:.*]] = %cst)
  // CHECK: %[[T:.*]] = arith.subi %c63, %[[STEP]]
  // CHECK: %[[DECAY:.*]] = tensor.extract %[[D]][%[[T]]]
  // CHECK: arith.mulf %[[PRODUCT]], %[[DECAY]]
  // CHECK: tensor.insert %[[PRODUCT]] into %[[RESULT]][%[[T]]]
  %0 = chunk.cumprod suffix %d : tensor<64xf32>
  return %0 : tensor<64xf32>
}

// -----

// Two passes over the decays would be one too many.
// CHECK-LABEL: func @total_from_suffix
// CHECK-SAME: %[[D:.*]]: tensor<64x32xf32>
func.func @total_from_suffix(%d: tensor<64x32xf32>) -> (tensor<32xf32>, tensor<64x32xf32>) {
  // CHECK: %[[SUFFIX:.*]]:2 = scf.for
  // CHECK-NOT: scf.for
  // CHECK-DAG: %[[LAST:.*]] = tensor.extract_slice %[[SUFFIX]]#0[0, 0] [1, 32] [1, 1]
  // CHECK-DAG: %[[FIRST:.*]] = tensor.extract_slice %[[D]][0, 0] [1, 32] [1, 1]
  // CHECK: linalg.generic {{.*}} ins(%[[LAST]], %[[FIRST]]
  %0 = chunk.total %d : tensor<64x32xf32> -> tensor<32xf32>
  %1 = chunk.cumprod suffix %d : tensor<64x32xf32>
  return %0, %1 : tensor<32xf32>, tensor<64x32xf32>
}

// -----

// CHECK-LABEL: func @total
func.func @total(%d: tensor<64x32xf32>) -> tensor<32xf32> {
  // CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]} ins(%{{.*}} : tensor<64x32xf32>) outs(%{{.*}} : tensor<32xf32>)
  // CHECK: arith.mulf
  %0 = chunk.total %d : tensor<64x32xf32> -> tensor<32xf32>
  return %0 : tensor<32xf32>
}

// -----

// CHECK-LABEL: func @interval_products
// CHECK-SAME: %[[D:.*]]: tensor<64xf32>
func.func @interval_products(%d: tensor<64xf32>) -> tensor<65x65xf32> {
  // CHECK: scf.for %[[T:.*]] = %c0 to %c64 step %c1 iter_args(%[[RESULT:.*]] = %{{.*}}, %[[ROW:.*]] = %{{.*}})
  // CHECK: %[[DECAY:.*]] = tensor.extract %[[D]][%[[T]]]
  // CHECK: %[[I:.*]] = arith.addi %[[T]], %c1
  // CHECK: %[[PRODUCTS:.*]] = linalg.generic {{.*}} outs(%[[ROW]]
  // CHECK: arith.mulf %{{.*}}, %[[DECAY]]
  // CHECK: %[[NEXT:.*]] = tensor.insert %{{.*}} into %[[PRODUCTS]][%[[I]]]
  // CHECK: tensor.insert_slice %[[NEXT]] into %[[RESULT]][%[[I]], 0] [1, 65] [1, 1]
  %0 = chunk.interval_products %d : tensor<64xf32> -> tensor<65x65xf32>
  return %0 : tensor<65x65xf32>
}

// -----

// The two rows of one column of the matrix products are results of one operation.
// CHECK-LABEL: func @coupled_interval_products
func.func @coupled_interval_products(%a: tensor<8x2x2xf32>) -> tensor<2x2x9x9xf32> {
  // CHECK: scf.for
  // CHECK-COUNT-2: linalg.generic {{.*}} outs(%{{.*}}, %{{.*}} : tensor<9xf32>, tensor<9xf32>)
  // CHECK-NOT: linalg.generic
  %0 = chunk.interval_products %a : tensor<8x2x2xf32> -> tensor<2x2x9x9xf32>
  return %0 : tensor<2x2x9x9xf32>
}

// -----

// Two levels above the leaves: two products of halves of 16 rows, one of halves of 32 rows. Nothing but products of decays.
// CHECK-LABEL: func @gram
// CHECK-SAME: %[[Q:.*]]: tensor<64x32xf32>, %[[K:.*]]: tensor<64x32xf32>, %[[D:.*]]: tensor<64x32xf32>
// CHECK-NOT: math.
// CHECK-NOT: arith.divf
// CHECK-NOT: arith.subf
// EIGHT-LABEL: func @gram
func.func @gram(%q: tensor<64x32xf32>, %k: tensor<64x32xf32>, %d: tensor<64x32xf32>) -> tensor<64x64xf32> {
  // CHECK: %[[ZERO:.*]] = linalg.fill {{.*}} -> tensor<64x64xf32>
  // CHECK: %[[LEAVES:.*]]:2 = scf.for {{.*}} step %c16 iter_args(%{{.*}} = %[[ZERO]], %{{.*}} = %[[K]])
  // CHECK: scf.for
  // CHECK: scf.for
  // CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
  // CHECK: %[[LATE:.*]]:3 = scf.for %{{.*}} = %c16 to %c64 step %c16
  // CHECK: %[[LEVEL16:.*]] = scf.for {{.*}} step %c32 iter_args(%{{.*}} = %[[LEAVES]]#0)
  // CHECK: linalg.contract {{.*}} tensor<16x32xf32>, tensor<16x32xf32>) outs(%{{.*}} : tensor<16x16xf32>)
  // CHECK: linalg.contract {{.*}} tensor<32x32xf32>, tensor<32x32xf32>) outs(%{{.*}} : tensor<32x32xf32>)
  // CHECK: %[[RESULT:.*]] = tensor.insert_slice %{{.*}} into %[[LEVEL16]][32, 0] [32, 32] [1, 1]
  // CHECK: return %[[RESULT]]
  // EIGHT: linalg.contract {{.*}} tensor<8x32xf32>, tensor<8x32xf32>) outs(%{{.*}} : tensor<8x8xf32>)
  %0 = chunk.decayed_gram %q, %k, %d : tensor<64x32xf32> -> tensor<64x64xf32>
  return %0 : tensor<64x64xf32>
}

// -----

// A chunk of one leaf needs no matrix product; 17 tokens have a right half of one row.
// CHECK-LABEL: func @short_gram
func.func @short_gram(%q: tensor<16x32xf32>, %k: tensor<16x32xf32>, %d: tensor<16x32xf32>) -> tensor<16x16xf32> {
  // CHECK-NOT: linalg.contract
  // CHECK: return
  %0 = chunk.decayed_gram %q, %k, %d : tensor<16x32xf32> -> tensor<16x16xf32>
  return %0 : tensor<16x16xf32>
}

// CHECK-LABEL: func @odd_gram
func.func @odd_gram(%q: tensor<17x32xf32>, %k: tensor<17x32xf32>, %d: tensor<17x32xf32>) -> tensor<17x17xf32> {
  // CHECK: linalg.contract {{.*}} tensor<1x32xf32>, tensor<16x32xf32>) outs(%{{.*}} : tensor<1x16xf32>)
  // CHECK-NOT: linalg.contract
  // CHECK: return
  %0 = chunk.decayed_gram %q, %k, %d : tensor<17x32xf32> -> tensor<17x17xf32>
  return %0 : tensor<17x17xf32>
}

// -----

// Two Gram matrices with the same keys and decays: their rows alternate in one matrix, and the decayed keys are shared.
// The second query moves up.
// CHECK-LABEL: func @two_grams
// CHECK-SAME: %[[Q0:[^:]*]]: tensor<32x8xf32>, %[[Q1:[^:]*]]: tensor<32x8xf32>, %[[K:[^:]*]]: tensor<32x8xf32>
func.func @two_grams(%q0: tensor<32x8xf32>, %q1: tensor<32x8xf32>, %k: tensor<32x8xf32>, %d: tensor<32x8xf32>)
    -> (tensor<32x32xf32>, tensor<32x32xf32>) {
  // CHECK: %[[SECOND:.*]] = linalg.exp ins(%[[Q1]]
  // CHECK: %[[FIRST:.*]] = tensor.insert_slice %[[Q0]] into %{{.*}}[0, 0] [32, 8] [2, 1]
  // CHECK: %[[BOTH:.*]] = tensor.insert_slice %[[SECOND]] into %[[FIRST]][1, 0] [32, 8] [2, 1]
  // CHECK: scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %[[K]]) -> (tensor<64x32xf32>, tensor<32x8xf32>)
  // CHECK: linalg.contract {{.*}} tensor<32x8xf32>, tensor<16x8xf32>) outs(%{{.*}} : tensor<32x16xf32>)
  // CHECK-NOT: linalg.contract
  // CHECK-DAG: %[[R0:.*]] = tensor.extract_slice %{{.*}}[0, 0] [32, 32] [2, 1] : tensor<64x32xf32> to tensor<32x32xf32>
  // CHECK-DAG: %[[R1:.*]] = tensor.extract_slice %{{.*}}[1, 0] [32, 32] [2, 1] : tensor<64x32xf32> to tensor<32x32xf32>
  // CHECK: return %[[R0]], %[[R1]]
  %0 = chunk.decayed_gram %q0, %k, %d : tensor<32x8xf32> -> tensor<32x32xf32>
  %e = tensor.empty() : tensor<32x8xf32>
  %q = linalg.exp ins(%q1 : tensor<32x8xf32>) outs(%e : tensor<32x8xf32>) -> tensor<32x8xf32>
  %1 = chunk.decayed_gram %q, %k, %d : tensor<32x8xf32> -> tensor<32x32xf32>
  return %0, %1 : tensor<32x32xf32>, tensor<32x32xf32>
}

// -----

// The second query needs the first result.
// CHECK-LABEL: func @gram_of_gram
func.func @gram_of_gram(%q: tensor<8x8xf32>, %k: tensor<8x8xf32>, %d: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // CHECK-NOT: tensor.insert_slice {{.*}} [2, 1]
  // CHECK: return
  %0 = chunk.decayed_gram %q, %k, %d : tensor<8x8xf32> -> tensor<8x8xf32>
  %1 = chunk.decayed_gram %0, %k, %d : tensor<8x8xf32> -> tensor<8x8xf32>
  return %1 : tensor<8x8xf32>
}

// -----

// CHECK-LABEL: func @apply
// CHECK-SAME: %[[W:.*]]: tensor<32x32xf32>, %[[V:.*]]: tensor<32x8xf32>, %[[D:.*]]: tensor<32x8xf32>
func.func @apply(%w: tensor<32x32xf32>, %v: tensor<32x8xf32>, %d: tensor<32x8xf32>) -> tensor<32x8xf32> {
  // CHECK: %[[LEAVES:.*]]:2 = scf.for {{.*}} step %c16 iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %[[V]])
  // CHECK: %[[LATE:.*]]:2 = scf.for %{{.*}} = %c16 to %c32
  // CHECK-DAG: %[[WEIGHT:.*]] = tensor.extract_slice %[[W]][16, 0] [16, 16] [1, 1]
  // CHECK-DAG: %[[EARLY:.*]] = tensor.extract_slice %[[LEAVES]]#1[0, 0] [16, 8] [1, 1]
  // CHECK: %[[SUM:.*]] = linalg.contract {{.*}} ins(%[[WEIGHT]], %[[EARLY]]
  // CHECK: %[[SCALE:.*]] = tensor.extract_slice %[[LATE]]#0[16, 0] [16, 8] [1, 1]
  // CHECK: linalg.generic {{.*}} ins(%[[SCALE]], %[[SUM]]
  %0 = chunk.decayed_apply %w, %v, %d : tensor<32x32xf32>, tensor<32x8xf32>
  return %0 : tensor<32x8xf32>
}
