// The scalar-decay body becomes a kernel without copies: its state is updated in place.
// RUN: rondo-opt %S/Inputs/scalar-decay.mlir --rondo-bufferize | FileCheck %s --check-prefix=BUFFER
// RUN: rondo-opt %S/Inputs/scalar-decay.mlir --rondo-cpu | FileCheck %s --check-prefix=LLVM
// RUN: rondo-opt %mixers/gla.rondo --rondo-to-chunk="sizes=K=32,V=32 chunk=16" | FileCheck %s --check-prefix=CHUNK
// RUN: rondo-opt %mixers/gla.rondo --rondo-cpu="sizes=K=32,V=32 form=sequential dtype=bf16" | FileCheck %s --check-prefix=TOTAL

// BUFFER-LABEL: func.func @scalar_decay_kernel
// BUFFER-SAME:    rondo.scratch_bytes = {{[1-9][0-9]*}} : i64
// BUFFER:         omp.parallel
// BUFFER:           %[[ARENA:.*]] = memref.alloc()
// BUFFER-NOT:       memref.alloc
// BUFFER:           %[[STATE:.*]] = memref.view %[[ARENA]]{{.*}} to memref<32x48xf32>
// BUFFER-NOT:       memref.alloc
// BUFFER:           omp.loop_nest
// BUFFER:             linalg.fill ins(%{{.*}}) outs(%[[STATE]]
// BUFFER:             scf.for
// The output reads the state that the update then overwrites; no other copy of it exists.
// BUFFER:               linalg.contract {{.*}} ins(%{{.*}}, %[[STATE]] :
// BUFFER-NOT:           memref.copy
// BUFFER:               linalg.generic {{.*}} ins(%[[STATE]], {{.*}} outs(%[[STATE]] :
// BUFFER-NEXT:          ^bb0
// BUFFER-NEXT:            math.exp
// BUFFER:               linalg.contract {{.*}} outs(%[[STATE]] :

// LLVM-NOT:   builtin.unrealized_conversion_cast
// LLVM:       llvm.func @scalar_decay_kernel
// LLVM:         omp.parallel
// LLVM:           omp.wsloop
// LLVM:       llvm.func @_mlir_ciface_scalar_decay_kernel
// LLVM-NOT:   builtin.unrealized_conversion_cast
// LLVM-NOT:   {{(vector|memref|arith|math)[.]}}

// CHUNK-LABEL: func.func @gla(
// CHUNK-SAME:    tensor<16x32xf32>
// CHUNK-SAME:    rondo.chunk = 16 : i64

// TOTAL: llvm.func @gla_kernel
