// REQUIRES: avx2
// RUN: rondo-micro %s

// Elementary functions against libm: at most 2 units in the last place over their ranges, and special values exactly.

#i = affine_map<(i) -> (i)>

func.func @exp_0(%x: memref<20011xf32> {micro.range = [-1.040000e+02 : f32, 8.900000e+01 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @exp_1(%x: memref<20011xf32> {micro.range = [-1.000000e+00 : f32, 1.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @exp_2(%x: memref<20011xf32> {micro.range = [-1.000000e-03 : f32, 1.000000e-03 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @exp2_3(%x: memref<20011xf32> {micro.range = [-1.500000e+02 : f32, 1.280000e+02 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.exp2 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @exp2_4(%x: memref<20011xf32> {micro.range = [-1.000000e+00 : f32, 1.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.exp2 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @expm1_5(%x: memref<20011xf32> {micro.range = [-2.000000e+01 : f32, 8.800000e+01 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.expm1 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @expm1_6(%x: memref<20011xf32> {micro.range = [-1.000000e+00 : f32, 1.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.expm1 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @expm1_7(%x: memref<20011xf32> {micro.range = [-1.000000e-04 : f32, 1.000000e-04 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.expm1 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log_8(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log_9(%x: memref<20011xf32> {micro.range = [5.000000e-01 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log_10(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 1.000000e+30 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log_11(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 1.000000e-38 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log2_12(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log2 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log2_13(%x: memref<20011xf32> {micro.range = [6.000000e-01 : f32, 1.900000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log2 %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log1p_14(%x: memref<20011xf32> {micro.range = [-1.000000e+00 : f32, 1.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log1p %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log1p_15(%x: memref<20011xf32> {micro.range = [-1.000000e-03 : f32, 1.000000e-03 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log1p %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @log1p_16(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 1.000000e+10 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.log1p %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @tanh_17(%x: memref<20011xf32> {micro.range = [-1.000000e+01 : f32, 1.000000e+01 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @tanh_18(%x: memref<20011xf32> {micro.range = [-1.000000e+00 : f32, 1.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @tanh_19(%x: memref<20011xf32> {micro.range = [-1.000000e-03 : f32, 1.000000e-03 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @sin_20(%x: memref<20011xf32> {micro.range = [-4.000000e+00 : f32, 4.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.sin %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @sin_21(%x: memref<20011xf32> {micro.range = [-1.000000e+03 : f32, 1.000000e+03 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.sin %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @sin_22(%x: memref<20011xf32> {micro.range = [-1.000000e+05 : f32, 1.000000e+05 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.sin %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @cos_23(%x: memref<20011xf32> {micro.range = [-4.000000e+00 : f32, 4.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.cos %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @cos_24(%x: memref<20011xf32> {micro.range = [-1.000000e+03 : f32, 1.000000e+03 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.cos %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @cos_25(%x: memref<20011xf32> {micro.range = [-1.000000e+05 : f32, 1.000000e+05 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.cos %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @rsqrt_26(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.rsqrt %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @rsqrt_27(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 1.000000e+30 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.rsqrt %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @sqrt_28(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, -1.0 : f32,
        -0.0 : f32, 0x00000001 : f32, 0x7F7FFFFF : f32, 0xFF7FFFFF : f32, 88.7 : f32, 88.8 : f32, -87.4 : f32,
        -103.9 : f32, -104.5 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x : memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = math.sqrt %a : f32
    linalg.yield %r : f32
  }
  return
}
func.func @powf_29(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 0.0 : f32, 0.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32,
        0x7F800000 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, 5.0 : f32, 2.0 : f32,
        2.0 : f32, 0.5 : f32, 0xFF800000 : f32]},
    %y: memref<20011xf32> {micro.range = [-5.000000e+00 : f32, 5.000000e+00 : f32],
    micro.first = [0.0 : f32, 2.0 : f32, -2.0 : f32, 2.0 : f32, 3.0 : f32, -3.0 : f32, 0.5 : f32, 2.0 : f32,
        -2.0 : f32, 2.0 : f32, 0.0 : f32, 0x7FC00000 : f32, 0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32,
        0x7F800000 : f32, 3.0 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i, #i], iterator_types = ["parallel"]}
      ins(%x, %y : memref<20011xf32>, memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %c: f32, %b: f32):
    %r = math.powf %a, %c : f32
    linalg.yield %r : f32
  }
  return
}
func.func @powf_30(%x: memref<20011xf32> {micro.range = [-3.000000e+00 : f32, 3.000000e+00 : f32],
    micro.first = [0.0 : f32, 0.0 : f32, 0.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32,
        0x7F800000 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, 5.0 : f32, 2.0 : f32,
        2.0 : f32, 0.5 : f32, 0xFF800000 : f32]},
    %y: memref<20011xf32> {micro.range = [-2.000000e+00 : f32, 2.000000e+00 : f32],
    micro.first = [0.0 : f32, 2.0 : f32, -2.0 : f32, 2.0 : f32, 3.0 : f32, -3.0 : f32, 0.5 : f32, 2.0 : f32,
        -2.0 : f32, 2.0 : f32, 0.0 : f32, 0x7FC00000 : f32, 0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32,
        0x7F800000 : f32, 3.0 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i, #i], iterator_types = ["parallel"]}
      ins(%x, %y : memref<20011xf32>, memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %c: f32, %b: f32):
    %r = math.powf %a, %c : f32
    linalg.yield %r : f32
  }
  return
}
func.func @powf_31(%x: memref<20011xf32> {micro.range = [0.000000e+00 : f32, 1.000000e+02 : f32],
    micro.first = [0.0 : f32, 0.0 : f32, 0.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32,
        0x7F800000 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, 5.0 : f32, 2.0 : f32,
        2.0 : f32, 0.5 : f32, 0xFF800000 : f32]},
    %y: memref<20011xf32> {micro.range = [-2.000000e+01 : f32, 2.000000e+01 : f32],
    micro.first = [0.0 : f32, 2.0 : f32, -2.0 : f32, 2.0 : f32, 3.0 : f32, -3.0 : f32, 0.5 : f32, 2.0 : f32,
        -2.0 : f32, 2.0 : f32, 0.0 : f32, 0x7FC00000 : f32, 0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32,
        0x7F800000 : f32, 3.0 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i, #i], iterator_types = ["parallel"]}
      ins(%x, %y : memref<20011xf32>, memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %c: f32, %b: f32):
    %r = math.powf %a, %c : f32
    linalg.yield %r : f32
  }
  return
}
func.func @powf_32(%x: memref<20011xf32> {micro.range = [9.900000e-01 : f32, 1.010000e+00 : f32],
    micro.first = [0.0 : f32, 0.0 : f32, 0.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32, -2.0 : f32,
        0x7F800000 : f32, 0x7F800000 : f32, 0xFF800000 : f32, 0x7FC00000 : f32, 1.0 : f32, 5.0 : f32, 2.0 : f32,
        2.0 : f32, 0.5 : f32, 0xFF800000 : f32]},
    %y: memref<20011xf32> {micro.range = [-8.000000e+03 : f32, 8.000000e+03 : f32],
    micro.first = [0.0 : f32, 2.0 : f32, -2.0 : f32, 2.0 : f32, 3.0 : f32, -3.0 : f32, 0.5 : f32, 2.0 : f32,
        -2.0 : f32, 2.0 : f32, 0.0 : f32, 0x7FC00000 : f32, 0.0 : f32, 0x7F800000 : f32, 0xFF800000 : f32,
        0x7F800000 : f32, 3.0 : f32]},
    %o: memref<20011xf32>) attributes {micro.ulps = 2.0} {
  linalg.generic {indexing_maps = [#i, #i, #i], iterator_types = ["parallel"]}
      ins(%x, %y : memref<20011xf32>, memref<20011xf32>) outs(%o : memref<20011xf32>) {
  ^bb0(%a: f32, %c: f32, %b: f32):
    %r = math.powf %a, %c : f32
    linalg.yield %r : f32
  }
  return
}
