// RUN: rondo-opt --rondo-lower-tiles %S/Inputs/reduce.mlir | FileCheck %s
// RUN: rondo-opt %S/Inputs/reduce.mlir | FileCheck %s --check-prefix=FORM
// RUN: rondo-opt --split-input-file -verify-diagnostics %s
// What the reductions give: Run/states.test.

// FORM: tile.reduce %{{.*}} over 0 through %{{.*}} : {{.*}}, !tile.shared<8x128xf32> -> tensor<128xf32, #tile.columns<warps = 4>>
// FORM: tile.reduce %{{.*}} over 0 by maximum through %{{.*}} :

// Columns are halved three times, in two blocks of 64; a row of the buffer for each warp; all eight warps meet (barriers 1 and 2 are those of
// the copies, 3 that of both).
// CHECK-LABEL: llvm.func @reduce
// CHECK: scf.for
// CHECK-COUNT-14: nvvm.shfl.sync  bfly
// CHECK: llvm.store {{.*}} vector<2xf32>, !llvm.ptr<3>
// CHECK-COUNT-14: nvvm.shfl.sync  bfly
// CHECK: llvm.store {{.*}} vector<2xf32>, !llvm.ptr<3>
// CHECK: %[[THREADS:.*]] = arith.constant 256 : i32
// CHECK-NEXT: nvvm.barrier id = %{{.*}} number_of_threads = %[[THREADS]]
// CHECK-COUNT-8: llvm.load {{.*}} : !llvm.ptr<3> -> vector<2xf32>
// CHECK-COUNT-16: nvvm.shfl.sync  idx
// CHECK: arith.maximumf
// CHECK: scf.if
// CHECK: nvvm.barrier id = %{{.*}} number_of_threads = %{{.*}}
// One copy has its own barrier only.
// CHECK: arith.minimumf
// CHECK: %[[THREADS:.*]] = arith.constant 128 : i32
// CHECK-NEXT: nvvm.barrier id = %{{.*}} number_of_threads = %[[THREADS]]

tile.kernel @scratch attributes {arrays = [], chunk = 64 : i64} {
  %room = tile.alloc : !tile.shared<4x64xf32>
  tile.role "one" warps 4 attributes {copies = 2 : i64} {
    %x = arith.constant dense<0.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @below {{over dimension 0 needs an f32 buffer with a row of 64 numbers for each of the role's 8 warps}}
    %r = tile.reduce %x over 0 through %room : tensor<64x64xf32, #tile.fragment<warps = 4>>, !tile.shared<4x64xf32> -> tensor<64xf32, #tile.columns<warps = 4>>
  }
}

// -----

tile.kernel @kind attributes {arrays = [], chunk = 64 : i64} {
  tile.role "one" warps 4 {
    %x = arith.constant dense<0.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @below {{over dimension 1 is a sum, and needs no buffer}}
    %r = tile.reduce %x over 1 by maximum : tensor<64x64xf32, #tile.fragment<warps = 4>> -> tensor<64xf32, #tile.rows<warps = 4>>
  }
}

// -----

tile.kernel @layout attributes {arrays = [], chunk = 64 : i64} {
  %room = tile.alloc : !tile.shared<4x64xf32>
  tile.role "one" warps 4 {
    %x = arith.constant dense<0.0> : tensor<64x64xf32, #tile.fragment<warps = 4>>
    // expected-error @below {{reduces over dimension 0 to columns, not to 'tensor<64xf32, #tile.rows<warps = 4>>'}}
    %r = tile.reduce %x over 0 through %room : tensor<64x64xf32, #tile.fragment<warps = 4>>, !tile.shared<4x64xf32> -> tensor<64xf32, #tile.rows<warps = 4>>
  }
}
