//===- StepTimer.h - How long a step of the code generator takes --------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_TARGET_STEPTIMER_H
#define RONDO_LIB_TARGET_STEPTIMER_H

#include <chrono>

namespace rondo {

/// Adds the milliseconds of its life to a counter, if there is one.
class StepTimer {
public:
  explicit StepTimer(double *total) : total(total), start(std::chrono::steady_clock::now()) {}
  ~StepTimer() {
    if (total)
      *total += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }

private:
  double *total;
  std::chrono::steady_clock::time_point start;
};

} // namespace rondo

#endif // RONDO_LIB_TARGET_STEPTIMER_H
