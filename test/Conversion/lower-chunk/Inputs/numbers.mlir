// What the executed tests share.

// A number in [0, 1) that looks random.
func.func private @uniform(%i: index, %r: index, %salt: i64) -> f32 {
  %c1000 = arith.constant 1000 : index
  %factor = arith.constant 2654435761 : i64
  %scale = arith.constant 2.3283064e-10 : f32
  %mask = arith.constant 4294967295 : i64
  %c13 = arith.constant 13 : i64
  %0 = arith.muli %i, %c1000 : index
  %1 = arith.addi %0, %r : index
  %2 = arith.index_cast %1 : index to i64
  %3 = arith.addi %2, %salt : i64
  %4 = arith.muli %3, %factor : i64
  %5 = arith.andi %4, %mask : i64
  %6 = arith.shrui %5, %c13 : i64
  %7 = arith.xori %5, %6 : i64
  %8 = arith.muli %7, %factor : i64
  %9 = arith.andi %8, %mask : i64
  %10 = arith.uitofp %9 : i64 to f32
  %11 = arith.mulf %10, %scale : f32
  %one = arith.constant 0.99999994 : f32
  %12 = arith.minimumf %11, %one : f32
  return %12 : f32
}

func.func private @value(%i: index, %r: index, %salt: i64) -> f32 {
  %half = arith.constant 0.5 : f32
  %u = func.call @uniform(%i, %r, %salt) : (index, index, i64) -> f32
  %0 = arith.subf %u, %half : f32
  return %0 : f32
}

// The kind of decay is the channel modulo 5.
func.func private @decay(%i: index, %r: index) -> f32 {
  %c5 = arith.constant 5 : index
  %salt = arith.constant 77 : i64
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %tiny = arith.constant 1.0e-30 : f32
  %step = arith.constant 0.05 : f32
  %eighth = arith.constant 0.125 : f32
  %u = func.call @uniform(%i, %r, %salt) : (index, index, i64) -> f32
  %small = arith.mulf %u, %step : f32
  %soft = arith.subf %one, %small : f32
  %isReset = arith.cmpf olt, %u, %eighth : f32
  %reset = arith.select %isReset, %zero, %soft : f32
  %kind = arith.remui %r, %c5 : index
  %0 = scf.index_switch %kind -> f32
  case 0 { scf.yield %one : f32 }
  case 1 { scf.yield %soft : f32 }
  case 2 { scf.yield %reset : f32 }
  case 3 { scf.yield %tiny : f32 }
  default { scf.yield %u : f32 }
  return %0 : f32
}

// 1 if `got` is not `want`, which is a sum of terms whose magnitudes sum to `magnitude`.
func.func private @is_wrong(%got: f32, %want: f64, %magnitude: f64) -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %relative = arith.constant 2.0e-6 : f64
  %underflow = arith.constant 1.0e-37 : f64
  %got64 = arith.extf %got : f32 to f64
  %difference = arith.subf %got64, %want : f64
  %error = math.absf %difference : f64
  %rounding = arith.mulf %magnitude, %relative : f64
  %tolerance = arith.addf %rounding, %underflow : f64
  %isRight = arith.cmpf ole, %error, %tolerance : f64
  %isWrong = arith.select %isRight, %c0, %c1 : index
  return %isWrong : index
}

func.func private @report(%wrong: index) {
  vector.print str "wrong entries: "
  vector.print %wrong : index
  return
}

