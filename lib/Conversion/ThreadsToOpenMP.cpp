//===- ThreadsToOpenMP.cpp - The threads of a block as an OpenMP team -------------------------------------------===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOTHREADSTOOPENMP
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-threads-to-openmp"

using namespace mlir;

namespace {

class ThreadsToOpenMP : public rondo::impl::RondoThreadsToOpenMPBase<ThreadsToOpenMP> {
  void runOnOperation() override {
    for (auto function : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (function->hasAttr("rondo.threads"))
        makeTeam(function);
  }

  static void makeTeam(func::FuncOp function);
};

} // namespace

/// int omp_get_thread_num(void)
static func::FuncOp declareThreadNumber(func::FuncOp function) {
  constexpr StringLiteral name = "omp_get_thread_num";
  auto module = function->getParentOfType<ModuleOp>();
  if (auto found = module.lookupSymbol<func::FuncOp>(name))
    return found;
  OpBuilder b(module.getBodyRegion());
  auto declared = func::FuncOp::create(b, function.getLoc(), name, b.getFunctionType({}, b.getI32Type()));
  declared.setPrivate();
  return declared;
}

void ThreadsToOpenMP::makeTeam(func::FuncOp function) {
  auto threads = function->getAttrOfType<IntegerAttr>("rondo.threads");
  Block &entry = function.getBody().front();
  SmallVector<Operation *> inside, arenas;
  for (Operation &op : entry.without_terminator())
    (isa<memref::AllocOp>(op) ? arenas : inside).push_back(&op);

  ImplicitLocOpBuilder b(function.getLoc(), entry.getTerminator());
  for (Operation *arena : arenas)
    arena->moveBefore(entry.getTerminator());
  omp::ParallelOperands clauses;
  clauses.numThreads = arith::ConstantIntOp::create(b, b.getI32Type(), threads.getInt());
  auto parallel = omp::ParallelOp::create(b, clauses);
  for (Operation *arena : arenas)
    memref::DeallocOp::create(b, arena->getResult(0));
  b.createBlock(&parallel.getRegion());
  Operation *end = omp::TerminatorOp::create(b);
  for (Operation *op : inside)
    op->moveBefore(end);

  parallel.walk([&](Operation *op) {
    b.setInsertionPoint(op);
    if (isa<gpu::ThreadIdOp>(op)) {
      Value number = func::CallOp::create(b, declareThreadNumber(function), ValueRange()).getResult(0);
      op->replaceAllUsesWith(ValueRange{arith::IndexCastOp::create(b, b.getIndexType(), number)});
    } else if (isa<gpu::BlockIdOp>(op)) {
      op->replaceAllUsesWith(ValueRange{arith::ConstantIndexOp::create(b, 0)});
    } else if (isa<gpu::GridDimOp>(op)) {
      op->replaceAllUsesWith(ValueRange{arith::ConstantIndexOp::create(b, 1)});
    } else if (isa<gpu::BarrierOp>(op)) {
      omp::BarrierOp::create(b);
    } else {
      return;
    }
    op->erase();
  });
}
