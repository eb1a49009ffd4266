//===- LowerTransfer.cpp - Between registers and shared memory, and between layouts ----------------------------===//

#include "Kernel.h"
#include "rondo/Dialect/Tile/Layouts.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

//===----------------------------------------------------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------------------------------------------------===//

Scalars RoleLowering::indices(RankedTensorType type, int64_t dimension) {
  Scalars result;
  int64_t count = getScalarsPerThread(type) * (isPacked(type) ? 2 : 1);
  for (int64_t i = 0; i < count; ++i) {
    Value index = llvm::TypeSwitch<Attribute, Value>(type.getEncoding())
                      .Case([&](FragmentAttr) { return layouts::fragmentIndex(*this, i, dimension); })
                      .Case([&](ColumnsAttr) { return layouts::columnsIndex(*this, i); })
                      .Case([&](RowsAttr rows) { return layouts::rowsIndex(*this, i, rows.getWarps()); })
                      .Case([&](LanesAttr) { return layouts::lanesIndex(*this, i, count); })
                      .Case([&](OctetsAttr) { return layouts::octetsIndex(*this, i, dimension); })
                      .Case([&](OctetRowsAttr) { return layouts::octetRowsIndex(*this, i); })
                      .Default([](Attribute) { return Value(); });
    if (!index)
      return {};
    result.push_back(index);
  }
  return result;
}

Value RoleLowering::matrixAddress(Value buffer, SharedType type, Value row, int64_t unit, Value bit) {
  Value address = gep(buffer, layouts::matrixOffset(*this, row, unit, bit));
  return gep(address, unit / 8 * type.getBlockBytes());
}

//===----------------------------------------------------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// The addresses of the four 8x8 matrices, one register each, of 16 columns of a fragment: rows 16w .. 16w+15 of this
/// warp, columns 16k .. 16k+15; in register order: rows 0-7 and 8-15 of the left eight columns, then of the right.
class FragmentAddresses {
public:
  FragmentAddresses(RoleLowering &l, Value of, SharedType type, bool transposed, int64_t interleave, int64_t rows)
      : l(l), type(type), transposed(transposed), interleave(interleave), rows(rows) {
    std::tie(buffer, firstUnit) = l.getRows(of);
    if (interleave > 1) {
      // Where rows of the fragment are columns of the tile, the matrices in the middle change places.
      Value inMatrix = l.bitAnd(l.lane, 7), low = layouts::matrixIsLow(l);
      right = layouts::matrixIsRight(l);
      if (transposed) {
        row = l.add(l.shl(right, 3), inMatrix);
        right = l.add(l.shl(l.bitAnd(l.warp, 3), 1), low);
        if (type.getSlotShape()[1] > 64)
          this->buffer = l.gep(buffer, l.mul(l.shr(l.warp, 2), type.getBlockBytes()));
      } else {
        row = layouts::matrixRow(l);
      }
      return;
    }
    if (!transposed) {
      row = layouts::matrixRow(l);
      right = layouts::matrixIsRight(l);
      return;
    }
    first = l.gep(buffer, layouts::transposedOffset(l));
    if (type.getSlotShape()[1] > 64)
      first = l.gep(first, l.mul(l.shr(l.warp, 2), type.getBlockBytes()));
  }

  Value operator[](int64_t k) {
    if (interleave > 1) {
      Value place = getInterleaved(transposed ? l.add(row, 16 * k) : row);
      int64_t unit = transposed ? 0 : 2 * k;
      Value inRow = l.bitXor(l.add(right, unit % 8), l.bitAnd(place, 7));
      return l.gep(l.gep(buffer, l.add(l.shl(place, 7), l.shl(inRow, 4))), unit / 8 * type.getBlockBytes());
    }
    return transposed ? l.gep(first, k * layouts::kTransposedStep)
                      : l.matrixAddress(buffer, type, row, firstUnit + 2 * k, right);
  }

private:
  /// The row of the tile that is row `row` of the value.
  Value getInterleaved(Value row) {
    Value inGroup = l.shr(row, llvm::Log2_64(interleave));
    if (type.getShape()[0] != rows) // one group for all
      return inGroup;
    return l.add(l.mul(l.bitAnd(row, interleave - 1), rows / interleave), inGroup);
  }

