// Reductions over the rows of fragments: 128 rows in two copies of a role, 64 in one; any number of columns.
!F = tensor<64x128xf32, #tile.fragment<warps = 4>>
!C = tensor<128xf32, #tile.columns<warps = 4>>
!H = tensor<64x32xf32, #tile.fragment<warps = 4>>
!D = tensor<32xf32, #tile.columns<warps = 4>>
!E = tensor<64x8xf32, #tile.fragment<warps = 4>>
!G = tensor<8xf32, #tile.columns<warps = 4>>

tile.kernel @reduce attributes {arrays = [
    {name = "S", role = "state", type = f32, sizes = array<i64: 128, 128>, dims = ["K", "V"]},
    {name = "L", role = "state", type = f32, sizes = array<i64: 32, 128>, dims = ["K", "V"]},
    {name = "M", role = "state", type = f32, sizes = array<i64: 8, 64>, dims = ["K", "V"]}], chunk = 64 : i64} {
  %ring = tile.alloc : !tile.shared<ring 2x8x128xf32>
  %most = tile.alloc : !tile.shared<8x32xf32>
  %least = tile.alloc : !tile.shared<4x8xf32>

  // Each chunk adds to every element the mean of its row of S, and to L the largest.
  tile.role "two" warps 4 attributes {copies = 2 : i64} {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %copy = tile.copy_index
    %offset = arith.muli %copy, %c64 : index
    %n = tile.chunks
    %mean = arith.constant dense<0.0078125> : !C
    %s0 = tile.load_state "S" init 1.0 at %offset : !F
    %l0 = tile.load_state "L" init 1.0 at %offset : !H
    %s2, %l2 = scf.for %t = %zero to %n step %one iter_args(%s = %s0, %l = %l0) -> (!F, !H) {
      %room = tile.slot %ring[%t] : !tile.shared<ring 2x8x128xf32>
      %sum = tile.reduce %s over 0 through %room : !F, !tile.shared<8x128xf32> -> !C
      %scaled = arith.mulf %sum, %mean : !C
      %all = tile.broadcast %scaled : !C -> !F
      %s1 = arith.addf %s, %all : !F
      %max = tile.reduce %l over 0 by maximum through %most : !H, !tile.shared<8x32xf32> -> !D
      %largest = tile.broadcast %max : !D -> !H
      %l1 = arith.addf %l, %largest : !H
      scf.yield %s1, %l1 : !F, !H
    }
    tile.store_state %s2 to "S" at %offset : !F
    tile.store_state %l2 to "L" at %offset : !H
  }

  tile.role "one" warps 4 {
    %zero = arith.constant 0 : index
    %m0 = tile.load_state "M" init 1.0 at %zero : !E
    %min = tile.reduce %m0 over 0 by minimum through %least : !E, !tile.shared<4x8xf32> -> !G
    %m1 = tile.broadcast %min : !G -> !E
    tile.store_state %m1 to "M" at %zero : !E
  }
}
