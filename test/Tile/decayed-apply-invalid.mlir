// RUN: rondo-opt -split-input-file -verify-diagnostics %s

tile.kernel @tokens attributes {chunk = 64 : i64, arrays = []} {
  %w = tile.alloc : !tile.shared<64x64xbf16>
  tile.role "r" warps 4 {
    %d = arith.constant dense<1.0> : tensor<64x128xf32, #tile.fragment<warps = 4>>
    // expected-error @+1 {{takes decays as an f32 fragment of 32 or 64 tokens}}
    %p, %s, %t, %a = tile.decayed_apply %d, %d weights(%w : !tile.shared<64x64xbf16>) : tensor<64x128xf32, #tile.fragment<warps = 4>>, tensor<64x128xf32, #tile.fragment<warps = 4>>
      -> tensor<64x128xf32, #tile.fragment<warps = 4>>, tensor<64x128xf32, #tile.fragment<warps = 4>>, tensor<64xf32, #tile.rows<warps = 4>> (tensor<64x128xf32, #tile.fragment<warps = 4>>)
  }
}

// -----

tile.kernel @weights attributes {chunk = 64 : i64, arrays = []} {
  %w = tile.alloc : !tile.shared<64x128xbf16>
  tile.role "r" warps 4 {
    %d = arith.constant dense<1.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @+1 {{takes weights as 16-bit tiles with a row and a column for each token}}
    %p, %s, %t, %a = tile.decayed_apply %d, %d weights(%w : !tile.shared<64x128xbf16>) : tensor<64x64xf32, #tile.fragment<warps = 4>>, tensor<64x64xf32, #tile.fragment<warps = 4>>
      -> tensor<64x64xf32, #tile.fragment<warps = 4>>, tensor<64x64xf32, #tile.fragment<warps = 4>>, tensor<64xf32, #tile.rows<warps = 4>> (tensor<64x64xf32, #tile.fragment<warps = 4>>)
  }
}

// -----

tile.kernel @results attributes {chunk = 64 : i64, arrays = []} {
  %w = tile.alloc : !tile.shared<64x64xbf16>
  tile.role "r" warps 4 {
    %d = arith.constant dense<1.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @+1 {{gives one result for each tile of weights}}
    %p, %s, %t, %a = tile.decayed_apply %d, %d weights(%w, %w : !tile.shared<64x64xbf16>, !tile.shared<64x64xbf16>) : tensor<64x64xf32, #tile.fragment<warps = 4>>, tensor<64x64xf32, #tile.fragment<warps = 4>>
      -> tensor<64x64xf32, #tile.fragment<warps = 4>>, tensor<64x64xf32, #tile.fragment<warps = 4>>, tensor<64xf32, #tile.rows<warps = 4>> (tensor<64x64xf32, #tile.fragment<warps = 4>>)
  }
}
