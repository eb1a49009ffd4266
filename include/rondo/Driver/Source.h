//===- Source.h - A file, its mixers, and what they take and give -------------------------------------*- C++ -*-===//

#ifndef RONDO_DRIVER_SOURCE_H
#define RONDO_DRIVER_SOURCE_H

#include "mlir/IR/MLIRContext.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Driver/Options.h"
#include "rondo/Frontend/Frontend.h"
#include "llvm/Support/SourceMgr.h"

namespace rondo::driver {

/// Prints `error: message` and fails: for errors that have no place in the source.
mlir::LogicalResult error(const llvm::Twine &message);

/// "; did you mean 'beta'?" when one of `names` is close to `name`, and the list of names otherwise.
std::string suggestion(llvm::StringRef name, llvm::ArrayRef<llvm::StringRef> names);

/// Prints how long each stage took when asked.
class Stopwatch {
public:
  explicit Stopwatch(bool enabled) : enabled(enabled), last(now()) {}
  /// Ends a stage; reading arrays and running are no part of compiling.
  void lap(llvm::StringRef stage, bool isCompiling = true);
  /// Milliseconds of all stages of compiling so far.
  double getCompileTime() const { return compiling; }

private:
  static double now();
  bool enabled;
  double last, compiling = 0;
};

/// A parsed file. Errors in it have been printed, with their place.
class Source {
public:
  static std::unique_ptr<Source> load(const Options &options);

  mlir::ModuleOp getModule() { return *module; }
  mlir::MLIRContext &getContext() { return context; }
  const llvm::SourceMgr &getSources() const { return sources; }
  llvm::SmallVector<MixerOp> getMixers();
  /// The mixer that the options name, or the only one. Null after an error.
  MixerOp chooseMixer(const Options &options);
  /// The same, and erases the others: what follows is about one mixer.
  MixerOp keepMixer(const Options &options);

private:
  Source();
  mlir::MLIRContext context;
  llvm::SourceMgr sources;
  std::unique_ptr<RangeDiagnosticHandler> handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

//===----------------------------------------------------------------------===//
// Signatures
//===----------------------------------------------------------------------===//

/// One array of a mixer as its user sees it.
struct Operand {
  enum Role { token, param, output, state };
  std::string name;
  Role role;
  /// May have fewer heads than the mixer.
  bool grouped = false;
  /// The sizes of one token's value, in names.
  llvm::SmallVector<Dim, 2> dims = {};
  /// Of a state: its value before the first token.
  double init = 0;

  /// `[B, T, H, K]`
  std::string layout() const;
};

/// The arrays of a mixer. It is taken before sizes are numbers.
struct Signature {
  std::string mixer;
  std::vector<Operand> arguments, outputs, states;
  /// The named sizes, sorted.
  std::vector<std::string> sizes;

  explicit Signature(MixerOp mixer);
};

} // namespace rondo::driver

#endif // RONDO_DRIVER_SOURCE_H
