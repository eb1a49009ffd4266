// RUN: rondo-opt %s -rondo-lower-scan -split-input-file | FileCheck %s

// The body runs for each valid token; the new state takes the place of the old one.
// CHECK-LABEL: func @elementwise_state
// CHECK-SAME: %[[COUNT:.*]]: index, %[[X:.*]]: tensor<64x8xf32>, %[[S0:.*]]: tensor<8xf32>
func.func @elementwise_state(%n: index, %x: tensor<64x8xf32>, %s0: tensor<8xf32>) -> (tensor<64x8xf32>, tensor<8xf32>) {
  // CHECK: %[[LOOP:.*]]:2 = scf.for %[[T:.*]] = %{{.*}} to %[[COUNT]] {{.*}} iter_args(%[[STACKED:.*]] = %{{.*}}, %[[STATE:.*]] = %[[S0]])
  // CHECK: %[[ROW:.*]] = tensor.extract_slice %[[X]][%[[T]], 0] [1, 8] [1, 1] : tensor<64x8xf32> to tensor<8xf32>
  // CHECK: %[[NEW:.*]] = linalg.add ins(%[[ROW]], %[[STATE]] : {{.*}}) outs(%[[STATE]] : tensor<8xf32>)
  // CHECK: %[[NEXT:.*]] = tensor.insert_slice %[[NEW]] into %[[STACKED]][%[[T]], 0] [1, 8] [1, 1]
  // CHECK: scf.yield %[[NEXT]], %[[NEW]]
  %o, %s = chunk.scan "affine" count %n rows(%x : tensor<64x8xf32>) shared() states(%s0 : tensor<8xf32>) {
  ^bb0(%row: tensor<8xf32>, %state: tensor<8xf32>):
    %e = tensor.empty() : tensor<8xf32>
    %new = linalg.add ins(%row, %state : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    chunk.yield %new, %new : tensor<8xf32>, tensor<8xf32>
  } -> tensor<64x8xf32>, tensor<8xf32>
  // CHECK: %[[FILLED:.*]] = scf.for %[[U:.*]] = %[[COUNT]] to %c64 {{.*}} iter_args(%[[ROWS:.*]] = %[[LOOP]]#0)
  // CHECK: %[[LATER:.*]] = tensor.extract_slice %[[ROWS]][%[[U]], 0] [1, 8] [1, 1]
  // CHECK: %[[ZEROS:.*]] = linalg.fill ins(%{{.*}}) outs(%[[LATER]]
  // CHECK: tensor.insert_slice %[[ZEROS]] into %[[ROWS]][%[[U]], 0] [1, 8] [1, 1]
  // CHECK: return %[[FILLED]], %[[LOOP]]#1
  return %o, %s : tensor<64x8xf32>, tensor<8xf32>
}

// -----

// The old state is read after the new one is computed: the new one is copied to its place at the end.
// CHECK-LABEL: func @old_state_read_later
func.func @old_state_read_later(%n: index, %x: tensor<64x8xf32>, %s0: tensor<8xf32>) -> (tensor<64x8xf32>, tensor<8xf32>) {
  // CHECK: scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %[[STATE:.*]] = %{{.*}})
  // CHECK: %[[EMPTY:.*]] = tensor.empty()
  // CHECK: %[[NEW:.*]] = linalg.add {{.*}} outs(%[[EMPTY]]
  // CHECK: linalg.mul ins(%[[NEW]], %[[STATE]]
  // CHECK: %[[COPY:.*]] = linalg.copy ins(%[[NEW]] : {{.*}}) outs(%[[STATE]]
  // CHECK: scf.yield %{{.*}}, %[[COPY]]
  %o, %s = chunk.scan "sequential" count %n rows(%x : tensor<64x8xf32>) shared() states(%s0 : tensor<8xf32>) {
  ^bb0(%row: tensor<8xf32>, %state: tensor<8xf32>):
    %e = tensor.empty() : tensor<8xf32>
    %new = linalg.add ins(%row, %state : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    %out = linalg.mul ins(%new, %state : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    chunk.yield %out, %new : tensor<8xf32>, tensor<8xf32>
  } -> tensor<64x8xf32>, tensor<8xf32>
  return %o, %s : tensor<64x8xf32>, tensor<8xf32>
}

// -----

// A product reads the whole old state for each element: it cannot write over it.
// CHECK-LABEL: func @state_through_product
func.func @state_through_product(%n: index, %m: tensor<8x8xf32>, %s0: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: %[[NEW:.*]] = linalg.matvec
  // CHECK: %[[COPY:.*]] = linalg.copy ins(%[[NEW]]
  // CHECK: scf.yield %[[COPY]]
  %s = chunk.scan "sequential" count %n rows() shared(%m : tensor<8x8xf32>) states(%s0 : tensor<8xf32>) {
  ^bb0(%matrix: tensor<8x8xf32>, %state: tensor<8xf32>):
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<8xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    %new = linalg.matvec ins(%matrix, %state : tensor<8x8xf32>, tensor<8xf32>) outs(%f : tensor<8xf32>) -> tensor<8xf32>
    chunk.yield %new : tensor<8xf32>
  } -> tensor<8xf32>
  return %s : tensor<8xf32>
}

// -----

// Numbers for rows and states.
// CHECK-LABEL: func @numbers
// CHECK-SAME: %[[COUNT:.*]]: index, %[[X:.*]]: tensor<64xf32>, %[[S0:.*]]: f32
func.func @numbers(%n: index, %x: tensor<64xf32>, %s0: f32) -> (tensor<64xf32>, f32) {
  // CHECK: scf.for %[[T:.*]] = {{.*}} iter_args(%[[STACKED:.*]] = %{{.*}}, %[[STATE:.*]] = %[[S0]])
  // CHECK: %[[ROW:.*]] = tensor.extract %[[X]][%[[T]]]
  // CHECK: %[[NEW:.*]] = arith.maximumf %[[STATE]], %[[ROW]]
  // CHECK: %[[NEXT:.*]] = tensor.insert %[[NEW]] into %[[STACKED]][%[[T]]]
  // CHECK: scf.yield %[[NEXT]], %[[NEW]]
  %o, %s = chunk.scan "maxplus" count %n rows(%x : tensor<64xf32>) shared() states(%s0 : f32) {
  ^bb0(%row: f32, %state: f32):
    %new = arith.maximumf %state, %row : f32
    chunk.yield %new, %new : f32, f32
  } -> tensor<64xf32>, f32
  return %o, %s : tensor<64xf32>, f32
}

// -----

// CHECK-LABEL: func @keep_rows
// CHECK-SAME: %[[X:.*]]: tensor<64x8xf32>, %[[COUNT:.*]]: index
func.func @keep_rows(%x: tensor<64x8xf32>, %n: index) -> tensor<64x8xf32> {
  // CHECK: %[[FILLED:.*]] = scf.for %[[T:.*]] = %[[COUNT]] to %c64 {{.*}} iter_args(%[[ROWS:.*]] = %[[X]])
  // CHECK: %[[ROW:.*]] = tensor.extract_slice %[[ROWS]][%[[T]], 0] [1, 8] [1, 1]
  // CHECK: %[[ONE:.*]] = arith.constant 1.0{{.*}} : f32
  // CHECK: %[[ONES:.*]] = linalg.fill ins(%[[ONE]] : f32) outs(%[[ROW]]
  // CHECK: tensor.insert_slice %[[ONES]] into %[[ROWS]][%[[T]], 0] [1, 8] [1, 1]
  // CHECK: return %[[FILLED]]
  %0 = chunk.keep_rows %x, %n fill 1.0 : tensor<64x8xf32>
  return %0 : tensor<64x8xf32>
}
