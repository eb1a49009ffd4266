//===- Gates.cpp - Numbers of the tokens, in the lanes of one warp ----------------------------------------------===//
//
// Gates, their running products and scalar states: a lane holds C/32 tokens. One warp runs ahead of everything else.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

Value Scheduler::lanes(Value value) {
  if (Value known = laneValues.lookup(value))
    return known;
  Value made = orBlocked(makeLanes(value), value);
  if (made)
    laneValues[value] = made;
  return made;
}

Value Scheduler::loadLanes(Value argument) {
  ImplicitLocOpBuilder &at = gates->b;
  auto type = RankedTensorType::get({tokens}, at.getF32Type(), tile::LanesAttr::get(at.getContext()));
  auto index = cast<RankedTensorType>(type.clone(at.getI32Type()));
  auto filled = [&](int64_t number) -> Value {
    auto attr = DenseElementsAttr::get(cast<ShapedType>(index), at.getI32IntegerAttr(number));
    return arith::ConstantOp::create(at, attr);
  };
  auto makeNumber = [&]() -> Value {
    Value row = tile::IotaOp::create(at, index, at.getI64IntegerAttr(0));
    return arith::AndIOp::create(at, row, filled(writes - 1));
  };
  if (body.getArgAttr(cast<BlockArgument>(argument).getArgNumber(), "rondo.write_number"))
    return arith::SIToFPOp::create(at, type, makeNumber());
  // Of the arrays of the writes, each row has one.
  Value made;
  for (auto [number, name] : llvm::enumerate(arraysOf(argument))) {
    Value own = tile::LoadTokensOp::create(at, type, at.getStringAttr(name), gates->time);
    if (made)
      own = arith::SelectOp::create(
          at, arith::CmpIOp::create(at, arith::CmpIPredicate::eq, makeNumber(), filled(number)), own, made);
    made = own;
  }
  return made;
}

