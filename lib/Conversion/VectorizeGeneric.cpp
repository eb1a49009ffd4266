//===- VectorizeGeneric.cpp - Elementwise operations and reductions in vectors ----------------------------------===//
//
// One loop of the operation becomes vectors, the others stay loops. A parallel loop gives vector loads and stores
// (reductions carry vector accumulators); a reduction loop gives vector accumulators that are summed across their lanes
// at the end.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "VectorizeSupport.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace rondo::vectorize;

namespace {

/// The body yields `combiner(accumulator, value)` for this output, so that partial results may be combined in any
/// order.
struct Combiner {
  Operation *op = nullptr;
  vector::CombiningKind kind = vector::CombiningKind::ADD;
};

class GenericLowering {
public:
  GenericLowering(RewriterBase &rewriter, linalg::LinalgOp op, const Target &target)
      : rewriter(rewriter), op(op), target(target), loc(op.getLoc()), maps(op.getIndexingMapsArray()),
        iterators(op.getIteratorTypesArray()) {}

  LogicalResult run() {
    if (!isVectorizable() || !chooseLoop())
      return failure();
    rewriter.setInsertionPoint(op);
    extents = loopExtents(rewriter, op);
    for (auto [operand, map] : llvm::zip_equal(op->getOpOperands(), maps))
      operands.emplace_back(rewriter, loc, operand.get(), map);
    chooseLanes();
    ivs.assign(op.getNumLoops(), Value());
    inputs.assign(op.getNumDpsInputs(), Value());
    for (unsigned loop = 0; loop < iterators.size(); ++loop)
      if (loop != vec)
        (isReduction(loop) ? reductionLoops : parallelLoops).push_back(loop);
    preload(rewriter);
    emitParallelLoops(rewriter, 0);
    return success();
  }

private:
  bool isReduction(unsigned loop) const { return iterators[loop] == utils::IteratorType::reduction; }

  //===--------------------------------------------------------------------------------------------------------------===//
  // Choice of the loop
  //===--------------------------------------------------------------------------------------------------------------===//

  /// Operands are plain arrays of numbers and the body is a tree of elementwise operations.
  bool isVectorizable() {
    for (auto [operand, map] : llvm::zip_equal(op->getOpOperands(), maps)) {
      if (!map.isProjectedPermutation())
        return false;
      Type element = getElementTypeOrSelf(operand.get().getType());
      if (!element.isFloat() && !(element.isSignlessInteger() && element.getIntOrFloatBitWidth() >= 8))
        return false;
    }
    for (Operation &inner : op.getBlock()->without_terminator()) {
      if (isa<linalg::IndexOp, arith::ConstantOp>(inner))
        continue;
      if (!OpTrait::hasElementwiseMappableTraits(&inner) || inner.getNumResults() != 1)
        return false;
      ++bodySize;
      functions += isa<math::MathDialect>(inner.getDialect());
    }
    for (OpOperand &init : op.getDpsInitsMutable())
      combiners.push_back(matchCombiner(init));
    return true;
  }

  Combiner matchCombiner(OpOperand &init) {
    BlockArgument argument = op.getMatchingBlockArgument(&init);
    auto number = init.getOperandNumber() - op.getNumDpsInputs();
    Operation *def = op.getBlock()->getTerminator()->getOperand(number).getDefiningOp();
    if (!def || !argument.hasOneUse() || *argument.user_begin() != def || !def->hasOneUse() ||
        def->getNumOperands() != 2 || !arith::getNeutralElement(def))
      return {};
    using Kind = vector::CombiningKind;
    auto kind = llvm::TypeSwitch<Operation *, std::optional<Kind>>(def)
                    .Case([](arith::AddFOp) { return Kind::ADD; })
                    .Case([](arith::MulFOp) { return Kind::MUL; })
                    .Case([](arith::MaximumFOp) { return Kind::MAXIMUMF; })
                    .Case([](arith::MinimumFOp) { return Kind::MINIMUMF; })
                    .Case([](arith::MaxNumFOp) { return Kind::MAXNUMF; })
                    .Case([](arith::MinNumFOp) { return Kind::MINNUMF; })
                    .Case([](arith::AddIOp) { return Kind::ADD; })
                    .Case([](arith::MulIOp) { return Kind::MUL; })
                    .Case([](arith::MaxSIOp) { return Kind::MAXSI; })
                    .Case([](arith::MinSIOp) { return Kind::MINSI; })
                    .Default([](Operation *) { return std::nullopt; });
    return kind ? Combiner{def, *kind} : Combiner{};
  }

