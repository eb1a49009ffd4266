//===- PullConstants.cpp - Constant factors go to the outputs ---------------------------------------------------===//

#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOPULLCONSTANTS
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
/// value = factor times the same value without constants.
class Constants {
public:
  /// The factor that can be taken out of a value; 1 where there is none.
  double factorOf(Value value);
  /// The value without its factor.
  Value strip(Value value);

private:
  double find(Operation *op);
  double findInBody(Value value, linalg::GenericOp op);
  llvm::DenseMap<Value, double> factors;
  llvm::DenseMap<Value, Value> stripped;
};
} // namespace

static std::optional<double> constantOf(Value value) {
  FloatAttr number;
  return matchPattern(value, m_Constant(&number)) ? std::optional<double>(number.getValueAsDouble()) : std::nullopt;
}

static bool isZero(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
}

double Constants::factorOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return 1;
  if (auto it = factors.find(value); it != factors.end())
    return it->second;
  return factors[value] = find(op);
}

/// Of what an elementwise body yields: products multiply factors, sums and choices need the same in all terms. 0: any.
double Constants::findInBody(Value value, linalg::GenericOp op) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber() < op.getNumDpsInputs() ? factorOf(op.getDpsInputs()[argument.getArgNumber()]) : 1;
  if (std::optional<double> number = constantOf(value))
    return *number == 0 ? 0 : 1;
  Operation *inner = value.getDefiningOp();
  auto same = [](double x, double y) { return x == 0 ? y : y == 0 || x == y ? x : std::nan(""); };
  if (auto product = dyn_cast<arith::MulFOp>(inner)) {
    for (unsigned i : {0, 1})
      if (std::optional<double> number = constantOf(product->getOperand(i)); number && *number > 0)
        return *number * findInBody(product->getOperand(1 - i), op);
    return findInBody(product.getLhs(), op) * findInBody(product.getRhs(), op);
  }
  if (isa<arith::NegFOp>(inner))
    return findInBody(inner->getOperand(0), op);
  if (isa<arith::AddFOp, arith::SubFOp>(inner))
    return same(findInBody(inner->getOperand(0), op), findInBody(inner->getOperand(1), op));
  if (auto select = dyn_cast<arith::SelectOp>(inner))
    return same(findInBody(select.getTrueValue(), op), findInBody(select.getFalseValue(), op));
  return std::nan("");
}

double Constants::find(Operation *op) {
  double factor = 1;
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    if (generic.getNumResults() != 1 || generic.getNumParallelLoops() != generic.getNumLoops() ||
        !generic.getBody()->getArguments().back().use_empty())
      return 1;
    factor = findInBody(cast<linalg::YieldOp>(generic.getBody()->getTerminator()).getOperand(0), generic);
  } else if (auto contract = dyn_cast<linalg::ContractOp>(op)) {
    factor = factorOf(contract.getInputs()[0]) * factorOf(contract.getInputs()[1]);
    if (!isZero(contract.getOutputs()[0]) && factorOf(contract.getOutputs()[0]) != factor)
      return 1;
  } else if (auto gram = dyn_cast<chunk::DecayedGramOp>(op)) {
    factor = factorOf(gram.getQuery()) * factorOf(gram.getKey());
  } else if (auto apply = dyn_cast<chunk::DecayedApplyOp>(op)) {
    factor = factorOf(apply.getWeight()) * factorOf(apply.getValue());
  } else if (auto keep = dyn_cast<chunk::KeepRowsOp>(op); keep && keep.getFill().isZero()) {
    factor = factorOf(keep.getOperand());
  }
  return std::isfinite(factor) && factor > 0 ? factor : 1;
}

Value Constants::strip(Value value) {
  if (factorOf(value) == 1)
    return value;
  if (Value known = stripped.lookup(value))
    return known;
  Operation *op = value.getDefiningOp();
  OpBuilder b(op);
  IRMapping mapping;
  for (Value operand : op->getOperands())
    if (isa<RankedTensorType>(operand.getType()))
      mapping.map(operand, strip(operand));
  Operation *made = b.clone(*op, mapping);
  if (auto generic = dyn_cast<linalg::GenericOp>(made))
    generic.getBody()->walk([&](arith::MulFOp product) {
      for (unsigned i : {0, 1})
        if (std::optional<double> number = constantOf(product->getOperand(i)); number && *number > 0) {
          product.replaceAllUsesWith(product->getOperand(1 - i));
          return;
        }
    });
  return stripped[value] = made->getResult(0);
}

static Value scale(Value value, double factor, OpBuilder &b) {
  Location loc = value.getLoc();
  auto type = cast<RankedTensorType>(value.getType());
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
  auto body = [&](OpBuilder &inner, Location at, ValueRange args) {
    Value number = arith::ConstantOp::create(inner, at, inner.getF32FloatAttr(factor));
    linalg::YieldOp::create(inner, at, arith::MulFOp::create(inner, at, args[0], number).getResult());
  };
  return linalg::GenericOp::create(b, loc, type, ValueRange(value), empty, maps, loops, body).getResult(0);
}

namespace {
struct PullConstants : rondo::impl::RondoPullConstantsBase<PullConstants> {
  void runOnOperation() override {
    func::FuncOp body = getOperation();
    if (!body->hasAttr("rondo.chunk") || body->hasAttr("rondo.backward"))
      return;
    // Other products have their scales taken out one by one.
    if (body.getBody().getOps<chunk::DecayedApplyOp>().empty() &&
        llvm::none_of(body.getBody().getOps<chunk::DecayedGramOp>(), [](chunk::DecayedGramOp gram) {
          return cast<RankedTensorType>(gram.getDecay().getType()).getRank() == 2;
        }))
      return;
    Constants constants;
    Operation *end = body.getBody().front().getTerminator();
    for (OpOperand &result : end->getOpOperands()) {
      auto role = body.getResultAttrOfType<StringAttr>(result.getOperandNumber(), "rondo.role");
      double factor = constants.factorOf(result.get());
      if (!role || role.getValue() != "output" || factor == 1)
        continue;
      OpBuilder b(end);
      result.set(scale(constants.strip(result.get()), factor, b));
    }
  }
};
} // namespace
