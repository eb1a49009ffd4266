//===- PlanScratch.cpp - Local buffers to one arena a thread ----------------------------------------------------===//
// C++ -*-===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/Support/MathExtras.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOPLANSCRATCH
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-plan-scratch"

using namespace mlir;

namespace {

/// Bytes between two buffers' starts are a multiple of a cache line (and of the widest vector).
constexpr int64_t kAlignment = 64;

/// What a step may take of a thread's stack, which may be as small as 512 KiB.
constexpr int64_t kMostStackBytes = 256 << 10;

/// A local buffer: its life [begin, end] in the order of the operations, and its place in the arena.
struct Buffer {
  memref::AllocOp alloc;
  int64_t bytes, begin = 0, end = 0, offset = 0;

  bool livesWith(const Buffer &other) const { return begin <= other.end && other.begin <= end; }
};

/// Numbers the operations of a region in their order; an operation with regions spans those inside.
class LinearOrder {
public:
  explicit LinearOrder(Region &region) { number(region); }
  int64_t begin(Operation *op) const { return spans.lookup(op).first; }
  int64_t end(Operation *op) const { return spans.lookup(op).second; }

private:
  void number(Region &region) {
    for (Operation &op : region.getOps()) {
      int64_t first = next++;
      for (Region &inner : op.getRegions())
        number(inner);
      spans[&op] = {first, next - 1};
    }
  }

  int64_t next = 0;
  DenseMap<Operation *, std::pair<int64_t, int64_t>> spans;
};

class PlanScratch : public rondo::impl::RondoPlanScratchBase<PlanScratch> {
  void runOnOperation() override {
    int64_t bytes = 0;
    bool isItem = getOperation()->hasAttr("rondo.item");
    WalkResult result = getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (!isa<omp::ParallelOp>(op) && !(isItem && op == getOperation()))
        return WalkResult::advance();
      FailureOr<int64_t> needed = plan(op);
      if (failed(needed))
        return WalkResult::interrupt();
      bytes = std::max(bytes, *needed);
      return WalkResult::skip();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    Builder builder(&getContext());
    getOperation()->setAttr("rondo.scratch_bytes", builder.getI64IntegerAttr(bytes));
  }

  /// The buffers of `scope`: a parallel region, or the function that a step kernel calls for each item.
  FailureOr<int64_t> plan(Operation *scope);
  static LogicalResult findLife(Buffer &buffer, const BufferViewFlowAnalysis &views, const LinearOrder &order);
};

} // namespace

/// The life of a buffer, from the first to the last operation of its block that uses it or a view of it.
LogicalResult PlanScratch::findLife(Buffer &buffer, const BufferViewFlowAnalysis &views, const LinearOrder &order) {
  Block *block = buffer.alloc->getBlock();
  buffer.begin = order.end(block->getTerminator());
  buffer.end = order.begin(buffer.alloc);
  for (Value view : views.resolve(buffer.alloc))
    for (Operation *user : view.getUsers()) {
      // A buffer may leave the branch of an `if` that allocates it, not the iteration of a loop.
      Operation *ancestor = block->findAncestorOpInBlock(*user);
      while (!ancestor) {
        Operation *parent = block->getParentOp();
        if (isa<LoopLikeOpInterface, omp::LoopNestOp>(parent))
          return buffer.alloc.emitError("local buffer outlives its loop iteration");
        block = parent->getBlock();
        buffer.begin = std::min(buffer.begin, order.begin(parent));
        buffer.end = std::max(buffer.end, order.end(parent));
        ancestor = block->findAncestorOpInBlock(*user);
      }
      buffer.begin = std::min(buffer.begin, order.begin(ancestor));
      buffer.end = std::max(buffer.end, order.end(ancestor));
    }
  return success();
}

FailureOr<int64_t> PlanScratch::plan(Operation *scope) {
  Region &region = scope->getRegion(0);
  LinearOrder order(region);
  BufferViewFlowAnalysis views(getOperation());
  DataLayout layout = DataLayout::closest(scope);

  SmallVector<Buffer> buffers;
  WalkResult result = region.walk([&](memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    if (!type.hasStaticShape() || !type.getLayout().isIdentity()) {
      alloc.emitError("local buffer needs a static size");
      return WalkResult::interrupt();
    }
    int64_t element = layout.getTypeSize(type.getElementType());
    Buffer buffer{alloc, int64_t(llvm::alignTo(type.getNumElements() * element, kAlignment))};
    if (failed(findLife(buffer, views, order)))
      return WalkResult::interrupt();
    buffers.push_back(buffer);
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  if (buffers.empty())
    return 0;

  llvm::sort(buffers, [](const Buffer &a, const Buffer &b) {
    return std::make_tuple(-a.bytes, a.begin, a.end) < std::make_tuple(-b.bytes, b.begin, b.end);
  });
  int64_t total = 0;
  for (unsigned i = 0, e = buffers.size(); i < e; ++i) {
    SmallVector<const Buffer *> neighbours;
    for (const Buffer &other : ArrayRef(buffers).take_front(i))
      if (buffers[i].livesWith(other))
        neighbours.push_back(&other);
    llvm::sort(neighbours, [](const Buffer *a, const Buffer *b) { return a->offset < b->offset; });
    int64_t offset = 0;
    for (const Buffer *other : neighbours) {
      if (offset + buffers[i].bytes <= other->offset)
        break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    buffers[i].offset = offset;
    total = std::max(total, offset + buffers[i].bytes);
  }

  Block &entry = region.front();
  OpBuilder b = OpBuilder::atBlockBegin(&entry);
  Location loc = scope->getLoc();
  auto arenaType = MemRefType::get({total}, b.getI8Type());
  IntegerAttr alignment = b.getI64IntegerAttr(kAlignment);
  bool isStep = isa<func::FuncOp>(scope);
  Value arena, begin;
  if (!isStep) {
    arena = memref::AllocOp::create(b, loc, arenaType, alignment);
  } else if (total <= kMostStackBytes) {
    arena = memref::AllocaOp::create(b, loc, arenaType, alignment);
  } else {
    // The caller's scratch is the last argument before the mask, the item and the thread.
    ValueRange arguments = getOperation().getArguments();
    arena = arguments.drop_back(3).back();
    begin = arith::MulIOp::create(b, loc, arguments.back(), arith::ConstantIndexOp::create(b, loc, total));
    getOperation()->setAttr("rondo.caller_scratch_bytes", b.getI64IntegerAttr(total));
  }
  for (Buffer &buffer : buffers) {
    Value offset = arith::ConstantIndexOp::create(b, buffer.alloc.getLoc(), buffer.offset);
    if (begin)
      offset = arith::AddIOp::create(b, buffer.alloc.getLoc(), begin, offset);
    Value view = memref::ViewOp::create(b, buffer.alloc.getLoc(), buffer.alloc.getType(), arena, offset, ValueRange());
    buffer.alloc->replaceAllUsesWith(ValueRange{view});
    buffer.alloc->erase();
  }
  if (!isStep) {
    b.setInsertionPoint(region.back().getTerminator());
    memref::DeallocOp::create(b, loc, arena);
  }
  return total;
}
