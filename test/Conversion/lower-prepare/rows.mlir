// RUN: rondo-opt %s --rondo-lower-prepare | FileCheck %s

#vector = affine_map<(d0, d1) -> (d0, d1)>
#number = affine_map<(d0, d1) -> (d0)>

// Eight bytes a lane, four rows ahead; a sum over the lane's channels, then five shuffles; one thread writes a number.
// CHECK: llvm.func @m_kernel_0(
// CHECK-SAME: nvvm.kernel
// CHECK-SAME: blocks = 16 {{.*}} params = [{{.*}}{array = "k", box = [8, 1], kind = "map", swizzle = 0 : i64}{{.*}} threads = 128
// CHECK: scf.for
// CHECK-COUNT-4: llvm.load {{.*}} -> vector<4xbf16>
// CHECK: scf.for
// CHECK: llvm.load {{.*}} -> vector<4xbf16>
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: scf.if
// CHECK: llvm.store {{.*}} : f32
// CHECK: scf.yield
func.func @m_prepare(%n: index, %k: tensor<64x128xf32> {rondo.name = "k", rondo.role = "token", rondo.dims = ["K"]})
    -> (tensor<64xf32> {rondo.name = "temporary_0", rondo.role = "output", rondo.dims = []})
    attributes {rondo.chunk = 64 : i64, rondo.prepare, rondo.kernel = "m_kernel_0", rondo.program = [
      {name = "k", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
      {name = "temporary_0", role = "temporary", type = f32, sizes = array<i64>, dims = []}]} {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<64xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<64xf32>) -> tensor<64xf32>
  %norm = linalg.contract indexing_maps = [#vector, #vector, #number] ins(%k, %k : tensor<64x128xf32>, tensor<64x128xf32>)
      outs(%start : tensor<64xf32>) -> tensor<64xf32>
  return %norm : tensor<64xf32>
}
