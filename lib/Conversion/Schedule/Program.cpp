//===- Program.cpp - One chunk body as several ------------------------------------------------------------------===//

#include "Program.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

llvm::SetVector<Value> schedule::operandsOf(Operation *op) {
  llvm::SetVector<Value> values;
  getUsedValuesDefinedAbove(op->getRegions(), values);
  values.insert(op->operand_begin(), op->operand_end());
  return values;
}

bool Program::isCandidate(func::FuncOp body) {
  return body->hasAttr("rondo.chunk") && !body->hasAttr("rondo.arrays") && !body->hasAttr("rondo.backward");
}

Program::Program(func::FuncOp body)
    : body(body), analysis(body), chunk(body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt()) {
  for (BlockArgument argument : body.getArguments()) {
    auto role = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role");
    if (role && role.getValue() == "state")
      states.push_back(argument);
  }
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i)
    if (body.getResultAttrOfType<StringAttr>(i, "rondo.role").getValue() == "state")
      finals.push_back(i);
  if (states.size() <= 64)
    analysis.setStates(states);
}

static ArrayAttr dimsOf(Value cut) {
  Builder b(cut.getContext());
  SmallVector<Attribute> dims;
  for (int64_t size : shapeOf(cut).drop_front())
    dims.push_back(b.getStringAttr(Twine(size)));
  return b.getArrayAttr(dims);
}

DictionaryAttr Program::attributesOf(Value cut, StringRef role) {
  Builder b(body.getContext());
  SmallVector<NamedAttribute> entries{b.getNamedAttr("rondo.name", b.getStringAttr(cuts[cut].name)),
                                      b.getNamedAttr("rondo.role", b.getStringAttr(role)),
                                      b.getNamedAttr("rondo.dims", dimsOf(cut))};
  if (auto lost = cut.getDefiningOp<chunk::LostOp>(); lost && role == "token")
    entries.push_back(b.getNamedAttr("rondo.lost", b.getStringAttr(cuts[lost.getOperand()].name)));
  if (analysis.timedAxes(cut) == 3)
    entries.push_back(b.getNamedAttr("rondo.square", b.getUnitAttr()));
  return b.getDictionaryAttr(entries);
}

/// The arrays of all kernels, for `rondo.arrays` of each.
ArrayAttr Program::describeProgram() {
  Builder b(body.getContext());
  SmallVector<Attribute> arrays;
  auto describe = [&](StringRef name, StringRef role, ArrayRef<int64_t> sizes, ArrayAttr dims) {
    arrays.push_back(b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(name)),
                                          b.getNamedAttr("role", b.getStringAttr(role)),
                                          b.getNamedAttr("sizes", b.getDenseI64ArrayAttr(sizes)),
                                          b.getNamedAttr("dims", dims ? dims : b.getArrayAttr({}))}));
  };
  auto describeArgument = [&](BlockArgument argument) {
    unsigned i = argument.getArgNumber();
    StringRef role = body.getArgAttrOfType<StringAttr>(i, "rondo.role").getValue();
    describe(analysis.getName(argument), role, shapeOf(argument).drop_front(role == "token" ? 1 : 0),
             body.getArgAttrOfType<ArrayAttr>(i, "rondo.dims"));
  };
  // A part that is split again: the arrays of all parts are known.
  if (auto whole = body->getAttrOfType<ArrayAttr>("rondo.program")) {
    llvm::append_range(arrays, whole);
    for (auto &[value, cut] : cuts)
      describe(cut.name, "temporary", shapeOf(value).drop_front(), dimsOf(value));
    return b.getArrayAttr(arrays);
  }
  for (BlockArgument argument : body.getArguments().drop_front())
    if (!analysis.isState(argument))
      describeArgument(argument);
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i)
    if (!llvm::is_contained(finals, i))
      describe(body.getResultAttrOfType<StringAttr>(i, "rondo.name").getValue(), "output",
               cast<RankedTensorType>(body.getResultTypes()[i]).getShape().drop_front(),
               body.getResultAttrOfType<ArrayAttr>(i, "rondo.dims"));
  for (BlockArgument state : states)
    if (analysis.getOriginal(state).empty())
      describeArgument(state);
  for (auto &[value, cut] : cuts)
    describe(cut.name, "temporary", shapeOf(value).drop_front(), dimsOf(value));
  return b.getArrayAttr(arrays);
}

