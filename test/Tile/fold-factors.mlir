// RUN: rondo-opt %s --rondo-fold-tile-factors | FileCheck %s

!F = tensor<64x64xf32, #tile.fragment<warps = 4>>
!I = tensor<64x64xi32, #tile.fragment<warps = 4>>
!R = tensor<64xf32, #tile.rows<warps = 4>>
!C = tensor<64xf32, #tile.columns<warps = 4>>

tile.kernel @kernel attributes {chunk = 64 : i64, arrays = []} {
  %a = tile.alloc : !tile.shared<64x64xbf16>
  %tables = tile.alloc : !tile.shared<2x6x64xf32>
  %vector = tile.alloc : !tile.shared<64xf32>
  %half16 = tile.alloc : !tile.shared<64x64xf16>
  %blocks = tile.alloc : !tile.shared<4x320xf32>
  %out = tile.alloc : !tile.shared<64x64xf32>
  %c = tile.make_channel : !tile.channel<1>
  %t = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : !F
  %half = arith.constant dense<0.5> : !F
  %i = tile.iota 0 : !I
  %j = tile.iota 1 : !I
  %below = arith.cmpi slt, %j, %i : !I
  %on = arith.cmpi eq, %j, %i : !I
  // Reads that include the token's own write: a number on the diagonal.
  // CHECK-LABEL: tile.role "reads"
  tile.role "reads" warps 4 {
    // CHECK: %[[G:.*]] = tile.mma
    // CHECK: %[[R:.*]] = tile.load
    // CHECK: %[[D:.*]] = tile.interval_products %{{.*}} rows %[[R]] : {{.*}} {diagonal = 5.000000e-01 : f32, scale = 5.000000e-01 : f32}
    // CHECK: %[[P:.*]] = arith.mulf %[[G]], %[[D]]
    // CHECK-NOT: arith.
    // CHECK: tile.store %[[P]]
    %gram = tile.mma %a, %a : !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16> -> !F
    %scaled = arith.mulf %gram, %half : !F
    %r = tile.load %vector : !tile.shared<64xf32> -> !R
    %rows = tile.broadcast %r : !R -> !F
    %d = tile.interval_products %tables : !tile.shared<2x6x64xf32> -> !F
    %dr = arith.mulf %d, %rows : !F
    %p = arith.mulf %scaled, %dr : !F
    %diagonal = arith.select %on, %scaled, %zero : tensor<64x64xi1, #tile.fragment<warps = 4>>, !F
    %masked = arith.select %below, %p, %diagonal : tensor<64x64xi1, #tile.fragment<warps = 4>>, !F
    tile.store %masked to %out : !F -> !tile.shared<64x64xf32>
  }
  // A triangular system: 0 on the diagonal, so factors of rows may come behind the mask.
  // CHECK-LABEL: tile.role "system"
  tile.role "system" warps 4 {
    // CHECK: %[[RR:.*]] = arith.mulf %{{.*}}, %{{.*}} : tensor<64xf32, #tile.rows<warps = 4>>
    // CHECK-NEXT: %[[D:.*]] = tile.interval_products %{{.*}} rows %[[RR]] : {{.*}} {diagonal = 0.000000e+00 : f32}
    // CHECK-NEXT: %[[L:.*]] = arith.mulf %{{.*}}, %[[D]]
    // CHECK-NEXT: tile.store %[[L]]
    %gram = tile.mma %a, %a : !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16> -> !F
    %r = tile.load %vector : !tile.shared<64xf32> -> !R
    %rows = tile.broadcast %r : !R -> !F
    %d = tile.interval_products %tables : !tile.shared<2x6x64xf32> -> !F
    %dr = arith.mulf %d, %rows : !F
    %p = arith.mulf %gram, %dr : !F
    %masked = arith.select %below, %p, %zero : tensor<64x64xi1, #tile.fragment<warps = 4>>, !F
    %l = arith.mulf %masked, %rows : !F
    tile.store %l to %out : !F -> !tile.shared<64x64xf32>
  }
  // Its inverse: no zeros, and the other sign.
  // CHECK-LABEL: tile.role "inverse"
  tile.role "inverse" warps 4 {
    // CHECK: tile.interval_products %{{.*}} {scale = -1.000000e+00 : f32}
    // CHECK: tile.inverse negated
    %gram = tile.mma %a, %a : !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16> -> !F
    %d = tile.interval_products %tables : !tile.shared<2x6x64xf32> -> !F
    %p = arith.mulf %gram, %d : !F
    %l = arith.select %below, %p, %zero : tensor<64x64xi1, #tile.fragment<warps = 4>>, !F
    tile.inverse %l to %a scratch %half16, %blocks : !F -> !tile.shared<64x64xbf16>, !tile.shared<64x64xf16>, !tile.shared<4x320xf32>
  }
  // What stays: a factor of columns.
  // CHECK-LABEL: tile.role "columns"
  tile.role "columns" warps 4 {
    // CHECK: arith.select
    %gram = tile.mma %a, %a : !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16> -> !F
    %k = tile.load %vector : !tile.shared<64xf32> -> !C
    %columns = tile.broadcast %k : !C -> !F
    %d = tile.interval_products %tables : !tile.shared<2x6x64xf32> -> !F
    %dk = arith.mulf %d, %columns : !F
    %p = arith.mulf %gram, %dk : !F
    %masked = arith.select %below, %p, %zero : tensor<64x64xi1, #tile.fragment<warps = 4>>, !F
    tile.store %masked to %out : !F -> !tile.shared<64x64xf32>
  }
  // The tables are free before the expression ends.
  // CHECK-LABEL: tile.role "released"
  tile.role "released" warps 4 {
    // CHECK: arith.select
    %gram = tile.mma %a, %a : !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16> -> !F
    %d = tile.interval_products %tables : !tile.shared<2x6x64xf32> -> !F
    tile.release %c[%t] : !tile.channel<1>
    %p = arith.mulf %gram, %d : !F
    %masked = arith.select %below, %p, %zero : tensor<64x64xi1, #tile.fragment<warps = 4>>, !F
    tile.store %masked to %out : !F -> !tile.shared<64x64xf32>
  }
}
