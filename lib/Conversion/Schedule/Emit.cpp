//===- Emit.cpp - Values in the registers of a role -------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

static bool isZero(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
}

RankedTensorType Scheduler::fragmentType(ArrayRef<int64_t> shape, Type type, Role &role) {
  if (role.kind == RoleKind::Octets)
    return RankedTensorType::get({64, 64}, type, tile::OctetsAttr::get(b.getContext()));
  return RankedTensorType::get(shape, type, tile::FragmentAttr::get(b.getContext(), role.warps));
}

RankedTensorType Scheduler::rowsType(int64_t size, Role &role) {
  return RankedTensorType::get({size}, b.getF32Type(), tile::RowsAttr::get(b.getContext(), role.warps));
}

//===----------------------------------------------------------------------------------------------------------------===//
// Where values live
//===----------------------------------------------------------------------------------------------------------------===//

Role *Scheduler::roleOf(Value value) {
  uint64_t dependence = analysis.dependsOnArrays(value);
  if (dependence == 0)
    return nullptr;
  if (int64_t number = analysis.getState(value); number >= 0) {
    for (auto &role : roles)
      if (llvm::is_contained(role->states, number))
        return role.get();
    return nullptr;
  }
  Operation *op = value.getDefiningOp();
  if (auto contract = dyn_cast<linalg::ContractOp>(op)) {
    if (!isZero(contract.getOutputs()[0]))
      if (Role *role = roleOf(contract.getOutputs()[0]))
        return role;
    // The operand whose free axis survives in the result.
    SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
    for (unsigned side = 0; side < 2; ++side) {
      Role *role = roleOf(contract.getInputs()[side]);
      if (!role)
        continue;
      if (role->kind == RoleKind::Vector)
        return role;
      if (role->kind == RoleKind::State) {
        // Its free axis survives, or the sum is over nothing else.
        unsigned axis = rowAxis(contract.getInputs()[side], *role);
        if (llvm::is_contained(maps[2].getResults(), maps[side].getResult(axis)) || maps[2].getNumResults() == 1)
          return role;
      }
    }
    return &productsRole(dependence);
  }
  Role *best = nullptr;
  for (Value operand : op->getOperands()) {
    if (!isa<RankedTensorType>(operand.getType()))
      continue;
    // A matrix state's role can have vectors of others, not the other way round.
    Role *role = roleOf(operand);
    if (role &&
        (!best || (best->kind != RoleKind::State && (shapeOf(operand).size() == 2 || role->kind == RoleKind::State))))
      best = role;
  }
  return best;
}

