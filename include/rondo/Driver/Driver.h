//===- Driver.h - The commands of `rondoc` ------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_DRIVER_H
#define RONDO_DRIVER_DRIVER_H

#include "rondo/Driver/Options.h"

namespace rondo::driver {

/// Each command prints its own errors and returns the exit code: 0, or 1 when something failed.
int run(const Options &options);
int compile(const Options &options);
int explain(const Options &options);
int emit(const Options &options);
int check(const Options &options);

} // namespace rondo::driver

#endif // RONDO_DRIVER_DRIVER_H
