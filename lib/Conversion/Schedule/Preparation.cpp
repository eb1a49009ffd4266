//===- Preparation.cpp - What a kernel before that of tiles makes -----------------------------------------------===//
//
// Token values that depend on no state need no loop over chunks: a kernel with a warp for each chunk (or part of one)
// makes what has no tile form (`rondo-lower-prepare`), and that of tiles reads it as it reads token arrays.
//
// Token arrays are 16-bit numbers as they are. A vector that is handed over is rounded, and where two vectors of tokens
// are multiplied with each other the sum may cancel: its error is relative to |q| |k| and not to q.k. Over many tokens
// that is little against the output, with a few nothing hides it. So for the first chunk of a sequence, where alone
// tokens can be few, what rounding q loses is handed over as well (elsewhere it counts as 0), and such a product is
//
//   q.k + lost(q).k + q.lost(k)
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Preparation.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

/// More than this costs more than it saves.
static constexpr size_t kMostCuts = 8;

static void eraseDead(func::FuncOp body) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

Preparation::Preparation(func::FuncOp body, Type element) : body(body), element(element), analysis(body) {
  IRMapping map;
  OpBuilder b(body);
  rest = cast<func::FuncOp>(b.clone(*body, map));
  for (auto [from, to] : map.getValueMap())
    originals[to] = from;
  SmallVector<BlockArgument> states;
  for (BlockArgument argument : body.getArguments()) {
    auto name = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.name");
    auto role = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role");
    if (name)
      names.insert(name.getValue());
    if (role && role.getValue() == "state")
      states.push_back(argument);
  }
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i)
    names.insert(body.getResultAttrOfType<StringAttr>(i, "rondo.name").getValue());
  if (auto program = body->getAttrOfType<ArrayAttr>("rondo.program"))
    for (auto array : program.getAsRange<DictionaryAttr>())
      names.insert(array.getAs<StringAttr>("name").getValue());
  analysis.setStates(states);
}

Preparation::~Preparation() {
  if (rest)
    rest.erase();
}

static ArrayAttr dimsOf(Value value, bool isTotal) {
  Builder b(value.getContext());
  SmallVector<Attribute> dims;
  for (int64_t size : shapeOf(value).drop_front(isTotal ? 0 : 1))
    dims.push_back(b.getStringAttr(Twine(size)));
  return b.getArrayAttr(dims);
}

static DictionaryAttr describe(StringRef name, StringRef role, ArrayAttr dims) {
  Builder b(dims.getContext());
  return b.getDictionaryAttr({b.getNamedAttr("rondo.name", b.getStringAttr(name)),
                              b.getNamedAttr("rondo.role", b.getStringAttr(role)), b.getNamedAttr("rondo.dims", dims)});
}

BlockArgument Preparation::add(Value original, Cut::Kind kind) {
  StringRef rounded = kind == Cut::Lost ? StringRef(cuts.back().second.name) : StringRef();
  std::string name;
  for (int64_t number = 0; name.empty() || names.contains(name); ++number)
    name = "temporary_" + std::to_string(number);
  names.insert(name);
  unsigned position = rest.getNumArguments();
  bool isTotal = kind == Cut::Total;
  NamedAttrList attrs(describe(name, isTotal ? "total" : "token", dimsOf(original, isTotal)));
  if (!rounded.empty())
    attrs.set("rondo.lost", StringAttr::get(rest.getContext(), rounded));
  if (failed(
          rest.insertArgument(position, original.getType(), attrs.getDictionary(rest.getContext()), original.getLoc())))
    llvm_unreachable("a function without its type");
  BlockArgument argument = rest.getArgument(position);
  cuts.push_back({original, {name, kind, argument}});
  return argument;
}

