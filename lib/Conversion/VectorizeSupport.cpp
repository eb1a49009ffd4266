//===- VectorizeSupport.cpp - Shared pieces of rondo-vectorize --------------------------------------------------===//

#include "VectorizeSupport.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace rondo::vectorize;

//===----------------------------------------------------------------------------------------------------------------===//
// Index arithmetic and loops
//===----------------------------------------------------------------------------------------------------------------===//

Value rondo::vectorize::indexConstant(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value rondo::vectorize::addIndex(OpBuilder &b, Location loc, Value x, Value y) {
  return b.createOrFold<arith::AddIOp>(loc, x, y);
}

Value rondo::vectorize::addIndex(OpBuilder &b, Location loc, Value x, int64_t y) {
  return y == 0 ? x : addIndex(b, loc, x, indexConstant(b, loc, y));
}

Value rondo::vectorize::mulIndex(OpBuilder &b, Location loc, Value x, Value y) {
  return b.createOrFold<arith::MulIOp>(loc, x, y);
}

Value rondo::vectorize::mulIndex(OpBuilder &b, Location loc, Value x, int64_t y) {
  return y == 1 ? x : mulIndex(b, loc, x, indexConstant(b, loc, y));
}

SmallVector<Value> rondo::vectorize::emitLoop(OpBuilder &b, Location loc, Value lower, Value upper, int64_t step,
                                              ValueRange carried, LoopBody body) {
  std::optional<int64_t> first = getConstantIntValue(lower), end = getConstantIntValue(upper);
  if (first && end && *end <= *first)
    return carried;
  if (first && end && *end - *first <= step)
    return body(b, lower, carried);
  auto loop = scf::ForOp::create(b, loc, lower, upper, indexConstant(b, loc, step), carried,
                                 [&](OpBuilder &inner, Location, Value iv, ValueRange values) {
                                   scf::YieldOp::create(inner, loc, body(inner, iv, values));
                                 });
  return loop.getResults();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------------------------------------------------===//

Value rondo::vectorize::splat(OpBuilder &b, Location loc, TypedAttr value, int64_t lanes) {
  auto type = VectorType::get({lanes}, value.getType());
  return arith::ConstantOp::create(b, loc, type, DenseElementsAttr::get(type, Attribute(value)));
}

Value rondo::vectorize::broadcast(OpBuilder &b, Location loc, Value value, int64_t lanes) {
  TypedAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return splat(b, loc, constant, lanes);
  return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, value.getType()), value);
}

Value rondo::vectorize::emitMask(OpBuilder &b, Location loc, Value count, int64_t lanes) {
  auto type = VectorType::get({lanes}, b.getI1Type());
  if (std::optional<int64_t> constant = getConstantIntValue(count))
    return vector::ConstantMaskOp::create(b, loc, type, ArrayRef<int64_t>{std::min(*constant, lanes)});
  return vector::CreateMaskOp::create(b, loc, type, ValueRange{count});
}

//===----------------------------------------------------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------------------------------------------------===//

Operand::Operand(OpBuilder &b, Location loc, Value memref, AffineMap map) {
  strides.assign(map.getNumDims(), b.getIndexAttr(0));
  used.assign(map.getNumDims(), false);
  auto type = dyn_cast<MemRefType>(memref.getType());
  if (!type) {
    flat = memref;
    element = memref.getType();
    return;
  }
  element = type.getElementType();
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, memref);
  offset = metadata.getConstifiedMixedOffset();
  SmallVector<OpFoldResult> memrefStrides = metadata.getConstifiedMixedStrides();
  SmallVector<OpFoldResult> sizes = metadata.getConstifiedMixedSizes();

  // One past the last element that can be reached from the view's first one.
  Value extent = indexConstant(b, loc, 1);
  for (auto [size, stride] : llvm::zip_equal(sizes, memrefStrides)) {
    Value last = addIndex(b, loc, getValueOrCreateConstantIndexOp(b, loc, size), -1);
    extent = addIndex(b, loc, extent, mulIndex(b, loc, last, getValueOrCreateConstantIndexOp(b, loc, stride)));
  }
  extent = addIndex(b, loc, extent, getValueOrCreateConstantIndexOp(b, loc, offset));
  auto flatType = MemRefType::get({ShapedType::kDynamic}, element, MemRefLayoutAttrInterface(), type.getMemorySpace());
  flat = memref::ReinterpretCastOp::create(b, loc, flatType, metadata.getBaseBuffer(), b.getIndexAttr(0),
                                           SmallVector<OpFoldResult>{extent},
                                           SmallVector<OpFoldResult>{b.getIndexAttr(1)});
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    unsigned loop = cast<AffineDimExpr>(expr).getPosition();
    strides[loop] = memrefStrides[position];
    used[loop] = true;
  }
}

