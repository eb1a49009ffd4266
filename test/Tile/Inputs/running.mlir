// What runs along time in a chunk of 64 tokens: products, recurrences carried from chunk to chunk, interval products.
tile.kernel @running attributes {chunk = 64 : i64, arrays = [
    {name = "d", role = "token", dims = [], sizes = array<i64>, type = f32}, {name = "b", role = "token", dims = [], sizes = array<i64>, type = f32},
    {name = "prefix", role = "output", dims = [], sizes = array<i64>, type = f32}, {name = "suffix", role = "output", dims = [], sizes = array<i64>, type = f32},
    {name = "total", role = "output", dims = [], sizes = array<i64>, type = f32},
    {name = "before0", role = "output", dims = [], sizes = array<i64>, type = f32}, {name = "after0", role = "output", dims = [], sizes = array<i64>, type = f32},
    {name = "before1", role = "output", dims = [], sizes = array<i64>, type = f32}, {name = "after1", role = "output", dims = [], sizes = array<i64>, type = f32},
    {name = "x0", role = "state", dims = [], sizes = array<i64>, type = f32}, {name = "x1", role = "state", dims = [], sizes = array<i64>, type = f32},
    {name = "R", role = "state", dims = ["64", "64"], sizes = array<i64: 64, 64>, type = f32},
    {name = "Q", role = "state", dims = ["64", "64"], sizes = array<i64: 64, 64>, type = f32}]} {
  %vector = tile.alloc : !tile.shared<64xf32>
  %tables = tile.alloc : !tile.shared<2x6x64xf32>
  tile.role "time" warps 4 {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %chunks = tile.chunks
    %x0 = tile.load_state "x0" init 0.0 : f32
    %x1 = tile.load_state "x1" init 0.0 : f32
    %x:2 = scf.for %t = %zero to %chunks step %one iter_args(%y0 = %x0, %y1 = %x1) -> (f32, f32) {
      %count = tile.count %t
      %d = tile.load_tokens "d"[%t] : tensor<64xf32, #tile.lanes>
      %b = tile.load_tokens "b"[%t] : tensor<64xf32, #tile.lanes>
      %prefix = tile.cumprod prefix %d : tensor<64xf32, #tile.lanes>
      tile.store_tokens %prefix to "prefix"[%t] : tensor<64xf32, #tile.lanes>
      %suffix = tile.cumprod suffix %d : tensor<64xf32, #tile.lanes>
      tile.store_tokens %suffix to "suffix"[%t] : tensor<64xf32, #tile.lanes>
      %total = tile.total %d : tensor<64xf32, #tile.lanes>
      %totals = tile.broadcast %total : f32 -> tensor<64xf32, #tile.lanes>
      tile.store_tokens %totals to "total"[%t] : tensor<64xf32, #tile.lanes>
      %before0, %after0, %last0 = tile.scan affine %d, %b from %y0 count %count : tensor<64xf32, #tile.lanes>
      tile.store_tokens %before0 to "before0"[%t] : tensor<64xf32, #tile.lanes>
      tile.store_tokens %after0 to "after0"[%t] : tensor<64xf32, #tile.lanes>
      %before1, %after1, %last1 = tile.scan maxplus %d, %b from %y1 count %count : tensor<64xf32, #tile.lanes>
      tile.store_tokens %before1 to "before1"[%t] : tensor<64xf32, #tile.lanes>
      tile.store_tokens %after1 to "after1"[%t] : tensor<64xf32, #tile.lanes>
      tile.interval_tables %d to %tables : tensor<64xf32, #tile.lanes>, !tile.shared<2x6x64xf32>
      tile.store %b to %vector : tensor<64xf32, #tile.lanes> -> !tile.shared<64xf32>
      tile.sync
      %rows = tile.load %vector : !tile.shared<64xf32> -> tensor<64xf32, #tile.rows<warps = 4>>
      %q = tile.interval_products %tables rows %rows : tensor<64xf32, #tile.rows<warps = 4>> {scale = 0.5 : f32, diagonal = 0.25 : f32} : !tile.shared<2x6x64xf32> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
      tile.store_state rows %q to "Q" : tensor<64x64xf32, #tile.fragment<warps = 4>>
      %r = tile.interval_products %tables : !tile.shared<2x6x64xf32> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
      tile.store_state rows %r to "R" : tensor<64x64xf32, #tile.fragment<warps = 4>>
      tile.sync
      scf.yield %last0, %last1 : f32, f32
    }
    tile.store_state %x#0 to "x0" : f32
    tile.store_state %x#1 to "x1" : f32
  }
}
