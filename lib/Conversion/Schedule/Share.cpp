//===- Share.cpp - Values in shared memory ----------------------------------------------------------------------===//

#include "Scheduler.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

SmallVector<StringRef> Scheduler::arraysOf(Value argument) {
  unsigned number = cast<BlockArgument>(argument).getArgNumber();
  if (auto names = body.getArgAttrOfType<ArrayAttr>(number, "rondo.stack"))
    return llvm::to_vector(names.getAsValueRange<StringAttr>());
  return {analysis.getName(argument)};
}

Shared *Scheduler::tokenTile(Value argument, bool isSliced) {
  if (!analysis.getRounded(argument).empty())
    return refuse(argument.getLoc(), "what rounding has lost, outside a product of tokens"), nullptr;
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
  int64_t rows = arraysOf(argument).size() == 1 ? tokens / writes : tokens;
  return &(tokenTiles[argument] = {allocate({rows, columns}, element, budget.inputSlots), inputChannel});
}

Value Scheduler::tile(Value value, Role &consumer) {
  if (!analysis.getRounded(value).empty())
    return lostTile(value, consumer);
  // Rows of several writes have to be put in order first.
  if (analysis.isToken(value) && writes == 1) {
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
    Role *state = roleOf(value);
    bool isSquare = analysis.timedAxes(value) == 3;
    if (steps > 1 && (state || !isSquare))
      return refuse(value.getLoc(), "a tile that no step of an iteration has for itself");
    Role &producer = state ? *state : productsRole(0);
    bool byBlocks = producer.kind == RoleKind::Products && shapeOf(value)[1] > 64 && isElementwise(value);
    // What it needs comes before the room is asked for; elementwise values are made a block at a time.
    Value wide = byBlocks ? Value() : matrix(value, producer);
    if (!wide && !byBlocks)
      return {};
    ImplicitLocOpBuilder &at = producer.b;
    ArrayRef<int64_t> shape = shapeOf(value);
    SmallVector<int64_t> padded{tokens, alignUp(shape[1], 64)};
    if (producer.kind == RoleKind::State)
      padded[1] = 64 * producer.copies;
    int64_t slots = writes > 1 ? std::min<int64_t>(2, budget.inputSlots) : 2;
    Channel &channel = addChannel(producer, slots);
    Shared shared{allocate(padded, element, slots), &channel};
    auto round = [&](Value wide) {
      // Columns beyond the last are summed over: there a function of the zeros that TMA gives must be 0 as well.
      if (value.getDefiningOp<linalg::GenericOp>() && shape[1] % 64 && producer.kind == RoleKind::Products &&
          analysis.getPadding(value) != std::optional<double>(0.0))
        wide = keepColumns(wide, shape[1], producer);
      // So are those of the free axis, which are rows here.
      if (value.getDefiningOp<linalg::GenericOp>() && shape[1] % 64 && producer.kind == RoleKind::State)
        wide = keepFree(wide, shape[1], 0, producer);
      return arith::TruncFOp::create(at, cast<RankedTensorType>(wide.getType()).clone(element), wide);
    };
    Value narrow = byBlocks ? Value() : round(wide);
    tile::AcquireOp::create(at, channel.handle, producer.time);
    Value buffer = openSlot(producer, shared);
    bool transposed = producer.kind == RoleKind::State;
    if (transposed)
      buffer = ownColumns(producer, buffer);
    if (byBlocks) {
      auto store = [&](Value wide) { tile::StoreOp::create(at, round(wide), ownBlock(producer, buffer), UnitAttr()); };
      if (failed(forEachBlock(value, producer, padded[1] / 64, store)))
        return {};
    } else {
      tile::StoreOp::create(at, narrow, isSquare ? folded(buffer, 0, at) : buffer,
                            transposed ? at.getUnitAttr() : UnitAttr());
    }
    tile::CommitOp::create(at, channel.handle, producer.time);
    it = tiles.insert({value, shared}).first;
  }
  Shared shared = it->second;
  if (shared.channel->producer == &consumer && consumer.synced.insert(value).second)
    tile::SyncOp::create(consumer.b, consumer.b.getUnitAttr());
  return openSlot(consumer, shared);
}

