//===- Simplify.cpp - Arithmetic that costs less on a GPU and means the same ------------------------------------===//
//
// On a GPU e^x is one instruction and a multiplication, e^x - 1 near 0 a polynomial of fifteen. So
//
//   (e^x - 1) + 1                    ->  e^x
//   (if c then y else e^x - 1) + 1   ->  if c then y + 1 else e^x         elu(x) + 1, a usual feature map
//
// Numerics: rounds once where it rounded twice.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace rondo;

namespace {
struct AddOneToExpM1 : OpRewritePattern<arith::AddFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::AddFOp op, PatternRewriter &b) const override {
    for (unsigned side = 0; side < 2; ++side) {
      Value value = op.getOperand(side), one = op.getOperand(1 - side);
      if (!matchPattern(one, m_OneFloat()))
        continue;
      if (Value power = powerOf(value, b)) {
        b.replaceOp(op, power);
        return success();
      }
      auto select = value.getDefiningOp<arith::SelectOp>();
      if (!select)
        continue;
      auto plusOne = [&](Value branch) -> Value {
        Value power = powerOf(branch, b);
        return power ? power : arith::AddFOp::create(b, op.getLoc(), branch, one).getResult();
      };
      if (!select.getTrueValue().getDefiningOp<math::ExpM1Op>() &&
          !select.getFalseValue().getDefiningOp<math::ExpM1Op>())
        continue;
      Value yes = plusOne(select.getTrueValue()), no = plusOne(select.getFalseValue());
      b.replaceOpWithNewOp<arith::SelectOp>(op, select.getCondition(), yes, no);
      return success();
    }
    return failure();
  }

  static Value powerOf(Value value, PatternRewriter &b) {
    auto op = value.getDefiningOp<math::ExpM1Op>();
    return op ? math::ExpOp::create(b, op.getLoc(), op.getOperand()).getResult() : Value();
  }
};
} // namespace

void schedule::simplify(tile::KernelOp kernel) {
  RewritePatternSet patterns(kernel.getContext());
  patterns.add<AddOneToExpM1>(kernel.getContext());
  (void)applyPatternsGreedily(kernel, std::move(patterns));
}
