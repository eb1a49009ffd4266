// What runs along time: shuffles over the lanes, products only.
// RUN: rondo-opt --rondo-lower-tiles %S/Inputs/running.mlir | FileCheck %s
// RUN: rondo-opt --rondo-lower-tiles %S/Inputs/running.mlir | FileCheck %s --check-prefix=NEVER

// Prefixes: shifted by a lane, then a scan; suffixes from the other side; the total by exchanges.
// CHECK-COUNT-6: nvvm.shfl.sync up {{.*}} : f32
// CHECK-COUNT-6: nvvm.shfl.sync down {{.*}} : f32
// CHECK-COUNT-5: nvvm.shfl.sync bfly {{.*}} : f32
// Recurrences: pairs are scanned, the last value comes from the last lane.
// CHECK-COUNT-12: nvvm.shfl.sync up {{.*}} : f32
// CHECK: nvvm.shfl.sync idx {{.*}} : f32
// CHECK-COUNT-12: nvvm.shfl.sync up {{.*}} : f32
// CHECK: nvvm.shfl.sync idx {{.*}} : f32
// Tables of six levels for two tokens a lane: four exchanges, twelve stores of a pair.
// CHECK-COUNT-4: nvvm.shfl.sync bfly {{.*}} : f32
// CHECK: nvvm.barrier id
// NEVER-NOT: divf
// NEVER-NOT: math.
// NEVER-NOT: ex2
