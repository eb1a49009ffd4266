//===- Frontend.cpp - From `.rondo` text to the token-level dialect ---------------------------------------------===//

#include "rondo/Frontend/Frontend.h"
#include "Parser.h"
#include "Sema.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::frontend;

/// Two mixers may not share a name, and every given const must belong to a mixer.
static LogicalResult checkFile(const Source &source, ArrayRef<Mixer> mixers, const llvm::StringMap<double> &consts) {
  llvm::StringMap<SMRange> names;
  for (const Mixer &mixer : mixers) {
    auto [it, isNew] = names.try_emplace(mixer.name.text, mixer.name.range);
    if (isNew)
      continue;
    InFlightDiagnostic error = source.error(mixer.name.range);
    error << "the file has two mixers named '" << mixer.name.text << "'; rename one";
    error.attachNote(source.at(it->second)) << "the other one";
    return failure();
  }
  for (const auto &given : consts) {
    auto hasConst = [&](const Mixer &mixer) {
      return llvm::any_of(mixer.arguments, [&](const Declaration &argument) {
        return argument.kind == Declaration::Const && argument.name.text == given.first();
      });
    };
    if (llvm::none_of(mixers, hasConst)) {
      source.error(mixers.front().name.range)
          << "a value is given for '" << given.first() << "', and no mixer of the file has such a const; write 'const "
          << given.first() << "' among the arguments";
      return failure();
    }
  }
  return success();
}

OwningOpRef<ModuleOp> rondo::parseRondo(llvm::SourceMgr &sources, MLIRContext *context,
                                        const llvm::StringMap<double> &consts) {
  context->loadDialect<RondoDialect>();
  Source source(sources, context);
  auto mixers = parse(source);
  if (!mixers || failed(checkFile(source, *mixers, consts)))
    return nullptr;

  auto start = llvm::SMLoc::getFromPointer(source.text().begin());
  OwningOpRef<ModuleOp> module = ModuleOp::create(source.at({start, start}));
  bool ok = true;
  for (const Mixer &mixer : *mixers)
    ok &= succeeded(MixerBuilder(source, mixer, consts).build(*module));
  if (!ok || failed(verify(*module)))
    return nullptr;
  return module;
}

//===----------------------------------------------------------------------===//
// RangeDiagnosticHandler
//===----------------------------------------------------------------------===//

RangeDiagnosticHandler::RangeDiagnosticHandler(llvm::SourceMgr &sources, MLIRContext *context, raw_ostream &os)
    : ScopedDiagnosticHandler(context), sources(sources), os(os) {
  setHandler([this](Diagnostic &diagnostic) {
    print(diagnostic.getLocation(), diagnostic.str(), diagnostic.getSeverity());
    for (Diagnostic &note : diagnostic.getNotes())
      print(note.getLocation(), note.str(), note.getSeverity());
  });
}

static llvm::SourceMgr::DiagKind toDiagKind(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Note:
    return llvm::SourceMgr::DK_Note;
  case DiagnosticSeverity::Warning:
    return llvm::SourceMgr::DK_Warning;
  case DiagnosticSeverity::Error:
    return llvm::SourceMgr::DK_Error;
  case DiagnosticSeverity::Remark:
    return llvm::SourceMgr::DK_Remark;
  }
  llvm_unreachable("unknown severity");
}

void RangeDiagnosticHandler::print(Location loc, const Twine &message, DiagnosticSeverity severity) {
  auto range = loc->findInstanceOf<FileLineColRange>();
  llvm::SMLoc start, end;
  if (range) {
    for (unsigned id = 1; id <= sources.getNumBuffers(); ++id) {
      if (sources.getMemoryBuffer(id)->getBufferIdentifier() != range.getFilename().getValue())
        continue;
      start = sources.FindLocForLineAndColumn(id, range.getStartLine(), range.getStartColumn());
      end = sources.FindLocForLineAndColumn(id, range.getEndLine(), range.getEndColumn());
    }
  }
  if (!start.isValid()) {
    // The text is elsewhere: say only where.
    SmallString<64> place;
    if (range)
      (range.getFilename().getValue() + ":" + Twine(range.getStartLine()) + ":" + Twine(range.getStartColumn()))
          .toVector(place);
    llvm::SMDiagnostic(place, toDiagKind(severity), message.str()).print("", os, /*ShowColors=*/false);
    return;
  }
  SmallVector<SMRange, 1> ranges;
  if (end.isValid() && start.getPointer() < end.getPointer())
    ranges.push_back({start, end});
  sources.PrintMessage(os, start, toDiagKind(severity), message, ranges);
}
