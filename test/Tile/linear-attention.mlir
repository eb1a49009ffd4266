// RUN: rondo-opt %s --rondo-lower-tiles | FileCheck %s
// RUN: rondo-opt %s --rondo-lower-tiles --rondo-tile-to-nvvm | FileCheck %s --check-prefix=NVVM

// Rings of 2 x 64 x 128 for q, k, v, of 2 x 64 x 64 for P and o, two channels of two slots.
// CHECK-LABEL: llvm.func @linear_attention_kernel(
// CHECK-SAME: nvvm.kernel, nvvm.maxntid = array<i32: 512, 1, 1>
// CHECK-SAME: rondo.launch = {blocks = 1 : i64, maxBlocks = 0 : i64, params = [
// CHECK-SAME: {array = "q", box = [64, 64], kind = "map", swizzle = 128 : i64}
// CHECK-SAME: shared = 131136 : i64, threads = 512 : i64, workspace = 0 : i64}

// One fetch fills tokens; 12 warps free it. Four warps fill scores, eight free it.
// CHECK: %[[C1:.*]] = arith.constant 1 : i32
// CHECK-NEXT: nvvm.mbarrier.init %{{.*}}, %[[C1]]
// CHECK: %[[C12:.*]] = arith.constant 12 : i32
// CHECK-NEXT: nvvm.mbarrier.init %{{.*}}, %[[C12]]
// CHECK: %[[C4:.*]] = arith.constant 4 : i32
// CHECK-NEXT: nvvm.mbarrier.init %{{.*}}, %[[C4]]
// CHECK: %[[C8:.*]] = arith.constant 8 : i32
// CHECK-NEXT: nvvm.mbarrier.init %{{.*}}, %[[C8]]
// CHECK: nvvm.barrier0

// Warpgroups first.
// CHECK: nvvm.setmaxregister decrease 80
// CHECK: setp.ne.b32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {{.*}}, $32, $33, p, 1, 1, 0, 0;
// CHECK-COUNT-7: setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {{.*}}, $64, $65, p, 1, 1, 0, 0;
// CHECK: wgmma.wait_group.sync.aligned 0;

// The first product waits for nobody; the second goes on with its registers; both have ended where o is rounded, the third not.
// CHECK: nvvm.setmaxregister increase 184
// CHECK: wgmma.fence.sync.aligned;
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<col>
// CHECK-NOT: wait_group
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: nvvm.stmatrix {{.*}}layout = #nvvm.mma_layout<col>
// CHECK: nvvm.setmaxregister decrease 56

// NVVM-NOT: scf.
// NVVM-NOT: arith.

// Linear attention without decay: S_t = S_{t-1} + k_t v_t^T, o_t = S_t^T q_t, in chunks of 64 tokens; S^T in the registers of two
// warpgroups. Three roles: TMA, products of tokens, states.

