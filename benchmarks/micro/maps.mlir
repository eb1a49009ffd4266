// Sums, elementwise operations and copies of chunk bodies: `rondo-micro --time maps.mlir`.

func.func @rowdots_64x128(%a: memref<64x128xf32>, %b: memref<64x128xf32>, %c: memref<64xf32>)
    attributes {micro.flops = 16384.0} {
  linalg.contract indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m)>] ins(%a, %b : memref<64x128xf32>, memref<64x128xf32>)
      outs(%c : memref<64xf32>)
  return
}

func.func @matvec_128x128(%a: memref<128x128xf32>, %b: memref<128xf32>, %c: memref<128xf32>)
    attributes {micro.flops = 32768.0} {
  linalg.contract indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (k)>, affine_map<(m, k) -> (m)>] ins(%a, %b : memref<128x128xf32>, memref<128xf32>)
      outs(%c : memref<128xf32>)
  return
}

func.func @vecmat_128x128(%a: memref<128x128xf32>, %b: memref<128xf32>, %c: memref<128xf32>)
    attributes {micro.flops = 32768.0} {
  linalg.contract indexing_maps = [affine_map<(m, k) -> (k, m)>, affine_map<(m, k) -> (k)>, affine_map<(m, k) -> (m)>] ins(%a, %b : memref<128x128xf32>, memref<128xf32>)
      outs(%c : memref<128xf32>)
  return
}

func.func @decay_state(%g: memref<128xf32>, %s: memref<128x128xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%g : memref<128xf32>)
      outs(%s : memref<128x128xf32>) {
  ^bb0(%a: f32, %b: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

func.func @scale64x128(%g: memref<64x128xf32>, %q: memref<64x128xf32>, %s: memref<64x128xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%g, %q : memref<64x128xf32>, memref<64x128xf32>)
      outs(%s : memref<64x128xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

func.func @exp64x128(%g: memref<64x128xf32>, %s: memref<64x128xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%g : memref<64x128xf32>)
      outs(%s : memref<64x128xf32>) {
  ^bb0(%a: f32, %c: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  return
}

func.func @fill128(%s: memref<128x128xf32>) {
  %z = arith.constant 0.0 : f32
  linalg.fill ins(%z : f32) outs(%s : memref<128x128xf32>)
  return
}

func.func @trans64x128(%g: memref<64x128xf32>, %s: memref<128x64xf32>) {
  linalg.transpose ins(%g : memref<64x128xf32>) outs(%s : memref<128x64xf32>) permutation = [1, 0]
  return
}
