// Values of cumprod and total against their definition in f64. Channel by channel,
// the kinds of decays are 1, near 1, resets (0) among soft ones, tiny, anything.

// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/5/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/16/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/17/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/SIZE/64/g | %lower_and_run | FileCheck %s

func.func @lowered(%d: tensor<SIZEx20xf32>, %e: tensor<SIZEx20xf32>)
    -> (tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<20xf32>, tensor<20xf32>) {
  // One total reuses the running products, the other one has none.
  %0 = chunk.cumprod prefix %d : tensor<SIZEx20xf32>
  %1 = chunk.cumprod suffix %d : tensor<SIZEx20xf32>
  %2 = chunk.total %d : tensor<SIZEx20xf32> -> tensor<20xf32>
  %3 = chunk.total %e : tensor<SIZEx20xf32> -> tensor<20xf32>
  return %0, %1, %2, %3 : tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<20xf32>, tensor<20xf32>
}

func.func @lowered_numbers(%d: tensor<SIZExf32>, %e: tensor<SIZExf32>)
    -> (tensor<SIZExf32>, tensor<SIZExf32>, tensor<f32>, tensor<f32>) {
  %0 = chunk.cumprod prefix %d : tensor<SIZExf32>
  %1 = chunk.cumprod suffix %d : tensor<SIZExf32>
  %2 = chunk.total %d : tensor<SIZExf32> -> tensor<f32>
  %3 = chunk.total %e : tensor<SIZExf32> -> tensor<f32>
  return %0, %1, %2, %3 : tensor<SIZExf32>, tensor<SIZExf32>, tensor<f32>, tensor<f32>
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
  %channels = arith.constant 20 : index
  %d = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %x = func.call @decay(%i0, %i1) : (index, index) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %e = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %x = func.call @decay(%i0, %i1) : (index, index) -> f32
    tensor.yield %x : f32
  } : tensor<SIZEx20xf32>
  %rows:4 = call @lowered(%d, %e) : (tensor<SIZEx20xf32>, tensor<SIZEx20xf32>) -> (tensor<SIZEx20xf32>, tensor<SIZEx20xf32>, tensor<20xf32>, tensor<20xf32>)

  %wrong = scf.for %r = %c0 to %channels step %c1 iter_args(%w0 = %c0) -> index {
    %column = tensor.extract_slice %d[0, %r] [SIZE, 1] [1, 1] : tensor<SIZEx20xf32> to tensor<SIZExf32>
    %numbers:4 = func.call @lowered_numbers(%column, %column) : (tensor<SIZExf32>, tensor<SIZExf32>) -> (tensor<SIZExf32>, tensor<SIZExf32>, tensor<f32>, tensor<f32>)
    %w1 = scf.for %t = %c0 to %size step %c1 iter_args(%w2 = %w0) -> index {
      %from = arith.addi %t, %c1 : index
      %before = func.call @product(%d, %r, %c0, %t) : (tensor<SIZEx20xf32>, index, index, index) -> f64
      %after = func.call @product(%d, %r, %from, %size) : (tensor<SIZEx20xf32>, index, index, index) -> f64
      %0 = tensor.extract %rows#0[%t, %r] : tensor<SIZEx20xf32>
      %1 = tensor.extract %rows#1[%t, %r] : tensor<SIZEx20xf32>
      %2 = tensor.extract %numbers#0[%t] : tensor<SIZExf32>
      %3 = tensor.extract %numbers#1[%t] : tensor<SIZExf32>
      %m0 = func.call @is_wrong(%0, %before, %before) : (f32, f64, f64) -> index
      %m1 = func.call @is_wrong(%1, %after, %after) : (f32, f64, f64) -> index
      %m2 = func.call @is_wrong(%2, %before, %before) : (f32, f64, f64) -> index
      %m3 = func.call @is_wrong(%3, %after, %after) : (f32, f64, f64) -> index
      %4 = arith.addi %m0, %m1 : index
      %5 = arith.addi %m2, %m3 : index
      %6 = arith.addi %4, %5 : index
      %7 = arith.addi %w2, %6 : index
      scf.yield %7 : index
    }
    %all = func.call @product(%d, %r, %c0, %size) : (tensor<SIZEx20xf32>, index, index, index) -> f64
    %0 = tensor.extract %rows#2[%r] : tensor<20xf32>
    %1 = tensor.extract %rows#3[%r] : tensor<20xf32>
    %2 = tensor.extract %numbers#2[] : tensor<f32>
    %3 = tensor.extract %numbers#3[] : tensor<f32>
    %m0 = func.call @is_wrong(%0, %all, %all) : (f32, f64, f64) -> index
    %m1 = func.call @is_wrong(%1, %all, %all) : (f32, f64, f64) -> index
    %m2 = func.call @is_wrong(%2, %all, %all) : (f32, f64, f64) -> index
    %m3 = func.call @is_wrong(%3, %all, %all) : (f32, f64, f64) -> index
    %4 = arith.addi %m0, %m1 : index
    %5 = arith.addi %m2, %m3 : index
    %6 = arith.addi %4, %5 : index
    %7 = arith.addi %w1, %6 : index
    scf.yield %7 : index
  }
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
