//===- ScheduleTiles.cpp - Chunk bodies to kernels of tiles -----------------------------------------------------===//

#include "../KernelBuilder.h"
#include "Preparation.h"
#include "rondo/Conversion/Passes.h"

#include "llvm/ADT/ScopeExit.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOSCHEDULETILES
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
/// Kernels that run one after the other.
struct Sequence {
  SmallVector<Operation *> kernels;
  std::string name;
  /// Those of values that depend on no state.
  SmallVector<Attribute> temporaries;
};

struct ScheduleTiles : rondo::impl::RondoScheduleTilesBase<ScheduleTiles> {
  using RondoScheduleTilesBase::RondoScheduleTilesBase;

  void runOnOperation() override {
    FailureOr<ElementTypes> types = parseElementTypes(getOperation(), dtype, dtypes);
    if (failed(types))
      return signalPassFailure();
    // One part of a program that does not fit decides for all.
    llvm::SmallPtrSet<Attribute, 4> refused;
    llvm::MapVector<Attribute, Sequence> programs;
    for (func::FuncOp body : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!body->hasAttr("rondo.chunk") || body->hasAttr("rondo.arrays") || body->hasAttr("rondo.backward") ||
          body->hasAttr("rondo.prepare"))
        continue;
      Attribute program = body->getAttr("rondo.program");
      if (program && refused.contains(program))
        continue;
      if (schedule(body, *types, programs[program ? program : body.getSymNameAttr()]))
        continue;
      if (required)
        return signalPassFailure();
      if (program)
        refused.insert(program);
    }
    for (auto &[key, program] : programs)
      if (!program.temporaries.empty())
        number(program);
  }

  bool schedule(func::FuncOp body, const ElementTypes &types, Sequence &program) {
    Type element = types.byDefault;
    llvm::StringMap<Type> elements = types.byName;
    std::string reason;
    Location loc = body.getLoc();
    std::unique_ptr<schedule::Preparation> preparation;
    for (Value blocked; !preparation || (blocked && preparation->take(blocked));) {
      if (!preparation)
        preparation = std::make_unique<schedule::Preparation>(body, element);
      blocked = {};
      func::FuncOp rest = preparation->getBody(), halved;
      llvm::scope_exit eraseHalved([&] {
        if (halved)
          halved.erase();
      });
      SmallVector<DictionaryAttr> handedOver = preparation->getArrays();
      for (DictionaryAttr array : handedOver)
        elements[array.getAs<StringAttr>("name").getValue()] = array.getAs<TypeAttr>("type").getValue();
      // As many chunks on their way as fit.
      for (const schedule::Budget &budget : schedule::Scheduler::getBudgets(rest)) {
        int64_t chunk = rest->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
        bool isHalved = budget.chunk < chunk;
        // A body in chunks of 32 tokens (`rondo-split-products`) stays in them.
        if (budget.chunk > chunk && chunk == 32)
          continue;
        // What is handed over may count from the beginning of a chunk.
        if (isHalved && !handedOver.empty())
          continue;
        if (isHalved && !halved)
          halved = schedule::cloneForChunk(rest, budget.chunk);
        if (isHalved && !halved)
          continue;
        schedule::Scheduler scheduler(isHalved ? halved : rest, element, elements, budget);
        FailureOr<tile::KernelOp> kernel = scheduler.build();
        if (succeeded(kernel)) {
          schedule::simplify(*kernel);
          schedule::prefetchTokens(*kernel);
          (*kernel)->moveAfter(body);
          add(body, *preparation, *kernel, handedOver, program);
          return true;
        }
        // What does not go in steps of half a chunk may go in whole ones.
        if (isHalved && !scheduler.isTooLarge)
          continue;
        reason = scheduler.reason;
        loc = scheduler.reasonLoc;
        if (!scheduler.isTooLarge) {
          blocked = isHalved ? Value() : scheduler.blocked;
          break;
        }
      }
    }
    if (required)
      body.emitError() << "does not go on tensor cores: " << reason;
    else
      emitRemark(loc) << "runs on CUDA cores: " << reason;
    return false;
  }

  void add(func::FuncOp body, schedule::Preparation &preparation, tile::KernelOp kernel,
           ArrayRef<DictionaryAttr> handedOver, Sequence &program) {
    if (program.name.empty())
      program.name =
          body->hasAttr("rondo.kernel") ? kernel.getSymName().rsplit('_').first.str() : kernel.getSymName().str();
    if (!handedOver.empty())
      program.kernels.push_back(preparation.emit());
    program.kernels.push_back(kernel);
    llvm::append_range(program.temporaries, handedOver);
    body.erase();
  }

  /// Names and arrays of the kernels, with those that were found while scheduling.
  void number(Sequence &program) {
    Builder b(&getContext());
    llvm::SmallPtrSet<Attribute, 8> added;
    for (Attribute array : program.temporaries)
      added.insert(cast<DictionaryAttr>(array).get("name"));
    SmallVector<Attribute> arrays;
    for (Operation *op : program.kernels)
      if (auto kernel = dyn_cast<tile::KernelOp>(op); kernel && arrays.empty())
        for (Attribute array : kernel.getArrays())
          if (!added.contains(cast<DictionaryAttr>(array).get("name")))
            arrays.push_back(array);
    llvm::append_range(arrays, program.temporaries);
    for (auto [number, op] : llvm::enumerate(program.kernels)) {
      StringAttr name = b.getStringAttr(program.name + "_" + std::to_string(number));
      if (auto kernel = dyn_cast<tile::KernelOp>(op)) {
        kernel.setSymNameAttr(name);
        kernel.setArraysAttr(b.getArrayAttr(arrays));
      } else {
        op->setAttr("rondo.kernel", name);
        op->setAttr("rondo.program", b.getArrayAttr(arrays));
      }
    }
  }
};
} // namespace
