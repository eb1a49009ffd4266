// S_t = exp(g_t) S_{t-1} + w k_t v_t^T, o_t = q_t^T S_t, in chunks of 64 tokens; w is a parameter of the head.
#mk = affine_map<(t, s, r) -> (t, r)>
#nk = affine_map<(t, s, r) -> (s, r)>
#mn = affine_map<(t, s, r) -> (t, s)>
#kn = affine_map<(t, s, r) -> (r, s)>
#km = affine_map<(t, s, r) -> (r, t)>
#id2 = affine_map<(t, s) -> (t, s)>
#row = affine_map<(t, s) -> (t)>
#col = affine_map<(t, s) -> (s)>
#all = affine_map<(t, s) -> ()>
#id1 = affine_map<(t) -> (t)>
#zero = affine_map<(t) -> ()>

func.func @scalar_decay(%count: index,
    %q: tensor<64x32xf32> {rondo.name = "q", rondo.role = "token", rondo.dims = ["K"]},
    %k: tensor<64x32xf32> {rondo.name = "k", rondo.role = "token", rondo.dims = ["K"]},
    %v: tensor<64x48xf32> {rondo.name = "v", rondo.role = "token", rondo.dims = ["V"]},
    %g: tensor<64xf32> {rondo.name = "g", rondo.role = "token", rondo.dims = []},
    %w: tensor<f32> {rondo.name = "w", rondo.role = "param", rondo.dims = []},
    %S: tensor<32x48xf32> {rondo.name = "S", rondo.role = "state", rondo.dims = ["K", "V"], rondo.init = 0.0 : f64})
    -> (tensor<64x48xf32> {rondo.name = "o", rondo.role = "output", rondo.dims = ["V"]},
        tensor<32x48xf32> {rondo.name = "S", rondo.role = "state", rondo.dims = ["K", "V"]})
    attributes {rondo.chunk = 64 : i64} {
  %c0 = arith.constant 0.0 : f32
  %e1 = tensor.empty() : tensor<64xf32>
  %ek = tensor.empty() : tensor<64x32xf32>
  %ecc = tensor.empty() : tensor<64x64xf32>
  %ev = tensor.empty() : tensor<64x48xf32>
  %es = tensor.empty() : tensor<32x48xf32>
  %e0 = tensor.empty() : tensor<f32>

  // Tokens after the end: no decay, nothing written.
  %gk = linalg.generic {indexing_maps = [#id1, #id1], iterator_types = ["parallel"]}
      ins(%g : tensor<64xf32>) outs(%e1 : tensor<64xf32>) {
  ^bb0(%x: f32, %out: f32):
    %t = linalg.index 0 : index
    %keep = arith.cmpi ult, %t, %count : index
    %y = arith.select %keep, %x, %c0 : f32
    linalg.yield %y : f32
  } -> tensor<64xf32>
  %kk = linalg.generic {indexing_maps = [#id2, #all, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%k, %w : tensor<64x32xf32>, tensor<f32>) outs(%ek : tensor<64x32xf32>) {
  ^bb0(%x: f32, %p: f32, %out: f32):
    %t = linalg.index 0 : index
    %keep = arith.cmpi ult, %t, %count : index
    %z = arith.mulf %x, %p : f32
    %y = arith.select %keep, %z, %c0 : f32
    linalg.yield %y : f32
  } -> tensor<64x32xf32>

  // b[t] = g[0] + ... + g[t]
  %b0 = linalg.fill ins(%c0 : f32) outs(%e1 : tensor<64xf32>) -> tensor<64xf32>
  %b = linalg.generic {indexing_maps = [#col, #row], iterator_types = ["parallel", "reduction"]}
      ins(%gk : tensor<64xf32>) outs(%b0 : tensor<64xf32>) {
  ^bb0(%x: f32, %acc: f32):
    %t = linalg.index 0 : index
    %s = linalg.index 1 : index
    %in = arith.cmpi ule, %s, %t : index
    %y = arith.select %in, %x, %c0 : f32
    %z = arith.addf %acc, %y : f32
    linalg.yield %z : f32
  } -> tensor<64xf32>
  %last = tensor.extract_slice %b[63] [1] [1] : tensor<64xf32> to tensor<f32>

  %gram0 = linalg.fill ins(%c0 : f32) outs(%ecc : tensor<64x64xf32>) -> tensor<64x64xf32>
  %gram = linalg.contract indexing_maps = [#mk, #nk, #mn]
      ins(%q, %kk : tensor<64x32xf32>, tensor<64x32xf32>) outs(%gram0 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p = linalg.generic {indexing_maps = [#id2, #row, #col, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%gram, %b, %b : tensor<64x64xf32>, tensor<64xf32>, tensor<64xf32>) outs(%ecc : tensor<64x64xf32>) {
  ^bb0(%x: f32, %bt: f32, %bs: f32, %out: f32):
    %t = linalg.index 0 : index
    %s = linalg.index 1 : index
    %in = arith.cmpi ule, %s, %t : index
    %d = arith.subf %bt, %bs : f32
    %d0 = arith.select %in, %d, %c0 : f32
    %e = math.exp %d0 : f32
    %y = arith.mulf %x, %e : f32
    %z = arith.select %in, %y, %c0 : f32
    linalg.yield %z : f32
  } -> tensor<64x64xf32>
  %qd = linalg.generic {indexing_maps = [#id2, #row, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%q, %b : tensor<64x32xf32>, tensor<64xf32>) outs(%ek : tensor<64x32xf32>) {
  ^bb0(%x: f32, %bt: f32, %out: f32):
    %e = math.exp %bt : f32
    %y = arith.mulf %x, %e : f32
    linalg.yield %y : f32
  } -> tensor<64x32xf32>
  %o0 = linalg.fill ins(%c0 : f32) outs(%ev : tensor<64x48xf32>) -> tensor<64x48xf32>
  %o1 = linalg.contract indexing_maps = [#mk, #kn, #mn]
      ins(%qd, %S : tensor<64x32xf32>, tensor<32x48xf32>) outs(%o0 : tensor<64x48xf32>) -> tensor<64x48xf32>
  %o = linalg.contract indexing_maps = [#mk, #kn, #mn]
      ins(%p, %v : tensor<64x64xf32>, tensor<64x48xf32>) outs(%o1 : tensor<64x48xf32>) -> tensor<64x48xf32>

  %kd = linalg.generic {indexing_maps = [#id2, #row, #all, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%kk, %b, %last : tensor<64x32xf32>, tensor<64xf32>, tensor<f32>) outs(%ek : tensor<64x32xf32>) {
  ^bb0(%x: f32, %bt: f32, %bc: f32, %out: f32):
    %d = arith.subf %bc, %bt : f32
    %e = math.exp %d : f32
    %y = arith.mulf %x, %e : f32
    linalg.yield %y : f32
  } -> tensor<64x32xf32>
  %Sd = linalg.generic {indexing_maps = [#id2, #all, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%S, %last : tensor<32x48xf32>, tensor<f32>) outs(%es : tensor<32x48xf32>) {
  ^bb0(%x: f32, %bc: f32, %out: f32):
    %e = math.exp %bc : f32
    %y = arith.mulf %x, %e : f32
    linalg.yield %y : f32
  } -> tensor<32x48xf32>
  %Sn = linalg.contract indexing_maps = [#km, #kn, #mn]
      ins(%kd, %v : tensor<64x32xf32>, tensor<64x48xf32>) outs(%Sd : tensor<32x48xf32>) -> tensor<32x48xf32>
  return %o, %Sn : tensor<64x48xf32>, tensor<32x48xf32>
}
