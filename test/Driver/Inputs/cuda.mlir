// A mixer that brings its GPU kernel: a running sum. The kernel is empty; Inputs/cuda-kernel.c computes in its place.
module {
  rondo.mixer @running(%arg0: !rondo.val<K> {rondo.grouped, rondo.name = "x"}, %arg1: !rondo.val<K> {rondo.kind = "param", rondo.name = "w"}) -> (!rondo.val<K> {rondo.name = "o"}) {
    %0 = rondo.state "S" : <K>
    %1 = rondo.load %0 : <K> -> <K>
    %2 = rondo.binary add %1, %arg0 : <K>, <K> -> <K>
    rondo.store %0, %2 : <K>, <K>
    %3 = rondo.load %0 : <K> -> <K>
    %4 = rondo.binary mul %arg1, %3 : <K>, <K> -> <K>
    rondo.yield %4 : !rondo.val<K>
  }
  gpu.module @cuda {
    llvm.func @running_kernel(%map: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, llvm.align = 64 : i64, nvvm.grid_constant}, %x: !llvm.ptr, %xB: i64, %xT: i64, %xH: i64, %heads: i64, %w: !llvm.ptr, %o: !llvm.ptr, %oT: i64, %T: i64, %H: i64, %initial: !llvm.ptr, %final: !llvm.ptr) attributes {
        nvvm.kernel,
        rondo.arrays = [{dims = ["K"], name = "x", role = "token", sizes = array<i64: 8>, type = f32}, {dims = ["K"], name = "w", role = "param", sizes = array<i64: 8>, type = f32}, {dims = ["K"], name = "o", role = "output", sizes = array<i64: 8>, type = f32}, {dims = ["K"], name = "S", role = "state", sizes = array<i64: 8>, type = f32}],
        rondo.launch = {threads = 128 : i64, shared = 1024 : i64, blocks = 1 : i64, maxBlocks = 0 : i64, workspace = 0 : i64, params = [
            {kind = "map", array = "x", box = [8, 64], swizzle = 32 : i64}, {kind = "pointer", array = "x"},
            {kind = "stride", array = "x", dim = "B"}, {kind = "stride", array = "x", dim = "T"}, {kind = "stride", array = "x", dim = "H"},
            {kind = "heads", array = "x"}, {kind = "pointer", array = "w"}, {kind = "pointer", array = "o"},
            {kind = "stride", array = "o", dim = "T"}, {kind = "size", dim = "T"}, {kind = "size", dim = "H"},
            {kind = "pointer", array = "S.initial"}, {kind = "pointer", array = "S.final"}]}} {
      llvm.return
    }
  }
}
