//===- SplitProducts.cpp - Products of tokens in a kernel before that of the state ------------------------------===//

#include "Program.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOSPLITPRODUCTS
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;
using schedule::Analysis;
using schedule::operandsOf;
using schedule::Part;
using schedule::Program;
using schedule::shapeOf;

/// Half of what an iteration has: products within 32 tokens are a quarter of those within 64, and the state's role
/// needs fewer registers for its steps.
static constexpr int64_t kChunk = 32;

//===----------------------------------------------------------------------------------------------------------------===//
// Factors of rows
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// value[t, n] = vector[t] rest[t, n], or minus that.
struct Factor {
  Value vector, rest;
  bool isNegative = false;
};
} // namespace

static Operation *soleOperation(linalg::GenericOp op) {
  auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
  Operation *made = yield.getOperand(0).getDefiningOp();
  bool isSole = made && llvm::all_of(op.getBody()->without_terminator(),
                                     [&](Operation &other) { return &other == made || isa<arith::ConstantOp>(other); });
  return isSole && op.getNumResults() == 1 && op.getNumParallelLoops() == op.getNumLoops() ? made : nullptr;
}

/// The vector without its signs.
static Value stripSigns(Value vector, bool &isNegative) {
  while (auto generic = vector.getDefiningOp<linalg::GenericOp>()) {
    Operation *op = soleOperation(generic);
    if (!op || generic.getNumDpsInputs() != 1)
      break;
    bool isMinus =
        isa<arith::NegFOp>(op) || (isa<arith::MulFOp>(op) && llvm::any_of(op->getOperands(), [](Value x) {
                                     FloatAttr number;
                                     return matchPattern(x, m_Constant(&number)) && number.getValueAsDouble() == -1;
                                   }));
    if (!isMinus)
      break;
    vector = generic.getDpsInputs()[0];
    isNegative = !isNegative;
  }
  return vector;
}

static Value combine(OpBuilder &b, Location loc, Value x, Value y, bool isDifference) {
  auto type = cast<RankedTensorType>(x.getType());
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  SmallVector<AffineMap> maps(3, b.getMultiDimIdentityMap(2));
  SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
  auto body = [&](OpBuilder &inner, Location loc, ValueRange args) {
    Value made = isDifference ? arith::SubFOp::create(inner, loc, args[0], args[1]).getResult()
                              : arith::AddFOp::create(inner, loc, args[0], args[1]).getResult();
    linalg::YieldOp::create(inner, loc, made);
  };
  return linalg::GenericOp::create(b, loc, type, ValueRange{x, y}, empty, maps, loops, body).getResult(0);
}

/// Takes a factor of the rows out of a product with it, or out of a sum whose terms have the same.
static std::optional<Factor> takeFactor(Value value, OpBuilder &b) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  Operation *op = generic ? soleOperation(generic) : nullptr;
  if (!op || generic.getNumLoops() != 2 || generic.getNumDpsInputs() != 2 || op->getNumOperands() != 2)
    return std::nullopt;
  SmallVector<OpOperand *> operands;
  for (Value operand : op->getOperands()) {
    auto argument = dyn_cast<BlockArgument>(operand);
    if (!argument || argument.getArgNumber() >= 2)
      return std::nullopt;
    operands.push_back(generic.getDpsInputOperand(argument.getArgNumber()));
  }
  auto mapOf = [&](OpOperand *operand) { return generic.getMatchingIndexingMap(operand); };
  if (isa<arith::MulFOp>(op)) {
    if (!mapOf(operands[0]).isIdentity())
      std::swap(operands[0], operands[1]);
    AffineMap map = mapOf(operands[1]);
    if (!mapOf(operands[0]).isIdentity() || map.getNumResults() != 1 || map.getResult(0) != b.getAffineDimExpr(0))
      return std::nullopt;
    Factor factor{{}, operands[0]->get()};
    factor.vector = stripSigns(operands[1]->get(), factor.isNegative);
    return factor;
  }
  if (!isa<arith::AddFOp, arith::SubFOp>(op) || !mapOf(operands[0]).isIdentity() || !mapOf(operands[1]).isIdentity())
    return std::nullopt;
  std::optional<Factor> x = takeFactor(operands[0]->get(), b), y = takeFactor(operands[1]->get(), b);
  if (!x || !y || x->vector != y->vector)
    return std::nullopt;
  bool isDifference = isa<arith::SubFOp>(op) != (x->isNegative != y->isNegative);
  return Factor{x->vector, combine(b, value.getLoc(), x->rest, y->rest, isDifference), x->isNegative};
}

