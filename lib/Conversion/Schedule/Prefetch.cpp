//===- Prefetch.cpp - Numbers of the tokens, one chunk ahead ---------------------------------------------------===//
//
// A read of device memory takes longer than a warp's work on the numbers of a chunk, and every other role waits for
// that work. So a loop over chunks that begins with
//
//   %g = tile.load_tokens "g"[%t]
//
// carries what it reads of the next chunk (tokens beyond the last are not read, whatever the chunk's number):
//
//   %first = if there is a chunk: tile.load_tokens "g"[0]
//   for %t iter_args(%g = %first) { %next = tile.load_tokens "g"[%t + 1]; ...; yield %next }
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace rondo;

static void prefetchTokens(scf::ForOp loop, IRRewriter &rewriter) {
  SmallVector<Operation *> loads;
  for (Operation &op : *loop.getBody())
    if (isa<tile::LoadTokensOp, tile::LoadTotalOp>(op) && op.getOperand(0) == loop.getInductionVar())
      loads.push_back(&op);
  if (loads.empty())
    return;
  Location loc = loads.front()->getLoc();
  auto readAt = [&](OpBuilder &b, Value chunk) {
    SmallVector<Value> values;
    for (Operation *load : loads) {
      IRMapping map;
      map.map(load->getOperand(0), chunk);
      values.push_back(b.clone(*load, map)->getResult(0));
    }
    return values;
  };

  rewriter.setInsertionPoint(loop);
  Value any =
      arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::slt, loop.getLowerBound(), loop.getUpperBound());
  auto branch = scf::IfOp::create(
      rewriter, loc, any,
      [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, readAt(b, loop.getLowerBound())); },
      [&](OpBuilder &b, Location loc) {
        SmallVector<Value> zeros;
        for (Operation *load : loads)
          zeros.push_back(arith::ConstantOp::create(
              b, loc, DenseElementsAttr::get(cast<ShapedType>(load->getResult(0).getType()), b.getF32FloatAttr(0))));
        scf::YieldOp::create(b, loc, zeros);
      });
  auto makeNext = [&](OpBuilder &b, Location, ArrayRef<BlockArgument> carried) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loads.front());
    SmallVector<Value> next =
        readAt(b, arith::AddIOp::create(b, loc, loop.getInductionVar(), loop.getStep()).getResult());
    for (auto [load, value] : llvm::zip(loads, carried))
      rewriter.replaceOp(load, value);
    return next;
  };
  (void)loop.replaceWithAdditionalYields(rewriter, branch.getResults(), /*replaceInitOperandUsesInLoop=*/false,
                                         makeNext);
}

void schedule::prefetchTokens(tile::KernelOp kernel) {
  IRRewriter rewriter(kernel.getContext());
  for (auto role : kernel.getBody().getOps<tile::RoleOp>())
    for (auto loop : llvm::make_early_inc_range(role.getBody().getOps<scf::ForOp>()))
      ::prefetchTokens(loop, rewriter);
}