unsigned Scheduler::rowAxis(Value value, Role &role) {
  if (role.kind != RoleKind::State)
    return 0;
  return analysis.timedAxes(value) & 1 ? 1 : role.freeAxis;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Bodies of elementwise operations
//===----------------------------------------------------------------------------------------------------------------===//

/// `value` as a tensor of `type`'s shape and layout (its own element type).
Value Scheduler::spread(Value value, Type type, ImplicitLocOpBuilder &at) {
  auto target = dyn_cast<RankedTensorType>(type);
  if (!target || isa<RankedTensorType>(value.getType()))
    return value;
  auto result = RankedTensorType::get(target.getShape(), value.getType(), target.getEncoding());
  if (auto constant = value.getDefiningOp<arith::ConstantOp>())
    return arith::ConstantOp::create(at, DenseElementsAttr::get(result, constant.getValue()));
  return tile::BroadcastOp::create(at, result, value);
}

Value Scheduler::cloneBody(Block &block, Value yielded, ArrayRef<Value> arguments, Type result, Role &role,
                           unsigned rowAxis) {
  ImplicitLocOpBuilder &at = role.b;
  DenseMap<Value, Value> mapping;
  for (auto [argument, value] : llvm::zip(block.getArguments(), arguments))
    mapping[argument] = value;
  auto lookup = [&](Value value) -> Value {
    if (Value mapped = mapping.lookup(value))
      return mapped;
    // A constant from outside the body.
    if (Operation *op = value.getDefiningOp(); op && op->hasTrait<OpTrait::ConstantLike>())
      return mapping[value] = at.clone(*op)->getResult(0);
    return Value();
  };
  auto tensor = dyn_cast<RankedTensorType>(result);
  for (Operation &op : block.without_terminator()) {
    // Of a reduction the terms only.
    if (&op != yielded.getDefiningOp() && llvm::all_of(op.getUsers(), llvm::IsaPred<linalg::YieldOp>))
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      if (!tensor)
        return refuse(op.getLoc(), "an index in a scalar");
      bool isRow = index.getDim() == rowAxis;
      if (role.kind == RoleKind::Octets && !isRow)
        return refuse(op.getLoc(), "the number of a channel");
      int64_t dimension = tensor.getRank() == 1 ? 0 : isRow ? 0 : 1;
      auto type = RankedTensorType::get(tensor.getShape(), at.getI32Type(), tensor.getEncoding());
      if (steps > 1 && role.kind == RoleKind::State)
        return refuse(op.getLoc(), "an index in a step of an iteration");
      mapping[index] = tile::IotaOp::create(at, type, at.getI64IntegerAttr(dimension));
      continue;
    }
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto integer = dyn_cast<IntegerAttr>(constant.getValue());
      if (integer && integer.getType().isIndex())
        mapping[constant] = arith::ConstantOp::create(at, at.getI32IntegerAttr(integer.getInt()));
      else
        mapping[constant] = at.clone(op)->getResult(0);
      continue;
    }
    if (op.getNumResults() != 1 || op.getNumRegions() != 0 ||
        !isa<arith::ArithDialect, math::MathDialect>(op.getDialect()))
      return refuse(op.getLoc(), "'" + op.getName().getStringRef() + "' in an elementwise body");
    SmallVector<Value> operands;
    bool distributed = false;
    for (Value operand : op.getOperands()) {
      Value mapped = lookup(operand);
      if (!mapped)
        return refuse(op.getLoc(), "a value from outside the body");
      operands.push_back(mapped);
      distributed |= isa<RankedTensorType>(mapped.getType());
    }
    Type type = op.getResult(0).getType();
    SmallVector<Value> unspread(operands);
    if (distributed) {
      for (Value &operand : operands)
        operand = spread(operand, tensor, at);
      type = RankedTensorType::get(tensor.getShape(), type, tensor.getEncoding());
    }
    // x 0 = 0 and x + 0 = x, where the 0 is no number of the data.
    auto isAbsent = [&](Value value) { return absent.contains(value); };
    if (!absent.empty() && isa<arith::MulFOp, arith::AddFOp>(op) && llvm::any_of(unspread, isAbsent)) {
      bool isSum = isa<arith::AddFOp>(op);
      auto found = llvm::find_if(unspread, [&](Value value) { return isAbsent(value) != isSum; });
      mapping[op.getResult(0)] = found != unspread.end() ? *found : unspread.front();
      continue;
    }
    OperationState state(op.getLoc(), op.getName());
    state.addOperands(operands);
    state.addTypes(type);
    state.addAttributes(op.getAttrs());
    state.propertiesAttr = op.getPropertiesAsAttribute();
    mapping[op.getResult(0)] = at.create(state)->getResult(0);
  }
  Value value = lookup(yielded);
  return value ? spread(value, result, at) : refuse(block.getParentOp()->getLoc(), "a result from outside the body");
}

//===----------------------------------------------------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------------------------------------------------===//

Value Scheduler::matrix(Value value, Role &role) {
  if (role.kind == RoleKind::Vector)
    return shapeOf(value).size() == 1 ? vector(value, role, /*alongRows=*/true)
                                      : refuse(value.getLoc(), "a matrix made of a vector state");
  if (Value known = role.matrices.lookup(value))
    return known;
  Value made = orBlocked(makeMatrix(value, role), value);
  // Interval products are cheap to read again and cost a register for every two elements to keep.
  if (made && !made.getDefiningOp<tile::IntervalProductsOp>())
    role.matrices[value] = made;
  return made;
}

bool Scheduler::isHalf(Value value, Role &role) {
  if (role.kind != RoleKind::State || shapeOf(value).size() != 2 || analysis.timedAxes(value))
    return false;
  int64_t size = shapeOf(states[role.states.front()])[1 - role.freeAxis];
  return size == depth && 2 * shapeOf(value)[1 - role.freeAxis] == size;
}

/// The number of a slice in pairs of the axis that is not free: 0 or 1.
static std::optional<int64_t> matchPairs(OffsetSizeAndStrideOpInterface op, unsigned freeAxis) {
  ArrayRef<int64_t> offsets = op.getStaticOffsets(), strides = op.getStaticStrides();
  unsigned axis = 1 - freeAxis;
  if (offsets.size() != 2 || offsets[freeAxis] != 0 || strides[freeAxis] != 1 || strides[axis] != 2 ||
      (offsets[axis] != 0 && offsets[axis] != 1))
    return std::nullopt;
  return offsets[axis];
}

