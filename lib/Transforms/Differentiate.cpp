//===- Differentiate.cpp - The backward chunk body --------------------------------------------------------------===//

#include "Adjoint.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Transforms/Passes.h"

#define DEBUG_TYPE "rondo-differentiate"

namespace rondo {
#define GEN_PASS_DEF_RONDODIFFERENTIATE
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
struct Differentiate : rondo::impl::RondoDifferentiateBase<Differentiate> {
  void runOnOperation() override {
    for (func::FuncOp forward : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (forward->hasAttr("rondo.chunk") && !forward->hasAttr("rondo.backward") && !forward->hasAttr("rondo.step") &&
          failed(differentiate(forward)))
        return signalPassFailure();
  }
  LogicalResult differentiate(func::FuncOp forward);
};

LogicalResult Differentiate::differentiate(func::FuncOp forward) {
  OpBuilder outer(forward);
  outer.setInsertionPointAfter(forward);
  ImplicitLocOpBuilder b(forward.getLoc(), outer);
  unsigned numInputs = forward.getNumArguments() - 1, numResults = forward.getNumResults();

  // Arguments: those of the forward body, then the cotangents of its results. Results: the cotangents of its arguments.
  auto withRole = [&](DictionaryAttr attrs, StringRef prefix) {
    NamedAttrList list(attrs);
    list.set("rondo.role", b.getStringAttr((prefix + cast<StringAttr>(list.get("rondo.role")).getValue()).str()));
    return list.getDictionary(&getContext());
  };
  auto argAttrs = [&](unsigned i) {
    DictionaryAttr attrs = forward.getArgAttrDict(i);
    return attrs ? attrs : b.getDictionaryAttr({});
  };
  auto resAttrs = [&](unsigned i) { return forward.getResultAttrDict(i); };
  SmallVector<Type> inputs(forward.getArgumentTypes()), results(forward.getArgumentTypes().drop_front());
  SmallVector<DictionaryAttr> inputAttrs, resultAttrs;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i)
    inputAttrs.push_back(argAttrs(i));
  for (unsigned i = 0; i < numResults; ++i) {
    inputs.push_back(forward.getResultTypes()[i]);
    inputAttrs.push_back(withRole(resAttrs(i), "grad_"));
  }
  for (unsigned i = 0; i < numInputs; ++i)
    resultAttrs.push_back(withRole(argAttrs(i + 1), "grad_"));

  auto backward = func::FuncOp::create(b, (forward.getName() + "_backward").str(), b.getFunctionType(inputs, results),
                                       ArrayRef<NamedAttribute>(), inputAttrs);
  backward.setAllResultAttrs(resultAttrs);
  backward->setAttr("rondo.chunk", forward->getAttr("rondo.chunk"));
  backward->setAttr("rondo.backward", b.getUnitAttr());
  int64_t chunk = forward->getAttrOfType<IntegerAttr>("rondo.chunk").getInt();
  Block *block = backward.addEntryBlock();
  b.setInsertionPointToStart(block);

  // The forward values again, then their cotangents.
  IRMapping mapping;
  for (BlockArgument argument : forward.getArguments())
    mapping.map(argument, block->getArgument(argument.getArgNumber()));
  SmallVector<Operation *> ops;
  Operation *end = forward.getBody().front().getTerminator();
  for (Operation &op : forward.getBody().front().without_terminator())
    ops.push_back(b.clone(op, mapping));
  Adjoint adjoint(b, chunk, block->getArgument(0));
  for (unsigned i = 0; i < numInputs; ++i)
    adjoint.want(block->getArgument(i + 1));
  if (failed(adjoint.run(ops, [&] {
        for (unsigned i = 0; i < numResults; ++i)
          adjoint.seed(mapping.lookup(end->getOperand(i)), block->getArgument(1 + numInputs + i));
      })))
    return failure();
  SmallVector<Value> returned;
  for (unsigned i = 0; i < numInputs; ++i)
    returned.push_back(adjoint.get(block->getArgument(i + 1)));
  func::ReturnOp::create(b, returned);
  return success();
}
} // namespace
