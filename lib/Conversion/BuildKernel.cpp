//===- BuildKernel.cpp - Chunk body to kernel function ----------------------------------------------------------===//
//
// Wraps the body of one chunk in everything around it: the loop over batch, heads and column blocks, the loop over
// chunks, the loads, conversions and stores of token rows, and the states carried from chunk to chunk.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOBUILDKERNEL
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-build-kernel"

using namespace mlir;
using namespace rondo;

namespace {
class ForwardBuilder : KernelBuilder {
public:
  using KernelBuilder::KernelBuilder;
  LogicalResult collectArrays(const ElementTypes &types) {
    return KernelBuilder::collectArrays(types, inputs, outputs, states);
  }
  void build();

private:
  KernelArray *arrayWithBlock();
  void buildHead(Value item);
  void buildChunk(const HeadIndex &head, Value chunk, MutableArrayRef<Value> states, ArrayRef<Value> params);

  SmallVector<KernelArray> inputs, outputs, states;
  SmallVector<Value> finals; ///< where the states after the last token go
  Value initialMask, finalMask;
  Value tokens, chunks, heads, blocks;
};
} // namespace

/// The array that tells how many column blocks there are: the first one with the blocked size.
KernelArray *ForwardBuilder::arrayWithBlock() {
  for (SmallVector<KernelArray> *list : {&outputs, &inputs, &states})
    for (KernelArray &array : *list)
      if (array.dims && !block.empty() && llvm::is_contained(array.dims, b.getStringAttr(block)))
        return &array;
  return nullptr;
}

void ForwardBuilder::build() {
  SmallVector<Type> types;
  SmallVector<Attribute> signatures;
  for (SmallVector<KernelArray> *list : {&inputs, &outputs, &states})
    for (KernelArray &array : *list) {
      types.append(list == &states ? 2 : 1, memrefType(array));
      StringRef role = list == &outputs            ? "output"
                       : array.role == Role::Token ? "token"
                       : array.role == Role::Param ? "param"
                                                   : "state";
      signatures.push_back(signature(array, role));
    }
  func::FuncOp kernel = createKernel("_kernel", types, /*numMasks=*/3, signatures);
  if (!block.empty())
    kernel->setAttr("rondo.block", b.getStringAttr(block));
  unsigned next = 0;
  for (SmallVector<KernelArray> *list : {&inputs, &outputs, &states})
    for (KernelArray &array : *list) {
      array.memref = kernel.getArgument(next++);
      if (list == &states)
        finals.push_back(kernel.getArgument(next++));
    }
  initialMask = kernel.getArgument(next++);
  finalMask = kernel.getArgument(next++);
  Value threads = kernel.getArgument(next++);

  // Without outputs (a summary) the token argument with the most heads tells.
  SmallVector<Value> tokenArrays;
  if (!outputs.empty())
    tokenArrays.push_back(outputs.front().memref);
  else
    for (KernelArray &array : inputs)
      if (array.role == Role::Token)
        tokenArrays.push_back(array.memref);
  Value batches = dim(tokenArrays.front(), 0);
  tokens = dim(tokenArrays.front(), 1);
  heads = dim(tokenArrays.front(), 2);
  for (Value array : ArrayRef(tokenArrays).drop_front())
    heads = arith::MaxUIOp::create(b, loc, heads, dim(array, 2));
  chunks = arith::CeilDivUIOp::create(b, loc, tokens, index(chunkSize));
  Value items = mul(batches, heads);
  if (KernelArray *blocked = arrayWithBlock()) {
    auto position = llvm::find(blocked->dims, b.getStringAttr(block)) - blocked->dims.begin();
    blocks = arith::DivUIOp::create(b, loc, dim(blocked->memref, blocked->leading() + position),
                                    index(blocked->sizes[position]));
    items = mul(items, blocks);
  }
  buildParallelLoop(threads, items, [&](Value item) { buildHead(item); });
  func::ReturnOp::create(b, loc);
}

