//===- Octets.cpp - Decays by channel ---------------------------------------------------------------------------===//
//
// With a decay d[t, r] for each channel r of a state S[K, V], what the state role multiplies by is
//
//   S^T (q * prefix)^T       S^T diag(total) + V^T (k * suffix)       V^T P^T,  P = the decayed products of tokens
//
// and all of it is the same for every column of S. Eight warps make it, one or more chunks ahead, in octets: a warp has
// eight tokens and a lane two channels, so running products stay in a thread (`tile.decayed_factors`,
// `tile.decayed_gram`). They go through blocks of 64 channels in a loop that carries the matrices P and the sums over
// channels:
//
//   wait for the arrays
//   for each block of channels (P, sums carried):
//     load q, k, d ..; factors of d; store q * prefix, k * suffix .. to tiles, the totals to a vector; add to P and
//     sums
//   tiles, totals and sums are ready; store P
//
// Tiles that the role makes take the place of token arrays that only this role reads: the thread that reads an element
// writes it. So two channels for such a *host*: one from TMA to this role, and `readyChannel` from this role to those
// that read the tiles; these free the slot for TMA.
//
// A kernel of products alone (`rondo-split-products`) has no state and makes no such tiles: it has registers for
// several queries of the same keys at once, and frees the slots of its arrays when the last channels are in registers.
// Where an iteration has two chunks of 32 tokens, their matrices are *folded*: below each other in the same 32 columns.
//
// Other roles ask first (`octetTile`, `octetVector`, `gramBuffer`) and get rings; the program is written at the end,
// when all requests are known.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

//===----------------------------------------------------------------------------------------------------------------===//
// What the role makes
//===----------------------------------------------------------------------------------------------------------------===//

SmallVector<Budget> Scheduler::getBudgets(func::FuncOp body) {
  bool isStateless = llvm::none_of(llvm::seq(body.getNumResults()), [&](unsigned i) {
    return body.getResultAttrOfType<StringAttr>(i, "rondo.role").getValue() == "state";
  });
  auto found = body.walk(
      [](Operation *op) { return Analysis::getSummedDecays(op) ? WalkResult::interrupt() : WalkResult::advance(); });
  if (!found.wasInterrupted()) {
    SmallVector<Budget> budgets{{3, 3}, {2, 2}, {1, 1}};
    if (body.getBody().getOps<chunk::DecayedApplyOp>().empty())
      return budgets;
    // What decays along the free axis has three values of the state's role for each of a chunk's tokens.
    SmallVector<Budget> halved(budgets);
    for (Budget &budget : halved)
      budget.chunk = 32;
    halved.append(budgets);
    return halved;
  }
  // A second chunk of everything first, then a third of the hosts. One warpgroup for the state where the others leave
  // too few registers for two: then twice as many thread blocks, each with all of the octets' work. In two steps an
  // iteration, products of the state are half as wide: fewer registers, and less work between tokens for the octets.
  SmallVector<Budget> budgets;
  if (isStateless) {
    for (int64_t chunk : {32, 64})
      for (int64_t slots : {3, 2, 1}) {
        Budget budget{slots, 3, 1, slots, 1, 192};
        budget.chunk = chunk;
        budget.queries = 2;
        budgets.push_back(budget);
      }
    return budgets;
  }
  for (int64_t pieces : {2, 1})
    for (int64_t chunk : {32, 64})
      for (Budget budget : {Budget{2, 3, 3, 2, 2, 192}, Budget{2, 3, 3, 2, 1, 192}, Budget{2, 3, 2, 2, 2, 192},
                            Budget{2, 3, 2, 2, 1, 192}, Budget{2, 3, 2, 2, 1, 128}, Budget{2, 3, 2, 1, 1, 128},
                            Budget{1, 3, 2, 1, 1, 128}, Budget{1, 2, 1, 1, 1, 128}}) {
        budget.pieces = pieces;
        budget.chunk = chunk;
        budgets.push_back(budget);
      }
  return budgets;
}

