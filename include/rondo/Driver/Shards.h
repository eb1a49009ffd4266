//===- Shards.h - A sequence split over workers -------------------------------------------------------*- C++ -*-===//
//
// A shard of the sequence takes the states S it begins with to A(S) + N (rondo-summarize). The shards' summaries are
// computed side by side, combined from left to right, and then every shard runs from the states it begins with.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_DRIVER_SHARDS_H
#define RONDO_DRIVER_SHARDS_H

#include "rondo/Driver/Execute.h"

namespace rondo::driver {

/// What one shard does to the states of every batch entry and head: arrays `[B, H, ...]` by state name. Beside the
/// mixer's states (the contributions N) there are the states of the transition A.
struct Summary {
  llvm::StringMap<NpyArray> states;
};

/// One state of a summary.
struct SummaryState {
  std::string name;
  /// Empty for a state of the mixer, else how it acts on `of` (target, source): scalar, rows, cols, elements, coupling,
  /// matrix, matrix_cols or maxplus.
  std::string transition;
  std::vector<std::string> of;
  /// Begins as the identity matrix.
  bool identity = false;
  /// How many other phases must begin right before the state's contribution is.
  int64_t level = 0;
};

/// The states of a summarised mixer and the algebra of its summaries.
class SummaryAlgebra {
public:
  explicit SummaryAlgebra(MixerOp summary);
  llvm::ArrayRef<SummaryState> getStates() const { return states; }
  int64_t getNumLevels() const { return numLevels; }
  /// The states after a shard that begins with `before`: A(before) + N, f32 `[B, H, ...]`.
  llvm::StringMap<NpyArray> apply(const Summary &shard, const llvm::StringMap<NpyArray> &before) const;
  /// The summary of `first` and then `second`.
  Summary compose(const Summary &second, const Summary &first) const;

private:
  std::vector<SummaryState> states;
  int64_t numLevels = 1;
};

/// Turns the mixer of `source` into its summary. The diagnostics say why there is none.
mlir::LogicalResult summarize(Source &source);

/// A mixer with its summary, compiled.
class ShardedMixer {
public:
  /// Null after an error, which has been printed unless `isQuiet`.
  static std::unique_ptr<ShardedMixer> create(const llvm::StringMap<int64_t> &sizes, const Options &options,
                                              Stopwatch &stopwatch, bool isQuiet = false);
  /// Runs `forward`, the mixer's own kernel, in `options.shards` shards. Outputs and final states in `arrays` are
  /// filled.
  mlir::LogicalResult run(const Signature &signature, const Problem &problem, const Options &options, Engine &forward,
                          Arrays &arrays);

private:
  ShardedMixer(std::unique_ptr<Source> source, MixerOp summary);
  std::unique_ptr<Source> source;
  SummaryAlgebra algebra;
  /// Of the summary mixer: its states are the mixer's and those of the transition.
  Signature summarySignature;
  std::unique_ptr<Engine> summaries;
};

} // namespace rondo::driver

#endif // RONDO_DRIVER_SHARDS_H
