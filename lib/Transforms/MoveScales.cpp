//===- MoveScales.cpp - Matrix products of the arguments themselves ---------------------------------------------===//

#include "rondo/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOMOVESCALES
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;

namespace {
/// `value` = `base` times a vector along one of its axes, or times a number.
struct Scaled {
  Value base;
  Value vector;      ///< null for a number
  unsigned axis = 0; ///< of the vector
  double number = 1;
};

/// Multiplies `value` by what `scale` says, along axis `axis` of `value`; adds `accumulator` where there is one.
class Scaler {
public:
  explicit Scaler(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  Value apply(Value value, const Scaled &scale, unsigned axis, Value accumulator = {}) {
    auto type = cast<RankedTensorType>(value.getType());
    AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
    SmallVector<Value> inputs{value};
    SmallVector<AffineMap> maps{identity};
    if (scale.vector) {
      inputs.push_back(scale.vector);
      maps.push_back(AffineMap::get(type.getRank(), 0, b.getAffineDimExpr(axis)));
    }
    if (accumulator) {
      inputs.push_back(accumulator);
      maps.push_back(identity);
    }
    maps.push_back(identity);
    Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    auto body = [&](OpBuilder &nested, Location at, ValueRange args) {
      Value factor =
          scale.vector ? args[1] : arith::ConstantOp::create(nested, at, nested.getF32FloatAttr(scale.number));
      Value result = arith::MulFOp::create(nested, at, args[0], factor);
      if (accumulator)
        result = arith::AddFOp::create(nested, at, result, args[scale.vector ? 2 : 1]);
      linalg::YieldOp::create(nested, at, result);
    };
    return linalg::GenericOp::create(b, loc, type, inputs, empty, maps, iterators, body).getResult(0);
  }

private:
  OpBuilder &b;
  Location loc;
};
} // namespace

static std::optional<Scaled> matchScaled(Value value) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumResults() != 1 || generic.getNumDpsInputs() > 2 ||
      generic.getNumParallelLoops() != generic.getNumLoops() || !generic.getIndexingMapsArray().back().isIdentity())
    return std::nullopt;
  Block &block = *generic.getBody();
  auto yield = cast<linalg::YieldOp>(block.getTerminator());
  auto product = yield.getOperand(0).getDefiningOp<arith::MulFOp>();
  if (!product)
    return std::nullopt;
  Scaled result;
  for (auto [position, map] : llvm::enumerate(generic.getIndexingMapsArray())) {
    if (static_cast<int64_t>(position) >= generic.getNumDpsInputs())
      break;
    Value input = generic.getDpsInputs()[position];
    if (map.isIdentity() && generic.getNumLoops() > 1)
      result.base = input;
    else if (map.getNumResults() == 1 && isa<AffineDimExpr>(map.getResult(0))) {
      result.vector = input;
      result.axis = cast<AffineDimExpr>(map.getResult(0)).getPosition();
    }
  }
  if (!result.base)
    return std::nullopt;
  auto isArgument = [&](Value operand, Value input) {
    auto argument = dyn_cast<BlockArgument>(operand);
    return argument && argument.getOwner() == &block && argument.getArgNumber() < generic.getNumDpsInputs() &&
           generic.getDpsInputs()[argument.getArgNumber()] == input;
  };
  for (auto [x, y] : {std::pair(product.getLhs(), product.getRhs()), std::pair(product.getRhs(), product.getLhs())}) {
    if (!isArgument(x, result.base))
      continue;
    FloatAttr number;
    if (generic.getNumDpsInputs() == 1 && matchPattern(y, m_Constant(&number))) {
      result.number = number.getValueAsDouble();
      result.vector = {};
      return result;
    }
    if (result.vector && isArgument(y, result.vector))
      return result;
  }
  return std::nullopt;
}

/// `value` without its scales.
static Value getRoot(Value value) {
  while (std::optional<Scaled> scaled = matchScaled(value))
    value = scaled->base;
  return value;
}

/// Whether `value` is filled with zeros.
static bool isZero(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs().front(), m_AnyZeroFloat());
}

