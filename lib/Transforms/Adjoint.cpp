//===- Adjoint.cpp - Reverse-mode derivatives of chunk bodies ---------------------------------------------------===//

#include "Adjoint.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "rondo/Dialect/Chunk/Chunk.h"

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Cotangents
//===----------------------------------------------------------------------===//

void Adjoint::accumulate(Value value, Value cotangent) {
  if (!isActive(value) || !cotangent)
    return;
  Value &sum = cotangents[value];
  if (!sum) {
    sum = cotangent;
    return;
  }
  Lifted total = emit.add(Lifted::of(sum, false), Lifted::of(cotangent, false));
  sum = total.tensor;
}

Value Adjoint::get(Value value) {
  if (Value sum = known(value))
    return sum;
  return emit.filled(Emitter::shapeOf(value), 0.0);
}

LogicalResult Adjoint::run(ArrayRef<Operation *> ops, function_ref<void()> seedResults) {
  for (Operation *op : ops)
    if (llvm::any_of(op->getOperands(), [&](Value operand) { return isActive(operand); }))
      for (Value result : op->getResults())
        active.insert(result);
  seedResults();
  for (Operation *op : llvm::reverse(ops)) {
    if (!llvm::any_of(op->getResults(), [&](Value result) { return isActive(result) && known(result); }))
      continue;
    b.setLoc(op->getLoc());
    if (failed(visit(op)))
      return failure();
  }
  return success();
}