Value Scheduler::restTile(Value value, Role &consumer) {
  if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>(); keep && !tiles.contains(value))
    return restTile(keep.getOperand(), consumer);
  auto made = tiles.find(value);
  if (made == tiles.end() || analysis.timedAxes(value) != 3 ||
      made->second.channel->producer->kind != RoleKind::Products)
    return {};
  auto it = rests.find(value);
  if (it == rests.end()) {
    Role &producer = *made->second.channel->producer;
    ImplicitLocOpBuilder &at = producer.b;
    Value wide = matrix(value, producer);
    auto narrow = cast<RankedTensorType>(wide.getType()).clone(element);
    Value lost = lostBy(arith::TruncFOp::create(at, narrow, wide), wide, at);
    Channel &channel = addChannel(producer, 2);
    Shared shared{allocate({tokens, tokens}, element, 2), &channel};
    tile::AcquireOp::create(at, channel.handle, producer.time);
    tile::StoreOp::create(at, arith::TruncFOp::create(at, narrow, lost), openSlot(producer, shared), UnitAttr());
    tile::CommitOp::create(at, channel.handle, producer.time);
    it = rests.insert({value, shared}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::keepColumns(Value value, int64_t count, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  auto type = cast<RankedTensorType>(value.getType()), index = cast<RankedTensorType>(type.clone(at.getI32Type()));
  Value end = arith::ConstantOp::create(at, at.getI32IntegerAttr(count));
  if (role.isInBlocks()) {
    Value before = arith::MulIOp::create(at, role.part, arith::ConstantIndexOp::create(at, 64));
    end = arith::SubIOp::create(at, end, arith::IndexCastOp::create(at, at.getI32Type(), before));
  }
  Value column = tile::IotaOp::create(at, index, at.getI64IntegerAttr(1));
  Value inside = arith::CmpIOp::create(at, arith::CmpIPredicate::slt, column, spread(end, index, at));
  Value zero = arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), at.getF32FloatAttr(0)));
  return arith::SelectOp::create(at, inside, value, zero);
}

bool Scheduler::isElementwise(Value value) {
  if (analysis.isToken(value))
    return true;
  if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>())
    return isElementwise(keep.getOperand());
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumParallelLoops() != generic.getNumLoops() ||
      !generic.getBody()->getOps<linalg::IndexOp>().empty())
    return false;
  SmallVector<Value> operands(generic.getDpsInputs());
  if (!generic.getBody()->getArguments().back().use_empty())
    operands.push_back(generic.getDpsInits()[0]);
  for (auto [operand, map] : llvm::zip(operands, generic.getIndexingMapsArray())) {
    bool isMatrix = map.getNumResults() == 2;
    bool alongColumns = map.getNumResults() == 1 && map.getResult(0) == getAffineDimExpr(1, map.getContext());
    if ((isMatrix && !(map.isIdentity() && isElementwise(operand))) || (alongColumns && !analysis.isParameter(operand)))
      return false;
  }
  return true;
}

LogicalResult Scheduler::forEachBlock(Value value, Role &role, int64_t count, function_ref<void(Value)> use) {
  ImplicitLocOpBuilder &at = role.b;
  // Waits stand before the loop; what is made in it does not leave it.
  llvm::SetVector<Value> tokens;
  collectTokens(value, tokens);
  for (Value token : tokens) {
    Shared *shared = tokenTile(token, /*isSliced=*/false);
    if (!shared)
      return failure();
    openSlot(role, *shared);
  }
  auto loop = scf::ForOp::create(at, arith::ConstantIndexOp::create(at, 0), arith::ConstantIndexOp::create(at, count),
                                 arith::ConstantIndexOp::create(at, 1));
  OpBuilder::InsertionGuard guard(at);
  at.setInsertionPoint(loop.getBody()->getTerminator());
  auto known = std::tuple(role.matrices, role.rows, role.columns, role.narrow);
  role.matrices.clear();
  role.narrow.clear();
  role.columns.clear();
  role.part = loop.getInductionVar();
  Value wide = matrix(value, role);
  if (wide)
    use(wide);
  role.part = {};
  std::tie(role.matrices, role.rows, role.columns, role.narrow) = known;
  return success(bool(wide));
}

void Scheduler::invert(Value matrix, Value scale, Value buffer, Role &role) {
  Value scratch = allocate({tokens, tokens}, b.getF16Type(), 1);
  Value diagonal = allocate({4, 320}, b.getF32Type(), 1);
  tile::InverseOp::create(role.b, matrix, scale, buffer, scratch, diagonal);
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
    tile::AcquireOp::create(at, channel.handle, producer.time);
    invert(matrixValue, /*scale=*/Value(), folded(openSlot(producer, shared), 0, at), producer);
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

Value Scheduler::coupledMatrix(tensor::ExtractSliceOp slice, Role &role) {
  Coupled *products = coupled(slice.getSource().getDefiningOp<chunk::IntervalProductsOp>());
  if (!products)
    return {};
  ArrayRef<int64_t> offsets = slice.getStaticOffsets();
  if (offsets.drop_front(2) != ArrayRef<int64_t>({0, 1}))
    return refuse(slice.getLoc(), "a slice of a matrix");
  ImplicitLocOpBuilder &at = role.b;
  auto type = fragmentType({chunk, chunk}, at.getF32Type(), role);
  Value sum;
  for (auto &[term, shared] : products->tables)
    if (term[0] == offsets[0] && term[2] == offsets[1]) {
      Value product = tile::IntervalProductsOp::create(at, type, openSlot(role, shared));
      sum = sum ? arith::AddFOp::create(at, sum, product).getResult() : product;
    }
  if (!sum) {
    sum = arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), at.getF32FloatAttr(0)));
    absent.insert(sum);
  }
  return sum;
}

