//===- Roles.cpp - The roles of a kernel and the channels between them ------------------------------------------===//

#include "Scheduler.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

static constexpr int64_t kMaxShared = 232448;

Value Scheduler::refuse(Location loc, const Twine &why) {
  if (reason.empty()) {
    reason = why.str();
    reasonLoc = loc;
  }
  return {};
}

Value Scheduler::orBlocked(Value made, Value value) {
  if (made || blocked || analysis.dependsOn(value) || !value.getDefiningOp())
    return made;
  // Another kernel goes through tokens, not through the rows of several writes.
  if (writes > 1)
    return made;
  ArrayRef<int64_t> shape = shapeOf(value);
  bool isVector = shape.size() == 2;
  // TMA reads 16 bytes at a time, and zeros after the last token.
  if (analysis.timedAxes(value) == 1 && (isVector || shape.size() == 1) && shape[0] == chunk &&
      (!isVector || shape[1] % 8 == 0) && (!analysis.isKept(value) || analysis.getKept(value)) &&
      rowForms.hasRows(value))
    blocked = value;
  // A vector of the chunk, which only the state takes along its columns.
  if (!analysis.timedAxes(value) && shape.size() == 1 && (shape[0] == depth || 2 * shape[0] == depth) &&
      rowForms.hasTotal(value))
    blocked = value;
  return made;
}

Type Scheduler::elementOf(StringRef name) const {
  auto it = elements.find(name);
  return it == elements.end() ? element : it->second;
}

//===----------------------------------------------------------------------------------------------------------------===//
// The body's arguments
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult Scheduler::collect() {
  chunk = body->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  steps = tokens / chunk;
  if (auto attr = body->getAttrOfType<IntegerAttr>("rondo.writes"))
    writes = attr.getInt();
  if (chunk != budget.chunk)
    return refuse(body.getLoc(), "a chunk has " + Twine(chunk) + " tokens, not 64"), failure();
  for (BlockArgument argument : body.getArguments().drop_front()) {
    auto role = body.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role");
    (role.getValue() == "state" ? states : inputs).push_back(argument);
    ArrayRef<int64_t> shape = shapeOf(argument);
    if (role.getValue() == "token" && shape.size() > 2)
      return refuse(argument.getLoc(), "a token's value is a matrix"), failure();
    if (role.getValue() == "token" && shape.size() == 2 && shape[1] % 8 != 0)
      return refuse(argument.getLoc(), "vectors of " + Twine(shape[1]) + " numbers (TMA reads 16 bytes at a time)"),
             failure();
    if (role.getValue() == "token" && shape.size() == 2 &&
        llvm::any_of(arraysOf(argument), [&](StringRef name) { return elementOf(name) != element; }))
      return refuse(argument.getLoc(), "vectors of different element types"), failure();
  }
  if (element.getIntOrFloatBitWidth() != 16)
    return refuse(body.getLoc(), "tensor cores take bf16 or f16"), failure();
  analysis.setStates(states);
  Operation *end = body.getBody().front().getTerminator();
  for (unsigned i = 0, e = body.getNumResults(); i < e; ++i) {
    auto role = body.getResultAttrOfType<StringAttr>(i, "rondo.role");
    if (role.getValue() == "state") {
      finals.push_back(end->getOperand(i));
      continue;
    }
    outputs.push_back(end->getOperand(i));
    if (ArrayRef<int64_t> shape = shapeOf(outputs.back()); shape.size() == 2 && shape[1] % 8 != 0)
      return refuse(body.getLoc(), "vectors of " + Twine(shape[1]) + " numbers (TMA writes 16 bytes at a time)"),
             failure();
    outputNames.push_back(body.getResultAttrOfType<StringAttr>(i, "rondo.name").getValue());
    outputAttrs.push_back(body.getResultAttrDict(i));
  }
  return success();
}