LogicalResult Adjoint::visit(Operation *op) {
  Value out = known(op->getResult(0)); // null only for operations with several results
  ImplicitLocOpBuilder &builder = b;
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](linalg::ContractOp contract) { return visitContract(contract, out), success(); })
      .Case([&](linalg::GenericOp generic) { return visitGeneric(generic, out); })
      .Case([&](linalg::FillOp) { return success(); })
      .Case([&](linalg::CopyOp copy) { return accumulate(copy.getInputs()[0], out), success(); })
      .Case([&](tensor::ExtractSliceOp slice) {
        Value source = slice.getSource();
        if (!isActive(source))
          return success();
        Value sum = get(source);
        Value part = tensor::ExtractSliceOp::create(builder, slice.getType(), sum, slice.getMixedOffsets(),
                                                    slice.getMixedSizes(), slice.getMixedStrides());
        Lifted total = emit.add(Lifted::of(part, false), Lifted::of(out, false));
        cotangents[source] = tensor::InsertSliceOp::create(builder, total.tensor, sum, slice.getMixedOffsets(),
                                                           slice.getMixedSizes(), slice.getMixedStrides());
        return success();
      })
      .Case([&](tensor::InsertSliceOp insert) {
        if (isActive(insert.getSource()))
          accumulate(insert.getSource(),
                     tensor::ExtractSliceOp::create(builder, insert.getSourceType(), out, insert.getMixedOffsets(),
                                                    insert.getMixedSizes(), insert.getMixedStrides()));
        if (isActive(insert.getDest())) {
          Value zeros = emit.filled(insert.getSourceType().getShape(), 0.0);
          accumulate(insert.getDest(), tensor::InsertSliceOp::create(builder, zeros, out, insert.getMixedOffsets(),
                                                                     insert.getMixedSizes(), insert.getMixedStrides()));
        }
        return success();
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        accumulate(collapse.getSrc(), tensor::ExpandShapeOp::create(builder, collapse.getSrcType(), out,
                                                                    collapse.getReassociationIndices()));
        return success();
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        accumulate(expand.getSrc(), tensor::CollapseShapeOp::create(builder, expand.getSrcType(), out,
                                                                    expand.getReassociationIndices()));
        return success();
      })
      .Case([&](chunk::KeepRowsOp keep) {
        return accumulate(keep.getOperand(), emit.keepRows(out, keep.getCount(), 0.0)), success();
      })
      .Case([&](chunk::CumprodOp cumprod) {
        return visitCumprod(op, cumprod.getOperand(), cumprod.getSuffix(), out), success();
      })
      .Case([&](chunk::TotalOp total) {
        // The product of all others: before and after.
        auto type = total.getOperand().getType();
        Lifted before = Lifted::of(chunk::CumprodOp::create(builder, type, total.getOperand(), false), true);
        Lifted after = Lifted::of(chunk::CumprodOp::create(builder, type, total.getOperand(), true), true);
        Lifted d = emit.mul(emit.mul(before, after), Lifted::of(out, false));
        return accumulate(total.getOperand(), emit.materialize(d, true)), success();
      })
      .Case([&](chunk::IntervalProductsOp) { return visitIntervalProducts(op, out), success(); })
      .Case([&](chunk::DecayedGramOp gram) {
        Value q = gram.getQuery(), k = gram.getKey(), a = gram.getDecay();
        auto type = q.getType();
        if (isActive(q))
          accumulate(q, chunk::DecayedApplyOp::create(builder, type, out, k, a, /*reverse=*/false));
        if (isActive(k))
          accumulate(k, chunk::DecayedApplyOp::create(builder, type, out, q, a, /*reverse=*/true));
        if (isActive(a))
          accumulate(a, chunk::DecayAdjointOp::create(builder, type, out, q, k, a));
        return success();
      })
      .Case([&](chunk::DecayedApplyOp apply) {
        assert(!apply.getReverse() && "only in adjoints");
        Value weight = apply.getWeight(), value = apply.getValue(), a = apply.getDecay();
        if (isActive(weight))
          accumulate(weight, chunk::DecayedGramOp::create(builder, weight.getType(), out, value, a));
        if (isActive(value))
          accumulate(value, chunk::DecayedApplyOp::create(builder, value.getType(), weight, out, a, /*reverse=*/true));
        if (isActive(a))
          accumulate(a, chunk::DecayAdjointOp::create(builder, value.getType(), weight, out, value, a));
        return success();
      })
      .Case([&](chunk::SolveOp solve) {
        assert(!solve.getTransposed() && "only in adjoints");
        // W = (I + L)^-1 B: dB = (I + L)^-T dW, dL = -dB W^T below the diagonal.
        Value right = chunk::SolveOp::create(builder, out.getType(), solve.getMatrix(), out, /*transposed=*/true);
        accumulate(solve.getRhs(), right);
        if (!isActive(solve.getMatrix()))
          return success();
        bool vector = Emitter::shapeOf(right).size() == 1;
        Value outer = emit.contract(vector ? "t,s->ts" : "tc,sc->ts", right, solve.getResult(), {}, "result");
        Value below = emit.pointwise(Emitter::shapeOf(solve.getMatrix()), {{outer, {0, 1}}},
                                     [](ImplicitLocOpBuilder &i, ValueRange v) -> Value {
                                       Value t = linalg::IndexOp::create(i, 0), s = linalg::IndexOp::create(i, 1);
                                       Value less = arith::CmpIOp::create(i, arith::CmpIPredicate::slt, s, t);
                                       Value zero = arith::ConstantOp::create(i, i.getF32FloatAttr(0.0f));
                                       return arith::SelectOp::create(i, less, arith::NegFOp::create(i, v[0]), zero);
                                     });
        accumulate(solve.getMatrix(), below);
        return success();
      })
      .Case([&](chunk::ScanOp scan) { return visitScan(scan); })
      .Default([&](Operation *other) {
        return other->emitError("no derivative for '") << other->getName().getStringRef() << "'";
      });
}

//===----------------------------------------------------------------------===//
// Products and elementwise operations
//===----------------------------------------------------------------------===//