Value Operand::stride(OpBuilder &b, Location loc, unsigned loop) const {
  return getValueOrCreateConstantIndexOp(b, loc, strides[loop]);
}

Value Operand::address(OpBuilder &b, Location loc, ArrayRef<Value> loops) const {
  if (!isa<MemRefType>(flat.getType()))
    return {};
  Value sum = getValueOrCreateConstantIndexOp(b, loc, offset);
  for (auto [loop, iv] : llvm::enumerate(loops))
    if (iv && used[loop])
      sum = addIndex(b, loc, sum, mulIndex(b, loc, iv, stride(b, loc, loop)));
  return sum;
}

Value Operand::load(OpBuilder &b, Location loc, Value address, int64_t lanes, Value mask) const {
  if (!isa<MemRefType>(flat.getType()))
    return flat;
  if (lanes == 0)
    return memref::LoadOp::create(b, loc, flat, address);
  auto type = VectorType::get({lanes}, element);
  if (!mask)
    return vector::LoadOp::create(b, loc, type, flat, ValueRange{address});
  Value zero = splat(b, loc, b.getZeroAttr(element), lanes);
  return vector::MaskedLoadOp::create(b, loc, type, flat, ValueRange{address}, mask, zero);
}

void Operand::store(OpBuilder &b, Location loc, Value value, Value address, Value mask) const {
  if (!isa<VectorType>(value.getType()))
    memref::StoreOp::create(b, loc, value, flat, address);
  else if (!mask)
    vector::StoreOp::create(b, loc, value, flat, ValueRange{address});
  else
    vector::MaskedStoreOp::create(b, loc, flat, ValueRange{address}, mask, value);
}

Value Operand::gather(OpBuilder &b, Location loc, Value address, unsigned loop, int64_t lanes, Value count) const {
  Value step = stride(b, loc, loop);
  Value last = count ? addIndex(b, loc, count, -1) : Value();
  SmallVector<Value> elements;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    Value position = indexConstant(b, loc, lane);
    if (last)
      position = b.createOrFold<arith::MinSIOp>(loc, position, last);
    Value at = addIndex(b, loc, address, mulIndex(b, loc, position, step));
    elements.push_back(memref::LoadOp::create(b, loc, flat, at));
  }
  return vector::FromElementsOp::create(b, loc, VectorType::get({lanes}, element), elements);
}

void Operand::scatter(OpBuilder &b, Location loc, Value value, Value address, unsigned loop, Value count) const {
  int64_t lanes = cast<VectorType>(value.getType()).getDimSize(0);
  Value step = stride(b, loc, loop);
  auto storeLane = [&](OpBuilder &inner, int64_t lane) {
    Value at = addIndex(inner, loc, address, mulIndex(inner, loc, step, lane));
    memref::StoreOp::create(inner, loc, vector::ExtractOp::create(inner, loc, value, lane), flat, at);
  };
  std::optional<int64_t> known = count ? getConstantIntValue(count) : lanes;
  if (known) {
    for (int64_t lane = 0; lane < std::min(lanes, *known); ++lane)
      storeLane(b, lane);
    return;
  }
  scf::ForOp::create(b, loc, indexConstant(b, loc, 0), count, indexConstant(b, loc, 1), ValueRange{},
                     [&](OpBuilder &inner, Location, Value lane, ValueRange) {
                       Value at = addIndex(inner, loc, address, mulIndex(inner, loc, lane, step));
                       Value scalar = vector::ExtractOp::create(inner, loc, value, OpFoldResult(lane));
                       memref::StoreOp::create(inner, loc, scalar, flat, at);
                       scf::YieldOp::create(inner, loc);
                     });
}