ArrayAttr Scheduler::describeArrays() {
  SmallVector<Attribute> result;
  auto describe = [&](StringRef name, StringRef role, Type type, ArrayRef<int64_t> sizes, ArrayAttr dims) {
    result.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(name)), b.getNamedAttr("role", b.getStringAttr(role)),
         b.getNamedAttr("type", TypeAttr::get(type)), b.getNamedAttr("sizes", b.getDenseI64ArrayAttr(sizes)),
         b.getNamedAttr("dims", dims ? dims : b.getArrayAttr({}))}));
  };
  auto dimsOf = [&](BlockArgument argument) {
    return body.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "rondo.dims");
  };
  // A kernel of several describes the arrays of all.
  if (auto program = body->getAttrOfType<ArrayAttr>("rondo.program")) {
    for (auto entry : program.getAsRange<DictionaryAttr>()) {
      StringRef name = entry.getAs<StringAttr>("name").getValue(), role = entry.getAs<StringAttr>("role").getValue();
      ArrayRef<int64_t> sizes = entry.getAs<DenseI64ArrayAttr>("sizes").asArrayRef();
      bool narrow = role == "token" || role == "output" || (role == "temporary" && !sizes.empty());
      describe(name, role, narrow ? elementOf(name) : b.getF32Type(), sizes, entry.getAs<ArrayAttr>("dims"));
    }
    return b.getArrayAttr(result);
  }
  for (BlockArgument input : inputs) {
    bool token = analysis.isToken(input);
    describe(analysis.getName(input), token ? "token" : "param",
             token ? elementOf(analysis.getName(input)) : b.getF32Type(), shapeOf(input).drop_front(token ? 1 : 0),
             dimsOf(input));
  }
  for (auto [value, name, attrs] : llvm::zip(outputs, outputNames, outputAttrs))
    describe(name, "output", elementOf(name), shapeOf(value).drop_front(), attrs.getAs<ArrayAttr>("rondo.dims"));
  for (BlockArgument state : states)
    if (analysis.getOriginal(state).empty())
      describe(analysis.getName(state), "state", b.getF32Type(), shapeOf(state), dimsOf(state));
  return b.getArrayAttr(result);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------------------------------------------------===//

Role &Scheduler::addRole(StringRef name, RoleKind kind, int64_t warps, int64_t copies, ArrayRef<int64_t> carried,
                         unsigned freeAxis) {
  ImplicitLocOpBuilder at(body.getLoc(), b.getContext());
  at.setInsertionPointToEnd(&kernel.getBody().front());
  Role &role = *roles.emplace_back(std::make_unique<Role>(at));
  role.name = name.str();
  role.kind = kind;
  role.warps = warps;
  role.copies = copies;
  role.freeAxis = freeAxis;
  role.states.assign(carried.begin(), carried.end());
  role.op = tile::RoleOp::create(at, at.getStringAttr(name), at.getI64IntegerAttr(warps), at.getI64IntegerAttr(copies),
                                 at.getI64IntegerAttr(0));
  Block *block = at.createBlock(&role.op.getBody());
  at.setInsertionPointToStart(block);
  Value zero = arith::ConstantIndexOp::create(at, 0), one = arith::ConstantIndexOp::create(at, 1);
  Value chunks = tile::ChunksOp::create(at);
  SmallVector<Value> initial;
  for (int64_t number : role.states) {
    BlockArgument state = states[number];
    auto init = body.getArgAttrOfType<FloatAttr>(state.getArgNumber(), "rondo.init");
    FloatAttr start = at.getF32FloatAttr(init ? init.getValueAsDouble() : 0.0);
    ArrayRef<int64_t> shape = shapeOf(state);
    Type type = at.getF32Type();
    Value offset;
    if (shape.size() == 2) {
      type = fragmentType({64, alignUp(shape[1 - role.freeAxis], 64)}, at.getF32Type(), role);
      offset = firstFree(at);
    } else if (shape.size() == 1) {
      type = rowsType(alignUp(shape[0], 64), role);
    }
    StringRef name = analysis.getOriginal(state).empty() ? analysis.getName(state) : analysis.getOriginal(state);
    auto load = tile::LoadStateOp::create(at, type, at.getStringAttr(name), start, offset,
                                          shape.size() == 2 && role.freeAxis == 0 ? at.getUnitAttr() : UnitAttr());
    initial.push_back(load);
  }
  role.loop = scf::ForOp::create(at, zero, chunks, one, initial);
  if (initial.empty())
    role.loop.getBody()->getTerminator()->erase();
  role.b.setInsertionPointToEnd(role.loop.getBody());
  role.time = role.loop.getInductionVar();
  scf::ForOp carrier = role.loop;
  if (kind == RoleKind::State && steps > 1) {
    Value count = arith::ConstantIndexOp::create(role.b, steps);
    carrier = role.inner = scf::ForOp::create(role.b, zero, count, one, role.loop.getRegionIterArgs());
    role.b.setInsertionPointToEnd(role.inner.getBody());
    role.part = role.inner.getInductionVar();
  }
  for (auto [number, value] : llvm::zip(role.states, carrier.getRegionIterArgs())) {
    if (isa<FloatType>(value.getType()))
      scalarStates[number] = value;
    else
      (kind == RoleKind::Vector ? role.rows : role.matrices)[states[number]] = value;
  }
  return role;
}

