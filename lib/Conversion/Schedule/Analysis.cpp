//===- Analysis.cpp - What a chunk body's graph says about its values -------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

void Analysis::setStates(ArrayRef<BlockArgument> args) {
  states.assign(args.begin(), args.end());
  for (auto [number, state] : llvm::enumerate(states))
    if (cast<RankedTensorType>(state.getType()).getRank() > 0)
      arrayStates |= uint64_t(1) << number;
}

int64_t Analysis::getState(Value value) const {
  auto it = llvm::find(states, value);
  return it == states.end() ? -1 : it - states.begin();
}

bool Analysis::hasRole(Value value, StringRef role) const {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != &body.getBody().front())
    return false;
  auto attr = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role");
  return attr && attr.getValue() == role;
}

StringRef Analysis::getName(Value argument) const {
  unsigned number = cast<BlockArgument>(argument).getArgNumber();
  return body.getArgAttrOfType<StringAttr>(number, "rondo.name").getValue();
}

StringRef Analysis::getOriginal(Value state) const {
  auto name = body.getArgAttrOfType<StringAttr>(cast<BlockArgument>(state).getArgNumber(), "rondo.copy_of");
  return name ? name.getValue() : StringRef();
}

StringRef Analysis::getRounded(Value value) const {
  if (!isToken(value))
    return {};
  auto name = body.getArgAttrOfType<StringAttr>(cast<BlockArgument>(value).getArgNumber(), "rondo.lost");
  return name ? name.getValue() : StringRef();
}

uint64_t Analysis::dependsOn(Value value) {
  if (int64_t state = getState(value); state >= 0)
    return uint64_t(1) << state;
  Operation *op = value.getDefiningOp();
  if (!op)
    return 0;
  if (auto it = dependences.find(value); it != dependences.end())
    return it->second;
  uint64_t result = 0;
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    for (Value input : generic.getDpsInputs())
      result |= dependsOn(input);
    if (!generic.getBody()->getArguments().back().use_empty())
      result |= dependsOn(generic.getDpsInits()[0]);
  } else {
    for (Value operand : op->getOperands())
      result |= dependsOn(operand);
  }
  return dependences[value] = result;
}

Value Analysis::getChannelDecays(Operation *op) {
  Value decays;
  if (auto products = dyn_cast<chunk::CumprodOp>(op))
    decays = products.getOperand();
  else if (auto total = dyn_cast<chunk::TotalOp>(op))
    decays = total.getOperand();
  else if (auto gram = dyn_cast<chunk::DecayedGramOp>(op))
    decays = gram.getDecay();
  return decays && shapeOf(decays).size() == 2 ? decays : Value();
}

bool Analysis::dependsOnChannels(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (auto it = channels.find(value); it != channels.end())
    return it->second;
  bool result = getChannelDecays(op) || llvm::any_of(op->getOperands(), [&](Value x) { return dependsOnChannels(x); });
  return channels[value] = result;
}

bool Analysis::isAlongFreeAxis(Value decays) {
  return llvm::any_of(decays.getUsers(), [&](Operation *user) {
    auto apply = dyn_cast<chunk::DecayedApplyOp>(user);
    return apply && apply.getDecay() == decays;
  });
}

Value Analysis::getSummedDecays(Operation *op) {
  Value decays = getChannelDecays(op);
  return decays && (isa<chunk::DecayedGramOp>(op) || !isAlongFreeAxis(decays)) ? decays : Value();
}

/// A slice that takes all tokens and some of their channels (or, of a value without time, some rows).
static bool isChannelSlice(Operation *op) {
  auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
  return slice && !slice.getSource().getDefiningOp<chunk::IntervalProductsOp>() &&
         slice.getSourceType().getRank() == slice.getType().getRank() &&
         (slice.getSourceType().getShape()[0] == slice.getType().getShape()[0] || slice.getType().getRank() == 2);
}

static std::optional<unsigned> axisOf(AffineMap map, unsigned loop) {
  for (auto [axis, expr] : llvm::enumerate(map.getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr); dim && dim.getPosition() == loop)
      return axis;
  return std::nullopt;
}

