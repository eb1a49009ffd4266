// RUN: rondo-opt %s --rondo-lower-prepare --verify-diagnostics

// expected-error@+1 {{has a value that no warp can make row by row}}
func.func @m_prepare(%n: index, %k: tensor<64x128xf32> {rondo.name = "k", rondo.role = "token", rondo.dims = ["K"]})
    -> (tensor<64x128xf32> {rondo.name = "temporary_0", rondo.role = "output", rondo.dims = ["128"]})
    attributes {rondo.chunk = 64 : i64, rondo.prepare, rondo.kernel = "m_kernel_0", rondo.program = [
      {name = "k", role = "token", type = bf16, sizes = array<i64: 128>, dims = ["K"]},
      {name = "temporary_0", role = "temporary", type = bf16, sizes = array<i64: 128>, dims = ["128"]}]} {
  %after = chunk.cumprod suffix %k : tensor<64x128xf32>
  return %after : tensor<64x128xf32>
}
