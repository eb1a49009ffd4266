//===- LowerChunk.cpp - Tensor programs that become in-place loops ----------------------------------------------===//

#include "LowerChunk.h"

using namespace mlir;
using namespace rondo;

using Values = TensorBuilder::Values;

ArrayRef<int64_t> TensorBuilder::shapeOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getShape(); }

Value TensorBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }

Value TensorBuilder::number(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(static_cast<float>(value)));
}

Value TensorBuilder::add(Value lhs, int64_t rhs) { return arith::AddIOp::create(*this, lhs, index(rhs)); }

Span TensorBuilder::multiple(Span span, int64_t count) {
  auto times = [&](OpFoldResult number) -> OpFoldResult {
    if (auto constant = getConstantIntValue(number))
      return getIndexAttr(*constant * count);
    return count == 1 ? number : arith::MulIOp::create(*this, cast<Value>(number), index(count)).getResult();
  };
  return {times(span.from), times(span.size)};
}

Value TensorBuilder::empty(ArrayRef<int64_t> shape) { return tensor::EmptyOp::create(*this, shape, getF32Type()); }

Value TensorBuilder::filled(ArrayRef<int64_t> shape, double value) { return fill(empty(shape), value); }

Value TensorBuilder::fill(Value tensor, double value) {
  return linalg::FillOp::create(*this, number(value), tensor).getResult(0);
}

Value TensorBuilder::fillRowsFrom(Value tensor, Value from, double value) {
  // Row by row, so that every part has a static size (a copy, where bufferization needs one, is of the whole tensor).
  return loop(from, index(shapeOf(tensor)[0]), 1, tensor, [&](Value t, ValueRange values) -> Values {
    if (shapeOf(tensor).size() == 1)
      return {setElement(values[0], t, number(value))};
    return {setRow(values[0], {t}, fill(row(values[0], {t}), value))};
  })[0];
}

//===----------------------------------------------------------------------------------------------------------------===//
// Parts of a tensor
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// The operands of an extract_slice or insert_slice, and the type of the part.
struct Part {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  RankedTensorType type;

  static OpFoldResult constantOrValue(OpFoldResult number) {
    auto value = dyn_cast<Value>(number);
    return value ? getAsOpFoldResult(value) : number;
  }

  /// With `drop`, the axes that `spans` name are no axes of the part.
  Part(OpBuilder &builder, Value tensor, ArrayRef<Span> spans, bool drop) {
    auto whole = cast<RankedTensorType>(tensor.getType());
    strides.assign(whole.getRank(), builder.getIndexAttr(1));
    for (const Span &span : spans) {
      offsets.push_back(constantOrValue(span.from));
      sizes.push_back(constantOrValue(span.size));
    }
    for (int64_t size : whole.getShape().drop_front(spans.size())) {
      offsets.push_back(builder.getIndexAttr(0));
      sizes.push_back(builder.getIndexAttr(size));
    }
    SmallVector<int64_t> shape;
    for (OpFoldResult size : ArrayRef(sizes).drop_front(drop ? spans.size() : 0))
      shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
    type = RankedTensorType::get(shape, whole.getElementType());
  }
};
} // namespace

Value TensorBuilder::slice(Value tensor, ArrayRef<Span> spans) {
  Part part(*this, tensor, spans, /*drop=*/false);
  return tensor::ExtractSliceOp::create(*this, part.type, tensor, part.offsets, part.sizes, part.strides);
}

Value TensorBuilder::setSlice(Value tensor, ArrayRef<Span> spans, Value value) {
  Part part(*this, tensor, spans, /*drop=*/false);
  return tensor::InsertSliceOp::create(*this, value, tensor, part.offsets, part.sizes, part.strides);
}

static SmallVector<Span> single(OpBuilder &builder, ArrayRef<OpFoldResult> at) {
  return llvm::map_to_vector(at, [&](OpFoldResult position) { return Span{position, builder.getIndexAttr(1)}; });
}

Value TensorBuilder::row(Value tensor, ArrayRef<OpFoldResult> at) {
  Part part(*this, tensor, single(*this, at), /*drop=*/true);
  return tensor::ExtractSliceOp::create(*this, part.type, tensor, part.offsets, part.sizes, part.strides);
}

Value TensorBuilder::setRow(Value tensor, ArrayRef<OpFoldResult> at, Value value) {
  return setSlice(tensor, single(*this, at), value);
}

/// The type of a column of `rows` elements.
static RankedTensorType columnType(Value tensor, Span rows) {
  int64_t size = getConstantIntValue(rows.size).value_or(ShapedType::kDynamic);
  return RankedTensorType::get(size, cast<RankedTensorType>(tensor.getType()).getElementType());
}

Value TensorBuilder::column(Value tensor, Span rows, Value at) {
  Part part(*this, tensor, {rows, {at, getIndexAttr(1)}}, /*drop=*/false);
  return tensor::ExtractSliceOp::create(*this, columnType(tensor, rows), tensor, part.offsets, part.sizes,
                                        part.strides);
}

Value TensorBuilder::setColumn(Value tensor, Span rows, Value at, Value value) {
  return setSlice(tensor, {rows, {at, getIndexAttr(1)}}, value);
}