tile.kernel @linear_attention_kernel attributes {arrays = [
    {name = "q", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
    {name = "k", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
    {name = "v", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["V"]},
    {name = "o", role = "output", type = bf16, sizes = array<i64: 128>, dims = ["V"]},
    {name = "S", role = "state", type = f32, sizes = array<i64: 128, 128>, dims = ["K", "V"]}], chunk = 64 : i64} {
  %q = tile.alloc : !tile.shared<ring 2x64x128xbf16>
  %k = tile.alloc : !tile.shared<ring 2x64x128xbf16>
  %v = tile.alloc : !tile.shared<ring 2x64x128xbf16>
  %p = tile.alloc : !tile.shared<ring 2x64x64xbf16>
  %o = tile.alloc : !tile.shared<ring 2x64x64xbf16>
  %tokens = tile.make_channel : !tile.channel<2>
  %scores = tile.make_channel : !tile.channel<2>

  tile.role "load" warps 1 attributes {registers = 56 : i64} {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %n = tile.chunks
    scf.for %t = %zero to %n step %one {
      %qt = tile.slot %q[%t] : !tile.shared<ring 2x64x128xbf16>
      %kt = tile.slot %k[%t] : !tile.shared<ring 2x64x128xbf16>
      %vt = tile.slot %v[%t] : !tile.shared<ring 2x64x128xbf16>
      tile.acquire %tokens[%t] : !tile.channel<2>
      tile.fetch %tokens[%t] ["q", "k", "v"] to %qt, %kt, %vt at %zero, %zero, %zero
        : !tile.channel<2>, !tile.shared<64x128xbf16>, !tile.shared<64x128xbf16>, !tile.shared<64x128xbf16>
    }
  }

  // P[i, j] = q_i . k_j for j <= i.
  tile.role "products" warps 4 attributes {registers = 80 : i64} {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %n = tile.chunks
    scf.for %t = %zero to %n step %one {
      %qt = tile.slot %q[%t] : !tile.shared<ring 2x64x128xbf16>
      %kt = tile.slot %k[%t] : !tile.shared<ring 2x64x128xbf16>
      %pt = tile.slot %p[%t] : !tile.shared<ring 2x64x64xbf16>
      tile.wait %tokens[%t] : !tile.channel<2>
      %qk = tile.mma %qt, %kt : !tile.shared<64x128xbf16>, !tile.shared<64x128xbf16> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
      %i = tile.iota 0 : tensor<64x64xi32, #tile.fragment<warps = 4>>
      %j = tile.iota 1 : tensor<64x64xi32, #tile.fragment<warps = 4>>
      %seen = arith.cmpi sge, %i, %j : tensor<64x64xi32, #tile.fragment<warps = 4>>
      %none = arith.constant dense<0.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
      %masked = arith.select %seen, %qk, %none : tensor<64x64xi1, #tile.fragment<warps = 4>>, tensor<64x64xf32, #tile.fragment<warps = 4>>
      %rounded = arith.truncf %masked : tensor<64x64xf32, #tile.fragment<warps = 4>> to tensor<64x64xbf16, #tile.fragment<warps = 4>>
      tile.acquire %scores[%t] : !tile.channel<2>
      tile.store %rounded to %pt : tensor<64x64xbf16, #tile.fragment<warps = 4>> -> !tile.shared<64x64xbf16>
      tile.commit %scores[%t] : !tile.channel<2>
      tile.release %tokens[%t] : !tile.channel<2>
    }
  }

  // O^T = S^T q^T + v^T P^T; S^T += v^T k, each copy 64 rows of S^T.
  tile.role "state" warps 4 attributes {copies = 2 : i64, registers = 184 : i64} {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %copy = tile.copy_index
    %offset = arith.muli %copy, %c64 : index
    %n = tile.chunks
    %ot = tile.slot %o[%copy] : !tile.shared<ring 2x64x64xbf16>
    %s0 = tile.load_state "S" init 0.0 at %offset : tensor<64x128xf32, #tile.fragment<warps = 4>>
    %last = scf.for %t = %zero to %n step %one iter_args(%s = %s0) -> (tensor<64x128xf32, #tile.fragment<warps = 4>>) {
      %qt = tile.slot %q[%t] : !tile.shared<ring 2x64x128xbf16>
      %kt = tile.slot %k[%t] : !tile.shared<ring 2x64x128xbf16>
      %vt = tile.slot %v[%t] : !tile.shared<ring 2x64x128xbf16>
      %pt = tile.slot %p[%t] : !tile.shared<ring 2x64x64xbf16>
      %vb = tile.block %vt[%copy] : !tile.shared<64x128xbf16> -> !tile.shared<64x64xbf16>
      %sr = arith.truncf %s : tensor<64x128xf32, #tile.fragment<warps = 4>> to tensor<64x128xbf16, #tile.fragment<warps = 4>>
      tile.wait %tokens[%t] : !tile.channel<2>
      %o1 = tile.mma %sr, %qt : tensor<64x128xbf16, #tile.fragment<warps = 4>>, !tile.shared<64x128xbf16> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
      %vf = tile.load transposed %vb : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.fragment<warps = 4>>
      tile.wait %scores[%t] : !tile.channel<2>
      %o2 = tile.mma %vf, %pt, %o1 : tensor<64x64xf32, #tile.fragment<warps = 4>> : tensor<64x64xbf16, #tile.fragment<warps = 4>>, !tile.shared<64x64xbf16> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
      %next = tile.mma %vf, transposed %kt, %s : tensor<64x128xf32, #tile.fragment<warps = 4>> : tensor<64x64xbf16, #tile.fragment<warps = 4>>, !tile.shared<64x128xbf16> -> tensor<64x128xf32, #tile.fragment<warps = 4>>
      %or = arith.truncf %o2 : tensor<64x64xf32, #tile.fragment<warps = 4>> to tensor<64x64xbf16, #tile.fragment<warps = 4>>
      tile.drain
      tile.sync
      tile.store transposed %or to %ot : tensor<64x64xbf16, #tile.fragment<warps = 4>> -> !tile.shared<64x64xbf16>
      tile.sync async
      tile.write_back %ot to "o"[%t] at %offset : !tile.shared<64x64xbf16>
      tile.release %scores[%t] : !tile.channel<2>
      tile.release %tokens[%t] : !tile.channel<2>
      scf.yield %next : tensor<64x128xf32, #tile.fragment<warps = 4>>
    }
    tile.store_state %last to "S" at %offset : tensor<64x128xf32, #tile.fragment<warps = 4>>
    tile.drain all
  }
}
