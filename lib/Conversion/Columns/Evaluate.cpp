//===- Evaluate.cpp - The elements of the values of one token -----------------------------------------------------===//

#include "Columns.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include <cmath>

using namespace mlir;
using namespace rondo;
using namespace rondo::columns;

//===----------------------------------------------------------------------------------------------------------------===//
// Who owns what
//===----------------------------------------------------------------------------------------------------------------===//

static bool isNamed(ArrayAttr dims, size_t i, StringRef name) {
  return !name.empty() && dims && i < dims.size() && cast<StringAttr>(dims[i]).getValue() == name;
}

/// Of two axes of that name, the last.
bool Split::isLane(ArrayAttr dims, size_t i) const {
  return isNamed(dims, i, laneSize) && !(dims.size() > i + 1 && isNamed(dims, i + 1, laneSize));
}

/// The first.
bool Split::isPart(ArrayAttr dims, size_t i) const {
  if (parts == 1 || isLane(dims, i) || !isNamed(dims, i, partSize))
    return false;
  for (size_t k = 0; k < i; ++k)
    if (isNamed(dims, k, partSize))
      return false;
  return true;
}

SmallVector<Indices> Split::getOwned(ArrayRef<int64_t> sizes, ArrayAttr dims) const {
  SmallVector<Indices> owned{{}};
  for (auto [i, size] : llvm::enumerate(sizes)) {
    SmallVector<Index> along;
    if (isLane(dims, i)) {
      for (int64_t k = 0; k < perLane; ++k)
        along.push_back({perLane, 0, k, {}});
    } else if (isPart(dims, i)) {
      if (size % (4 * parts) != 0)
        return {};
      for (int64_t first = 0; first < size; first += 4 * parts)
        for (int64_t k = 0; k < 4; ++k)
          along.push_back({0, 4, first + k, {}});
    } else {
      for (int64_t k = 0; k < size; ++k)
        along.push_back({0, 0, k, {}});
    }
    SmallVector<Indices> longer;
    for (const Indices &before : owned)
      for (const Index &index : along) {
        longer.push_back(before);
        longer.back().push_back(index);
      }
    owned = std::move(longer);
  }
  return owned;
}

std::optional<int64_t> Split::getPosition(ArrayRef<int64_t> sizes, ArrayAttr dims, ArrayRef<Index> at) const {
  int64_t position = 0;
  for (auto [i, size, index] : llvm::enumerate(sizes, at)) {
    int64_t lane = 0, part = 0, count = size, own = index.offset;
    if (isLane(dims, i)) {
      lane = count = perLane;
    } else if (isPart(dims, i)) {
      part = 4;
      count = size / parts;
      if (index.offset % (4 * parts) >= 4)
        return std::nullopt;
      own = index.offset / (4 * parts) * 4 + index.offset % 4;
    }
    if (index.lane != lane || index.part != part || index.dynamic || own < 0 || own >= count)
      return std::nullopt;
    position = position * count + own;
  }
  return position;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Values that are others
//===----------------------------------------------------------------------------------------------------------------===//

Value rondo::columns::strip(Value value, Indices *at) {
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto scan = dyn_cast_or_null<chunk::ScanOp>(argument.getOwner()->getParentOp());
      if (!scan)
        return value;
      unsigned i = argument.getArgNumber(), rows = scan.getRows().size(), shared = scan.getShared().size();
      if (i < rows && at)
        at->insert(at->begin(), Index());
      value = i < rows            ? scan.getRows()[i]
              : i < rows + shared ? scan.getShared()[i - rows]
                                  : scan.getStates()[i - rows - shared];
    } else if (auto scan = value.getDefiningOp<chunk::ScanOp>()) {
      unsigned i = cast<OpResult>(value).getResultNumber();
      if (i < scan.getNumStackedResults() && at)
        at->erase(at->begin());
      value = scan.getBody().front().getTerminator()->getOperand(i);
    } else {
      return value;
    }
  }
}

uint64_t Dependences::get(Value value) {
  value = strip(value);
  auto found = known.find(value);
  if (found != known.end())
    return found->second;
  uint64_t result = kNothing;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())) {
      unsigned number = argument.getArgNumber(), before = 0;
      auto isState = [&](unsigned i) {
        auto role = function.getArgAttrOfType<StringAttr>(i, "rondo.role");
        return role && role.getValue() == "state";
      };
      for (unsigned i = 0; i < number; ++i)
        before += isState(i);
      auto role = function.getArgAttrOfType<StringAttr>(number, "rondo.role");
      result = isState(number) ? bitOf(before) : role && role.getValue() == "token" ? kTokens : kNothing;
    }
  } else {
    // What an operation writes over counts where it is read.
    Operation *op = value.getDefiningOp();
    for (OpOperand &operand : op->getOpOperands()) {
      auto structured = dyn_cast<linalg::LinalgOp>(op);
      if (isa<TensorType>(operand.get().getType()) &&
          !(structured && structured.isDpsInit(&operand) && !structured.payloadUsesValueFromOperand(&operand)))
        result |= get(operand.get());
    }
  }
  known[value] = result;
  return result;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------------------------------------------------===//