Value Scheduler::firstFree(ImplicitLocOpBuilder &at) {
  Value piece = tile::CopyIndexOp::create(at);
  if (blocks > 1)
    piece = arith::AddIOp::create(
        at, piece,
        arith::MulIOp::create(at, tile::BlockIndexOp::create(at), arith::ConstantIndexOp::create(at, pieces)));
  return arith::MulIOp::create(at, piece, arith::ConstantIndexOp::create(at, 64));
}

Value Scheduler::ownColumns(Role &role, Value buffer) {
  auto type = cast<tile::SharedType>(buffer.getType());
  if (type.getShape()[1] == 64)
    return buffer;
  auto piece = tile::SharedType::get(role.b.getContext(), {type.getShape()[0], 64}, element, false);
  return tile::BlockOp::create(role.b, piece, buffer, tile::CopyIndexOp::create(role.b));
}

Value Scheduler::ownTokens(Role &role, Value buffer, std::optional<int64_t> column) {
  if (steps == 1)
    return buffer;
  auto type = cast<tile::SharedType>(buffer.getType());
  SmallVector<int64_t> shape{chunk, column ? chunk : type.getShape()[1]};
  Value left = arith::ConstantIndexOp::create(role.b, column.value_or(0));
  Value first = arith::MulIOp::create(role.b, role.part, arith::ConstantIndexOp::create(role.b, chunk));
  auto own = tile::SharedType::get(role.b.getContext(), shape, element, /*ring=*/false, tokens);
  return tile::WindowOp::create(role.b, own, buffer, first, left);
}

Value Scheduler::folded(Value buffer, int64_t column, ImplicitLocOpBuilder &at) {
  if (cast<tile::SharedType>(buffer.getType()).getShape()[1] == chunk)
    return buffer;
  Value zero = arith::ConstantIndexOp::create(at, 0), left = arith::ConstantIndexOp::create(at, column);
  auto type = tile::SharedType::get(b.getContext(), {tokens, chunk}, element, /*ring=*/false, tokens);
  return tile::WindowOp::create(at, type, buffer, zero, left);
}

Role &Scheduler::productsRole(uint64_t dependence) {
  std::string name = dependence == 0 ? "products" : "products." + std::to_string(dependence);
  for (auto &role : roles)
    if (role->name == name)
      return *role;
  return addRole(name, RoleKind::Products, 4, 1);
}

/// The axis of a matrix state over which no product sums.
static FailureOr<unsigned> findFreeAxis(BlockArgument state) {
  std::optional<unsigned> free;
  for (Operation *user : state.getUsers()) {
    auto contract = dyn_cast<linalg::ContractOp>(user);
    if (!contract)
      continue;
    SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
    for (unsigned side = 0; side < 2; ++side) {
      if (contract.getInputs()[side] != state)
        continue;
      for (unsigned axis = 0; axis < 2; ++axis) {
        if (llvm::is_contained(maps[2].getResults(), maps[side].getResult(axis))) {
          if (free && *free != axis)
            return failure();
          free = axis;
        }
      }
    }
  }
  return free.value_or(1);
}