uint64_t Analysis::timedAxes(Value value) {
  if (isToken(value))
    return body.getArgAttr(cast<BlockArgument>(value).getArgNumber(), "rondo.square") ? 3 : 1;
  Operation *op = value.getDefiningOp();
  if (!op)
    return 0;
  if (auto it = timed.find(value); it != timed.end())
    return it->second;
  uint64_t result = 0;
  if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
    SmallVector<AffineMap> maps = structured.getIndexingMapsArray();
    for (OpOperand *operand : structured.getDpsInputOperands()) {
      uint64_t axes = timedAxes(operand->get());
      AffineMap map = maps[operand->getOperandNumber()];
      for (unsigned axis = 0; axis < map.getNumResults(); ++axis)
        if (axes >> axis & 1)
          if (auto dim = dyn_cast<AffineDimExpr>(map.getResult(axis)))
            if (std::optional<unsigned> to = axisOf(maps.back(), dim.getPosition()))
              result |= uint64_t(1) << *to;
    }
    if (result == 0 && !isa<linalg::FillOp>(op))
      result = timedAxes(structured.getDpsInits()[0]);
  } else if (isa<chunk::IntervalProductsOp, chunk::DecayedGramOp, chunk::InverseOp, tensor::ConcatOp>(op)) {
    result = 3;
  } else if (isa<chunk::TotalOp>(op)) {
    result = 0;
  } else if (auto scan = dyn_cast<chunk::ScanOp>(op)) {
    result = cast<OpResult>(value).getResultNumber() < scan.getNumStackedResults() ? 1 : 0;
  } else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    result = timedAxes(insert.getSource()) | timedAxes(insert.getDest());
  } else if (isChannelSlice(op)) {
    result = timedAxes(op->getOperand(0));
  } else if (isa<tensor::ExtractSliceOp>(op)) {
    auto rank = cast<RankedTensorType>(value.getType()).getRank();
    result = rank == 0 ? 0 : rank == 1 ? 1 : 3;
  } else if (isa<chunk::KeepRowsOp, chunk::CumprodOp, chunk::DecayedApplyOp, chunk::LostOp, chunk::SolveOp>(op)) {
    result = 1;
  }
  return timed[value] = result;
}

/// The value of a body's expression when its arguments have these values.
static std::optional<double> evaluate(Value value, ArrayRef<std::optional<double>> arguments) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber() < arguments.size() ? arguments[argument.getArgNumber()] : std::nullopt;
  FloatAttr number;
  if (matchPattern(value, m_Constant(&number)))
    return number.getValueAsDouble();
  Operation *op = value.getDefiningOp();
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    std::optional<double> x = evaluate(select.getTrueValue(), arguments),
                          y = evaluate(select.getFalseValue(), arguments);
    return x && y && *x == *y ? x : std::nullopt;
  }
  SmallVector<std::optional<double>> x;
  for (Value operand : op->getOperands())
    x.push_back(isa<FloatType>(operand.getType()) ? evaluate(operand, arguments) : std::nullopt);
  bool known = llvm::all_of(x, [](std::optional<double> number) { return number.has_value(); });
  if (isa<arith::MulFOp>(op) && llvm::is_contained(x, std::optional<double>(0.0)))
    return 0.0;
  if (!known)
    return std::nullopt;
  if (isa<arith::MulFOp>(op))
    return *x[0] * *x[1];
  if (isa<arith::AddFOp>(op))
    return *x[0] + *x[1];
  if (isa<arith::SubFOp>(op))
    return *x[0] - *x[1];
  if (isa<arith::NegFOp>(op))
    return -*x[0];
  if (isa<math::ExpOp>(op))
    return std::exp(*x[0]);
  if (isa<math::ExpM1Op>(op))
    return std::expm1(*x[0]);
  return std::nullopt;
}

