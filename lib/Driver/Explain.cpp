//===- Explain.cpp - `rondoc explain`: how a mixer will run, and why --------------------------------------------===//

#include "mlir/Pass/PassManager.h"
#include "rondo/Analysis/Structure.h"
#include "rondo/Driver/Driver.h"
#include "rondo/Driver/Source.h"
#include "rondo/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

//===----------------------------------------------------------------------===//
// What the analysis knows, in words
//===----------------------------------------------------------------------===//

/// `gla.rondo:4:3`
static std::string place(Location loc) {
  if (auto range = loc->findInstanceOf<FileLineColRange>())
    return (sys::path::filename(range.getFilename().strref()) + ":" + Twine(range.getStartLine()) + ":" +
            Twine(range.getStartColumn()))
        .str();
  return "?";
}

/// The arguments, and the states through their reads, that a value is computed from.
static llvm::SetVector<StringRef> dependencies(MixerOp mixer, ValueRange values) {
  llvm::SetVector<StringRef> names;
  llvm::SetVector<Value> work(values.begin(), values.end());
  for (size_t i = 0; i < work.size(); ++i) {
    Value value = work[i];
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      names.insert(mixer.getArgName(argument.getArgNumber()));
      continue;
    }
    if (auto state = value.getDefiningOp<StateOp>()) {
      names.insert(state.getName());
      continue;
    }
    for (Value operand : value.getDefiningOp()->getOperands())
      work.insert(operand);
  }
  return names;
}

namespace {

/// One statement that touches a state.
struct Touch {
  StringRef verb;
  std::string place;
  SmallVector<StringRef> from;
};

/// One state.
struct StateReport {
  StateOp state;
  const Phase *phase;
  std::vector<Touch> touches;
};

} // namespace

static StringRef verbOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](DecayOp) { return "decay"; })
      .Case([](RotateStateOp) { return "rotation"; })
      .Case([](WriteOp) { return "write"; })
      .Case([](AccumulateOp) { return "sum"; })
      .Case([](StoreOp) { return "new value"; })
      .Default([](Operation *) { return "read"; });
}

static StateReport describe(MixerOp mixer, const Phase &phase, StateOp state) {
  StateReport report{state, &phase, {}};
  for (Operation *op : phase.touches) {
    if (op->getOperand(0) != state.getState())
      continue;
    llvm::SetVector<StringRef> from = dependencies(mixer, op->getOperands().drop_front());
    report.touches.push_back({verbOf(op), place(op->getLoc()), from.takeVector()});
  }
  return report;
}

static StringRef formOf(const Phase &phase) {
  if (phase.linear)
    return phase.selfRead ? "chunk, with one triangular solve" : "chunk";
  switch (phase.scan) {
  case ScanKind::affine:
    return "elementwise scan";
  case ScanKind::maxplus:
    return "max-plus scan";
  case ScanKind::sequential:
    return "one token at a time";
  }
  llvm_unreachable("unknown scan");
}

static std::string reasonOf(const Phase &phase) {
  if (!phase.linear)
    return phase.reason;
  if (!phase.selfRead)
    return "it is linear, and nothing written depends on it";
  return "what is written is affine in its own reads";
}

/// Operations a token and head (a multiply-add is two), in chunks of C tokens, causal halves as halves: every read and
/// every write meets the carried state, and inside the chunk every read meets every write.
static Dim costOf(const Phase &phase) {
  int64_t reads = llvm::count_if(phase.touches, [](Operation *op) { return isa<ReadOp>(op); });
  int64_t writes = llvm::count_if(phase.touches, [](Operation *op) { return isa<WriteOp>(op); });
  ArrayRef<Dim> dims = StateOp(phase.states.front()).getType().getDims();
  Dim rows = dims.empty() ? Dim(1) : dims[0], cols = dims.size() < 2 ? Dim(1) : dims[1];
  if (!phase.linear) {
    Dim cost = Dim(2 * int64_t(phase.touches.size())) * rows * cols;
    for (Operation *op : phase.members)
      if (auto matmul = dyn_cast<MatmulOp>(op)) {
        Dim product(2);
        for (const Dim &dim : matmul.getLhs().getType().getDims())
          product = product * dim;
        for (const Dim &dim : matmul.getRhs().getType().getDims().drop_front())
          product = product * dim;
        cost = cost + product;
      }
    return cost;
  }
  return Dim(2 * (reads + writes)) * rows * cols + Dim(reads * writes) * Dim::name("C") * (rows + cols);
}

