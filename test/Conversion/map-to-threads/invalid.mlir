// RUN: rondo-opt %s --rondo-map-to-threads --split-input-file --verify-diagnostics

// expected-error @below {{has no single parallel region whose items could become thread blocks}}
func.func @no_items() attributes {rondo.arrays = []} {
  return
}

// -----

func.func @wide_scratch(%n: index, %threads: i32) attributes {rondo.arrays = []} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f64
  omp.parallel num_threads(%threads : i32) {
    %arena = memref.alloc() : memref<256xi8>
    // expected-error @below {{scratch of type 'f64' has no place on a GPU; it must be f32}}
    %a = memref.view %arena[%c0][] : memref<256xi8> to memref<32xf64>
    omp.wsloop {
      omp.loop_nest (%item) : index = (%c0) to (%n) step (%c1) {
        linalg.fill ins(%zero : f64) outs(%a : memref<32xf64>)
        omp.yield
      }
    }
    omp.terminator
  }
  return
}

// -----

func.func private @outside()

func.func @call(%n: index, %threads: i32) attributes {rondo.arrays = []} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  omp.parallel num_threads(%threads : i32) {
    omp.wsloop {
      omp.loop_nest (%item) : index = (%c0) to (%n) step (%c1) {
        // expected-error @below {{has no form for the threads of a GPU}}
        func.call @outside() : () -> ()
        omp.yield
      }
    }
    omp.terminator
  }
  return
}