/// The shape of a value as a fragment of the role: rows along the free axis.
SmallVector<int64_t> Scheduler::fragmentShape(Value value, unsigned rowAxis, Role &role) {
  if (isHalf(value, role))
    return {64, depth};
  bool isTime = role.kind == RoleKind::State && analysis.timedAxes(value) >> (1 - rowAxis) & 1;
  return {64, isTime ? chunk : role.isInBlocks() ? 64 : alignUp(shapeOf(value)[1 - rowAxis], 64)};
}

Value Scheduler::makeMatrix(Value value, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  if (analysis.isToken(value)) {
    Value narrow = operand(value, role);
    if (!narrow)
      return {};
    auto type = cast<RankedTensorType>(narrow.getType());
    return arith::ExtFOp::create(at, type.clone(at.getF32Type()), narrow);
  }
  Operation *op = value.getDefiningOp();
  if (!op)
    return refuse(value.getLoc(), "a state of another role");
  if (role.kind == RoleKind::Octets && isa<chunk::CumprodOp>(op))
    return makeOctets(value);
  if (role.kind == RoleKind::Products)
    if (std::optional<DecayedGram> match = matchGram(value)) {
      Value buffer = gramBuffer(*match, /*isRounded=*/false, role);
      auto type = fragmentType({tokens, tokens}, at.getF32Type(), role);
      return tile::LoadOp::create(at, type, buffer, UnitAttr());
    }
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return makeGeneric(generic, role);
  if (auto contract = dyn_cast<linalg::ContractOp>(op))
    return makeContract(contract, role);
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    FloatAttr number;
    if (!matchPattern(fill.getInputs()[0], m_Constant(&number)))
      return refuse(op->getLoc(), "a fill with a computed value");
    auto type = fragmentType(fragmentShape(value, rowAxis(value, role), role), at.getF32Type(), role);
    return arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), number));
  }
  if (auto keep = dyn_cast<chunk::KeepRowsOp>(op)) {
    double fill = keep.getFill().convertToDouble();
    Value kept = matrix(keep.getOperand(), role);
    if (!kept || analysis.getPadding(keep.getOperand()) == std::optional<double>(fill))
      return kept;
    return keepRows(kept, fill, role, role.kind == RoleKind::Products || role.kind == RoleKind::Octets ? 0 : 1);
  }
  if (auto lost = dyn_cast<chunk::LostOp>(op)) {
    Value rounded = operand(lost.getOperand(), role), wide = rounded ? matrix(lost.getOperand(), role) : Value();
    return wide ? lostBy(rounded, wide, at) : Value();
  }
  if (auto solve = dyn_cast<chunk::SolveOp>(op)) {
    if (solve.getTransposed())
      return refuse(op->getLoc(), "a transposed solve");
    if (analysis.dependsOnArrays(solve.getMatrix()))
      return refuse(op->getLoc(), "a system that depends on a state");
    Value left = operand(solve.getRhs(), role);
    Value right = left ? inverseTile(solve, role) : Value();
    if (!right)
      return {};
    right = ownTokens(role, right, /*column=*/0);
    auto type = fragmentType(fragmentShape(value, rowAxis(value, role), role), at.getF32Type(), role);
    return makeProduct({solve.getRhs(), left}, right, /*accumulator=*/{}, UnitAttr(), type, /*isSolution=*/true,
                       /*isUpdate=*/false, role);
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op); slice && isHalf(value, role))
    if (std::optional<int64_t> which = matchPairs(slice, role.freeAxis)) {
      Value whole = matrix(slice.getSource(), role);
      return whole ? tile::SplitPairsOp::create(at, whole, *which ? at.getUnitAttr() : UnitAttr()).getResult()
                   : Value();
    }
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op); insert && isHalf(insert.getSource(), role)) {
    auto other = insert.getDest().getDefiningOp<tensor::InsertSliceOp>();
    std::optional<int64_t> first = other ? matchPairs(other, role.freeAxis) : std::nullopt,
                           second = matchPairs(insert, role.freeAxis);
    if (first && second && *first != *second && isHalf(other.getSource(), role)) {
      Value parts[2] = {};
      for (auto [which, part] : {std::pair(*first, other), std::pair(*second, insert)})
        if (!(parts[which] = matrix(part.getSource(), role)))
          return {};
      return tile::JoinPairsOp::create(at, parts[0], parts[1]);
    }
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    auto intervals = slice.getSource().getDefiningOp<chunk::IntervalProductsOp>();
    if (intervals && shapeOf(intervals.getOperand()).size() == 3 && shapeOf(value).size() == 2)
      return coupledMatrix(slice, role);
    if (!intervals || shapeOf(value).size() != 2 || shapeOf(intervals.getOperand()).size() != 1 ||
        slice.getStaticOffsets() != ArrayRef<int64_t>({0, 1}))
      return refuse(op->getLoc(), "a slice of a matrix");
    Value buffer = tables(intervals, role);
    if (!buffer)
      return {};
    return tile::IntervalProductsOp::create(at, fragmentType({chunk, chunk}, at.getF32Type(), role), buffer);
  }
  if (isa<chunk::CumprodOp, chunk::DecayedApplyOp>(op))
    return makeFreeDecays(value, role);
  return refuse(op->getLoc(), "no tile form of '" + op->getName().getStringRef() + "'");
}

