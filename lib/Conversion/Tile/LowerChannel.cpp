//===- LowerChannel.cpp - Rings, barriers and TMA --------------------------------------------------------------===//

#include "Kernel.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

//===----------------------------------------------------------------------------------------------------------------===//
// Rings
//===----------------------------------------------------------------------------------------------------------------===//

static Value slotOf(RoleLowering &l, Value time, int64_t slots) {
  if (slots == 1)
    return l.i32(0);
  return arith::RemUIOp::create(l.b, time, l.i32(slots));
}

/// Which round through the ring this is, modulo 2.
static Value parityOf(RoleLowering &l, Value time, int64_t slots) {
  Value round = slots == 1 ? time : Value(arith::DivUIOp::create(l.b, time, l.i32(slots)));
  return l.bitAnd(round, 1);
}

LogicalResult rondo::tile::lower(SlotOp op, RoleLowering &l) {
  SharedType ring = op.getRing().getType();
  if (!ring.getRing())
    return op.emitOpError("takes a slot of a ring");
  Value slot = slotOf(l, l.getScalar(op.getTime()), ring.getSlots());
  l.set(op.getResult(), {l.gep(l.getAddress(op.getRing()), l.mul(slot, ring.getSlotBytes()))});
  return success();
}

LogicalResult rondo::tile::lower(BlockOp op, RoleLowering &l) {
  int64_t bytes = op.getTile().getType().getShape()[0] * 128;
  l.set(op.getResult(), {l.gep(l.getAddress(op.getTile()), l.mul(l.getScalar(op.getIndex()), bytes))});
  return success();
}