SmallVector<linalg::ContractOp> Preparation::getGrams(Value value) {
  Analysis current(rest);
  SmallVector<BlockArgument> states;
  for (BlockArgument argument : rest.getArguments().drop_front())
    if (rest.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role").getValue() == "state")
      states.push_back(argument);
  current.setStates(states);
  llvm::SetVector<linalg::ContractOp> grams;
  for (Operation *user : value.getUsers())
    if (auto product = dyn_cast<linalg::ContractOp>(user))
      if (current.timedAxes(product.getResult(0)) == 3 && !current.dependsOn(product.getInputs()[0]) &&
          !current.dependsOn(product.getInputs()[1]))
        grams.insert(product);
  return grams.takeVector();
}

bool Preparation::take(Value value) {
  Value original = originals.lookup(value);
  if (!original)
    return false;
  bool isTotal = !(analysis.timedAxes(original) & 1);
  SmallVector<linalg::ContractOp> grams;
  if (!isTotal && shapeOf(value).size() == 2)
    grams = getGrams(value);
  if (cuts.size() + (grams.empty() ? 1 : 2) > kMostCuts)
    return false;

  BlockArgument argument = add(original, isTotal ? Cut::Total : Cut::Row);
  if (!grams.empty()) {
    BlockArgument lost = add(original, Cut::Lost);
    auto isLost = [&](Value operand) {
      return llvm::any_of(cuts,
                          [&](auto &cut) { return cut.second.argument == operand && cut.second.kind == Cut::Lost; });
    };
    for (linalg::ContractOp gram : grams)
      for (unsigned side = 0; side < 2; ++side) {
        // The product of what both have lost is far below what is kept.
        if (gram.getInputs()[side] != value || isLost(gram.getInputs()[1 - side]))
          continue;
        OpBuilder b(gram);
        auto more = cast<linalg::ContractOp>(b.clone(*gram));
        more->setOperand(side, lost);
        gram->setOperand(2, more.getResult(0));
      }
  }
  // The values of rows after the end, where a later operation may rely on them.
  Value replacement = argument;
  OpBuilder b(rest.getContext());
  b.setInsertionPointToStart(&rest.getBody().front());
  if (std::optional<double> padding = analysis.getKept(original); padding && analysis.isKept(original))
    replacement =
        chunk::KeepRowsOp::create(b, value.getLoc(), argument, rest.getArgument(0), b.getF32FloatAttr(*padding));
  value.replaceAllUsesWith(replacement);
  eraseDead(rest);
  return true;
}

SmallVector<DictionaryAttr> Preparation::getArrays() {
  Builder b(element.getContext());
  SmallVector<DictionaryAttr> arrays;
  for (auto &[value, cut] : cuts) {
    if (!isUsed(cut))
      continue;
    bool isTotal = cut.kind == Cut::Total;
    ArrayRef<int64_t> sizes = shapeOf(value).drop_front(isTotal ? 0 : 1);
    Type type = isTotal || sizes.empty() ? b.getF32Type() : element;
    arrays.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(cut.name)), b.getNamedAttr("role", b.getStringAttr("temporary")),
         b.getNamedAttr("type", TypeAttr::get(type)), b.getNamedAttr("sizes", b.getDenseI64ArrayAttr(sizes)),
         b.getNamedAttr("dims", dimsOf(value, isTotal))}));
  }
  return arrays;
}

/// x - round(x)
static Value lostByRounding(OpBuilder &builder, Value value, Type element) {
  auto type = cast<RankedTensorType>(value.getType());
  Location loc = value.getLoc();
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(), type.getElementType());
  SmallVector<AffineMap> maps(2, builder.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      builder, loc, type, value, empty, maps, loops, [&](OpBuilder &b, Location loc, ValueRange values) {
        Value rounded = arith::TruncFOp::create(b, loc, element, values[0]);
        rounded = arith::ExtFOp::create(b, loc, values[0].getType(), rounded);
        linalg::YieldOp::create(b, loc, arith::SubFOp::create(b, loc, values[0], rounded).getResult());
      });
  return generic.getResult(0);
}

func::FuncOp Preparation::emit() {
  // What computes the values, and which arguments.
  llvm::SetVector<Operation *> needed;
  llvm::SetVector<Value> used;
  SmallVector<Value> worklist;
  for (auto &[value, cut] : cuts)
    if (isUsed(cut))
      worklist.push_back(value);
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    used.insert(value);
    if (Operation *op = value.getDefiningOp(); op && needed.insert(op)) {
      llvm::SetVector<Value> captured;
      getUsedValuesDefinedAbove(op->getRegions(), captured);
      llvm::append_range(worklist, op->getOperands());
      llvm::append_range(worklist, captured);
    }
  }
  SmallVector<BlockArgument> arguments{body.getArgument(0)};
  for (BlockArgument argument : body.getArguments().drop_front())
    if (used.contains(argument))
      arguments.push_back(argument);
  SmallVector<Type> inputs, outputs;
  for (BlockArgument argument : arguments)
    inputs.push_back(argument.getType());
  for (auto &[value, cut] : cuts)
    if (isUsed(cut))
      outputs.push_back(value.getType());

  OpBuilder b(body);
  auto function = func::FuncOp::create(b, body.getLoc(), (body.getSymName() + "_prepare").str(),
                                       b.getFunctionType(inputs, outputs));
  function->setAttr("rondo.chunk", body->getAttr("rondo.chunk"));
  function->setAttr("rondo.prepare", b.getUnitAttr());
  Block *entry = function.addEntryBlock();
  IRMapping map;
  for (auto [i, argument] : llvm::enumerate(arguments)) {
    map.map(argument, entry->getArgument(i));
    function.setArgAttrs(i, body.getArgAttrDict(argument.getArgNumber()));
  }
  b.setInsertionPointToStart(entry);
  for (Operation &op : body.getBody().front())
    if (needed.contains(&op))
      b.clone(op, map);
  SmallVector<Value> results;
  for (auto &[value, cut] : cuts) {
    if (!isUsed(cut))
      continue;
    bool isTotal = cut.kind == Cut::Total;
    StringRef role = isTotal ? "total" : cut.kind == Cut::Lost ? "first" : "output";
    function.setResultAttrs(results.size(), describe(cut.name, role, dimsOf(value, isTotal)));
    results.push_back(map.lookup(value));
    if (cut.kind == Cut::Lost)
      results.back() = lostByRounding(b, results.back(), element);
  }
  func::ReturnOp::create(b, body.getLoc(), results);
  return function;
}