//===----------------------------------------------------------------------------------------------------------------===//
// Systems
//===----------------------------------------------------------------------------------------------------------------===//

/// The columns of `matrix` times a vector, or minus that.
static Value scaleColumns(OpBuilder &b, Location loc, Value matrix, const Factor &factor) {
  auto type = cast<RankedTensorType>(matrix.getType());
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  AffineMap identity = b.getMultiDimIdentityMap(2);
  SmallVector<AffineMap> maps{identity, identity.getSubMap({1}), identity};
  SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
  auto body = [&](OpBuilder &inner, Location loc, ValueRange args) {
    Value scale = factor.isNegative ? arith::NegFOp::create(inner, loc, args[1]).getResult() : args[1];
    linalg::YieldOp::create(inner, loc, arith::MulFOp::create(inner, loc, args[0], scale).getResult());
  };
  return linalg::GenericOp::create(b, loc, type, ValueRange{matrix, factor.vector}, empty, maps, loops, body)
      .getResult(0);
}

/// x = (I + stril(m))^-1 rhs as the product with the inverse, which takes a factor of the rows of rhs.
static void invert(chunk::SolveOp solve) {
  OpBuilder b(solve);
  Location loc = solve.getLoc();
  Value inverse = chunk::InverseOp::create(b, loc, solve.getMatrix().getType(), solve.getMatrix());
  Value rhs = solve.getRhs();
  std::optional<Factor> factor = takeFactor(rhs, b);
  if (factor) {
    inverse = scaleColumns(b, loc, inverse, *factor);
    rhs = factor->rest;
  }
  auto type = cast<RankedTensorType>(rhs.getType());
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
  Value zeros = linalg::FillOp::create(b, loc, ValueRange(zero), ValueRange(empty)).getResult(0);
  AffineExpr t, n, s;
  bindDims(b.getContext(), t, n, s);
  SmallVector<AffineMap> maps{AffineMap::get(3, 0, {t, s}, b.getContext()),
                              AffineMap::get(3, 0, {s, n}, b.getContext()),
                              AffineMap::get(3, 0, {t, n}, b.getContext())};
  auto product = linalg::ContractOp::create(b, loc, TypeRange(type), ValueRange{inverse, rhs}, ValueRange(zeros),
                                            b.getAffineMapArrayAttr(maps));
  // Its diagonal is not rounded.
  if (!factor)
    product->setAttr("chunk.unit_diagonal", b.getUnitAttr());
  solve.replaceAllUsesWith(product.getResult(0));
  solve.erase();
}

/// An inverse, perhaps with scaled columns.
static bool isInverse(Value value) {
  if (auto generic = value.getDefiningOp<linalg::GenericOp>())
    return isInverse(generic.getDpsInputs()[0]);
  return value.getDefiningOp<chunk::InverseOp>() != nullptr;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
class Products : Program {
public:
  explicit Products(func::FuncOp body) : Program(body) {}

  /// Whether there is a triangular system of decays by channel, or products with such are weights of sums that decay
  /// along the other axis (all the state's registers go there), and all systems can be inverted ahead of time.
  bool paysOff();
  /// Replaces the body by its parts.
  void split();

private:
  void collect(Value value);
  Value join();
  void need(Value value, int64_t part);

  llvm::SetVector<Value> matrices;
  llvm::DenseSet<Value> seen;
};
} // namespace

