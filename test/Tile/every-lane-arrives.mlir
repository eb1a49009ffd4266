// RUN: rondo-opt %s --rondo-lower-tiles | FileCheck %s --check-prefixes=CHECK,ONE
// RUN: rondo-opt %s --rondo-lower-tiles=every-lane-arrives | FileCheck %s --check-prefixes=CHECK,ALL

// Two barriers: full counts the warp that commits, empty the four that release.
tile.kernel @kernel attributes {chunk = 64 : i64, arrays = []} {
  %c = tile.make_channel : !tile.channel<1>
  // CHECK: scf.if
  // ONE: arith.constant 1 : i32
  // ALL: arith.constant 32 : i32
  // CHECK-NEXT: nvvm.mbarrier.init
  // ONE: arith.constant 4 : i32
  // ALL: arith.constant 128 : i32
  // CHECK-NEXT: nvvm.mbarrier.init
  tile.role "reader" warps 4 {
    %t = arith.constant 0 : index
    // CHECK: nvvm.mbarrier.try_wait
    tile.wait %c[%t] : !tile.channel<1>
    // CHECK: nvvm.bar.warp.sync
    // ONE: scf.if
    // ALL-NOT: scf.if
    // CHECK: nvvm.mbarrier.arrive
    tile.release %c[%t] : !tile.channel<1>
  }
  tile.role "writer" warps 1 {
    %t = arith.constant 0 : index
    tile.acquire %c[%t] : !tile.channel<1>
    // CHECK: nvvm.bar.warp.sync
    // ONE: scf.if
    // ALL-NOT: scf.if
    // CHECK: nvvm.mbarrier.arrive
    tile.commit %c[%t] : !tile.channel<1>
  }
}