void Adjoint::visitContract(linalg::ContractOp op, Value out) {
  auto maps = op.getIndexingMapsArray();
  Value operands[2] = {op.getInputs()[0], op.getInputs()[1]};
  accumulate(op.getOutputs()[0], out);
  auto causal = op->getAttrOfType<StringAttr>(chunk::kCausalAttr);
  for (unsigned i : {0, 1}) {
    if (!isActive(operands[i]))
      continue;
    // d operand = sum of out * other operand over the loops that the operand lacks.
    Value sum = get(operands[i]);
    SmallVector<AffineMap> adjointMaps = {maps[2], maps[1 - i], maps[i]};
    bool sums = llvm::any_of(maps[2].getResults(), [&](AffineExpr loop) {
      return llvm::is_contained(maps[1 - i].getResults(), loop) && !llvm::is_contained(maps[i].getResults(), loop);
    });
    if (!sums) { // no contraction: elementwise
      SmallVector<utils::IteratorType> iterators(maps[i].getNumDims(), utils::IteratorType::reduction);
      for (AffineExpr expr : maps[i].getResults())
        iterators[cast<AffineDimExpr>(expr).getPosition()] = utils::IteratorType::parallel;
      auto product = linalg::GenericOp::create(
          b, TypeRange{sum.getType()}, ValueRange{out, operands[1 - i]}, ValueRange{sum}, adjointMaps, iterators,
          [](OpBuilder &nested, Location loc, ValueRange v) {
            Value term = arith::MulFOp::create(nested, loc, v[0], v[1]);
            linalg::YieldOp::create(nested, loc, arith::AddFOp::create(nested, loc, v[2], term).getResult());
          });
      cotangents[operands[i]] = product.getResult(0);
      continue;
    }
    // Above the diagonal `out` of a "result" is zero, and the cotangent of a "lhs" is not used. The [C, C] operand goes
    // first.
    SmallVector<Value> factors = {out, operands[1 - i]};
    StringRef hint;
    if (causal && causal.getValue() == "result")
      hint = i == 0 ? "lhs" : "lhs-transposed";
    else if (causal && causal.getValue() == "lhs")
      hint = i == 0 ? "result" : "lhs-transposed";
    if (hint == "lhs-transposed" && causal.getValue() == "lhs") {
      std::swap(factors[0], factors[1]);
      std::swap(adjointMaps[0], adjointMaps[1]);
    }
    auto product = linalg::ContractOp::create(b, TypeRange{sum.getType()}, factors, ValueRange{sum},
                                              b.getAffineMapArrayAttr(adjointMaps));
    if (!hint.empty())
      product->setAttr(chunk::kCausalAttr, b.getStringAttr(hint));
    cotangents[operands[i]] = product.getResult(0);
  }
}

/// Leaves out the inputs that the body does not use: a derivative seldom needs all of what the function needs, and what
/// is not needed is then not computed again.
static linalg::GenericOp dropUnusedInputs(ImplicitLocOpBuilder &b, linalg::GenericOp op) {
  Block &body = *op.getBody();
  for (Operation &inner : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&inner))
      inner.erase();
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  auto allMaps = op.getIndexingMapsArray();
  SmallVector<unsigned> kept;
  for (auto [i, input] : llvm::enumerate(op.getInputs()))
    if (!body.getArgument(i).use_empty()) {
      inputs.push_back(input);
      maps.push_back(allMaps[i]);
      kept.push_back(i);
    }
  if (inputs.size() == op.getInputs().size())
    return op;
  maps.push_back(allMaps.back());
  auto result = linalg::GenericOp::create(b, op.getResultTypes(), inputs, op.getOutputs(), maps,
                                          op.getIteratorTypesArray(), [&](OpBuilder &nested, Location, ValueRange v) {
                                            IRMapping mapping;
                                            for (auto [position, i] : llvm::enumerate(kept))
                                              mapping.map(body.getArgument(i), v[position]);
                                            mapping.map(body.getArguments().back(), v.back());
                                            for (Operation &inner : body)
                                              nested.clone(inner, mapping);
                                          });
  op.erase();
  return result;
}