bool Products::paysOff() {
  bool isMost = false;
  for (auto solve : body.getBody().getOps<chunk::SolveOp>()) {
    if (solve.getTransposed() || shapeOf(solve.getRhs()).size() != 2 || analysis.dependsOn(solve.getMatrix()))
      return false;
    isMost |= analysis.dependsOnChannels(solve.getMatrix());
  }
  for (auto apply : body.getBody().getOps<chunk::DecayedApplyOp>())
    isMost |= analysis.dependsOnChannels(apply.getWeight());
  return isMost && chunk == 2 * kChunk && llvm::any_of(states, [](Value state) { return shapeOf(state).size() == 2; });
}

/// The products of tokens of which `value` is made with states.
void Products::collect(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !seen.insert(value).second)
    return;
  if (analysis.timedAxes(value) == 3 && !analysis.dependsOn(value)) {
    matrices.insert(value);
    return;
  }
  for (Value operand : operandsOf(op))
    collect(operand);
}

/// All of them in one value, side by side: one copy brings them.
Value Products::join() {
  SmallVector<Value> values;
  for (bool inverses : {true, false})
    for (Value value : matrices)
      if (isInverse(value) == inverses)
        values.push_back(value);
  if (values.size() == 1)
    return values.front();
  Block &block = body.getBody().front();
  OpBuilder b(block.getTerminator());
  auto joined = tensor::ConcatOp::create(b, body.getLoc(), /*dim=*/1, values);
  for (auto [number, value] : llvm::enumerate(values)) {
    SmallVector<OpFoldResult> offsets{b.getIndexAttr(0), b.getIndexAttr(number * chunk)},
        sizes(2, b.getIndexAttr(chunk)), strides(2, b.getIndexAttr(1));
    auto slice = tensor::ExtractSliceOp::create(b, value.getLoc(), cast<RankedTensorType>(value.getType()), joined,
                                                offsets, sizes, strides);
    value.replaceUsesWithIf(slice.getResult(), [&](OpOperand &use) {
      Operation *user = use.getOwner();
      return user != joined && !(user->getNumResults() == 1 && analysis.timedAxes(user->getResult(0)) == 3 &&
                                 !analysis.dependsOn(user->getResult(0)));
    });
  }
  (void)sortTopologically(&block);
  return joined;
}

/// Puts what computes `value` into `part`; `cuts` are the first one's.
void Products::need(Value value, int64_t part) {
  Operation *op = value.getDefiningOp();
  if (!op || (part == 1 && cuts.contains(value)))
    return;
  if (parts[part].ops.insert(op).second)
    for (Value operand : operandsOf(op))
      need(operand, part);
}

void Products::split() {
  for (auto solve : llvm::make_early_inc_range(body.getBody().getOps<chunk::SolveOp>()))
    invert(solve);
  parts.resize(2);
  for (int64_t i = 0, e = states.size(); i < e; ++i)
    parts[1].states.push_back(i);
  Operation *end = body.getBody().front().getTerminator();
  for (Value result : end->getOperands())
    collect(result);
  Value joined = join();
  cuts[joined] = {};
  parts[0].written.insert(joined);
  parts[1].read.insert(joined);
  need(joined, 0);
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i) {
    parts[1].results.push_back(i);
    need(end->getOperand(i), 1);
  }
  replaceBody();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
struct SplitProducts : rondo::impl::RondoSplitProductsBase<SplitProducts> {
  void runOnOperation() override {
    for (func::FuncOp body : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!Program::isCandidate(body) || !Products(body).paysOff())
        continue;
      if (func::FuncOp halved = schedule::cloneForChunk(body, kChunk)) {
        body.erase();
        Products(halved).split();
      }
    }
  }
};
} // namespace
