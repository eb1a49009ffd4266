//===- LowerDevice.cpp - Scalars of tokens, parameters and states in device memory -----------------------------===//

#include "Kernel.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

using arith::CmpIPredicate;

//===----------------------------------------------------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------------------------------------------------===//

static Value widen(RoleLowering &l, Value index) { return arith::ExtSIOp::create(l.b, l.b.getI64Type(), index); }

/// The address `index` elements (i64) further.
static Value elementAddress(RoleLowering &l, Value base, Value index, Type element) {
  return LLVM::GEPOp::create(l.b, base.getType(), element, base, ValueRange(index));
}

static Value loadElement(RoleLowering &l, Value address, Type element) {
  Value value = LLVM::LoadOp::create(l.b, element, address);
  return element.isF32() ? value : Value(arith::ExtFOp::create(l.b, l.b.getF32Type(), value));
}

static void storeElement(RoleLowering &l, Value value, Value address, Type element) {
  if (!element.isF32())
    value = arith::TruncFOp::create(l.b, element, value);
  LLVM::StoreOp::create(l.b, value, address);
}

/// Loads where `valid` holds, else gives 0 (and reads an element that is there). No condition: always valid.
static Value loadIf(RoleLowering &l, Value valid, Value base, Value index, Type element) {
  if (valid)
    index = l.select(valid, index, l.i64(0));
  Value value = loadElement(l, elementAddress(l, base, index, element), element);
  return valid ? l.select(valid, value, l.f32(0)) : value;
}

static Value both(RoleLowering &l, Value x, Value y) {
  return !x ? y : !y ? x : Value(arith::AndIOp::create(l.b, x, y));
}

/// Whether `index` is inside; null where it always is, because indices below `end` are.
static Value inside(RoleLowering &l, Value index, int64_t size, int64_t end, bool hasOffset) {
  if (!hasOffset && end <= size)
    return Value();
  return l.compare(CmpIPredicate::ult, index, l.i32(size));
}

/// The thread that writes an element of a vector of which several threads hold copies.
static Value isOwner(RoleLowering &l, Attribute layout) {
  if (isa<RowsAttr>(layout))
    return l.compare(CmpIPredicate::eq, l.inQuad, l.i32(0));
  if (isa<ColumnsAttr>(layout)) {
    Value isFirstCopy = l.copies > 1 ? l.compare(CmpIPredicate::eq, l.copy, l.i32(0)) : Value();
    return both(l, isFirstCopy, both(l, l.isFirstWarp(), l.compare(CmpIPredicate::eq, l.quad, l.i32(0))));
  }
  return l.isFirstWarp();
}

