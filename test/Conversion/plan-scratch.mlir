// RUN: rondo-opt %s --rondo-plan-scratch -split-input-file | FileCheck %s

// The first two buffers are never live together and share their bytes; the third one meets both.
// CHECK-LABEL: func.func @share
// CHECK-SAME:    rondo.scratch_bytes = 512 : i64
// CHECK:         omp.parallel
// CHECK:           %[[ARENA:.*]] = memref.alloc() {alignment = 64 : i64} : memref<512xi8>
// CHECK:           memref.view %[[ARENA]][%c0{{.*}}][] : memref<512xi8> to memref<64xf32>
// CHECK:           memref.view %[[ARENA]][%c256{{.*}}][] : memref<512xi8> to memref<64xf32>
// CHECK:           memref.view %[[ARENA]][%c0{{.*}}][] : memref<512xi8> to memref<64xf32>
// CHECK-NOT:       memref.alloc
// CHECK:           memref.dealloc %[[ARENA]]
func.func @share(%x: f32) {
  omp.parallel {
    %i = arith.constant 0 : index
    %a = memref.alloc() : memref<64xf32>
    memref.store %x, %a[%i] : memref<64xf32>
    %c = memref.alloc() : memref<64xf32>
    memref.store %x, %c[%i] : memref<64xf32>
    %v = memref.load %a[%i] : memref<64xf32>
    %b = memref.alloc() : memref<64xf32>
    memref.store %v, %b[%i] : memref<64xf32>
    %w = memref.load %c[%i] : memref<64xf32>
    omp.terminator
  }
  return
}

// -----

// A buffer made before a loop and used inside lives during the whole loop; so does one that is used through a view.
// CHECK-LABEL: func.func @loop
// CHECK-SAME:    rondo.scratch_bytes = 128 : i64
func.func @loop(%x: f32, %n: index) {
  omp.parallel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %a = memref.alloc() : memref<16xf32>
    %view = memref.subview %a[0] [8] [1] : memref<16xf32> to memref<8xf32, strided<[1]>>
    scf.for %i = %c0 to %n step %c1 {
      memref.store %x, %view[%c0] : memref<8xf32, strided<[1]>>
      %b = memref.alloc() : memref<16xf32>
      memref.store %x, %b[%c0] : memref<16xf32>
    }
    omp.terminator
  }
  return
}

// -----

// CHECK-LABEL: func.func @nothing
// CHECK-SAME:    rondo.scratch_bytes = 0 : i64
// CHECK-NOT:     memref.alloc
func.func @nothing() {
  omp.parallel {
    omp.terminator
  }
  return
}

// -----

// The function that a step kernel calls for each head allocates nothing: small scratch is on the stack ...
// CHECK-LABEL: func.func @small_item
// CHECK-SAME:    rondo.scratch_bytes = 256 : i64
// CHECK-NOT:     rondo.caller_scratch_bytes
// CHECK:         %[[ARENA:.*]] = memref.alloca() {alignment = 64 : i64} : memref<256xi8>
// CHECK:         memref.view %[[ARENA]]
// CHECK-NOT:     memref.dealloc
func.func @small_item(%x: f32, %scratch: memref<?xi8>, %mask: i64, %item: index, %thread: index) attributes {rondo.item} {
  %i = arith.constant 0 : index
  %a = memref.alloc() : memref<64xf32>
  memref.store %x, %a[%i] : memref<64xf32>
  return
}

// -----

// ... and large scratch is the caller's, a part for each thread.
// CHECK-LABEL: func.func @large_item
// CHECK-SAME:    %[[SCRATCH:[^:]*]]: memref<?xi8>, %{{.*}}: i64, %{{.*}}: index, %[[THREAD:[^:]*]]: index)
// CHECK-SAME:    rondo.caller_scratch_bytes = 400000 : i64
// CHECK:         %[[SIZE:.*]] = arith.constant 400000 : index
// CHECK:         %[[BEGIN:.*]] = arith.muli %[[THREAD]], %[[SIZE]]
// CHECK:         %[[PLACE:.*]] = arith.addi %[[BEGIN]]
// CHECK:         memref.view %[[SCRATCH]][%[[PLACE]]][] : memref<?xi8> to memref<100000xf32>
func.func @large_item(%x: f32, %scratch: memref<?xi8>, %mask: i64, %item: index, %thread: index) attributes {rondo.item} {
  %i = arith.constant 0 : index
  %a = memref.alloc() : memref<100000xf32>
  memref.store %x, %a[%i] : memref<100000xf32>
  return
}
