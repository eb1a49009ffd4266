//===- RaiseUpdates.cpp - Turn assignments to states into decays, writes and reads ------------------------------===//

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "rondo/Transforms/Passes.h"

#define DEBUG_TYPE "rondo-raise-updates"

namespace rondo {
#define GEN_PASS_DEF_RONDORAISEUPDATES
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
/// A multiple of a whole state: diag(rows) state diag(cols) scalar, turned by theta before the factors apply. Null
/// factors are 1.
struct StateTerm {
  LoadOp load;
  Value scalar, rows, cols, full, theta;
};

/// key value^T; for a vector state `value` is a scalar.
struct OuterTerm {
  Value key, value;
};

/// The stored expression as a sum. Terms are only collected here; new operations are made next to the expression they
/// replace.
struct Sum {
  SmallVector<StateTerm> states;
  SmallVector<OuterTerm> outers;
};

/// True when nothing changes the loaded state between the load and `use`.
bool isFresh(LoadOp load, Operation *use) {
  for (Operation *op = load->getNextNode(); op && op != use; op = op->getNextNode())
    if (isa<StoreOp, DecayOp, RotateStateOp, WriteOp, AccumulateOp>(op) && op->getOperand(0) == load.getState())
      return false;
  return true;
}

class Raiser {
public:
  Raiser(StoreOp store) : store(store), builder(store) {}

  bool raise();

private:
  /// Adds `factor` times `value` to the sum; false when the value is no linear expression of states and outer products.
  bool expand(Value value, Sum &sum);
  bool scale(Sum &sum, Value factor, unsigned begin, unsigned outerBegin);
  bool isFresh(LoadOp load) { return ::isFresh(load, store); }
  bool containsLoad(Value value);
  Value mul(Value a, Value b);
  Value neg(Value a) { return UnaryOp::create(builder, a.getLoc(), a.getType(), UnaryKind::neg, a); }
  Value one() { return constant(1.0); }
  Value constant(double value) {
    return ConstantOp::create(builder, store.getLoc(), ValueType::get(builder.getContext(), {}),
                              builder.getF64FloatAttr(value));
  }

