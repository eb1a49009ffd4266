// Values of interval_products against their definition in f64: decays of 1, near 1, resets (0) among soft ones, tiny, anything.

// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/1/g -e s/NEXT/2/g -e s/KIND/4/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/5/g -e s/NEXT/6/g -e s/KIND/0/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/16/g -e s/NEXT/17/g -e s/KIND/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/17/g -e s/NEXT/18/g -e s/KIND/2/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/64/g -e s/NEXT/65/g -e s/KIND/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/64/g -e s/NEXT/65/g -e s/KIND/2/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/64/g -e s/NEXT/65/g -e s/KIND/3/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed -e s/SIZE/64/g -e s/NEXT/65/g -e s/KIND/4/g | %lower_and_run | FileCheck %s

func.func @lowered(%d: tensor<SIZExf32>) -> tensor<NEXTxNEXTxf32> {
  %0 = chunk.interval_products %d : tensor<SIZExf32> -> tensor<NEXTxNEXTxf32>
  return %0 : tensor<NEXTxNEXTxf32>
}

func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant SIZE : index
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %next = arith.constant NEXT : index
  %d = tensor.generate {
  ^bb0(%i0: index):
    %kind = arith.constant KIND : index
    %x = func.call @decay(%i0, %kind) : (index, index) -> f32
    tensor.yield %x : f32
  } : tensor<SIZExf32>
  %result = call @lowered(%d) : (tensor<SIZExf32>) -> tensor<NEXTxNEXTxf32>

  %wrong = scf.for %i = %c0 to %next step %c1 iter_args(%w0 = %c0) -> index {
    %w1 = scf.for %j = %c0 to %next step %c1 iter_args(%w2 = %w0) -> index {
      %isInterval = arith.cmpi ule, %j, %i : index
      %first = arith.select %isInterval, %one, %zero : f64
      %product = scf.for %u = %j to %i step %c1 iter_args(%p = %first) -> f64 {
        %0 = tensor.extract %d[%u] : tensor<SIZExf32>
        %1 = arith.extf %0 : f32 to f64
        %2 = arith.mulf %p, %1 : f64
        scf.yield %2 : f64
      }
      %got = tensor.extract %result[%i, %j] : tensor<NEXTxNEXTxf32>
      %more = func.call @is_wrong(%got, %product, %product) : (f32, f64, f64) -> index
      %w3 = arith.addi %w2, %more : index
      scf.yield %w3 : index
    }
    scf.yield %w1 : index
  }
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
