//===- Source.cpp - A file, its mixers, and what they take and give ---------------------------------------------===//

#include "rondo/Driver/Source.h"
#include "mlir/Parser/Parser.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Target/Cuda.h"
#include "rondo/Target/Pipelines.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <chrono>

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

LogicalResult error(const Twine &message) {
  errs() << "error: " << message << "\n";
  return failure();
}

std::string suggestion(StringRef name, ArrayRef<StringRef> names) {
  StringRef best;
  unsigned bestDistance = 3;
  for (StringRef candidate : names) {
    unsigned distance = name.edit_distance_insensitive(candidate, /*AllowReplacements=*/true, bestDistance);
    // A name of one letter is not "close" to every other.
    if (distance < bestDistance && distance < std::max(name.size(), candidate.size())) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (!best.empty())
    return ("; did you mean '" + best + "'?").str();
  std::string text = names.empty() ? "; it has none" : "; it has ";
  raw_string_ostream os(text);
  interleaveComma(names, os, [&](StringRef candidate) { os << "'" << candidate << "'"; });
  return text;
}

double Stopwatch::now() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Stopwatch::lap(StringRef stage, bool isCompiling) {
  double time = now();
  if (enabled)
    errs() << "stage " << stage << " ms=" << format("%.1f", time - last) << "\n";
  if (isCompiling)
    compiling += time - last;
  last = time;
}

//===----------------------------------------------------------------------===//
// Source
//===----------------------------------------------------------------------===//

static DialectRegistry dialects() {
  DialectRegistry registry;
  registerCpuDialects(registry);
  registerCudaDialects(registry);
  registry.insert<RondoDialect, chunk::ChunkDialect>();
  return registry;
}

// One small module: threads of its own would cost more than they bring.
Source::Source()
    : context(dialects(), MLIRContext::Threading::DISABLED),
      handler(std::make_unique<RangeDiagnosticHandler>(sources, &context)) {
  context.printOpOnDiagnostic(false);
}

std::unique_ptr<Source> Source::load(const Options &options) {
  std::unique_ptr<Source> source(new Source);
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFileOrSTDIN(options.file, /*IsText=*/true);
  if (std::error_code code = buffer.getError()) {
    (void)error("'" + options.file + "': " + code.message());
    return nullptr;
  }
  source->sources.AddNewSourceBuffer(std::move(*buffer), SMLoc());
  if (sys::path::extension(options.file) == ".mlir") {
    source->module = parseSourceFile<ModuleOp>(source->sources, &source->context);
  } else {
    StringMap<double> consts;
    for (const auto &[name, value] : options.consts)
      consts[name] = value;
    source->module = parseRondo(source->sources, &source->context, consts);
  }
  return source->module ? std::move(source) : nullptr;
}

SmallVector<MixerOp> Source::getMixers() { return llvm::to_vector<4>(module->getOps<MixerOp>()); }

MixerOp Source::chooseMixer(const Options &options) {
  SmallVector<MixerOp> mixers = getMixers();
  SmallVector<StringRef> names = llvm::map_to_vector(mixers, [](MixerOp mixer) { return mixer.getSymName(); });
  if (options.mixer.empty() && mixers.size() == 1)
    return mixers.front();
  if (options.mixer.empty()) {
    std::string list = join(names, ", ");
    (void)error("'" + options.file + "' has " +
                (mixers.empty() ? Twine("no mixer") : "several mixers; choose with --mixer: " + list));
    return MixerOp();
  }
  for (MixerOp mixer : mixers)
    if (mixer.getSymName() == options.mixer)
      return mixer;
  (void)error("'" + options.file + "' has no mixer '" + options.mixer + "'" + suggestion(options.mixer, names));
  return MixerOp();
}

MixerOp Source::keepMixer(const Options &options) {
  MixerOp chosen = chooseMixer(options);
  if (chosen)
    for (MixerOp mixer : getMixers())
      if (mixer != chosen)
        mixer.erase();
  return chosen;
}

//===----------------------------------------------------------------------===//
// Signatures
//===----------------------------------------------------------------------===//

std::string Operand::layout() const {
  SmallVector<StringRef> parts;
  if (role == param)
    parts = {"H"};
  else if (role == state)
    parts = {"B", "H"};
  else
    parts = {"B", "T", "H"};
  for (const Dim &dim : dims)
    parts.push_back(dim.str());
  return "[" + join(parts, ", ") + "]";
}

Signature::Signature(MixerOp op) : mixer(op.getSymName()), sizes(getSizeNames(op)) {
  for (auto [i, type] : enumerate(op.getArgumentTypes())) {
    Operand operand{op.getArgName(i).str(), op.isParam(i) ? Operand::param : Operand::token};
    operand.grouped = op.isGrouped(i);
    operand.dims.assign(cast<ValueType>(type).getDims().begin(), cast<ValueType>(type).getDims().end());
    arguments.push_back(std::move(operand));
  }
  for (auto [i, type] : enumerate(op.getResultTypes())) {
    Operand operand{op.getResultName(i).str(), Operand::output};
    operand.dims.assign(cast<ValueType>(type).getDims().begin(), cast<ValueType>(type).getDims().end());
    outputs.push_back(std::move(operand));
  }
  for (StateOp state : op.getStates()) {
    Operand operand{state.getName().str(), Operand::state};
    ArrayRef<Dim> dims = state.getState().getType().getDims();
    operand.dims.assign(dims.begin(), dims.end());
    operand.init = state.getInit().convertToDouble();
    states.push_back(std::move(operand));
  }
}

} // namespace rondo::driver
