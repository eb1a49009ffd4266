// RUN: not rondo-opt %s --rondo-build-kernel="dtype=f8" 2>&1 | FileCheck %s
// CHECK: unknown element type 'f8': write f32, bf16 or f16
module {}