Value Scheduler::makeLanes(Value value) {
  ImplicitLocOpBuilder &at = gates->b;
  auto vectorType = RankedTensorType::get({tokens}, at.getF32Type(), tile::LanesAttr::get(at.getContext()));
  Type type = shapeOf(value).empty() ? Type(at.getF32Type()) : Type(vectorType);
  // A vector without time may still be one number repeated for every token.
  bool isVector = shapeOf(value).size() == 1;
  if (shapeOf(value).size() > 1 || (isVector && (shapeOf(value)[0] != chunk || analysis.isParameter(value))))
    return refuse(value.getLoc(), "a vector that is not one number a token");
  if (int64_t number = analysis.getState(value); number >= 0)
    return scalarStates.lookup(number);
  if (analysis.isToken(value))
    return loadLanes(value);
  if (analysis.isParameter(value))
    return tile::LoadParameterOp::create(at, type, at.getStringAttr(analysis.getName(value)), Value());
  Operation *op = value.getDefiningOp();
  if (steps > 1 && !isa<linalg::FillOp, linalg::GenericOp, chunk::KeepRowsOp>(op))
    return refuse(op->getLoc(), "numbers of the tokens of two chunks");
  FloatAttr constant;
  if (auto fill = dyn_cast<linalg::FillOp>(op); fill && matchPattern(fill.getInputs()[0], m_Constant(&constant)))
    return spread(arith::ConstantOp::create(at, constant), type, at);
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    if (generic.getNumParallelLoops() != generic.getNumLoops() || generic.getNumResults() != 1)
      return refuse(op->getLoc(), "a sum over tokens");
    SmallVector<Value> operands(generic.getDpsInputs());
    if (!generic.getBody()->getArguments().back().use_empty())
      operands.push_back(generic.getDpsInits()[0]);
    SmallVector<Value> arguments;
    for (Value operand : operands) {
      Value made = lanes(operand);
      if (!made)
        return {};
      arguments.push_back(made);
    }
    arguments.resize(generic.getBody()->getNumArguments());
    auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
    return cloneBody(*generic.getBody(), yield.getOperand(0), arguments, type, *gates, 0);
  }
  if (auto keep = dyn_cast<chunk::KeepRowsOp>(op)) {
    Value kept = lanes(keep.getOperand());
    return kept ? keepRows(kept, keep.getFill().convertToDouble(), *gates, 0) : Value();
  }
  if (auto products = dyn_cast<chunk::CumprodOp>(op)) {
    Value decays = lanes(products.getOperand());
    return decays ? tile::CumprodOp::create(at, vectorType, decays, products.getSuffixAttr()).getResult() : Value();
  }
  if (auto total = dyn_cast<chunk::TotalOp>(op)) {
    Value decays = lanes(total.getOperand());
    return decays ? tile::TotalOp::create(at, at.getF32Type(), decays).getResult() : Value();
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    auto intervals = slice.getSource().getDefiningOp<chunk::IntervalProductsOp>();
    if (intervals && shapeOf(intervals.getOperand()).size() == 3) {
      Coupled *products = coupled(intervals);
      if (!products)
        return {};
      ArrayRef<int64_t> offsets = slice.getStaticOffsets(), sizes = slice.getStaticSizes();
      int64_t entry = offsets[0] * products->n + offsets[1], count = products->n * products->n;
      offsets = offsets.drop_front(2);
      sizes = sizes.drop_front(2);
      if (offsets == ArrayRef<int64_t>({0, 0}) && sizes == ArrayRef<int64_t>({chunk, 1}))
        return products->op.getResult(entry);
      if (offsets == ArrayRef<int64_t>({chunk, 1}) && sizes == ArrayRef<int64_t>({1, chunk}))
        return products->op.getResult(count + entry);
      if (offsets == ArrayRef<int64_t>({chunk, 0}) && sizes == ArrayRef<int64_t>({1, 1}))
        return products->op.getResult(2 * count + entry);
      return refuse(op->getLoc(), "a slice of interval products");
    }
    if (!intervals || shapeOf(intervals.getOperand()).size() != 1)
      return refuse(op->getLoc(), "a slice");
    Value decays = lanes(intervals.getOperand());
    if (!decays)
      return {};
    ArrayRef<int64_t> offsets = slice.getStaticOffsets(), sizes = slice.getStaticSizes();
    if (offsets == ArrayRef<int64_t>({0, 0}) && sizes == ArrayRef<int64_t>({chunk, 1}))
      return tile::CumprodOp::create(at, vectorType, decays, UnitAttr());
    if (offsets == ArrayRef<int64_t>({chunk, 1}) && sizes == ArrayRef<int64_t>({1, chunk}))
      return tile::CumprodOp::create(at, vectorType, decays, at.getUnitAttr());
    if (offsets == ArrayRef<int64_t>({chunk, 0}) && sizes == ArrayRef<int64_t>({1, 1}))
      return tile::TotalOp::create(at, at.getF32Type(), decays);
    return refuse(op->getLoc(), "a slice of interval products");
  }
  if (auto scan = dyn_cast<chunk::ScanOp>(op)) {
    if (failed(makeScan(scan)))
      return {};
    return laneValues.lookup(value);
  }
  return refuse(op->getLoc(), "no tile form of '" + op->getName().getStringRef() + "' on numbers of tokens");
}