std::optional<double> Analysis::getPadding(Value value) {
  if (isToken(value))
    return cast<RankedTensorType>(value.getType()).getRank() == 2 ? std::optional<double>(0.0) : std::nullopt;
  Operation *op = value.getDefiningOp();
  if (!op || !(timedAxes(value) & 1))
    return std::nullopt;
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    SmallVector<std::optional<double>> arguments;
    for (auto [map, input] : llvm::zip(generic.getIndexingMapsArray(), generic.getDpsInputs())) {
      bool aligned = map.getNumResults() > 0 && map.getResult(0) == getAffineDimExpr(0, map.getContext());
      arguments.push_back(aligned ? getPadding(input) : std::nullopt);
    }
    auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
    return evaluate(yield.getOperand(0), arguments);
  }
  if (auto contract = dyn_cast<linalg::ContractOp>(op)) {
    auto fill = contract.getOutputs()[0].getDefiningOp<linalg::FillOp>();
    bool zero = fill ? matchPattern(fill.getInputs()[0], m_AnyZeroFloat())
                     : getPadding(contract.getOutputs()[0]) == std::optional<double>(0.0);
    AffineMap lhs = contract.getIndexingMapsArray()[0], result = contract.getIndexingMapsArray()[2];
    if (zero && lhs.getResult(0) == result.getResult(0) &&
        getPadding(contract.getInputs()[0]) == std::optional<double>(0.0))
      return 0.0;
    return std::nullopt;
  }
  if (auto solve = dyn_cast<chunk::SolveOp>(op)) {
    if (getPadding(solve.getMatrix()) == std::optional<double>(0.0) &&
        getPadding(solve.getRhs()) == std::optional<double>(0.0))
      return 0.0;
    return std::nullopt;
  }
  if (auto keep = dyn_cast<chunk::KeepRowsOp>(op))
    return keep.getFill().convertToDouble();
  if (isChannelSlice(op))
    return getPadding(op->getOperand(0));
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    std::optional<double> padding = getPadding(insert.getSource());
    bool isAll = insert.getDest().getDefiningOp<tensor::EmptyOp>() || getPadding(insert.getDest()) == padding;
    return isAll ? padding : std::nullopt;
  }
  // Rows of a scan come from memory: no role makes vectors so.
  if (auto scan = dyn_cast<chunk::ScanOp>(op); scan && cast<RankedTensorType>(value.getType()).getRank() == 2)
    return 0.0;
  return std::nullopt;
}

/// The same of a value of a body, when it is known of the arguments: a sum is only where all that it adds is, since
/// with anything else it is anything. Constants are left out: null.
static std::optional<bool> isKeptInBody(Value value, ArrayRef<bool> arguments) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber() < arguments.size() && arguments[argument.getArgNumber()];
  Operation *op = value.getDefiningOp();
  bool isSum = isa<arith::AddFOp, arith::SubFOp>(op), any = false, all = true, isConstant = true;
  for (Value operand : op->getOperands())
    if (std::optional<bool> kept = isKeptInBody(operand, arguments)) {
      any |= *kept;
      all &= *kept;
      isConstant = false;
    }
  return isConstant ? std::nullopt : std::optional<bool>(isSum ? all : any);
}

/// Whether rows after the last token may be what `chunk.keep_rows` put there. Running products and sums over earlier
/// tokens pass the rows on to later ones only.
bool Analysis::isKept(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !(timedAxes(value) & 1))
    return false;
  if (isa<chunk::KeepRowsOp>(op))
    return true;
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return isKept(insert.getSource()) || isKept(insert.getDest());
  if (isChannelSlice(op))
    return isKept(op->getOperand(0));
  if (isa<chunk::IntervalProductsOp, chunk::CumprodOp, chunk::DecayedApplyOp, tensor::ExtractSliceOp, linalg::FillOp>(
          op))
    return false;
  if (auto solve = dyn_cast<chunk::SolveOp>(op))
    return isKept(solve.getMatrix()) || isKept(solve.getRhs());
  auto structured = dyn_cast<linalg::LinalgOp>(op);
  if (!structured)
    return true;
  SmallVector<AffineMap> maps = structured.getIndexingMapsArray();
  SmallVector<bool> kept;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = maps[operand.getOperandNumber()];
    kept.push_back(map.getNumResults() > 0 && map.getResult(0) == maps.back().getResult(0) && isKept(operand.get()));
  }
  if (auto generic = dyn_cast<linalg::GenericOp>(op); generic && generic.getNumParallelLoops() == generic.getNumLoops())
    return isKeptInBody(cast<linalg::YieldOp>(generic.getBody()->getTerminator()).getOperand(0), kept).value_or(false);
  return llvm::is_contained(kept, true);
}

/// What rows after the last token hold, when it is known.
std::optional<double> Analysis::getKept(Value value) {
  if (auto scan = value.getDefiningOp<chunk::ScanOp>())
    return cast<OpResult>(value).getResultNumber() < scan.getNumStackedResults() ? std::optional<double>(0.0)
                                                                                 : std::nullopt;
  return getPadding(value);
}
