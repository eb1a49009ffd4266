//===- CloneForChunk.cpp - The same chunk body for fewer tokens -------------------------------------------------===//
//
// What a chunk body says holds for any number of tokens: only shapes have it. So a body for chunks of 32 tokens is the
// one for 64 with other types along the axes that are time.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

/// The type of `value` when time has `chunk` tokens.
static Type typeFor(Value value, int64_t chunk, Analysis &analysis) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return value.getType();
  SmallVector<int64_t> shape(type.getShape());
  uint64_t timed = analysis.timedAxes(value);
  for (auto [axis, size] : llvm::enumerate(shape))
    if (timed >> axis & 1)
      size = chunk;
  return type.clone(shape);
}

/// An initial value (empty, or filled) of `type` where `op` asks for it.
static Value makeInitial(Value initial, Type type, const IRMapping &mapping, OpBuilder &b) {
  auto tensor = cast<RankedTensorType>(type);
  if (auto fill = initial.getDefiningOp<linalg::FillOp>()) {
    Value empty = tensor::EmptyOp::create(b, fill.getLoc(), tensor.getShape(), tensor.getElementType());
    Value filled = mapping.lookup(fill.getInputs()[0]);
    return linalg::FillOp::create(b, fill.getLoc(), ValueRange(filled), ValueRange(empty)).getResult(0);
  }
  return tensor::EmptyOp::create(b, initial.getLoc(), tensor.getShape(), tensor.getElementType());
}

func::FuncOp schedule::cloneForChunk(func::FuncOp body, int64_t chunk) {
  Block &block = body.getBody().front();
  for (Operation &op : block)
    if (!isa<arith::ConstantOp, tensor::EmptyOp, linalg::FillOp, linalg::GenericOp, linalg::ContractOp,
             chunk::KeepRowsOp, chunk::CumprodOp, chunk::TotalOp, chunk::DecayedGramOp, chunk::DecayedApplyOp,
             chunk::LostOp, chunk::SolveOp, func::ReturnOp>(op))
      return {};
  Analysis analysis(body);
  OpBuilder b(body);
  b.setInsertionPointAfter(body);
  auto clone = cast<func::FuncOp>(b.cloneWithoutRegions(*body));
  Block *target = b.createBlock(&clone.getBody());
  IRMapping mapping;
  SmallVector<Type> arguments, results;
  for (BlockArgument argument : block.getArguments()) {
    arguments.push_back(typeFor(argument, chunk, analysis));
    mapping.map(argument, target->addArgument(arguments.back(), argument.getLoc()));
  }
  b.setInsertionPointToEnd(target);
  for (Operation &op : block) {
    if (isa<tensor::EmptyOp, linalg::FillOp>(op))
      continue;
    IRMapping own = mapping;
    SmallVector<Type> types;
    for (Value result : op.getResults())
      types.push_back(typeFor(result, chunk, analysis));
    for (OpOperand &operand : op.getOpOperands())
      if (isa_and_nonnull<tensor::EmptyOp, linalg::FillOp>(operand.get().getDefiningOp())) {
        auto structured = dyn_cast<linalg::LinalgOp>(op);
        bool isInitial = structured && structured.isDpsInit(&operand);
        Type type = isInitial ? types.front() : typeFor(operand.get(), chunk, analysis);
        own.map(operand.get(), makeInitial(operand.get(), type, mapping, b));
      }
    Operation *made = b.clone(op, own);
    for (auto [result, type] : llvm::zip(made->getResults(), types))
      result.setType(type);
    for (auto [from, to] : llvm::zip(op.getResults(), made->getResults()))
      mapping.map(from, to);
  }
  for (Value value : target->getTerminator()->getOperands())
    results.push_back(value.getType());
  clone.setFunctionType(FunctionType::get(body.getContext(), arguments, results));
  clone->setAttr("rondo.chunk", b.getI64IntegerAttr(chunk));
  return clone;
}
