// Values of decay_adjoint against its definition in f64, for chunks of many sizes. Channel by channel, the kinds of decays are
// 1, near 1, resets (0) among soft ones, tiny, anything.

// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/2/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/5/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/16/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/17/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/33/g | %lower_and_run | FileCheck %s

func.func @lowered(%w: tensor<SIZExSIZExf32>, %x: tensor<SIZEx20xf32>, %y: tensor<SIZEx20xf32>, %d: tensor<SIZEx20xf32>)
    -> tensor<SIZEx20xf32> {
  %0 = chunk.decay_adjoint %w, %x, %y, %d : tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>
  return %0 : tensor<SIZEx20xf32>
}

func.func private @product(%d: tensor<SIZEx20xf32>, %r: index, %from: index, %to: index) -> f64 {
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f64
  %product = scf.for %u = %from to %to step %c1 iter_args(%p = %one) -> f64 {
    %0 = tensor.extract %d[%u, %r] : tensor<SIZEx20xf32>
    %1 = arith.extf %0 : f32 to f64
    %2 = arith.mulf %p, %1 : f64
    scf.yield %2 : f64
  }
  return %product : f64
}

func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant SIZE : index
  %zero = arith.constant 0.0 : f64
  %columns = arith.constant 20 : index
  %w = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 1 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZExSIZExf32>
  %later = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 3 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %earlier = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 2 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %d = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %x = func.call @decay(%i0, %i1) : (index, index) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %result = call @lowered(%w, %later, %earlier, %d) : (tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> tensor<SIZEx20xf32>

  %wrong = scf.for %u = %c0 to %size step %c1 iter_args(%w0 = %c0) -> index {
    %after = arith.addi %u, %c1 : index
    %w1 = scf.for %r = %c0 to %columns step %c1 iter_args(%w2 = %w0) -> index {
      %sums:2 = scf.for %s = %c0 to %u step %c1 iter_args(%sum0 = %zero, %magnitude0 = %zero) -> (f64, f64) {
        %from = arith.addi %s, %c1 : index
        %before = func.call @product(%d, %r, %from, %u) : (tensor<SIZEx20xf32>, index, index, index) -> f64
        %inner:2 = scf.for %t = %after to %size step %c1 iter_args(%sum = %sum0, %magnitude = %magnitude0) -> (f64, f64) {
          %behind = func.call @product(%d, %r, %after, %t) : (tensor<SIZEx20xf32>, index, index, index) -> f64
          %0 = tensor.extract %w[%t, %s] : tensor<SIZExSIZExf32>
          %1 = tensor.extract %later[%t, %r] : tensor<SIZEx20xf32>
          %2 = tensor.extract %earlier[%s, %r] : tensor<SIZEx20xf32>
          %3 = arith.extf %0 : f32 to f64
          %4 = arith.extf %1 : f32 to f64
          %5 = arith.extf %2 : f32 to f64
          %6 = arith.mulf %3, %4 : f64
          %7 = arith.mulf %6, %5 : f64
          %8 = arith.mulf %7, %before : f64
          %9 = arith.mulf %8, %behind : f64
          %10 = arith.addf %sum, %9 : f64
          %11 = math.absf %9 : f64
          %12 = arith.addf %magnitude, %11 : f64
          scf.yield %10, %12 : f64, f64
        }
        scf.yield %inner#0, %inner#1 : f64, f64
      }
      %got = tensor.extract %result[%u, %r] : tensor<SIZEx20xf32>
      %more = func.call @is_wrong(%got, %sums#0, %sums#1) : (f32, f64, f64) -> index
      %w3 = arith.addi %w2, %more : index
      scf.yield %w3 : index
    }
    scf.yield %w1 : index
  }
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
