// REQUIRES: avx2
// RUN: rondo-micro %s
// RUN: rondo-micro --outline %s
// RUN: rondo-micro --vector-width=512 %s

// Elementwise operations and reductions against upstream's scalar loops; guard zones tell of writes outside.

#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#i = affine_map<(i, j) -> (i)>
#j = affine_map<(i, j) -> (j)>
func.func @scale_rows(%x: memref<64x128xf32>, %g: memref<64xf32>, %o: memref<64x128xf32>) {
  linalg.generic {indexing_maps = [#ij, #i, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %g : memref<64x128xf32>, memref<64xf32>) outs(%o : memref<64x128xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %e = math.exp %b : f32
    %r = arith.mulf %a, %e : f32
    %s = arith.addf %r, %c : f32
    linalg.yield %s : f32
  }
  return
}
func.func @odd(%x: memref<7x13xf32>, %g: memref<13xf32>, %o: memref<7x13xf32>) {
  linalg.generic {indexing_maps = [#ij, #j, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %g : memref<7x13xf32>, memref<13xf32>) outs(%o : memref<7x13xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %e = math.exp %b : f32
    %r = arith.mulf %a, %e : f32
    linalg.yield %r : f32
  }
  return
}
func.func @tiny(%x: memref<7x3xf32>, %o: memref<7x3xf32>) {
  linalg.copy ins(%x : memref<7x3xf32>) outs(%o : memref<7x3xf32>)
  return
}
func.func @transpose(%x: memref<40x24xf32>, %o: memref<24x40xf32>) {
  linalg.transpose ins(%x : memref<40x24xf32>) outs(%o : memref<24x40xf32>) permutation = [1, 0]
  return
}
func.func @transpose_odd(%x: memref<41x23xf32>, %o: memref<23x41xf32>) {
  linalg.transpose ins(%x : memref<41x23xf32>) outs(%o : memref<23x41xf32>) permutation = [1, 0]
  return
}
func.func @mask(%x: memref<33x33xf32>, %n: index {micro.value = 17 : index}) {
  %z = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [#ij], iterator_types = ["parallel", "parallel"]}
      outs(%x : memref<33x33xf32>) {
  ^bb0(%a: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %p = arith.cmpi slt, %j, %i : index
    %q = arith.cmpi slt, %i, %n : index
    %pq = arith.andi %p, %q : i1
    %k = arith.index_cast %j : index to i64
    %f = arith.sitofp %k : i64 to f32
    %g = arith.mulf %f, %a : f32
    %r = arith.select %pq, %g, %z : f32
    linalg.yield %r : f32
  }
  return
}
func.func @row_sum(%x: memref<64x100xf32>, %o: memref<64xf32>) {
  linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<64x100xf32>) outs(%o : memref<64xf32>) {
  ^bb0(%a: f32, %c: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  }
  return
}
func.func @col_sum_max(%x: memref<64x100xf32>, %o: memref<100xf32>, %p: memref<100xf32>) {
  linalg.generic {indexing_maps = [#ij, #j, #j], iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<64x100xf32>) outs(%o, %p : memref<100xf32>, memref<100xf32>) {
  ^bb0(%a: f32, %c: f32, %d: f32):
    %s = arith.addf %a, %c : f32
    %t = arith.maximumf %a, %d : f32
    linalg.yield %s, %t : f32, f32
  }
  return
}
func.func @row_sum_max(%x: memref<64x101xf32>, %o: memref<64xf32>, %p: memref<64xf32>) {
  linalg.generic {indexing_maps = [#ij, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<64x101xf32>) outs(%o, %p : memref<64xf32>, memref<64xf32>) {
  ^bb0(%a: f32, %c: f32, %d: f32):
    %q = arith.mulf %a, %a : f32
    %s = arith.addf %q, %c : f32
    %t = arith.maximumf %a, %d : f32
    linalg.yield %s, %t : f32, f32
  }
  return
}
func.func @dot(%x: memref<128xf32>, %y: memref<128xf32>, %o: memref<f32>) {
  linalg.dot ins(%x, %y : memref<128xf32>, memref<128xf32>) outs(%o : memref<f32>)
  return
}
func.func @matvec(%x: memref<33x128xf32>, %y: memref<128xf32>, %o: memref<33xf32>) {
  linalg.matvec ins(%x, %y : memref<33x128xf32>, memref<128xf32>) outs(%o : memref<33xf32>)
  return
}
func.func @vecmat(%x: memref<33x128xf32>, %y: memref<33xf32>, %o: memref<128xf32>) {
  linalg.vecmat ins(%y, %x : memref<33xf32>, memref<33x128xf32>) outs(%o : memref<128xf32>)
  return
}
func.func @vecmat_odd(%x: memref<33x63xf32>, %y: memref<33xf32>, %o: memref<63xf32>) {
  linalg.vecmat ins(%y, %x : memref<33xf32>, memref<33x63xf32>) outs(%o : memref<63xf32>)
  return
}
func.func @outer(%x: memref<33xf32>, %y: memref<40xf32>, %o: memref<33x40xf32>) {
  linalg.generic {indexing_maps = [#i, #j, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %y : memref<33xf32>, memref<40xf32>) outs(%o : memref<33x40xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    %s = arith.addf %r, %c : f32
    linalg.yield %s : f32
  }
  return
}
func.func @dynamic_copy(%x: memref<13x40xf32>, %o: memref<13x40xf32>, %n: index {micro.value = 37 : index}) {
  %a = memref.subview %x[0, 0] [13, %n] [1, 1] : memref<13x40xf32> to memref<13x?xf32, strided<[40, 1]>>
  %b = memref.subview %o[0, 0] [13, %n] [1, 1] : memref<13x40xf32> to memref<13x?xf32, strided<[40, 1]>>
  memref.copy %a, %b : memref<13x?xf32, strided<[40, 1]>> to memref<13x?xf32, strided<[40, 1]>>
  return
}
func.func @strided_out(%x: memref<13x40xf32>, %o: memref<13x40xf32, strided<[100, 2], offset: 1>>) {
  memref.copy %x, %o : memref<13x40xf32> to memref<13x40xf32, strided<[100, 2], offset: 1>>
  return
}
func.func @bf16(%x: memref<64x72xbf16>, %g: memref<64xf16>, %o: memref<64x72xf32>, %p: memref<64x72xbf16>) {
  linalg.generic {indexing_maps = [#ij, #i, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %g : memref<64x72xbf16>, memref<64xf16>) outs(%o, %p : memref<64x72xf32>, memref<64x72xbf16>) {
  ^bb0(%a: bf16, %b: f16, %c: f32, %d: bf16):
    %e = arith.extf %a : bf16 to f32
    %f = arith.extf %b : f16 to f32
    %r = arith.mulf %f, %e : f32
    %t = arith.truncf %r : f32 to bf16
    linalg.yield %r, %t : f32, bf16
  }
  return
}
func.func @bf16_odd(%x: memref<64x13xf32>, %p: memref<64x13xbf16>, %q: memref<64x13xf16>) {
  linalg.generic {indexing_maps = [#ij, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x13xf32>) outs(%p, %q : memref<64x13xbf16>, memref<64x13xf16>) {
  ^bb0(%a: f32, %d: bf16, %e : f16):
    %t = arith.truncf %a : f32 to bf16
    %u = arith.truncf %a : f32 to f16
    linalg.yield %t, %u : bf16, f16
  }
  return
}
func.func @fill_1d(%x: memref<128xf32>) {
  %z = arith.constant 2.0 : f32
  linalg.fill ins(%z : f32) outs(%x : memref<128xf32>)
  return
}
func.func @rank0(%x: memref<f32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<() -> ()>, affine_map<() -> ()>], iterator_types = []}
      ins(%x : memref<f32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %b: f32):
    %t = math.exp %a : f32
    linalg.yield %t : f32
  }
  return
}
func.func @argmax(%x: memref<9x20xf32>, %m: memref<9xf32>, %n: memref<9xf32>) {
  linalg.generic {indexing_maps = [#ij, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<9x20xf32>) outs(%m, %n : memref<9xf32>, memref<9xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.cmpf ogt, %a, %b : f32
    %i = linalg.index 1 : index
    %q = arith.index_cast %i : index to i32
    %f = arith.sitofp %q : i32 to f32
    %r = arith.select %p, %a, %b : f32
    %s = arith.select %p, %f, %c : f32
    linalg.yield %r, %s : f32, f32
  }
  return
}
func.func @broadcast(%x: memref<40xf32>, %o: memref<13x40xf32>) {
  linalg.broadcast ins(%x : memref<40xf32>) outs(%o : memref<13x40xf32>) dimensions = [0]
  return
}
func.func @reduce(%x: memref<13x40xf32>, %o: memref<13xf32>) {
  linalg.reduce {arith.mulf} ins(%x : memref<13x40xf32>) outs(%o : memref<13xf32>) dimensions = [1]
  return
}
func.func @weighted(%x: memref<20x40xf32>, %y: memref<40xf32>, %z: memref<20xf32>, %o: memref<20xf32>) {
  linalg.generic {indexing_maps = [#ij, #j, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x, %y, %z : memref<20x40xf32>, memref<40xf32>, memref<20xf32>) outs(%o : memref<20xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
    %p = arith.mulf %a, %b : f32
    %q = arith.mulf %p, %c : f32
    %r = arith.addf %d, %q : f32
    linalg.yield %r : f32
  }
  return
}
func.func @conv(%x: memref<20xf32>, %w: memref<4xf32>, %o: memref<17xf32>) {
  linalg.conv_1d ins(%x, %w : memref<20xf32>, memref<4xf32>) outs(%o : memref<17xf32>)
  return
}
func.func @flip(%x: memref<20x16xf32>, %o: memref<20x16xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (19 - i, j)>, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<20x16xf32>) outs(%o : memref<20x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  return
}