LogicalResult Scheduler::createOctets() {
  for (Operation &op : body.getBody().front()) {
    Value decays = Analysis::getSummedDecays(&op);
    if (!decays)
      continue;
    if (channelCount && channelCount != shapeOf(decays)[1])
      return refuse(op.getLoc(), "decays by channel along axes of different sizes"), failure();
    channelCount = shapeOf(decays)[1];
  }
  if (channelCount == 0)
    return success();
  channelBlocks = alignUp(channelCount, 64) / 64;
  octets = &addRole("octets", RoleKind::Octets, 8, 1);
  readyChannel = &addChannel(*octets, 1);
  return success();
}

bool Scheduler::isOctets(Value value) {
  return octets && !analysis.isToken(value) && shapeOf(value) == ArrayRef<int64_t>({chunk, channelCount}) &&
         analysis.timedAxes(value) == 1 && !analysis.dependsOnArrays(value);
}

/// sum over r of x[t, r] y[t, r], from 0: its operands.
static std::optional<std::pair<Value, Value>> matchSum(Value vector) {
  auto contract = vector.getDefiningOp<linalg::ContractOp>();
  if (!contract || shapeOf(vector).size() != 1 || contract.getIteratorTypesArray().size() != 2)
    return std::nullopt;
  SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
  auto fill = contract.getOutputs()[0].getDefiningOp<linalg::FillOp>();
  if (!maps[0].isIdentity() || !maps[1].isIdentity() || maps[2].getResult(0) != maps[0].getResult(0) || !fill ||
      !matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
    return std::nullopt;
  return std::make_pair(contract.getInputs()[0], contract.getInputs()[1]);
}

bool Scheduler::needsOctets(Value vector) {
  Operation *op = vector.getDefiningOp();
  if (!octets || !op || analysis.dependsOnArrays(vector))
    return false;
  if (isa<chunk::TotalOp>(op))
    return Analysis::getChannelDecays(op) != nullptr;
  if (auto sum = matchSum(vector))
    return llvm::all_of(ArrayRef<Value>({sum->first, sum->second}),
                        [&](Value x) { return isOctets(x) || (analysis.isToken(x) && shapeOf(x)[1] == channelCount); });
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && shapeOf(vector).size() == 1 &&
         llvm::any_of(generic.getDpsInputs(), [&](Value x) { return needsOctets(x); });
}

//===----------------------------------------------------------------------------------------------------------------===//
// Decayed products between tokens
//===----------------------------------------------------------------------------------------------------------------===//

/// The order of the column of an element and its row: 1 below the diagonal, where the row is later.
enum class Side { Above = -1, Diagonal = 0, Below = 1 };

/// What a body gives in a region: an argument, or null for zero; nothing if it is something else.
static std::optional<Value> evaluateIn(Side region, Value value) {
  if (isa<BlockArgument>(value))
    return value;
  if (matchPattern(value, m_AnyZeroFloat()))
    return Value();
  auto select = value.getDefiningOp<arith::SelectOp>();
  auto compare = select ? select.getCondition().getDefiningOp<arith::CmpIOp>() : arith::CmpIOp();
  if (!compare)
    return std::nullopt;
  auto lhs = compare.getLhs().getDefiningOp<linalg::IndexOp>(), rhs = compare.getRhs().getDefiningOp<linalg::IndexOp>();
  if (!lhs || !rhs || lhs.getDim() == rhs.getDim())
    return std::nullopt;
  // row - column
  APInt row(64, 2), column(64, 2 - static_cast<int64_t>(region), /*isSigned=*/true);
  bool holds = arith::applyCmpPredicate(compare.getPredicate(), lhs.getDim() == 0 ? row : column,
                                        rhs.getDim() == 0 ? row : column);
  return evaluateIn(region, holds ? select.getTrueValue() : select.getFalseValue());
}

/// A decayed product, or one merged with a vector on the diagonal that is a dot product with the same keys.
std::optional<DecayedGram> Scheduler::matchGram(Value value) {
  if (!octets)
    return std::nullopt;
  if (auto op = value.getDefiningOp<chunk::DecayedGramOp>())
    return DecayedGram{op, {}, {}, {}};
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumParallelLoops() != 2 || generic.getNumLoops() != 2 || generic.getNumResults() != 1 ||
      !generic.getMatchingIndexingMap(generic.getDpsInitOperand(0)).isIdentity())
    return std::nullopt;
  auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
  auto evaluate = [&](Side region) { return evaluateIn(region, yield.getOperand(0)); };
  std::optional<Value> below = evaluate(Side::Below), diagonal = evaluate(Side::Diagonal),
                       above = evaluate(Side::Above);
  auto inputOf = [&](Value argument) -> OpOperand * {
    unsigned number = cast<BlockArgument>(argument).getArgNumber();
    return number < generic.getNumDpsInputs() ? generic.getDpsInputOperand(number) : nullptr;
  };
  OpOperand *gram = below && *below ? inputOf(*below) : nullptr;
  if (!gram || !diagonal || !above || !generic.getMatchingIndexingMap(gram).isIdentity())
    return std::nullopt;
  auto op = gram->get().getDefiningOp<chunk::DecayedGramOp>();
  // The product itself is 0 there.
  if (!op || (*above && *above != *below))
    return std::nullopt;
  if (!*diagonal || *diagonal == *below)
    return DecayedGram{op, {}, {}, {}};
  OpOperand *vector = inputOf(*diagonal);
  if (!vector || generic.getMatchingIndexingMap(vector).getNumResults() != 1)
    return std::nullopt;
  // Multiples of a dot product with the keys.
  Value base = vector->get();
  while (auto scaled = base.getDefiningOp<linalg::GenericOp>()) {
    Value next;
    for (Value input : scaled.getDpsInputs())
      if (needsOctets(input))
        next = next ? Value() : input;
    if (!next || !llvm::all_of(scaled.getBody()->without_terminator(),
                               [](Operation &inner) { return isa<arith::MulFOp, arith::NegFOp>(inner); }))
      return std::nullopt;
    base = next;
  }
  auto sum = matchSum(base);
  if (!sum || !needsOctets(base) || (sum->first != op.getKey() && sum->second != op.getKey()))
    return std::nullopt;
  return DecayedGram{op, vector->get(), {}, {}};
}