LogicalResult Scheduler::createRoles() {
  // One role a matrix state, one for all vector states; scalars go with the gates.
  struct MatrixState {
    int64_t number;
    unsigned freeAxis;
  };
  SmallVector<MatrixState> matrices;
  SmallVector<int64_t> vectorStates, scalarNumbers;
  for (auto [number, state] : llvm::enumerate(states)) {
    ArrayRef<int64_t> shape = shapeOf(state);
    if (shape.size() == 2) {
      FailureOr<unsigned> free = findFreeAxis(state);
      if (failed(free))
        return refuse(state.getLoc(), "state '" + analysis.getName(state) + "' is read along both axes"), failure();
      if (shape[0] > 256 || shape[1] > 256)
        return refuse(state.getLoc(), "state '" + analysis.getName(state) + "' has a size above 256"), failure();
      matrices.push_back({static_cast<int64_t>(number), *free});
    } else if (shape.size() == 1) {
      vectorStates.push_back(number);
    } else {
      scalarNumbers.push_back(number);
    }
  }
  bool isStateless = matrices.empty() && states.empty() && llvm::all_of(outputs, [&](Value x) { return isSquare(x); });
  if (matrices.empty() && !isStateless)
    return refuse(body.getLoc(), "there is no matrix state"), failure();
  // States that scalars couple share a role: each new one is made of all old ones, element by element.
  bool isCoupled = llvm::any_of(body.getBody().getOps<chunk::IntervalProductsOp>(), [&](chunk::IntervalProductsOp op) {
    ArrayRef<int64_t> shape = shapeOf(op.getOperand());
    return shape.size() == 3 && shape[1] == int64_t(matrices.size());
  });
  for (const MatrixState &state : matrices)
    isCoupled &=
        shapeOf(states[state.number]) == shapeOf(states[matrices[0].number]) && state.freeAxis == matrices[0].freeAxis;
  if (matrices.size() > 1 && !isCoupled) {
    auto whole = body->getAttrOfType<StringAttr>("rondo.whole");
    return refuse(states[matrices[1].number].getLoc(),
                  "there is more than one matrix state" + (whole ? ", and " + whole.getValue().str() : "")),
           failure();
  }

  if (steps > 1 && !(vectorStates.empty() && scalarNumbers.empty()))
    return refuse(body.getLoc(), "states of other kinds beside one in steps"), failure();

  // The columns of the last state are split over blocks; with a wide state each block has one warpgroup.
  if (!isStateless) {
    const MatrixState &last = matrices.back();
    ArrayRef<int64_t> lastShape = shapeOf(states[last.number]);
    int64_t allPieces = alignUp(lastShape[last.freeAxis], 64) / 64;
    depth = alignUp(lastShape[1 - last.freeAxis], 64);
    if (matrices.size() > 1 && depth * int64_t(matrices.size()) > 256)
      return refuse(states[last.number].getLoc(), "coupled states with more elements than registers"), failure();
    pieces = matrices.size() == 1 && depth <= 128 ? std::min<int64_t>(allPieces, budget.pieces) : 1;
    while (allPieces % pieces)
      --pieces;
    blocks = allPieces / pieces;
  }

  auto name = body->getAttrOfType<StringAttr>("rondo.kernel");
  kernel =
      tile::KernelOp::create(b, name ? name : b.getStringAttr(body.getSymName() + "_kernel"), describeArrays(),
                             b.getI64IntegerAttr(tokens), b.getI64IntegerAttr(blocks), b.getI64IntegerAttr(writes));
  b.createBlock(&kernel.getBody());

  SmallVector<int64_t> carried;
  std::string roleName = "state";
  for (const MatrixState &state : matrices) {
    carried.push_back(state.number);
    roleName += "." + analysis.getName(states[state.number]).str();
  }
  if (!isStateless)
    addRole(roleName, RoleKind::State, 4, pieces, carried, matrices.back().freeAxis);
  if (failed(createOctets()))
    return failure();
  if (roles.empty())
    return refuse(body.getLoc(), "there is neither a matrix state nor a decay by channel"), failure();
  load = &addRole("load", RoleKind::Load, 1, 1);
  gates = &addRole("gates", RoleKind::Gates, 1, 1, scalarNumbers);
  // With the warps for TMA and gates a whole warpgroup, so that the others' registers stay as they are.
  if (!vectorStates.empty())
    addRole("vectors", RoleKind::Vector, 2, 1, vectorStates);
  if (!octets)
    inputChannel = &addChannel(*load, budget.inputSlots);
  gatesChannel = &addChannel(*gates, budget.gateSlots);
  tile::AcquireOp::create(gates->b, gatesChannel->handle, gates->time);
  return success();
}

