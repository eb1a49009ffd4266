// Values of reverse decayed_apply against its definition in f64, for chunks of many sizes. Column by column,
// the kinds of decays are 1, near 1, resets (0) among soft ones, tiny, anything.

// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/5/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/16/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/17/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/63/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/64/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/129/g | %lower_and_run | FileCheck %s

func.func @lowered(%w: tensor<SIZExSIZExf32>, %v: tensor<SIZEx20xf32>, %d: tensor<SIZEx20xf32>) -> tensor<SIZEx20xf32> {
  %0 = chunk.decayed_apply reverse %w, %v, %d : tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>
  return %0 : tensor<SIZEx20xf32>
}

func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant SIZE : index
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %columns = arith.constant 20 : index
  %w = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 1 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZExSIZExf32>
  %v = tensor.generate {
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
  %result = call @lowered(%w, %v, %d) : (tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> tensor<SIZEx20xf32>

  %wrong = scf.for %s = %c0 to %size step %c1 iter_args(%w0 = %c0) -> index {
    %w1 = scf.for %c = %c0 to %columns step %c1 iter_args(%w2 = %w0) -> index {
      %from = arith.addi %s, %c1 : index
      %sums:2 = scf.for %t = %from to %size step %c1 iter_args(%sum = %zero, %magnitude = %zero) -> (f64, f64) {
        %product = scf.for %u = %from to %t step %c1 iter_args(%p = %one) -> f64 {
          %0 = tensor.extract %d[%u, %c] : tensor<SIZEx20xf32>
          %1 = arith.extf %0 : f32 to f64
          %2 = arith.mulf %p, %1 : f64
          scf.yield %2 : f64
        }
        %0 = tensor.extract %w[%t, %s] : tensor<SIZExSIZExf32>
        %1 = tensor.extract %v[%t, %c] : tensor<SIZEx20xf32>
        %2 = arith.extf %0 : f32 to f64
        %3 = arith.extf %1 : f32 to f64
        %4 = arith.mulf %2, %3 : f64
        %5 = arith.mulf %4, %product : f64
        %6 = arith.addf %sum, %5 : f64
        %7 = math.absf %5 : f64
        %8 = arith.addf %magnitude, %7 : f64
        scf.yield %6, %8 : f64, f64
      }
      %got = tensor.extract %result[%s, %c] : tensor<SIZEx20xf32>
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
