// The emulator of PTX runs it on decays of 0, 1, tiny and between, and finds accesses that nothing orders: with all levels at once,
// in two passes (less room), and in f16.
// DEFINE: %{pipeline} = builtin.module(gpu.module(canonicalize,cse,convert-scf-to-cf,convert-nvvm-to-llvm,convert-arith-to-llvm),convert-cf-to-llvm,canonicalize,cse,gpu.module(reconcile-unrealized-casts),nvvm-attach-target{chip=sm_90a features=+ptx80 O=3},gpu-module-to-binary{format=isa})
// RUN: rondo-opt %s --rondo-lower-tiles -o %t.one
// RUN: mlir-opt %t.one --pass-pipeline='%{pipeline}' -o %t.one.binary
// RUN: python3 %S/Inputs/gram.py %t.one %t.one.binary bf16
// RUN: sed 's/288x64/192x64/g' %s > %t.less.mlir
// RUN: rondo-opt %t.less.mlir --rondo-lower-tiles -o %t.two
// RUN: mlir-opt %t.two --pass-pipeline='%{pipeline}' -o %t.two.binary
// RUN: python3 %S/Inputs/gram.py %t.two %t.two.binary bf16
// RUN: sed 's/bf16/f16/g' %s > %t.f16.mlir
// RUN: rondo-opt %t.f16.mlir --rondo-lower-tiles -o %t.half
// RUN: mlir-opt %t.half --pass-pipeline='%{pipeline}' -o %t.half.binary
// RUN: python3 %S/Inputs/gram.py %t.half %t.half.binary f16
// In halves of the chunk, without level 32; totals of the halves, of which the second one is looked at.
// RUN: sed -e 's/#tile.gram/#tile.gram<32>/g' -e '/alloc/s/<128xf32>/<2x128xf32>/' -e '/decayed_factors/,/->/s/!tile.shared<128xf32>/!tile.shared<2x128xf32>/' \
// RUN:   -e 's/\(.total\)1 = tile.load .total/%half = tile.window \1[%c1, %c0] : !tile.shared<2x128xf32> -> !tile.shared<128xf32>\n        \11 = tile.load %half/' %s > %t.halves.mlir
// RUN: rondo-opt %t.halves.mlir --rondo-lower-tiles -o %t.three
// RUN: mlir-opt %t.three --pass-pipeline='%{pipeline}' -o %t.three.binary
// RUN: python3 %S/Inputs/gram.py %t.three %t.three.binary bf16 32
// Two barriers for each block of channels: one between writing and reading the totals, one between operands and products.
// RUN: FileCheck %s < %t.one
// CHECK-LABEL: llvm.func @gram
// CHECK: %{{.*}}:32 = scf.for
// CHECK-NOT: ldmatrix
// CHECK: nvvm.barrier id
// CHECK-NOT: nvvm.barrier
// CHECK-COUNT-6: nvvm.ldmatrix
// CHECK-NOT: nvvm.ldmatrix
// CHECK: nvvm.barrier id
// CHECK-NOT: nvvm.barrier
// CHECK: scf.if {{.*}} -> (f32, f32
// CHECK-COUNT-12: nvvm.ldmatrix
// CHECK: } else {
// CHECK-COUNT-16: nvvm.ldmatrix
// CHECK: scf.yield

// Decayed products of two queries with one key: the diagonal of the first one given, stored rounded by the role itself; the
// second one passes to another role in f32. Factors to both sides and the total.


