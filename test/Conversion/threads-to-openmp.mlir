// The threads of a block as a team on a CPU.
// RUN: rondo-opt %s --rondo-threads-to-openmp | FileCheck %s

// CHECK:       func.func private @omp_get_thread_num() -> i32
// CHECK-LABEL: func.func @kernel
// CHECK:         %[[ARENA:.*]] = memref.alloc() : memref<64xf32>
// CHECK:         %[[THREADS:.*]] = arith.constant 4 : i32
// CHECK:         omp.parallel num_threads(%[[THREADS]] : i32) {
// CHECK:           %[[T:.*]] = func.call @omp_get_thread_num()
// CHECK:           scf.for
// CHECK:             omp.barrier
// CHECK:           omp.terminator
// CHECK:         memref.dealloc %[[ARENA]]
func.func @kernel(%n: index) attributes {rondo.threads = 4 : i64} {
  %arena = memref.alloc() : memref<64xf32>
  %thread = gpu.thread_id x
  %block = gpu.block_id x
  %blocks = gpu.grid_dim x
  %zero = arith.constant 0.0 : f32
  scf.for %item = %block to %n step %blocks {
    gpu.barrier
    memref.store %zero, %arena[%thread] : memref<64xf32>
  }
  return
}