Coupled *Scheduler::coupled(chunk::IntervalProductsOp intervals) {
  std::unique_ptr<Coupled> &known = coupledProducts[intervals.getResult()];
  if (known)
    return known.get();
  auto fail = [&](Location loc, const Twine &why) -> Coupled * {
    refuse(loc, why);
    return nullptr;
  };
  if (steps > 1)
    return fail(intervals.getLoc(), "transitions of two chunks");
  auto made = std::make_unique<Coupled>();
  int64_t n = made->n = shapeOf(intervals.getOperand())[1];
  made->present.assign(n * n, false);
  // The entries, which were put into a tensor one by one.
  SmallVector<Value> entries(n * n), decays;
  Value rest = intervals.getOperand();
  for (auto insert = rest.getDefiningOp<tensor::InsertSliceOp>(); insert;
       rest = insert.getDest(), insert = rest.getDefiningOp<tensor::InsertSliceOp>()) {
    ArrayRef<int64_t> offsets = insert.getStaticOffsets();
    if (insert.getStaticSizes() != ArrayRef<int64_t>({chunk, 1, 1}) || offsets[0] != 0)
      return fail(insert.getLoc(), "a slice of transitions");
    if (Value &entry = entries[offsets[1] * n + offsets[2]]; !entry)
      entry = insert.getSource();
  }
  SmallVector<int64_t> places, terms;
  for (auto [place, entry] : llvm::enumerate(entries)) {
    if (!entry)
      return fail(intervals.getLoc(), "transitions that are not made of numbers of the tokens");
    auto fill = entry.getDefiningOp<linalg::FillOp>();
    if (fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
      continue;
    Value value = lanes(entry);
    if (!value)
      return nullptr;
    auto type = RankedTensorType::get({tokens}, b.getF32Type(), tile::LanesAttr::get(b.getContext()));
    decays.push_back(spread(value, type, gates->b));
    places.push_back(place);
    made->present[place] = true;
  }
  // Products have more of them.
  for (int64_t a = 0; a < n; ++a)
    made->present[a * n + a] = true;
  for (int64_t k = 0; k < n; ++k)
    for (int64_t a = 0; a < n; ++a)
      for (int64_t c = 0; c < n; ++c)
        made->present[a * n + c] = made->present[a * n + c] || (made->present[a * n + k] && made->present[k * n + c]);
  SmallVector<Value> buffers;
  for (int64_t a = 0; a < n; ++a)
    for (int64_t k = 0; k < n; ++k)
      for (int64_t c = 0; c < n; ++c)
        if (made->present[a * n + k] && made->present[k * n + c]) {
          terms.append({a, k, c});
          Shared shared{allocate({2, 6, chunk}, b.getF32Type(), budget.gateSlots), gatesChannel};
          made->tables.push_back({{a, k, c}, shared});
          buffers.push_back(openSlot(*gates, shared));
        }
  auto vectorType = RankedTensorType::get({tokens}, b.getF32Type(), tile::LanesAttr::get(b.getContext()));
  SmallVector<Type> types(2 * n * n, vectorType);
  types.append(n * n, b.getF32Type());
  made->op = tile::CoupledProductsOp::create(gates->b, types, n, places, decays, terms, buffers);
  coupledProducts[intervals.getResult()] = std::move(made);
  return coupledProducts[intervals.getResult()].get();
}

namespace {
/// max(a + x, b) or a x + b as a function of the state x; null a is the neutral element, null b the absorbing one.
struct Step {
  bool hasState = false;
  Value a, b;
};
} // namespace

/// The region's result as a step of the state, in lanes. Region values without the state are evaluated by `evaluate`.
static std::optional<Step> matchStep(Value value, Value state, bool maxplus, ImplicitLocOpBuilder &at,
                                     function_ref<Value(Value)> evaluate) {
  if (value == state)
    return Step{true, {}, {}};
  // Values without the state.
  llvm::SmallPtrSet<Operation *, 8> seen;
  std::function<bool(Value)> uses = [&](Value v) -> bool {
    if (v == state)
      return true;
    Operation *op = v.getDefiningOp();
    if (!op)
      return false;
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic)
      return false;
    return llvm::any_of(generic.getDpsInputs(), uses);
  };
  if (!uses(value)) {
    Value made = evaluate(value);
    return made ? std::optional<Step>(Step{false, {}, made}) : std::nullopt;
  }
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 2)
    return std::nullopt;
  auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
  Operation *op = yield.getOperand(0).getDefiningOp();
  if (!op || op->getNumOperands() != 2)
    return std::nullopt;
  auto inputOf = [&](unsigned i) -> Value {
    auto argument = dyn_cast<BlockArgument>(op->getOperand(i));
    return argument && argument.getArgNumber() < 2 ? generic.getDpsInputs()[argument.getArgNumber()] : Value();
  };
  if (!inputOf(0) || !inputOf(1))
    return std::nullopt;
  std::optional<Step> x = matchStep(inputOf(0), state, maxplus, at, evaluate),
                      y = matchStep(inputOf(1), state, maxplus, at, evaluate);
  if (!x || !y)
    return std::nullopt;
  if (!x->hasState)
    std::swap(x, y);
  // The sum (max) and product (sum) of the two kinds.
  auto plus = [&](Value p, Value q) -> Value {
    return !p        ? q
           : !q      ? p
           : maxplus ? arith::MaximumFOp::create(at, p, q).getResult()
                     : arith::AddFOp::create(at, p, q).getResult();
  };
  auto times = [&](Value p, Value q) -> Value {
    return !p        ? q
           : !q      ? p
           : maxplus ? arith::AddFOp::create(at, p, q).getResult()
                     : arith::MulFOp::create(at, p, q).getResult();
  };
  bool isPlus = maxplus ? isa<arith::MaximumFOp>(op) : isa<arith::AddFOp>(op);
  bool isTimes = maxplus ? isa<arith::AddFOp>(op) : isa<arith::MulFOp>(op);
  if (isPlus && !y->hasState)
    return Step{true, x->a, plus(x->b, y->b)};
  if (isTimes && !y->hasState)
    return Step{true, times(x->a, y->b), x->b ? times(x->b, y->b) : Value()};
  return std::nullopt;
}