bool Scheduler::isAbsent(Value value) {
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  auto intervals = slice ? slice.getSource().getDefiningOp<chunk::IntervalProductsOp>() : chunk::IntervalProductsOp();
  if (!intervals || shapeOf(intervals.getOperand()).size() != 3)
    return false;
  Coupled *products = coupled(intervals);
  ArrayRef<int64_t> offsets = slice.getStaticOffsets();
  return products && !products->present[offsets[0] * products->n + offsets[1]];
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

Value Scheduler::totalBuffer(Value value, bool pairs, Role &consumer) {
  int64_t size = shapeOf(value)[0] * (pairs ? 2 : 1);
  auto it = totals.find(value);
  if (it == totals.end()) {
    ImplicitLocOpBuilder &at = gates->b;
    auto type = RankedTensorType::get({alignUp(size, 64)}, at.getF32Type(), tile::LanesAttr::get(at.getContext()));
    Value made = tile::LoadTotalOp::create(at, type, at.getStringAttr(analysis.getName(value)), gates->time,
                                           pairs ? at.getUnitAttr() : UnitAttr());
    Shared shared{allocate(type.getShape(), at.getF32Type(), budget.gateSlots), gatesChannel};
    tile::StoreOp::create(at, made, openSlot(*gates, shared), UnitAttr());
    it = totals.insert({value, shared}).first;
  }
  if (cast<tile::SharedType>(it->second.ring.getType()).getShape().back() != alignUp(size, 64))
    return refuse(value.getLoc(), "a vector of a chunk along columns and along pairs of them");
  return openSlot(consumer, it->second);
}

Value Scheduler::rowsBuffer(Value value, Role &consumer) {
  auto it = vectors.find(value);
  if (it == vectors.end()) {
    Role *producer = roleOf(value);
    if (!producer || producer->kind != RoleKind::Vector || producer == &consumer)
      return refuse(value.getLoc(), "a vector that depends on a matrix state");
    Value made = vector(value, *producer, /*alongRows=*/true);
    if (!made)
      return {};
    ImplicitLocOpBuilder &at = producer->b;
    ArrayRef<int64_t> shape = cast<RankedTensorType>(made.getType()).getShape();
    Channel &channel = addChannel(*producer, 2);
    Shared shared{allocate(shape, at.getF32Type(), 2), &channel};
    tile::AcquireOp::create(at, channel.handle, producer->time);
    tile::StoreOp::create(at, made, openSlot(*producer, shared), UnitAttr());
    tile::CommitOp::create(at, channel.handle, producer->time);
    it = vectors.insert({value, shared}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::ownVector(Value value, Role &role) {
  if (!analysis.dependsOnArrays(value) && analysis.timedAxes(value))
    return lanesBuffer(value, role);
  if (Value known = role.own.lookup(value))
    return known;
  Value made = vector(value, role, /*alongRows=*/true);
  if (!made)
    return {};
  // Two slots in turn: one barrier a chunk is enough, since nobody passes it who still reads the slot before.
  Shared shared{allocate(cast<RankedTensorType>(made.getType()).getShape(), role.b.getF32Type(), 2), nullptr};
  Value buffer = openSlot(role, shared);
  tile::StoreOp::create(role.b, made, buffer, UnitAttr());
  tile::SyncOp::create(role.b, UnitAttr());
  return role.own[value] = buffer;
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
    Value summed = tile::ReduceOp::create(at, type, arith::MulFOp::create(at, wide, factors));
    Channel &channel = addChannel(producer, 2);
    Shared shared{allocate({chunk}, at.getF32Type(), 2), &channel};
    tile::AcquireOp::create(at, channel.handle, producer.time);
    tile::StoreOp::create(at, summed, openSlot(producer, shared), UnitAttr());
    tile::CommitOp::create(at, channel.handle, producer.time);
    it = sums.insert({value, shared}).first;
  }
  return openSlot(consumer, it->second);
}