void ForwardBuilder::buildHead(Value item) {
  HeadIndex head;
  head.heads = heads;
  if (blocks) {
    head.block = arith::RemUIOp::create(b, loc, item, blocks);
    item = arith::DivUIOp::create(b, loc, item, blocks);
  }
  head.head = arith::RemUIOp::create(b, loc, item, heads);
  head.batch = arith::DivUIOp::create(b, loc, item, heads);

  SmallVector<Value> params = loadParams(inputs, head), carried;
  unsigned firstState = body.getNumArguments() - states.size();
  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    auto init = body.getArgAttrOfType<FloatAttr>(firstState + i, "rondo.init");
    carried.push_back(
        loadState(states[i], states[i].memref, head, bit(initialMask, i), init ? init.getValueAsDouble() : 0.0));
  }
  auto loop = scf::ForOp::create(b, loc, index(0), chunks, index(1), carried);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> values(loop.getRegionIterArgs());
    buildChunk(head, loop.getInductionVar(), values, params);
    yieldStates(values);
  }
  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    Value buffer = toBuffer(loop.getResult(i));
    scf::IfOp::create(b, loc, bit(finalMask, i), [&](OpBuilder &, Location) {
      convert(buffer, slice(states[i], finals[i], head, {}));
      scf::YieldOp::create(b, loc);
    });
  }
}

void ForwardBuilder::buildChunk(const HeadIndex &head, Value chunk, MutableArrayRef<Value> carried,
                                ArrayRef<Value> params) {
  Value size = index(chunkSize), start = mul(chunk, size);
  Value count = arith::MinUIOp::create(b, loc, size, sub(tokens, start));
  IRMapping mapping;
  mapping.map(body.getArgument(0), count);
  unsigned argument = 1;
  for (KernelArray &array : inputs) {
    if (array.role == Role::Param) {
      mapping.map(body.getArgument(argument++), params.front());
      params = params.drop_front();
    } else {
      mapping.map(body.getArgument(argument++), loadRows(array, head, start, count, /*repeatLast=*/true));
    }
  }
  for (Value state : carried)
    mapping.map(body.getArgument(argument++), state);

  // What the outputs need goes first, so that a state is read before it is overwritten.
  Operation *results = body.getBody().front().getTerminator();
  llvm::SmallPtrSet<Operation *, 32> done;
  cloneNeeded(results->getOperands().take_front(outputs.size()), mapping, done);
  OperandRange next = results->getOperands().drop_front(outputs.size());
  cloneNeeded(next, mapping, done);
  for (unsigned i = 0; i < outputs.size(); ++i) {
    const KernelArray &array = outputs[i];
    Value buffer = toBuffer(mapping.lookup(results->getOperand(i)));
    forEachRow(count, [&](Value position) {
      Value token = add(start, position);
      convert(row(buffer, position), slice(array, array.memref, head, token));
      prefetchRow(array, head, add(token, index(chunkSize)), /*isWrite=*/true);
    });
  }
  carry(llvm::map_to_vector(next, [&](Value value) { return mapping.lookup(value); }), carried);
}

//===----------------------------------------------------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------------------------------------------------===//

namespace {

class BuildKernel : public rondo::impl::RondoBuildKernelBase<BuildKernel> {
public:
  using RondoBuildKernelBase::RondoBuildKernelBase;

  void runOnOperation() override {
    FailureOr<ElementTypes> types = parseElementTypes(getOperation(), dtype, dtypes);
    if (failed(types))
      return signalPassFailure();
    SmallVector<func::FuncOp> bodies;
    for (auto body : getOperation().getOps<func::FuncOp>())
      if (body->hasAttr("rondo.chunk") && !body->hasAttr("rondo.arrays") && !body->hasAttr("rondo.backward"))
        bodies.push_back(body);
    for (func::FuncOp body : bodies) {
      // The forward body is also what the backward kernel begins with.
      if (auto backward = getOperation().lookupSymbol<func::FuncOp>((body.getSymName() + "_backward").str())) {
        if (failed(buildBackwardKernel(body, backward, *types, keepEvery)))
          return signalPassFailure();
        backward.erase();
      }
      if (body->hasAttr("rondo.step")) {
        if (failed(buildStepKernel(body, *types)))
          return signalPassFailure();
        body.erase();
        continue;
      }
      ForwardBuilder builder(body, block);
      if (failed(builder.collectArrays(*types)))
        return signalPassFailure();
      builder.build();
      body.erase();
    }
  }
};

} // namespace