LogicalResult Scheduler::makeScan(chunk::ScanOp op) {
  ImplicitLocOpBuilder &at = gates->b;
  auto fail = [&](const Twine &why) { return refuse(op.getLoc(), why), failure(); };
  if (op.getStates().size() != 1 || !shapeOf(op.getStates()[0]).empty() || op.getReverse())
    return fail("a scan of more than one number");
  if (op.getKind() != "maxplus" && op.getKind() != "affine")
    return fail("a scan that only runs token by token");
  bool maxplus = op.getKind() == "maxplus";
  auto type = RankedTensorType::get({chunk}, at.getF32Type(), tile::LanesAttr::get(at.getContext()));
  Block &block = op.getBody().front();
  DenseMap<Value, Value> known;
  unsigned next = 0;
  for (Value row : op.getRows()) {
    known[block.getArgument(next++)] = lanes(row);
    if (!known[block.getArgument(next - 1)])
      return failure();
  }
  for (Value shared : op.getShared()) {
    known[block.getArgument(next++)] = lanes(shared);
    if (!known[block.getArgument(next - 1)])
      return failure();
  }
  Value state = block.getArgument(next);
  // Region values in lanes, once the state's own value is known (or for those that do not need it).
  std::function<Value(Value)> evaluate = [&](Value value) -> Value {
    if (Value made = known.lookup(value))
      return made;
    auto generic = value.getDefiningOp<linalg::GenericOp>();
    if (!generic)
      return refuse(value.getLoc(), "an operation in a scan");
    SmallVector<Value> arguments;
    for (Value input : generic.getDpsInputs()) {
      Value made = evaluate(input);
      if (!made)
        return {};
      arguments.push_back(made);
    }
    arguments.resize(generic.getBody()->getNumArguments());
    auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
    return known[value] = cloneBody(*generic.getBody(), yield.getOperand(0), arguments, type, *gates, 0);
  };
  Value after = block.getTerminator()->getOperands().back();
  std::optional<Step> step = matchStep(after, state, maxplus, at, evaluate);
  Value initial = lanes(op.getStates()[0]);
  if (!step || !step->hasState || !initial)
    return fail("a scan that is not linear in its state");
  auto filled = [&](double number) -> Value {
    return arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), at.getF32FloatAttr(number)));
  };
  Value a = step->a ? step->a : filled(maxplus ? 0 : 1);
  Value c = step->b ? step->b : filled(maxplus ? -std::numeric_limits<double>::infinity() : 0);
  Value count = tile::CountOp::create(at, gates->time);
  auto scan = tile::ScanOp::create(at, TypeRange{type, type, at.getF32Type()},
                                   maxplus ? tile::ScanKind::maxplus : tile::ScanKind::affine, spread(a, type, at),
                                   spread(c, type, at), initial, count);
  known[state] = scan.getBefore();
  known[after] = scan.getAfter();
  for (auto [result, yielded] : llvm::zip(op.getResults(), block.getTerminator()->getOperands())) {
    Value made = evaluate(yielded);
    if (!made)
      return failure();
    laneValues[result] = made;
  }
  laneValues[op.getResults().back()] = scan.getLast();
  return success();
}
