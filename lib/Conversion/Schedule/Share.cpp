//===- Share.cpp - Values in shared memory ----------------------------------------------------------------------===//

#include "Scheduler.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

Shared *Scheduler::tokenTile(Value argument, bool isSliced) {
  auto it = tokenTiles.find(argument);
  if (it != tokenTiles.end()) {
    if (blocks > 1 && sliced.contains(argument) != isSliced)
      return refuse(argument.getLoc(), "'" + analysis.getName(argument) + "' is needed whole and in columns"), nullptr;
    return &it->second;
  }
  if (isSliced)
    sliced.insert(argument);
  int64_t columns = blocks > 1 && isSliced ? 64 * pieces : alignUp(shapeOf(argument)[1], 64);
  if (octets) // Lifetimes differ: `mergeInputs` decides.
    return &(tokenTiles[argument] = {allocateRing({tokens, columns}, element), &addChannel(*load, 1)});
  return &(tokenTiles[argument] = {allocate({tokens, columns}, element, budget.inputSlots), inputChannel});
}

Value Scheduler::tile(Value value, Role &consumer) {
  if (analysis.isToken(value)) {
    Shared *shared = tokenTile(value, /*isSliced=*/false);
    return shared ? openSlot(consumer, *shared) : Value();
  }
  if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>();
      keep && analysis.getPadding(keep.getOperand()) == std::optional<double>(keep.getFill().convertToDouble()))
    return tile(keep.getOperand(), consumer);
  if (isOctets(value))
    return octetTile(value, consumer);
  if (std::optional<DecayedGram> match = matchGram(value))
    return gramBuffer(*match, /*isRounded=*/true, consumer);
  auto it = tiles.find(value);
  if (it == tiles.end()) {
    if (steps > 1)
      return refuse(value.getLoc(), "a tile that no step of an iteration has for itself");
    Role *state = roleOf(value);
    Role &producer = state ? *state : productsRole(0);
    Value wide = matrix(value, producer);
    if (!wide)
      return {};
    ImplicitLocOpBuilder &at = producer.b;
    ArrayRef<int64_t> shape = shapeOf(value);
    SmallVector<int64_t> padded{tokens, alignUp(shape[1], 64)};
    if (producer.kind == RoleKind::State)
      padded[1] = 64 * producer.copies;
    Channel &channel = addChannel(producer, 2);
    Shared shared{allocate(padded, element, 2), &channel};
    Value narrow = arith::TruncFOp::create(at, cast<RankedTensorType>(wide.getType()).clone(element), wide);
    tile::AcquireOp::create(at, channel.handle, producer.time);
    Value buffer = openSlot(producer, shared);
    bool transposed = producer.kind == RoleKind::State;
    if (transposed)
      buffer = ownColumns(producer, buffer);
    tile::StoreOp::create(at, narrow, buffer, transposed ? at.getUnitAttr() : UnitAttr());
    tile::CommitOp::create(at, channel.handle, producer.time);
    it = tiles.insert({value, shared}).first;
  }
  Shared shared = it->second;
  if (shared.channel->producer == &consumer)
    tile::SyncOp::create(consumer.b, consumer.b.getUnitAttr());
  return openSlot(consumer, shared);
}