Value Scheduler::keepRows(Value kept, double fill, Role &role, int64_t timeAxis) {
  ImplicitLocOpBuilder &at = role.b;
  auto type = cast<RankedTensorType>(kept.getType());
  if (type.getRank() == 1)
    timeAxis = 0;
  auto select = [&](ImplicitLocOpBuilder &in) -> Value {
    auto index = cast<RankedTensorType>(type.clone(in.getI32Type()));
    Value position = tile::IotaOp::create(in, index, in.getI64IntegerAttr(timeAxis));
    if (steps > 1 && role.kind == RoleKind::State) {
      Value first = arith::MulIOp::create(in, role.part, arith::ConstantIndexOp::create(in, chunk));
      first = arith::IndexCastOp::create(in, in.getI32Type(), first);
      position = arith::AddIOp::create(in, position, spread(first, index, in));
    }
    Value count = arith::IndexCastOp::create(in, in.getI32Type(), tile::CountOp::create(in, role.time));
    Value inside = arith::CmpIOp::create(in, arith::CmpIPredicate::slt, position, spread(count, index, in));
    Value other =
        arith::ConstantOp::create(in, DenseElementsAttr::get(cast<ShapedType>(type), in.getF32FloatAttr(fill)));
    return arith::SelectOp::create(in, inside, kept, other);
  };
  if (type.getRank() == 1)
    return select(at);
  // Only the last chunk may be short.
  Value count = tile::CountOp::create(at, role.time);
  Value isShort =
      arith::CmpIOp::create(at, arith::CmpIPredicate::slt, count, arith::ConstantIndexOp::create(at, tokens));
  auto branch = scf::IfOp::create(at, TypeRange(type), isShort, /*withElseRegion=*/true);
  ImplicitLocOpBuilder in(at.getLoc(), at.getContext());
  in.setInsertionPointToStart(branch.thenBlock());
  Value masked = select(in);
  scf::YieldOp::create(in, masked);
  in.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(in, kept);
  return branch.getResult(0);
}

