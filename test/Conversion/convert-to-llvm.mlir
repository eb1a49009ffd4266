// RUN: rondo-opt %s --rondo-convert-to-llvm --reconcile-unrealized-casts | FileCheck %s

// CHECK-LABEL: llvm.func @masks(
// CHECK:         llvm.icmp "sgt" %{{.*}} : vector<8xi32>
// CHECK:         llvm.intr.masked.load
// CHECK-NOT:     vector.create_mask
func.func @masks(%m: memref<64xf32>, %i: index, %n: index) -> vector<8xf32> {
  %zero = arith.constant dense<0.0> : vector<8xf32>
  %mask = vector.create_mask %n : vector<8xi1>
  %v = vector.maskedload %m[%i], %mask, %zero : memref<64xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
  return %v : vector<8xf32>
}

// CHECK-LABEL: llvm.func @ceiling(
// CHECK-NOT:     arith.ceildivui
func.func @ceiling(%t: index, %c: index) -> index {
  %0 = arith.ceildivui %t, %c : index
  return %0 : index
}

// CHECK-LABEL: llvm.func @_mlir_ciface_wrapper(
func.func @wrapper(%m: memref<?xf32>) attributes {llvm.emit_c_interface} {
  return
}
