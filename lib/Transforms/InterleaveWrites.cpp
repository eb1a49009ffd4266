//===- InterleaveWrites.cpp - One write a row, several rows a token ---------------------------------------------===//

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOINTERLEAVEWRITES
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

/// More rows would leave too few tokens in a chunk.
static constexpr size_t kMaxWrites = 4;

namespace {
/// What touches the state from one write to the next, and the write.
struct Segment {
  SmallVector<ReadOp> reads;
  DecayOp decay;
  /// How many of the reads come before the decay.
  size_t before = 0;
  WriteOp write;
};

/// The values that one operation has in the rows of a token.
using Rows = SmallVector<Value, kMaxWrites>;

class Interleaver {
public:
  explicit Interleaver(MixerOp mixer) : mixer(mixer), b(mixer.getLoc(), mixer) {}

  /// Puts the mixer of rows in the place of the mixer; false (and no change) when it has no such form.
  bool run();

private:
  bool collect();
  bool dependsOnReads(Value value);
  bool interleave();
  Value argument(const Rows &values);
  Value addArgument(StringRef name, ValueType type, ArrayRef<NamedAttribute> attributes);
  /// The value that is `values[i]` in row i; null when they are made differently.
  Value zip(const Rows &values);
  Value same(Value value) { return zip(Rows(rows, value)); }
  template <class Get>
  Rows eachRow(Get get) {
    Rows result;
    for (size_t i = 0; i < rows; ++i) // rows beyond the last write repeat it
      result.push_back(get(segments[std::min(i, segments.size() - 1)]));
    return result;
  }
  /// The number of the row in its token.
  Value number();
  Value constant(double value) {
    return ConstantOp::create(b, ValueType::get(b.getContext(), {}), b.getF64FloatAttr(value));
  }
  ArrayAttr describeArrays();

  MixerOp mixer, result;
  ImplicitLocOpBuilder b;
  StateOp state, newState;
  SmallVector<Segment> segments;
  /// After the last write.
  llvm::SetVector<Operation *> reads;
  size_t rows = 0;
  SmallVector<std::pair<Rows, Value>> known;
  SmallVector<DictionaryAttr> argAttrs;
  Value rowNumber;
};
} // namespace

/// One matrix state, decayed, read and written in turn; at least two writes that depend on reads (others are sums of
/// products, whose rows need no order).
bool Interleaver::collect() {
  auto states = mixer.getStates();
  if (states.size() != 1 || states[0].getType().getShape().size() != 2)
    return false;
  state = states[0];
  Segment segment;
  for (Operation &op : mixer.getBody().front()) {
    if (!llvm::is_contained(op.getOperands(), state.getState()))
      continue;
    if (auto read = dyn_cast<ReadOp>(op)) {
      segment.reads.push_back(read);
    } else if (auto decay = dyn_cast<DecayOp>(op)) {
      if (segment.decay || !decay.getFactor().getType().isScalar())
        return false;
      segment.decay = decay;
      segment.before = segment.reads.size();
    } else if (auto write = dyn_cast<WriteOp>(op)) {
      segment.write = write;
      segments.push_back(std::exchange(segment, {}));
    } else {
      return false;
    }
  }
  if (segment.decay || segments.size() < 2 || segments.size() > kMaxWrites)
    return false;
  reads.insert(segment.reads.begin(), segment.reads.end());
  const Segment &first = segments[0];
  for (Segment &other : segments) {
    if (!dependsOnReads(other.write.getKey()) && !dependsOnReads(other.write.getValue()))
      return false;
    if (other.reads.size() != first.reads.size() || (other.decay && !first.decay) ||
        (other.decay && other.before != first.before))
      return false;
  }
  // Either every write has a decay before it or the first alone.
  auto others = ArrayRef(segments).drop_front();
  auto hasDecay = [](const Segment &segment) { return bool(segment.decay); };
  return llvm::all_of(others, hasDecay) || llvm::none_of(others, hasDecay);
}

bool Interleaver::dependsOnReads(Value value) {
  Operation *op = value.getDefiningOp();
  return op && (isa<ReadOp>(op) || llvm::any_of(op->getOperands(), [&](Value x) { return dependsOnReads(x); }));
}

Value Interleaver::addArgument(StringRef name, ValueType type, ArrayRef<NamedAttribute> attributes) {
  NamedAttrList attrs(attributes);
  attrs.set(kNameAttr, b.getStringAttr(name));
  argAttrs.push_back(attrs.getDictionary(b.getContext()));
  return result.getBody().front().addArgument(type, b.getLoc());
}