LogicalResult rondo::tile::lower(WindowOp op, RoleLowering &l) {
  SharedType type = op.getTile().getType();
  if (!type.isSwizzled()) {
    // Of one dimension: the only row.
    Value row = l.mul(l.getScalar(op.getRow()), type.getShape().back() * 4);
    Value offset = l.add(row, l.shl(l.getScalar(op.getColumn()), 2));
    l.set(op.getResult(), {l.gep(l.getAddress(op.getTile()), offset)});
    return success();
  }
  // Rows in eights keep the order of the 16-byte units. Whole blocks of columns, or some inside one: the hardware
  // exchanges units by the address that it has computed.
  Value column = l.getScalar(op.getColumn()), rows = l.shl(l.getScalar(op.getRow()), 7);
  Value block = l.mul(l.shr(column, 6), type.getBlockBytes());
  Value offset = l.add(l.add(rows, block), l.shl(l.bitAnd(column, 63), 1));
  l.set(op.getResult(), {l.gep(l.getAddress(op.getTile()), offset)});
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------------------------------------------------===//

/// Two barriers a slot: full, empty.
template <typename Op>
static Value barrierOf(Op op, Value time, RoleLowering &l, bool empty) {
  Value slot = slotOf(l, time, op.getChannel().getType().getSlots());
  return l.gep(l.gep(l.getAddress(op.getChannel()), l.shl(slot, 4)), empty ? 8 : 0);
}

static void waitOn(RoleLowering &l, Value barrier, Value parity) {
  constexpr int64_t kNanoseconds = 0x989680;
  NVVM::MBarrierTryWaitParityOp::create(l.b, barrier, parity, l.i32(kNanoseconds));
}

/// One arrival for the warp, when all of its threads are here: the warp barrier orders their accesses before it.
static void arrive(RoleLowering &l, Value barrier) {
  l.syncWarp();
  auto one = [&] { NVVM::MBarrierArriveOp::create(l.b, l.b.getI64Type(), barrier, Value()); };
  if (l.kernel.everyLaneArrives)
    one();
  else
    l.ifThen(l.isFirstLane(), one);
}

/// Waits until a slot is free; the first round does not.
template <typename Op>
static void acquire(Op op, Value time, RoleLowering &l) {
  Value parity = parityOf(l, time, op.getChannel().getType().getSlots());
  waitOn(l, barrierOf(op, time, l, /*empty=*/true), l.bitXor(parity, l.i32(1)));
}

LogicalResult rondo::tile::lower(AcquireOp op, RoleLowering &l) {
  acquire(op, l.getScalar(op.getTime()), l);
  return success();
}

LogicalResult rondo::tile::lower(WaitOp op, RoleLowering &l) {
  Value time = l.getScalar(op.getTime());
  waitOn(l, barrierOf(op, time, l, /*empty=*/false), parityOf(l, time, op.getChannel().getType().getSlots()));
  return success();
}

LogicalResult rondo::tile::lower(CommitOp op, RoleLowering &l) {
  l.fenceAsync();
  arrive(l, barrierOf(op, l.getScalar(op.getTime()), l, /*empty=*/false));
  return success();
}

LogicalResult rondo::tile::lower(ReleaseOp op, RoleLowering &l) {
  l.waitForAll();
  arrive(l, barrierOf(op, l.getScalar(op.getTime()), l, /*empty=*/true));
  return success();
}

LogicalResult rondo::tile::lower(SyncOp op, RoleLowering &l) {
  l.waitForAll();
  if (op.getAsync())
    l.fenceAsync();
  l.sync();
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// TMA
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// A buffer as boxes of a tensor map.
struct Boxes {
  Value map, tokens, head, batch;
  int64_t columns, count, bytes, swizzle;
};
} // namespace

/// Fails with an error where TMA cannot move between the array and the buffer.
static FailureOr<Boxes> makeBoxes(Operation *op, StringRef name, StringRef role, SharedType buffer, Value chunk,
                                  RoleLowering &l) {
  const DeviceArray *array = l.kernel.find(op, name, role);
  if (!array)
    return failure();
  if (array->sizes.size() != 1)
    return op->emitOpError("moves arrays with one feature dimension, '") << name << "' has " << array->sizes.size();
  if (array->element != buffer.getElementType())
    return op->emitOpError("does not convert: '") << name << "' is " << array->element << ", the buffer is " << buffer;
  if (buffer.getRing() || buffer.getShape().size() != 2 || (buffer.isWindow() && buffer.getShape()[1] % 64))
    return op->emitOpError("moves tokens x features buffers, not ") << buffer;
  Boxes boxes;
  int64_t rows = buffer.getShape()[0], columns = buffer.getShape()[1];
  boxes.swizzle = buffer.isSwizzled() ? 128 : 0;
  boxes.columns = buffer.isSwizzled() ? 64 : columns;
  boxes.count = columns / boxes.columns;
  boxes.bytes = buffer.getBlockBytes(); // from one box to the next
  if (rows > 256 || boxes.columns > 256)
    return op->emitOpError("moves at most 256 tokens and (plain) 256 features, not ") << buffer;
  boxes.map = l.kernel.map(name, {boxes.columns, rows}, boxes.swizzle);
  boxes.tokens = l.mul(chunk, l.kernel.chunk);
  boxes.head = l.kernel.head(*array);
  boxes.batch = l.kernel.batch();
  return boxes;
}

LogicalResult rondo::tile::lower(FetchOp op, RoleLowering &l) {
  Value chunk = l.getScalar(op.getChunk());
  if (op.getArrays().size() != op.getBuffers().size() || op.getOffsets().size() != op.getBuffers().size())
    return op.emitOpError("needs an array and an offset for each buffer");
  int64_t bytes = 0;
  for (Value buffer : op.getBuffers())
    bytes += cast<SharedType>(buffer.getType()).getSlotBytes();
  Value full = barrierOf(op, chunk, l, /*empty=*/false);
  LogicalResult done = success();
  Value issues = l.isFirstThread();
  if (l.role.getCopies() > 1)
    issues = arith::AndIOp::create(l.b, issues, l.compare(arith::CmpIPredicate::eq, l.copy, l.i32(0)));
  if (op.getAcquire())
    issues = arith::AndIOp::create(l.b, issues, l.compare(arith::CmpIPredicate::ult, chunk, l.kernel.chunks()));
  l.ifThen(issues, [&] {
    if (op.getAcquire())
      acquire(op, chunk, l);
    NVVM::MBarrierArriveExpectTxOp::create(l.b, TypeRange(), full, l.i32(bytes), NVVM::MemScopeKind::CTA,
                                           /*relaxed=*/false, /*predicate=*/Value());
    for (auto [name, buffer, offset] :
         llvm::zip_equal(op.getArrays().getAsValueRange<StringAttr>(), op.getBuffers(), op.getOffsets())) {
      FailureOr<Boxes> boxes = makeBoxes(op, name, "token", cast<SharedType>(buffer.getType()), chunk, l);
      if (failed(boxes)) {
        done = failure();
        return;
      }
      for (int64_t i = 0; i < boxes->count; ++i) {
        Value target = l.gep(l.getAddress(buffer), i * boxes->bytes);
        target = LLVM::AddrSpaceCastOp::create(l.b, LLVM::LLVMPointerType::get(op.getContext(), 7), target);
        Value feature = l.add(l.getScalar(offset), i * boxes->columns);
        NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
            l.b, target, boxes->map, ValueRange{feature, boxes->head, boxes->tokens, boxes->batch}, full,
            /*im2colOffsets=*/ValueRange(), /*multicastMask=*/Value(), /*l2CacheHint=*/Value(), NVVM::TMALoadMode::TILE,
            /*isCTAOnly=*/false, NVVM::CTAGroupKindAttr(), /*predicate=*/Value());
      }
    }
  });
  return done;
}

LogicalResult rondo::tile::lower(WriteBackOp op, RoleLowering &l) {
  LogicalResult done = success();
  l.ifThen(l.isFirstThread(), [&] {
    FailureOr<Boxes> boxes =
        makeBoxes(op, op.getArray(), "output", op.getBuffer().getType(), l.getScalar(op.getChunk()), l);
    if (failed(boxes)) {
      done = failure();
      return;
    }
    for (int64_t i = 0; i < boxes->count; ++i) {
      Value feature = l.add(l.getScalar(op.getOffset()), i * boxes->columns);
      NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp::create(
          l.b, boxes->map, l.gep(l.getAddress(op.getBuffer()), i * boxes->bytes),
          ValueRange{feature, boxes->head, boxes->tokens, boxes->batch}, /*l2CacheHint=*/Value(),
          NVVM::TMAStoreMode::TILE, /*predicate=*/Value());
    }
    NVVM::CpAsyncBulkCommitGroupOp::create(l.b);
  });
  return done;
}

LogicalResult rondo::tile::lower(DrainOp op, RoleLowering &l) {
  l.ifThen(l.isFirstThread(),
           [&] { NVVM::CpAsyncBulkWaitGroupOp::create(l.b, 0u, op.getAll() ? UnitAttr() : l.b.getUnitAttr()); });
  return success();
}