module {
  tile.kernel @gram attributes {arrays = [
      {name = "q", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]}, {name = "r", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
      {name = "k", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]}, {name = "d", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
      {name = "first", role = "output", type = bf16, sizes = array<i64: 64>, dims = ["K"]}, {name = "second", role = "output", type = bf16, sizes = array<i64: 64>, dims = ["K"]},
      {name = "before", role = "output", type = bf16, sizes = array<i64: 128>, dims = ["K"]}, {name = "after", role = "output", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
      {name = "whole", role = "output", type = bf16, sizes = array<i64: 128>, dims = ["K"]}], chunk = 64 : i64} {
    %q = tile.alloc : !tile.shared<64x128xbf16>
    %r = tile.alloc : !tile.shared<64x128xbf16>
    %k = tile.alloc : !tile.shared<64x128xbf16>
    %d = tile.alloc : !tile.shared<64x128xbf16>
    %room = tile.alloc : !tile.shared<288x64xbf16>
    %first = tile.alloc : !tile.shared<64x64xbf16>
    %rounded = tile.alloc : !tile.shared<64x64xbf16>
    %second = tile.alloc : !tile.shared<64x64xf32>
    %totals = tile.alloc : !tile.shared<8x64xf32>
    %total = tile.alloc : !tile.shared<128xf32>
    %whole = tile.alloc : !tile.shared<64x128xbf16>
    %in = tile.make_channel : !tile.channel<1>
    %out = tile.make_channel : !tile.channel<1>
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c64 = arith.constant 64 : index

    tile.role "load" warps 1 {
      %n = tile.chunks
      scf.for %t = %c0 to %n step %c1 {
        tile.acquire %in[%t] : !tile.channel<1>
        tile.fetch %in[%t] ["q", "r", "k", "d"] to %q, %r, %k, %d at %c0, %c0, %c0, %c0
          : !tile.channel<1>, !tile.shared<64x128xbf16>, !tile.shared<64x128xbf16>, !tile.shared<64x128xbf16>, !tile.shared<64x128xbf16>
      }
    }

    tile.role "scan" warps 8 {
      %n = tile.chunks
      %zero = arith.constant dense<0.0> : tensor<64x64xf32, #tile.gram>
      scf.for %t = %c0 to %n step %c1 {
        tile.wait %in[%t] : !tile.channel<1>
        tile.acquire %out[%t] : !tile.channel<1>
        %p, %s = scf.for %i = %c0 to %c2 step %c1 iter_args(%p0 = %zero, %s0 = %zero) -> (tensor<64x64xf32, #tile.gram>, tensor<64x64xf32, #tile.gram>) {
          %offset = arith.muli %i, %c64 : index
          %qb = tile.block %q[%i] : !tile.shared<64x128xbf16> -> !tile.shared<64x64xbf16>
          %rb = tile.block %r[%i] : !tile.shared<64x128xbf16> -> !tile.shared<64x64xbf16>
          %kb = tile.block %k[%i] : !tile.shared<64x128xbf16> -> !tile.shared<64x64xbf16>
          %db = tile.block %d[%i] : !tile.shared<64x128xbf16> -> !tile.shared<64x64xbf16>
          %d16 = tile.load %db : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.octets>
          %decays = arith.extf %d16 : tensor<64x64xbf16, #tile.octets> to tensor<64x64xf32, #tile.octets>
          %prefix, %suffix = tile.decayed_factors %decays totals %totals total %total[%offset]
            : tensor<64x64xf32, #tile.octets>, !tile.shared<8x64xf32>, !tile.shared<128xf32> -> tensor<64x64xf32, #tile.octets>, tensor<64x64xf32, #tile.octets>
          %q16 = tile.load %qb : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.octets>
          %r16 = tile.load %rb : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.octets>
          %k16 = tile.load %kb : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.octets>
          %qs = arith.extf %q16 : tensor<64x64xbf16, #tile.octets> to tensor<64x64xf32, #tile.octets>
          %rs = arith.extf %r16 : tensor<64x64xbf16, #tile.octets> to tensor<64x64xf32, #tile.octets>
          %ks = arith.extf %k16 : tensor<64x64xbf16, #tile.octets> to tensor<64x64xf32, #tile.octets>
          %qp = arith.mulf %qs, %prefix : tensor<64x64xf32, #tile.octets>
          %kp = arith.mulf %ks, %suffix : tensor<64x64xf32, #tile.octets>
          %qp16 = arith.truncf %qp : tensor<64x64xf32, #tile.octets> to tensor<64x64xbf16, #tile.octets>
          %kp16 = arith.truncf %kp : tensor<64x64xf32, #tile.octets> to tensor<64x64xbf16, #tile.octets>
          tile.store %qp16 to %qb : tensor<64x64xbf16, #tile.octets> -> !tile.shared<64x64xbf16>
          tile.store %kp16 to %kb : tensor<64x64xbf16, #tile.octets> -> !tile.shared<64x64xbf16>
          %p1, %s1 = tile.decayed_gram queries(%qs, %rs : tensor<64x64xf32, #tile.octets>, tensor<64x64xf32, #tile.octets>)
            diagonals(%qs : tensor<64x64xf32, #tile.octets>) key %ks : tensor<64x64xf32, #tile.octets>
            decays %decays : tensor<64x64xf32, #tile.octets> totals %totals : !tile.shared<8x64xf32> room %room : !tile.shared<288x64xbf16>
            onto %p0, %s0 : tensor<64x64xf32, #tile.gram>, tensor<64x64xf32, #tile.gram> -> tensor<64x64xf32, #tile.gram>, tensor<64x64xf32, #tile.gram>
          scf.yield %p1, %s1 : tensor<64x64xf32, #tile.gram>, tensor<64x64xf32, #tile.gram>
        }
        tile.store %p to %first : tensor<64x64xf32, #tile.gram> -> !tile.shared<64x64xbf16>
        tile.store %s to %second : tensor<64x64xf32, #tile.gram> -> !tile.shared<64x64xf32>
        tile.sync async
        tile.write_back %q to "before"[%t] at %c0 : !tile.shared<64x128xbf16>
        tile.write_back %k to "after"[%t] at %c0 : !tile.shared<64x128xbf16>
        tile.write_back %first to "first"[%t] at %c0 : !tile.shared<64x64xbf16>
        tile.commit %out[%t] : !tile.channel<1>
        tile.drain
        tile.sync
        tile.release %in[%t] : !tile.channel<1>
      }
    }

    tile.role "round" warps 4 {
      %n = tile.chunks
      scf.for %t = %c0 to %n step %c1 {
        tile.wait %out[%t] : !tile.channel<1>
        %s = tile.load %second : !tile.shared<64x64xf32> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
        %s16 = arith.truncf %s : tensor<64x64xf32, #tile.fragment<warps = 4>> to tensor<64x64xbf16, #tile.fragment<warps = 4>>
        %total1 = tile.load %total : !tile.shared<128xf32> -> tensor<128xf32, #tile.columns<warps = 4>>
        %rows = tile.broadcast %total1 : tensor<128xf32, #tile.columns<warps = 4>> -> tensor<64x128xf32, #tile.fragment<warps = 4>>
        %rows16 = arith.truncf %rows : tensor<64x128xf32, #tile.fragment<warps = 4>> to tensor<64x128xbf16, #tile.fragment<warps = 4>>
        tile.drain
        tile.sync
        tile.store %s16 to %rounded : tensor<64x64xbf16, #tile.fragment<warps = 4>> -> !tile.shared<64x64xbf16>
        tile.store %rows16 to %whole : tensor<64x128xbf16, #tile.fragment<warps = 4>> -> !tile.shared<64x128xbf16>
        tile.release %out[%t] : !tile.channel<1>
        tile.sync async
        tile.write_back %rounded to "second"[%t] at %c0 : !tile.shared<64x64xbf16>
        tile.write_back %whole to "whole"[%t] at %c0 : !tile.shared<64x128xbf16>
      }
      tile.drain all
    }
  }
}
