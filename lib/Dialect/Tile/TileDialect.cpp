//===- TileDialect.cpp - The tile dialect: layouts, buffers, verifiers -----------------------------------------===//

#include "rondo/Dialect/Tile/Tile.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

#include "rondo/Dialect/Tile/TileDialect.cpp.inc"
#include "rondo/Dialect/Tile/TileEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "rondo/Dialect/Tile/TileAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "rondo/Dialect/Tile/TileTypes.cpp.inc"
#define GET_OP_CLASSES
#include "rondo/Dialect/Tile/TileOps.cpp.inc"

void TileDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "rondo/Dialect/Tile/TileAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "rondo/Dialect/Tile/TileTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "rondo/Dialect/Tile/TileOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

Type SharedType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  if (parser.parseLess())
    return {};
  bool ring = succeeded(parser.parseOptionalKeyword("ring"));
  SMLoc loc = parser.getCurrentLocation();
  int64_t rowsOfWhole = 0;
  if (parser.parseDimensionList(shape, /*allowDynamic=*/false) || parser.parseType(element) ||
      (succeeded(parser.parseOptionalKeyword("of")) && parser.parseInteger(rowsOfWhole)) || parser.parseGreater())
    return {};
  return parser.getChecked<SharedType>(loc, parser.getContext(), shape, element, ring, rowsOfWhole);
}

void SharedType::print(AsmPrinter &printer) const {
  printer << "<" << (getRing() ? "ring " : "");
  printer.printDimensionList(getShape());
  printer << "x" << getElementType();
  if (isWindow())
    printer << " of " << getRowsOfWhole();
  printer << ">";
}

LogicalResult SharedType::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<int64_t> shape, Type element,
                                 bool ring, int64_t rowsOfWhole) {
  if (!element.isF32() && !element.isBF16() && !element.isF16())
    return emitError() << "a shared buffer holds f32, bf16 or f16, not " << element;
  if (ring && (shape.empty() || shape.front() < 1))
    return emitError() << "a ring needs at least one slot";
  ArrayRef<int64_t> slot = ring ? shape.drop_front() : shape;
  if (rowsOfWhole) {
    if (ring || element.isF32() || slot.size() != 2 || slot[0] % 8 || slot[1] % 16 || slot[0] > rowsOfWhole)
      return emitError()
             << "a window of a 16-bit tile has rows in eights, not more than the tile, and columns in sixteens";
    return success();
  }
  if (element.isF32())
    return success();
  if (slot.size() != 2 || slot[0] % 8 || slot[1] % 64)
    return emitError() << "a 16-bit tile is rows x columns, rows a multiple of 8 and columns of 64";
  return success();
}

int64_t SharedType::getSlotBytes() const {
  int64_t bytes = getElementType().getIntOrFloatBitWidth() / 8;
  for (int64_t size : getSlotShape())
    bytes *= size;
  return bytes;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static Attribute layoutOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getEncoding() : Attribute();
}

LogicalResult BlockOp::verify() {
  SharedType from = getTile().getType(), to = getResult().getType();
  if (!from.isSwizzled() || from.getRing() || to.getElementType() != from.getElementType() ||
      to.getShape() != ArrayRef<int64_t>({from.getShape()[0], 64}))
    return emitOpError("takes 64 columns of a 16-bit tile");
  return success();
}

LogicalResult WindowOp::verify() {
  SharedType from = getTile().getType(), to = getResult().getType();
  if (from.getElementType().isF32() && !from.getRing() && from.getShape().size() <= 2 && to.getElementType().isF32() &&
      !to.getRing() && to.getShape().size() == 1 && to.getShape()[0] <= from.getShape().back())
    return success();
  if (!from.isSwizzled() || from.getRing() || from.isWindow() || to.getElementType() != from.getElementType() ||
      to.getRowsOfWhole() != from.getShape()[0] || to.getShape()[1] > from.getShape()[1] ||
      (to.getShape()[1] > 64 && to.getShape()[1] % 64))
    return emitOpError(
        "takes rows and columns of a 16-bit tile, more than 64 columns in blocks of 64, or of a row of a "
        "plain buffer");
  return success();
}

