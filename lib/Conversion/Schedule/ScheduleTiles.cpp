//===- ScheduleTiles.cpp - Chunk bodies to kernels of tiles -----------------------------------------------------===//

#include "../KernelBuilder.h"
#include "Scheduler.h"
#include "rondo/Conversion/Passes.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOSCHEDULETILES
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
struct ScheduleTiles : rondo::impl::RondoScheduleTilesBase<ScheduleTiles> {
  using RondoScheduleTilesBase::RondoScheduleTilesBase;

  void runOnOperation() override {
    FailureOr<ElementTypes> types = parseElementTypes(getOperation(), dtype, dtypes);
    if (failed(types))
      return signalPassFailure();
    // One part of a program that does not fit decides for all.
    llvm::SmallPtrSet<Attribute, 4> refused;
    for (func::FuncOp body : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!body->hasAttr("rondo.chunk") || body->hasAttr("rondo.arrays") || body->hasAttr("rondo.backward"))
        continue;
      Attribute program = body->getAttr("rondo.program");
      if (program && refused.contains(program))
        continue;
      if (schedule(body, *types))
        continue;
      if (required)
        return signalPassFailure();
      if (program)
        refused.insert(program);
    }
  }

  bool schedule(func::FuncOp body, const ElementTypes &types) {
    std::string reason;
    Location loc = body.getLoc();
    // As many chunks on their way as fit.
    func::FuncOp halved;
    auto finish = [&](bool done) {
      if (halved)
        halved.erase();
      if (done)
        body.erase();
      return done;
    };
    for (const schedule::Budget &budget : schedule::Scheduler::getBudgets(body)) {
      bool isHalved = budget.chunk != body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
      if (isHalved && !halved)
        halved = schedule::cloneForChunk(body, budget.chunk);
      if (isHalved && !halved)
        continue;
      schedule::Scheduler scheduler(isHalved ? halved : body, types.byDefault, types.byName, budget);
      if (FailureOr<tile::KernelOp> kernel = scheduler.build(); succeeded(kernel)) {
        schedule::simplify(*kernel);
        schedule::prefetchTokens(*kernel);
        return finish(true);
      }
      // What does not go in steps of half a chunk may go in whole ones.
      if (isHalved && !scheduler.isTooLarge)
        continue;
      reason = scheduler.reason;
      loc = scheduler.reasonLoc;
      if (!scheduler.isTooLarge)
        break;
    }
    finish(false);
    if (required)
      body.emitError() << "does not go on tensor cores: " << reason;
    else
      emitRemark(loc) << "runs on CUDA cores: " << reason;
    return false;
  }
};
} // namespace