Value Scheduler::makeGeneric(linalg::GenericOp op, Role &role) {
  Value value = op.getResult(0);
  if (op.getNumParallelLoops() != op.getNumLoops() || op.getNumResults() != 1 ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return refuse(op.getLoc(), "a reduction");
  unsigned row = rowAxis(value, role);
  auto type = fragmentType(fragmentShape(value, row, role), role.b.getF32Type(), role);
  SmallVector<Value> operands(op.getDpsInputs());
  if (!op.getBody()->getArguments().back().use_empty())
    operands.push_back(op.getDpsInits()[0]);
  SmallVector<Value> arguments = bodyArguments(cast<linalg::LinalgOp>(op.getOperation()), operands, row, type, role);
  if (arguments.empty() && !operands.empty())
    return {};
  arguments.resize(op.getBody()->getNumArguments());
  auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
  return cloneBody(*op.getBody(), yield.getOperand(0), arguments, type, role, row);
}

SmallVector<Value> Scheduler::bodyArguments(linalg::LinalgOp op, ArrayRef<Value> operands, unsigned row,
                                            RankedTensorType type, Role &role) {
  SmallVector<Value> arguments;
  for (auto [operand, map] : llvm::zip(operands, op.getIndexingMapsArray())) {
    Value made;
    if (map.getNumResults() == 0) {
      made = scalar(operand, role);
    } else if (map.isIdentity()) {
      made = matrix(operand, role);
    } else if (map.getNumResults() == 1 && isa<AffineDimExpr>(map.getResult(0))) {
      bool alongRows = cast<AffineDimExpr>(map.getResult(0)).getPosition() == row;
      bool alongChannels = role.kind == RoleKind::Octets && !alongRows;
      if (!alongRows && isHalf(op->getResult(0), role) && !analysis.isTotal(operand)) {
        orBlocked(refuse(op.getLoc(), "a vector along half the columns of a state"), operand);
        return {};
      }
      made = alongChannels ? this->alongChannels(operand) : vector(operand, role, alongRows);
      if (made && !alongChannels)
        made = tile::BroadcastOp::create(role.b, type, made);
    } else {
      refuse(op.getLoc(), "a transposed operand");
    }
    if (!made)
      return {};
    arguments.push_back(made);
  }
  return arguments;
}

Value Scheduler::operand(Value value, Role &role) {
  if (Value known = role.narrow.lookup(value))
    return known;
  ImplicitLocOpBuilder &at = role.b;
  Value result;
  if (analysis.isToken(value) && shapeOf(value).size() == 2) {
    bool transposed = role.kind == RoleKind::State;
    Shared *shared = tokenTile(value, /*isSliced=*/transposed);
    if (!shared)
      return {};
    Value buffer = openSlot(role, *shared);
    if (transposed)
      buffer = ownTokens(role, ownColumns(role, buffer));
    if (role.isInBlocks())
      buffer = ownBlock(role, buffer);
    SmallVector<int64_t> shape(cast<tile::SharedType>(buffer.getType()).getShape());
    if (writes > 1)
      shape[0] = tokens;
    if (transposed)
      std::swap(shape[0], shape[1]);
    auto load = tile::LoadOp::create(at, fragmentType(shape, element, role), buffer,
                                     transposed ? at.getUnitAttr() : UnitAttr());
    load.setInterleave(writes);
    result = load;
  } else if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>();
             keep &&
             analysis.getPadding(keep.getOperand()) == std::optional<double>(keep.getFill().convertToDouble())) {
    result = operand(keep.getOperand(), role);
  } else if (Value wide = matrix(value, role)) {
    result = arith::TruncFOp::create(at, cast<RankedTensorType>(wide.getType()).clone(element), wide);
  }
  if (result)
    role.narrow[value] = result;
  return result;
}

/// Rounding is too much for what a state is made of by way of itself: it is read, the read goes through a triangular
/// system and is written. Later chunks take such errors out of the state as they take out what it held. In a chunk
/// nothing does: each row's rounding counts in full, also where the next rows overwrite what it wrote. So errors grow
/// with the share of the state that a chunk overwrites, rows by channels; with no more channels than rows, that is most
/// of it. Several states in one role have no registers for the second part.
bool Scheduler::needsParts(Value left, Role &role) {
  if (role.kind != RoleKind::State || role.states.size() != 1 || !(analysis.timedAxes(left) & 1))
    return false;
  int64_t state = role.states.front(), channels = shapeOf(states[state])[1 - role.freeAxis];
  return channels <= chunk && (analysis.dependsOn(left) >> state & 1);
}

/// A product in a role that has the left operand in registers. What rounding loses of that is a second operand where it
/// is needed, for all of a solution of a triangular system and for the sum over tokens that a state takes in. Of other
/// solutions it is what the product adds to: the inverse's unit diagonal gives back the rounded right-hand side, so
/// that with what rounding lost that part is exact.
Value Scheduler::makeProduct(Factor left, Value right, Value accumulator, UnitAttr transposed, RankedTensorType type,
                             bool isSolution, bool isUpdate, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  bool inParts = (isSolution || isUpdate) && needsParts(left.value, role);
  Value lost;
  if ((isSolution || inParts) && !analysis.isToken(left.value))
    lost = lostBy(left.tile, matrix(left.value, role), at);
  if (isSolution && !inParts)
    accumulator = lost;
  // Before the first product: one of the operands in registers that it then holds, not what both are made of.
  if (inParts && lost)
    lost = arith::TruncFOp::create(at, cast<RankedTensorType>(lost.getType()).clone(element), lost);
  Value product = tile::MmaOp::create(at, type, left.tile, right, accumulator, transposed);
  return inParts && lost ? tile::MmaOp::create(at, type, lost, right, product, transposed).getResult() : product;
}

Value Scheduler::ownTile(Value value, Role &role) {
  // One of several matrices in an array.
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  bool isPart = slice && analysis.isToken(slice.getSource()) && analysis.timedAxes(slice.getSource()) == 3;
  Value buffer = tile(isPart ? slice.getSource() : value, role);
  if (!buffer)
    return {};
  std::optional<int64_t> columns;
  if (analysis.timedAxes(value) == 3)
    columns = isPart ? slice.getStaticOffsets()[1] : 0;
  if (role.kind == RoleKind::State && (analysis.timedAxes(value) & 1))
    return ownTokens(role, buffer, columns);
  if (steps > 1)
    return refuse(value.getLoc(), "a product that no step of an iteration has for itself");
  return buffer;
}

