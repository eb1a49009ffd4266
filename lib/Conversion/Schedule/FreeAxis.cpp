//===- FreeAxis.cpp - Sums over the axis of a state that no product sums over -----------------------------------===//
//
// A norm or a softmax of what is read of a state sums over the state's free axis,
//
//   o_t = y_t / sqrt(mean(y_t y_t) + eps),   y_t = S_t^T q_t
//
// which runs along the rows of fragments, over all warps of all copies of the role: `tile.reduce ... over 0`. Its
// result is a vector along columns as those that other roles make, and the same in all warps. Columns of the state must
// not be dealt out to several thread blocks.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

/// The kind of a reduction, and what it begins with: no value changes when combined with that.
static std::optional<std::pair<tile::ReduceKind, double>> matchKind(Operation *combiner) {
  double infinity = std::numeric_limits<double>::infinity();
  if (isa<arith::AddFOp>(combiner))
    return std::make_pair(tile::ReduceKind::add, 0.0);
  if (isa<arith::MaximumFOp>(combiner))
    return std::make_pair(tile::ReduceKind::maximum, -infinity);
  if (isa<arith::MinimumFOp>(combiner))
    return std::make_pair(tile::ReduceKind::minimum, infinity);
  return std::nullopt;
}

/// A warp may still read the buffer of a reduction when another one is at the next: two in a row have different ones.
/// The first of an iteration takes its own two in turn, so that it differs from the last of the iteration before even
/// where it is the only one.
Value Scheduler::exchangeBuffer(int64_t columns, bool isInStep, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  Role::Exchange &exchange = role.exchanges[columns];
  SmallVector<int64_t> shape{role.warps * role.copies, columns};
  if (int64_t number = exchange.uses++; number > 0) {
    Value &buffer = exchange.others[number % 2];
    return buffer ? buffer : buffer = allocate(shape, at.getF32Type(), 1);
  }
  exchange.ring = allocate(shape, at.getF32Type(), 2);
  Value time = role.time;
  if (isInStep) {
    time = arith::MulIOp::create(at, time, arith::ConstantIndexOp::create(at, steps));
    time = arith::AddIOp::create(at, time, role.part);
  }
  return tile::SlotOp::create(at, exchange.ring, time);
}

Value Scheduler::keepFree(Value value, int64_t count, double other, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  auto type = cast<RankedTensorType>(value.getType()), index = cast<RankedTensorType>(type.clone(at.getI32Type()));
  Value first = arith::IndexCastOp::create(at, at.getI32Type(), firstFree(at));
  Value end = arith::SubIOp::create(at, arith::ConstantOp::create(at, at.getI32IntegerAttr(count)), first);
  Value row = tile::IotaOp::create(at, index, at.getI64IntegerAttr(0));
  Value inside = arith::CmpIOp::create(at, arith::CmpIPredicate::slt, row, spread(end, index, at));
  Value rest = arith::ConstantOp::create(at, DenseElementsAttr::get(cast<ShapedType>(type), at.getF32FloatAttr(other)));
  return arith::SelectOp::create(at, inside, value, rest);
}

Value Scheduler::makeReduction(linalg::LinalgOp op, RankedTensorType type, Role &role) {
  ImplicitLocOpBuilder &at = role.b;
  std::optional<prepare::Reduction> reduction = prepare::matchReduction(op);
  auto kind = reduction ? matchKind(reduction->combiner) : std::nullopt;
  if (!kind || op.getNumLoops() != 2)
    return refuse(op.getLoc(), "a reduction that is no sum, maximum or minimum over one axis");
  SmallVector<Value> operands(op.getDpsInputs());
  for (auto [operand, map] : llvm::zip(operands, op.getIndexingMapsArray()))
    if (map.isIdentity() && analysis.dependsOnArrays(operand) && rowAxis(operand, role) != 1)
      return refuse(op.getLoc(), "a sum over the axis of a state that products sum over");
  if (blocks > 1)
    return refuse(op.getLoc(), "a sum over columns of a state that several thread blocks have");
  auto wide = fragmentType({64, type.getShape()[0]}, at.getF32Type(), role);
  SmallVector<Value> arguments = bodyArguments(op, operands, /*row=*/1, wide, role);
  if (arguments.empty())
    return {};
  Block &body = *op.getBlock();
  arguments.resize(body.getNumArguments());
  Value terms = cloneBody(body, reduction->term, arguments, wide, role, /*rowAxis=*/1);
  if (!terms)
    return {};
  SmallVector<int64_t> loops = op.getStaticLoopRanges();
  if (loops[1] % 64)
    terms = keepFree(terms, loops[1], kind->second, role);
  bool isInStep = steps > 1 && role.part;
  Value buffer = exchangeBuffer(type.getShape()[0], isInStep, role);
  Value result = tile::ReduceOp::create(at, type, terms, at.getI64IntegerAttr(0),
                                        tile::ReduceKindAttr::get(at.getContext(), kind->first), buffer);
  Value begin = op.getDpsInits()[0];
  FloatAttr number;
  if (auto fill = begin.getDefiningOp<linalg::FillOp>();
      fill && matchPattern(fill.getInputs()[0], m_Constant(&number)) && number.getValueAsDouble() == kind->second)
    return result;
  Value before = vector(begin, role, /*alongRows=*/false);
  if (!before)
    return {};
  OperationState state(op.getLoc(), reduction->combiner->getName());
  state.addOperands({before, result});
  state.addTypes(type);
  state.addAttributes(reduction->combiner->getAttrs());
  state.propertiesAttr = reduction->combiner->getPropertiesAsAttribute();
  return at.create(state)->getResult(0);
}