  /// Whether consecutive iterations of `loop` are neighbours in the operand; null when the loop does not move in it.
  std::optional<bool> isUnit(OpOperand &operand, unsigned loop) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    auto position = map.getResultPosition(getAffineDimExpr(loop, op.getContext()));
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!position || !type)
      return std::nullopt;
    SmallVector<int64_t> strides;
    int64_t offset;
    return succeeded(type.getStridesAndOffset(strides, offset)) && strides[*position] == 1;
  }

  /// The loop whose vectors cost least per element; none when scalar code is as good.
  bool chooseLoop() {
    SmallVector<int64_t> ranges = op.getStaticLoopRanges();
    double best = 0;
    for (unsigned loop = 0; loop < iterators.size(); ++loop) {
      if (ranges[loop] == 1)
        continue;
      if (isReduction(loop) && !llvm::all_of(combiners, [](Combiner c) { return c.op; }))
        continue;
      bool legal = true;
      double cost = 1 + bodySize + 10 * functions;
      double scalar = cost;
      for (OpOperand &operand : op->getOpOperands()) {
        std::optional<bool> unit = isUnit(operand, loop);
        if (op.isDpsInit(&operand) && !isReduction(loop))
          legal &= unit.has_value();
        cost += unit == false ? 1.5 * target.lanes : 1;
        scalar += 1;
      }
      if (!legal)
        continue;
      double lanes = target.lanes;
      if (!ShapedType::isDynamic(ranges[loop]))
        lanes = double(ranges[loop]) / llvm::divideCeil(ranges[loop], target.lanes);
      // Summing across lanes is not free.
      if (isReduction(loop))
        lanes *= 0.9;
      double gain = scalar * lanes / cost;
      if (gain > std::max(best, 1.0)) {
        best = gain;
        vec = loop;
      }
    }
    return best > 1;
  }

  /// Several registers a step where the body is light (the additions of a sum would otherwise wait for each other), one
  /// where it is heavy.
  void chooseLanes() {
    lanes = target.lanes;
    std::optional<int64_t> extent = getConstantIntValue(extents[vec]);
    if (!extent)
      return;
    if (*extent < lanes) {
      lanes = llvm::PowerOf2Ceil(*extent);
      return;
    }
    int64_t limit = functions > 1 ? 1 : functions == 1 || bodySize > 6 ? 2 : 4;
    for (int64_t factor = limit; factor > 1; factor /= 2)
      if (*extent % (factor * target.lanes) == 0) {
        lanes = factor * target.lanes;
        return;
      }
  }

  //===--------------------------------------------------------------------------------------------------------------===//
  // Loops
  //===--------------------------------------------------------------------------------------------------------------===//

  /// Loads every input whose loops all have values by now.
  void preload(OpBuilder &b, Value count = {}) {
    for (unsigned i = 0; i < inputs.size(); ++i) {
      if (inputs[i])
        continue;
      bool ready = true;
      for (unsigned loop = 0; loop < ivs.size(); ++loop)
        ready &= !operands[i].uses(loop) || ivs[loop];
      if (!ready || !op.getBlock()->getArgument(i).hasNUsesOrMore(1))
        continue;
      inputs[i] = read(b, operands[i], count);
    }
  }

  Value read(OpBuilder &b, const Operand &operand, Value count) {
    Value address = operand.address(b, loc, ivs);
    if (!operand.uses(vec))
      return operand.load(b, loc, address, 0);
    if (!operand.isUnit(vec))
      return operand.gather(b, loc, address, vec, lanes, count);
    return operand.load(b, loc, address, lanes, count ? emitMask(b, loc, count, lanes) : Value());
  }

  void write(OpBuilder &b, const Operand &operand, Value value, Value count) {
    Value address = operand.address(b, loc, ivs);
    if (!operand.uses(vec))
      return operand.store(b, loc, value, address);
    value = toVector(b, value);
    if (!operand.isUnit(vec))
      return operand.scatter(b, loc, value, address, vec, count);
    operand.store(b, loc, value, address, count ? emitMask(b, loc, count, lanes) : Value());
  }

  const Operand &output(unsigned i) { return operands[op.getNumDpsInputs() + i]; }

  /// Runs `body` for a value of `loop`; what was loaded inside is forgotten outside.
  SmallVector<Value> bind(OpBuilder &b, unsigned loop, Value iv, Value count,
                          llvm::function_ref<SmallVector<Value>(OpBuilder &)> body) {
    SmallVector<Value> saved = inputs;
    ivs[loop] = iv;
    preload(b, count);
    SmallVector<Value> results = body(b);
    ivs[loop] = Value();
    inputs = std::move(saved);
    return results;
  }

  void emitParallelLoops(OpBuilder &b, unsigned depth) {
    if (depth == parallelLoops.size()) {
      isReduction(vec) ? emitVectorReduction(b) : emitVectorParallel(b);
      return;
    }
    unsigned loop = parallelLoops[depth];
    emitLoop(b, loc, indexConstant(b, loc, 0), extents[loop], 1, {}, [&](OpBuilder &inner, Value iv, ValueRange) {
      return bind(inner, loop, iv, {}, [&](OpBuilder &body) {
        emitParallelLoops(body, depth + 1);
        return SmallVector<Value>();
      });
    });
  }

  /// The vectorised loop: full vectors, then the rest under a mask. `body` gets the number of valid lanes, null for
  /// all.
  SmallVector<Value> emitVectorLoop(OpBuilder &b, ValueRange carried,
                                    llvm::function_ref<SmallVector<Value>(OpBuilder &, Value, ValueRange)> body) {
    Value extent = extents[vec], zero = indexConstant(b, loc, 0);
    Value rest = b.createOrFold<arith::RemSIOp>(loc, extent, indexConstant(b, loc, lanes));
    Value main = b.createOrFold<arith::SubIOp>(loc, extent, rest);
    auto emit = [&](Value lower, Value upper, bool full, ValueRange values) {
      return emitLoop(b, loc, lower, upper, lanes, values, [&](OpBuilder &inner, Value iv, ValueRange state) {
        Value count = full ? Value() : rest;
        return bind(inner, vec, iv, count, [&](OpBuilder &at) { return body(at, count, state); });
      });
    };
    SmallVector<Value> values = emit(zero, main, /*full=*/true, carried);
    return emit(main, extent, /*full=*/false, values);
  }

  SmallVector<Value> emitReductionLoops(OpBuilder &b, unsigned depth, ValueRange carried,
                                        llvm::function_ref<SmallVector<Value>(OpBuilder &, ValueRange)> body) {
    if (depth == reductionLoops.size())
      return body(b, carried);
    unsigned loop = reductionLoops[depth];
    return emitLoop(b, loc, indexConstant(b, loc, 0), extents[loop], 1, carried,
                    [&](OpBuilder &inner, Value iv, ValueRange values) {
                      return bind(inner, loop, iv, {},
                                  [&](OpBuilder &at) { return emitReductionLoops(at, depth + 1, values, body); });
                    });
  }

  void emitVectorParallel(OpBuilder &b) {
    emitVectorLoop(b, {}, [&](OpBuilder &inner, Value count, ValueRange) {
      SmallVector<Value> values;
      for (unsigned i = 0; i < combiners.size(); ++i) {
        bool needed = !reductionLoops.empty() || op.payloadUsesValueFromOperand(op.getDpsInitOperand(i));
        values.push_back(needed ? read(inner, output(i), count) : Value());
      }
      if (reductionLoops.empty())
        values = emitBody(inner, values);
      else
        values = emitReductionLoops(inner, 0, values, [&](OpBuilder &at, ValueRange carried) {
          SmallVector<Value> next = emitBody(at, carried);
          for (Value &value : next)
            value = toVector(at, value);
          return next;
        });
      for (auto [i, value] : llvm::enumerate(values))
        write(inner, output(i), value, count);
      return SmallVector<Value>();
    });
  }

  void emitVectorReduction(OpBuilder &b) {
    SmallVector<Value> neutral;
    for (Combiner combiner : combiners)
      neutral.push_back(splat(b, loc, *arith::getNeutralElement(combiner.op), lanes));
    SmallVector<Value> sums = emitReductionLoops(b, 0, neutral, [&](OpBuilder &at, ValueRange carried) {
      return emitVectorLoop(at, carried, [&](OpBuilder &inner, Value count, ValueRange values) {
        SmallVector<Value> next = emitBody(inner, values);
        for (auto [value, old] : llvm::zip_equal(next, values)) {
          value = toVector(inner, value);
          if (count)
            value = arith::SelectOp::create(inner, loc, emitMask(inner, loc, count, lanes), value, old);
        }
        return next;
      });
    });
    for (auto [i, sum] : llvm::enumerate(sums)) {
      bool isFloat = isa<FloatType>(getElementTypeOrSelf(sum.getType()));
      auto flags = isFloat ? arith::FastMathFlags::reassoc : arith::FastMathFlags::none;
      Value total = vector::ReductionOp::create(b, loc, combiners[i].kind, sum, flags);
      Value old = read(b, output(i), {});
      IRMapping mapping;
      mapping.map(combiners[i].op->getOperands(), ValueRange{old, total});
      write(b, output(i), b.clone(*combiners[i].op, mapping)->getResult(0), {});
    }
  }

  //===--------------------------------------------------------------------------------------------------------------===//
  // Body
  //===--------------------------------------------------------------------------------------------------------------===//

  Value toVector(OpBuilder &b, Value value) {
    if (isa<VectorType>(value.getType()))
      return value;
    if (value.getType().isIndex())
      value = b.createOrFold<arith::IndexCastOp>(loc, b.getI32Type(), value);
    return broadcast(b, loc, value, lanes);
  }

  /// Index vectors are i32 (arrays here are small): as many lanes as f32.
  Value emitIndex(OpBuilder &b, unsigned loop) {
    if (loop != vec)
      return ivs[loop];
    SmallVector<int32_t> iota;
    for (int64_t lane = 0; lane < lanes; ++lane)
      iota.push_back(lane);
    auto type = VectorType::get({lanes}, b.getI32Type());
    Value offsets = arith::ConstantOp::create(b, loc, type, DenseIntElementsAttr::get(type, iota));
    return b.createOrFold<arith::AddIOp>(loc, toVector(b, ivs[loop]), offsets);
  }

  /// A conversion between index (here i32) and an integer type, on vectors.
  Value emitIndexCast(OpBuilder &b, Value operand, Type element, bool isSigned) {
    if (element.isIndex())
      element = b.getI32Type();
    auto from = getElementTypeOrSelf(operand.getType()).getIntOrFloatBitWidth();
    auto to = element.getIntOrFloatBitWidth();
    Type type = VectorType::get({lanes}, element);
    if (from == to)
      return operand;
    if (from > to)
      return arith::TruncIOp::create(b, loc, type, operand);
    return isSigned ? arith::ExtSIOp::create(b, loc, type, operand).getResult()
                    : arith::ExtUIOp::create(b, loc, type, operand).getResult();
  }

  /// The values yielded by the body; those that do not depend on the vectorised loop stay scalars.
  SmallVector<Value> emitBody(OpBuilder &b, ValueRange accumulators) {
    IRMapping mapping;
    Block *block = op.getBlock();
    for (unsigned i = 0; i < inputs.size(); ++i)
      if (inputs[i])
        mapping.map(block->getArgument(i), inputs[i]);
    for (auto [i, accumulator] : llvm::enumerate(accumulators))
      if (accumulator)
        mapping.map(block->getArgument(inputs.size() + i), accumulator);
    for (Operation &inner : block->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
        mapping.map(index.getResult(), emitIndex(b, index.getDim()));
        continue;
      }
      auto mapped = llvm::map_to_vector(inner.getOperands(), [&](Value v) { return mapping.lookupOrDefault(v); });
      if (llvm::none_of(mapped, [](Value v) { return isa<VectorType>(v.getType()); })) {
        allowContraction(b.clone(inner, mapping));
        continue;
      }
      for (Value &value : mapped)
        value = toVector(b, value);
      Type element = inner.getResult(0).getType();
      if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(inner)) {
        mapping.map(inner.getResult(0), emitIndexCast(b, mapped[0], element, isa<arith::IndexCastOp>(inner)));
        continue;
      }
      Type type = VectorType::get({lanes}, element.isIndex() ? b.getI32Type() : element);
      OperationState state(loc, inner.getName(), mapped, {type}, inner.getAttrs());
      Operation *created = b.create(state);
      allowContraction(created);
      mapping.map(inner.getResult(0), created->getResult(0));
    }
    return llvm::map_to_vector(block->getTerminator()->getOperands(),
                               [&](Value v) { return mapping.lookupOrDefault(v); });
  }

  /// Lets LLVM form multiply-adds.
  static void allowContraction(Operation *created) {
    if (auto fast = dyn_cast<arith::ArithFastMathInterface>(created);
        fast && isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::NegFOp>(created)) {
      auto flags = fast.getFastMathFlagsAttr().getValue() | arith::FastMathFlags::contract;
      created->setAttr(fast.getFastMathAttrName(), arith::FastMathFlagsAttr::get(created->getContext(), flags));
    }
  }

  RewriterBase &rewriter;
  linalg::LinalgOp op;
  const Target &target;
  Location loc;
  SmallVector<AffineMap> maps;
  SmallVector<utils::IteratorType> iterators;
  SmallVector<Combiner> combiners;
  /// Operations of the body, and how many of them are elementary functions.
  int64_t bodySize = 0, functions = 0;

  /// The vectorised loop and its vector length.
  unsigned vec = 0;
  int64_t lanes = 0;
  SmallVector<unsigned> parallelLoops, reductionLoops;
  SmallVector<Value> extents;
  SmallVector<Operand> operands;

  /// What is known at the current point: the value of every loop, and every input that was loaded.
  SmallVector<Value> ivs, inputs;
};

} // namespace

LogicalResult rondo::vectorize::lowerGeneric(RewriterBase &rewriter, linalg::LinalgOp op, const Target &target) {
  return GenericLowering(rewriter, op, target).run();
}
