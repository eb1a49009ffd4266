//===- BuildStepKernel.cpp - The body of one token to the step kernel -------------------------------------------===//
//
// Decoding: a few tokens a call, the states updated where the caller keeps them. Nothing is copied in or out but the
// rows of the tokens, and nothing is allocated on the heap. One function does one head; the kernel calls it for all of
// them, on several threads where that is worth it.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
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
    if (failed(KernelBuilder::collectArrays(types, inputs, outputs, states)))
      return failure();
    return outputs.empty() ? body.emitOpError("has no output") : success();
  }
  void build();

private:
  func::FuncOp buildItem(ArrayRef<Type> arrays);
  func::FuncOp declareThreadNumber();
  Value isWorthThreads(Value items, Value tokens, Value threads);
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
  func::FuncOp item = buildItem(types);
  func::FuncOp threadNumber = declareThreadNumber();

  func::FuncOp kernel = createKernel("_kernel", types, /*numMasks=*/2, signatures);
  kernel->setAttr("rondo.step", FlatSymbolRefAttr::get(item.getSymNameAttr()));
  Value threads = kernel.getArguments().back();
  Value first = kernel.getArgument(inputs.size());
  Value items = mul(dim(first, 0), dim(first, 2));
  auto call = [&](Value position, Value thread) {
    SmallVector<Value> arguments(kernel.getArguments().drop_back());
    llvm::append_range(arguments, ValueRange{position, thread});
    func::CallOp::create(b, loc, item, arguments);
  };
  scf::IfOp::create(
      b, loc, isWorthThreads(items, dim(first, 1), threads),
      [&](OpBuilder &, Location) {
        buildParallelLoop(threads, items, [&](Value position) {
          Value thread = func::CallOp::create(b, loc, threadNumber, ValueRange()).getResult(0);
          call(position, arith::IndexCastOp::create(b, loc, b.getIndexType(), thread));
        });
        scf::YieldOp::create(b, loc);
      },
      // OpenMP would allocate memory even for a team of one.
      [&](OpBuilder &, Location) {
        forEachRow(items, [&](Value position) { call(position, index(0)); });
        scf::YieldOp::create(b, loc);
      });
  func::ReturnOp::create(b, loc);
}

/// Its arguments: those of the kernel without the number of threads, the item, and the thread that runs it.
func::FuncOp StepBuilder::buildItem(ArrayRef<Type> arrays) {
  SmallVector<Type> types(arrays);
  llvm::append_range(types, ArrayRef<Type>{b.getI64Type(), b.getIndexType(), b.getIndexType()});
  b.setInsertionPoint(body);
  auto function = func::FuncOp::create(b, loc, (body.getSymName() + "_item").str(), b.getFunctionType(types, {}));
  function.setPrivate();
  function->setAttr("llvm.linkage", LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  function->setAttr("rondo.item", b.getUnitAttr());
  b.setInsertionPointToStart(function.addEntryBlock());
  unsigned next = 0;
  for (SmallVector<KernelArray> *list : {&inputs, &outputs, &states})
    for (KernelArray &array : *list) {
      array.memref = function.getArgument(next++);
      if (list == &states)
        histories.push_back(function.getArgument(next++));
    }
  historyMask = function.getArgument(arrays.size());
  tokens = dim(outputs.front().memref, 1);
  heads = dim(outputs.front().memref, 2);
  buildHead(function.getArgument(arrays.size() + 1));
  func::ReturnOp::create(b, loc);
  return function;
}

func::FuncOp StepBuilder::declareThreadNumber() {
  constexpr StringLiteral kName = "omp_get_thread_num";
  auto module = body->getParentOfType<ModuleOp>();
  auto function = module.lookupSymbol<func::FuncOp>(kName);
  if (!function) {
    function = func::FuncOp::create(loc, kName, b.getFunctionType({}, b.getI32Type()));
    function.setPrivate();
    module.push_back(function);
  }
  return function;
}

Value StepBuilder::isWorthThreads(Value items, Value tokens, Value threads) {
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
  yieldStates(values);
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
