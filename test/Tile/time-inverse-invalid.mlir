// RUN: rondo-opt --rondo-lower-tiles -split-input-file -verify-diagnostics %s

tile.kernel @lanes attributes {chunk = 64 : i64, arrays = []} {
  tile.role "r" warps 4 {
    %d = arith.constant dense<1.0> : tensor<64xf32, #tile.columns<warps = 4>>
    // expected-error @+1 {{'tile.cumprod' op works along the lanes of a warp: give it a `tensor<Nxf32, #tile.lanes>`, N a multiple of 32, instead of}}
    %p = tile.cumprod prefix %d : tensor<64xf32, #tile.columns<warps = 4>>
  }
}

// -----

tile.kernel @tables attributes {chunk = 64 : i64, arrays = []} {
  %t = tile.alloc : !tile.shared<2x5x64xf32>
  tile.role "r" warps 4 {
    // expected-error @+1 {{needs tables `!tile.shared<2x6x64xf32>` for a chunk of 64 tokens, not '!tile.shared<2x5x64xf32>'}}
    %r = tile.interval_products %t : !tile.shared<2x5x64xf32> -> tensor<64x64xf32, #tile.fragment<warps = 4>>
  }
}

// -----

tile.kernel @room attributes {chunk = 64 : i64, arrays = []} {
  %a = tile.alloc : !tile.shared<64x64xbf16>
  %s = tile.alloc : !tile.shared<64x64xf16>
  %d = tile.alloc : !tile.shared<1024xf32>
  tile.role "r" warps 4 {
    %m = arith.constant dense<0.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @+1 {{needs room for 1280 f32 for the diagonal blocks (16 columns of 20 for each warp), such as `!tile.shared<1280xf32>`, not '!tile.shared<1024xf32>'}}
    tile.inverse %m to %a scratch %s, %d : tensor<64x64xf32, #tile.fragment<warps = 4>> -> !tile.shared<64x64xbf16>, !tile.shared<64x64xf16>, !tile.shared<1024xf32>
  }
}

// -----

tile.kernel @scratch attributes {chunk = 64 : i64, arrays = []} {
  %a = tile.alloc : !tile.shared<64x64xbf16>
  %d = tile.alloc : !tile.shared<1280xf32>
  tile.role "r" warps 4 {
    %m = arith.constant dense<0.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @+1 {{needs `!tile.shared<64x64xf16>` as scratch, not '!tile.shared<64x64xbf16>'}}
    tile.inverse %m to %a scratch %a, %d : tensor<64x64xf32, #tile.fragment<warps = 4>> -> !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16>, !tile.shared<1280xf32>
  }
}