Value Scheduler::makeContract(linalg::ContractOp op, Role &role) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Value value = op.getResult(0);
  ImplicitLocOpBuilder &at = role.b;
  if (op.getIteratorTypesArray().size() > 3 || maps[0].getNumResults() > 2 || maps[1].getNumResults() > 2)
    return refuse(op.getLoc(), "a product of more than two axes");
  auto position = [](AffineExpr expr) { return cast<AffineDimExpr>(expr).getPosition(); };
  unsigned row = rowAxis(value, role);
  // The side that runs along the rows of the result, in registers; the other is a tile.
  if (maps[2].getNumResults() != 2 || maps[0].getNumResults() != 2 || maps[1].getNumResults() != 2)
    return refuse(op.getLoc(), "a product with a vector");
  unsigned rowLoop = position(maps[2].getResult(row));
  auto has = [&](unsigned which) {
    return llvm::any_of(maps[which].getResults(), [&](AffineExpr expr) { return position(expr) == rowLoop; });
  };
  if (has(0) == has(1))
    return refuse(op.getLoc(), "a product without a sum");
  unsigned side = has(0) ? 0 : 1;
  Value leftValue = op.getInputs()[side], rightValue = op.getInputs()[1 - side];
  AffineMap leftMap = maps[side], rightMap = maps[1 - side];
  // The summed loop is the one of the right operand that is not in the result.
  unsigned column = position(maps[2].getResult(1 - row));
  bool transposed = position(rightMap.getResult(1)) == column;
  if (!transposed && position(rightMap.getResult(0)) != column)
    return refuse(op.getLoc(), "a product without a sum");
  Value left;
  if (role.kind == RoleKind::Products) {
    if (position(leftMap.getResult(0)) != rowLoop)
      return refuse(op.getLoc(), "a transposed left operand");
    if (analysis.timedAxes(leftValue) == 3)
      left = operand(leftValue, role);
    else
      left = tile(leftValue, role);
  } else {
    if (position(leftMap.getResult(rowAxis(leftValue, role))) != rowLoop)
      return refuse(op.getLoc(), "an operand whose free axis is summed over");
    left = operand(leftValue, role);
  }
  // Products of tokens of all chunks of an iteration; those of tokens of different chunks are not used.
  bool isOfAll = role.kind == RoleKind::Products && analysis.timedAxes(value) == 3 &&
                 analysis.timedAxes(leftValue) == 1 && analysis.timedAxes(rightValue) == 1;
  Value right = !left ? Value() : isOfAll ? tile(rightValue, role) : ownTile(rightValue, role);
  if (!right)
    return {};
  Value accumulator, before = isZero(op.getOutputs()[0]) ? Value() : op.getOutputs()[0];
  Factor factors[2] = {{leftValue, left}, {rightValue, right}};
  if (!isLost(value) && (isLost(before) || (!before && !transposed && losesHere(op, factors, role)))) {
    accumulator = makeLost(op, before, factors, role);
    if (!accumulator)
      return {};
  } else if (before) {
    accumulator = matrix(before, role);
    if (!accumulator)
      return {};
  }
  ArrayRef<int64_t> rightShape = cast<tile::SharedType>(right.getType()).getShape();
  SmallVector<int64_t> shape = fragmentShape(value, row, role);
  if (shape[1] != (transposed ? rightShape[1] : rightShape[0]))
    return refuse(op.getLoc(), "operands of different sizes");
  auto type = fragmentType(shape, at.getF32Type(), role);
  UnitAttr flip = transposed ? at.getUnitAttr() : UnitAttr();
  bool isSolution = !before && op->hasAttr("chunk.unit_diagonal"), isUpdate = !analysis.timedAxes(value);
  // With few tokens an entry's rounding is that of a whole output.
  Value rest = analysis.timedAxes(value) && needsParts(leftValue, role) ? restTile(rightValue, role) : Value();
  Value product = makeProduct(factors[0], right, accumulator, flip, type, isSolution, isUpdate, role);
  return rest ? tile::MmaOp::create(at, type, left, rest, product, flip).getResult() : product;
}

