//===- Lost.cpp - What rounding has lost, in the first chunk ----------------------------------------------------===//
//
// A product of tokens q.k whose operands are rounded has an error relative to |q| |k|, however far it cancels. Over
// many tokens that is little against the output, with a few nothing hides it. So the products of the first chunk of a
// sequence, where alone tokens can be few, are
//
//   q k^T + lost(q) k^T + q lost(k)^T,      lost(x) = x - round(x), rounded
//
// and other chunks add zeros. What another kernel has rounded comes from it (Preparation.cpp) as an argument with
// `rondo.lost`; what this role rounds is made again. Neither asks for room: the last slots of a ring of token arrays,
// and the next slot of a ring that the role itself fills, are empty in the first chunk.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

bool Scheduler::isLost(Value value) {
  auto product = value ? value.getDefiningOp<linalg::ContractOp>() : linalg::ContractOp();
  return product && llvm::any_of(product.getInputs(), [&](Value x) { return !analysis.getRounded(x).empty(); });
}

/// The value of which a tile has been made.
static Value strip(Value value, const llvm::MapVector<Value, Shared> &tiles) {
  for (chunk::KeepRowsOp keep; (keep = value.getDefiningOp<chunk::KeepRowsOp>()) && !tiles.contains(value);)
    value = keep.getOperand();
  return value;
}

bool Scheduler::isRoundedHere(Value value, Role &role) {
  const auto *it = tiles.find(strip(value, tiles));
  return it != tiles.end() && it->second.channel && it->second.channel->producer == &role &&
         cast<tile::SharedType>(it->second.ring.getType()).getSlots() > 1 && isElementwise(it->first);
}

/// Whether a matrix of a triangular system is made of `value`: the identity is added to it, so that nothing cancels.
static bool isOfSystem(Value value) {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    if (auto solve = dyn_cast<chunk::SolveOp>(user))
      return solve.getMatrix() == value;
    return isa<linalg::GenericOp, chunk::KeepRowsOp>(user) && isOfSystem(user->getResult(0));
  });
}

/// Decays by channel have products of their own, and rows of several writes are no tokens.
bool Scheduler::losesHere(linalg::ContractOp op, ArrayRef<Factor> factors, Role &role) {
  return role.kind == RoleKind::Products && !octets && writes == 1 && steps == 1 &&
         analysis.timedAxes(op.getResult(0)) == 3 && !isOfSystem(op.getResult(0)) &&
         llvm::all_of(factors, [&](const Factor &x) { return isa<tile::SharedType>(x.tile.getType()); }) &&
         llvm::any_of(factors, [&](const Factor &x) { return isRoundedHere(x.value, role); });
}

Value Scheduler::lostBy(Value rounded, Value wide, ImplicitLocOpBuilder &at) {
  return arith::SubFOp::create(at, wide, arith::ExtFOp::create(at, wide.getType(), rounded));
}

LogicalResult Scheduler::storeLost(Value value, Value buffer, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  int64_t count = cast<tile::SharedType>(buffer.getType()).getShape()[1] / 64;
  auto store = [&](Value wide) {
    auto narrow = cast<RankedTensorType>(wide.getType()).clone(element);
    if (shapeOf(value)[1] % 64)
      wide = keepColumns(wide, shapeOf(value)[1], role);
    Value lost = lostBy(arith::TruncFOp::create(at, narrow, wide), wide, at);
    Value own = count > 1 ? ownBlock(role, buffer) : buffer;
    tile::StoreOp::create(at, arith::TruncFOp::create(at, narrow, lost), own, UnitAttr());
  };
  // Made again, not held in registers from the tile on.
  role.matrices.clear();
  role.narrow.clear();
  if (count > 1)
    return forEachBlock(value, role, count, store);
  Value wide = matrix(value, role);
  if (wide)
    store(wide);
  return success(bool(wide));
}

