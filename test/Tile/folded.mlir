// Two diagonal blocks of 32x32, folded: below each other in 32 columns of a tile.
// RUN: rondo-opt --rondo-lower-tiles --split-input-file --verify-diagnostics %s | FileCheck %s

!F = tensor<64x64xf32, #tile.fragment<warps = 4>>
!H = tensor<64x32xbf16, #tile.fragment<warps = 4>>
// CHECK-LABEL: llvm.func @folded
tile.kernel @folded attributes {chunk = 64 : i64, arrays = [{name = "P", role = "output", dims = ["64"], sizes = array<i64: 64>, type = bf16}]} {
  %matrix = tile.alloc : !tile.shared<64x40xf32>
  %other = tile.alloc : !tile.shared<64x64xbf16>
  %result = tile.alloc : !tile.shared<64x64xbf16>
  %scratch = tile.alloc : !tile.shared<64x64xf16>
  %diagonal = tile.alloc : !tile.shared<4x320xf32>
  tile.role "products" warps 4 {
    %zero = arith.constant 0 : index
    %right = arith.constant 32 : index
    // Eight pairs a thread; the warps of the second block put them into the second half.
    // CHECK-COUNT-8: llvm.load {{.*}} -> vector<2xf32>
    %m = tile.load %matrix : !tile.shared<64x40xf32> -> !F
    // One block of each warp below the diagonal, one step.
    // CHECK-COUNT-1: nvvm.stmatrix {{.*}}mma_layout<row>
    // CHECK-NOT: mma_layout<row>
    // CHECK-COUNT-120: llvm.intr.fma
    // CHECK: nvvm.stmatrix {{.*}}mma_layout<col>
    // CHECK-COUNT-4: mma.sync{{.*}}f32.f16.f16.f32
    // CHECK: nvvm.stmatrix {{.*}}mma_layout<col>
    // CHECK-NOT: mma.sync
    %left = tile.window %result[%zero, %zero] : !tile.shared<64x64xbf16> -> !tile.shared<64x32xbf16 of 64>
    tile.inverse %m to %left scratch %scratch, %diagonal : !F -> !tile.shared<64x32xbf16 of 64>, !tile.shared<64x64xf16>, !tile.shared<4x320xf32>
    // The other columns of the same tile.
    // CHECK-COUNT-2: nvvm.ldmatrix
    // CHECK-COUNT-2: nvvm.stmatrix {{.*}}mma_layout<row>
    // CHECK-NOT: nvvm.stmatrix
    %from = tile.window %other[%zero, %zero] : !tile.shared<64x64xbf16> -> !tile.shared<64x32xbf16 of 64>
    %x = tile.load %from : !tile.shared<64x32xbf16 of 64> -> !H
    %to = tile.window %result[%zero, %right] : !tile.shared<64x64xbf16> -> !tile.shared<64x32xbf16 of 64>
    tile.store %x to %to : !H -> !tile.shared<64x32xbf16 of 64>
    tile.sync async
    tile.write_back %result to "P"[%zero] at %zero : !tile.shared<64x64xbf16>
  }
}

// -----

// Pairs of tokens of the whole chunk do not fold.
tile.kernel @whole attributes {chunk = 64 : i64, arrays = []} {
  %buffer = tile.alloc : !tile.shared<64x40xf32>
  tile.role "octets" warps 8 {
    %zeros = arith.constant dense<0.0> : tensor<64x64xf32, #tile.gram>
    // expected-error @+1 {{moves 'tensor<64x64xf32, #tile.gram>', the buffer is '!tile.shared<64x40xf32>'}}
    tile.store %zeros to %buffer : tensor<64x64xf32, #tile.gram> -> !tile.shared<64x40xf32>
  }
}

// -----

// Of a fragment with both tokens of two chunks, the diagonal blocks: each warp has its own in registers, and takes one half of them.
// CHECK-LABEL: llvm.func @blocks
// CHECK-COUNT-8: arith.select {{.*}} : i32
// CHECK-COUNT-2: nvvm.stmatrix
// CHECK-NOT: nvvm.stmatrix
tile.kernel @blocks attributes {chunk = 64 : i64, arrays = []} {
  %tile = tile.alloc : !tile.shared<64x64xbf16>
  tile.role "products" warps 4 {
    %zero = arith.constant 0 : index
    %m = tile.load %tile : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.fragment<warps = 4>>
    %left = tile.window %tile[%zero, %zero] : !tile.shared<64x64xbf16> -> !tile.shared<64x32xbf16 of 64>
    tile.store %m to %left : tensor<64x64xbf16, #tile.fragment<warps = 4>> -> !tile.shared<64x32xbf16 of 64>
  }
}
