// RUN: rondo-opt %s --rondo-map-to-threads --split-input-file | FileCheck %s

#id = affine_map<(d0) -> (d0)>
#reversed = affine_map<(d0, d1) -> (d0)>
#all = affine_map<(d0, d1) -> (d0, d1)>

// The second operation reads what the same thread wrote: no barrier. The sum reads what all threads wrote.

// CHECK-LABEL: func.func @same_thread
// CHECK-SAME:    rondo.threads = 256
// CHECK:         %[[T:.*]] = gpu.thread_id x
// CHECK:         %[[THREAD:.*]] = arith.index_cast %[[T]] : index to i32
// CHECK:         %[[ARENA:.*]] = memref.alloc() : memref<4224xf32>
// CHECK:         %[[BLOCK:.*]] = gpu.block_id x
// CHECK:         %[[BLOCKS:.*]] = gpu.grid_dim x
// CHECK:         scf.for %{{.*}} = %[[BLOCK]] to %{{.*}} step %[[BLOCKS]] {
// The next item may not overwrite what this one still reads.
// CHECK:           gpu.barrier
// CHECK:           scf.for %{{.*}} = %[[THREAD]] to %{{.*}} step %{{.*}} : i32 {
// CHECK-NOT:       gpu.barrier
// CHECK:           math.exp
// CHECK:           gpu.barrier
// 32 sums of 64 products; the fill is their beginning.
// CHECK:           arith.cmpi ult, %[[THREAD]]
// CHECK:           scf.if
// CHECK-NOT:         memref.load
// CHECK:             scf.for %{{.*}} iter_args
// CHECK:               math.fma
// CHECK:             memref.store
// CHECK-NOT:       gpu.barrier
// CHECK:         return
func.func @same_thread(%x: memref<?x?x64xf32, strided<[?, ?, 1], offset: ?>>, %n: index, %threads: i32)
    attributes {rondo.arrays = []} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8192 = arith.constant 8192 : index
  %c16384 = arith.constant 16384 : index
  %zero = arith.constant 0.0 : f32
  omp.parallel num_threads(%threads : i32) {
    %arena = memref.alloc() : memref<16896xi8>
    %a = memref.view %arena[%c0][] : memref<16896xi8> to memref<32x64xf32>
    %b = memref.view %arena[%c8192][] : memref<16896xi8> to memref<32x64xf32>
    %c = memref.view %arena[%c16384][] : memref<16896xi8> to memref<32xf32>
    omp.wsloop {
      omp.loop_nest (%item) : index = (%c0) to (%n) step (%c1) {
        %s = memref.subview %x[%item, 0, 0] [1, 32, 64] [1, 1, 1] : memref<?x?x64xf32, strided<[?, ?, 1], offset: ?>> to memref<32x64xf32, strided<[?, 1], offset: ?>>
        linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
            ins(%s : memref<32x64xf32, strided<[?, 1], offset: ?>>) outs(%a : memref<32x64xf32>) {
        ^bb0(%in: f32, %out: f32):
          linalg.yield %in : f32
        }
        linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
            ins(%a : memref<32x64xf32>) outs(%b : memref<32x64xf32>) {
        ^bb0(%in: f32, %out: f32):
          %e = math.exp %in : f32
          linalg.yield %e : f32
        }
        linalg.fill ins(%zero : f32) outs(%c : memref<32xf32>)
        linalg.contract indexing_maps = [#all, #all, #reversed] ins(%a, %b : memref<32x64xf32>, memref<32x64xf32>)
            outs(%c : memref<32xf32>)
        omp.yield
      }
    }
    memref.dealloc %arena : memref<16896xi8>
    omp.terminator
  }
  return
}

// -----

#id = affine_map<(d0) -> (d0)>

// A scan over rows: thread d owns channel d, so that no iteration waits. Each iteration of the loop that copies rows is
// independent: 8 rows of 64 are spread together. A single element is stored by thread 0.

// CHECK-LABEL: func.func @scan
// CHECK:         scf.for
// CHECK:           arith.remui
// CHECK:           arith.divui
// CHECK:           gpu.barrier
// CHECK-NEXT:      scf.for
// CHECK-NOT:         gpu.barrier
// CHECK:             arith.mulf
// CHECK:             memref.store
// CHECK-NOT:       gpu.barrier
// CHECK:           %[[FIRST:.*]] = arith.cmpi ult
// CHECK-NEXT:      scf.if %[[FIRST]] {
// CHECK:             memref.store
func.func @scan(%x: memref<?x64xf32>, %n: index, %threads: i32) attributes {rondo.arrays = []} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c2048 = arith.constant 2048 : index
  %c2304 = arith.constant 2304 : index
  %one = arith.constant 1.0 : f32
  omp.parallel num_threads(%threads : i32) {
    %arena = memref.alloc() : memref<2368xi8>
    %rows = memref.view %arena[%c0][] : memref<2368xi8> to memref<8x64xf32>
    %state = memref.view %arena[%c2048][] : memref<2368xi8> to memref<64xf32>
    %scalar = memref.view %arena[%c2304][] : memref<2368xi8> to memref<f32>
    omp.wsloop {
      omp.loop_nest (%item) : index = (%c0) to (%n) step (%c1) {
        scf.for %t = %c0 to %c8 step %c1 {
          %token = arith.addi %t, %item : index
          %s = memref.subview %x[%token, 0] [1, 64] [1, 1] : memref<?x64xf32> to memref<64xf32, strided<[1], offset: ?>>
          %r = memref.subview %rows[%t, 0] [1, 64] [1, 1] : memref<8x64xf32> to memref<64xf32, strided<[1], offset: ?>>
          linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
              ins(%s : memref<64xf32, strided<[1], offset: ?>>) outs(%r : memref<64xf32, strided<[1], offset: ?>>) {
          ^bb0(%in: f32, %out: f32):
            linalg.yield %in : f32
          }
        }
        linalg.fill ins(%one : f32) outs(%state : memref<64xf32>)
        scf.for %t = %c0 to %c8 step %c1 {
          %r = memref.subview %rows[%t, 0] [1, 64] [1, 1] : memref<8x64xf32> to memref<64xf32, strided<[1], offset: ?>>
          linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
              ins(%r : memref<64xf32, strided<[1], offset: ?>>) outs(%state : memref<64xf32>) {
          ^bb0(%in: f32, %out: f32):
            %p = arith.mulf %in, %out : f32
            linalg.yield %p : f32
          }
        }
        memref.store %one, %scalar[] : memref<f32>
        omp.yield
      }
    }
    memref.dealloc %arena : memref<2368xi8>
    omp.terminator
  }
  return
}