/// The derivative of an elementwise operation or a reduction for each operand, summed over the loops that the operand
/// lacks.
LogicalResult Adjoint::visitGeneric(linalg::GenericOp op, Value out) {
  Block &body = *op.getBody();
  bool reduces = op.getNumReductionLoops() != 0;
  bool usesInit = op.payloadUsesValueFromOperand(op.getDpsInitOperand(0));
  auto maps = op.getIndexingMapsArray();
  AffineMap outMap = maps.back();
  SmallVector<Value> inputs = op.getInputs();
  if (usesInit) // the initial value, or for a reduction the result (which decides where a maximum was)
    inputs.push_back(reduces ? op.getResult(0) : op.getOutputs()[0]);
  if (reduces)
    accumulate(op.getOutputs()[0], out);

  bool maximum = reduces && llvm::any_of(body.without_terminator(),
                                         [](Operation &o) { return isa<arith::MaximumFOp, arith::MinimumFOp>(o); });
  if (reduces && !maximum &&
      !llvm::all_of(body.without_terminator(), [](Operation &o) { return isa<arith::AddFOp>(o); }))
    return op.emitError("no derivative for this reduction");

  for (unsigned wrt = 0; wrt < inputs.size(); ++wrt) {
    if (!isActive(inputs[wrt]) || (reduces && wrt == inputs.size() - 1 && usesInit))
      continue;
    AffineMap map = wrt == op.getInputs().size() ? outMap : maps[wrt];
    bool sums = map.getNumResults() < map.getNumDims();
    Value previous = known(inputs[wrt]);
    bool adds = sums || previous;
    Value init =
        previous ? previous
                 : (sums ? emit.filled(Emitter::shapeOf(inputs[wrt]), 0.0) : emit.empty(Emitter::shapeOf(inputs[wrt])));
    SmallVector<Value> operands(inputs);
    operands.push_back(out);
    SmallVector<AffineMap> operandMaps(maps.begin(), maps.begin() + op.getInputs().size());
    if (usesInit)
      operandMaps.push_back(outMap);
    operandMaps.push_back(outMap);
    operandMaps.push_back(map);
    SmallVector<utils::IteratorType> iterators(map.getNumDims(), utils::IteratorType::reduction);
    for (AffineExpr expr : map.getResults())
      iterators[cast<AffineDimExpr>(expr).getPosition()] = utils::IteratorType::parallel;
    Operation *unknown = nullptr;
    bool zero = false;
    auto generic = linalg::GenericOp::create(
        b, TypeRange{init.getType()}, operands, ValueRange{init}, operandMaps, iterators,
        [&](OpBuilder &nested, Location loc, ValueRange v) {
          ImplicitLocOpBuilder i(loc, nested);
          Value seed = v[inputs.size()], d;
          if (reduces) {
            d = seed;
            if (maximum) {
              Value here = arith::CmpFOp::create(i, arith::CmpFPredicate::OEQ, v[wrt], v[inputs.size() - 1]);
              d = arith::SelectOp::create(i, here, seed, arith::ConstantOp::create(i, i.getF32FloatAttr(0.0f)));
            }
          } else {
            // The block takes the inputs and the initial value, used or not.
            SmallVector<Value> arguments(v.begin(), v.begin() + op.getInputs().size());
            arguments.push_back(usesInit ? v[op.getInputs().size()] : v.back());
            d = differentiateScalar(i, body, arguments, wrt, seed, unknown);
          }
          zero = !d;
          Value result = d ? d : arith::ConstantOp::create(i, i.getF32FloatAttr(0.0f)).getResult();
          if (adds)
            result = arith::AddFOp::create(i, v.back(), result);
          linalg::YieldOp::create(i, result);
        });
    if (unknown)
      return unknown->emitError("no derivative for '") << unknown->getName().getStringRef() << "'";
    if (zero && !previous)
      continue;
    cotangents[inputs[wrt]] = dropUnusedInputs(b, generic).getResult(0);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Products of decays
//===----------------------------------------------------------------------===//

Value Adjoint::runningSum(Value terms, Value decay, bool backwards) {
  auto type = cast<RankedTensorType>(terms.getType());
  auto rowType = RankedTensorType::get(type.getShape().drop_front(), type.getElementType());
  Value zero = emit.filled(rowType.getShape(), 0.0);
  auto scan = chunk::ScanOp::create(b, TypeRange{type, rowType}, arith::ConstantIndexOp::create(b, type.getDimSize(0)),
                                    ValueRange{terms, decay}, ValueRange(), ValueRange{zero}, "affine", backwards);
  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&scan.getBody(), {}, {rowType, rowType, rowType}, {b.getLoc(), b.getLoc(), b.getLoc()});
  Emitter inner(b, emit.chunk);
  auto argument = [&](unsigned i) { return Lifted::of(block->getArgument(i), false); };
  Lifted next = inner.add(argument(0), inner.mul(argument(1), argument(2)));
  chunk::YieldOp::create(b, ValueRange{block->getArgument(2), next.tensor});
  return scan.getResult(0);
}

/// prefix[t] is the product of decay[u] over u < t, so
///   d decay[u] = prefix[u] * (sum over t > u of out[t] * product of decay[v] over u < v < t),
/// with the sum running backwards from the end. The suffix is the mirror image.
void Adjoint::visitCumprod(Operation *op, Value decay, bool suffix, Value out) {
  Value sum = runningSum(out, decay, /*backwards=*/!suffix);
  Lifted d = emit.mul(Lifted::of(op->getResult(0), true), Lifted::of(sum, true));
  accumulate(decay, d.tensor);
}

/// With R[i, j] the product over [j, i): d a[u] = sum over j <= u < i of R[i, u+1] out[i, j] R[u, j]
///                                              = sum over j of R[u, j] (sum over i of R[i, u+1] out[i, j]).
/// Coupled states: entry [x, y] gets the rows x of what follows and the columns y of what came before.
void Adjoint::visitIntervalProducts(Operation *op, Value out) {
  auto products = cast<chunk::IntervalProductsOp>(op);
  Value table = products.getResult(), operand = products.getOperand();
  int64_t C = Emitter::shapeOf(operand)[0],
          n = Emitter::shapeOf(operand).size() == 1 ? 1 : Emitter::shapeOf(operand)[1];
  // after[i, u] = R[i, u+1] is 0 for i <= u; before[u, j] = R[u, j] is 0 for j > u.
  if (n == 1) {
    Value after = emit.slice(table, {0, 1}, {C + 1, C}), before = emit.slice(table, {0, 0}, {C, C + 1});
    Value inner = emit.contract("iu,ij->uj", after, out, {}, "lhs-transposed");
    accumulate(operand, emit.contract("uj,uj->u", before, inner));
    return;
  }
  Value after = emit.slice(table, {0, 0, 0, 1}, {n, n, C + 1, C}),
        before = emit.slice(table, {0, 0, 0, 0}, {n, n, C, C + 1});
  Value inner = emit.contract("pxiu,pqij->xquj", after, out);
  accumulate(operand, emit.contract("yquj,xquj->uxy", before, inner));
}

//===----------------------------------------------------------------------===//
// Scans
//===----------------------------------------------------------------------===//

/// Runs the scan again with the states before every token kept, then backwards: each token recomputes its values and
/// adds to the cotangents of its rows, of the shared operands and of the states.
LogicalResult Adjoint::visitScan(chunk::ScanOp op) {
  Block &body = op.getBody().front();
  unsigned numRows = op.getRows().size(), numShared = op.getShared().size(), numStates = op.getStates().size();
  unsigned numStacked = op.getNumStackedResults();
  auto stacked = [&](Type row) {
    SmallVector<int64_t> shape = {emit.chunk};
    llvm::append_range(shape, cast<RankedTensorType>(row).getShape());
    return RankedTensorType::get(shape, b.getF32Type());
  };
  // The states before each token.
  SmallVector<Type> keptTypes;
  for (Value state : op.getStates())
    keptTypes.push_back(stacked(state.getType()));
  for (Value state : op.getStates())
    keptTypes.push_back(state.getType());
  auto forward =
      chunk::ScanOp::create(b, keptTypes, op.getCount(), op.getRows(), op.getShared(), op.getStates(), op.getKind());
  {
    OpBuilder::InsertionGuard guard(b);
    IRMapping mapping;
    op.getBody().cloneInto(&forward.getBody(), mapping);
    Block &block = forward.getBody().front();
    Operation *yield = block.getTerminator();
    SmallVector<Value> values(block.getArguments().take_back(numStates));
    llvm::append_range(values, yield->getOperands().take_back(numStates));
    b.setInsertionPoint(yield);
    chunk::YieldOp::create(b, values);
    yield->erase();
  }

  // Backwards. Rows: the forward rows, the kept states, the cotangents of the stacked results. States: cotangents of
  // the states and of the shared operands.
  SmallVector<Value> rows(op.getRows()), states;
  llvm::append_range(rows, forward.getResults().take_front(numStates));
  for (Value result : op.getResults().take_front(numStacked))
    rows.push_back(get(result));
  for (Value result : op.getResults().take_back(numStates))
    states.push_back(get(result));
  for (Value value : op.getShared())
    states.push_back(emit.filled(Emitter::shapeOf(value), 0.0));
  SmallVector<Type> types;
  for (Value row : op.getRows())
    types.push_back(row.getType());
  for (Value state : states)
    types.push_back(state.getType());
  auto backward = chunk::ScanOp::create(b, types, op.getCount(), rows, op.getShared(), states, op.getKind(),
                                        /*reverse=*/!op.getReverse());
  {
    OpBuilder::InsertionGuard guard(b);
    Block *block = b.createBlock(&backward.getBody());
    auto addRow = [&](Value whole) {
      auto type = cast<RankedTensorType>(whole.getType());
      return block->addArgument(RankedTensorType::get(type.getShape().drop_front(), type.getElementType()), b.getLoc());
    };
    IRMapping mapping;
    for (auto [argument, row] : llvm::zip(body.getArguments(), op.getRows()))
      mapping.map(argument, addRow(row));
    SmallVector<Value> stateValues, outCotangents, stateCotangents, sharedCotangents;
    for (Value kept : forward.getResults().take_front(numStates))
      stateValues.push_back(addRow(kept));
    for (unsigned i = 0; i < numStacked; ++i)
      outCotangents.push_back(addRow(rows[numRows + numStates + i]));
    for (unsigned i = 0; i < numShared; ++i)
      mapping.map(body.getArgument(numRows + i), block->addArgument(op.getShared()[i].getType(), b.getLoc()));
    for (unsigned i = 0; i < numStates; ++i) {
      mapping.map(body.getArgument(numRows + numShared + i), stateValues[i]);
      stateCotangents.push_back(block->addArgument(states[i].getType(), b.getLoc()));
    }
    for (unsigned i = 0; i < numShared; ++i)
      sharedCotangents.push_back(block->addArgument(op.getShared()[i].getType(), b.getLoc()));

    SmallVector<Operation *> ops;
    for (Operation &inner : body.without_terminator())
      ops.push_back(b.clone(inner, mapping));
    Adjoint adjoint(b, emit.chunk, count);
    for (BlockArgument argument : body.getArguments())
      adjoint.want(mapping.lookup(argument));
    auto seedResults = [&] {
      for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands()))
        adjoint.seed(mapping.lookupOrDefault(value),
                     i < numStacked ? outCotangents[i] : stateCotangents[i - numStacked]);
    };
    if (failed(adjoint.run(ops, seedResults)))
      return failure();
    SmallVector<Value> results;
    for (unsigned i = 0; i < numRows; ++i)
      results.push_back(adjoint.get(mapping.lookup(body.getArgument(i))));
    for (Value state : stateValues)
      results.push_back(adjoint.get(state));
    for (unsigned i = 0; i < numShared; ++i) {
      Lifted sum = emit.add(Lifted::of(sharedCotangents[i], false),
                            Lifted::of(adjoint.get(mapping.lookup(body.getArgument(numRows + i))), false));
      results.push_back(sum.tensor);
    }
    chunk::YieldOp::create(b, results);
  }
  for (unsigned i = 0; i < numRows; ++i)
    accumulate(op.getRows()[i], backward.getResult(i));
  for (unsigned i = 0; i < numStates; ++i)
    accumulate(op.getStates()[i], backward.getResult(numRows + i));
  for (unsigned i = 0; i < numShared; ++i)
    accumulate(op.getShared()[i], backward.getResult(numRows + numStates + i));
  return success();
}
