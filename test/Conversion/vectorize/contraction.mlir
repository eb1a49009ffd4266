// RUN: rondo-opt %s -rondo-vectorize -cse -canonicalize | FileCheck %s
// RUN: rondo-opt %s -rondo-vectorize=vector-width=512 -cse -canonicalize | FileCheck %s --check-prefix=WIDE

#nn = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
#nt = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
#tn = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]

// Tiles of 6 x 16 and of the 4 rows that remain; the accumulators come from C and go back to it.
// CHECK-LABEL: func @plain
// CHECK-NOT:     linalg.
// CHECK:         scf.for %{{.*}} = %c0 to %c64 step %c16 {
// CHECK:           scf.for %{{.*}} = %c0 to %c60 step %c6 {
// CHECK-COUNT-12:    vector.load {{.*}}, vector<8xf32>
// CHECK:             scf.for %{{.*}} = %c0 to %c128 step %c1 iter_args({{.*}}) -> (vector<8xf32>
// CHECK-COUNT-12:      vector.fma {{.*}} : vector<8xf32>
// CHECK:               scf.yield
// CHECK-COUNT-12:    vector.store
// CHECK:           scf.for {{.*}} = %c0 to %c128 step %c1 iter_args
// CHECK-COUNT-8:     vector.fma
// CHECK-NOT:         vector.fma
// CHECK:           return
// WIDE-LABEL: func @plain
// WIDE:          scf.for %{{.*}} = %c0 to %c64 step %c32 {
// WIDE:            scf.for %{{.*}} = %c0 to %c64 step %c8 {
// WIDE-COUNT-16:       vector.fma {{.*}} : vector<16xf32>
// WIDE-NOT:            vector.fma
// WIDE:          return
func.func @plain(%a: memref<64x128xf32>, %b: memref<128x64xf32>, %c: memref<64x64xf32>) {
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<64x128xf32>, memref<128x64xf32>) outs(%c : memref<64x64xf32>)
  return
}

// The columns of B are no neighbours: each panel is transposed once, outside the loop over rows.
// CHECK-LABEL: func @transposed
// CHECK:         %[[PACKED:.*]] = memref.alloca() {alignment = 64 : i64, rondo.packed} : memref<2048xf32>
// CHECK:         scf.for %{{.*}} = %c0 to %c64 step %c16 {
// CHECK:           scf.for %{{.*}} = %c0 to %c128 step %c4 {
// CHECK:             vector.load {{.*}}, vector<4xf32>
// CHECK:             vector.shuffle
// CHECK:             vector.store {{.*}}, %[[PACKED]]
// CHECK:           scf.for %{{.*}} = %c0 to %c60 step %c6 {
// CHECK:               vector.load %[[PACKED]]
// CHECK:               vector.fma
func.func @transposed(%a: memref<64x128xf32>, %b: memref<64x128xf32>, %c: memref<64x64xf32>) {
  linalg.contract indexing_maps = #nt ins(%a, %b : memref<64x128xf32>, memref<64x128xf32>) outs(%c : memref<64x64xf32>)
  return
}

// C has its columns in the rows of memory: the operands change places.
// CHECK-LABEL: func @swapped
// CHECK-NOT:     memref.alloca
// CHECK:         scf.for %{{.*}} = %c0 to %c48 step %c16 {
// CHECK:           scf.for %{{.*}} = %c0 to %c30 step %c6 {
func.func @swapped(%a: memref<16x48xf32>, %b: memref<16x32xf32>, %c: memref<32x48xf32>) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>,
                                   affine_map<(m, n, k) -> (n, m)>]
    ins(%a, %b : memref<16x48xf32>, memref<16x32xf32>) outs(%c : memref<32x48xf32>)
  return
}

// A fill with zero disappears, also when something else stands between.
// CHECK-LABEL: func @zero
// CHECK-NOT:     linalg.fill
// CHECK:         %[[Z:.*]] = arith.constant dense<0.000000e+00> : vector<8xf32>
// CHECK:         scf.for {{.*}} iter_args(%{{.*}} = %[[Z]],
func.func @zero(%a: memref<6x8xf32>, %b: memref<8x16xf32>) -> memref<6x16xf32> {
  %zero = arith.constant 0.0 : f32
  %c = memref.alloc() : memref<6x16xf32>
  linalg.fill ins(%zero : f32) outs(%c : memref<6x16xf32>)
  linalg.fill ins(%zero : f32) outs(%a : memref<6x8xf32>)
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<6x8xf32>, memref<8x16xf32>) outs(%c : memref<6x16xf32>)
  return %c : memref<6x16xf32>
}