Value Interleaver::argument(const Rows &values) {
  SmallVector<StringRef> names;
  auto first = cast<BlockArgument>(values[0]);
  bool isSame = llvm::all_of(values, [&](Value value) { return value == values[0]; });
  for (Value value : values) {
    if (value.getType() != first.getType() || (!isSame && mixer.isParam(cast<BlockArgument>(value).getArgNumber())))
      return {};
    names.push_back(mixer.getArgName(cast<BlockArgument>(value).getArgNumber()));
  }
  unsigned position = first.getArgNumber();
  SmallVector<NamedAttribute> attributes(mixer.getArgAttrDict(position).getValue());
  std::string name = names[0].str();
  if (!mixer.isParam(position)) {
    if (isSame)
      names.resize(1);
    attributes.push_back(b.getNamedAttr("rondo.stack", b.getStrArrayAttr(names)));
    for (StringRef other : ArrayRef(names).drop_front())
      name += ("+" + other).str();
  }
  return addArgument(name, cast<ValueType>(first.getType()), attributes);
}

Value Interleaver::zip(const Rows &values) {
  for (auto &[rows, value] : known)
    if (rows == values)
      return value;
  Value made;
  if (llvm::all_of(values, llvm::IsaPred<BlockArgument>)) {
    made = argument(values);
  } else {
    Operation *first = values[0].getDefiningOp();
    // Reads stand where the state has the right value: `interleave` has made those that there are.
    if (!first || first->getNumRegions() || first->getNumResults() != 1 || isa<ReadOp, LoadOp, StateOp>(first))
      return {};
    for (Value value : values) {
      Operation *op = value.getDefiningOp();
      if (!op || op->getName() != first->getName() || op->getAttrDictionary() != first->getAttrDictionary() ||
          op->getNumOperands() != first->getNumOperands() || op->getResultTypes() != first->getResultTypes())
        return {};
    }
    IRMapping map;
    for (unsigned i = 0; i < first->getNumOperands(); ++i) {
      Rows operands;
      for (Value value : values)
        operands.push_back(value.getDefiningOp()->getOperand(i));
      Value operand = zip(operands);
      if (!operand)
        return {};
      map.map(first->getOperand(i), operand);
    }
    // The same operand twice in the first row may be two values in others.
    Operation *clone = b.clone(*first, map);
    for (unsigned i = 0; i < first->getNumOperands(); ++i) {
      Rows operands;
      for (Value value : values)
        operands.push_back(value.getDefiningOp()->getOperand(i));
      clone->setOperand(i, zip(operands));
    }
    made = clone->getResult(0);
  }
  if (made)
    known.push_back({values, made});
  return made;
}

Value Interleaver::number() {
  if (!rowNumber)
    rowNumber = addArgument(
        "write number", ValueType::get(b.getContext(), {}),
        {b.getNamedAttr("rondo.write_number", b.getUnitAttr()), b.getNamedAttr("rondo.dims", b.getArrayAttr({}))});
  return rowNumber;
}

