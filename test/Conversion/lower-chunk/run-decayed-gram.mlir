// Values of decayed_gram against its definition in f64, for chunks of many sizes, and of two with the same keys and decays. Channel by channel,
// the kinds of decays are 1, near 1, resets (0) among soft ones, tiny, anything.

// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/5/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/16/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/17/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/63/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/64/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/129/g | %lower_and_run | FileCheck %s

func.func @lowered(%q: tensor<SIZEx20xf32>, %k: tensor<SIZEx20xf32>, %d: tensor<SIZEx20xf32>) -> tensor<SIZExSIZExf32> {
  %0 = chunk.decayed_gram %q, %k, %d : tensor<SIZEx20xf32> -> tensor<SIZExSIZExf32>
  return %0 : tensor<SIZExSIZExf32>
}

func.func @lowered_two(%q: tensor<SIZEx20xf32>, %k: tensor<SIZEx20xf32>, %d: tensor<SIZEx20xf32>)
    -> (tensor<SIZExSIZExf32>, tensor<SIZExSIZExf32>) {
  %0 = chunk.decayed_gram %q, %k, %d : tensor<SIZEx20xf32> -> tensor<SIZExSIZExf32>
  %1 = chunk.decayed_gram %k, %k, %d : tensor<SIZEx20xf32> -> tensor<SIZExSIZExf32>
  return %0, %1 : tensor<SIZExSIZExf32>, tensor<SIZExSIZExf32>
}

func.func private @count_wrong(%result: tensor<SIZExSIZExf32>, %q: tensor<SIZEx20xf32>, %k: tensor<SIZEx20xf32>, %d: tensor<SIZEx20xf32>) -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant SIZE : index
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %channels = arith.constant 20 : index
  %wrong = scf.for %t = %c0 to %size step %c1 iter_args(%w0 = %c0) -> index {
    %w1 = scf.for %s = %c0 to %size step %c1 iter_args(%w2 = %w0) -> index {
      %isEarlier = arith.cmpi ult, %s, %t : index
      %from = arith.addi %s, %c1 : index
      %sums:2 = scf.for %r = %c0 to %channels step %c1 iter_args(%sum = %zero, %magnitude = %zero) -> (f64, f64) {
        %product = scf.for %u = %from to %t step %c1 iter_args(%p = %one) -> f64 {
          %0 = tensor.extract %d[%u, %r] : tensor<SIZEx20xf32>
          %1 = arith.extf %0 : f32 to f64
          %2 = arith.mulf %p, %1 : f64
          scf.yield %2 : f64
        }
        %0 = tensor.extract %q[%t, %r] : tensor<SIZEx20xf32>
        %1 = tensor.extract %k[%s, %r] : tensor<SIZEx20xf32>
        %2 = arith.extf %0 : f32 to f64
        %3 = arith.extf %1 : f32 to f64
        %4 = arith.mulf %2, %3 : f64
        %5 = arith.mulf %4, %product : f64
        %6 = arith.select %isEarlier, %5, %zero : f64
        %7 = arith.addf %sum, %6 : f64
        %8 = math.absf %6 : f64
        %9 = arith.addf %magnitude, %8 : f64
        scf.yield %7, %9 : f64, f64
      }
      %got = tensor.extract %result[%t, %s] : tensor<SIZExSIZExf32>
      %more = func.call @is_wrong(%got, %sums#0, %sums#1) : (f32, f64, f64) -> index
      %w3 = arith.addi %w2, %more : index
      scf.yield %w3 : index
    }
    scf.yield %w1 : index
  }
  return %wrong : index
}

func.func @main() {
  %q = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 1 : i64
    %x = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %k = tensor.generate {
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
  %result = call @lowered(%q, %k, %d) : (tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> tensor<SIZExSIZExf32>

  %two:2 = call @lowered_two(%q, %k, %d) : (tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> (tensor<SIZExSIZExf32>, tensor<SIZExSIZExf32>)

  %w0 = call @count_wrong(%result, %q, %k, %d) : (tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> index
  %w1 = call @count_wrong(%two#0, %q, %k, %d) : (tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> index
  %w2 = call @count_wrong(%two#1, %k, %k, %d) : (tensor<SIZExSIZExf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> index
  %w3 = arith.addi %w0, %w1 : index
  %wrong = arith.addi %w3, %w2 : index
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