static LogicalResult checkVector(Operation *op, RankedTensorType type) {
  if (!isa_and_nonnull<RowsAttr, ColumnsAttr, LanesAttr>(type.getEncoding()) || !type.getElementType().isF32())
    return op->emitOpError("moves f32 vectors in lanes, rows or columns, not ") << type;
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult rondo::tile::lower(CountOp op, RoleLowering &l) {
  Value left = arith::SubIOp::create(l.b, l.kernel.tokens(), l.mul(l.getScalar(op.getChunk()), l.kernel.chunk));
  left = arith::MinSIOp::create(l.b, left, l.i32(l.kernel.chunk));
  left = arith::MaxSIOp::create(l.b, left, l.i32(0));
  l.set(op.getResult(), {l.kernel.writes > 1 ? l.mul(left, l.kernel.writes) : left});
  return success();
}

LogicalResult rondo::tile::lower(LoadTokensOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  const DeviceArray *array = l.kernel.find(op, op.getArray(), "token");
  if (!array || failed(checkVector(op, type)))
    return failure();
  if (!array->sizes.empty())
    return op.emitOpError("reads arrays without features, '") << array->name << "' has them: fetch it";
  Value first = l.mul(l.getScalar(op.getChunk()), l.kernel.chunk);
  Value last = l.add(l.kernel.tokens(), -1);
  Value base = l.kernel.base(*array), stride = l.kernel.stride(array->name, "T");
  Scalars result;
  for (Value position : l.indices(type, 0)) {
    if (l.kernel.writes > 1)
      position = l.shr(position, llvm::Log2_64(l.kernel.writes));
    Value token = arith::MinSIOp::create(l.b, l.add(first, position), last);
    Value index = arith::MulIOp::create(l.b, widen(l, token), stride);
    result.push_back(loadElement(l, elementAddress(l, base, index, array->element), array->element));
  }
  l.set(op.getResult(), std::move(result));
  return success();
}

LogicalResult rondo::tile::lower(LoadTotalOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  const DeviceArray *array = l.kernel.find(op, op.getArray(), "token");
  if (!array || failed(checkVector(op, type)))
    return failure();
  int64_t repeats = op.getPairs() ? 2 : 1;
  if (array->sizes.size() != 1)
    return op.emitOpError("reads a vector, '") << array->name << "' has none";
  Value first = l.mul(l.getScalar(op.getChunk()), l.kernel.chunk);
  first = arith::MinSIOp::create(l.b, first, l.add(l.kernel.tokens(), -1));
  Value base = l.kernel.base(*array);
  base = elementAddress(l, base, arith::MulIOp::create(l.b, widen(l, first), l.kernel.stride(array->name, "T")),
                        array->element);
  Scalars result;
  for (Value index : l.indices(type, 0)) {
    Value valid = inside(l, index, repeats * array->sizes[0], type.getShape()[0], false);
    result.push_back(loadIf(l, valid, base, widen(l, op.getPairs() ? l.shr(index, 1) : index), array->element));
  }
  l.set(op.getResult(), std::move(result));
  return success();
}

LogicalResult rondo::tile::lower(StoreTokensOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getValue().getType());
  const DeviceArray *array = l.kernel.find(op, op.getArray(), "output");
  if (!array || failed(checkVector(op, type)))
    return failure();
  if (!array->sizes.empty())
    return op.emitOpError("writes arrays without features, '") << array->name << "' has them: write it back";
  Value first = l.mul(l.getScalar(op.getChunk()), l.kernel.chunk);
  Value base = l.kernel.base(*array), stride = l.kernel.stride(array->name, "T");
  l.ifThen(isOwner(l, type.getEncoding()), [&] {
    for (auto [position, value] : llvm::zip_equal(l.indices(type, 0), l.get(op.getValue()))) {
      Value written = value, isLast;
      if (l.kernel.writes > 1) {
        Value write = l.bitAnd(position, l.kernel.writes - 1);
        isLast = l.compare(CmpIPredicate::eq, write, l.i32(l.kernel.writes - 1));
        position = l.shr(position, llvm::Log2_64(l.kernel.writes));
      }
      Value token = l.add(first, position);
      l.ifThen(both(l, isLast, l.compare(CmpIPredicate::slt, token, l.kernel.tokens())), [&] {
        Value index = arith::MulIOp::create(l.b, widen(l, token), stride);
        storeElement(l, written, elementAddress(l, base, index, array->element), array->element);
      });
    }
  });
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult rondo::tile::lower(LoadParameterOp op, RoleLowering &l) {
  const DeviceArray *array = l.kernel.find(op, op.getArray(), "param");
  if (!array)
    return failure();
  Value base = l.kernel.base(*array);
  auto type = dyn_cast<RankedTensorType>(op.getResult().getType());
  if (array->sizes.size() != (type ? 1 : 0))
    return op.emitOpError("gives a scalar for a parameter without sizes and a vector for one with one; '")
           << array->name << "' has " << array->sizes.size();
  if (!type) {
    l.set(op.getResult(), {loadElement(l, base, array->element)});
    return success();
  }
  bool isOctets = isa_and_nonnull<OctetsAttr>(type.getEncoding()) && type.getElementType().isF32();
  if (!isOctets && failed(checkVector(op, type)))
    return failure();
  Scalars result, indices = l.indices(type, isOctets ? 1 : 0);
  if (isOctets) // Two channels, the same for all tokens.
    indices.resize(2);
  for (Value index : indices) {
    if (op.getOffset())
      index = l.add(index, l.getScalar(op.getOffset()));
    Value valid = inside(l, index, array->sizes[0], type.getShape()[0], bool(op.getOffset()));
    result.push_back(loadIf(l, valid, base, widen(l, index), array->element));
  }
  for (int64_t u = 1; isOctets && u < type.getShape()[0] / 8; ++u)
    result.append({result[0], result[1]});
  l.set(op.getResult(), std::move(result));
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// Where an element of a value in registers is in the array of a state.
struct StateElement {
  /// i32; the number of elements between the first element of the state and this one.
  Value index;
  /// Whether it is there; null: it always is.
  Value valid;
};
} // namespace

/// For each scalar of a value: a state S[K, V] as the fragment of its transpose (or, by `rows`, as it is), n[K] in rows
/// layout, a scalar.
static FailureOr<SmallVector<StateElement>> placeState(Operation *op, Type type, const DeviceArray &array, Value offset,
                                                       bool byRows, RoleLowering &l) {
  if (array.sizes.empty() && type.isF32())
    return SmallVector<StateElement>{{l.i32(0), Value()}};
  auto tensor = dyn_cast<RankedTensorType>(type);
  Attribute layout = tensor && tensor.getElementType().isF32() ? tensor.getEncoding() : Attribute();
  bool isVector = array.sizes.size() == 1 && isa_and_nonnull<RowsAttr>(layout);
  if (!isVector && (array.sizes.size() != 2 || !isa_and_nonnull<FragmentAttr>(layout)))
    return op->emitOpError("holds a state of ")
           << array.sizes.size() << " sizes as an f32 fragment (a vector in rows layout, a scalar as f32), not as "
           << type;
  int64_t keys = array.sizes[0], rows = tensor.getShape()[0];
  SmallVector<StateElement> elements;
  if (isVector) {
    for (Value key : l.indices(tensor, 0)) {
      if (offset)
        key = l.add(key, offset);
      elements.push_back({key, inside(l, key, keys, rows, bool(offset))});
    }
    return elements;
  }
  int64_t columns = tensor.getShape()[1];
  for (auto [row, column] : llvm::zip_equal(l.indices(tensor, 0), l.indices(tensor, 1))) {
    int64_t width = array.sizes[1];
    Value along = offset ? l.add(row, offset) : row;
    Value valid = both(l, inside(l, along, byRows ? keys : width, rows, bool(offset)),
                       inside(l, column, byRows ? width : keys, columns, false));
    Value index = byRows ? l.add(l.mul(along, width), column) : l.add(l.mul(column, width), along);
    elements.push_back({index, valid});
  }
  return elements;
}

/// Whether the caller gave the array.
static Value isGiven(RoleLowering &l, Value pointer) {
  Value null = LLVM::ZeroOp::create(l.b, pointer.getType());
  return LLVM::ICmpOp::create(l.b, LLVM::ICmpPredicate::ne, pointer, null);
}

LogicalResult rondo::tile::lower(LoadStateOp op, RoleLowering &l) {
  const DeviceArray *array = l.kernel.find(op, op.getState(), "state");
  if (!array)
    return failure();
  Value offset = op.getOffset() ? l.getScalar(op.getOffset()) : Value();
  Value given = isGiven(l, l.kernel.pointer((array->name + ".initial").str()));
  Value base = l.kernel.base(*array, ".initial");
  FailureOr<SmallVector<StateElement>> elements =
      placeState(op, op.getResult().getType(), *array, offset, op.getRows(), l);
  if (failed(elements))
    return failure();
  auto branch = scf::IfOp::create(l.b, SmallVector<Type>(elements->size(), l.b.getF32Type()), given, /*withElse=*/true);
  {
    OpBuilder::InsertionGuard guard(l.b);
    Scalars loaded, initial;
    l.b.setInsertionPointToStart(branch.thenBlock());
    for (auto [index, valid] : *elements)
      loaded.push_back(loadIf(l, valid, base, widen(l, index), array->element));
    scf::YieldOp::create(l.b, loaded);
    l.b.setInsertionPointToStart(branch.elseBlock());
    Value init = l.f32(op.getInit().convertToDouble());
    // What lies beyond the sizes is 0 whatever the state begins with.
    for (auto [index, valid] : *elements)
      initial.push_back(valid && !op.getInit().isZero() ? l.select(valid, init, l.f32(0)) : init);
    scf::YieldOp::create(l.b, initial);
  }
  l.set(op.getResult(), Scalars(branch.getResults()));
  return success();
}

LogicalResult rondo::tile::lower(StoreStateOp op, RoleLowering &l) {
  const DeviceArray *array = l.kernel.find(op, op.getState(), "state");
  if (!array)
    return failure();
  Value offset = op.getOffset() ? l.getScalar(op.getOffset()) : Value();
  Value base = l.kernel.base(*array, ".final");
  Value given = isGiven(l, l.kernel.pointer((array->name + ".final").str()));
  if (array->sizes.empty())
    given = both(l, given, l.isFirstThread());
  if (array->sizes.size() == 1)
    given = both(l, given, isOwner(l, tile::RowsAttr::get(op.getContext(), l.warps)));
  LogicalResult done = success();
  l.ifThen(given, [&] {
    FailureOr<SmallVector<StateElement>> elements =
        placeState(op, op.getValue().getType(), *array, offset, op.getRows(), l);
    if (failed(elements)) {
      done = failure();
      return;
    }
    for (auto [element, value] : llvm::zip_equal(*elements, l.get(op.getValue()))) {
      Value index = element.index, written = value;
      auto write = [&] {
        storeElement(l, written, elementAddress(l, base, widen(l, index), array->element), array->element);
      };
      if (element.valid)
        l.ifThen(element.valid, write);
      else
        write();
    }
  });
  return done;
}
