//===- CheckComments.cpp - Read what inputs a mixer should be tested with ---------------------------------------===//

#include "rondo/Interpreter/Check.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace rondo;

static StringRef takeWord(StringRef &text) {
  text = text.ltrim();
  StringRef word = text.take_until([](char c) { return isspace(static_cast<unsigned char>(c)); });
  text = text.drop_front(word.size()).ltrim();
  return word;
}

/// Reads what follows the name; nothing when it is no generator.
static std::optional<Generator> parseGenerator(StringRef text) {
  Generator generator;
  StringRef word = takeWord(text), argument = text.rtrim();
  if (word == "in") {
    generator.kind = Generator::Kind::range;
    auto [low, high] = argument.split(':');
    if (low.getAsDouble(generator.low) || high.getAsDouble(generator.high) || generator.low > generator.high)
      return std::nullopt;
    return generator;
  }
  if (word == "normal")
    return argument.empty() || !argument.getAsDouble(generator.high) ? std::optional(generator) : std::nullopt;
  if (!argument.empty())
    return std::nullopt;
  if (word == "unit")
    generator.kind = Generator::Kind::unit;
  else if (word == "decay")
    generator.kind = Generator::Kind::decay;
  else if (word == "factor")
    generator.kind = Generator::Kind::factor;
  else
    return std::nullopt;
  return generator;
}

FailureOr<Generators> rondo::parseCheckComments(const llvm::SourceMgr &sources, ModuleOp module) {
  llvm::StringSet<> known;
  for (auto mixer : module.getOps<MixerOp>()) {
    for (unsigned i = 0; i < mixer.getNumArguments(); ++i)
      known.insert(mixer.getArgName(i));
    for (StateOp state : mixer.getStates())
      known.insert(state.getName());
  }

  auto error = [&](StringRef place, const Twine &message) {
    sources.PrintMessage(llvm::SMLoc::getFromPointer(place.data()), llvm::SourceMgr::DK_Error, message);
    return failure();
  };
  Generators generators;
  SmallVector<StringRef> lines;
  sources.getMemoryBuffer(sources.getMainFileID())->getBuffer().split(lines, '\n');
  for (StringRef line : lines) {
    line = line.trim();
    if (!line.consume_front("#") && !line.consume_front("//"))
      continue;
    line = line.ltrim();
    if (!line.consume_front("check:"))
      continue;
    SmallVector<StringRef> entries;
    line.split(entries, ',');
    for (StringRef entry : entries) {
      StringRef rest = entry, name = takeWord(rest);
      if (!known.contains(name))
        return error(name, "no argument or state is named '" + name + "'");
      std::optional<Generator> generator = parseGenerator(rest);
      if (!generator)
        return error(name, "write '" + name + "' and one of: normal, normal SCALE, unit, in LOW:HIGH, decay, factor");
      generators[name] = *generator;
    }
  }
  return generators;
}
