// REQUIRES: avx2
// RUN: rondo-micro %s
// RUN: rondo-micro --outline %s
// RUN: rondo-micro --vector-width=512 %s

// Products of every layout and of sizes that fill no tile, against upstream's scalar loops; guard zones tell of writes outside.

func.func @nnn_5x5x5(%a: memref<5x5xf32, strided<[8, 1], offset: 5>>,
    %b: memref<5x5xf32, strided<[8, 1], offset: 5>>, %c: memref<5x5xf32, strided<[8, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<5x5xf32, strided<[8, 1], offset: 5>>, memref<5x5xf32, strided<[8, 1], offset: 5>>)
      outs(%c : memref<5x5xf32, strided<[8, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @nnn_63x80x63(%a: memref<63x63xf32>,
    %b: memref<63x80xf32>, %c: memref<63x80xf32>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<63x63xf32>, memref<63x80xf32>)
      outs(%c : memref<63x80xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.subf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @nnt_7x17x9(%a: memref<7x9xf32>,
    %b: memref<9x17xf32>, %c: memref<17x7xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<17x7xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<7x9xf32>, memref<9x17xf32>)
      outs(%c : memref<17x7xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.subf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @nnt_13x33x1(%a: memref<13x1xf32, strided<[4, 1], offset: 5>>,
    %b: memref<1x33xf32, strided<[36, 1], offset: 5>>, %c: memref<33x13xf32, strided<[16, 1], offset: 5>>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<33x13xf32, strided<[16, 1], offset: 5>>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<13x1xf32, strided<[4, 1], offset: 5>>, memref<1x33xf32, strided<[36, 1], offset: 5>>)
      outs(%c : memref<33x13xf32, strided<[16, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ntn_2x40x3(%a: memref<2x3xf32, strided<[6, 1], offset: 5>>,
    %b: memref<40x3xf32, strided<[6, 1], offset: 5>>, %c: memref<2x40xf32, strided<[43, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<2x3xf32, strided<[6, 1], offset: 5>>, memref<40x3xf32, strided<[6, 1], offset: 5>>)
      outs(%c : memref<2x40xf32, strided<[43, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.subf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ntn_64x64x16(%a: memref<64x16xf32>,
    %b: memref<64x16xf32>, %c: memref<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<64x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<64x16xf32>, memref<64x16xf32>)
      outs(%c : memref<64x64xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ntt_3x100x6(%a: memref<3x6xf32>,
    %b: memref<100x6xf32>, %c: memref<100x3xf32>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<3x6xf32>, memref<100x6xf32>)
      outs(%c : memref<100x3xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ntt_5x5x5(%a: memref<5x5xf32, strided<[8, 1], offset: 5>>,
    %b: memref<5x5xf32, strided<[8, 1], offset: 5>>, %c: memref<5x5xf32, strided<[8, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<5x5xf32, strided<[8, 1], offset: 5>>, memref<5x5xf32, strided<[8, 1], offset: 5>>)
      outs(%c : memref<5x5xf32, strided<[8, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.subf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @tnn_7x17x9(%a: memref<9x7xf32, strided<[10, 1], offset: 5>>,
    %b: memref<9x17xf32, strided<[20, 1], offset: 5>>, %c: memref<7x17xf32, strided<[20, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<9x7xf32, strided<[10, 1], offset: 5>>, memref<9x17xf32, strided<[20, 1], offset: 5>>)
      outs(%c : memref<7x17xf32, strided<[20, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @tnn_2x40x3(%a: memref<3x2xf32, strided<[5, 1], offset: 5>>,
    %b: memref<3x40xf32, strided<[43, 1], offset: 5>>, %c: memref<2x40xf32, strided<[43, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<3x2xf32, strided<[5, 1], offset: 5>>, memref<3x40xf32, strided<[43, 1], offset: 5>>)
      outs(%c : memref<2x40xf32, strided<[43, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @tnt_64x64x16(%a: memref<16x64xf32, strided<[67, 1], offset: 5>>,
    %b: memref<16x64xf32, strided<[67, 1], offset: 5>>, %c: memref<64x64xf32, strided<[67, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<16x64xf32, strided<[67, 1], offset: 5>>, memref<16x64xf32, strided<[67, 1], offset: 5>>)
      outs(%c : memref<64x64xf32, strided<[67, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @tnt_3x100x6(%a: memref<6x3xf32>,
    %b: memref<6x100xf32>, %c: memref<100x3xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<100x3xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<6x3xf32>, memref<6x100xf32>)
      outs(%c : memref<100x3xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ttn_1x16x8(%a: memref<8x1xf32, strided<[4, 1], offset: 5>>,
    %b: memref<16x8xf32, strided<[19, 2], offset: 5>>, %c: memref<1x16xf32, strided<[19, 1], offset: 5>>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<1x16xf32, strided<[19, 1], offset: 5>>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x1xf32, strided<[4, 1], offset: 5>>, memref<16x8xf32, strided<[19, 2], offset: 5>>)
      outs(%c : memref<1x16xf32, strided<[19, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ttn_5x5x5(%a: memref<5x5xf32>,
    %b: memref<5x5xf32>, %c: memref<5x5xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<5x5xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<5x5xf32>, memref<5x5xf32>)
      outs(%c : memref<5x5xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.subf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ttt_63x80x63(%a: memref<63x63xf32, strided<[66, 1], offset: 5>>,
    %b: memref<80x63xf32, strided<[66, 1], offset: 5>>, %c: memref<80x63xf32, strided<[66, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<63x63xf32, strided<[66, 1], offset: 5>>, memref<80x63xf32, strided<[66, 1], offset: 5>>)
      outs(%c : memref<80x63xf32, strided<[66, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @ttt_13x33x1(%a: memref<1x13xf32, strided<[16, 1], offset: 5>>,
    %b: memref<33x1xf32, strided<[4, 1], offset: 5>>, %c: memref<33x13xf32, strided<[16, 1], offset: 5>>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (n, m)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<1x13xf32, strided<[16, 1], offset: 5>>, memref<33x1xf32, strided<[4, 1], offset: 5>>)
      outs(%c : memref<33x13xf32, strided<[16, 1], offset: 5>>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  return
}
func.func @batch(%x: memref<3x17x20xf32>, %y: memref<3x20x24xf32>, %o: memref<3x17x24xf32>) {
  linalg.batch_matmul ins(%x, %y : memref<3x17x20xf32>, memref<3x20x24xf32>) outs(%o : memref<3x17x24xf32>)
  return
}
func.func @two_sums(%x: memref<9x5x20xf32>, %y: memref<5x20x24xf32>, %o: memref<9x24xf32>) {
  linalg.contract indexing_maps = [affine_map<(m,n,k,l) -> (m,k,l)>, affine_map<(m,n,k,l) -> (k,l,n)>, affine_map<(m,n,k,l) -> (m,n)>]
      ins(%x, %y : memref<9x5x20xf32>, memref<5x20x24xf32>)
      outs(%o : memref<9x24xf32>)
  return
}
func.func @two_sums_t(%x: memref<9x5x21xf32>, %y: memref<5x25x21xf32>, %o: memref<9x25xf32>) {
  linalg.contract indexing_maps = [affine_map<(m,n,k,l) -> (m,k,l)>, affine_map<(m,n,k,l) -> (k,n,l)>, affine_map<(m,n,k,l) -> (m,n)>]
      ins(%x, %y : memref<9x5x21xf32>, memref<5x25x21xf32>)
      outs(%o : memref<9x25xf32>)
  return
}
func.func @outer_loops(%x: memref<4x9x20xf32>, %y: memref<20x6x24xf32>, %o: memref<4x9x6x24xf32>) {
  linalg.contract indexing_maps = [affine_map<(a,m,c,n,k) -> (a,m,k)>, affine_map<(a,m,c,n,k) -> (k,c,n)>, affine_map<(a,m,c,n,k) -> (a,m,c,n)>]
      ins(%x, %y : memref<4x9x20xf32>, memref<20x6x24xf32>)
      outs(%o : memref<4x9x6x24xf32>)
  return
}
func.func @dynamic_k(%x: memref<16x64xf32>, %y: memref<64x40xf32>, %o: memref<16x40xf32>, %n: index {micro.value = 37 : index}) {
  %a = memref.subview %x[0, 0] [16, %n] [1, 1] : memref<16x64xf32> to memref<16x?xf32, strided<[64, 1]>>
  %b = memref.subview %y[0, 0] [%n, 40] [1, 1] : memref<64x40xf32> to memref<?x40xf32, strided<[40, 1]>>
  linalg.matmul ins(%a, %b : memref<16x?xf32, strided<[64, 1]>>, memref<?x40xf32, strided<[40, 1]>>)
      outs(%o : memref<16x40xf32>)
  return
}
func.func @dynamic_k_nt(%x: memref<16x64xf32>, %y: memref<40x64xf32>, %o: memref<16x40xf32>, %n: index {micro.value = 37 : index}) {
  %a = memref.subview %x[0, 0] [16, %n] [1, 1] : memref<16x64xf32> to memref<16x?xf32, strided<[64, 1]>>
  %b = memref.subview %y[0, 0] [40, %n] [1, 1] : memref<40x64xf32> to memref<40x?xf32, strided<[64, 1]>>
  linalg.contract indexing_maps = [affine_map<(m,n,k)->(m,k)>, affine_map<(m,n,k)->(n,k)>, affine_map<(m,n,k)->(m,n)>]
      ins(%a, %b : memref<16x?xf32, strided<[64, 1]>>, memref<40x?xf32, strided<[64, 1]>>)
      outs(%o : memref<16x40xf32>)
  return
}
func.func @dynamic_m(%x: memref<64x16xf32>, %y: memref<16x40xf32>, %o: memref<64x40xf32>, %n: index {micro.value = 37 : index}) {
  %a = memref.subview %x[0, 0] [%n, 16] [1, 1] : memref<64x16xf32> to memref<?x16xf32, strided<[16, 1]>>
  %b = memref.subview %o[0, 0] [%n, 40] [1, 1] : memref<64x40xf32> to memref<?x40xf32, strided<[40, 1]>>
  linalg.matmul ins(%a, %y : memref<?x16xf32, strided<[16, 1]>>, memref<16x40xf32>)
      outs(%b : memref<?x40xf32, strided<[40, 1]>>)
  return
}
func.func @dynamic_n(%x: memref<13x16xf32>, %y: memref<16x40xf32>, %o: memref<13x40xf32>, %n: index {micro.value = 37 : index}) {
  %a = memref.subview %y[0, 0] [16, %n] [1, 1] : memref<16x40xf32> to memref<16x?xf32, strided<[40, 1]>>
  %b = memref.subview %o[0, 0] [13, %n] [1, 1] : memref<13x40xf32> to memref<13x?xf32, strided<[40, 1]>>
  linalg.matmul ins(%x, %a : memref<13x16xf32>, memref<16x?xf32, strided<[40, 1]>>)
      outs(%b : memref<13x?xf32, strided<[40, 1]>>)
  return
}
func.func @nt_causal(%a: memref<64x40xf32>, %b: memref<64x40xf32>, %c: memref<64x64xf32> {micro.lower}) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%a, %b : memref<64x40xf32>, memref<64x40xf32>)
      outs(%c : memref<64x64xf32>) {chunk.causal = "result"}
  return
}
func.func @nn_lhs(%a: memref<64x64xf32>, %b: memref<64x40xf32>, %c: memref<64x40xf32>) {
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
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%a, %b : memref<64x64xf32>, memref<64x40xf32>)
      outs(%c : memref<64x40xf32>) {chunk.causal = "lhs"}
  return
}