Value Scheduler::makeLost(linalg::ContractOp op, Value before, ArrayRef<Factor> factors, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  if (role.kind != RoleKind::Products || octets)
    return refuse(op.getLoc(), "what rounding has lost, beside decays by channel or a state");
  // Other operands come before the branch, where the product itself finds them.
  for (Value sum = before; isLost(sum); sum = sum.getDefiningOp<linalg::ContractOp>().getOutputs()[0])
    for (Value operand : sum.getDefiningOp<linalg::ContractOp>().getInputs())
      if (analysis.getRounded(operand).empty() && !tile(operand, role))
        return {};
  auto type = fragmentType({tokens, tokens}, at.getF32Type(), role);
  Value isFirst = arith::CmpIOp::create(at, arith::CmpIPredicate::eq, role.time, role.loop.getLowerBound());
  auto branch = scf::IfOp::create(at, TypeRange(type), isFirst, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(at);
  at.setInsertionPointToStart(branch.thenBlock());
  auto known = std::tuple(role.matrices, role.rows, role.columns, role.narrow, role.waited);
  auto make = [&]() -> Value {
    Value sum;
    if (before && !(sum = matrix(before, role)))
      return {};
    if (!losesHere(op, factors, role))
      return sum;
    Value lost[2];
    for (unsigned side = 0; side < 2; ++side) {
      Value value = strip(factors[side].value, tiles);
      if (!isRoundedHere(value, role))
        continue;
      if (side == 1 && lost[0] && value == strip(factors[0].value, tiles)) {
        lost[1] = lost[0];
        continue;
      }
      Value next = arith::AddIOp::create(at, role.time, arith::ConstantIndexOp::create(at, 1));
      lost[side] = tile::SlotOp::create(at, tiles.find(value)->second.ring, next);
      if (failed(storeLost(value, lost[side], role)))
        return {};
    }
    tile::SyncOp::create(at, at.getUnitAttr());
    for (unsigned side = 0; side < 2; ++side)
      if (lost[side])
        sum = tile::MmaOp::create(at, type, side ? factors[0].tile : lost[0], side ? lost[1] : factors[1].tile, sum,
                                  UnitAttr());
    // The slots are the next chunk's.
    tile::SyncOp::create(at, UnitAttr());
    return sum;
  };
  Value made = make();
  std::tie(role.matrices, role.rows, role.columns, role.narrow, role.waited) = known;
  if (!made)
    return {};
  scf::YieldOp::create(at, made);
  at.setInsertionPointToStart(branch.elseBlock());
  Value zero = arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), at.getF32FloatAttr(0)));
  scf::YieldOp::create(at, zero);
  return branch.getResult(0);
}

/// Its room is the last of the slots of what has been rounded, which other chunks need later: where there is one slot,
/// room of its own.
Value Scheduler::lostTile(Value argument, Role &consumer) {
  ImplicitLocOpBuilder &at = consumer.b;
  auto it = lostRings.find(argument);
  if (it == lostRings.end()) {
    const auto *rounded =
        llvm::find_if(inputs, [&](Value x) { return analysis.getName(x) == analysis.getRounded(argument); });
    Shared *shared = rounded == inputs.end() ? nullptr : tokenTile(*rounded, /*isSliced=*/false);
    if (!shared)
      return refuse(argument.getLoc(), "what rounding has lost of a vector that is not needed whole");
    Value ring = shared->ring;
    auto type = cast<tile::SharedType>(ring.getType());
    if (budget.inputSlots == 1)
      ring = allocate(type.getShape(), element, 1);
    if (!lostChannel) {
      lostChannel = &addChannel(*load, 1);
      lostChannel->isReleased = false; // Once, by `fetchLost`.
    }
    it = lostRings.insert({argument, ring}).first;
  }
  Value ring = it->second;
  openSlot(consumer, {ring, lostChannel});
  if (budget.inputSlots == 1)
    return ring;
  // From the chunk's number, which is 0: addresses that are the same in all iterations would be held in registers.
  Value slot = arith::AddIOp::create(at, consumer.time, arith::ConstantIndexOp::create(at, budget.inputSlots - 1));
  return tile::SlotOp::create(at, ring, slot);
}

/// What rounding has lost is there before the first chunk, in slots that a later one needs.
void Scheduler::fetchLost() {
  if (!lostChannel)
    return;
  auto inIteration = [&](ImplicitLocOpBuilder &at, Value time, int64_t number) {
    Value is = arith::CmpIOp::create(at, arith::CmpIPredicate::eq, time, arith::ConstantIndexOp::create(at, number));
    auto branch = scf::IfOp::create(at, is, /*withElseRegion=*/false);
    ImplicitLocOpBuilder inside(at.getLoc(), at.getContext());
    inside.setInsertionPoint(branch.thenBlock()->getTerminator());
    return inside;
  };
  ImplicitLocOpBuilder before = load->b;
  before.setInsertionPoint(load->loop);
  Value zero = arith::ConstantIndexOp::create(before, 0), last;
  if (budget.inputSlots > 1)
    last = arith::ConstantIndexOp::create(before, budget.inputSlots - 1);
  SmallVector<StringRef> names;
  SmallVector<Value> buffers, offsets(lostRings.size(), zero);
  for (auto [argument, ring] : lostRings) {
    names.push_back(analysis.getName(argument));
    buffers.push_back(last ? tile::SlotOp::create(before, ring, last).getResult() : ring);
  }
  // With a wait, so that nothing is read where there is no chunk.
  tile::FetchOp::create(before, lostChannel->handle, zero, before.getStrArrayAttr(names), buffers, offsets,
                        before.getUnitAttr());
  if (last) {
    ImplicitLocOpBuilder inside = inIteration(load->b, load->time, budget.inputSlots - 1);
    tile::AcquireOp::create(inside, lostChannel->handle, arith::ConstantIndexOp::create(inside, 1));
  }
  for (Role *role : lostChannel->consumers) {
    ImplicitLocOpBuilder inside = inIteration(role->b, role->time, 0);
    tile::ReleaseOp::create(inside, lostChannel->handle, role->time);
  }
}
