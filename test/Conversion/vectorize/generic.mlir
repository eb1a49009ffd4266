// RUN: rondo-opt %s -rondo-vectorize -cse -canonicalize | FileCheck %s

#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#i = affine_map<(i, j) -> (i)>
#j = affine_map<(i, j) -> (j)>

// What does not depend on the column is loaded and computed once a row, as a scalar.
// CHECK-LABEL: func @scale_rows
// CHECK:         scf.for %{{.*}} = %c0 to %c64 step %c1 {
// CHECK:           %[[G:.*]] = memref.load
// CHECK:           scf.for %{{.*}} = %c0 to %c128 step %c16 {
// CHECK-DAG:         %[[X:.*]] = vector.load
// CHECK-DAG:         %[[E:.*]] = math.exp %[[G]] : f32
// CHECK:             %[[B:.*]] = vector.broadcast %[[E]] : f32 to vector<16xf32>
// CHECK:             arith.mulf %[[X]], %[[B]] fastmath<contract>
// CHECK:             vector.store
func.func @scale_rows(%x: memref<64x128xf32>, %g: memref<64xf32>) {
  linalg.generic {indexing_maps = [#i, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%g : memref<64xf32>) outs(%x : memref<64x128xf32>) {
  ^bb0(%b: f32, %a: f32):
    %e = math.exp %b : f32
    %r = arith.mulf %a, %e : f32
    linalg.yield %r : f32
  }
  return
}

// Light bodies take several registers a step; the rest of a row is masked.
// CHECK-LABEL: func @copies
// CHECK:         vector.load {{.*}}, vector<32xf32>
// CHECK:         scf.for %{{.*}} = %c0 to %c7 step %c1 {
// CHECK:           vector.load {{.*}}, vector<8xf32>
// CHECK:           vector.constant_mask [5] : vector<8xi1>
// CHECK:           vector.maskedload
// CHECK:           vector.maskedstore
func.func @copies(%a: memref<32xf32>, %b: memref<32xf32>, %c: memref<7x13xf32>, %d: memref<7x13xf32>) {
  linalg.copy ins(%a : memref<32xf32>) outs(%b : memref<32xf32>)
  memref.copy %c, %d : memref<7x13xf32> to memref<7x13xf32>
  return
}

// Index vectors are i32.
// CHECK-LABEL: func @below_diagonal
// CHECK:         arith.cmpi {{.*}} : vector<8xi32>
// CHECK:         arith.select %{{.*}} : vector<8xi1>, vector<8xf32>
func.func @below_diagonal(%x: memref<8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [#ij], iterator_types = ["parallel", "parallel"]} outs(%x : memref<8x8xf32>) {
  ^bb0(%a: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %p = arith.cmpi slt, %j, %i : index
    %r = arith.select %p, %a, %zero : f32
    linalg.yield %r : f32
  }
  return
}

// A sum along memory: vector accumulators, added across their lanes at the end.
// CHECK-LABEL: func @row_sums
// CHECK:         %[[S:.*]] = scf.for %{{.*}} = %c0 to %c128 step %c32 iter_args({{.*}}) -> (vector<32xf32>) {
// CHECK:         vector.reduction <add>, %[[S]] fastmath<reassoc> : vector<32xf32> into f32
// CHECK:         memref.store
func.func @row_sums(%x: memref<4x128xf32>, %o: memref<4xf32>) {
  linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<4x128xf32>) outs(%o : memref<4xf32>) {
  ^bb0(%a: f32, %c: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  }
  return
}

// A maximum across memory: one accumulator a column.
// CHECK-LABEL: func @column_maxima
// CHECK:         scf.for %{{.*}} = %c0 to %c128 step %c32 {
// CHECK:           scf.for %{{.*}} = %c0 to %c4 step %c1 iter_args({{.*}}) -> (vector<32xf32>) {
// CHECK:             arith.maximumf
// CHECK:           vector.store
func.func @column_maxima(%x: memref<4x128xf32>, %o: memref<128xf32>) {
  linalg.generic {indexing_maps = [#ij, #j], iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<4x128xf32>) outs(%o : memref<128xf32>) {
  ^bb0(%a: f32, %c: f32):
    %s = arith.maximumf %a, %c : f32
    linalg.yield %s : f32
  }
  return
}

// Operations on single numbers are scalar code.
// CHECK-LABEL: func @scalar
// CHECK-NOT:     vector
// CHECK:         memref.load
// CHECK:         math.exp %{{.*}} : f32
// CHECK:         memref.store
func.func @scalar(%x: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<() -> ()>], iterator_types = []} outs(%x : memref<f32>) {
  ^bb0(%a: f32):
    %e = math.exp %a : f32
    linalg.yield %e : f32
  }
  return
}

// A map that is no projected permutation: scalar loops.
// CHECK-LABEL: func @reversed
// CHECK:         scf.for
// CHECK:           memref.load
// CHECK:           memref.store
func.func @reversed(%x: memref<16xf32>, %o: memref<16xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (15 - i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : memref<16xf32>) outs(%o : memref<16xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  return
}