Value Evaluator::refuse(Location loc, const Twine &why) {
  ++refusals;
  if (reason.empty()) {
    reason = why.str();
    reasonLoc = loc;
  }
  return l.f32(0);
}

Value Evaluator::combineParts(Value value, function_ref<Value(Value, Value)>) { return value; }

Value Evaluator::get(Value tensor, Indices at) {
  tensor = strip(tensor, &at);
  Key key{reinterpret_cast<int64_t>(tensor.getAsOpaquePointer())};
  bool isDynamic = false;
  for (const Index &index : at) {
    key.insert(key.end(),
               {index.lane, index.part, index.offset, reinterpret_cast<int64_t>(index.dynamic.getAsOpaquePointer())});
    isDynamic |= bool(index.dynamic);
  }
  bool isFree = !isDynamic && dependences.get(tensor) == kNothing, same = isFree && invariantsEnd;
  std::map<Key, Value> &memo = same ? invariants : values;
  auto found = memo.find(key);
  if (found != memo.end())
    return found->second;
  OpBuilder::InsertionGuard guard(l.b);
  if (same)
    l.b.setInsertionPoint(invariantsEnd);
  int64_t before = operations, calls = functions, refused = refusals;
  Value value = getKept(tensor, at);
  if (!value)
    value = compute(tensor, at);
  if (isFree) {
    operations = before;
    functions = calls;
  }
  // What was refused may be asked for in another way.
  if (refusals == refused)
    memo[key] = value;
  return value;
}

bool Evaluator::isInvariant(Value value) const {
  if (!invariantsEnd || value.getParentBlock() != invariantsEnd->getBlock())
    return false;
  Operation *def = value.getDefiningOp();
  return !def || def->isBeforeInBlock(invariantsEnd);
}

/// The GPU has a function for powers of two. The factor log2 e of a product goes to the side that changes less often.
Value Evaluator::exp(Value x) {
  auto product = x.getDefiningOp<arith::MulFOp>();
  if (!product)
    return l.exp2(l.fmul(x, l.f32(M_LOG2E)));
  Value lhs = product.getLhs(), rhs = product.getRhs();
  if (isInvariant(rhs))
    std::swap(lhs, rhs);
  Value &scale = scaled[lhs];
  if (!scale) {
    OpBuilder::InsertionGuard guard(l.b);
    if (isInvariant(lhs))
      l.b.setInsertionPoint(invariantsEnd);
    scale = l.fmul(lhs, l.f32(M_LOG2E));
  }
  return l.exp2(l.fmul(scale, rhs));
}

/// A number that is no element: a constant, as operations and payloads take them from outside.
Value Evaluator::readScalar(Value value) {
  TypedAttr constant;
  if (matchPattern(value, m_Constant(&constant)) && isa<FloatType, IntegerType>(value.getType()))
    return arith::ConstantOp::create(l.b, constant);
  return refuse(value.getLoc(), "uses a number that is neither a constant nor an element");
}

