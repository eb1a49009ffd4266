// RUN: rondo-opt --rondo-lower-tiles -split-input-file -verify-diagnostics %s

// expected-error @below {{needs 262144 bytes of shared memory, a block has 232448}}
tile.kernel @shared attributes {arrays = [], chunk = 64 : i64} {
  %a = tile.alloc : !tile.shared<ring 16x64x128xbf16>
  tile.role "one" warps 1 {
  }
}

// -----

// expected-error @below {{has roles with 544 registers in 3 warpgroups, of which 168 each can be given: 504}}
tile.kernel @registers attributes {arrays = [], chunk = 64 : i64} {
  tile.role "two" warps 4 attributes {copies = 2 : i64, registers = 240 : i64} {
  }
  tile.role "one" warps 1 attributes {registers = 64 : i64} {
  }
}

// -----

tile.kernel @unregistered attributes {arrays = [], chunk = 64 : i64} {
  tile.role "two" warps 4 attributes {copies = 2 : i64, registers = 240 : i64} {
  }
  // expected-error @below {{needs registers, a multiple of 8 from 24 to 256, as another role has them}}
  tile.role "one" warps 1 {
  }
}

// -----

// expected-error @below {{has 16 groups of warps with a barrier, a block has 15}}
tile.kernel @barriers attributes {arrays = [], chunk = 64 : i64} {
  tile.role "many" warps 2 attributes {copies = 16 : i64} {
  }
}

// -----

tile.kernel @channel attributes {arrays = [], chunk = 64 : i64} {
  // expected-error @below {{is waited for and nobody commits it}}
  %c = tile.make_channel : !tile.channel<1>
  tile.role "one" warps 1 {
    %zero = arith.constant 0 : index
    tile.wait %c[%zero] : !tile.channel<1>
  }
}

// -----

tile.kernel @layout attributes {arrays = [], chunk = 64 : i64} {
  tile.role "one" warps 1 {
    // expected-error @below {{gives a value of 4 warps in a role of 1}}
    %i = tile.iota 0 : tensor<64x64xi32, #tile.fragment<warps = 4>>
    %j = arith.addi %i, %i : tensor<64x64xi32, #tile.fragment<warps = 4>>
    %b = arith.sitofp %j : tensor<64x64xi32, #tile.fragment<warps = 4>> to tensor<64x64xf32, #tile.fragment<warps = 4>>
    %r = tile.reduce %b over 1 : tensor<64x64xf32, #tile.fragment<warps = 4>> -> tensor<64xf32, #tile.rows<warps = 4>>
  }
}

// -----

tile.kernel @array attributes {arrays = [
    {name = "x", role = "token", type = f32, sizes = array<i64: 64>, dims = ["K"]}], chunk = 64 : i64} {
  %x = tile.alloc : !tile.shared<64x64xbf16>
  %c = tile.make_channel : !tile.channel<1>
  tile.role "one" warps 1 {
    %zero = arith.constant 0 : index
    // expected-error @below {{does not convert: 'x' is 'f32', the buffer is '!tile.shared<64x64xbf16>'}}
    tile.fetch %c[%zero] ["x"] to %x at %zero : !tile.channel<1>, !tile.shared<64x64xbf16>
  }
}

// -----

tile.kernel @name attributes {arrays = [], chunk = 64 : i64} {
  tile.role "one" warps 1 {
    // expected-error @below {{names the array 'w', which is not in `arrays` of the kernel}}
    %w = tile.load_parameter "w" : f32
  }
}

// -----

tile.kernel @math attributes {arrays = [
    {name = "r", role = "output", type = f32, sizes = array<i64>, dims = []}], chunk = 64 : i64} {
  tile.role "one" warps 1 {
    %zero = arith.constant 0 : index
    %x = arith.constant dense<1.0> : tensor<64xf32, #tile.lanes>
    // expected-error @below {{has no lowering in a tile kernel: write it with exp, log, sqrt, sin, cos or tanh}}
    %e = math.erf %x : tensor<64xf32, #tile.lanes>
    tile.store_tokens %e to "r"[%zero] : tensor<64xf32, #tile.lanes>
  }
}

// -----

tile.kernel @terms attributes {arrays = [], chunk = 64 : i64} {
  %x = tile.alloc : !tile.shared<64x128xbf16>
  %v = tile.alloc : !tile.shared<64xf32>
  tile.role "two" warps 2 {
    // expected-error @below {{multiplies MxK (or KxM, transposed) with K to M}}
    %r = tile.dot %x, %v : !tile.shared<64x128xbf16>, !tile.shared<64xf32> -> tensor<64xf32, #tile.rows<warps = 2>>
  }
}

// -----

tile.kernel @warps attributes {arrays = [], chunk = 64 : i64} {
  %x = tile.alloc : !tile.shared<128x64xbf16>
  %v = tile.alloc : !tile.shared<64xf32>
  tile.role "eight" warps 8 {
    // expected-error @below {{is for roles of 1, 2 or 4 warps, this one has 8}}
    %r = tile.dot %x, %v : !tile.shared<128x64xbf16>, !tile.shared<64xf32> -> tensor<128xf32, #tile.rows<warps = 8>>
  }
}

// -----

tile.kernel @warpgroups attributes {arrays = [], chunk = 64 : i64} {
  %x = tile.alloc : !tile.shared<64x64xbf16>
  tile.role "one" warps 1 {
    %a = arith.constant dense<1.0> : tensor<16x64xbf16, #tile.fragment<warps = 1>>
    // expected-error @below {{needs a role of whole warpgroups, this one has 1 warps}}
    %r = tile.mma %a, %x : tensor<16x64xbf16, #tile.fragment<warps = 1>>, !tile.shared<64x64xbf16> -> tensor<16x64xf32, #tile.fragment<warps = 1>>
  }
}

// -----

tile.kernel @vector attributes {arrays = [
    {name = "n", role = "state", type = f32, sizes = array<i64: 64>, dims = ["K"]}], chunk = 64 : i64} {
  tile.role "four" warps 4 {
    // expected-error @below {{holds a state of 1 sizes as an f32 fragment (a vector in rows layout, a scalar as f32), not as 'tensor<64x64xf32, #tile.fragment<warps = 4>>'}}
    %n = tile.load_state "n" init 0.0 : tensor<64x64xf32, #tile.fragment<warps = 4>>
  }
}

// -----

// expected-error @below {{has a power of two of writes a token, a part of the chunk, not 3}}
tile.kernel @writes attributes {arrays = [], chunk = 64 : i64, writes = 3 : i64} {
  tile.role "one" warps 1 {
  }
}

// -----

tile.kernel @interleave attributes {arrays = [], chunk = 64 : i64} {
  %a = tile.alloc : !tile.shared<64x64xbf16>
  tile.role "one" warps 4 {
    // expected-error @below {{interleaves a power of two of groups, each of rows in eights}}
    %0 = tile.load %a {interleave = 16 : i64} : !tile.shared<64x64xbf16> -> tensor<64x64xbf16, #tile.fragment<warps = 4>>
  }
}
