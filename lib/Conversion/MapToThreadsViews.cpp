//===- MapToThreadsViews.cpp - Where the elements of a buffer lie -----------------------------------------------===//

#include "MapToThreads.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace rondo::threads;

static void addTerm(View &view, OpFoldResult index, int64_t factor) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    view.offset += *constant * factor;
  else
    view.terms.push_back({cast<Value>(index), factor});
}

static FailureOr<View> resolveView(memref::ViewOp op) {
  MemRefType type = op.getType();
  std::optional<int64_t> shift = getConstantIntValue(op.getByteShift());
  if (!type.hasStaticShape() || !shift)
    return op.emitError("a buffer in scratch needs a static size and place");
  if (!type.getElementType().isF32())
    return op.emitError("scratch of type ") << type.getElementType() << " has no place on a GPU; it must be f32";
  View view;
  view.isScratch = true;
  view.base = op.getSource();
  view.element = type.getElementType();
  view.offset = view.begin = *shift / 4;
  view.end = view.begin + type.getNumElements();
  view.strides.assign(type.getRank(), 1);
  for (int64_t i = type.getRank() - 1; i > 0; --i)
    view.strides[i - 1] = view.strides[i] * type.getDimSize(i);
  for (int64_t size : type.getShape())
    view.sizes.push_back(Builder(op.getContext()).getIndexAttr(size));
  return view;
}

static FailureOr<View> resolveSubView(memref::SubViewOp op, View source) {
  View view = source;
  view.sizes.clear();
  view.strides.clear();
  view.positions.clear();
  llvm::SmallBitVector dropped = op.getDroppedDims();
  SmallVector<OpFoldResult> offsets = op.getMixedOffsets(), sizes = op.getMixedSizes(), steps = op.getMixedStrides();
  for (unsigned i = 0; i < offsets.size(); ++i) {
    std::optional<int64_t> step = getConstantIntValue(steps[i]);
    if (!step || (!view.isScratch && *step != 1))
      return op.emitError("a part of an array needs constant steps (1 in an argument)");
    if (view.isScratch)
      addTerm(view, offsets[i], source.strides[i]);
    else if (isConstantIntValue(view.indices[source.positions[i]], 0))
      view.indices[source.positions[i]] = offsets[i];
    else if (!isConstantIntValue(offsets[i], 0))
      return op.emitError("a part of a part of an argument has no index of its own");
    if (dropped[i])
      continue;
    view.sizes.push_back(sizes[i]);
    if (view.isScratch)
      view.strides.push_back(source.strides[i] * *step);
    else
      view.positions.push_back(source.positions[i]);
  }
  return view;
}

/// Sizes and strides after dimensions were merged or split; `groups` are the dimensions of the larger rank.
static FailureOr<View> reshape(Operation *op, View view, ArrayRef<ReassociationIndices> groups, MemRefType type,
                               bool collapses) {
  SmallVector<int64_t> strides;
  for (auto [i, group] : llvm::enumerate(groups)) {
    if (collapses) {
      // Only dimensions that follow each other in memory become one.
      int64_t stride = view.strides[group.back()], next = stride;
      for (int64_t k : llvm::reverse(group)) {
        int64_t size = *getConstantIntValue(view.sizes[k]);
        if (size != 1 && view.strides[k] != next)
          return op->emitError("merges dimensions that do not follow each other in memory");
        next *= size;
      }
      strides.push_back(stride);
      continue;
    }
    SmallVector<int64_t> inner(group.size());
    int64_t stride = view.strides[i];
    for (int64_t k = group.size() - 1; k >= 0; --k) {
      inner[k] = stride;
      stride *= type.getDimSize(group[k]);
    }
    llvm::append_range(strides, inner);
  }
  view.strides = strides;
  view.sizes.clear();
  for (int64_t size : type.getShape())
    view.sizes.push_back(Builder(op->getContext()).getIndexAttr(size));
  return view;
}

FailureOr<View> rondo::threads::resolve(Value memref, Operation *user) {
  auto type = cast<MemRefType>(memref.getType());
  if (auto argument = dyn_cast<BlockArgument>(memref)) {
    if (!isa<func::FuncOp>(argument.getOwner()->getParentOp()))
      return user->emitError("uses a buffer that a loop carries; such buffers cannot be followed");
    View view;
    view.base = memref;
    view.element = type.getElementType();
    Builder b(memref.getContext());
    for (int64_t i = 0; i < type.getRank(); ++i) {
      view.indices.push_back(b.getIndexAttr(0));
      view.sizes.push_back(b.getIndexAttr(type.getDimSize(i)));
      view.positions.push_back(i);
    }
    return view;
  }
  Operation *def = memref.getDefiningOp();
  if (auto view = dyn_cast<memref::ViewOp>(def))
    return resolveView(view);
  if (!isa<memref::SubViewOp, memref::CollapseShapeOp, memref::ExpandShapeOp, memref::CastOp>(def))
    return user->emitError("uses a buffer made by '") << def->getName() << "', which cannot be followed";
  FailureOr<View> source = resolve(def->getOperand(0), user);
  if (failed(source) || isa<memref::CastOp>(def))
    return source;
  if (auto subview = dyn_cast<memref::SubViewOp>(def))
    return resolveSubView(subview, *source);
  bool isStatic = type.hasStaticShape() && cast<MemRefType>(def->getOperand(0).getType()).hasStaticShape();
  if (!source->isScratch || !isStatic)
    return def->emitError("only buffers of static size in scratch change their number of dimensions");
  if (auto collapse = dyn_cast<memref::CollapseShapeOp>(def))
    return reshape(def, *source, collapse.getReassociationIndices(), type, /*collapses=*/true);
  return reshape(def, *source, cast<memref::ExpandShapeOp>(def).getReassociationIndices(), type, /*collapses=*/false);
}