Value Evaluator::compute(Value tensor, const Indices &at) {
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    uint64_t made = dependences.get(tensor);
    return made == kNothing  ? getParameter(argument, at)
           : made == kTokens ? getToken(argument, at)
                             : getState(argument, at);
  }
  Operation *op = tensor.getDefiningOp();
  if (isa<tensor::EmptyOp>(op))
    return l.f32(0);
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    if (auto splat = dyn_cast<SplatElementsAttr>(constant.getValue()))
      return arith::ConstantOp::create(l.b, splat.getSplatValue<TypedAttr>());
  if (auto structured = dyn_cast<linalg::LinalgOp>(op))
    return computeStructured(structured, cast<OpResult>(tensor).getResultNumber(), at);

  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    Indices source;
    unsigned next = 0;
    for (auto [i, offset, step] : llvm::enumerate(slice.getStaticOffsets(), slice.getStaticStrides())) {
      if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(step))
        return refuse(op->getLoc(), "takes a part whose place is not known");
      Index index = dropped[i] ? Index() : at[next++];
      if (index.dynamic && step != 1)
        index.dynamic = l.mul(index.dynamic, step);
      source.push_back({index.lane * step, index.part * step, index.offset * step + offset, index.dynamic});
    }
    return get(slice.getSource(), source);
  }

  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    // The element is in the part where all conditions hold.
    Indices source;
    llvm::SmallBitVector dropped = insert.getDroppedDims();
    Value inside;
    bool isOutside = false;
    ArrayRef<int64_t> shape = insert.getType().getShape();
    for (auto [i, offset, size, step] :
         llvm::enumerate(insert.getStaticOffsets(), insert.getStaticSizes(), insert.getStaticStrides())) {
      if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(step) || ShapedType::isDynamic(size))
        return refuse(op->getLoc(), "puts a part where is not known");
      Index index = at[i];
      int64_t from = index.offset - offset;
      if (index.dynamic) {
        Value place = l.add(index.dynamic, from);
        Value quotient = step == 1 ? place : Value(arith::FloorDivSIOp::create(l.b, place, l.i32(step)));
        auto require = [&](Value condition) {
          inside = inside ? Value(arith::AndIOp::create(l.b, inside, condition)) : condition;
        };
        if (step != 1)
          require(l.compare(arith::CmpIPredicate::eq, l.mul(quotient, step), place));
        if (size * step < shape[i])
          require(l.compare(arith::CmpIPredicate::ult, quotient, l.i32(size)));
        // An element outside may be asked for, and is not used.
        quotient = arith::MinUIOp::create(l.b, quotient, l.i32(size - 1));
        source.push_back({0, 0, 0, quotient});
        if (index.lane || index.part)
          return refuse(op->getLoc(), "joins parts along an axis that is split over threads");
        continue;
      }
      int64_t quotient = llvm::divideFloorSigned(from, step);
      if (index.isConstant()) {
        isOutside |= from != quotient * step || quotient < 0 || quotient >= size;
      } else {
        if (index.lane % step || index.part % step || size * step < shape[i])
          return refuse(op->getLoc(), "joins parts along an axis that is split over threads");
        isOutside |= from != quotient * step;
      }
      source.push_back({index.lane / step, index.part / step, quotient, {}});
    }
    if (isOutside)
      return get(insert.getDest(), at);
    Indices kept;
    for (auto [i, index] : llvm::enumerate(source))
      if (!dropped[i])
        kept.push_back(index);
    Value part = get(insert.getSource(), kept);
    if (!inside || insert.getDest().getDefiningOp<tensor::EmptyOp>())
      return part;
    return l.select(inside, part, get(insert.getDest(), at));
  }
  return refuse(op->getLoc(), "has an operation that threads cannot share: " + op->getName().getStringRef());
}

//===----------------------------------------------------------------------------------------------------------------===//
// Structured operations
//===----------------------------------------------------------------------------------------------------------------===//

static Indices indicesOf(linalg::LinalgOp op, OpOperand &operand, const Indices &loops) {
  Indices at;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      at.push_back(loops[dim.getPosition()]);
    else
      at.push_back({0, 0, cast<AffineConstantExpr>(expr).getValue(), {}});
  }
  return at;
}

Value Evaluator::payload(linalg::LinalgOp op, const Indices &loops, Value yielded, Value accumulator) {
  Block *block = op.getBlock();
  IRMapping mapping;
  // By demand as well: of several results' computations only one is needed.
  std::function<Value(Value)> find = [&](Value value) -> Value {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Value result;
    if (auto argument = dyn_cast<BlockArgument>(value); argument && argument.getOwner() == block) {
      OpOperand &operand = op->getOpOperand(argument.getArgNumber());
      if (op.isDpsInit(&operand) && accumulator)
        result = accumulator;
      else if (isa<TensorType>(operand.get().getType()))
        result = get(operand.get(), indicesOf(op, operand, loops));
      else
        result = readScalar(operand.get());
    } else if (value.getParentBlock() != block) {
      result = readScalar(value);
    } else if (Operation *def = value.getDefiningOp(); def->getNumRegions() != 0 || isa<linalg::IndexOp>(def)) {
      result = refuse(def->getLoc(), "has an operation that threads cannot share: " + def->getName().getStringRef());
    } else {
      for (Value operand : def->getOperands())
        find(operand);
      if (isa<math::ExpOp>(def)) {
        result = exp(mapping.lookup(def->getOperand(0)));
        operations += 2;
        ++functions;
      } else {
        result = l.b.clone(*def, mapping)->getResult(cast<OpResult>(value).getResultNumber());
        // A function is a polynomial.
        operations += def->hasTrait<OpTrait::ConstantLike>()           ? 0
                      : def->getName().getDialectNamespace() == "math" ? 16
                                                                       : 1;
      }
    }
    mapping.map(value, result);
    return result;
  };
  return find(yielded);
}