/// The axis of an operand or result that runs along a loop of the product.
static std::optional<unsigned> axisOf(AffineMap map, unsigned loop) {
  for (auto [axis, expr] : llvm::enumerate(map.getResults()))
    if (cast<AffineDimExpr>(expr).getPosition() == loop)
      return axis;
  return std::nullopt;
}

/// Moves one scale out of an operand of `contract`; whether there was one.
static bool moveScale(linalg::ContractOp contract) {
  SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
  for (unsigned side = 0; side < 2; ++side) {
    Value operand = contract.getInputs()[side], other = contract.getInputs()[1 - side];
    std::optional<Scaled> scaled = matchScaled(operand);
    if (!scaled)
      continue;
    OpBuilder b(contract);
    Scaler scaler(b, contract.getLoc());
    unsigned loop = scaled->vector ? cast<AffineDimExpr>(maps[side].getResult(scaled->axis)).getPosition() : 0;
    std::optional<unsigned> resultAxis = scaled->vector ? axisOf(maps[2], loop) : std::optional<unsigned>(0);
    if (!resultAxis) {
      std::optional<unsigned> axis = axisOf(maps[1 - side], loop);
      if (!axis)
        continue;
      // From the left operand (keys) to the right one (written values) only: back and forth would not end.
      if (side != 0 || !isa<BlockArgument>(getRoot(scaled->base)))
        continue;
      contract.getInputsMutable()[side].set(scaled->base);
      contract.getInputsMutable()[1 - side].set(scaler.apply(other, *scaled, *axis));
      return true;
    }
    Value init = contract.getOutputs().front();
    bool accumulates = !isZero(init);
    if (accumulates && !scaled->vector) {
      // Onto the right operand, where it stays: the product still accumulates.
      if (side == 1)
        continue;
      contract.getInputsMutable()[0].set(scaled->base);
      contract.getInputsMutable()[1].set(scaler.apply(other, *scaled, 0));
      return true;
    }
    contract.getInputsMutable()[side].set(scaled->base);
    if (accumulates) {
      auto type = cast<RankedTensorType>(init.getType());
      Value zero = arith::ConstantOp::create(b, contract.getLoc(), b.getF32FloatAttr(0));
      Value empty = tensor::EmptyOp::create(b, contract.getLoc(), type.getShape(), type.getElementType());
      contract.getOutputsMutable()[0].set(linalg::FillOp::create(b, contract.getLoc(), zero, empty).getResult(0));
    }
    b.setInsertionPointAfter(contract);
    Value result = contract.getResult(0);
    Value moved = scaler.apply(result, *scaled, *resultAxis, accumulates ? init : Value());
    result.replaceAllUsesExcept(moved, moved.getDefiningOp());
    return true;
  }
  return false;
}

/// One vector (or number) for two scales in a row.
static bool combineScales(linalg::GenericOp generic) {
  std::optional<Scaled> outer = matchScaled(generic.getResult(0));
  std::optional<Scaled> inner = outer ? matchScaled(outer->base) : std::nullopt;
  if (!inner || (outer->vector && inner->vector && outer->axis != inner->axis))
    return false;
  OpBuilder b(generic);
  Scaler scaler(b, generic.getLoc());
  Scaled both = outer->vector ? *outer : *inner;
  both.base = inner->base;
  if (!outer->vector && !inner->vector)
    both.number = outer->number * inner->number;
  else if (outer->vector && inner->vector)
    both.vector = scaler.apply(outer->vector, *inner, 0);
  else
    both.vector = scaler.apply(both.vector, outer->vector ? *inner : *outer, 0);
  generic.getResult(0).replaceAllUsesWith(scaler.apply(both.base, both, both.axis));
  generic.erase();
  return true;
}

namespace {
struct MoveScales : rondo::impl::RondoMoveScalesBase<MoveScales> {
  void runOnOperation() override {
    bool changed = true;
    while (changed) {
      changed = false;
      SmallVector<linalg::ContractOp> products;
      getOperation().walk([&](linalg::ContractOp op) { products.push_back(op); });
      for (linalg::ContractOp product : products)
        while (moveScale(product))
          changed = true;
      SmallVector<linalg::GenericOp> scales;
      getOperation().walk([&](linalg::GenericOp op) { scales.push_back(op); });
      for (linalg::GenericOp scale : scales)
        changed |= combineScales(scale);
    }
  }
};
} // namespace