//===----------------------------------------------------------------------------------------------------------------===//
// Requests
//===----------------------------------------------------------------------------------------------------------------===//

Value Scheduler::octetTile(Value value, Role &consumer) {
  auto it = octetTiles.find(value);
  if (it == octetTiles.end())
    it = octetTiles.insert({value, {allocateRing({tokens, 64 * channelBlocks}, element), readyChannel}}).first;
  return openSlot(consumer, it->second);
}

/// Of each chunk of an iteration a row, if there are several.
SmallVector<int64_t> Scheduler::totalShape() {
  return steps > 1 ? SmallVector<int64_t>{steps, 64 * channelBlocks} : SmallVector<int64_t>{64 * channelBlocks};
}

/// A total over the chunk, along the channels, or a sum over the channels, along the tokens.
Value Scheduler::octetVector(Value value, Role &consumer) {
  auto it = octetVectors.find(value);
  if (it == octetVectors.end()) {
    SmallVector<int64_t> shape{tokens};
    if (value.getDefiningOp<chunk::TotalOp>())
      shape = totalShape();
    it = octetVectors.insert({value, {allocateRing(shape, b.getF32Type()), readyChannel}}).first;
  }
  return openSlot(consumer, it->second);
}

Value Scheduler::gramBuffer(const DecayedGram &match, bool isRounded, Role &consumer) {
  auto it = llvm::find_if(
      grams, [&](const DecayedGram &gram) { return gram.op == match.op && gram.diagonal == match.diagonal; });
  if (it == grams.end())
    it = grams.insert(it, match);
  Shared &shared = isRounded ? it->rounded : it->wide;
  if (!shared.ring) {
    // The f32 form is large, and read at once.
    int64_t slots = isRounded ? budget.gramSlots : 1;
    // Rows of 8 more: no bank conflicts.
    SmallVector<int64_t> shape{tokens, isRounded ? tokens : chunk + 8};
    shared = {allocate(shape, isRounded ? element : Type(b.getF32Type()), slots), &addChannel(*octets, slots)};
  }
  return openSlot(consumer, shared);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Values in octets
//===----------------------------------------------------------------------------------------------------------------===//

Value Scheduler::ownBlock(Role &role, Value buffer) {
  ArrayRef<int64_t> shape = cast<tile::SharedType>(buffer.getType()).getShape();
  if (shape[1] == 64)
    return buffer;
  auto piece = tile::SharedType::get(b.getContext(), {shape[0], 64}, element, false);
  return tile::BlockOp::create(role.b, piece, buffer, role.part);
}

tile::DecayedFactorsOp Scheduler::factorsOf(Value decays) {
  if (tile::DecayedFactorsOp known = factors.lookup(decays))
    return known;
  Value made = matrix(decays, *octets);
  if (!made)
    return {};
  ImplicitLocOpBuilder &at = octets->b;
  Value totals = allocate({8, 64}, at.getF32Type(), 1), total;
  for (auto &[value, shared] : octetVectors)
    if (auto op = value.getDefiningOp<chunk::TotalOp>(); op && op.getOperand() == decays)
      total = openSlot(*octets, shared);
  if (!total)
    total = allocate(totalShape(), at.getF32Type(), 1);
  Value offset = arith::MulIOp::create(at, octets->part, arith::ConstantIndexOp::create(at, 64));
  return factors[decays] =
             tile::DecayedFactorsOp::create(at, made.getType(), made.getType(), made, totals, total, offset);
}

Value Scheduler::makeOctets(Value value) {
  auto products = value.getDefiningOp<chunk::CumprodOp>();
  tile::DecayedFactorsOp made = factorsOf(products.getOperand());
  return !made ? Value() : products.getSuffix() ? made.getSuffix() : made.getPrefix();
}

/// A vector of channels, the same for all tokens: parameters and what is made of them.
Value Scheduler::alongChannels(Value vector) {
  if (Value known = octets->columns.lookup(vector))
    return known;
  ImplicitLocOpBuilder &at = octets->b;
  RankedTensorType type = fragmentType({}, at.getF32Type(), *octets);
  Value made;
  if (analysis.isParameter(vector)) {
    Value offset = arith::MulIOp::create(at, octets->part, arith::ConstantIndexOp::create(at, 64));
    made = tile::LoadParameterOp::create(at, type, at.getStringAttr(analysis.getName(vector)), offset);
  } else if (auto generic = vector.getDefiningOp<linalg::GenericOp>();
             generic && generic.getNumParallelLoops() == generic.getNumLoops()) {
    SmallVector<Value> arguments;
    for (auto [operand, map] : llvm::zip(generic.getDpsInputs(), generic.getIndexingMapsArray())) {
      arguments.push_back(map.getNumResults() == 0 ? scalar(operand, *octets) : alongChannels(operand));
      if (!arguments.back())
        return {};
    }
    arguments.push_back(Value());
    auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
    made = cloneBody(*generic.getBody(), yield.getOperand(0), arguments, type, *octets, 0);
  } else {
    return refuse(vector.getLoc(), "a vector of channels that is not made of parameters");
  }
  return octets->columns[vector] = made;
}

/// x in octets with sum over r of x[t, r] key[t, r] = vector[t], as `matchGram` found.
Value Scheduler::diagonalFactor(Value vector, Value key) {
  if (auto sum = matchSum(vector))
    return matrix(sum->first == key ? sum->second : sum->first, *octets);
  auto generic = vector.getDefiningOp<linalg::GenericOp>();
  RankedTensorType type = fragmentType({}, octets->b.getF32Type(), *octets);
  SmallVector<Value> arguments;
  for (auto [operand, map] : llvm::zip(generic.getDpsInputs(), generic.getIndexingMapsArray())) {
    Value made;
    if (needsOctets(operand))
      made = diagonalFactor(operand, key);
    else if (map.getNumResults() == 0)
      made = scalar(operand, *octets);
    else if (Value rows = this->vector(operand, *octets, /*alongRows=*/true))
      made = tile::BroadcastOp::create(octets->b, type, rows);
    if (!made)
      return {};
    arguments.push_back(made);
  }
  arguments.push_back(Value());
  auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
  return cloneBody(*generic.getBody(), yield.getOperand(0), arguments, type, *octets, 0);
}

//===----------------------------------------------------------------------------------------------------------------===//
// The program of the role
//===----------------------------------------------------------------------------------------------------------------===//

void Scheduler::collectTokens(Value value, llvm::SetVector<Value> &tokens) {
  if (analysis.isToken(value)) {
    if (shapeOf(value).size() == 2)
      tokens.insert(value);
    return;
  }
  if (Operation *op = value.getDefiningOp())
    for (Value operand : op->getOperands())
      collectTokens(operand, tokens);
}

/// The products of a block of channels: several queries of the same keys in one operation.
LogicalResult Scheduler::emitGrams(scf::ForOp loop, MutableArrayRef<Value> results) {
  ImplicitLocOpBuilder &at = octets->b;
  SmallVector<SmallVector<size_t>> groups;
  for (size_t i = 0; i < grams.size(); ++i) {
    auto *group = llvm::find_if(groups, [&](ArrayRef<size_t> group) {
      chunk::DecayedGramOp first = grams[group.front()].op;
      return int64_t(group.size()) < budget.queries && first.getKey() == grams[i].op.getKey() &&
             first.getDecay() == grams[i].op.getDecay();
    });
    if (group == groups.end())
      group = &groups.emplace_back();
    // Those with a diagonal first.
    group->insert(grams[i].diagonal ? group->begin() : group->end(), i);
  }
  size_t most = 0;
  for (ArrayRef<size_t> group : groups)
    most = std::max(most, group.size());
  Value room;
  for (ArrayRef<size_t> group : groups) {
    chunk::DecayedGramOp first = grams[group.front()].op;
    tile::DecayedFactorsOp made = factorsOf(first.getDecay());
    SmallVector<Value> queries, diagonals, before;
    SmallVector<Type> types;
    Value key;
    for (size_t i : group) {
      queries.push_back(made ? matrix(grams[i].op.getQuery(), *octets) : Value());
      key = queries.back() ? matrix(first.getKey(), *octets) : Value();
      if (key && grams[i].diagonal)
        diagonals.push_back(diagonalFactor(grams[i].diagonal, first.getKey()));
      if (!key || (grams[i].diagonal && !diagonals.back()))
        return failure();
      before.push_back(loop.getRegionIterArg(i));
      types.push_back(before.back().getType());
    }
    if (!room) {
      int64_t rows = steps > 1 ? 128 * most : 96 * (most + 1);
      room = allocate({most > 1 ? rows : std::min(budget.roomRows, rows), 64}, element, 1);
    }
    auto op = tile::DecayedGramOp::create(at, types, queries, diagonals, key, made.getDecays(), made.getTotals(), room,
                                          before);
    for (auto [i, result] : llvm::zip(group, op.getResults()))
      results[i] = result;
  }
  return success();
}

LogicalResult Scheduler::emitOctets() {
  if (!octets)
    return success();
  if (octetTiles.empty() && octetVectors.empty() && grams.empty()) {
    // Nobody reads what depends on the decays.
    readyChannel->handle.getDefiningOp()->erase();
    llvm::erase_if(channels, [&](auto &channel) { return channel.get() == readyChannel; });
    octets->op.erase();
    llvm::erase_if(roles, [&](auto &role) { return role.get() == octets; });
    octets = nullptr;
    mergeInputs();
    return success();
  }
  ImplicitLocOpBuilder &at = octets->b;
  SmallVector<Value> sums, initial;
  for (auto &[value, shared] : octetVectors)
    if (!value.getDefiningOp<chunk::TotalOp>())
      sums.push_back(value);
  auto zeros = [&](ArrayRef<int64_t> shape, Attribute layout) -> Value {
    auto type = RankedTensorType::get(shape, at.getF32Type(), layout);
    return arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), at.getF32FloatAttr(0)));
  };
  for ([[maybe_unused]] DecayedGram &gram : grams)
    initial.push_back(zeros({tokens, tokens}, tile::GramAttr::get(at.getContext(), chunk)));
  for ([[maybe_unused]] Value sum : sums)
    initial.push_back(zeros({tokens}, tile::OctetRowsAttr::get(at.getContext())));

  // Where there is one block the loop goes away.
  Value zero = arith::ConstantIndexOp::create(at, 0), one = arith::ConstantIndexOp::create(at, 1);
  auto loop = scf::ForOp::create(at, zero, arith::ConstantIndexOp::create(at, channelBlocks), one, initial);
  if (initial.empty())
    loop.getBody()->getTerminator()->erase();
  octets->inner = loop;
  octets->part = loop.getInductionVar();
  at.setInsertionPointToEnd(loop.getBody());

  // All loads before the first store: slots are written where they were read.
  llvm::SetVector<Value> tokens;
  for (auto &[value, shared] : octetTiles)
    collectTokens(value, tokens);
  for (auto &[value, shared] : octetVectors)
    collectTokens(value, tokens);
  for (DecayedGram &gram : grams) {
    collectTokens(gram.op, tokens);
    if (gram.diagonal)
      collectTokens(gram.diagonal, tokens);
  }
  for (Value token : tokens) {
    if (shapeOf(token)[1] != channelCount)
      return refuse(token.getLoc(), "channels of different sizes"), failure();
    if (!operand(token, *octets))
      return failure();
  }
  Operation *lastLoad = &loop.getBody()->back();
  for (auto &[value, shared] : octetVectors)
    if (auto total = value.getDefiningOp<chunk::TotalOp>(); total && !factorsOf(total.getOperand()))
      return failure();
  for (auto &[value, shared] : octetTiles) {
    Value wide = matrix(value, *octets);
    if (!wide)
      return failure();
    Value narrow = arith::TruncFOp::create(at, cast<RankedTensorType>(wide.getType()).clone(element), wide);
    tile::StoreOp::create(at, narrow, ownBlock(*octets, openSlot(*octets, shared)), UnitAttr());
  }
  SmallVector<Value> carried(grams.size());
  if (failed(emitGrams(loop, carried)))
    return failure();
  for (auto [number, value] : llvm::enumerate(sums)) {
    auto factorsOfSum = *matchSum(value);
    Value x = matrix(factorsOfSum.first, *octets), y = x ? matrix(factorsOfSum.second, *octets) : Value();
    if (!y)
      return failure();
    Value before = loop.getRegionIterArg(grams.size() + number);
    Value sum = tile::ReduceOp::create(at, before.getType(), arith::MulFOp::create(at, x, y));
    carried.push_back(arith::AddFOp::create(at, before, sum));
  }
  scf::YieldOp::create(at, carried);

  at.setInsertionPointToEnd(octets->loop.getBody());
  octets->inner = {};
  octets->matrices.clear();
  octets->narrow.clear();
  octets->rows.clear();
  octets->columns.clear();
  for (auto [number, value] : llvm::enumerate(sums))
    tile::StoreOp::create(at, loop.getResult(grams.size() + number), openSlot(*octets, octetVectors[value]),
                          UnitAttr());
  placeOctetTiles();
  if (!readyChannel->consumers.empty()) {
    tile::CommitOp::create(at, readyChannel->handle, octets->time);
  } else {
    readyChannel->handle.getDefiningOp()->erase();
    llvm::erase_if(channels, [&](auto &channel) { return channel.get() == readyChannel; });
    readyChannel = nullptr;
  }
  for (auto [number, gram] : llvm::enumerate(grams))
    for (Shared *shared : {&gram.rounded, &gram.wide})
      if (shared->ring) {
        tile::AcquireOp::create(at, shared->channel->handle, octets->time);
        Value buffer = openSlot(*octets, *shared);
        if (shared == &gram.rounded)
          buffer = folded(buffer, 0, at);
        tile::StoreOp::create(at, loop.getResult(number), buffer, UnitAttr());
        tile::CommitOp::create(at, shared->channel->handle, octets->time);
      }
  mergeInputs();
  if (octetTiles.empty())
    releaseEarly(lastLoad);
  return success();
}

