// Arrays become pointers and strides, states are optional, scratch is shared memory or a workspace.
// RUN: rondo-opt %mixers/hgrn.rondo --rondo-cuda-simt="sizes=D=64 dtype=bf16" | FileCheck %s
// RUN: rondo-opt %mixers/hgrn.rondo --rondo-cuda-simt="sizes=D=2048" | FileCheck %s --check-prefix=LARGE
// RUN: rondo-opt %mixers/hgrn.rondo --rondo-cuda-simt="sizes=D=32 block=D blocks=4" | FileCheck %s --check-prefix=BLOCKS

// CHECK:       gpu.module @cuda
// CHECK:         llvm.mlir.global external @hgrn_kernel_shared() {addr_space = 3 : i32
// CHECK:         llvm.func @hgrn_kernel(
// CHECK-SAME:      nvvm.kernel, nvvm.minctasm = 1 : i32, nvvm.reqntid = array<i32: 256>
// CHECK-SAME:      rondo.launch = {blocks = 1 : i64, maxBlocks = 0 : i64, params = [
// CHECK-SAME:        {dim = "B", kind = "size"}, {dim = "T", kind = "size"}, {dim = "H", kind = "size"},
// CHECK-SAME:        {array = "x", kind = "pointer"}, {array = "x", dim = "B", kind = "stride"}, {array = "x", dim = "T", kind = "stride"}, {array = "x", dim = "H", kind = "stride"}, {array = "x", kind = "heads"}
// CHECK-SAME:        {array = "h.initial", kind = "pointer"}, {array = "h.initial", dim = "B", kind = "stride"}, {array = "h.initial", dim = "H", kind = "stride"}
// CHECK-SAME:        {array = "h.final", kind = "pointer"}
// CHECK-SAME:      shared = 24832 : i64, threads = 256 : i64, workspace = 0 : i64}
// CHECK-NOT:     unrealized_conversion_cast
// CHECK:         llvm.icmp "ne" %{{.*}}, %{{.*}} : !llvm.ptr<1>
// CHECK:         nvvm.read.ptx.sreg.tid.x
// CHECK:         nvvm.barrier0
// CHECK:         llvm.intr.exp2

// LARGE-NOT: addr_space = 3
// LARGE:     maxBlocks = 264
// LARGE-SAME:  {kind = "workspace"}
// LARGE-SAME:  shared = 0 : i64, threads = 256 : i64, workspace = {{[1-9][0-9]*}} : i64
// LARGE:     nvvm.read.ptx.sreg.ctaid.x

// BLOCKS: rondo.launch = {blocks = 4 : i64
