//===- Options.h - What a user asked `rondoc` for -----------------------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_OPTIONS_H
#define RONDO_DRIVER_OPTIONS_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rondo::driver {

enum class Target { interpreter, cpu, cuda };

/// The options of every command; a command reads those that its help lists.
struct Options {
  /// The `.rondo` (or `.mlir`) file, and which of its mixers; empty when it has one only.
  std::string file, mixer;
  /// Values of `const` arguments, and of named sizes that no array tells.
  std::map<std::string, double> consts;
  std::map<std::string, int64_t> sizes;

  // How to compile.
  Target target = Target::cpu;
  bool sequential = false;
  /// Split the sequence into this many shards that are summarised side by side; 0: do not.
  int64_t shards = 0;
  /// Decode: call the step kernel for `draft` tokens at a time.
  bool step = false;
  int64_t draft = 1;
  /// Tokens a chunk; 0 lets the compiler choose.
  int64_t chunk = 0;
  /// `f32`, `bf16` or `f16` for token arguments and outputs, and exceptions by name.
  std::string dtype = "f32";
  std::map<std::string, std::string> dtypes;
  std::string cpu = "native";
  /// GPU kernels that compute-sanitizer follows.
  bool sanitize = false;
  /// Bits of the vectors that loops are written in; 0: the CPU's widest.
  int64_t vectorBits = 0;

  // Arrays, name to path.
  std::map<std::string, std::string> in, out, stateIn, stateOut, statesOut, expect;
  /// Cotangents of outputs and final states; gradients of arguments and initial states.
  std::map<std::string, std::string> grad, gradState, gradOut, gradStateOut;
  /// The largest relative error to accept; each command has its own default.
  std::optional<double> tolerance;
  /// `check`: gradients instead of outputs.
  bool gradients = false;
  /// Chunks between the states that a backward kernel keeps; 0: as few as memory asks for.
  int64_t keepEvery = 0;

  // What to do around a run.
  int64_t threads = 0;
  bool checkNumbers = false;
  bool time = false;
  bool verbose = false;

  // The other commands.
  /// `compile`: the kernels that the library has.
  bool withCpu = true, withCuda = false;
  std::string stage;
  std::string output;
  bool json = false;
  std::vector<int64_t> lengths;

  /// `run`: also backwards.
  bool hasCotangents() const { return !grad.empty() || !gradState.empty(); }
};

} // namespace rondo::driver

#endif // RONDO_DRIVER_OPTIONS_H
