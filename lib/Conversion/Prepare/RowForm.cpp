//===- RowForm.cpp - Values of tokens that one warp can make row by row -----------------------------------------===//

#include "RowForm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::prepare;

std::optional<Reduction> prepare::matchReduction(linalg::LinalgOp op) {
  SmallVector<utils::IteratorType> loops = op.getIteratorTypesArray();
  if (loops.empty() || loops.back() != utils::IteratorType::reduction || op->getNumResults() != 1 ||
      llvm::is_contained(ArrayRef(loops).drop_back(), utils::IteratorType::reduction))
    return std::nullopt;
  Block *body = op.getBlock();
  Value sum = body->getArguments().back();
  Operation *combiner = cast<linalg::YieldOp>(body->getTerminator()).getOperand(0).getDefiningOp();
  if (!isa_and_nonnull<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
                       arith::MinNumFOp>(combiner) ||
      !sum.hasOneUse() || !llvm::is_contained(combiner->getOperands(), sum))
    return std::nullopt;
  return Reduction{combiner, combiner->getOperand(combiner->getOperand(0) == sum ? 1 : 0)};
}

std::optional<Channels> prepare::matchChannels(OffsetSizeAndStrideOpInterface op, ArrayRef<int64_t> whole,
                                               ArrayRef<int64_t> part, bool isRow) {
  size_t rank = isRow ? 2 : 1;
  if (whole.size() != rank || part.size() != rank || op.getStaticOffsets().size() != rank)
    return std::nullopt;
  int64_t offset = op.getStaticOffsets().back(), step = op.getStaticStrides().back();
  if (isRow && (op.getStaticOffsets()[0] != 0 || op.getStaticStrides()[0] != 1 || whole[0] != part[0]))
    return std::nullopt;
  // A lane keeps its channels: others would have to be sent.
  if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(step) || part.back() * step != whole.back() ||
      offset < 0 || offset >= step)
    return std::nullopt;
  return Channels{offset, step};
}

bool RowForms::check(Value value, Kind kind) {
  auto key = std::make_pair(value, static_cast<unsigned>(kind));
  if (auto it = known.find(key); it != known.end())
    return it->second;
  bool result = compute(value, kind);
  return known[key] = result;
}

static bool isInRow(Operation &op) {
  return isa<linalg::YieldOp, linalg::IndexOp>(op) ||
         (op.getNumResults() == 1 && op.getNumRegions() == 0 &&
          isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op.getDialect()));
}

bool RowForms::compute(Value value, Kind kind) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  bool isRow = kind == Kind::Row;
  int64_t leading = isRow ? 1 : 0;
  if (!type || !type.getElementType().isF32() || type.getRank() < leading || type.getRank() > leading + 1 ||
      (type.getRank() == leading + 1 && type.getShape().back() % kLanes != 0))
    return false;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto scope = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
    if (!scope)
      return !isRow && isa<chunk::ScanOp>(argument.getOwner()->getParentOp());
    auto role = scope.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.role");
    return role && role.getValue() == (isRow ? "token" : "param");
  }
  Operation *op = value.getDefiningOp();
  if (isa<tensor::EmptyOp>(op))
    return true;
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return fill.getInputs()[0].getDefiningOp<arith::ConstantOp>() != nullptr;
  if (auto keep = dyn_cast<chunk::KeepRowsOp>(op))
    return isRow && check(keep.getOperand(), kind);
  if (auto scan = dyn_cast<chunk::ScanOp>(op)) {
    bool isStacked = cast<OpResult>(value).getResultNumber() < scan.getNumStackedResults();
    if (scan.getReverse() || isRow != isStacked || kind == Kind::Before)
      return false;
    auto all = [&](ValueRange values, Kind each) {
      return llvm::all_of(values, [&](Value x) { return check(x, each); });
    };
    return all(scan.getRows(), Kind::Row) && all(scan.getShared(), Kind::Before) &&
           all(scan.getStates(), Kind::Before) &&
           all(scan.getBody().front().getTerminator()->getOperands(), Kind::Before);
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return matchChannels(slice, slice.getSourceType().getShape(), type.getShape(), isRow) &&
           check(slice.getSource(), kind);
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return matchChannels(insert, type.getShape(), insert.getSourceType().getShape(), isRow) &&
           check(insert.getSource(), kind) && check(insert.getDest(), kind);

  auto structured = dyn_cast<linalg::LinalgOp>(op);
  if (!structured || op->getNumResults() != 1 || !isa<linalg::GenericOp, linalg::ContractOp>(op) ||
      !llvm::all_of(*structured.getBlock(), isInRow))
    return false;
  int64_t loops = structured.getNumLoops(), rank = type.getRank();
  bool reduces = structured.getNumReductionLoops() != 0;
  if (loops != rank + (reduces ? 1 : 0) || (reduces && (rank != leading || !matchReduction(structured))))
    return false;
  // Results along time and channels in order, operands along either or both.
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = structured.getMatchingIndexingMap(&operand);
    bool isResult = structured.isDpsInit(&operand);
    if (isResult && map != AffineMap::getMultiDimIdentityMap(loops, op->getContext()).getMajorSubMap(rank))
      return false;
    bool isUsed = !isResult || structured.payloadUsesValueFromOperand(&operand);
    SmallVector<int64_t> axes;
    for (AffineExpr expr : map.getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim)
        return false;
      axes.push_back(dim.getPosition());
    }
    if (!isUsed)
      continue;
    bool hasTime = isRow && !axes.empty() && axes.front() == 0;
    if (!llvm::is_sorted(axes) || llvm::is_contained(ArrayRef(axes).drop_front(axes.empty() ? 0 : 1), 0))
      return false;
    Kind from = hasTime ? Kind::Row : isRow ? Kind::Before : kind;
    if (!isa<RankedTensorType>(operand.get().getType()) ? !operand.get().getDefiningOp<arith::ConstantOp>()
                                                        : !check(operand.get(), from))
      return false;
  }
  return true;
}
