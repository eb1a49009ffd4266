// The inverse of a unit lower triangular matrix.
// RUN: rondo-opt --rondo-lower-tiles %S/Inputs/inverse.mlir | FileCheck %s

// Blocks of -L, the diagonal block by columns, substitution, and its inverse transposed.
// CHECK: nvvm.barrier id
// CHECK: nvvm.barrier id
// CHECK-COUNT-3: nvvm.stmatrix {{.*}}mma_layout<row>
// CHECK-COUNT-6: arith.negf
// CHECK: nvvm.bar.warp.sync
// CHECK-COUNT-120: llvm.intr.fma
// CHECK: llvm.store {{.*}} : vector<4xf32>, !llvm.ptr<3>
// Block columns: for each block row below, products with blocks of L, then with the diagonal block.
// CHECK: nvvm.barrier id
// CHECK: nvvm.ldmatrix {{.*}}mma_layout<row>
// CHECK: nvvm.stmatrix {{.*}}mma_layout<col>
// CHECK-COUNT-4: mma.sync{{.*}}f32.f16.f16.f32
// CHECK: nvvm.stmatrix {{.*}}mma_layout<col>
// CHECK-COUNT-6: mma.sync{{.*}}f32.f16.f16.f32
// CHECK: nvvm.stmatrix {{.*}}mma_layout<col>
// CHECK-COUNT-8: mma.sync{{.*}}f32.f16.f16.f32
// CHECK: nvvm.stmatrix {{.*}}mma_layout<col>