// Parts of one arena are separate buffers; where they overlap, the fill stays.
// CHECK-LABEL: func @zero_overlap
// CHECK:         arith.constant dense<1.000000e+00>
// CHECK:         vector.load {{.*}}, vector<8xf32>
// CHECK:         scf.for
// CHECK:           vector.fma
func.func @zero_overlap(%a: memref<6x8xf32>, %b: memref<8x16xf32>) -> memref<6x16xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %first = arith.constant 0 : index
  %second = arith.constant 64 : index
  %arena = memref.alloc() : memref<1024xi8>
  %c = memref.view %arena[%first][] : memref<1024xi8> to memref<6x16xf32>
  %d = memref.view %arena[%second][] : memref<1024xi8> to memref<6x16xf32>
  linalg.fill ins(%zero : f32) outs(%c : memref<6x16xf32>)
  linalg.fill ins(%one : f32) outs(%d : memref<6x16xf32>)
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<6x8xf32>, memref<8x16xf32>) outs(%c : memref<6x16xf32>)
  return %c : memref<6x16xf32>
}

// Rows of tiles start at the diagonal.
// CHECK-LABEL: func @causal_result
// CHECK:         scf.for %[[J:.*]] = %c0 to %c64 step %c16 {
// CHECK:           %[[T:.*]] = arith.divui %[[J]], %c6
// CHECK:           %[[I:.*]] = arith.muli %[[T]], %c6
// CHECK:           %[[FIRST:.*]] = arith.minsi %[[I]], %c60
// CHECK:           scf.for %{{.*}} = %[[FIRST]] to %c60 step %c6 {
func.func @causal_result(%a: memref<64x32xf32>, %b: memref<32x64xf32>, %c: memref<64x64xf32>) {
  linalg.contract indexing_maps = #nn {chunk.causal = "result"}
    ins(%a, %b : memref<64x32xf32>, memref<32x64xf32>) outs(%c : memref<64x64xf32>)
  return
}

// Sums end at the diagonal.
// CHECK-LABEL: func @causal_lhs
// CHECK:           scf.for %[[I:.*]] = %c0 to %c60 step %c6 {
// CHECK:             %[[END:.*]] = arith.addi %[[I]], %c6
// CHECK:             %[[LAST:.*]] = arith.minsi %[[END]], %c64
// CHECK:             scf.for %{{.*}} = %c0 to %[[LAST]] step %c1 iter_args
func.func @causal_lhs(%a: memref<64x64xf32>, %b: memref<64x32xf32>, %c: memref<64x32xf32>) {
  linalg.contract indexing_maps = #nn {chunk.causal = "lhs"}
    ins(%a, %b : memref<64x64xf32>, memref<64x32xf32>) outs(%c : memref<64x32xf32>)
  return
}

// The last columns are masked.
// CHECK-LABEL: func @odd
// CHECK:         %[[MASK:.*]] = vector.constant_mask [5] : vector<8xi1>
// CHECK:         vector.maskedload {{.*}}, %[[MASK]]
// CHECK-COUNT-5: vector.fma
// CHECK-NOT:     vector.fma
// CHECK:         vector.maskedstore {{.*}}, %[[MASK]]
func.func @odd(%a: memref<5x5xf32>, %b: memref<5x5xf32>, %c: memref<5x5xf32>) {
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<5x5xf32>, memref<5x5xf32>) outs(%c : memref<5x5xf32>)
  return
}

// c - a * b.
// CHECK-LABEL: func @subtract
// CHECK:         %[[A:.*]] = memref.load
// CHECK:         %[[N:.*]] = arith.negf %[[A]]
// CHECK:         %[[V:.*]] = vector.broadcast %[[N]]
// CHECK:         vector.fma %[[V]]
func.func @subtract(%a: memref<8x16xf32>, %b: memref<8x16xf32>, %c: memref<16x16xf32>) {
  linalg.generic {indexing_maps = #tn, iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x16xf32>, memref<8x16xf32>) outs(%c : memref<16x16xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %d = arith.subf %z, %p : f32
    linalg.yield %d : f32
  }
  return
}
