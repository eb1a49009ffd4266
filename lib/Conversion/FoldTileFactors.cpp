//===- FoldTileFactors.cpp - One factor for each pair of tokens -------------------------------------------------===//
//
// A Gram matrix is multiplied with decays, factors of its rows and numbers, and masked: four to six instructions an
// element. All of that is one matrix that `tile.interval_products` makes from tables, where rows, numbers and masks
// cost next to nothing: rows and numbers go into its 14 row factors, and most of the mask is known for whole warps.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOFOLDTILEFACTORS
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

namespace {
/// gram * number * rows * decays, masked where `diagonal` is set: that number (times `number`) on the diagonal, 0
/// above.
struct Product {
  MmaOp gram;
  IntervalProductsOp decays;
  SmallVector<Value> rows;
  float number = 1;
  std::optional<float> diagonal;
};

struct FoldTileFactors : rondo::impl::RondoFoldTileFactorsBase<FoldTileFactors> {
  void runOnOperation() override {
    SmallVector<Operation *> all;
    getOperation().walk([&](Operation *op) { all.push_back(op); });
    // From the last: a whole product before its parts, which it then has left without uses.
    for (Operation *op : llvm::reverse(all)) {
      if (isa<arith::MulFOp, arith::SelectOp>(op) && !op->use_empty())
        fold(op);
      if (op->use_empty() && (isa<IntervalProductsOp, BroadcastOp, IotaOp>(op) || isOpTriviallyDead(op)))
        op->erase();
    }
    getOperation().walk(simplifyInverse);
  }

  void fold(Operation *op);
  static void simplifyInverse(InverseOp op);
};
} // namespace

static bool isFragment(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && isa_and_nonnull<FragmentAttr>(type.getEncoding());
}

static std::optional<float> matchNumber(Value value) {
  FloatAttr splat;
  if (matchPattern(value, m_Constant(&splat)))
    return float(splat.getValueAsDouble());
  DenseElementsAttr dense;
  if (matchPattern(value, m_Constant(&dense)) && dense.isSplat() && dense.getElementType().isF32())
    return dense.getSplatValue<float>();
  return std::nullopt;
}

/// column `predicate` row.
static bool isPosition(Value condition, arith::CmpIPredicate predicate) {
  auto compare = condition.getDefiningOp<arith::CmpIOp>();
  if (!compare || compare.getPredicate() != predicate)
    return false;
  auto left = compare.getLhs().getDefiningOp<IotaOp>(), right = compare.getRhs().getDefiningOp<IotaOp>();
  return left && right && left.getDimension() == 1 && right.getDimension() == 0;
}

static std::optional<Product> match(Value value) {
  if (!isFragment(value))
    return std::nullopt;
  if (std::optional<float> number = matchNumber(value)) {
    Product product;
    product.number = *number;
    return product;
  }
  if (auto gram = value.getDefiningOp<MmaOp>()) {
    Product product;
    product.gram = gram;
    return product;
  }
  if (auto decays = value.getDefiningOp<IntervalProductsOp>()) {
    if (decays.getRows() || decays.getDiagonal())
      return std::nullopt;
    Product product;
    product.decays = decays;
    return product;
  }
  if (auto broadcast = value.getDefiningOp<BroadcastOp>()) {
    auto from = dyn_cast<RankedTensorType>(broadcast.getOperand().getType());
    if (!from || !isa_and_nonnull<RowsAttr>(from.getEncoding()))
      return std::nullopt;
    Product product;
    product.rows.push_back(broadcast.getOperand());
    return product;
  }
  if (auto multiply = value.getDefiningOp<arith::MulFOp>()) {
    std::optional<Product> left = match(multiply.getLhs()), right = match(multiply.getRhs());
    if (!left || !right || (left->gram && right->gram) || (left->decays && right->decays))
      return std::nullopt;
    // Rows would be on a diagonal as well.
    if ((left->diagonal.value_or(0) != 0 && !right->rows.empty()) ||
        (right->diagonal.value_or(0) != 0 && !left->rows.empty()))
      return std::nullopt;
    Product product = *left;
    product.gram = left->gram ? left->gram : right->gram;
    product.decays = left->decays ? left->decays : right->decays;
    product.rows.append(right->rows);
    product.number *= right->number;
    product.diagonal = left->diagonal ? left->diagonal : right->diagonal;
    return product;
  }
  if (auto select = value.getDefiningOp<arith::SelectOp>()) {
    std::optional<Product> below = match(select.getTrueValue());
    if (!below || !below->gram || !below->decays || below->diagonal ||
        !isPosition(select.getCondition(), arith::CmpIPredicate::slt))
      return std::nullopt;
    Value other = select.getFalseValue();
    if (auto inner = other.getDefiningOp<arith::SelectOp>();
        inner && isPosition(inner.getCondition(), arith::CmpIPredicate::eq)) {
      std::optional<Product> on = match(inner.getTrueValue());
      if (!on || on->gram != below->gram || on->decays || !on->rows.empty() || on->diagonal || below->number == 0)
        return std::nullopt;
      below->diagonal = on->number / below->number;
      other = inner.getFalseValue();
    } else {
      below->diagonal = 0;
    }
    return matchNumber(other) == std::optional<float>(0) ? below : std::nullopt;
  }
  return std::nullopt;
}

void FoldTileFactors::fold(Operation *op) {
  std::optional<Product> product = match(op->getResult(0));
  if (!product || !product->gram || !product->decays || !product->diagonal)
    return;
  // The tables are read here now: nobody may have been allowed to write them before.
  if (product->decays->getBlock() != op->getBlock())
    return;
  for (Operation *other = product->decays; other != op; other = other->getNextNode())
    if (isa<ReleaseOp, SyncOp>(other))
      return;
  ImplicitLocOpBuilder b(op->getLoc(), op);
  Value rows;
  for (Value factor : product->rows)
    rows = rows ? arith::MulFOp::create(b, rows, factor).getResult() : factor;
  Value factors = IntervalProductsOp::create(b, op->getResult(0).getType(), product->decays.getTables(), rows,
                                             b.getF32FloatAttr(product->number),
                                             b.getF32FloatAttr(*product->diagonal * product->number));
  op->getResult(0).replaceAllUsesWith(arith::MulFOp::create(b, product->gram.getResult(), factors));
}

/// It reads nothing on and above the diagonal, and wants the matrix with the other sign.
void FoldTileFactors::simplifyInverse(InverseOp op) {
  auto product = op.getMatrix().getDefiningOp<arith::MulFOp>();
  auto factors = product ? product.getRhs().getDefiningOp<IntervalProductsOp>() : IntervalProductsOp();
  if (!factors || !product->hasOneUse() || !factors->hasOneUse() || op.getNegated())
    return;
  factors.removeDiagonalAttr();
  factors.setScale(-factors.getScale());
  op.setNegated(true);
}