SmallVector<Value> rondo::vectorize::loopExtents(OpBuilder &b, linalg::LinalgOp op) {
  SmallVector<Value> extents(op.getNumLoops());
  // A static size is taken wherever an operand has one.
  for (bool wantStatic : {true, false})
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      for (auto [position, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
        unsigned loop = cast<AffineDimExpr>(expr).getPosition();
        if (extents[loop] || (wantStatic && type.isDynamicDim(position)))
          continue;
        extents[loop] = type.isDynamicDim(position)
                            ? memref::DimOp::create(b, op.getLoc(), operand.get(), position).getResult()
                            : indexConstant(b, op.getLoc(), type.getDimSize(position));
      }
    }
  return extents;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Fills
//===----------------------------------------------------------------------------------------------------------------===//

/// The allocation or argument that a buffer is part of, and the last `memref.view` on the way there.
static std::pair<Value, memref::ViewOp> traceBuffer(Value buffer) {
  memref::ViewOp last;
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>()) {
    if (auto bytes = dyn_cast<memref::ViewOp>(view.getOperation()))
      last = bytes;
    buffer = view.getViewSource();
  }
  return {buffer, last};
}

static std::optional<std::pair<int64_t, int64_t>> byteRange(memref::ViewOp view) {
  if (!view || !view.getType().hasStaticShape())
    return std::nullopt;
  std::optional<int64_t> first = getConstantIntValue(view.getByteShift());
  if (!first)
    return std::nullopt;
  int64_t bytes = view.getType().getNumElements() * llvm::divideCeil(view.getType().getElementTypeBitWidth(), 8);
  return std::make_pair(*first, *first + bytes);
}

/// Whether two buffers may share memory: not when they are different local allocations (or one is an argument), nor
/// when they are separate parts of one.
static bool mayAlias(Value x, Value y) {
  auto [xRoot, xView] = traceBuffer(x);
  auto [yRoot, yView] = traceBuffer(y);
  if (xRoot == yRoot) {
    auto xBytes = byteRange(xView), yBytes = byteRange(yView);
    return !xBytes || !yBytes || (xBytes->first < yBytes->second && yBytes->first < xBytes->second);
  }
  auto isLocal = [](Value v) { return v.getDefiningOp<memref::AllocOp>() || v.getDefiningOp<memref::AllocaOp>(); };
  auto isKnown = [&](Value v) { return isLocal(v) || isa<BlockArgument>(v); };
  return !isKnown(xRoot) || !isKnown(yRoot) || (!isLocal(xRoot) && !isLocal(yRoot));
}

linalg::FillOp rondo::vectorize::findZeroFill(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1)
    return {};
  Value buffer = op.getDpsInits()[0];
  for (Operation *previous = op->getPrevNode(); previous; previous = previous->getPrevNode()) {
    if (auto fill = dyn_cast<linalg::FillOp>(previous); fill && fill.getOutputs()[0] == buffer)
      return matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) ? fill : linalg::FillOp();
    if (isMemoryEffectFree(previous) || isa<memref::AllocOp, memref::AllocaOp>(previous))
      continue;
    if (!isa<linalg::LinalgOp>(previous) || llvm::any_of(previous->getOperands(), [&](Value operand) {
          return isa<MemRefType>(operand.getType()) && mayAlias(operand, buffer);
        }))
      return {};
  }
  return {};
}