Value Scheduler::makeDot(linalg::ContractOp op, Role &role) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Value value = op.getResult(0);
  ImplicitLocOpBuilder &at = role.b;
  auto rank = [&](unsigned which) { return maps[which].getNumResults(); };
  if (rank(0) + rank(1) != 3 || rank(2) != 1)
    return refuse(op.getLoc(), "a product with a vector state that is not a matrix times a vector");
  unsigned side = rank(0) == 2 ? 0 : 1;
  Value matrixValue = op.getInputs()[side], factors = op.getInputs()[1 - side];
  bool transposed = maps[side].getResult(1) == maps[2].getResult(0);
  Value before;
  if (!isZero(op.getOutputs()[0])) {
    before = vector(op.getOutputs()[0], role, /*alongRows=*/true);
    if (!before)
      return {};
  }
  if (analysis.timedAxes(matrixValue) == 3 && !analysis.dependsOnArrays(matrixValue) &&
      !analysis.dependsOnArrays(factors)) {
    // Sums of rows, in f32 where the matrix is made.
    Value buffer = transposed ? Value() : rowSums(value, factors, matrixValue, role);
    if (!buffer)
      return refuse(op.getLoc(), "a sum over the rows of a matrix");
    Value sums = tile::LoadOp::create(at, rowsType(chunk, role), buffer, UnitAttr());
    return before ? arith::AddFOp::create(at, before, sums).getResult() : sums;
  }
  Value right = ownVector(factors, role);
  Value left = right ? tile(matrixValue, role) : Value();
  if (!left)
    return {};
  ArrayRef<int64_t> shape = cast<tile::SharedType>(left.getType()).getShape();
  auto type = rowsType(shape[transposed ? 1 : 0], role);
  return tile::DotOp::create(at, type, left, right, before, transposed ? at.getUnitAttr() : UnitAttr());
}

//===----------------------------------------------------------------------------------------------------------------===//
// Vectors and scalars
//===----------------------------------------------------------------------------------------------------------------===//

Value Scheduler::vector(Value value, Role &role, bool alongRows) {
  DenseMap<Value, Value> &known = alongRows ? role.rows : role.columns;
  if (Value made = known.lookup(value))
    return made;
  Value made = orBlocked(makeVector(value, role, alongRows), value);
  if (made)
    known[value] = made;
  return made;
}

