// The result of a transposed solve, multiplied by the transposed matrix again in f64, is the right-hand side.

// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/5/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/16/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/17/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/63/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/64/g | %lower_and_run | FileCheck %s

func.func @lowered(%m: tensor<SIZExSIZExf32>, %b: tensor<SIZEx20xf32>) -> tensor<SIZEx20xf32> {
  %0 = chunk.solve transposed %m, %b : tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>
  return %0 : tensor<SIZEx20xf32>
}

func.func @lowered_vector(%m: tensor<SIZExSIZExf32>, %b: tensor<SIZExf32>) -> tensor<SIZExf32> {
  %0 = chunk.solve transposed %m, %b : tensor<SIZExSIZExf32>, tensor<SIZExf32>
  return %0 : tensor<SIZExf32>
}

func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant SIZE : index
  %columns = arith.constant 20 : index
  %m = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 1 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZExSIZExf32>
  %b = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 2 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %b2 = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 2 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %x = call @lowered(%m, %b) : (tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>) -> tensor<SIZEx20xf32>

  %wrong = scf.for %c = %c0 to %columns step %c1 iter_args(%w0 = %c0) -> index {
    %column = tensor.extract_slice %b2[0, %c] [SIZE, 1] [1, 1] : tensor<SIZEx20xf32> to tensor<SIZExf32>
    %y = func.call @lowered_vector(%m, %column) : (tensor<SIZExSIZExf32>, tensor<SIZExf32>) -> tensor<SIZExf32>
    %w1 = scf.for %i = %c0 to %size step %c1 iter_args(%w2 = %w0) -> index {
      %0 = tensor.extract %x[%i, %c] : tensor<SIZEx20xf32>
      %1 = tensor.extract %y[%i] : tensor<SIZExf32>
      %2 = arith.extf %0 : f32 to f64
      %3 = arith.extf %1 : f32 to f64
      %4 = math.absf %2 : f64
      %from = arith.addi %i, %c1 : index
      %sums:3 = scf.for %j = %from to %size step %c1 iter_args(%sx = %2, %sy = %3, %magnitude = %4) -> (f64, f64, f64) {
        %5 = tensor.extract %m[%j, %i] : tensor<SIZExSIZExf32>
        %6 = tensor.extract %x[%j, %c] : tensor<SIZEx20xf32>
        %7 = tensor.extract %y[%j] : tensor<SIZExf32>
        %8 = arith.extf %5 : f32 to f64
        %9 = arith.extf %6 : f32 to f64
        %10 = arith.extf %7 : f32 to f64
        %11 = arith.mulf %8, %9 : f64
        %12 = arith.mulf %8, %10 : f64
        %13 = arith.addf %sx, %11 : f64
        %14 = arith.addf %sy, %12 : f64
        %15 = math.absf %11 : f64
        %16 = arith.addf %magnitude, %15 : f64
        scf.yield %13, %14, %16 : f64, f64, f64
      }
      %want = tensor.extract %b2[%i, %c] : tensor<SIZEx20xf32>
      %mx = func.call @is_wrong(%want, %sums#0, %sums#2) : (f32, f64, f64) -> index
      %my = func.call @is_wrong(%want, %sums#1, %sums#2) : (f32, f64, f64) -> index
      %5 = arith.addi %mx, %my : index
      %6 = arith.addi %w2, %5 : index
      scf.yield %6 : index
    }
    scf.yield %w1 : index
  }
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
