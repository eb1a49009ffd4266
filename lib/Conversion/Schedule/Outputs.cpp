//===- Outputs.cpp - What a kernel writes for each token ---------------------------------------------------------===//
//
// An output [C, V] is a fragment of a state's role, transposed through a buffer on its way to memory; a matrix [C, C]
// of each chunk, which another kernel reads, goes there from the products role, side by side with others; a number of
// each token from wherever it is.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

bool Scheduler::isSquare(Value value) { return analysis.timedAxes(value) == 3 && !analysis.dependsOnArrays(value); }

LogicalResult Scheduler::emitOutputProduct(Value value, StringRef name) {
  if (isSquare(value))
    return success();
  if (shapeOf(value).size() > 2)
    return refuse(value.getLoc(), "output '" + name + "' is a matrix"), failure();
  bool isNumber = shapeOf(value).size() == 1;
  if (isNumber && !analysis.dependsOnArrays(value))
    return success(lanes(value) != Value());
  if (elementOf(name) != element && !isNumber)
    return refuse(value.getLoc(), "output '" + name + "' has another element type than the inputs"), failure();
  Role *role = roleOf(value);
  bool isVector = role && role->kind == RoleKind::Vector && isNumber;
  if (!role || (role->kind != RoleKind::State && !isVector))
    return refuse(value.getLoc(), "output '" + name + "' does not come from a matrix state"), failure();
  if (isVector)
    return success();
  if (isNumber && steps > 1)
    return refuse(value.getLoc(), "a number of each token in a step of an iteration"), failure();
  // A last product stays in flight while the state's are issued; what follows it waits until then.
  if (!isNumber && value.getDefiningOp<linalg::ContractOp>())
    return success(matrix(value, *role) != Value());
  llvm::SetVector<Value> needed(value.getDefiningOp()->operand_begin(), value.getDefiningOp()->operand_end());
  for (size_t i = 0; i < needed.size(); ++i) {
    Operation *op = needed[i].getDefiningOp();
    if (!isa_and_nonnull<linalg::GenericOp, linalg::ContractOp>(op) || roleOf(needed[i]) != role)
      continue;
    if (isa<linalg::GenericOp>(op) || shapeOf(needed[i]).size() == 1)
      needed.insert(op->operand_begin(), op->operand_end());
    else if (!matrix(needed[i], *role))
      return failure();
  }
  return success();
}

/// matrix[t, s] vector[s]: its operands.
static std::optional<std::pair<Value, Value>> matchScaledColumns(Value value) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 2 || generic.getNumParallelLoops() != 2 || generic.getNumLoops() != 2)
    return std::nullopt;
  auto yield = cast<linalg::YieldOp>(generic.getBody()->getTerminator());
  auto product = yield.getOperand(0).getDefiningOp<arith::MulFOp>();
  Block *block = generic.getBody();
  AffineExpr column = getAffineDimExpr(1, value.getContext());
  for (unsigned i : {0, 1}) {
    AffineMap map = generic.getIndexingMapsArray()[1 - i];
    if (product && llvm::is_contained(product->getOperands(), block->getArgument(0)) &&
        llvm::is_contained(product->getOperands(), block->getArgument(1)) &&
        generic.getIndexingMapsArray()[i].isIdentity() && map.getNumResults() == 1 && map.getResult(0) == column)
      return std::make_pair(generic.getDpsInputs()[i], generic.getDpsInputs()[1 - i]);
  }
  return std::nullopt;
}

/// What an output of tokens' products consists of goes to a buffer of the products role, side by side.
LogicalResult Scheduler::emitSquare(Value value, StringRef name) {
  Role &role = productsRole(0);
  ImplicitLocOpBuilder &at = role.b;
  SmallVector<Value> parts{value};
  if (auto concat = value.getDefiningOp<tensor::ConcatOp>())
    parts.assign(concat.getInputs().begin(), concat.getInputs().end());
  Value buffer = allocate({tokens, alignUp(shapeOf(value)[1], 64)}, element, 1);
  bool isOpen = false;
  for (auto [number, part] : llvm::enumerate(parts)) {
    int64_t column = number * chunk;
    auto open = [&] {
      // What was written back is out of the buffer.
      if (!isOpen) {
        tile::DrainOp::create(at, UnitAttr());
        tile::SyncOp::create(at, UnitAttr());
      }
      isOpen = true;
      return folded(buffer, column, at);
    };
    if (failed(storeSquare(part, role, open)))
      return failure();
  }
  tile::SyncOp::create(at, at.getUnitAttr());
  tile::WriteBackOp::create(at, buffer, at.getStringAttr(name), role.time, arith::ConstantIndexOp::create(at, 0));
  role.writesBack = true;
  return success();
}