bool Interleaver::interleave() {
  newState = cast<StateOp>(b.clone(*state));
  Value target = newState.getState();
  Segment &first = segments[0];
  auto emitRead = [&](const Rows &all) {
    auto read = cast<ReadOp>(all[0].getDefiningOp());
    Value vector = zip(llvm::map_to_vector<kMaxWrites>(
        all, [](Value value) -> Value { return value.getDefiningOp<ReadOp>().getVector(); }));
    if (!vector ||
        llvm::any_of(all, [&](Value value) { return value.getDefiningOp<ReadOp>().getAxis() != read.getAxis(); }))
      return false;
    b.setLoc(read.getLoc());
    known.push_back({all, ReadOp::create(b, read.getType(), target, vector, read.getAxis())});
    return true;
  };
  for (size_t i = 0; i <= first.reads.size(); ++i) {
    if (first.decay && i == first.before) {
      bool isEach = bool(segments[1].decay);
      auto factorOf = [&](Segment &segment) -> Value { return (isEach ? segment : segments[0]).decay.getFactor(); };
      Value factor = zip(eachRow(factorOf));
      if (!factor)
        return false;
      b.setLoc(first.decay.getLoc());
      // Beyond the last write nothing decays either.
      if (isEach && rows > segments.size())
        factor =
            SelectOp::create(b, factor.getType(),
                             BinaryOp::create(b, factor.getType(), BinaryKind::lt, number(), constant(segments.size())),
                             factor, constant(1));
      else if (!isEach)
        factor = SelectOp::create(b, factor.getType(), number(), constant(1), factor);
      DecayOp::create(b, target, factor, AxisAttr());
    }
    if (i < first.reads.size() &&
        !emitRead(eachRow([&](Segment &segment) -> Value { return segment.reads[i].getResult(); })))
      return false;
  }
  Value key = zip(eachRow([](Segment &segment) -> Value { return segment.write.getKey(); }));
  Value value = zip(eachRow([](Segment &segment) -> Value { return segment.write.getValue(); }));
  if (!key || !value)
    return false;
  b.setLoc(first.write.getLoc());
  if (rows > segments.size()) {
    // Rows without a write.
    auto type = ValueType::get(b.getContext(), {});
    Value isWrite = BinaryOp::create(b, type, BinaryKind::lt, number(), constant(segments.size()));
    value = BinaryOp::create(b, value.getType(), BinaryKind::mul, isWrite, value);
  }
  WriteOp::create(b, target, key, value);
  for (Operation *read : reads)
    if (!emitRead(Rows(rows, read->getResult(0))))
      return false;
  SmallVector<Value> outputs;
  for (Value output : mixer.getYield().getValues()) {
    outputs.push_back(same(output));
    if (!outputs.back())
      return false;
  }
  b.setLoc(mixer.getYield().getLoc());
  YieldOp::create(b, outputs);
  return true;
}

/// The arrays of the mixer itself: what a kernel is called with.
ArrayAttr Interleaver::describeArrays() {
  SmallVector<Attribute> arrays;
  auto describe = [&](StringRef name, StringRef role, ArrayRef<int64_t> sizes, Attribute dims) {
    arrays.push_back(b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(name)),
                                          b.getNamedAttr("role", b.getStringAttr(role)),
                                          b.getNamedAttr("sizes", b.getDenseI64ArrayAttr(sizes)),
                                          b.getNamedAttr("dims", dims ? dims : Attribute(b.getArrayAttr({})))}));
  };
  for (unsigned i = 0; i < mixer.getNumArguments(); ++i)
    describe(mixer.getArgName(i), mixer.isParam(i) ? "param" : "token",
             cast<ValueType>(mixer.getArgumentTypes()[i]).getShape(), mixer.getArgAttr(i, "rondo.dims"));
  for (unsigned i = 0; i < mixer.getNumResults(); ++i)
    describe(mixer.getResultName(i), "output", cast<ValueType>(mixer.getResultTypes()[i]).getShape(),
             mixer.getResultAttr(i, "rondo.dims"));
  describe(state.getName(), "state", state.getType().getShape(), state->getAttr("rondo.dims"));
  return b.getArrayAttr(arrays);
}

bool Interleaver::run() {
  if (!collect())
    return false;
  rows = llvm::PowerOf2Ceil(segments.size());
  result = MixerOp::create(b, mixer.getName(), FunctionType::get(b.getContext(), {}, mixer.getResultTypes()));
  b.createBlock(&result.getBody());
  if (!interleave()) {
    result.erase();
    return false;
  }
  result.setFunctionType(
      FunctionType::get(b.getContext(), result.getBody().getArgumentTypes(), mixer.getResultTypes()));
  result.setAllArgAttrs(argAttrs);
  SmallVector<DictionaryAttr> resultAttrs;
  for (unsigned i = 0; i < mixer.getNumResults(); ++i)
    resultAttrs.push_back(mixer.getResultAttrDict(i));
  result.setAllResultAttrs(resultAttrs);
  result->setAttr("rondo.writes", b.getI64IntegerAttr(rows));
  result->setAttr("rondo.program", describeArrays());
  mixer.erase();
  return true;
}

namespace {
struct InterleaveWrites : rondo::impl::RondoInterleaveWritesBase<InterleaveWrites> {
  void runOnOperation() override {
    for (MixerOp mixer : llvm::make_early_inc_range(getOperation().getOps<MixerOp>())) {
      bool isStatic = llvm::all_of(mixer.getStates(), [](StateOp state) { return state.getType().isStatic(); });
      if (isStatic && Interleaver(mixer).run())
        ++numInterleaved;
    }
  }
};
} // namespace