Value Scheduler::makeVector(Value value, Role &role, bool alongRows) {
  ImplicitLocOpBuilder &at = role.b;
  // Along the rows of fragments, or a vector of its own.
  bool isOctetRows = role.kind == RoleKind::Octets;
  bool isTime = analysis.timedAxes(value) & 1, isStep = steps > 1 && role.kind == RoleKind::State;
  int64_t size = isOctetRows                                  ? tokens
                 : alongRows && role.kind != RoleKind::Vector ? 16 * role.warps
                 : role.isInBlocks() && !alongRows            ? 64
                 : isStep && isTime                           ? chunk
                                                              : alignUp(shapeOf(value)[0], 64);
  Attribute layout = isOctetRows ? Attribute(tile::OctetRowsAttr::get(at.getContext()))
                     : alongRows ? Attribute(tile::RowsAttr::get(at.getContext(), role.warps))
                                 : tile::ColumnsAttr::get(at.getContext(), role.warps);
  auto type = RankedTensorType::get({size}, at.getF32Type(), layout);
  auto load = [&](Value buffer) -> Value {
    auto held = cast<tile::SharedType>(buffer.getType());
    if (isStep && held.getShape() != ArrayRef<int64_t>({size})) {
      // Of all chunks of the iteration: rows of a total, parts of numbers of tokens.
      Value row = role.part, column = arith::ConstantIndexOp::create(at, 0);
      if (held.getShape().size() == 1) {
        column = arith::MulIOp::create(at, row, arith::ConstantIndexOp::create(at, size));
        row = arith::ConstantIndexOp::create(at, 0);
      }
      auto own = tile::SharedType::get(at.getContext(), {size}, at.getF32Type(), false);
      buffer = tile::WindowOp::create(at, own, buffer, row, column);
    }
    return tile::LoadOp::create(at, type, buffer, UnitAttr());
  };
  if (analysis.isParameter(value)) {
    Value offset;
    if (alongRows && role.kind == RoleKind::State)
      offset = firstFree(at);
    if (!alongRows && role.isInBlocks())
      offset = arith::MulIOp::create(at, role.part, arith::ConstantIndexOp::create(at, 64));
    return tile::LoadParameterOp::create(at, type, at.getStringAttr(analysis.getName(value)), offset);
  }
  FloatAttr number;
  if (analysis.isTotal(value)) {
    if (role.kind != RoleKind::State || alongRows)
      return refuse(value.getLoc(), "a vector of a chunk along rows");
    bool pairs = 2 * shapeOf(value)[0] == depth;
    if (!pairs && shapeOf(value)[0] != depth)
      return refuse(value.getLoc(), "a vector of a chunk that is not along the columns of a state");
    Value buffer = totalBuffer(value, pairs, role);
    auto along = RankedTensorType::get({depth}, at.getF32Type(), layout);
    return buffer ? tile::LoadOp::create(at, along, buffer, UnitAttr()).getResult() : Value();
  }
  if (auto fill = value.getDefiningOp<linalg::FillOp>(); fill && matchPattern(fill.getInputs()[0], m_Constant(&number)))
    return arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), number));
  if (auto total = value.getDefiningOp<chunk::TotalOp>();
      total && alongRows && role.kind == RoleKind::State && Analysis::isAlongFreeAxis(total.getOperand()))
    return makeFreeDecays(value, role);
  if (role.kind != RoleKind::Octets && needsOctets(value) && !value.getDefiningOp<linalg::GenericOp>())
    return load(octetVector(value, role));
  if (!analysis.dependsOnArrays(value) && !needsOctets(value)) {
    Value buffer = lanesBuffer(value, role);
    return buffer ? load(buffer) : Value();
  }
  if (role.kind == RoleKind::State && !alongRows)
    if (auto op = value.getDefiningOp<linalg::LinalgOp>(); op && op.getNumReductionLoops() && roleOf(value) == &role)
      return makeReduction(op, type, role);
  if (auto generic = value.getDefiningOp<linalg::GenericOp>()) {
    if (generic.getNumParallelLoops() != generic.getNumLoops() || generic.getNumResults() != 1)
      return refuse(generic.getLoc(), "a reduction");
    SmallVector<Value> operands(generic.getDpsInputs()), arguments;
    if (!generic.getBody()->getArguments().back().use_empty())
      operands.push_back(generic.getDpsInits()[0]);
    for (auto [operand, map] : llvm::zip(operands, generic.getIndexingMapsArray())) {
      Value made = map.getNumResults() == 0 ? scalar(operand, role) : vector(operand, role, alongRows);
      if (!made)
        return {};
      arguments.push_back(made);
    }
    arguments.resize(generic.getBody()->getNumArguments());
    auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
    return cloneBody(*generic.getBody(), yield.getOperand(0), arguments, type, role, 0);
  }
  if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>(); keep && !alongRows && roleOf(value) == &role) {
    Value kept = vector(keep.getOperand(), role, alongRows);
    return kept ? keepRows(kept, keep.getFill().convertToDouble(), role, 0) : Value();
  }
  if (role.kind == RoleKind::Vector && roleOf(value) == &role) {
    if (auto contract = value.getDefiningOp<linalg::ContractOp>())
      return makeDot(contract, role);
    if (auto keep = value.getDefiningOp<chunk::KeepRowsOp>()) {
      Value kept = vector(keep.getOperand(), role, alongRows);
      return kept ? keepRows(kept, keep.getFill().convertToDouble(), role, 0) : Value();
    }
    return refuse(value.getLoc(), "an operation on a vector state that has no tile form");
  }
  Value buffer = rowsBuffer(value, role);
  if (buffer && cast<tile::SharedType>(buffer.getType()).getShape() != type.getShape())
    return refuse(value.getLoc(), "a vector state along the columns of a matrix state");
  return buffer ? tile::LoadOp::create(at, type, buffer, UnitAttr()).getResult() : Value();
}

Value Scheduler::scalar(Value value, Role &role) {
  if (&role == gates)
    return lanes(value);
  if (isAbsent(value)) {
    Value zero = arith::ConstantOp::create(role.b, role.b.getF32FloatAttr(0));
    absent.insert(zero);
    return zero;
  }
  if (analysis.dependsOnArrays(value))
    return refuse(value.getLoc(), "a scalar that depends on a matrix or vector state");
  if (analysis.isParameter(value))
    return tile::LoadParameterOp::create(role.b, role.b.getF32Type(), role.b.getStringAttr(analysis.getName(value)),
                                         Value());
  Value buffer = lanesBuffer(value, role);
  return buffer
             ? tile::LoadScalarOp::create(role.b, role.b.getF32Type(), buffer, role.b.getI64IntegerAttr(0)).getResult()
             : Value();
}