/// No tile takes the place of an array: slots are free when the last block of channels is in registers.
void Scheduler::releaseEarly(Operation *lastLoad) {
  ImplicitLocOpBuilder at = octets->b;
  at.setInsertionPointAfter(lastLoad);
  auto loop = cast<scf::ForOp>(lastLoad->getParentOp());
  Value last = arith::ConstantIndexOp::create(at, channelBlocks - 1);
  Value isLast = arith::CmpIOp::create(at, arith::CmpIPredicate::eq, loop.getInductionVar(), last);
  auto branch = scf::IfOp::create(at, isLast, /*withElseRegion=*/false);
  at.setInsertionPointToStart(branch.thenBlock());
  for (InputGroup &group : inputGroups)
    if (group.channel->consumers.getArrayRef() == ArrayRef<Role *>(octets)) {
      tile::ReleaseOp::create(at, group.channel->handle, octets->time);
      group.channel->isReleased = false;
    }
}

//===----------------------------------------------------------------------------------------------------------------===//
// Slots
//===----------------------------------------------------------------------------------------------------------------===//

static void setSlotCount(Channel &channel, int64_t slots) {
  channel.handle.setType(tile::ChannelType::get(channel.handle.getContext(), slots));
}

void Scheduler::placeOctetTiles() {
  llvm::SetVector<Value> taken, hostRings;
  for (auto &[value, shared] : octetTiles) {
    // An array that goes into the tile if there is one.
    llvm::SetVector<Value> own;
    collectTokens(value, own);
    Value best;
    for (auto &[argument, input] : tokenTiles) {
      bool fits = input.ring.getType() == shared.ring.getType() && !taken.contains(argument);
      if (fits && input.channel->consumers.size() == 1 && input.channel->consumers.contains(octets) &&
          (!best || (own.contains(argument) && !own.contains(best))))
        best = argument;
    }
    if (!best)
      continue;
    taken.insert(best);
    shared.ring.replaceAllUsesWith(tokenTiles[best].ring);
    shared.ring.getDefiningOp()->erase();
    shared.ring = tokenTiles[best].ring;
    hostRings.insert(shared.ring);
  }
  // Whoever has read the tiles frees the hosts, and with them all that is ready at the same time.
  int64_t slots = !taken.empty() ? budget.hostSlots : 2;
  for (Value argument : taken)
    tokenTiles[argument].channel->consumers = readyChannel->consumers;
  setSlotCount(*readyChannel, slots);
  readyChannel->isReleased = taken.empty();
  if (taken.empty() && !readyChannel->consumers.empty()) {
    ImplicitLocOpBuilder at = octets->b;
    at.setInsertionPointToStart(octets->loop.getBody());
    tile::AcquireOp::create(at, readyChannel->handle, octets->time);
  }
  for (auto *requests : {&octetTiles, &octetVectors})
    for (auto &[value, shared] : *requests)
      if (!hostRings.contains(shared.ring))
        setSlots(shared.ring, slots);
}