Value Scheduler::inverseTile(chunk::SolveOp op, Role &consumer) {
  Value key = op.getMatrix();
  auto it = inverses.find(key);
  if (it == inverses.end()) {
    if (shapeOf(key)[0] != chunk)
      return refuse(op.getLoc(), "a system larger than the chunk");
    Role &producer = productsRole(0);
    Value matrixValue = matrix(key, producer);
    if (!matrixValue)
      return {};
    ImplicitLocOpBuilder &at = producer.b;
    Channel &channel = addChannel(producer, 2);
    Shared shared{allocate({tokens, tokens}, element, 2), &channel};
    Value scratch = allocate({tokens, tokens}, at.getF16Type(), 1);
    Value diagonal = allocate({4, 320}, at.getF32Type(), 1);
    tile::AcquireOp::create(at, channel.handle, producer.time);
    Value buffer = openSlot(producer, shared);
    tile::InverseOp::create(at, matrixValue, Value(), buffer, scratch, diagonal);
    tile::CommitOp::create(at, channel.handle, producer.time);
    it = inverses.insert({key, shared}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::tables(chunk::IntervalProductsOp op, Role &consumer) {
  auto it = tableBuffers.find(op.getResult());
  if (it == tableBuffers.end()) {
    Value decays = steps > 1 ? refuse(op.getLoc(), "decays of two chunks") : lanes(op.getOperand());
    if (!decays)
      return {};
    Shared shared{allocate({2, 6, chunk}, b.getF32Type(), budget.gateSlots), gatesChannel};
    tile::IntervalTablesOp::create(gates->b, decays, openSlot(*gates, shared));
    it = tableBuffers.insert({op.getResult(), shared}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::lanesBuffer(Value value, Role &consumer) {
  auto it = vectors.find(value);
  if (it == vectors.end()) {
    Value made = lanes(value);
    if (!made)
      return {};
    ImplicitLocOpBuilder &at = gates->b;
    auto type = RankedTensorType::get({tokens}, at.getF32Type(), tile::LanesAttr::get(at.getContext()));
    made = spread(made, type, at);
    Shared shared{allocate({tokens}, at.getF32Type(), budget.gateSlots), gatesChannel};
    tile::StoreOp::create(at, made, openSlot(*gates, shared), UnitAttr());
    it = vectors.insert({value, shared}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::rowsBuffer(Value value, Role &consumer) {
  auto it = vectors.find(value);
  if (it == vectors.end()) {
    Role *producer = roleOf(value);
    if (!producer || producer->kind != RoleKind::Vector || producer == &consumer)
      return refuse(value.getLoc(), "a vector that depends on a matrix state");
    Value made = matrix(value, *producer);
    if (!made)
      return {};
    ImplicitLocOpBuilder &at = producer->b;
    int64_t size = cast<RankedTensorType>(made.getType()).getDimSize(1);
    auto type =
        RankedTensorType::get({size}, at.getF32Type(), tile::ColumnsAttr::get(at.getContext(), producer->warps));
    Value row = tile::ReduceOp::create(at, type, made, at.getI64IntegerAttr(0));
    Channel &channel = addChannel(*producer, 2);
    Shared shared{allocate({size}, at.getF32Type(), 2), &channel};
    tile::AcquireOp::create(at, channel.handle, producer->time);
    tile::StoreOp::create(at, row, openSlot(*producer, shared), UnitAttr());
    tile::CommitOp::create(at, channel.handle, producer->time);
    it = vectors.insert({value, shared}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::rowSums(Value value, Value weights, Value rows, Role &consumer) {
  auto it = sums.find(value);
  if (it == sums.end()) {
    Role &producer = productsRole(0);
    Value wide = matrix(rows, producer), along = wide ? vector(weights, producer, /*alongRows=*/false) : Value();
    if (!along)
      return {};
    ImplicitLocOpBuilder &at = producer.b;
    Value factors = tile::BroadcastOp::create(at, wide.getType(), along);
    auto type = RankedTensorType::get({chunk}, at.getF32Type(), tile::RowsAttr::get(at.getContext(), producer.warps));
    Value summed = tile::ReduceOp::create(at, type, arith::MulFOp::create(at, wide, factors), at.getI64IntegerAttr(1));
    Channel &channel = addChannel(producer, 2);
    Shared shared{allocate({chunk}, at.getF32Type(), 2), &channel};
    tile::AcquireOp::create(at, channel.handle, producer.time);
    tile::StoreOp::create(at, summed, openSlot(producer, shared), UnitAttr());
    tile::CommitOp::create(at, channel.handle, producer.time);
    it = sums.insert({value, shared}).first;
  }
  return openSlot(consumer, it->second);
}