Channel &Scheduler::addChannel(Role &producer, int64_t slots) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(roles.front()->op);
  Channel &channel = *channels.emplace_back(std::make_unique<Channel>());
  channel.handle = tile::MakeChannelOp::create(b, tile::ChannelType::get(b.getContext(), slots));
  channel.producer = &producer;
  return channel;
}

Value Scheduler::allocate(ArrayRef<int64_t> shape, Type type, int64_t slots) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(roles.front()->op);
  SmallVector<int64_t> sizes(shape);
  if (slots > 1)
    sizes.insert(sizes.begin(), slots);
  auto shared = tile::SharedType::get(b.getContext(), sizes, type, slots > 1);
  sharedBytes += alignUp(shared.getSlotBytes(), shared.isSwizzled() ? 1024 : 16) * slots;
  return tile::AllocOp::create(b, shared);
}

Value Scheduler::allocateRing(ArrayRef<int64_t> shape, Type type) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(roles.front()->op);
  SmallVector<int64_t> sizes(shape);
  sizes.insert(sizes.begin(), 1);
  return tile::AllocOp::create(b, tile::SharedType::get(b.getContext(), sizes, type, /*ring=*/true));
}

void Scheduler::setSlots(Value ring, int64_t slots) {
  auto type = cast<tile::SharedType>(ring.getType());
  SmallVector<int64_t> sizes(type.getShape());
  sizes.front() = slots;
  ring.setType(tile::SharedType::get(b.getContext(), sizes, type.getElementType(), /*ring=*/true));
  sharedBytes += alignUp(type.getSlotBytes(), type.isSwizzled() ? 1024 : 16) * slots;
}

