// States run backwards, from the last valid token to the first, in a chunk of 16 of which COUNT tokens are valid: h = a h + x and its outputs h + h_before, against the same in
// f64. Rows after the end are zero.

// RUN: cat %S/Inputs/numbers.mlir %s | sed s/COUNT/1/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/COUNT/7/g | %lower_and_run | FileCheck %s
// RUN: cat %S/Inputs/numbers.mlir %s | sed s/COUNT/16/g | %lower_and_run | FileCheck %s

#id = affine_map<(d0) -> (d0)>
func.func @lowered(%n: index, %a: tensor<16x20xf32>, %x: tensor<16x20xf32>, %h0: tensor<20xf32>)
    -> (tensor<16x20xf32>, tensor<20xf32>, tensor<16x20xf32>) {
  %o, %h = chunk.scan "affine" reverse count %n rows(%a, %x : tensor<16x20xf32>, tensor<16x20xf32>) shared()
      states(%h0 : tensor<20xf32>) {
  ^bb0(%arow: tensor<20xf32>, %xrow: tensor<20xf32>, %state: tensor<20xf32>):
    %e = tensor.empty() : tensor<20xf32>
    %new = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel"]}
        ins(%arow, %xrow, %state : tensor<20xf32>, tensor<20xf32>, tensor<20xf32>) outs(%e : tensor<20xf32>) {
    ^bb0(%p: f32, %q: f32, %s: f32, %out: f32):
      %0 = arith.mulf %p, %s : f32
      %1 = arith.addf %0, %q : f32
      linalg.yield %1 : f32
    } -> tensor<20xf32>
    %sum = linalg.add ins(%new, %state : tensor<20xf32>, tensor<20xf32>) outs(%e : tensor<20xf32>) -> tensor<20xf32>
    chunk.yield %sum, %new : tensor<20xf32>, tensor<20xf32>
  } -> tensor<16x20xf32>, tensor<20xf32>
  %kept = chunk.keep_rows %x, %n fill -3.0 : tensor<16x20xf32>
  return %o, %h, %kept : tensor<16x20xf32>, tensor<20xf32>, tensor<16x20xf32>
}

func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c15 = arith.constant 15 : index
  %c16 = arith.constant 16 : index
  %count = arith.constant COUNT : index
  %channels = arith.constant 20 : index
  %zero = arith.constant 0.0 : f64
  %fill = arith.constant -3.0 : f64
  %a = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %0 = func.call @decay(%i0, %i1) : (index, index) -> f32
    tensor.yield %0 : f32
  } : tensor<16x20xf32>
  %x = tensor.generate {
  ^bb0(%i0: index, %i1: index):
    %salt = arith.constant 1 : i64
    %0 = func.call @value(%i0, %i1, %salt) : (index, index, i64) -> f32
    tensor.yield %0 : f32
  } : tensor<16x20xf32>
  %h0 = tensor.generate {
  ^bb0(%i0: index):
    %row = arith.constant 99 : index
    %salt = arith.constant 1 : i64
    %0 = func.call @value(%row, %i0, %salt) : (index, index, i64) -> f32
    tensor.yield %0 : f32
  } : tensor<20xf32>
  %result:3 = call @lowered(%count, %a, %x, %h0) : (index, tensor<16x20xf32>, tensor<16x20xf32>, tensor<20xf32>) -> (tensor<16x20xf32>, tensor<20xf32>, tensor<16x20xf32>)

  %one = arith.constant 1.0 : f64
  %wrong = scf.for %r = %c0 to %channels step %c1 iter_args(%w0 = %c0) -> index {
    %first = tensor.extract %h0[%r] : tensor<20xf32>
    %first64 = arith.extf %first : f32 to f64
    %end:2 = scf.for %step = %c0 to %c16 step %c1 iter_args(%h = %first64, %w1 = %w0) -> (f64, index) {
      %t = arith.subi %c15, %step : index
      %isValid = arith.cmpi ult, %t, %count : index
      %0 = tensor.extract %a[%t, %r] : tensor<16x20xf32>
      %1 = tensor.extract %x[%t, %r] : tensor<16x20xf32>
      %2 = arith.extf %0 : f32 to f64
      %3 = arith.extf %1 : f32 to f64
      %4 = arith.mulf %2, %h : f64
      %5 = arith.addf %4, %3 : f64
      %new = arith.select %isValid, %5, %h : f64
      %6 = arith.addf %new, %h : f64
      %output = arith.select %isValid, %6, %zero : f64
      %row = arith.select %isValid, %3, %fill : f64
      %7 = tensor.extract %result#0[%t, %r] : tensor<16x20xf32>
      %8 = tensor.extract %result#2[%t, %r] : tensor<16x20xf32>
      %magnitude = arith.select %isValid, %one, %zero : f64
      %m0 = func.call @is_wrong(%7, %output, %magnitude) : (f32, f64, f64) -> index
      %m1 = func.call @is_wrong(%8, %row, %zero) : (f32, f64, f64) -> index
      %9 = arith.addi %m0, %m1 : index
      %10 = arith.addi %w1, %9 : index
      scf.yield %new, %10 : f64, index
    }
    %0 = tensor.extract %result#1[%r] : tensor<20xf32>
    %m = func.call @is_wrong(%0, %end#0, %one) : (f32, f64, f64) -> index
    %w2 = arith.addi %end#1, %m : index
    scf.yield %w2 : index
  }
  // CHECK: wrong entries: 0{{$}}
  call @report(%wrong) : (index) -> ()
  return
}
