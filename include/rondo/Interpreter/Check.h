//===- Check.h - Does a kernel compute what its mixer means? ------------------------------------------*- C++ -*-===//
//
// Random and hard inputs for a mixer, and the distance between a kernel and the interpreter on them.
//
// What is a sensible input is written in comments of the source, anywhere in the file:
//
//   # check: q unit, k unit, g decay, beta in 0:1
//
// Each entry is the name of an argument or a state of the file's mixers, and one of
//
//   normal [SCALE]   normal numbers times SCALE (default 1); what is not mentioned is `normal`
//   unit             vectors of norm 1
//   in LOW:HIGH      uniform numbers
//   decay            a log decay <= 0, as hard as the case asks (`GateKind`)
//   factor           exp of such a log decay
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_INTERPRETER_CHECK_H
#define RONDO_INTERPRETER_CHECK_H

#include "mlir/IR/BuiltinOps.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Support/Npy.h"

namespace llvm {
class SourceMgr;
} // namespace llvm

namespace rondo {

/// How hard the decays of a case are. With N normal: `soft` -0.01 |N|; `strong` -9 |N|; `resets` soft, but 5 to 12 % of
/// them are -1e4 or -inf; `zero` no decay at all.
enum class GateKind { soft, strong, resets, zero };
llvm::StringRef stringifyGateKind(GateKind kind);

/// How one array is drawn.
struct Generator {
  enum class Kind { normal, unit, range, decay, factor };
  Kind kind = Kind::normal;
  double low = 0;  // range
  double high = 1; // range; the scale of normal
};

/// Generators by the name of an argument or state.
using Generators = llvm::StringMap<Generator>;

/// Reads the `check:` comments (after `#` or `//`) of the main buffer of `sources`, whose mixers are in `module`.
/// Prints an error with line and caret when one is wrong.
mlir::FailureOr<Generators> parseCheckComments(const llvm::SourceMgr &sources, mlir::ModuleOp module);

/// The kinds worth trying: all when a generator depends on them, else only the first.
llvm::SmallVector<GateKind> getGateKinds(const Generators &generators);

/// One set of inputs to draw.
struct CheckCase {
  GateKind gates = GateKind::soft;
  int64_t batch = 1, time = 1, heads = 2;
  /// Heads of arguments that may have fewer.
  int64_t groupedHeads = 1;
  /// Whether to draw initial states; otherwise they are left to their `init`.
  bool initialStates = false;
  uint64_t seed = 0;
  /// The element type of token arguments and outputs, and exceptions by name. Parameters and states are f32.
  ElementType type = ElementType::f32;
  llvm::StringMap<ElementType> types;
};

/// The arrays of one run by name, in the shapes of Interpreter.h.
struct CheckArrays {
  llvm::StringMap<NpyArray> inputs, initialStates, outputs, finalStates;
};

/// Draws inputs and initial states for the specialised `mixer`. Outputs and final states are there too, full of NaN.
CheckArrays drawArrays(MixerOp mixer, const Generators &generators, const CheckCase &checkCase);

/// The arrays with the outputs and final states, in f64, that the interpreter gives for the inputs and initial states.
llvm::Expected<CheckArrays> interpretArrays(MixerOp mixer, const CheckArrays &arrays);

/// How far one output or final state is from what it means.
struct CheckResult {
  std::string name;
  bool isState = false;
  /// The largest ||kernel - interpreter|| / ||interpreter|| over batch entries and heads; a head that cancels to less
  /// than a tenth of the average is measured against that tenth.
  double error = 0;
  /// Elements that are not finite where the interpreter's are, or the other way round. They are not part of `error`.
  int64_t wrongNonFinite = 0;

  bool isWithin(double tolerance) const { return wrongNonFinite == 0 && error <= tolerance; }
};

/// Compares the outputs and final states in `arrays` with what the interpreter gives for its inputs and initial states.
llvm::Expected<std::vector<CheckResult>> compareWithInterpreter(MixerOp mixer, const CheckArrays &arrays);

/// All of it: draws arrays, lets `kernel` fill the outputs and final states, and compares.
llvm::Expected<std::vector<CheckResult>> checkKernel(MixerOp mixer, const Generators &generators,
                                                     const CheckCase &checkCase,
                                                     llvm::function_ref<llvm::Error(CheckArrays &)> kernel);

} // namespace rondo

#endif // RONDO_INTERPRETER_CHECK_H
