// RUN: not rondo-opt %s -rondo-derive=form=parallel 2>&1 | FileCheck %s --check-prefix=FORM
// RUN: not rondo-opt %s -rondo-derive=chunk=0 2>&1 | FileCheck %s --check-prefix=CHUNK

// FORM: error: unknown form 'parallel'; write chunk, sequential or step
// CHUNK: error: a chunk has at least one token, not 0
module {}
