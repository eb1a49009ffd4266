//===- Derive.cpp - From what one token does to what a chunk of tokens does -------------------------------------===//

#include "Deriver.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Transforms/Passes.h"

#define DEBUG_TYPE "rondo-derive"

namespace rondo {
#define GEN_PASS_DEF_RONDODERIVE
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Deriver
//===----------------------------------------------------------------------===//

Deriver::Deriver(MixerOp mixer, const Structure &structure, ImplicitLocOpBuilder &builder, int64_t chunk)
    : mixer(mixer), emit(builder, chunk), structure(structure) {
  for (const Phase &phase : structure.getPhases()) {
    for (Operation *op : phase.members)
      phaseOf[op] = &phase;
    for (Operation *op : phase.touches)
      if (op->getNumResults())
        phaseOf[op] = &phase;
  }
}

Lifted Deriver::get(Value value) {
  auto known = values.find(value);
  if (known != values.end())
    return known->second;
  Operation *op = value.getDefiningOp();
  if (const Phase *phase = phaseOf.lookup(op)) {
    run(*phase);
    return values.at(value);
  }
  // Operands first: they may run a phase, which moves the location.
  SmallVector<Lifted> operands;
  for (Value operand : op->getOperands())
    operands.push_back(get(operand));
  Lifted result = emit.lift(op, [&](Value operand) { return values.at(operand); });
  values[value] = result;
  return result;
}

void Deriver::run(const Phase &phase) {
  if (!done.insert(&phase).second)
    return;
  if (phase.linear)
    deriveLinear(*this, phase);
  else
    deriveScan(*this, phase);
}

void Deriver::finish() {
  for (const Phase &phase : structure.getPhases())
    run(phase);
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct Derive : rondo::impl::RondoDeriveBase<Derive> {
  using Base::Base;

  void runOnOperation() override {
    if (form != "chunk" && form != "sequential" && form != "step") {
      getOperation().emitError("unknown form '") << form << "'; write chunk, sequential or step";
      return signalPassFailure();
    }
    if (chunk < 1) {
      getOperation().emitError("a chunk has at least one token, not ") << int64_t(chunk);
      return signalPassFailure();
    }
    for (MixerOp mixer : llvm::to_vector(getOperation().getOps<MixerOp>())) {
      bool isStep = form == "step";
      if ((!isStep && failed(derive(mixer, chunk, /*isStep=*/false))) ||
          ((isStep || step) && failed(derive(mixer, /*chunk=*/1, /*isStep=*/true))))
        return signalPassFailure();
      mixer.erase();
    }
  }

  LogicalResult derive(MixerOp mixer, int64_t chunk, bool isStep);
};

LogicalResult Derive::derive(MixerOp mixer, int64_t chunk, bool isStep) {
  for (Operation &op : mixer.getBody().getOps())
    for (Value result : op.getResults()) {
      auto value = dyn_cast<ValueType>(result.getType());
      if (isa<DimOp>(op) || (value && !value.isStatic()))
        return op.emitError("sizes must be numbers before the chunk form is derived; run rondo-specialize");
    }
  bool isSequential = isStep || form == "sequential";
  Structure structure(mixer, isSequential);
  if (!isSequential)
    structure.remarkSequential();

  OpBuilder outer(mixer);
  ImplicitLocOpBuilder builder(mixer.getLoc(), outer);
  auto tensorOf = [&](Type type, bool timed) {
    SmallVector<int64_t> shape;
    if (timed)
      shape.push_back(chunk);
    llvm::append_range(shape,
                       isa<StateType>(type) ? cast<StateType>(type).getShape() : cast<ValueType>(type).getShape());
    return RankedTensorType::get(shape, builder.getF32Type());
  };
  SmallVector<Type> inputs = {builder.getIndexType()}, results;
  SmallVector<NamedAttribute> none;
  SmallVector<DictionaryAttr> inputAttrs = {builder.getDictionaryAttr(none)}, resultAttrs;
  auto describe = [&](StringRef name, StringRef role, Attribute dims, Type type) {
    NamedAttrList attrs;
    attrs.set(kNameAttr, builder.getStringAttr(name));
    attrs.set("rondo.role", builder.getStringAttr(role));
    if (!dims) { // specialised by hand: the sizes are the names
      SmallVector<StringRef> names;
      ArrayRef<Dim> sizes = isa<StateType>(type) ? cast<StateType>(type).getDims() : cast<ValueType>(type).getDims();
      for (const Dim &dim : sizes)
        names.push_back(dim.str());
      dims = builder.getStrArrayAttr(names);
    }
    attrs.set("rondo.dims", dims);
    return attrs;
  };
  for (unsigned i = 0; i < mixer.getNumArguments(); ++i) {
    bool param = mixer.isParam(i);
    Type type = mixer.getArgumentTypes()[i];
    inputs.push_back(tensorOf(type, !param));
    NamedAttrList attrs =
        describe(mixer.getArgName(i), param ? "param" : "token", mixer.getArgAttr(i, "rondo.dims"), type);
    if (mixer.isGrouped(i))
      attrs.set(kGroupedAttr, builder.getUnitAttr());
    for (StringRef name : {"rondo.stack", "rondo.write_number"}) // of rondo-interleave-writes
      if (Attribute attr = mixer.getArgAttr(i, name))
        attrs.set(name, attr);
    inputAttrs.push_back(attrs.getDictionary(&getContext()));
  }
  for (unsigned i = 0; i < mixer.getNumResults(); ++i) {
    Type type = mixer.getResultTypes()[i];
    results.push_back(tensorOf(type, true));
    resultAttrs.push_back(describe(mixer.getResultName(i), "output", mixer.getResultAttr(i, "rondo.dims"), type)
                              .getDictionary(&getContext()));
  }
  for (StateOp state : mixer.getStates()) {
    inputs.push_back(tensorOf(state.getType(), false));
    results.push_back(inputs.back());
    NamedAttrList attrs = describe(state.getName(), "state", state->getAttr("rondo.dims"), state.getType());
    if (Attribute original = state->getAttr("rondo.copy_of")) // of rondo-copy-states
      attrs.set("rondo.copy_of", original);
    resultAttrs.push_back(attrs.getDictionary(&getContext()));
    attrs.set("rondo.init", state.getInitAttr());
    inputAttrs.push_back(attrs.getDictionary(&getContext()));
  }

  auto function =
      func::FuncOp::create(builder, (mixer.getName() + (isStep ? "_step" : "")).str(),
                           builder.getFunctionType(inputs, results), ArrayRef<NamedAttribute>(), inputAttrs);
  function.setAllResultAttrs(resultAttrs);
  function->setAttr("rondo.chunk", builder.getI64IntegerAttr(chunk));
  if (isStep)
    function->setAttr("rondo.step", builder.getUnitAttr());
  for (StringRef name : {"rondo.writes", "rondo.program"})
    if (Attribute attr = mixer->getAttr(name))
      function->setAttr(name, attr);
  Block *block = function.addEntryBlock();
  builder.setInsertionPointToStart(block);
  Deriver deriver(mixer, structure, builder, chunk);
  deriver.count = block->getArgument(0);
  for (auto [i, argument] : llvm::enumerate(mixer.getBody().getArguments()))
    deriver.set(argument, Lifted::of(block->getArgument(i + 1), !mixer.isParam(i)));
  for (auto [i, state] : llvm::enumerate(mixer.getStates()))
    deriver.setState(state, block->getArgument(1 + mixer.getNumArguments() + i));

  SmallVector<Value> returned;
  for (Value output : mixer.getYield().getValues()) {
    Lifted value = deriver.get(output);
    returned.push_back(deriver.emit.materialize(value, /*timed=*/true));
  }
  deriver.finish();
  for (StateOp state : mixer.getStates())
    returned.push_back(deriver.getState(state));
  func::ReturnOp::create(builder, returned);

  for (const Phase &phase : structure.getPhases())
    ++(phase.linear ? numLinear : numScans);
  return success();
}
} // namespace