  RoleLowering &l;
  Value buffer;
  SharedType type;
  bool transposed;
  int64_t interleave, rows;
  int64_t firstUnit = 0;
  Value right, row, first;
};
} // namespace

static Value octetAddress(RoleLowering &l, Value buffer, int64_t row) {
  return l.gep(l.gep(buffer, layouts::octetOffset(l, row)), row * layouts::kRowBytes);
}

/// The address of two neighbours in a row of a plain `RxC` buffer: row r (0, 1) of column group n of this thread. Rows
/// that are 8 longer than a multiple of 32 have no bank conflicts.
static Value plainAddress(RoleLowering &l, Value buffer, SharedType type, int64_t n, int64_t r) {
  int64_t columns = type.getShape()[1];
  Value row = l.add(l.shl(l.warp, 4), l.quad);
  Value offset = l.add(l.mul(row, columns * 4), l.shl(l.inQuad, 3));
  return l.gep(l.gep(buffer, offset), r * 8 * columns * 4 + n * 32);
}

/// The address of entry `i` of this thread of a vector in rows layout.
static Value rowAddress(RoleLowering &l, Value buffer, int64_t i) {
  Value first = l.gep(buffer, l.shl(l.add(l.shl(l.warp, 4), l.quad), 2));
  return l.gep(first, 4 * (16 * l.warps * (i / 2) + 8 * (i % 2)));
}