  StoreOp store;
  OpBuilder builder;
};

Value Raiser::mul(Value a, Value b) {
  if (!a || !b)
    return a ? a : b;
  Type type = cast<ValueType>(a.getType()).isScalar() ? b.getType() : a.getType();
  return BinaryOp::create(builder, b.getLoc(), type, BinaryKind::mul, a, b);
}

/// True when the value is computed by pure operations from the stored state, or from a whole matrix state of its shape
/// that may be coupled to it. Other states' values (scalars, vectors, reads) are values like any other.
bool Raiser::containsLoad(Value value) {
  Operation *def = value.getDefiningOp();
  if (!def || isa<ReadOp>(def))
    return false;
  if (auto load = dyn_cast<LoadOp>(def))
    return load.getState() == store.getState() ||
           (load.getState().getType().getRank() == 2 && load.getState().getType() == store.getState().getType());
  return llvm::any_of(def->getOperands(), [&](Value operand) { return containsLoad(operand); });
}

/// Multiplies the terms added since `begin` by a scalar, or by a vector spread over the rows or columns of a matrix.
bool Raiser::scale(Sum &sum, Value factor, unsigned begin, unsigned outerBegin) {
  auto broadcast = factor.getDefiningOp<BroadcastOp>();
  bool isScalar = cast<ValueType>(factor.getType()).isScalar();
  if (broadcast && !broadcast.getAxis()) {
    factor = broadcast.getOperand();
    isScalar = true;
  }
  bool isVectorState = store.getState().getType().getRank() == 1;
  if (!isScalar && !isVectorState && !(broadcast && broadcast.getAxis())) {
    // A factor for each element.
    for (StateTerm &term : MutableArrayRef(sum.states).drop_front(begin))
      term.full = mul(term.full, factor);
    return sum.outers.size() == outerBegin;
  }
  bool rows = isVectorState || (!isScalar && *broadcast.getAxis() == Axis::rows);
  if (!isScalar && !isVectorState)
    factor = broadcast.getOperand();
  for (StateTerm &term : MutableArrayRef(sum.states).drop_front(begin)) {
    Value &slot = isScalar ? term.scalar : (rows ? term.rows : term.cols);
    slot = mul(slot, factor);
  }
  for (OuterTerm &term : MutableArrayRef(sum.outers).drop_front(outerBegin)) {
    if (isScalar || !rows)
      term.value = mul(term.value, factor);
    else
      term.key = mul(term.key, factor);
  }
  return true;
}

bool Raiser::expand(Value value, Sum &sum) {
  Operation *def = value.getDefiningOp();
  if (auto load = dyn_cast_or_null<LoadOp>(def); load && containsLoad(value)) {
    if (!isFresh(load))
      return false;
    sum.states.push_back({load, {}, {}, {}, {}, {}});
    return true;
  }
  bool isVectorState = store.getState().getType().getRank() == 1;
  if (!containsLoad(value)) {
    if (auto outer = dyn_cast_or_null<OuterOp>(def)) {
      sum.outers.push_back({outer.getLhs(), outer.getRhs()});
      return true;
    }
    if (isVectorState) {
      if (!cast<ValueType>(value.getType()).isScalar()) {
        sum.outers.push_back({value, one()});
        return true;
      }
      return false;
    }
  }
  if (!def)
    return false;
  unsigned begin = sum.states.size(), outerBegin = sum.outers.size();
  if (auto unary = dyn_cast<UnaryOp>(def)) {
    if (unary.getKind() != UnaryKind::neg || !expand(unary.getOperand(), sum))
      return false;
    for (StateTerm &term : MutableArrayRef(sum.states).drop_front(begin))
      term.scalar = neg(term.scalar ? term.scalar : one());
    for (OuterTerm &term : MutableArrayRef(sum.outers).drop_front(outerBegin))
      term.value = neg(term.value);
    return true;
  }
  if (auto rotate = dyn_cast<RotateOp>(def)) {
    if (!expand(rotate.getOperand(), sum) || sum.outers.size() != outerBegin || sum.states.size() != begin + 1)
      return false;
    StateTerm &term = sum.states.back();
    if (term.theta || term.rows || term.full)
      return false;
    term.theta = rotate.getTheta();
    return true;
  }
  if (auto matmul = dyn_cast<MatmulOp>(def)) {
    // (a b^T) S = a (S^T b)^T and S (a b^T) = (S a) b^T.
    auto left = matmul.getLhs().getDefiningOp<OuterOp>(), right = matmul.getRhs().getDefiningOp<OuterOp>();
    auto loadRight = matmul.getRhs().getDefiningOp<LoadOp>(), loadLeft = matmul.getLhs().getDefiningOp<LoadOp>();
    MLIRContext *context = builder.getContext();
    if (left && loadRight && isFresh(loadRight)) {
      auto type = ValueType::get(context, loadRight.getType().getDims().drop_front());
      sum.outers.push_back({left.getLhs(), ReadOp::create(builder, def->getLoc(), type, loadRight.getState(),
                                                          left.getRhs(), Axis::rows)});
      return true;
    }
    if (right && loadLeft && isFresh(loadLeft)) {
      auto type = ValueType::get(context, loadLeft.getType().getDims().take_front());
      sum.outers.push_back(
          {ReadOp::create(builder, def->getLoc(), type, loadLeft.getState(), right.getLhs(), Axis::cols),
           right.getRhs()});
      return true;
    }
    return false;
  }
  auto binary = dyn_cast<BinaryOp>(def);
  if (!binary)
    return false;
  switch (binary.getKind()) {
  case BinaryKind::add:
  case BinaryKind::sub: {
    if (binary.getLhs().getType() != binary.getRhs().getType() || !expand(binary.getLhs(), sum))
      return false;
    begin = sum.states.size(), outerBegin = sum.outers.size();
    if (!expand(binary.getRhs(), sum))
      return false;
    if (binary.getKind() == BinaryKind::sub) {
      for (StateTerm &term : MutableArrayRef(sum.states).drop_front(begin))
        term.scalar = neg(term.scalar ? term.scalar : one());
      for (OuterTerm &term : MutableArrayRef(sum.outers).drop_front(outerBegin))
        term.value = neg(term.value);
    }
    return true;
  }
  case BinaryKind::mul: {
    // A scalar, a vector spread over a matrix, or a matrix elementwise, times a linear expression.
    if (!containsLoad(binary.getLhs()) && expand(binary.getRhs(), sum))
      return scale(sum, binary.getLhs(), begin, outerBegin);
    if (!containsLoad(binary.getRhs()) && expand(binary.getLhs(), sum))
      return scale(sum, binary.getRhs(), begin, outerBegin);
    return false;
  }
  case BinaryKind::div: {
    if (containsLoad(binary.getRhs()) || !cast<ValueType>(binary.getRhs().getType()).isScalar() ||
        !expand(binary.getLhs(), sum))
      return false;
    Value inverse =
        BinaryOp::create(builder, def->getLoc(), binary.getRhs().getType(), BinaryKind::div, one(), binary.getRhs());
    return scale(sum, inverse, begin, outerBegin);
  }
  default:
    return false;
  }
}

bool Raiser::raise() {
  auto state = store.getState();
  if (state.getType().getRank() == 0)
    return false;
  // Values are made in front of the store, so that reads and loads keep their place; unused ones are erased if this
  // fails.
  Operation *before = store->getPrevNode();
  Sum sum;
  StateTerm own;
  SmallVector<StateTerm> others;
  bool linear = expand(store.getValue(), sum);
  for (StateTerm &term : sum.states) {
    if (term.load.getState() != state) {
      linear &= !term.rows && !term.cols && !term.full && !term.theta;
      others.push_back(term);
    } else if (!own.load) {
      own = term;
    } else if (!own.rows && !own.cols && !own.full && !own.theta && !term.rows && !term.cols && !term.full &&
               !term.theta) {
      // a S + b S
      own.scalar = BinaryOp::create(builder, store.getLoc(), ValueType::get(builder.getContext(), {}), BinaryKind::add,
                                    own.scalar ? own.scalar : one(), term.scalar ? term.scalar : one());
    } else {
      linear = false;
    }
  }
  linear &= bool(own.load);
  if (!linear) {
    while (store->getPrevNode() != before)
      store->getPrevNode()->erase();
    return false;
  }
  Location loc = store.getLoc();
  auto locOf = [&](Value factor) { return factor.getDefiningOp() ? factor.getLoc() : loc; };
  if (own.theta)
    RotateStateOp::create(builder, loc, state, own.theta);
  if (own.scalar)
    DecayOp::create(builder, locOf(own.scalar), state, own.scalar, AxisAttr());
  auto axis = [&](Axis value) {
    return state.getType().getRank() == 2 ? AxisAttr::get(builder.getContext(), value) : AxisAttr();
  };
  if (own.rows)
    DecayOp::create(builder, locOf(own.rows), state, own.rows, axis(Axis::rows));
  if (own.cols)
    DecayOp::create(builder, locOf(own.cols), state, own.cols, axis(Axis::cols));
  if (own.full)
    DecayOp::create(builder, locOf(own.full), state, own.full, AxisAttr());
  for (StateTerm &term : others)
    AccumulateOp::create(builder, loc, state, term.scalar ? term.scalar : one(), term.load.getState());
  for (OuterTerm &term : sum.outers)
    WriteOp::create(builder, loc, state, term.key, term.value);
  store.erase();
  return true;
}

/// Contractions of a loaded state become reads.
struct MatmulToRead : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    auto rewrite = [&](Value operand, Value vector, Axis axis) -> LogicalResult {
      if (auto transpose = operand.getDefiningOp<TransposeOp>()) {
        operand = transpose.getOperand();
        axis = axis == Axis::rows ? Axis::cols : Axis::rows;
      }
      auto load = operand.getDefiningOp<LoadOp>();
      if (!load || cast<ValueType>(vector.getType()).getRank() != 1 || load.getState().getType().getRank() == 0)
        return failure();
      if (load.getState().getType().getRank() == 1)
        axis = Axis::rows;
      // The read stands where the product stood: nothing may change the state in between.
      if (!isFresh(load, op))
        return failure();
      rewriter.replaceOpWithNewOp<ReadOp>(op, op.getType(), load.getState(), vector, axis);
      return success();
    };
    if (succeeded(rewrite(op.getLhs(), op.getRhs(), Axis::cols)))
      return success();
    return rewrite(op.getRhs(), op.getLhs(), Axis::rows);
  }
};

struct RaiseUpdates : rondo::impl::RondoRaiseUpdatesBase<RaiseUpdates> {
  void runOnOperation() override {
    MixerOp mixer = getOperation();
    RewritePatternSet patterns(&getContext());
    patterns.add<MatmulToRead>(&getContext());
    if (failed(applyPatternsGreedily(mixer, std::move(patterns))))
      return signalPassFailure();
    for (StoreOp store : llvm::to_vector(mixer.getBody().getOps<StoreOp>()))
      if (Raiser(store).raise())
        ++numRaised;
    // Loads and sums that only fed a raised store are dead.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(mixer.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }
};
} // namespace
