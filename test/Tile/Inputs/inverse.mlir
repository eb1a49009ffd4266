// Two inverses one after the other in the same scratch: of I + M scaled by columns as bf16, and of I - N as f16.
tile.kernel @inverse attributes {chunk = 64 : i64, arrays = [
    {name = "s", role = "token", dims = [], sizes = array<i64>, type = f32},
    {name = "M", role = "state", dims = ["64", "64"], sizes = array<i64: 64, 64>, type = f32}, {name = "N", role = "state", dims = ["64", "64"], sizes = array<i64: 64, 64>, type = f32}]} {
  %first = tile.alloc : !tile.shared<64x64xbf16>
  %second = tile.alloc : !tile.shared<64x64xf16>
  %scratch = tile.alloc : !tile.shared<64x64xf16>
  %diagonal = tile.alloc : !tile.shared<1280xf32>
  %scale = tile.alloc : !tile.shared<64xf32>
  tile.role "inverse" warps 4 {
    %zero = arith.constant 0 : index
    %s = tile.load_tokens "s"[%zero] : tensor<64xf32, #tile.lanes>
    tile.store %s to %scale : tensor<64xf32, #tile.lanes> -> !tile.shared<64xf32>
    tile.sync
    %m = tile.load_state rows "M" init 0.0 : tensor<64x64xf32, #tile.fragment<warps = 4>>
    %n = tile.load_state rows "N" init 0.0 : tensor<64x64xf32, #tile.fragment<warps = 4>>
    tile.inverse %m scale %scale : !tile.shared<64xf32> to %first scratch %scratch, %diagonal
      : tensor<64x64xf32, #tile.fragment<warps = 4>> -> !tile.shared<64x64xbf16>, !tile.shared<64x64xf16>, !tile.shared<1280xf32>
    tile.inverse negated %n to %second scratch %scratch, %diagonal
      : tensor<64x64xf32, #tile.fragment<warps = 4>> -> !tile.shared<64x64xf16>, !tile.shared<64x64xf16>, !tile.shared<1280xf32>
    tile.sync
    %x = tile.load %first : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.fragment<warps = 4>>
    %y = tile.load %second : !tile.shared<64x64xf16> -> tensor<64x64xf16, #tile.fragment<warps = 4>>
    %wx = arith.extf %x : tensor<64x64xbf16, #tile.fragment<warps = 4>> to tensor<64x64xf32, #tile.fragment<warps = 4>>
    %wy = arith.extf %y : tensor<64x64xf16, #tile.fragment<warps = 4>> to tensor<64x64xf32, #tile.fragment<warps = 4>>
    tile.store_state rows %wx to "M" : tensor<64x64xf32, #tile.fragment<warps = 4>>
    tile.store_state rows %wy to "N" : tensor<64x64xf32, #tile.fragment<warps = 4>>
  }
}