/// A decayed product, or an inverse, perhaps with scaled columns, to the buffer that `open` gives.
LogicalResult Scheduler::storeSquare(Value value, Role &role, function_ref<Value()> open) {
  ImplicitLocOpBuilder &at = role.b;
  if (std::optional<DecayedGram> match = matchGram(value)) {
    Value from = folded(gramBuffer(*match, /*isRounded=*/true, role), 0, at);
    Value made = tile::LoadOp::create(at, fragmentType({tokens, chunk}, element, role), from, UnitAttr());
    tile::StoreOp::create(at, made, open(), UnitAttr());
    return success();
  }
  Value scale;
  if (auto scaled = matchScaledColumns(value))
    std::tie(value, scale) = *scaled;
  auto inverse = value.getDefiningOp<chunk::InverseOp>();
  if (!inverse)
    return refuse(value.getLoc(), "a matrix of tokens that is neither a decayed product nor an inverse"), failure();
  Value factors = scale ? lanesBuffer(scale, role) : Value();
  Value matrixValue = !scale || factors ? matrix(inverse.getMatrix(), role) : Value();
  if (!matrixValue)
    return failure();
  invert(matrixValue, factors, open(), role);
  return success();
}

LogicalResult Scheduler::emitOutput(Value value, StringRef name) {
  if (isSquare(value))
    return emitSquare(value, name);
  bool isNumber = shapeOf(value).size() == 1;
  if (isNumber && !analysis.dependsOnArrays(value)) {
    tile::StoreTokensOp::create(gates->b, lanes(value), gates->b.getStringAttr(name), gates->time);
    return success();
  }
  Role &role = *roleOf(value);
  ImplicitLocOpBuilder &at = role.b;
  if (isNumber) {
    Value made = vector(value, role, /*alongRows=*/role.kind == RoleKind::Vector);
    if (made)
      tile::StoreTokensOp::create(at, made, at.getStringAttr(name), role.time);
    return success(bool(made));
  }
  Value wide = matrix(value, role);
  if (!wide)
    return failure();
  bool isOfFirst = value.getDefiningOp<chunk::LostOp>() != nullptr;
  Value staging = allocate({tokens, 64}, element, role.copies);
  ImplicitLocOpBuilder outer = at;
  if (role.inner)
    outer.setInsertionPoint(role.inner);
  Value copy = tile::CopyIndexOp::create(outer);
  Value buffer = role.copies > 1 ? tile::SlotOp::create(outer, staging, copy).getResult() : staging;
  Value narrow = arith::TruncFOp::create(at, cast<RankedTensorType>(wide.getType()).clone(element), wide);
  // Once for all steps of an iteration, before them: a barrier waits for all products.
  if (!role.inner || staged.empty()) {
    tile::DrainOp::create(outer, UnitAttr());
    tile::SyncOp::create(outer, UnitAttr());
  }
  auto store = tile::StoreOp::create(at, narrow, ownTokens(role, buffer), at.getUnitAttr());
  store.setInterleave(writes);
  if (role.inner) {
    staged.push_back({buffer, name, isOfFirst});
    return success();
  }
  tile::SyncOp::create(at, at.getUnitAttr());
  // A token's output is that of its last write.
  if (writes > 1)
    buffer = rowsOfWrite(at, buffer, writes - 1);
  writeBack(buffer, name, isOfFirst, role);
  return success();
}

/// `isOfFirst`: only what the first chunk has.
void Scheduler::writeBack(Value buffer, StringRef name, bool isOfFirst, Role &role) {
  ImplicitLocOpBuilder at = role.b;
  if (isOfFirst) {
    Value isFirst = arith::CmpIOp::create(at, arith::CmpIPredicate::eq, role.time, role.loop.getLowerBound());
    auto branch = scf::IfOp::create(at, isFirst, /*withElseRegion=*/false);
    at.setInsertionPoint(branch.thenBlock()->getTerminator());
  }
  tile::WriteBackOp::create(at, buffer, at.getStringAttr(name), role.time, firstFree(at));
}
