//===- BuildStepKernel.cpp - The body of one token to the step kernel ---------------------------------------------===//
//
// Decoding: a few tokens a call, the states updated where the caller keeps them. Nothing is copied in or out but the rows
// of the tokens, and nothing is allocated on the heap.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace rondo;

namespace {

/// Starting threads takes as long as touching about so many numbers.
constexpr int64_t kElementsWorthThreads = 1 << 17;

class StepBuilder : KernelBuilder {
public:
  explicit StepBuilder(func::FuncOp body) : KernelBuilder(body, /*block=*/"") {}
  LogicalResult collectArrays(const ElementTypes &types) {
    return KernelBuilder::collectArrays(types, inputs, outputs, states);
  }
  void build();

private:
  void declareThreadNumber();
  Value isWorthThreads(Value items, Value threads);
  void buildHead(Value item);
  void buildToken(const HeadIndex &head, Value token, MutableArrayRef<Value> carried);
  Value loadToken(const KernelArray &array, const HeadIndex &head, Value token);
  Value historySlice(unsigned state, const HeadIndex &head, Value token);

  SmallVector<KernelArray> inputs, outputs, states;
  /// Where the states after each token go: [B, H, T, ...].
  SmallVector<Value> histories;
  Value historyMask, tokens, heads;
  /// Of one head's part of each state.
  SmallVector<MemRefLayoutAttrInterface> layouts;
};

} // namespace

void StepBuilder::build() {
  SmallVector<Type> types;
  SmallVector<Attribute> signatures;
  auto add = [&](const KernelArray &array, StringRef role) {
    types.push_back(memrefType(array));
    signatures.push_back(signature(array, role));
  };
  for (const KernelArray &array : inputs)
    add(array, array.role == Role::Param ? "param" : "token");
  for (const KernelArray &array : outputs)
    add(array, "output");
  for (const KernelArray &array : states) {
    add(array, "state");
    types.push_back(memrefType(array, array.leading() + 1));
  }
  // The caller's scratch, for `rondo-plan-scratch`.
  types.push_back(MemRefType::get({ShapedType::kDynamic}, b.getI8Type()));
  declareThreadNumber();
  func::FuncOp kernel = createKernel("_kernel", types, /*numMasks=*/2, signatures);
  kernel->setAttr("rondo.step", b.getUnitAttr());
  unsigned next = 0;
  for (SmallVector<KernelArray> *list : {&inputs, &outputs, &states})
    for (KernelArray &array : *list) {
      array.memref = kernel.getArgument(next++);
      if (list == &states)
        histories.push_back(kernel.getArgument(next++));
    }
  ++next; // the scratch
  historyMask = kernel.getArgument(next++);
  Value threads = kernel.getArgument(next++);

  Value first = outputs.front().memref;
  tokens = dim(first, 1);
  heads = dim(first, 2);
  Value items = mul(dim(first, 0), heads);
  buildParallelLoop(threads, items, [&](Value item) { buildHead(item); }, isWorthThreads(items, threads));
  func::ReturnOp::create(b, loc);
}

/// A function of OpenMP; `rondo-plan-scratch` calls it but may not add to the module.
void StepBuilder::declareThreadNumber() {
  auto module = body->getParentOfType<ModuleOp>();
  if (module.lookupSymbol(kThreadNumber))
    return;
  auto function = func::FuncOp::create(loc, kThreadNumber, b.getFunctionType({}, b.getI32Type()));
  function.setPrivate();
  module.push_back(function);
}

Value StepBuilder::isWorthThreads(Value items, Value threads) {
  int64_t elements = 0;
  for (SmallVector<KernelArray> *list : {&inputs, &outputs, &states})
    for (const KernelArray &array : *list)
      elements += ShapedType::getNumElements(array.sizes);
  Value work = mul(mul(items, tokens), index(elements));
  Value isLarge = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, work, index(kElementsWorthThreads));
  Value one = arith::ConstantIntOp::create(b, loc, b.getI64Type(), 1);
  Value mayFork = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, threads, one);
  return arith::AndIOp::create(b, loc, isLarge, mayFork);
}

