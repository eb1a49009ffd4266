// The products of chunk bodies: `rondo-micro --time products.mlir`.

#nn = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
#nt = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
#tn = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]

func.func @nn_64x64x128(%a: memref<64x128xf32>, %b: memref<128x64xf32>, %c: memref<64x64xf32>)
    attributes {micro.flops = 1048576.0} {
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<64x128xf32>, memref<128x64xf32>)
      outs(%c : memref<64x64xf32>)
  return
}

func.func @nt_64x64x128(%a: memref<64x128xf32>, %b: memref<64x128xf32>, %c: memref<64x64xf32>)
    attributes {micro.flops = 1048576.0} {
  linalg.contract indexing_maps = #nt ins(%a, %b : memref<64x128xf32>, memref<64x128xf32>)
      outs(%c : memref<64x64xf32>)
  return
}

func.func @tn_128x128x64(%a: memref<64x128xf32>, %b: memref<64x128xf32>, %c: memref<128x128xf32>)
    attributes {micro.flops = 2097152.0} {
  linalg.contract indexing_maps = #tn ins(%a, %b : memref<64x128xf32>, memref<64x128xf32>)
      outs(%c : memref<128x128xf32>)
  return
}

func.func @nn_64x128x128(%a: memref<64x128xf32>, %b: memref<128x128xf32>, %c: memref<64x128xf32>)
    attributes {micro.flops = 2097152.0} {
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<64x128xf32>, memref<128x128xf32>)
      outs(%c : memref<64x128xf32>)
  return
}

func.func @nn_64x128x64(%a: memref<64x64xf32>, %b: memref<64x128xf32>, %c: memref<64x128xf32>)
    attributes {micro.flops = 1048576.0} {
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<64x64xf32>, memref<64x128xf32>)
      outs(%c : memref<64x128xf32>)
  return
}

func.func @nt_causal(%a: memref<64x128xf32>, %b: memref<64x128xf32>, %c: memref<64x64xf32> {micro.lower})
    attributes {micro.flops = 532480.0} {
  linalg.contract indexing_maps = #nt ins(%a, %b : memref<64x128xf32>, memref<64x128xf32>)
      outs(%c : memref<64x64xf32>) {chunk.causal = "result"}
  return
}

func.func @nn_lhs(%a: memref<64x64xf32>, %b: memref<64x128xf32>, %c: memref<64x128xf32>)
    attributes {micro.flops = 532480.0} {
  %z = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%a : memref<64x64xf32>) {
  ^bb0(%x: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %p = arith.cmpi sle, %j, %i : index
    %y = arith.select %p, %x, %z : f32
    linalg.yield %y : f32
  }
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<64x64xf32>, memref<64x128xf32>)
      outs(%c : memref<64x128xf32>) {chunk.causal = "lhs"}
  return
}

func.func @nt_16x16x128(%a: memref<16x128xf32>, %b: memref<16x128xf32>, %c: memref<16x16xf32>)
    attributes {micro.flops = 65536.0} {
  linalg.contract indexing_maps = #nt ins(%a, %b : memref<16x128xf32>, memref<16x128xf32>)
      outs(%c : memref<16x16xf32>)
  return
}

func.func @nt_32x32x128(%a: memref<32x128xf32>, %b: memref<32x128xf32>, %c: memref<32x32xf32>)
    attributes {micro.flops = 262144.0} {
  linalg.contract indexing_maps = #nt ins(%a, %b : memref<32x128xf32>, memref<32x128xf32>)
      outs(%c : memref<32x32xf32>)
  return
}

func.func @nt_64x64x64(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>)
    attributes {micro.flops = 524288.0} {
  linalg.contract indexing_maps = #nt ins(%a, %b : memref<64x64xf32>, memref<64x64xf32>)
      outs(%c : memref<64x64xf32>)
  return
}

func.func @nn_64x64x64(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>)
    attributes {micro.flops = 524288.0} {
  linalg.contract indexing_maps = #nn ins(%a, %b : memref<64x64xf32>, memref<64x64xf32>)
      outs(%c : memref<64x64xf32>)
  return
}

func.func @tn_64x64x64(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>)
    attributes {micro.flops = 524288.0} {
  linalg.contract indexing_maps = #tn ins(%a, %b : memref<64x64xf32>, memref<64x64xf32>)
      outs(%c : memref<64x64xf32>)
  return
}

func.func @nn_16x128x32(%a: memref<16x64xf32>, %b: memref<64x128xf32>, %c: memref<16x128xf32>, %n: index {micro.value = 32 : index})
    attributes {micro.flops = 131072.0} {
  %x = memref.subview %a[0, 0] [16, %n] [1, 1] : memref<16x64xf32> to memref<16x?xf32, strided<[64, 1]>>
  %y = memref.subview %b[0, 0] [%n, 128] [1, 1] : memref<64x128xf32> to memref<?x128xf32, strided<[128, 1]>>
  linalg.contract indexing_maps = #nn ins(%x, %y : memref<16x?xf32, strided<[64, 1]>>, memref<?x128xf32, strided<[128, 1]>>)
      outs(%c : memref<16x128xf32>)
  return
}

func.func @nn_1x128x8(%a: memref<1x64xf32>, %b: memref<64x128xf32>, %c: memref<1x128xf32>, %n: index {micro.value = 8 : index})
    attributes {micro.flops = 2048.0} {
  %x = memref.subview %a[0, 0] [1, %n] [1, 1] : memref<1x64xf32> to memref<1x?xf32, strided<[64, 1]>>
  %y = memref.subview %b[0, 0] [%n, 128] [1, 1] : memref<64x128xf32> to memref<?x128xf32, strided<[128, 1]>>
  linalg.contract indexing_maps = #nn ins(%x, %y : memref<1x?xf32, strided<[64, 1]>>, memref<?x128xf32, strided<[128, 1]>>)
      outs(%c : memref<1x128xf32>)
  return
}