/// One channel for all arrays that the same roles read and free.
void Scheduler::mergeInputs() {
  auto kindOf = [&](const Channel &channel) {
    bool waitsElsewhere =
        octets && !channel.consumers.contains(octets) && octets->waited.lookup(const_cast<Channel *>(&channel));
    return std::make_pair(waitsElsewhere, channel.consumers.getArrayRef());
  };
  for (auto &[argument, shared] : tokenTiles) {
    auto kind = kindOf(*shared.channel);
    auto *group = llvm::find_if(inputGroups, [&](const InputGroup &group) { return kindOf(*group.channel) == kind; });
    if (group != inputGroups.end()) {
      Channel *merged = shared.channel;
      merged->handle.replaceAllUsesWith(group->channel->handle);
      merged->handle.getDefiningOp()->erase();
      shared.channel = group->channel;
      group->arguments.push_back(argument);
      llvm::erase_if(channels, [&](auto &channel) { return channel.get() == merged; });
    } else {
      inputGroups.push_back({shared.channel, {argument}});
    }
  }
  for (InputGroup &group : inputGroups) {
    // Each role waits once.
    DenseMap<Block *, Operation *> first;
    for (Operation *user : llvm::to_vector(group.channel->handle.getUsers())) {
      if (!isa<tile::WaitOp>(user))
        continue;
      Operation *&earliest = first[user->getBlock()];
      Operation *later = user;
      if (!earliest)
        later = nullptr, earliest = user;
      else if (user->isBeforeInBlock(earliest))
        later = std::exchange(earliest, user);
      if (later)
        later->erase();
    }
    auto kind = kindOf(*group.channel);
    bool isHost = kind.first, onlyOctets = kind.second == ArrayRef<Role *>(octets);
    int64_t slots = isHost ? budget.hostSlots : onlyOctets ? budget.octetSlots : budget.inputSlots;
    setSlotCount(*group.channel, slots);
    for (Value argument : group.arguments)
      setSlots(tokenTiles[argument].ring, slots);
  }
  // What the octets wait for first.
  SmallVector<InputGroup> ordered;
  for (bool first : {true, false})
    for (const InputGroup &group : inputGroups)
      if ((octets && octets->waited.lookup(group.channel)) == first)
        ordered.push_back(group);
  inputGroups = std::move(ordered);
}