/// Whether a value in registers and a buffer hold the same elements.
static LogicalResult verifyTransfer(Operation *op, Value value, SharedType buffer, bool transposed,
                                    int64_t interleave) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.getEncoding())
    return op->emitOpError("needs a layout on ") << type;
  if (buffer.getRing())
    return op->emitOpError("works on one buffer: take a `tile.slot` of the ring");
  auto gram = dyn_cast<GramAttr>(type.getEncoding());
  bool isStraight = isa<FragmentAttr>(type.getEncoding()) && !transposed && buffer.getShape()[1] % 16 == 0;
  if (buffer.isWindow() && buffer.getShape()[1] % 64 && !gram && !isStraight)
    return op->emitOpError("works on whole blocks of 64 columns, not on ") << buffer;
  SmallVector<int64_t> shape(buffer.getShape());
  if (interleave != 1) {
    if (!isa<FragmentAttr>(type.getEncoding()) || !buffer.isSwizzled() || buffer.isWindow())
      return op->emitOpError("interleaves rows of whole 16-bit tiles and fragments only");
    int64_t rows = type.getShape()[transposed ? 1 : 0];
    if (!llvm::isPowerOf2_64(interleave) || rows % (8 * interleave))
      return op->emitOpError("interleaves a power of two of groups, each of rows in eights");
    // One group for all.
    if (isa<LoadOp>(op) && shape[0] * interleave == rows)
      shape[0] = rows;
  }
  if (transposed)
    std::swap(shape.front(), shape.back());
  // Two diagonal blocks of half the columns may be folded; rows of a plain buffer may be longer than a matrix.
  bool isPlain = buffer.getElementType().isF32() && shape.size() == 2 && !transposed;
  if (gram || (isPlain && isa<FragmentAttr>(type.getEncoding()))) {
    int64_t columns = type.getShape()[1], least = gram && gram.getSpan() == columns ? columns : columns / 2;
    if (isPlain && shape[1] >= least)
      shape[1] = columns;
    if (gram && !isPlain && shape[1] == least)
      shape[1] = columns;
  }
  // The diagonal blocks of a fragment, folded.
  if (isa<StoreOp>(op) && isStraight && shape[1] == 32 && type.getShape()[1] == 64)
    shape[1] = 64;
  // Gram values are rounded where they are stored: before that they are parts of sums.
  bool rounds = gram && buffer.isSwizzled();
  if (type.getShape() != ArrayRef(shape) || (type.getElementType() != buffer.getElementType() && !rounds))
    return op->emitOpError("moves ") << type << (transposed ? " transposed" : "") << ", the buffer is " << buffer;
  if (transposed && !isa<FragmentAttr>(type.getEncoding()))
    return op->emitOpError("transposes fragments only");
  return success();
}

LogicalResult LoadOp::verify() {
  return verifyTransfer(*this, getResult(), getBuffer().getType(), getTransposed(), getInterleave());
}
LogicalResult StoreOp::verify() {
  return verifyTransfer(*this, getValue(), getBuffer().getType(), getTransposed(), getInterleave());
}

LogicalResult BroadcastOp::verify() {
  auto result = cast<RankedTensorType>(getResult().getType());
  if (!result.getEncoding())
    return emitOpError("needs a layout on the result");
  if (!isa<RankedTensorType>(getValue().getType()))
    return success();
  auto fragment = dyn_cast<FragmentAttr>(result.getEncoding());
  Attribute layout = layoutOf(getValue());
  ArrayRef<int64_t> shape = cast<RankedTensorType>(getValue().getType()).getShape();
  if (fragment && isa_and_nonnull<ColumnsAttr>(layout) && shape == result.getShape().drop_front())
    return success();
  if (fragment && isa_and_nonnull<RowsAttr>(layout) && shape == result.getShape().drop_back())
    return success();
  if (isa<OctetsAttr>(result.getEncoding()) && isa_and_nonnull<OctetRowsAttr>(layout) &&
      shape == result.getShape().drop_back())
    return success();
  return emitOpError("repeats a columns or rows vector, or a scalar, over a fragment");
}

LogicalResult ReduceOp::verify() {
  auto from = cast<RankedTensorType>(getValue().getType()), to = cast<RankedTensorType>(getResult().getType());
  Attribute layout = from.getEncoding();
  bool isFragment = isa_and_nonnull<FragmentAttr>(layout), isOctets = isa_and_nonnull<OctetsAttr>(layout);
  if ((!isFragment && !isOctets) || !from.getElementType().isF32() || !to.getElementType().isF32())
    return emitOpError("reduces an f32 fragment or octets, not ") << from;
  if (getDimension() == 1) {
    if (getScratch() || getKind() != ReduceKind::add)
      return emitOpError("over dimension 1 is a sum, and needs no buffer");
    bool isRows =
        isFragment ? isa_and_nonnull<RowsAttr>(to.getEncoding()) : isa_and_nonnull<OctetRowsAttr>(to.getEncoding());
    if (!isRows || to.getShape() != from.getShape().drop_back())
      return emitOpError("sums over dimension 1 to rows (octets to octet rows), not to ") << to;
    return success();
  }
  if (getDimension() != 0 || !isFragment)
    return emitOpError("reduces a fragment over dimension 0 or 1, octets over 1");
  if (!isa_and_nonnull<ColumnsAttr>(to.getEncoding()) || to.getShape() != from.getShape().drop_front())
    return emitOpError("reduces over dimension 0 to columns, not to ") << to;
  int64_t columns = to.getShape()[0];
  if (columns % 64 && (columns > 64 || !llvm::isPowerOf2_64(columns) || columns < 8))
    return emitOpError("takes columns in 64s, or 8, 16 or 32 of them");
  auto role = (*this)->getParentOfType<RoleOp>();
  auto scratch = getScratch() ? cast<SharedType>(getScratch().getType()) : SharedType();
  int64_t rows = role ? int64_t(role.getWarps() * role.getCopies()) : 0;
  if (!scratch || scratch.getRing() || !scratch.getElementType().isF32() || scratch.getShape().size() != 2 ||
      scratch.getShape()[1] != columns || (role && scratch.getShape()[0] != rows))
    return emitOpError("over dimension 0 needs an f32 buffer with a row of ")
           << columns << " numbers for each of the role's " << rows << " warps";
  return success();
}

void ReduceOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  if (!getScratch())
    return;
  effects.emplace_back(MemoryEffects::Read::get(), SideEffects::DefaultResource::get());
  effects.emplace_back(MemoryEffects::Write::get(), SideEffects::DefaultResource::get());
}

LogicalResult MmaOp::verify() {
  auto result = cast<RankedTensorType>(getResult().getType());
  auto fragment = dyn_cast_or_null<FragmentAttr>(result.getEncoding());
  if (!fragment || !result.getElementType().isF32() || result.getRank() != 2)
    return emitOpError("gives an f32 fragment");
  ArrayRef<int64_t> lhs;
  if (auto tensor = dyn_cast<RankedTensorType>(getLhs().getType()))
    lhs = tensor.getShape();
  else if (auto shared = dyn_cast<SharedType>(getLhs().getType()))
    lhs = shared.getShape();
  ArrayRef<int64_t> rhs = getRhs().getType().getShape();
  int64_t n = getTransposed() ? rhs[1] : rhs[0], k = getTransposed() ? rhs[0] : rhs[1];
  if (lhs.size() != 2 || rhs.size() != 2 || lhs[1] != k || result.getShape() != ArrayRef<int64_t>({lhs[0], n}))
    return emitOpError("multiplies MxK with NxK (or KxN, transposed) to MxN");
  if (lhs[0] != 16 * fragment.getWarps())
    return emitOpError("has 16 rows a warp");
  if (getAccumulator() && getAccumulator().getType() != result)
    return emitOpError("accumulates in its result's type");
  return success();
}

LogicalResult DecayedApplyOp::verify() {
  auto type = cast<RankedTensorType>(getDecays().getType());
  auto fragment = dyn_cast_or_null<FragmentAttr>(type.getEncoding());
  if (!fragment || !type.getElementType().isF32() || type.getRank() != 2 ||
      (type.getShape()[1] != 32 && type.getShape()[1] != 64))
    return emitOpError("takes decays as an f32 fragment of 32 or 64 tokens");
  if (getValues().getType() != type || getPrefix().getType() != type || getSuffix().getType() != type ||
      llvm::any_of(getApplied().getTypes(), [&](Type applied) { return applied != type; }))
    return emitOpError("has decays, values and results of one type");
  auto total = RankedTensorType::get({type.getShape()[0]}, type.getElementType(),
                                     RowsAttr::get(getContext(), fragment.getWarps()));
  if (getTotal().getType() != total)
    return emitOpError("gives the total as ") << total;
  if (getWeights().empty() || getWeights().size() != getApplied().size())
    return emitOpError("gives one result for each tile of weights, of which there is one at least");
  int64_t tokens = type.getShape()[1];
  for (Value weights : getWeights()) {
    auto tile = cast<SharedType>(weights.getType());
    if (!tile.isSwizzled() || tile.getRing() || tile.getShape() != ArrayRef<int64_t>({tokens, tokens}) ||
        tile.getElementType() != cast<SharedType>(getWeights()[0].getType()).getElementType())
      return emitOpError("takes weights as 16-bit tiles with a row and a column for each token");
  }
  return success();
}

LogicalResult DotOp::verify() {
  auto result = cast<RankedTensorType>(getResult().getType());
  auto rows = dyn_cast_or_null<RowsAttr>(result.getEncoding());
  if (!rows || !result.getElementType().isF32() || result.getRank() != 1)
    return emitOpError("gives an f32 vector in rows layout");
  SharedType tile = getTile().getType(), vector = getVector().getType();
  if (!tile.isSwizzled() || tile.getRing() || vector.getRing() || !vector.getElementType().isF32() ||
      vector.getShape().size() != 1)
    return emitOpError("multiplies a 16-bit tile with an f32 vector");
  int64_t m = tile.getShape()[0], k = tile.getShape()[1];
  if (getTransposed())
    std::swap(m, k);
  if (vector.getShape()[0] != k || result.getShape()[0] != m)
    return emitOpError("multiplies MxK (or KxM, transposed) with K to M");
  if (m % (16 * rows.getWarps()))
    return emitOpError("has 16 rows a warp");
  if (k % 16)
    return emitOpError("sums over ") << k << " terms, which are not sixteens";
  if (getAccumulator() && getAccumulator().getType() != result)
    return emitOpError("accumulates in its result's type");
  return success();
}
