//===- IncludeOwnToken.cpp - Sums over earlier tokens and the token's own term ----------------------------------===//

#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOINCLUDEOWNTOKEN
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
/// An elementwise operation of two values; `maps` of each in the result's axes.
struct Binary {
  Value values[2];
  AffineMap maps[2];
};

/// The terms of an output.
struct Terms {
  chunk::DecayedApplyOp apply;
  Value sum, own;        ///< the whole sum; x[t] c[t]
  Value weights;         ///< c
  SmallVector<Value> of; ///< the others
};
} // namespace

template <class Op>
static std::optional<Binary> match(Value value) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 2 || generic.getNumResults() != 1 ||
      generic.getNumParallelLoops() != generic.getNumLoops() ||
      !generic.getMatchingIndexingMap(generic.getDpsInitOperand(0)).isIdentity() ||
      !llvm::hasNItems(generic.getBody()->without_terminator(), 1))
    return std::nullopt;
  auto op = dyn_cast<Op>(generic.getBody()->front());
  if (!op || generic.getBody()->getTerminator()->getOperand(0) != op.getResult())
    return std::nullopt;
  Binary result;
  for (unsigned i : {0, 1}) {
    auto argument = dyn_cast<BlockArgument>(op->getOperand(i));
    if (!argument || argument.getOwner() != generic.getBody() || argument.getArgNumber() > 1)
      return std::nullopt;
    result.values[i] = generic.getDpsInputs()[argument.getArgNumber()];
    result.maps[i] = generic.getIndexingMapsArray()[argument.getArgNumber()];
  }
  return result;
}

/// A value without what keeps its rows.
static Value withoutKeep(Value value) {
  auto keep = value.getDefiningOp<chunk::KeepRowsOp>();
  return keep ? keep.getOperand() : value;
}

/// value = x d, element by element: x.
static Value withoutFactor(Value value, Value decays) {
  std::optional<Binary> product = match<arith::MulFOp>(value);
  for (unsigned i : {0, 1})
    if (product && product->maps[0].isIdentity() && product->maps[1].isIdentity() &&
        withoutKeep(product->values[i]) == withoutKeep(decays))
      return product->values[1 - i];
  return {};
}

static void collectTerms(Value value, SmallVectorImpl<Value> &terms) {
  std::optional<Binary> sum = match<arith::AddFOp>(value);
  if (sum && sum->maps[0].isIdentity() && sum->maps[1].isIdentity() && value.hasOneUse()) {
    collectTerms(sum->values[0], terms);
    collectTerms(sum->values[1], terms);
  } else {
    terms.push_back(value);
  }
}

/// The sum that has d times this one as a term, and the token's own.
static std::optional<Terms> matchTerms(chunk::DecayedApplyOp apply) {
  if (apply.getReverse() || apply.getInclusive() || !apply->hasOneUse())
    return std::nullopt;
  Value scaled = apply->getUsers().begin()->getResult(0), sum = scaled;
  if (withoutFactor(scaled, apply.getDecay()) != apply.getResult())
    return std::nullopt;
  while (sum.hasOneUse()) {
    Operation *user = *sum.getUsers().begin();
    if (user->getNumResults() != 1 || !match<arith::AddFOp>(user->getResult(0)))
      break;
    sum = user->getResult(0);
  }
  std::optional<Binary> top = match<arith::AddFOp>(sum);
  if (!top)
    return std::nullopt;
  Terms terms{apply, sum, {}, {}, {}};
  SmallVector<Value> all;
  collectTerms(top->values[0], all);
  collectTerms(top->values[1], all);
  for (Value term : all) {
    std::optional<Binary> product = match<arith::MulFOp>(term);
    for (unsigned i : {0, 1})
      if (!terms.own && product && product->maps[i].isIdentity() &&
          withoutKeep(product->values[i]) == withoutKeep(apply.getValue()) &&
          product->maps[1 - i].getNumResults() == 1 &&
          product->maps[1 - i].getResult(0) == getAffineDimExpr(0, apply.getContext())) {
        terms.own = term;
        terms.weights = product->values[1 - i];
      }
    if (term != scaled && term != terms.own)
      terms.of.push_back(term);
  }
  return terms.own ? std::optional<Terms>(terms) : std::nullopt;
}

/// The matrix of which `weights` is what is below the diagonal, if that is all it does.
static Value withoutMask(Value weights) {
  auto generic = weights.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 1 || !generic.getIndexingMapsArray()[0].isIdentity() ||
      generic.getBody()->getOps<linalg::IndexOp>().empty())
    return {};
  auto select = generic.getBody()->getTerminator()->getOperand(0).getDefiningOp<arith::SelectOp>();
  auto compare = select ? select.getCondition().getDefiningOp<arith::CmpIOp>() : arith::CmpIOp();
  if (!compare || compare.getPredicate() != arith::CmpIPredicate::slt ||
      select.getTrueValue() != generic.getBody()->getArgument(0) ||
      !matchPattern(select.getFalseValue(), m_AnyZeroFloat()))
    return {};
  auto lhs = compare.getLhs().getDefiningOp<linalg::IndexOp>(), rhs = compare.getRhs().getDefiningOp<linalg::IndexOp>();
  return lhs && rhs && lhs.getDim() == 1 && rhs.getDim() == 0 ? generic.getDpsInputs()[0] : Value();
}