Value Evaluator::computeStructured(linalg::LinalgOp op, unsigned result, const Indices &at) {
  if (auto fill = dyn_cast<linalg::FillOp>(op.getOperation()))
    return readScalar(fill.getInputs()[0]);
  for (AffineMap map : op.getIndexingMapsArray())
    for (AffineExpr expr : map.getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(expr))
        return refuse(op->getLoc(), "has an indexing map that is no projection");

  Indices loops(op.getNumLoops());
  llvm::SmallBitVector isSet(op.getNumLoops());
  OpOperand *init = op.getDpsInitOperand(result);
  for (auto [expr, index] : llvm::zip_equal(op.getMatchingIndexingMap(init).getResults(), at))
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      loops[dim.getPosition()] = index;
      isSet.set(dim.getPosition());
    }
  SmallVector<unsigned> reductions;
  for (unsigned i = 0; i < loops.size(); ++i)
    if (!isSet[i])
      reductions.push_back(i);
  if (reductions.empty())
    return payload(op, loops, op.getBlock()->getTerminator()->getOperand(result), Value());

  // In parts where the elements are dealt out so; else each thread takes all. (A sum that all columns share and that no
  // state enters is not taken here.)
  bool inColumn = llvm::any_of(at, [](const Index &index) { return index.lane != 0; });
  if (split.parts > 1 && reductions.size() == 1 &&
      op.getStaticLoopRanges()[reductions.front()] % (4 * split.parts) == 0 &&
      (inColumn || dependences.getStates(op->getResult(result)))) {
    std::string before = reason;
    int64_t refused = refusals;
    Value value = reduce(op, result, loops, reductions, at, /*inParts=*/true);
    if (refusals == refused)
      return value;
    reason = before;
    refusals = refused;
  }
  return reduce(op, result, loops, reductions, at, /*inParts=*/false);
}

/// The operation that adds a term to the accumulator, and the term.
static std::pair<Operation *, Value> getTerm(linalg::LinalgOp op, unsigned result) {
  Value yielded = op.getBlock()->getTerminator()->getOperand(result);
  Value accumulator = op.getMatchingBlockArgument(op.getDpsInitOperand(result));
  Operation *def = yielded.getDefiningOp();
  if (!def || !isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp>(def) || !accumulator.hasOneUse())
    return {};
  for (unsigned i : {0, 1})
    if (def->getOperand(i) == accumulator)
      return {def, def->getOperand(1 - i)};
  return {};
}

Value Evaluator::reduce(linalg::LinalgOp op, unsigned result, Indices loops, ArrayRef<unsigned> reductions,
                        const Indices &at, bool inParts) {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  SmallVector<Indices> points;
  if (inParts) {
    unsigned loop = reductions.front();
    for (int64_t first = 0; first < ranges[loop]; first += 4 * split.parts)
      for (int64_t k = 0; k < 4; ++k) {
        loops[loop] = {0, 4, first + k, {}};
        points.push_back(loops);
      }
  } else {
    int64_t count = 1;
    for (unsigned loop : reductions)
      count *= ranges[loop];
    if (count > 4096)
      return refuse(op->getLoc(), "has a sum of more than 4096 terms in one thread");
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i;
      for (unsigned loop : llvm::reverse(reductions)) {
        loops[loop] = {0, 0, rest % ranges[loop], {}};
        rest /= ranges[loop];
      }
      points.push_back(loops);
    }
  }

  int64_t refused = refusals;
  Value begin = get(op.getDpsInitOperand(result)->get(), at);
  auto [combiner, term] = getTerm(op, result);
  if (!combiner) {
    if (inParts)
      return refuse(op->getLoc(), "has a sum that cannot be taken in parts");
    Value accumulator = begin;
    for (const Indices &point : points)
      accumulator = payload(op, point, op.getBlock()->getTerminator()->getOperand(result), accumulator);
    return accumulator;
  }
  auto combine = [&, combiner = combiner](Value x, Value y) -> Value {
    if (!x)
      return y;
    IRMapping mapping;
    mapping.map(combiner->getOperand(0), x);
    mapping.map(combiner->getOperand(1), y);
    ++operations;
    return l.b.clone(*combiner, mapping)->getResult(0);
  };
  // Several sums side by side: each waits for itself only.
  SmallVector<Value> sums(points.size() >= 8 ? 4 : 1);
  for (auto [i, point] : llvm::enumerate(points)) {
    Value value = payload(op, point, term, Value());
    Value &sum = sums[i % sums.size()];
    sum = combine(sum, value);
    if (refusals != refused)
      return value;
  }
  Value total;
  for (unsigned width = sums.size() / 2; width > 0; width /= 2)
    for (unsigned i = 0; i < width; ++i)
      sums[i] = combine(sums[i], sums[i + width]);
  total = sums[0];
  if (inParts)
    total = combineParts(total, combine);
  bool isZero = matchPattern(begin, m_AnyZeroFloat()) && isa<arith::AddFOp>(combiner);
  return isZero ? total : combine(begin, total);
}