Value Scheduler::openSlot(Role &role, Shared shared) {
  // Once in an iteration, not in each block of channels.
  ImplicitLocOpBuilder at = role.b;
  if (role.inner)
    at.setInsertionPoint(role.inner);
  Channel *channel = shared.channel;
  if (channel && channel->producer != &role && !role.waited[channel]) {
    tile::WaitOp::create(at, channel->handle, role.time);
    role.waited[channel] = true;
    channel->consumers.insert(&role);
  }
  auto type = cast<tile::SharedType>(shared.ring.getType());
  return type.getRing() ? tile::SlotOp::create(at, shared.ring, role.time).getResult() : shared.ring;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Ends
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult Scheduler::chooseRegisters() {
  // A multiprocessor has 512 registers for the 128 threads of a warpgroup, in eights for each warpgroup at the start.
  int64_t stateGroups = 0, productGroups = 0, octetGroups = octets ? 2 : 0, smallWarps = 0;
  for (auto &role : roles) {
    if (role->kind == RoleKind::State)
      stateGroups += role->copies;
    else if (role->kind == RoleKind::Products)
      productGroups += role->copies;
    else if (role->kind != RoleKind::Octets)
      smallWarps += role->warps;
  }
  int64_t smallGroups = (smallWarps + 3) / 4, products = inverses.empty() ? 72 : 88;
  int64_t groups = stateGroups + productGroups + octetGroups + smallGroups, all = 512 / groups / 8 * 8 * groups;
  // Below this a state warpgroup's products wait for each other (ptxas C7512); what is left goes to the small roles.
  // A state that turns has vectors along its columns beside it, which a small role reads ahead.
  size_t carried = 0;
  for (auto &role : roles)
    if (role->kind == RoleKind::State)
      carried = std::max(carried, role->states.size());
  // Products of coupled states have several masks; there is one warpgroup for the states.
  if (carried > 1)
    products = 144;
  int64_t wanted = depth > 128 || carried > 1 ? 240 : totals.empty() ? 192 : 232, leastSmall = totals.empty() ? 24 : 56;
  // The octets spill below 104; with more than 112 the state has too few. Without products they need less.
  int64_t perOctet = octetGroups == 0 ? 0 : grams.empty() ? 80 : groups > 4 ? 104 : 112;
  int64_t others = products * productGroups + perOctet * octetGroups;
  if (stateGroups == 0 && octets) {
    perOctet =
        std::min<int64_t>(232, (all - leastSmall * smallGroups - products * productGroups) / octetGroups / 8 * 8);
    others = products * productGroups + perOctet * octetGroups;
  }
  int64_t state =
      stateGroups == 0 ? 0 : std::min<int64_t>(wanted, (all - leastSmall * smallGroups - others) / stateGroups / 8 * 8);
  int64_t small =
      smallGroups == 0 ? 0 : std::min<int64_t>(232, (all - state * stateGroups - others) / smallGroups / 8 * 8);
  for (auto &role : roles) {
    int64_t registers = role->kind == RoleKind::State      ? state
                        : role->kind == RoleKind::Products ? products
                        : role->kind == RoleKind::Octets   ? perOctet
                                                           : small;
    role->op.setRegisters(registers);
  }
  // State, its rounded copy and one result: a product's registers must all be there.
  if (octets && stateGroups && state < depth / 2 + depth / 4 + 16) {
    isTooLarge = true;
    return refuse(body.getLoc(), "its roles need more registers"), failure();
  }
  return success();
}

/// The rows of a tile of 64 that one write of each token has, as TMA brings and takes them: one after the other.
Value Scheduler::rowsOfWrite(ImplicitLocOpBuilder &at, Value buffer, int64_t number) {
  int64_t rows = tokens / writes, columns = cast<tile::SharedType>(buffer.getType()).getShape()[1];
  auto window = tile::SharedType::get(at.getContext(), {rows, columns}, element, /*ring=*/false, tokens);
  return tile::WindowOp::create(at, window, buffer, arith::ConstantIndexOp::create(at, number * rows),
                                arith::ConstantIndexOp::create(at, 0));
}

void Scheduler::emitFetch(InputGroup &group, ImplicitLocOpBuilder &at, Value time, bool isBeside) {
  SmallVector<StringRef> names;
  SmallVector<Value> buffers, offsets;
  if (!isBeside)
    tile::AcquireOp::create(at, group.channel->handle, time);
  Value zero = arith::ConstantIndexOp::create(at, 0);
  for (Value argument : group.arguments) {
    Value ring = tokenTiles[argument].ring;
    bool isRing = cast<tile::SharedType>(ring.getType()).getRing();
    Value buffer = isRing ? tile::SlotOp::create(at, ring, time).getResult() : ring, offset = zero;
    if (blocks > 1 && sliced.contains(argument))
      offset =
          arith::MulIOp::create(at, tile::BlockIndexOp::create(at), arith::ConstantIndexOp::create(at, 64 * pieces));
    SmallVector<StringRef> arrays = arraysOf(argument);
    for (auto [number, name] : llvm::enumerate(arrays)) {
      names.push_back(name);
      buffers.push_back(arrays.size() == 1 ? buffer : rowsOfWrite(at, buffer, number));
      offsets.push_back(offset);
    }
  }
  tile::FetchOp::create(at, group.channel->handle, time, at.getStrArrayAttr(names), buffers, offsets,
                        isBeside ? at.getUnitAttr() : UnitAttr());
}

/// The warps of a load role would take registers from all others (they come for four warps at a time): where there is
/// no other small role, a state's role issues the copies, as far ahead as there are slots.
void Scheduler::fetchInState(Role &role) {
  Operation *ready = nullptr;
  for (Operation *user : readyChannel->handle.getUsers())
    if (isa<tile::WaitOp>(user) && role.op->isProperAncestor(user))
      ready = user;
  ImplicitLocOpBuilder before = role.b, at = role.b;
  before.setInsertionPoint(role.loop);
  for (InputGroup &group : inputGroups) {
    auto slots = cast<tile::ChannelType>(group.channel->handle.getType()).getSlots();
    bool isFirst = octets->waited.lookup(group.channel) && ready;
    // The octets have read what they need of this iteration when they are ready; other slots are free when an earlier
    // iteration has ended.
    bool isFree = isFirst && !group.channel->consumers.contains(&role) && group.channel->consumers.contains(octets);
    int64_t ahead = isFree || slots == 1 ? slots : slots - 1;
    if (isFirst && (isFree || slots > 1))
      at.setInsertionPointAfter(ready);
    else if (slots > 1)
      at.setInsertionPointToStart(role.loop.getBody());
    else
      at.setInsertionPoint(role.loop.getBody()->getTerminator());
    for (int64_t i = 0; i < ahead; ++i)
      emitFetch(group, before, arith::ConstantIndexOp::create(before, i), /*isBeside=*/true);
    Value time = arith::AddIOp::create(at, role.time, arith::ConstantIndexOp::create(at, ahead));
    emitFetch(group, at, time, /*isBeside=*/true);
  }
}

/// Frees the slots that a role reads, ends its loop and stores its states.
LogicalResult Scheduler::finish() {
  if (inputChannel && !tokenTiles.empty())
    inputGroups.push_back({inputChannel, llvm::to_vector(llvm::make_first_range(tokenTiles))});
  if (gatesChannel->consumers.empty()) {
    // Nobody reads numbers of the tokens.
    for (Operation *user : llvm::to_vector(gatesChannel->handle.getUsers()))
      user->erase();
    gatesChannel->handle.getDefiningOp()->erase();
    llvm::erase_if(channels, [&](auto &channel) { return channel.get() == gatesChannel; });
    if (gates->loop.getBody()->empty()) {
      gates->op.erase();
      llvm::erase_if(roles, [&](auto &role) { return role.get() == gates; });
    }
  } else {
    tile::CommitOp::create(gates->b, gatesChannel->handle, gates->time);
  }
  bool hasSmall = llvm::any_of(roles, [&](auto &role) { return role.get() != load && role->warps < 4; });
  bool isBeside = octets && !hasSmall && !states.empty();
  if (isBeside) {
    load->op.erase();
    llvm::erase_if(roles, [&](auto &role) { return role.get() == load; });
  } else {
    fetchLost();
    for (InputGroup &group : inputGroups)
      emitFetch(group, load->b, load->time, /*isBeside=*/false);
  }
  for (auto &role : roles) {
    bool isInSteps = role->kind == RoleKind::State && role->inner;
    auto yieldStates = [&] {
      SmallVector<Value> yielded;
      for (int64_t number : role->states) {
        auto &made = shapeOf(states[number]).empty()  ? laneValues
                     : role->kind == RoleKind::Vector ? role->rows
                                                      : role->matrices;
        yielded.push_back(made.lookup(finals[number]));
      }
      scf::YieldOp::create(role->b, yielded);
    };
    if (isInSteps) {
      yieldStates();
      role->b.setInsertionPointToEnd(role->loop.getBody());
      if (!staged.empty())
        tile::SyncOp::create(role->b, role->b.getUnitAttr());
      for (const Staged &output : staged)
        writeBack(output.buffer, output.name, output.isOfFirst, *role);
    }
    for (auto &channel : channels)
      if (channel->isReleased && channel->consumers.contains(role.get()))
        tile::ReleaseOp::create(role->b, channel->handle, role->time);
    if (isInSteps)
      scf::YieldOp::create(role->b, role->inner.getResults());
    else
      yieldStates();
    ImplicitLocOpBuilder at(body.getLoc(), b.getContext());
    at.setInsertionPointAfter(role->loop);
    for (unsigned i = 0; i < role->states.size(); ++i) {
      if (!analysis.getOriginal(states[role->states[i]]).empty())
        continue;
      auto begin = role->loop.getInitArgs()[i].getDefiningOp<tile::LoadStateOp>();
      tile::StoreStateOp::create(at, role->loop.getResult(i), begin.getStateAttr(), begin.getOffset(),
                                 begin.getRowsAttr());
    }
    if (role->kind == RoleKind::State || role->writesBack)
      tile::DrainOp::create(at, at.getUnitAttr());
  }
  if (isBeside)
    for (auto &role : roles)
      if (role->kind == RoleKind::State)
        fetchInState(*role);
  return chooseRegisters();
}

FailureOr<tile::KernelOp> Scheduler::build() {
  auto fail = [&]() -> FailureOr<tile::KernelOp> {
    if (kernel)
      kernel.erase();
    kernel = {};
    return failure();
  };
  if (failed(collect()) || failed(createRoles()))
    return fail();
  // Before them what decays along the free axis: it takes many registers, and there is no product in flight.
  for (Operation &op : body.getBody().front())
    if (auto apply = dyn_cast<chunk::DecayedApplyOp>(op))
      for (auto &role : llvm::to_vector(llvm::map_range(roles, [](auto &role) { return role.get(); })))
        if (role->kind == RoleKind::State && !analysis.dependsOnArrays(apply.getResult()) &&
            !decayedApply(apply.getDecay(), apply.getValue(), apply.getInclusive(), *role))
          return fail();
  // Reads of the states first: they need nothing but arguments and are on the longest path. Where their operands are
  // made (rows in order), these come before: nothing may wait between products that share a left operand.
  for (auto &role : llvm::to_vector(llvm::map_range(roles, [](auto &role) { return role.get(); }))) {
    SmallVector<linalg::ContractOp> reads;
    if (role->kind == RoleKind::State)
      for (int64_t number : role->states)
        for (Operation *user : states[number].getUsers())
          if (auto read = dyn_cast<linalg::ContractOp>(user); read && read.getInputs()[0] != read.getInputs()[1] &&
                                                              read.getOutputs()[0] != states[number] &&
                                                              roleOf(read.getResult(0)) == role)
            reads.push_back(read);
    for (linalg::ContractOp read : llvm::reverse(reads)) {
      bool isLeft = analysis.dependsOnArrays(read.getInputs()[0]);
      if (writes > 1 && !tile(read.getInputs()[isLeft ? 1 : 0], *role))
        return fail();
    }
    if (role->states.size() > 1) // coupled: all rounded before the first product is in flight
      for (linalg::ContractOp read : reads)
        if (Value state = read.getInputs()[analysis.isState(read.getInputs()[0]) ? 0 : 1];
            analysis.isState(state) && !operand(state, *role))
          return fail();
    for (linalg::ContractOp read : reads)
      if (!matrix(read.getResult(0), *role))
        return fail();
  }
  // Then what the states' own products add to, before operands of other products come to registers.
  for (auto [number, value] : llvm::enumerate(finals)) {
    Role *role = roleOf(states[number]);
    bool isCoupled = role && role->kind == RoleKind::State && role->states.size() > 1;
    if (!octets && !isCoupled)
      continue;
    Value sum = value;
    while (auto product = sum.getDefiningOp<linalg::ContractOp>())
      sum = product.getOutputs()[0];
    auto scaled = sum.getDefiningOp<linalg::GenericOp>();
    bool isOnlyState = scaled && llvm::none_of(scaled.getDpsInputs(), [&](Value x) {
                         return analysis.dependsOnArrays(x) && !(isCoupled && analysis.isState(x));
                       });
    if (role && isOnlyState && !matrix(sum, *role))
      return fail();
  }
  auto emitOutputProducts = [&] {
    for (auto [position, value] : llvm::enumerate(outputs))
      if (failed(emitOutputProduct(value, outputNames[position])))
        return failure();
    return success();
  };
  // Where there is a triangular system, its inverse leaves the products role first and the matrix of an output last:
  // the states need not wait for that.
  bool statesFirst = !octets && !body.getBody().getOps<chunk::SolveOp>().empty();
  if (!statesFirst && failed(emitOutputProducts()))
    return fail();
  auto emitFinals = [&](bool vectors) {
    for (auto [number, value] : llvm::enumerate(finals)) {
      if (shapeOf(states[number]).empty()) {
        if (!lanes(value))
          return failure();
        continue;
      }
      Role *role = nullptr;
      for (auto &candidate : roles)
        if (llvm::is_contained(candidate->states, static_cast<int64_t>(number)))
          role = candidate.get();
      if ((role->kind == RoleKind::Vector) == vectors && !matrix(value, *role))
        return failure();
    }
    return success();
  };
  auto emitOutputs = [&] {
    for (auto [position, value] : llvm::enumerate(outputs))
      if (failed(emitOutput(value, outputNames[position])))
        return failure();
    return success();
  };
  // What decays along the free axis leaves few registers: they go to the output before the new state is made.
  bool outputsFirst = llvm::any_of(roles, [](auto &role) { return !role->decayed.empty(); });
  if (outputsFirst && failed(emitOutputs()))
    return fail();
  if (failed(emitFinals(/*vectors=*/false)))
    return fail();
  if (statesFirst && failed(emitOutputProducts()))
    return fail();
  if (!outputsFirst && failed(emitOutputs()))
    return fail();
  // The state's role waits for what it reads of vector states, not for their updates.
  if (failed(emitFinals(/*vectors=*/true)) || failed(emitOctets()))
    return fail();
  if (failed(finish()))
    return fail();
  if (sharedBytes + 1024 > kMaxShared) {
    isTooLarge = true;
    refuse(body.getLoc(), "it needs " + Twine(sharedBytes) + " bytes of shared memory");
    return fail();
  }
  return kernel;
}
