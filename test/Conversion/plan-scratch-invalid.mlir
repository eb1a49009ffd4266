// RUN: rondo-opt %s --rondo-plan-scratch -split-input-file -verify-diagnostics

func.func @dynamic(%n: index) {
  omp.parallel {
    // expected-error @+1 {{local buffer needs a static size}}
    %a = memref.alloc(%n) : memref<?xf32>
    omp.terminator
  }
  return
}

// -----

func.func @escapes(%n: index, %x: f32) {
  omp.parallel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %a = memref.alloc() : memref<16xf32>
    %r = scf.for %i = %c0 to %n step %c1 iter_args(%m = %a) -> (memref<16xf32>) {
      // expected-error @+1 {{local buffer outlives its loop iteration}}
      %b = memref.alloc() : memref<16xf32>
      memref.store %x, %m[%c0] : memref<16xf32>
      scf.yield %b : memref<16xf32>
    }
    memref.store %x, %r[%c0] : memref<16xf32>
    omp.terminator
  }
  return
}