/// Bytes of the states of one head, all of which the backward pass keeps before every chunk.
static Dim savedBytesOf(const Signature &signature) {
  Dim bytes;
  for (const Operand &state : signature.states) {
    Dim size = sizeof(float);
    for (const Dim &dim : state.dims)
      size = size * dim;
    bytes = bytes + size;
  }
  return bytes;
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

static std::string heading(const Signature &signature) {
  std::string text;
  raw_string_ostream os(text);
  auto print = [&](const Operand &operand) {
    os << (operand.role == Operand::param ? "param " : "") << operand.name;
    if (operand.dims.empty())
      return;
    os << "[";
    interleaveComma(operand.dims, os, [&](const Dim &dim) { os << dim.str(); });
    os << "]";
  };
  os << signature.mixer << "(";
  interleaveComma(signature.arguments, os, print);
  os << ") -> ";
  interleaveComma(signature.outputs, os, print);
  return text;
}

static void printText(const Signature &signature, MixerOp mixer, const Structure &structure, raw_ostream &os) {
  os << "mixer " << heading(signature) << "\n";
  for (auto [i, phase] : enumerate(structure.getPhases())) {
    os << "  phase " << i + 1 << ": " << formOf(phase) << ", because " << reasonOf(phase) << "\n"
       << "    about " << costOf(phase).str() << " operations a token and head"
       << (phase.linear ? " in chunks of C tokens" : "") << "\n";
    for (StateOp state : phase.states) {
      StateReport report = describe(mixer, phase, state);
      os << "    state " << state.getName();
      if (state.getType().getRank()) {
        os << "[";
        interleaveComma(state.getType().getDims(), os, [&](const Dim &dim) { os << dim.str(); });
        os << "]";
      }
      os << ": " << (phase.linear ? phase.transition.describe() : "no linear transition") << "\n";
      for (const Touch &touch : report.touches) {
        os << "      " << touch.verb << " at " << touch.place << (touch.from.empty() ? "" : " from ");
        interleaveComma(touch.from, os);
        os << "\n";
      }
    }
  }
  os << "  backward: keeps the states before every chunk of C tokens, " << savedBytesOf(signature).str()
     << " bytes a head and chunk (divide by C for a token's;\n"
     << "    fewer with --keep-every), and computes everything inside a chunk again; about three times the operations "
        "above, and once more those "
        "that change states\n";
  os.flush();
  // After the text, so that the two do not mix.
  structure.remarkSequential();
}

static json::Value toJson(const Signature &signature, MixerOp mixer, const Structure &structure) {
  auto strings = [](auto &&range) {
    json::Array array;
    for (const auto &item : range)
      array.push_back(StringRef(item).str());
    return array;
  };
  auto operands = [](const std::vector<Operand> &list) {
    json::Array array;
    for (const Operand &operand : list)
      array.push_back(json::Object{{"name", operand.name}, {"layout", operand.layout()}, {"grouped", operand.grouped}});
    return array;
  };
  json::Array phases;
  for (const Phase &phase : structure.getPhases()) {
    json::Array states;
    for (StateOp state : phase.states) {
      json::Array touches;
      for (const Touch &touch : describe(mixer, phase, state).touches)
        touches.push_back(json::Object{{"kind", touch.verb}, {"at", touch.place}, {"from", strings(touch.from)}});
      states.push_back(json::Object{{"name", state.getName()}, {"touches", std::move(touches)}});
    }
    json::Object object{{"form", formOf(phase)},
                        {"linear", phase.linear},
                        {"reason", reasonOf(phase)},
                        {"operations", costOf(phase).str()},
                        {"states", std::move(states)}};
    if (phase.linear)
      object["transition"] = phase.transition.describe();
    else if (phase.obstacle)
      object["obstacle"] = place(phase.obstacle->getLoc());
    phases.push_back(std::move(object));
  }
  return json::Object{{"mixer", signature.mixer},
                      {"arguments", operands(signature.arguments)},
                      {"outputs", operands(signature.outputs)},
                      {"states", operands(signature.states)},
                      {"sizes", strings(signature.sizes)},
                      {"phases", std::move(phases)},
                      {"cascade", structure.isCascade()},
                      {"backward", json::Object{{"keeps", "states before every chunk"},
                                                {"bytes_per_head_and_chunk", savedBytesOf(signature).str()},
                                                {"computes_again", "everything inside a chunk"}}}};
}

int explain(const Options &options) {
  std::unique_ptr<Source> source = Source::load(options);
  if (!source || (!options.mixer.empty() && !source->keepMixer(options)))
    return 1;
  PassManager manager(&source->getContext(), ModuleOp::getOperationName());
  manager.addNestedPass<MixerOp>(createRondoRaiseUpdates());
  if (failed(manager.run(source->getModule())))
    return 1;
  for (MixerOp mixer : source->getMixers()) {
    Signature signature(mixer);
    Structure structure(mixer);
    if (options.json)
      outs() << formatv("{0:2}", toJson(signature, mixer, structure)) << "\n";
    else
      printText(signature, mixer, structure, outs());
  }
  return 0;
}

} // namespace rondo::driver