void StepBuilder::buildHead(Value item) {
  HeadIndex head;
  head.heads = heads;
  head.head = arith::RemUIOp::create(b, loc, item, heads);
  head.batch = arith::DivUIOp::create(b, loc, item, heads);
  SmallVector<Value> carried;
  layouts.clear();
  for (const KernelArray &array : states) {
    Value memory = slice(array, array.memref, head, {});
    layouts.push_back(cast<MemRefType>(memory.getType()).getLayout());
    carried.push_back(toTensor(memory, /*writable=*/true));
  }
  auto loop = scf::ForOp::create(b, loc, index(0), tokens, index(1), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> values(loop.getRegionIterArgs());
  buildToken(head, loop.getInductionVar(), values);
  scf::YieldOp::create(b, loc, values);
}

/// A chunk of one row.
Value StepBuilder::loadToken(const KernelArray &array, const HeadIndex &head, Value token) {
  SmallVector<int64_t> shape{1};
  llvm::append_range(shape, array.sizes);
  Value buffer = allocate(shape);
  convert(slice(array, array.memref, head, token), row(buffer, index(0)));
  return toTensor(buffer, /*writable=*/true);
}

Value StepBuilder::historySlice(unsigned state, const HeadIndex &head, Value token) {
  ArrayRef<int64_t> shape = states[state].sizes;
  SmallVector<OpFoldResult> offsets = {head.batch, head.head, token}, sizes(3, b.getIndexAttr(1));
  offsets.append(shape.size(), b.getIndexAttr(0));
  llvm::append_range(sizes, getAsIndexOpFoldResult(b.getContext(), shape));
  SmallVector<OpFoldResult> steps(sizes.size(), b.getIndexAttr(1));
  MemRefType type = memref::SubViewOp::inferRankReducedResultType(shape, cast<MemRefType>(histories[state].getType()),
                                                                  offsets, sizes, steps);
  return memref::SubViewOp::create(b, loc, type, histories[state], offsets, sizes, steps);
}

void StepBuilder::buildToken(const HeadIndex &head, Value token, MutableArrayRef<Value> carried) {
  IRMapping mapping;
  mapping.map(body.getArgument(0), index(1));
  unsigned argument = 1;
  // Parameters are f32 with an inner stride of 1: the body reads them where they are.
  for (const KernelArray &array : inputs)
    mapping.map(body.getArgument(argument++), array.role == Role::Param
                                                  ? toTensor(slice(array, array.memref, head, {}), /*writable=*/false)
                                                  : loadToken(array, head, token));
  for (Value state : carried)
    mapping.map(body.getArgument(argument++), state);

  // What the outputs need goes first, so that a state is read before it is overwritten.
  Operation *results = body.getBody().front().getTerminator();
  llvm::SmallPtrSet<Operation *, 32> done;
  cloneNeeded(results->getOperands().take_front(outputs.size()), mapping, done);
  OperandRange next = results->getOperands().drop_front(outputs.size());
  cloneNeeded(next, mapping, done);
  for (auto [i, array] : llvm::enumerate(outputs))
    convert(row(toBuffer(mapping.lookup(results->getOperand(i))), index(0)), slice(array, array.memref, head, token));
  carry(llvm::map_to_vector(next, [&](Value value) { return mapping.lookup(value); }), carried);
  for (unsigned i = 0, e = states.size(); i < e; ++i) {
    Value buffer = toBuffer(carried[i], layouts[i]);
    scf::IfOp::create(b, loc, bit(historyMask, i), [&](OpBuilder &, Location) {
      convert(buffer, historySlice(i, head, token));
      scf::YieldOp::create(b, loc);
    });
  }
}

LogicalResult rondo::buildStepKernel(func::FuncOp body, const ElementTypes &types) {
  StepBuilder builder(body);
  if (failed(builder.collectArrays(types)))
    return failure();
  builder.build();
  return success();
}
