// RUN: rondo-opt %s -rondo-approximate-math | FileCheck %s

// CHECK-LABEL: func @exp
// CHECK-NOT:     math.exp
// CHECK:         math.fma {{.*}} : vector<8xf32>
// CHECK:         arith.shli {{.*}} : vector<8xi32>
func.func @exp(%x: vector<8xf32>) -> vector<8xf32> {
  %0 = math.exp %x : vector<8xf32>
  return %0 : vector<8xf32>
}

// Scalars as well.
// CHECK-LABEL: func @log
// CHECK-NOT:     math.log
// CHECK:         math.fma {{.*}} : f32
func.func @log(%x: f32) -> f32 {
  %0 = math.log %x : f32
  return %0 : f32
}

// CHECK-LABEL: func @rsqrt(
// CHECK-SAME:      %[[X:.*]]: vector<8xf32>)
// CHECK-DAG:     %[[ONE:.*]] = arith.constant dense<1.000000e+00>
// CHECK-DAG:     %[[ROOT:.*]] = math.sqrt %[[X]]
// CHECK:         arith.divf %[[ONE]], %[[ROOT]]
func.func @rsqrt(%x: vector<8xf32>) -> vector<8xf32> {
  %0 = math.rsqrt %x : vector<8xf32>
  return %0 : vector<8xf32>
}

// Half precision is computed in f32.
// CHECK-LABEL: func @half
// CHECK:         arith.extf {{.*}} : vector<8xbf16> to vector<8xf32>
// CHECK:         math.fma {{.*}} : vector<8xf32>
// CHECK:         arith.truncf {{.*}} : vector<8xf32> to vector<8xbf16>
func.func @half(%x: vector<8xbf16>) -> vector<8xbf16> {
  %0 = math.tanh %x : vector<8xbf16>
  return %0 : vector<8xbf16>
}

// f64, and functions that are instructions or have no approximation, stay.
// CHECK-LABEL: func @others
// CHECK:         math.exp {{.*}} : f64
// CHECK:         math.sqrt {{.*}} : f32
// CHECK:         math.absf {{.*}} : f32
func.func @others(%x: f64, %y: f32) -> (f64, f32, f32) {
  %0 = math.exp %x : f64
  %1 = math.sqrt %y : f32
  %2 = math.absf %y : f32
  return %0, %1, %2 : f64, f32, f32
}
