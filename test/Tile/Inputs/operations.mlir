// Transfers, layouts, parameters, tokens and states with sizes smaller than their tiles: x has 96 features, S is 96 x 40.
!F = tensor<64x128xf32, #tile.fragment<warps = 4>>
!H = tensor<64x128xbf16, #tile.fragment<warps = 4>>
!B = tensor<64x64xbf16, #tile.fragment<warps = 4>>
!R = tensor<64xf32, #tile.rows<warps = 4>>
!C = tensor<128xf32, #tile.columns<warps = 4>>
!N = tensor<128xf32, #tile.rows<warps = 2>>
!M = tensor<64xf32, #tile.rows<warps = 2>>

tile.kernel @operations attributes {arrays = [
    {name = "x", role = "token", type = bf16, sizes = array<i64: 96>, dims = ["K"]},
    {name = "g", role = "token", type = bf16, sizes = array<i64>, dims = []},
    {name = "w", role = "param", type = f32, sizes = array<i64: 96>, dims = ["K"]},
    {name = "a", role = "param", type = f32, sizes = array<i64>, dims = []},
    {name = "y", role = "output", type = bf16, sizes = array<i64: 96>, dims = ["K"]},
    {name = "sums", role = "output", type = f32, sizes = array<i64>, dims = []},
    {name = "gates", role = "output", type = f32, sizes = array<i64>, dims = []},
    {name = "reads", role = "output", type = bf16, sizes = array<i64>, dims = []},
    {name = "S", role = "state", type = f32, sizes = array<i64: 96, 40>, dims = ["K", "V"]},
    {name = "R", role = "state", type = f32, sizes = array<i64: 40, 96>, dims = ["V", "K"]},
    {name = "n", role = "state", type = f32, sizes = array<i64: 96>, dims = ["K"]},
    {name = "c", role = "state", type = f32, sizes = array<i64>, dims = []}], chunk = 64 : i64} {
  %x = tile.alloc : !tile.shared<ring 2x64x128xbf16>
  %y = tile.alloc : !tile.shared<64x128xbf16>
  %row = tile.alloc : !tile.shared<64xf32>
  %old = tile.alloc : !tile.shared<128xf32>
  %read = tile.alloc : !tile.shared<64xf32>
  %tokens = tile.make_channel : !tile.channel<2>

  tile.role "load" warps 1 {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %n = tile.chunks
    scf.for %t = %zero to %n step %one {
      %xt = tile.slot %x[%t] : !tile.shared<ring 2x64x128xbf16>
      tile.acquire %tokens[%t] : !tile.channel<2>
      tile.fetch %tokens[%t] ["x"] to %xt at %zero : !tile.channel<2>, !tile.shared<64x128xbf16>
    }
  }

  // y = bf16(w * x + g); sums = sum over features of w * x + g; gates = functions of g; S = a S, R = 2 R, c = c + T.
  tile.role "work" warps 4 {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %n = tile.chunks
    %w = tile.load_parameter "w" : !C
    %a = tile.load_parameter "a" : f32
    %s0 = tile.load_state "S" init 1.0 at %zero : !F
    %r0 = tile.load_state rows "R" init 1.0 at %zero : !F
    %c0 = tile.load_state "c" init 3.0 : f32
    %last = scf.for %t = %zero to %n step %one iter_args(%c = %c0) -> (f32) {
      %xt = tile.slot %x[%t] : !tile.shared<ring 2x64x128xbf16>
      %g = tile.load_tokens "g"[%t] : !R
      tile.wait %tokens[%t] : !tile.channel<2>
      %xh = tile.load %xt : !tile.shared<64x128xbf16> -> !H
      %xf = arith.extf %xh : !H to !F
      %wb = tile.broadcast %w : !C -> !F
      %gb = tile.broadcast %g : !R -> !F
      %p = arith.mulf %xf, %wb : !F
      %sum = arith.addf %p, %gb : !F
      %j = tile.iota 1 : tensor<64x128xi32, #tile.fragment<warps = 4>>
      %c96 = arith.constant dense<96> : tensor<64x128xi32, #tile.fragment<warps = 4>>
      %none = arith.constant dense<0.0> : !F
      %in = arith.cmpi slt, %j, %c96 : tensor<64x128xi32, #tile.fragment<warps = 4>>
      %kept = arith.select %in, %sum, %none : tensor<64x128xi1, #tile.fragment<warps = 4>>, !F
      %sums = tile.reduce %kept over 1 : !F -> !R
      tile.store_tokens %sums to "sums"[%t] : !R
      %yh = arith.truncf %kept : !F to !H
      tile.drain
      tile.sync
      tile.store %yh to %y : !H -> !tile.shared<64x128xbf16>
      tile.store %g to %row : !R -> !tile.shared<64xf32>
      tile.sync async
      // Each half transposed twice.
      scf.for %i = %zero to %one step %one {
        %half = tile.block %y[%one] : !tile.shared<64x128xbf16> -> !tile.shared<64x64xbf16>
        %turned = tile.load transposed %half : !tile.shared<64x64xbf16> -> !B
        tile.sync
        tile.store transposed %turned to %half : !B -> !tile.shared<64x64xbf16>
      }
      tile.sync async
      tile.write_back %y to "y"[%t] at %zero : !tile.shared<64x128xbf16>
      %lanes = tile.load %row : !tile.shared<64xf32> -> tensor<64xf32, #tile.lanes>
      %e = math.exp %lanes : tensor<64xf32, #tile.lanes>
      %l = math.log1p %e : tensor<64xf32, #tile.lanes>
      %q = arith.divf %l, %e : tensor<64xf32, #tile.lanes>
      tile.store_tokens %q to "gates"[%t] : tensor<64xf32, #tile.lanes>
      tile.release %tokens[%t] : !tile.channel<2>
      %count = tile.count %t
      %ci = arith.index_cast %count : index to i32
      %cf = arith.sitofp %ci : i32 to f32
      %next = arith.addf %c, %cf : f32
      scf.yield %next : f32
    }
    %ab = tile.broadcast %a : f32 -> !F
    %s1 = arith.mulf %s0, %ab : !F
    tile.store_state %s1 to "S" at %zero : !F
    %r1 = arith.addf %r0, %r0 : !F
    tile.store_state rows %r1 to "R" at %zero : !F
    tile.store_state %last to "c" : f32
    tile.drain all
  }

  // reads = x n, then n = n + sum of reads * x, by chunks.
  tile.role "vectors" warps 2 {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %chunks = tile.chunks
    %n0 = tile.load_state "n" init 0.5 : !N
    %last = scf.for %t = %zero to %chunks step %one iter_args(%n = %n0) -> (!N) {
      %xt = tile.slot %x[%t] : !tile.shared<ring 2x64x128xbf16>
      tile.store %n to %old : !N -> !tile.shared<128xf32>
      tile.sync
      tile.wait %tokens[%t] : !tile.channel<2>
      %r = tile.dot %xt, %old : !tile.shared<64x128xbf16>, !tile.shared<128xf32> -> !M
      tile.store %r to %read : !M -> !tile.shared<64xf32>
      tile.sync
      %next = tile.dot transposed %xt, %read onto %n : !N : !tile.shared<64x128xbf16>, !tile.shared<64xf32> -> !N
      tile.release %tokens[%t] : !tile.channel<2>
      tile.store_tokens %r to "reads"[%t] : !M
      scf.yield %next : !N
    }
    tile.store_state %last to "n" : !N
  }
}