static LogicalResult refuse(Operation *op, RankedTensorType type, SharedType buffer) {
  return op->emitOpError("has no lowering between ") << type << " and " << buffer;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Load and store
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult rondo::tile::lower(LoadOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  SharedType buffer = op.getBuffer().getType();
  Value address = l.getAddress(op.getBuffer());
  ArrayRef<int64_t> shape = type.getShape();
  Scalars result;
  auto append = [&](Value from, int64_t count) { llvm::append_range(result, l.loadF32s(from, count)); };

  if (buffer.isSwizzled() && isa<FragmentAttr>(type.getEncoding())) {
    if (shape[1] % 16)
      return op.emitOpError("needs columns in sixteens");
    FragmentAddresses addresses(l, op.getBuffer(), buffer, op.getTransposed(), op.getInterleave(),
                                shape[op.getTransposed() ? 1 : 0]);
    for (int64_t k = 0; k < shape[1] / 16; ++k)
      llvm::append_range(result, l.ldmatrix(addresses[k], op.getTransposed()));
  } else if (buffer.isSwizzled() && isa<OctetsAttr>(type.getEncoding())) {
    for (int64_t u = 0; u < 8; ++u)
      result.push_back(l.loadI32(octetAddress(l, address, u)));
  } else if (buffer.isSwizzled() || op.getTransposed()) {
    return refuse(op, type, buffer);
  } else if (isa<FragmentAttr>(type.getEncoding()) && buffer.getShape()[1] >= shape[1]) {
    for (int64_t n = 0; n < shape[1] / 8; ++n)
      for (int64_t r = 0; r < 2; ++r)
        append(plainAddress(l, address, buffer, n, r), 2);
  } else if (isa<FragmentAttr>(type.getEncoding()) && shape[1] == 64 && l.warps == 4) {
    // Two blocks of 32, folded: the upper two warps have the first.
    Value isUpper = l.compare(arith::CmpIPredicate::ult, l.warp, l.i32(2)), zero = l.f32(0);
    Scalars block, second;
    for (int64_t n = 0; n < 4; ++n)
      for (int64_t r = 0; r < 2; ++r)
        for (Value value : l.loadF32s(plainAddress(l, address, buffer, n, r), 2)) {
          block.push_back(l.select(isUpper, value, zero));
          second.push_back(l.select(isUpper, zero, value));
        }
    result = std::move(block);
    llvm::append_range(result, second);
  } else if (isa<ColumnsAttr>(type.getEncoding())) {
    Value first = l.gep(address, l.shl(l.inQuad, 3));
    for (int64_t n = 0; n < shape[0] / 8; ++n)
      append(l.gep(first, n * 32), 2);
  } else if (isa<RowsAttr>(type.getEncoding())) {
    for (int64_t i = 0; i < getScalarsPerThread(type); ++i)
      append(rowAddress(l, address, i), 1);
  } else if (isa<OctetRowsAttr>(type.getEncoding())) {
    Value first = l.gep(address, l.shl(l.warp, 5));
    for (int64_t u = 0; u < 8; u += 4)
      append(l.gep(first, 4 * u), 4);
  } else if (isa<LanesAttr>(type.getEncoding())) {
    int64_t count = shape[0] / 32, step = count % 4 == 0 ? 4 : count % 2 == 0 ? 2 : 1;
    Value first = l.gep(address, l.mul(l.lane, 4 * count));
    for (int64_t i = 0; i < count; i += step)
      append(l.gep(first, 4 * i), step);
  } else {
    return refuse(op, type, buffer);
  }
  l.set(op.getResult(), std::move(result));
  return success();
}

LogicalResult rondo::tile::lower(StoreOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getValue().getType());
  if (isa<GramAttr>(type.getEncoding()))
    return lowerGramStore(op, l);
  SharedType buffer = op.getBuffer().getType();
  Value address = l.getAddress(op.getBuffer());
  ArrayRef<int64_t> shape = type.getShape();
  ArrayRef<Value> value = l.get(op.getValue());

  Scalars diagonal;
  if (buffer.isSwizzled() && isa<FragmentAttr>(type.getEncoding()) && !op.getTransposed() && l.warps == 4 &&
      shape[1] == 64 && buffer.getShape()[1] == 32) {
    // The two diagonal blocks of 32, folded: the lower two warps have the second.
    Value isUpper = l.compare(arith::CmpIPredicate::ult, l.warp, l.i32(2));
    for (size_t i = 0; i < value.size() / 2; ++i)
      diagonal.push_back(l.select(isUpper, value[i], value[value.size() / 2 + i]));
    value = diagonal;
    shape = buffer.getShape();
  }
  if (buffer.isSwizzled() && isa<FragmentAttr>(type.getEncoding())) {
    if (shape[1] % 16)
      return op.emitOpError("needs columns in sixteens");
    FragmentAddresses addresses(l, op.getBuffer(), buffer, op.getTransposed(), op.getInterleave(),
                                shape[op.getTransposed() ? 1 : 0]);
    for (int64_t k = 0; k < shape[1] / 16; ++k)
      l.stmatrix(addresses[k], value.slice(4 * k, 4), op.getTransposed());
  } else if (buffer.isSwizzled() && isa<OctetsAttr>(type.getEncoding())) {
    for (int64_t u = 0; u < 8; ++u)
      l.storeI32(value[u], octetAddress(l, address, u));
  } else if (buffer.isSwizzled() || op.getTransposed()) {
    return refuse(op, type, buffer);
  } else if (isa<FragmentAttr>(type.getEncoding())) {
    for (int64_t n = 0; n < shape[1] / 8; ++n)
      for (int64_t r = 0; r < 2; ++r)
        l.storeF32s(value.slice(4 * n + 2 * r, 2), plainAddress(l, address, buffer, n, r));
  } else if (isa<ColumnsAttr>(type.getEncoding())) {
    // Copies in the other rows and warps.
    Value owner = arith::AndIOp::create(l.b, l.isFirstWarp(), l.compare(arith::CmpIPredicate::eq, l.quad, l.i32(0)));
    l.ifThen(owner, [&] {
      Value first = l.gep(address, l.shl(l.inQuad, 3));
      for (int64_t n = 0; n < shape[0] / 8; ++n)
        l.storeF32s(value.slice(2 * n, 2), l.gep(first, n * 32));
    });
  } else if (isa<RowsAttr>(type.getEncoding())) {
    l.ifThen(l.compare(arith::CmpIPredicate::eq, l.inQuad, l.i32(0)), [&] {
      for (auto [i, entry] : llvm::enumerate(value))
        l.storeF32s(entry, rowAddress(l, address, i));
    });
  } else if (isa<OctetRowsAttr>(type.getEncoding())) {
    l.ifThen(l.isFirstLane(), [&] {
      Value first = l.gep(address, l.shl(l.warp, 5));
      for (int64_t u = 0; u < 8; u += 4)
        l.storeF32s(value.slice(u, 4), l.gep(first, 4 * u));
    });
  } else if (isa<LanesAttr>(type.getEncoding())) {
    auto write = [&] {
      int64_t count = shape[0] / 32, step = count % 4 == 0 ? 4 : count % 2 == 0 ? 2 : 1;
      Value first = l.gep(address, l.mul(l.lane, 4 * count));
      for (int64_t i = 0; i < count; i += step)
        l.storeF32s(value.slice(i, step), l.gep(first, 4 * i));
    };
    if (l.warps == 1)
      write();
    else
      l.ifThen(l.isFirstWarp(), write);
  } else {
    return refuse(op, type, buffer);
  }
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Between layouts
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult rondo::tile::lower(LoadScalarOp op, RoleLowering &l) {
  l.set(op.getResult(), {l.loadF32(l.gep(l.getAddress(op.getBuffer()), 4 * op.getPosition()))});
  return success();
}

LogicalResult rondo::tile::lower(BroadcastOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  auto from = dyn_cast<RankedTensorType>(op.getValue().getType());
  ArrayRef<Value> value = l.get(op.getValue());
  int64_t count = getScalarsPerThread(type);
  if (isPacked(type))
    return op.emitOpError("repeats f32 values: round the result");
  Scalars result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(!from                                    ? value[0]
                     : isa<OctetRowsAttr>(from.getEncoding()) ? value[i / 2]
                     : isa<ColumnsAttr>(from.getEncoding())   ? value[i / 4 * 2 + i % 2]
                                                              : value[i / 2 % 2]);
  l.set(op.getResult(), std::move(result));
  return success();
}

/// Neighbouring columns are neighbours among the scalars of f32 fragments.
static LogicalResult checkPairs(Operation *op, Type type) {
  auto tensor = cast<RankedTensorType>(type);
  if (!isa_and_nonnull<FragmentAttr>(tensor.getEncoding()) || isPacked(tensor))
    return op->emitOpError("takes f32 fragments, not ") << type;
  return success();
}

LogicalResult rondo::tile::lower(SplitPairsOp op, RoleLowering &l) {
  if (failed(checkPairs(op, op.getType())))
    return failure();
  Scalars result(l.get(op.getValue()));
  for (size_t i = 0; i < result.size(); i += 2)
    result[i] = result[i + 1] = result[op.getOdd() ? i + 1 : i];
  l.set(op.getResult(), std::move(result));
  return success();
}

LogicalResult rondo::tile::lower(JoinPairsOp op, RoleLowering &l) {
  if (failed(checkPairs(op, op.getType())))
    return failure();
  Scalars result(l.get(op.getEven()));
  ArrayRef<Value> odd = l.get(op.getOdd());
  for (size_t i = 1; i < result.size(); i += 2)
    result[i] = odd[i];
  l.set(op.getResult(), std::move(result));
  return success();
}

LogicalResult rondo::tile::lower(IotaOp op, RoleLowering &l) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  if (!type.getElementType().isInteger(32))
    return op.emitOpError("gives i32");
  Scalars result = l.indices(type, op.getDimension());
  if (result.empty())
    return op.emitOpError("has no lowering to ") << type;
  l.set(op.getResult(), std::move(result));
  return success();
}