Value TensorBuilder::alternate(Value tensor, int64_t count, int64_t offset) {
  Part part(*this, tensor, Span{getIndexAttr(offset), getIndexAttr(shapeOf(tensor)[0] / count)}, /*drop=*/false);
  part.strides[0] = getIndexAttr(count);
  return tensor::ExtractSliceOp::create(*this, part.type, tensor, part.offsets, part.sizes, part.strides);
}

Value TensorBuilder::setAlternate(Value tensor, int64_t count, int64_t offset, Value value) {
  Part part(*this, tensor, Span{getIndexAttr(offset), getIndexAttr(shapeOf(value)[0])}, /*drop=*/false);
  part.strides[0] = getIndexAttr(count);
  return tensor::InsertSliceOp::create(*this, value, tensor, part.offsets, part.sizes, part.strides);
}

Value TensorBuilder::element(Value tensor, ValueRange at) { return tensor::ExtractOp::create(*this, tensor, at); }

Value TensorBuilder::setElement(Value tensor, ValueRange at, Value value) {
  return tensor::InsertOp::create(*this, value, tensor, at);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------------------------------------------------===//

/// The map to the last `size` of `rank` dimensions.
static AffineMap lastDims(OpBuilder &b, unsigned rank, unsigned size) {
  AffineMap identity = b.getMultiDimIdentityMap(rank);
  return AffineMap::get(rank, 0, identity.getResults().take_back(size), b.getContext());
}

Values TensorBuilder::map(ValueRange ins, ValueRange outs, function_ref<Values(ValueRange)> body) {
  unsigned rank = shapeOf(outs.front()).size();
  SmallVector<AffineMap> maps;
  for (Value in : ins)
    maps.push_back(lastDims(*this, rank, shapeOf(in).size()));
  maps.append(outs.size(), getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      *this, outs.getTypes(), ins, outs, maps, iterators,
      [&](OpBuilder &, Location, ValueRange values) { linalg::YieldOp::create(*this, body(values)); });
  return Values(generic.getResults());
}

Value TensorBuilder::multiply(Value out, Value factor) {
  return map(factor, out,
             [&](ValueRange values) -> Values { return {arith::MulFOp::create(*this, values[1], values[0])}; })[0];
}

Value TensorBuilder::product(Value lhs, Value rhs, Value out) {
  return map({lhs, rhs}, out,
             [&](ValueRange values) -> Values { return {arith::MulFOp::create(*this, values[0], values[1])}; })[0];
}

Value TensorBuilder::multiplyRows(Value tensor, Value out) {
  unsigned rank = shapeOf(tensor).size();
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  iterators[0] = utils::IteratorType::reduction;
  return linalg::GenericOp::create(*this, out.getType(), tensor, out,
                                   {getMultiDimIdentityMap(rank), lastDims(*this, rank, rank - 1)}, iterators,
                                   [&](OpBuilder &, Location, ValueRange values) {
                                     Value next = arith::MulFOp::create(*this, values[1], values[0]);
                                     linalg::YieldOp::create(*this, next);
                                   })
      .getResult(0);
}

Value TensorBuilder::dotRows(Value lhs, Value rhs, Value out) {
  AffineMap rows = AffineMap::get(2, 0, getAffineDimExpr(0));
  return linalg::GenericOp::create(*this, out.getType(), {lhs, rhs}, out,
                                   {getMultiDimIdentityMap(2), lastDims(*this, 2, 1), rows},
                                   {utils::IteratorType::parallel, utils::IteratorType::reduction},
                                   [&](OpBuilder &, Location, ValueRange values) {
                                     Value term = arith::MulFOp::create(*this, values[0], values[1]);
                                     Value sum = arith::AddFOp::create(*this, values[2], term);
                                     linalg::YieldOp::create(*this, sum);
                                   })
      .getResult(0);
}

Value TensorBuilder::contract(Value lhs, Value rhs, Value out, bool transposed) {
  AffineExpr m, n, k;
  bindDims(getContext(), m, n, k);
  auto of = [&](AffineExpr rows, AffineExpr columns) { return AffineMap::get(3, 0, {rows, columns}, getContext()); };
  ArrayAttr maps = getAffineMapArrayAttr({of(m, k), transposed ? of(n, k) : of(k, n), of(m, n)});
  return linalg::ContractOp::create(*this, out.getType(), ValueRange{lhs, rhs}, out, maps).getResult(0);
}

Value TensorBuilder::contractTransposed(Value lhs, Value rhs, Value out) {
  AffineExpr m, n, k;
  bindDims(getContext(), m, n, k);
  auto of = [&](AffineExpr rows, AffineExpr columns) { return AffineMap::get(3, 0, {rows, columns}, getContext()); };
  ArrayAttr maps = getAffineMapArrayAttr({of(k, m), of(k, n), of(m, n)});
  return linalg::ContractOp::create(*this, out.getType(), ValueRange{lhs, rhs}, out, maps).getResult(0);
}

Values TensorBuilder::loop(Value from, Value to, int64_t step, ValueRange init,
                           function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, from, to, index(step), init);
  InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(*this, body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return Values(loop.getResults());
}
