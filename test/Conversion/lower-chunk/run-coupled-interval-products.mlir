// Values of coupled interval_products against the products of 2 x 2 matrices in f64.

// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/1/g -e s/NEXT/2/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/5/g -e s/NEXT/6/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/16/g -e s/NEXT/17/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/64/g -e s/NEXT/65/g | %lower_and_run | FileCheck %s

func.func @lowered(%a: tensor<SIZEx2x2xf32>) -> tensor<2x2xNEXTxNEXTxf32> {
  %0 = chunk.interval_products %a : tensor<SIZEx2x2xf32> -> tensor<2x2xNEXTxNEXTxf32>
  return %0 : tensor<2x2xNEXTxNEXTxf32>
}

func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant SIZE : index
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %c2 = arith.constant 2 : index
  %next = arith.constant NEXT : index
  %a = tensor.generate {
  ^bb0(%i0: index, %i1: index, %i2: index):
    %c2i = arith.constant 2 : index
    %salt = arith.constant 1 : i64
    %row = arith.muli %i1, %c2i : index
    %entry = arith.addi %row, %i2 : index
    %x = func.call @uniform(%i0, %entry, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx2x2xf32>
  %result = call @lowered(%a) : (tensor<SIZEx2x2xf32>) -> tensor<2x2xNEXTxNEXTxf32>

  // Column %c of the product over an interval: the unit vector, multiplied by each matrix in turn. No entry is negative.
  %wrong = scf.for %i = %c0 to %next step %c1 iter_args(%w0 = %c0) -> index {
    %w1 = scf.for %j = %c0 to %next step %c1 iter_args(%w2 = %w0) -> index {
      %w3 = scf.for %c = %c0 to %c2 step %c1 iter_args(%w4 = %w2) -> index {
        %isInterval = arith.cmpi ule, %j, %i : index
        %first = arith.select %isInterval, %one, %zero : f64
        %isFirst = arith.cmpi eq, %c, %c0 : index
        %x0 = arith.select %isFirst, %first, %zero : f64
        %y0 = arith.select %isFirst, %zero, %first : f64
        %xy:2 = scf.for %u = %j to %i step %c1 iter_args(%x = %x0, %y = %y0) -> (f64, f64) {
          %0 = tensor.extract %a[%u, %c0, %c0] : tensor<SIZEx2x2xf32>
          %1 = tensor.extract %a[%u, %c0, %c1] : tensor<SIZEx2x2xf32>
          %2 = tensor.extract %a[%u, %c1, %c0] : tensor<SIZEx2x2xf32>
          %3 = tensor.extract %a[%u, %c1, %c1] : tensor<SIZEx2x2xf32>
          %4 = arith.extf %0 : f32 to f64
          %5 = arith.extf %1 : f32 to f64
          %6 = arith.extf %2 : f32 to f64
          %7 = arith.extf %3 : f32 to f64
          %8 = arith.mulf %4, %x : f64
          %9 = arith.mulf %5, %y : f64
          %10 = arith.mulf %6, %x : f64
          %11 = arith.mulf %7, %y : f64
          %12 = arith.addf %8, %9 : f64
          %13 = arith.addf %10, %11 : f64
          scf.yield %12, %13 : f64, f64
        }
        %gotX = tensor.extract %result[%c0, %c, %i, %j] : tensor<2x2xNEXTxNEXTxf32>
        %gotY = tensor.extract %result[%c1, %c, %i, %j] : tensor<2x2xNEXTxNEXTxf32>
        %moreX = func.call @is_wrong(%gotX, %xy#0, %xy#0) : (f32, f64, f64) -> index
        %moreY = func.call @is_wrong(%gotY, %xy#1, %xy#1) : (f32, f64, f64) -> index
        %w5 = arith.addi %w4, %moreX : index
        %w6 = arith.addi %w5, %moreY : index
        scf.yield %w6 : index
      }
      scf.yield %w3 : index
    }
    scf.yield %w1 : index
  }
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
