// Sums that decay row by row: for each eight tokens two exchanges of totals of both rows, products of 8 tokens for the diagonal and three
// levels, then of the tree's nodes; nothing but products over intervals.
// RUN: rondo-opt --rondo-lower-tiles %s | FileCheck %s
// RUN: rondo-opt --rondo-lower-tiles %s | FileCheck %s --check-prefix=NEVER
// CHECK: nvvm.ldmatrix
// CHECK-COUNT-4: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// CHECK: nvvm.shfl.sync bfly
// NEVER-NOT: divf
// NEVER-NOT: subf
// NEVER-NOT: ex2
// NEVER-COUNT-20: mma.sync
// NEVER-NOT: mma.sync
tile.kernel @applied attributes {chunk = 64 : i64, arrays = [{name = "R", role = "state", dims = ["64", "32"], sizes = array<i64: 64, 32>, type = f32}]} {
  %weights = tile.alloc : !tile.shared<32x64xbf16>
  tile.role "state" warps 4 {
    %zero = arith.constant 0 : index
    %d = tile.load_state "R" init 0.0 at %zero : tensor<64x32xf32, #tile.fragment<warps = 4>>
    %w = tile.window %weights[%zero, %zero] : !tile.shared<32x64xbf16> -> !tile.shared<32x32xbf16 of 32>
    %p, %s, %t, %a = tile.decayed_apply inclusive %d, %d weights(%w : !tile.shared<32x32xbf16 of 32>)
      : tensor<64x32xf32, #tile.fragment<warps = 4>>, tensor<64x32xf32, #tile.fragment<warps = 4>>
      -> tensor<64x32xf32, #tile.fragment<warps = 4>>, tensor<64x32xf32, #tile.fragment<warps = 4>>, tensor<64xf32, #tile.rows<warps = 4>> (tensor<64x32xf32, #tile.fragment<warps = 4>>)
    %x = arith.addf %p, %s : tensor<64x32xf32, #tile.fragment<warps = 4>>
    %y = arith.addf %x, %a : tensor<64x32xf32, #tile.fragment<warps = 4>>
    tile.store_state %y to "R" at %zero : tensor<64x32xf32, #tile.fragment<warps = 4>>
  }
}