void Program::emit(int64_t number, ArrayAttr arrays) {
  Part &part = parts[number];
  OpBuilder b(body);
  Block &block = body.getBody().front();

  // Arguments: the tokens' count, what the operations use, what is read of earlier parts, states.
  llvm::SetVector<Value> used;
  for (Operation *op : part.ops)
    used.insert_range(operandsOf(op));
  for (unsigned result : part.results)
    used.insert(block.getTerminator()->getOperand(result));
  SmallVector<std::pair<Value, DictionaryAttr>> arguments{{body.getArgument(0), body.getArgAttrDict(0)}};
  for (BlockArgument argument : body.getArguments().drop_front())
    if (!analysis.isState(argument) && used.contains(argument))
      arguments.push_back({argument, body.getArgAttrDict(argument.getArgNumber())});
  for (auto &[value, cut] : cuts)
    if (part.read.contains(value))
      arguments.push_back({value, attributesOf(value, "token")});
  for (int64_t state : part.states)
    arguments.push_back({states[state], body.getArgAttrDict(states[state].getArgNumber())});

  SmallVector<std::pair<Value, DictionaryAttr>> results;
  for (bool isFinal : {false, true}) {
    for (unsigned result : part.results)
      if (llvm::is_contained(finals, result) == isFinal)
        results.push_back({block.getTerminator()->getOperand(result), body.getResultAttrDict(result)});
    if (!isFinal)
      for (auto &[value, cut] : cuts)
        if (part.written.contains(value))
          results.push_back({value, attributesOf(value, "output")});
  }

  auto typeOf = [](auto &entry) { return entry.first.getType(); };
  auto function = func::FuncOp::create(
      b, body.getLoc(), (body.getSymName() + "_part_" + Twine(number)).str(),
      b.getFunctionType(llvm::map_to_vector(arguments, typeOf), llvm::map_to_vector(results, typeOf)));
  for (NamedAttribute attribute : body->getDiscardableAttrs())
    function->setAttr(attribute.getName(), attribute.getValue());
  if (!body->hasAttr("rondo.kernel"))
    function->setAttr("rondo.kernel", b.getStringAttr(body.getSymName() + "_kernel_" + Twine(number)));
  function->setAttr("rondo.program", arrays);
  Block *entry = function.addEntryBlock();
  b.setInsertionPointToStart(entry);
  IRMapping map;
  for (auto [i, entryOf] : llvm::enumerate(arguments)) {
    auto [value, attributes] = entryOf;
    entry->getArgument(i).setLoc(value.getLoc());
    function.setArgAttrs(i, attributes);
    map.map(value, entry->getArgument(i));
  }
  for (auto &[value, cut] : cuts)
    if (part.read.contains(value) && cut.padding)
      map.map(value, chunk::KeepRowsOp::create(b, value.getLoc(), map.lookup(value), entry->getArgument(0),
                                               b.getF32FloatAttr(*cut.padding)));
  for (Operation &op : block)
    if (part.ops.contains(&op))
      b.clone(op, map);
  SmallVector<Value> returned;
  for (auto [i, entryOf] : llvm::enumerate(results)) {
    function.setResultAttrs(i, entryOf.second);
    returned.push_back(map.lookup(entryOf.first));
  }
  func::ReturnOp::create(b, block.getTerminator()->getLoc(), returned);
}

void Program::replaceBody() {
  llvm::StringSet<> names;
  for (BlockArgument argument : body.getArguments().drop_front())
    names.insert(analysis.getName(argument));
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i)
    names.insert(body.getResultAttrOfType<StringAttr>(i, "rondo.name").getValue());
  if (auto whole = body->getAttrOfType<ArrayAttr>("rondo.program"))
    for (auto array : whole.getAsRange<DictionaryAttr>())
      names.insert(array.getAs<StringAttr>("name").getValue());
  int64_t number = 0;
  for (auto &[value, cut] : cuts) {
    do
      cut.name = "temporary_" + std::to_string(number++);
    while (names.contains(cut.name));
  }
  ArrayAttr arrays = describeProgram();
  for (int64_t i = 0, e = parts.size(); i < e; ++i)
    emit(i, arrays);
  if (Attribute before = body->getAttr("rondo.program"))
    renumber(before, arrays);
  body.erase();
}

/// The kernels of a program of which one part is now several: in their order, with the arrays of all.
void Program::renumber(Attribute before, ArrayAttr after) {
  Builder b(body.getContext());
  int64_t number = 0;
  for (auto function : body->getParentOfType<ModuleOp>().getOps<func::FuncOp>()) {
    Attribute program = function->getAttr("rondo.program");
    if (function == body || (program != before && program != after))
      continue;
    StringRef name = function->getAttrOfType<StringAttr>("rondo.kernel").getValue().rsplit('_').first;
    function->setAttr("rondo.kernel", b.getStringAttr(name + "_" + Twine(number++)));
    function->setAttr("rondo.program", after);
  }
}