/// Whether `diagonal` is that of `product`: the same sums, of each token with itself.
static bool isDiagonalOf(Value diagonal, Value product) {
  auto sums = diagonal.getDefiningOp<linalg::ContractOp>(), all = product.getDefiningOp<linalg::ContractOp>();
  return sums && all && sums.getInputs() == all.getInputs() && sums.getIteratorTypesArray().size() == 2 &&
         all.getIteratorTypesArray().size() == 3;
}

static Value makeGeneric(OpBuilder &b, Location loc, RankedTensorType type, ValueRange inputs, ArrayRef<AffineMap> maps,
                         function_ref<Value(OpBuilder &, ValueRange)> make) {
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
  auto body = [&](OpBuilder &inner, Location loc, ValueRange args) {
    linalg::YieldOp::create(inner, loc, make(inner, args));
  };
  return linalg::GenericOp::create(b, loc, type, inputs, empty, maps, loops, body).getResult(0);
}

/// w below the diagonal, c on it, zeros above.
static Value includeDiagonal(OpBuilder &b, Location loc, Value weights, Value diagonal) {
  auto type = cast<RankedTensorType>(weights.getType());
  AffineMap identity = b.getMultiDimIdentityMap(2);
  Value product = withoutMask(weights);
  bool isWhole = product && isDiagonalOf(diagonal, product);
  SmallVector<Value> inputs{product ? product : weights};
  SmallVector<AffineMap> maps{identity, identity};
  if (!isWhole) {
    inputs.push_back(diagonal);
    maps.insert(maps.begin() + 1, identity.getSubMap({0}));
  }
  return makeGeneric(b, loc, type, inputs, maps, [&](OpBuilder &inner, ValueRange args) -> Value {
    Value zero = arith::ConstantOp::create(inner, loc, inner.getZeroAttr(type.getElementType()));
    Value row = linalg::IndexOp::create(inner, loc, 0), column = linalg::IndexOp::create(inner, loc, 1);
    auto when = [&](arith::CmpIPredicate predicate, Value x, Value y) -> Value {
      Value holds = arith::CmpIOp::create(inner, loc, predicate, column, row);
      return arith::SelectOp::create(inner, loc, holds, x, y);
    };
    if (isWhole)
      return when(arith::CmpIPredicate::sle, args[0], zero);
    return when(arith::CmpIPredicate::slt, args[0], when(arith::CmpIPredicate::eq, args[1], zero));
  });
}

static void rewrite(Terms &terms) {
  chunk::DecayedApplyOp apply = terms.apply;
  OpBuilder b(terms.sum.getDefiningOp());
  Location loc = terms.sum.getLoc();
  auto type = cast<RankedTensorType>(terms.sum.getType());
  SmallVector<AffineMap> maps(3, b.getMultiDimIdentityMap(2));
  Value result =
      chunk::DecayedApplyOp::create(b, apply.getLoc(), type, includeDiagonal(b, loc, apply.getWeight(), terms.weights),
                                    apply.getValue(), apply.getDecay(), /*reverse=*/false, /*inclusive=*/true);
  for (Value term : llvm::reverse(terms.of)) {
    // (r prefix) d
    if (Value decayed = withoutFactor(term, apply.getDecay()))
      if (std::optional<Binary> product = match<arith::MulFOp>(decayed))
        for (unsigned i : {0, 1}) {
          auto prefix = product->values[i].getDefiningOp<chunk::CumprodOp>();
          if (!prefix || prefix.getSuffix() || prefix.getOperand() != apply.getDecay() ||
              !product->maps[0].isIdentity() || !product->maps[1].isIdentity())
            continue;
          Value inclusive = chunk::CumprodOp::create(b, prefix.getLoc(), prefix.getType(), prefix.getOperand(),
                                                     /*suffix=*/false, /*inclusive=*/true);
          term = makeGeneric(b, term.getLoc(), type, {product->values[1 - i], inclusive}, maps,
                             [&](OpBuilder &inner, ValueRange args) -> Value {
                               return arith::MulFOp::create(inner, loc, args[0], args[1]);
                             });
          break;
        }
    result = makeGeneric(b, loc, type, {term, result}, maps, [&](OpBuilder &inner, ValueRange args) -> Value {
      return arith::AddFOp::create(inner, loc, args[0], args[1]);
    });
  }
  terms.sum.replaceAllUsesWith(result);
}

namespace {
struct IncludeOwnToken : rondo::impl::RondoIncludeOwnTokenBase<IncludeOwnToken> {
  void runOnOperation() override {
    for (auto apply : llvm::to_vector(getOperation().getOps<chunk::DecayedApplyOp>()))
      if (std::optional<Terms> terms = matchTerms(apply))
        rewrite(*terms);
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(getOperation().getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }
};
} // namespace
