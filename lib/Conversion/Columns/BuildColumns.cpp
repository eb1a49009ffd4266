//===- BuildColumns.cpp - The body of one token to a kernel whose threads own columns -----------------------------===//
//
// Plan.cpp says what a thread owns, Evaluate.cpp what it computes; this file is the kernel around: tokens come into
// shared memory some stages ahead, values that all columns share are computed there by the whole block one stage ahead,
// and then each thread goes through the tokens of the stage with its states in registers.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "../KernelBuilder.h"
#include "../Tile/Kernel.h"
#include "Plan.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Chunk/Chunk.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOBUILDCOLUMNS
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-build-columns"

using namespace mlir;
using namespace rondo;
using namespace rondo::columns;
using arith::CmpIPredicate;

namespace {

/// Where a thread is, all i32.
struct Thread {
  Value part, lane, laneInBlock;
  /// Whether it has a column of its own (and not that of another thread, for company).
  Value isActive;
};

/// The rows of one stage, and of kept values, of one token.
struct TokenPlace {
  Value stage, kept, handed; // pointers
  /// i32, added to `next`.
  Value first;
  int64_t next = 0;
};

/// A value of type f32 from an element in memory.
Value loadElement(tile::Lowering &l, Value pointer, Type element) {
  Value value = LLVM::LoadOp::create(l.b, element, pointer, /*alignment=*/element.getIntOrFloatBitWidth() / 8);
  return element.isF32() ? value : Value(LLVM::FPExtOp::create(l.b, l.b.getF32Type(), value));
}
void storeElement(tile::Lowering &l, Value value, Value pointer, Type element) {
  if (!element.isF32())
    value = LLVM::FPTruncOp::create(l.b, element, value);
  LLVM::StoreOp::create(l.b, value, pointer, /*alignment=*/element.getIntOrFloatBitWidth() / 8);
}

/// lane, part and offset of an element in the order of memory; what is added at run time is in `dynamic`.
Index flatten(tile::Lowering &l, ArrayRef<Index> at, ArrayRef<int64_t> sizes) {
  Index flat;
  int64_t stride = 1;
  for (auto [index, size] : llvm::reverse(llvm::zip_equal(at, sizes))) {
    flat.lane += index.lane * stride;
    flat.part += index.part * stride;
    flat.offset += index.offset * stride;
    if (index.dynamic) {
      Value term = l.mul(index.dynamic, stride);
      flat.dynamic = flat.dynamic ? l.add(flat.dynamic, term) : term;
    }
    stride *= size;
  }
  return flat;
}

/// What evaluations in the kernel have in common: parameters, from global memory.
class KernelEvaluator : public Evaluator {
public:
  KernelEvaluator(ImplicitLocOpBuilder builder, Plan &plan, Dependences &dependences, const Split &split,
                  tile::Kernel &kernel, const Thread &thread, Operation *invariants)
      : Evaluator(std::move(builder), dependences, split), plan(plan), kernel(kernel), thread(thread) {
    invariantsEnd = invariants;
  }
  TokenPlace place;

protected:
  /// `pointer` moved by elements of `bytes` bytes.
  Value move(Value pointer, Index flat, Value lane, int64_t bytes) {
    Value offset = flat.dynamic;
    auto term = [&](Value value, int64_t factor) {
      if (factor != 0)
        offset = offset ? l.add(offset, l.mul(value, factor)) : l.mul(value, factor);
    };
    term(lane, flat.lane);
    term(thread.part, flat.part);
    if (offset)
      pointer = l.gep(pointer, l.mul(offset, bytes));
    return l.gep(pointer, flat.offset * bytes);
  }
  Value getParameter(BlockArgument argument, const Indices &at) override {
    const Array &array = plan.arrayOf(argument);
    Index flat = flatten(l, at, array.sizes);
    const tile::DeviceArray *device = kernel.find(user, array.name, "param");
    return loadElement(l, move(kernel.base(*device), flat, thread.lane, array.bytes()), array.element);
  }
  Value getToken(BlockArgument argument, const Indices &at) override {
    const Staged &staged = plan.staged[argument.getArgNumber()];
    Index flat = flatten(l, ArrayRef(at).drop_front(), staged.array->sizes);
    Value row = l.gep(place.stage, l.mul(place.first, staged.rowBytes));
    row = l.gep(row, staged.offset + place.next * staged.rowBytes);
    Value lane = staged.columnsOnly ? thread.laneInBlock : thread.lane;
    int64_t width = split.perLane, bytes = staged.array->bytes();
    if (width == 1 || flat.lane != width || flat.part || flat.dynamic || flat.offset >= width ||
        staged.rowBytes % (width * bytes) != 0)
      return loadElement(l, move(row, flat, lane, bytes), staged.array->element);
    // The neighbours of a column at once.
    tile::Scalars &neighbours = pairs[argument.getArgNumber()];
    if (neighbours.empty()) {
      auto type = VectorType::get(width, staged.array->element);
      Index first = flat;
      first.offset = 0;
      neighbours = l.splitVector(LLVM::LoadOp::create(l.b, type, move(row, first, lane, bytes), width * bytes));
    }
    Value value = neighbours[flat.offset];
    return staged.array->element.isF32() ? value : Value(LLVM::FPExtOp::create(l.b, l.b.getF32Type(), value));
  }
  Value rowOf(Value base, int64_t elements) {
    return l.gep(l.gep(base, l.mul(place.first, 4 * elements)), place.next * 4 * elements);
  }
  Value keptRow() { return rowOf(place.kept, plan.keptRow); }

  Plan &plan;
  tile::Kernel &kernel;
  const Thread &thread;
  /// By argument: the elements of this token that are neighbours.
  llvm::DenseMap<unsigned, tile::Scalars> pairs;

public:
  /// For messages.
  Operation *user = nullptr;
};

/// One thread's work on a token, in one sweep.
class ThreadEvaluator : public KernelEvaluator {
public:
  ThreadEvaluator(ImplicitLocOpBuilder builder, Plan &plan, Dependences &dependences, unsigned sweep,
                  tile::Kernel &kernel, const Thread &thread, Operation *invariants)
      : KernelEvaluator(std::move(builder), plan, dependences, plan.sweeps[sweep].split, kernel, thread, invariants),
        sweep(sweep) {}
  void beginToken(TokenPlace at) {
    Evaluator::beginToken();
    quads.clear();
    pairs.clear();
    place = at;
  }
  Value handedRow() { return rowOf(place.handed, plan.handedRow); }
  unsigned sweep;
  /// By the argument of the body: the elements that this thread has.
  llvm::DenseMap<Value, SmallVector<Value>> owned;

private:
  Value getState(BlockArgument argument, const Indices &at) override {
    const Array &array = plan.arrayOf(argument);
    if (std::optional<int64_t> position = split.getPosition(array.sizes, array.dims, at))
      return owned[argument][*position];
    return refuse(argument.getLoc(), "has no such element");
  }
  /// Four neighbours at once.
  Value getKept(Value tensor, const Indices &at) override {
    if (llvm::any_of(at, [](const Index &index) { return index.lane || index.dynamic; }))
      return {};
    auto handed = plan.handed.find(tensor);
    bool isHanded = handed != plan.handed.end() && handed->second.sweep < sweep;
    auto kept = plan.kept.find(tensor);
    if (!isHanded && kept == plan.kept.end())
      return {};
    Index flat = flatten(l, at, cast<ShapedType>(tensor.getType()).getShape());
    flat.offset += isHanded ? handed->second.offset : kept->second.offset;
    Value row = isHanded ? handedRow() : keptRow();
    if (flat.part % 4 != 0)
      return l.loadF32(move(row, flat, {}, 4));
    int64_t rest = flat.offset % 4;
    flat.offset -= rest;
    tile::Scalars &quad = quads[{isHanded, flat.part, flat.offset}];
    if (quad.empty())
      quad = l.loadF32s(move(row, flat, {}, 4), 4);
    return quad[rest];
  }
  Value combineParts(Value value, function_ref<Value(Value, Value)> combine) override {
    for (int64_t distance = 1; distance < split.parts; distance *= 2)
      value = combine(value, l.shuffle(NVVM::ShflKind::bfly, value, l.i32(distance)));
    return value;
  }

  std::map<std::tuple<bool, int64_t, int64_t>, tile::Scalars> quads;
};

/// One element of a kept value.
class BlockEvaluator : public KernelEvaluator {
public:
  using KernelEvaluator::KernelEvaluator;
  void begin(TokenPlace at, Value tensor) {
    beginToken();
    place = at;
    current = tensor;
  }

private:
  Value getState(BlockArgument argument, const Indices &) override {
    return refuse(argument.getLoc(), "a kept value reads a state");
  }
  Value getKept(Value tensor, const Indices &at) override {
    auto found = plan.kept.find(tensor);
    if (found == plan.kept.end() || found->second.level >= plan.kept[current].level || !isReduced(tensor))
      return {};
    Index flat = flatten(l, at, cast<ShapedType>(tensor.getType()).getShape());
    flat.offset += found->second.offset;
    return l.loadF32(move(keptRow(), flat, {}, 4));
  }
  Value current;
};

class ColumnBuilder : KernelBuilder {
public:
  ColumnBuilder(func::FuncOp body) : KernelBuilder(body, /*block=*/""), reasonLoc(body.getLoc()) {}

  LogicalResult collect(const ElementTypes &types);
  LogicalResult plan();
  LogicalResult build(gpu::GPUModuleOp module);

  std::string reason;
  Location reasonLoc;

private:
  ArrayAttr signatures();
  void emit();
  void findThread(const Sweep &sweep, bool isMain);
  void checkAlignment();
  Value tokenPointer(const Staged &staged);
  void copy(Value stage, Value tile);
  void copyElements(const Staged &staged, Value stage, Value first);
  void compute(Value stage, Value kept, Value count);
  void buildTile(Value tile, MutableArrayRef<Value> carried);
  SmallVector<Value> loadStates();
  void storeStates(ValueRange values);
  /// One token of a sweep: outputs stored, states replaced.
  void runToken(unsigned sweep, TokenPlace place, MutableArrayRef<Value> states, MutableArrayRef<Value> outputs);
  void storeOutput(ThreadEvaluator &evaluator, const Array &output, Value &pointer);
  SmallVector<Value> runTokens(unsigned sweep, TokenPlace place, Value count, int64_t unroll, ValueRange states,
                               ValueRange outputs);
  SmallVector<Value> runSweep(unsigned sweep, TokenPlace place, Value count, ValueRange states, ValueRange outputs);
  const Split &splitOf(const Array &state) { return plan_.sweeps[plan_.sweepOf(state.position)].split; }
  const Thread &threadOf(const Array &state) { return threads[plan_.sweepOf(state.position)]; }
  Value stagePointer(Value stage) { return l->gep(shared, l->mul(stage, plan_.stageBytes)); }
  Value keptPointer(Value tile) {
    Value half = l->mul(l->bitAnd(tile, 1), plan_.keptBytes());
    return l->gep(l->gep(shared, half), plan_.stages * plan_.stageBytes);
  }
  /// Tokens of a tile that are there.
  Value countOf(Value tile) {
    Value left = arith::SubIOp::create(l->b, kernel->tokens(), l->mul(tile, plan_.tokens));
    left = arith::MinSIOp::create(l->b, left, l->i32(plan_.tokens));
    return arith::MaxSIOp::create(l->b, left, l->i32(0));
  }
  Value nextStage(Value stage) {
    Value next = l->add(stage, 1);
    return l->select(l->compare(CmpIPredicate::eq, next, l->i32(plan_.stages)), l->i32(0), next);
  }
  void wait(int64_t pending) { NVVM::CpAsyncWaitGroupOp::create(l->b, pending); }

  Plan plan_;
  Dependences dependences;
  SmallVector<KernelArray> inputs, outputs, states;

  LLVM::LLVMFuncOp function;
  std::unique_ptr<tile::Kernel> kernel;
  std::unique_ptr<tile::Lowering> l;
  SmallVector<std::unique_ptr<ThreadEvaluator>> evaluators;
  /// For each sweep.
  std::vector<Thread> threads;
  Value threadNumber;
  Value shared;
  Operation *invariants = nullptr;
  /// For each staged array, whether asynchronous copies may read it (i1); null: none ever may.
  llvm::DenseMap<unsigned, Value> aligned;
};

} // namespace

//===----------------------------------------------------------------------------------------------------------------===//
// Arrays
//===----------------------------------------------------------------------------------------------------------------===//

LogicalResult ColumnBuilder::collect(const ElementTypes &types) {
  if (failed(collectArrays(types, inputs, outputs, states)))
    return failure();
  auto add = [](SmallVector<Array> &list, const KernelArray &array, StringRef role) {
    list.push_back({array.name, role, array.element, array.sizes, array.dims, unsigned(list.size())});
  };
  for (const KernelArray &array : inputs)
    add(plan_.inputs, array, array.role == Role::Param ? "param" : "token");
  for (const KernelArray &array : outputs)
    add(plan_.outputs, array, "output");
  for (const KernelArray &array : states) {
    add(plan_.states, array, "state");
    unsigned argument = inputs.size() + plan_.states.size();
    if (auto original = body.getArgAttrOfType<StringAttr>(argument, "rondo.copy_of")) {
      plan_.states.back().name = original.getValue();
      plan_.states.back().isCopy = true;
    }
  }
  return success();
}

LogicalResult ColumnBuilder::plan() {
  for (Operation &op : body.getBody().front())
    if (auto scan = dyn_cast<chunk::ScanOp>(op); scan && scan.getReverse()) {
      reason = "it runs backwards";
      reasonLoc = op.getLoc();
      return failure();
    }
  return makePlan(body, plan_, dependences, reason, reasonLoc);
}

ArrayAttr ColumnBuilder::signatures() {
  SmallVector<Attribute> list;
  for (auto [arrays, described] :
       {std::pair(&inputs, &plan_.inputs), std::pair(&outputs, &plan_.outputs), std::pair(&states, &plan_.states)})
    for (auto [array, description] : llvm::zip_equal(*arrays, *described))
      if (!description.isCopy)
        list.push_back(signature(array, description.role));
  return b.getArrayAttr(list);
}

//===----------------------------------------------------------------------------------------------------------------===//
// Tokens to shared memory
//===----------------------------------------------------------------------------------------------------------------===//

/// The first element that this block stages, of token 0.
Value ColumnBuilder::tokenPointer(const Staged &staged) {
  Value base = kernel->base(*kernel->find(function, staged.array->name, "token"));
  if (staged.columnsOnly && plan_.blocks > 1)
    base = l->gep(base, l->mul(kernel->column(), staged.rowBytes));
  return base;
}

/// Asynchronous copies need addresses that are multiples of their size.
void ColumnBuilder::checkAlignment() {
  Type i64 = l->b.getI64Type();
  for (auto &[argument, staged] : plan_.staged) {
    if (staged.unit == 0)
      continue;
    Value address = LLVM::PtrToIntOp::create(l->b, i64, tokenPointer(staged));
    Value stride = l->mul(kernel->stride(staged.array->name, "T"), staged.array->bytes());
    Value bits = l->bitAnd(arith::OrIOp::create(l->b, address, stride), staged.unit - 1);
    aligned[argument] = l->compare(CmpIPredicate::eq, bits, l->i64(0));
  }
}

/// Element by element, where rows are too narrow or not aligned.
void ColumnBuilder::copyElements(const Staged &staged, Value stage, Value first) {
  Value source = tokenPointer(staged), stride = kernel->stride(staged.array->name, "T");
  Type element = staged.array->element;
  int64_t total = plan_.tokens * staged.elements, bytes = staged.array->bytes();
  auto loop = scf::ForOp::create(l->b, threadNumber, l->i32(total), l->i32(plan_.threads));
  OpBuilder::InsertionGuard guard(l->b);
  l->b.setInsertionPoint(loop.getBody()->getTerminator());
  Value place = loop.getInductionVar();
  Value row = arith::DivUIOp::create(l->b, place, l->i32(staged.elements));
  Value token = l->add(first, row);
  l->ifThen(l->compare(CmpIPredicate::slt, token, kernel->tokens()), [&] {
    Value column = arith::RemUIOp::create(l->b, place, l->i32(staged.elements));
    Value offset = arith::MulIOp::create(l->b, arith::ExtUIOp::create(l->b, l->b.getI64Type(), token), stride);
    offset = l->add(offset, arith::ExtUIOp::create(l->b, l->b.getI64Type(), column));
    Value from = l->gep(source, l->mul(offset, bytes)), to = l->gep(l->gep(stage, l->mul(place, bytes)), staged.offset);
    Value value = LLVM::LoadOp::create(l->b, element, from, bytes);
    LLVM::StoreOp::create(l->b, value, to, bytes);
  });
}

/// Begins to fetch the tokens of `tile` into the stage `number`.
void ColumnBuilder::copy(Value number, Value tile) {
  Value stage = stagePointer(number), first = l->mul(tile, plan_.tokens);
  for (auto &[argument, staged] : plan_.staged) {
    if (staged.unit == 0) {
      copyElements(staged, stage, first);
      continue;
    }
    auto branch = scf::IfOp::create(l->b, aligned[argument], /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(l->b);
    l->b.setInsertionPoint(branch.elseBlock()->getTerminator());
    copyElements(staged, stage, first);
    l->b.setInsertionPoint(branch.thenBlock()->getTerminator());
    Value source = tokenPointer(staged);
    Value stride = l->mul(kernel->stride(staged.array->name, "T"), staged.array->bytes());
    int64_t bytes = staged.unit, place = staged.offset, unitsInRow = staged.rowBytes / staged.unit,
            units = unitsInRow * plan_.tokens;
    for (int64_t done = 0; done < units; done += plan_.threads) {
      Value unit = l->add(threadNumber, done);
      Value row = arith::DivUIOp::create(l->b, unit, l->i32(unitsInRow));
      Value inRow = arith::RemUIOp::create(l->b, unit, l->i32(unitsInRow));
      Value token = l->add(first, row);
      Value valid = l->compare(CmpIPredicate::slt, token, kernel->tokens());
      if (units - done < plan_.threads)
        valid = arith::AndIOp::create(l->b, valid, l->compare(CmpIPredicate::ult, unit, l->i32(units)));
      l->ifThen(valid, [&] {
        Value offset = arith::MulIOp::create(l->b, arith::ExtUIOp::create(l->b, l->b.getI64Type(), token), stride);
        Value from = l->gep(l->gep(source, offset), l->mul(inRow, bytes));
        Value to = l->gep(l->gep(stage, l->mul(unit, bytes)), place);
        NVVM::CpAsyncOp::create(l->b, to, from, bytes,
                                bytes == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA,
                                Value());
      });
    }
  }
  NVVM::CpAsyncCommitGroupOp::create(l->b);
}

/// Kept values of the `count` tokens in `stage`, each element by one thread.
void ColumnBuilder::compute(Value stage, Value kept, Value count) {
  Split whole;
  BlockEvaluator block(l->b, plan_, dependences, whole, *kernel, threads.back(), invariants);
  block.user = function;
  for (int64_t level = 0; level < plan_.levels; ++level) {
    if (level > 0)
      NVVM::Barrier0Op::create(l->b);
    for (auto &[tensor, about] : plan_.kept) {
      if (about.level != level)
        continue;
      int64_t total = plan_.tokens * about.elements, rounds = llvm::divideCeil(total, plan_.threads);
      Value limit = l->mul(count, about.elements);
      // Four at a time, so that one need not wait for the other.
      auto some = [&, tensor = tensor, about = about](Value first, int64_t number) {
        for (int64_t i = 0; i < number; ++i) {
          Value place = l->add(first, i * plan_.threads), wanted = place;
          if (total % (number * plan_.threads) != 0)
            place = arith::MinSIOp::create(l->b, place, l->i32(total - 1));
          Value token = arith::DivUIOp::create(l->b, place, l->i32(about.elements));
          Value rest = arith::RemUIOp::create(l->b, place, l->i32(about.elements)), inRow = rest;
          Indices at;
          for (int64_t size : llvm::reverse(cast<ShapedType>(tensor.getType()).getShape())) {
            Value index = arith::RemUIOp::create(l->b, rest, l->i32(size));
            at.insert(at.begin(), Index{0, 0, 0, size == 1 ? Value() : index});
            rest = arith::DivUIOp::create(l->b, rest, l->i32(size));
          }
          block.l.b.restoreInsertionPoint(l->b.saveInsertionPoint());
          block.begin({stage, kept, {}, token, 0}, tensor);
          Value value = block.get(tensor, at);
          Value row = l->gep(kept, l->mul(token, 4 * plan_.keptRow));
          Value target = l->gep(l->gep(row, l->mul(inRow, 4)), 4 * about.offset);
          l->ifThen(l->compare(CmpIPredicate::slt, wanted, limit),
                    [&] { LLVM::StoreOp::create(l->b, value, target, /*alignment=*/4); });
        }
      };
      if (rounds <= 4) {
        some(threadNumber, rounds);
        continue;
      }
      auto loop = scf::ForOp::create(l->b, threadNumber, l->i32(total), l->i32(4 * plan_.threads));
      OpBuilder::InsertionGuard guard(l->b);
      l->b.setInsertionPoint(loop.getBody()->getTerminator());
      some(loop.getInductionVar(), 4);
    }
  }
}

//===----------------------------------------------------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------------------------------------------------===//

void ColumnBuilder::findThread(const Sweep &sweep, bool isMain) {
  const Split &split = sweep.split;
  Thread thread;
  thread.part = l->bitAnd(threadNumber, split.parts - 1);
  Value inBlock = l->shr(threadNumber, llvm::Log2_64(split.parts));
  // Earlier sweeps are the same in all blocks of a head.
  Value first = isMain ? l->mul(kernel->column(), sweep.lanesPerBlock) : l->i32(0);
  thread.isActive = arith::AndIOp::create(l->b, l->compare(CmpIPredicate::slt, inBlock, l->i32(sweep.lanesPerBlock)),
                                          l->compare(CmpIPredicate::slt, l->add(first, inBlock), l->i32(split.lanes)));
  inBlock = arith::MinSIOp::create(l->b, inBlock, l->i32(sweep.lanesPerBlock - 1));
  thread.lane = arith::MinSIOp::create(l->b, l->add(first, inBlock), l->i32(split.lanes - 1));
  thread.laneInBlock = arith::SubIOp::create(l->b, thread.lane, first);
  threads.push_back(thread);
}

/// Whether the thread is the one to write what several have: `inLanes`, `inParts` if each lane or part has its own.
static Value isWriter(tile::Lowering &l, const Thread &thread, bool inLanes, bool inParts, int64_t parts) {
  Value writes = thread.isActive;
  if (!inLanes)
    writes = arith::AndIOp::create(l.b, writes, l.compare(CmpIPredicate::eq, thread.lane, l.i32(0)));
  if (!inParts && parts > 1)
    writes = arith::AndIOp::create(l.b, writes, l.compare(CmpIPredicate::eq, thread.part, l.i32(0)));
  return writes;
}

static std::pair<bool, bool> howDealtOut(const Split &split, const Array &array) {
  bool lanes = false, parts = false;
  for (size_t i = 0; i < array.sizes.size(); ++i) {
    lanes |= split.isLane(array.dims, i);
    parts |= split.isPart(array.dims, i);
  }
  return {lanes, parts};
}

/// The address of an element that this thread owns.
static Value elementPointer(tile::Lowering &l, const Thread &thread, Value base, const Array &array,
                            ArrayRef<Index> at) {
  Index flat = flatten(l, at, array.sizes);
  Value offset = l.add(l.add(l.mul(thread.lane, flat.lane), l.mul(thread.part, flat.part)), flat.offset);
  return l.gep(base, l.mul(offset, array.bytes()));
}

SmallVector<Value> ColumnBuilder::loadStates() {
  SmallVector<Value> values;
  for (const Array &state : plan_.states) {
    std::string name = (state.name + ".initial").str();
    Value pointer = kernel->pointer(name);
    Value base = kernel->base(*kernel->find(function, state.name, "state"), ".initial");
    SmallVector<Indices> owned = splitOf(state).getOwned(state.sizes, state.dims);
    Value given =
        LLVM::ICmpOp::create(l->b, LLVM::ICmpPredicate::ne, pointer, LLVM::ZeroOp::create(l->b, pointer.getType()));
    auto init = body.getArgAttrOfType<FloatAttr>(1 + plan_.inputs.size() + state.position, "rondo.init");
    auto branch = scf::IfOp::create(l->b, SmallVector<Type>(owned.size(), l->b.getF32Type()), given, true);
    OpBuilder::InsertionGuard guard(l->b);
    l->b.setInsertionPointToStart(branch.thenBlock());
    SmallVector<Value> loaded;
    for (const Indices &at : owned)
      loaded.push_back(loadElement(*l, elementPointer(*l, threadOf(state), base, state, at), state.element));
    scf::YieldOp::create(l->b, loaded);
    l->b.setInsertionPointToStart(branch.elseBlock());
    Value initial = l->f32(init ? init.getValueAsDouble() : 0);
    scf::YieldOp::create(l->b, SmallVector<Value>(owned.size(), initial));
    llvm::append_range(values, branch.getResults());
  }
  return values;
}

void ColumnBuilder::storeStates(ValueRange values) {
  for (const Array &state : plan_.states) {
    if (state.isCopy) {
      values = values.drop_front(splitOf(state).getOwned(state.sizes, state.dims).size());
      continue;
    }
    Value pointer = kernel->pointer((state.name + ".final").str());
    Value base = kernel->base(*kernel->find(function, state.name, "state"), ".final");
    const Split &split = splitOf(state);
    auto [inLanes, inParts] = howDealtOut(split, state);
    Value given =
        LLVM::ICmpOp::create(l->b, LLVM::ICmpPredicate::ne, pointer, LLVM::ZeroOp::create(l->b, pointer.getType()));
    SmallVector<Indices> owned = split.getOwned(state.sizes, state.dims);
    Value writes = isWriter(*l, threadOf(state), inLanes, inParts, split.parts);
    if (plan_.blocks > 1 && plan_.sweepOf(state.position) + 1 != plan_.sweeps.size())
      writes = arith::AndIOp::create(l->b, writes, l->compare(CmpIPredicate::eq, kernel->column(), l->i32(0)));
    l->ifThen(arith::AndIOp::create(l->b, given, writes), [&, values = values] {
      for (auto [at, value] : llvm::zip(owned, values))
        storeElement(*l, value, elementPointer(*l, threadOf(state), base, state, at), state.element);
    });
    values = values.drop_front(owned.size());
  }
}

//===----------------------------------------------------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------------------------------------------------===//

void ColumnBuilder::storeOutput(ThreadEvaluator &evaluator, const Array &output, Value &pointer) {
  const Split &split = plan_.main().split;
  const Thread &thread = threads.back();
  Operation *results = body.getBody().front().getTerminator();
  SmallVector<Indices> owned = split.getOwned(output.sizes, output.dims);
  SmallVector<Value> values;
  for (Indices at : owned) {
    at.insert(at.begin(), Index());
    values.push_back(evaluator.get(results->getOperand(output.position), at));
  }
  auto [inLanes, inParts] = howDealtOut(split, output);
  if (inLanes && !inParts && split.perLane > 1 && split.parts >= split.perLane && output.sizes.size() == 1) {
    // The threads of a column have all its elements: each writes one.
    Value mine = values.front();
    for (int64_t k = 1; k < split.perLane; ++k)
      mine = l->select(l->compare(CmpIPredicate::eq, thread.part, l->i32(k)), values[k], mine);
    Value writes = arith::AndIOp::create(l->b, thread.isActive,
                                         l->compare(CmpIPredicate::ult, thread.part, l->i32(split.perLane)));
    l->ifThen(writes, [&] {
      Value place = l->add(l->mul(thread.lane, split.perLane), thread.part);
      storeElement(*l, mine, l->gep(pointer, l->mul(place, output.bytes())), output.element);
    });
  } else {
    l->ifThen(isWriter(*l, thread, inLanes, inParts, split.parts), [&] {
      for (auto [at, value] : llvm::zip_equal(owned, values))
        storeElement(*l, value, elementPointer(*l, thread, pointer, output, at), output.element);
    });
  }
  pointer = l->gep(pointer, l->mul(kernel->stride(output.name, "T"), output.bytes()));
}

void ColumnBuilder::runToken(unsigned number, TokenPlace place, MutableArrayRef<Value> states,
                             MutableArrayRef<Value> outputs) {
  const Sweep &sweep = plan_.sweeps[number];
  const Thread &thread = threads[number];
  ThreadEvaluator &evaluator = *evaluators[number];
  evaluator.l.b.restoreInsertionPoint(l->b.saveInsertionPoint());
  evaluator.beginToken(place);
  // The elements of this sweep's states among those of all.
  SmallVector<MutableArrayRef<Value>> own;
  MutableArrayRef<Value> rest = states;
  for (const Array &state : plan_.states) {
    size_t count = splitOf(state).getOwned(state.sizes, state.dims).size();
    if (llvm::is_contained(sweep.states, state.position)) {
      evaluator.owned[body.getArgument(1 + plan_.inputs.size() + state.position)].assign(rest.begin(),
                                                                                         rest.begin() + count);
      own.push_back(rest.take_front(count));
    }
    rest = rest.drop_front(count);
  }
  Operation *results = body.getBody().front().getTerminator();
  SmallVector<SmallVector<Value>> next;
  for (unsigned state : sweep.states) {
    const Array &array = plan_.states[state];
    next.emplace_back();
    for (const Indices &at : sweep.split.getOwned(array.sizes, array.dims))
      next.back().push_back(evaluator.get(results->getOperand(plan_.outputs.size() + state), at));
  }
  for (Value handed : sweep.handed) {
    SmallVector<Indices> elements = *getHandedIndices(handed, sweep.split);
    SmallVector<Value> values;
    for (const Indices &at : elements)
      values.push_back(evaluator.get(handed, at));
    bool inLanes = plan_.handed[handed].elements > 1;
    Value row = l->gep(evaluator.handedRow(), 4 * plan_.handed[handed].offset);
    l->ifThen(isWriter(*l, thread, inLanes, /*inParts=*/false, sweep.split.parts), [&] {
      Value first = inLanes ? l->gep(row, l->mul(thread.lane, 4 * sweep.split.perLane)) : row;
      for (auto [k, value] : llvm::enumerate(values))
        LLVM::StoreOp::create(l->b, value, l->gep(first, 4 * k), /*alignment=*/4);
    });
  }
  if (number + 1 == plan_.sweeps.size())
    for (auto [output, pointer] : llvm::zip_equal(plan_.outputs, outputs))
      storeOutput(evaluator, output, pointer);
  for (auto [elements, values] : llvm::zip_equal(own, next))
    llvm::copy(values, elements.begin());
}

/// `count` tokens, a multiple of `unroll`. Returns the states.
SmallVector<Value> ColumnBuilder::runTokens(unsigned sweep, TokenPlace place, Value count, int64_t unroll,
                                            ValueRange states, ValueRange outputs) {
  SmallVector<Value> carried(states);
  llvm::append_range(carried, outputs);
  auto loop = scf::ForOp::create(l->b, l->i32(0), count, l->i32(unroll), carried);
  OpBuilder::InsertionGuard guard(l->b);
  l->b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> values(loop.getRegionIterArgs());
  place.first = loop.getInductionVar();
  for (place.next = 0; place.next < unroll; ++place.next)
    runToken(sweep, place, MutableArrayRef(values).take_front(states.size()),
             MutableArrayRef(values).drop_front(states.size()));
  // An empty loop has its end already.
  if (!values.empty())
    scf::YieldOp::create(l->b, values);
  return SmallVector<Value>(loop.getResults().take_front(states.size()));
}

/// The `count` tokens of a stage.
SmallVector<Value> ColumnBuilder::runSweep(unsigned sweep, TokenPlace place, Value count, ValueRange states,
                                           ValueRange outputs) {
  int64_t unroll = plan_.sweeps[sweep].unroll;
  if (unroll == 1)
    return runTokens(sweep, place, count, 1, states, outputs);
  Value isFull = l->compare(CmpIPredicate::eq, count, l->i32(plan_.tokens));
  auto branch = scf::IfOp::create(l->b, SmallVector<Type>(states.size(), l->b.getF32Type()), isFull, true);
  OpBuilder::InsertionGuard guard(l->b);
  l->b.setInsertionPointToStart(branch.thenBlock());
  SmallVector<Value> results = runTokens(sweep, place, l->i32(plan_.tokens), unroll, states, outputs);
  if (!states.empty())
    scf::YieldOp::create(l->b, results);
  l->b.setInsertionPointToStart(branch.elseBlock());
  results = runTokens(sweep, place, count, 1, states, outputs);
  if (!states.empty())
    scf::YieldOp::create(l->b, results);
  return SmallVector<Value>(branch.getResults());
}

/// The tokens of one stage. `carried`: the states, the stage to read, the stage to fill.
void ColumnBuilder::buildTile(Value tile, MutableArrayRef<Value> carried) {
  MutableArrayRef<Value> states = carried.drop_back(2);
  Value &reading = carried[carried.size() - 2], &filling = carried.back();
  bool keeps = !plan_.kept.empty();
  // Kept values are made of the next tile's tokens.
  wait(plan_.stages - (keeps ? 3 : 2));
  NVVM::Barrier0Op::create(l->b);
  copy(filling, l->add(tile, plan_.stages - 1));
  Value following = nextStage(reading);
  if (keeps) {
    Value next = l->add(tile, 1);
    compute(stagePointer(following), keptPointer(next), countOf(next));
  }

  Value count = countOf(tile);
  SmallVector<Value> outputs;
  for (const Array &output : plan_.outputs) {
    Value first = arith::ExtUIOp::create(l->b, l->b.getI64Type(), l->mul(tile, plan_.tokens));
    Value offset = l->mul(arith::MulIOp::create(l->b, first, kernel->stride(output.name, "T")), output.bytes());
    outputs.push_back(l->gep(kernel->base(*kernel->find(function, output.name, "output")), offset));
  }
  Value handed = l->gep(shared, plan_.stages * plan_.stageBytes + 2 * plan_.keptBytes());
  TokenPlace place{stagePointer(reading), keeps ? keptPointer(tile) : Value(), handed, {}, 0};
  SmallVector<Value> results(states.begin(), states.end());
  for (unsigned i = 0; i < plan_.sweeps.size(); ++i) {
    if (i > 0)
      NVVM::Barrier0Op::create(l->b);
    bool isMain = i + 1 == plan_.sweeps.size();
    results = runSweep(i, place, count, results, isMain ? ValueRange(outputs) : ValueRange());
  }
  llvm::copy(results, states.begin());
  reading = following;
  filling = nextStage(filling);
}

//===----------------------------------------------------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------------------------------------------------===//

void ColumnBuilder::emit() {
  threadNumber = NVVM::ThreadIdXOp::create(l->b, l->b.getI32Type());
  for (const Sweep &sweep : plan_.sweeps)
    findThread(sweep, &sweep == &plan_.main());
  checkAlignment();
  SmallVector<Value> carried = loadStates();
  invariants = LLVM::UndefOp::create(l->b, l->b.getI32Type());
  for (unsigned i = 0; i < plan_.sweeps.size(); ++i) {
    evaluators.push_back(
        std::make_unique<ThreadEvaluator>(l->b, plan_, dependences, i, *kernel, threads[i], invariants));
    evaluators.back()->user = function;
  }

  auto fill = scf::ForOp::create(l->b, l->i32(0), l->i32(plan_.stages - 1), l->i32(1));
  {
    OpBuilder::InsertionGuard guard(l->b);
    l->b.setInsertionPoint(fill.getBody()->getTerminator());
    copy(fill.getInductionVar(), fill.getInductionVar());
  }
  if (!plan_.kept.empty()) {
    wait(plan_.stages - 2);
    NVVM::Barrier0Op::create(l->b);
    compute(stagePointer(l->i32(0)), keptPointer(l->i32(0)), countOf(l->i32(0)));
  }
  carried.push_back(l->i32(0));
  carried.push_back(l->i32(plan_.stages - 1));
  auto loop = scf::ForOp::create(l->b, l->i32(0), kernel->chunks(), l->i32(1), carried);
  {
    OpBuilder::InsertionGuard guard(l->b);
    l->b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> values(loop.getRegionIterArgs());
    buildTile(loop.getInductionVar(), values);
    scf::YieldOp::create(l->b, values);
  }
  wait(0);
  storeStates(loop.getResults().drop_back(2));
  invariants->erase();
}

LogicalResult ColumnBuilder::build(gpu::GPUModuleOp module) {
  std::string name = (body.getSymName() + "_kernel").str();
  ImplicitLocOpBuilder builder(loc, module.getContext());
  builder.setInsertionPointToEnd(module.getBody());
  auto bytes = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  LLVM::GlobalOp::create(builder, bytes, /*isConstant=*/false, LLVM::Linkage::External, name + "_shared", Attribute(),
                         /*alignment=*/128, /*addrSpace=*/3);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), {});
  function = LLVM::LLVMFuncOp::create(builder, name, type);
  builder.setInsertionPointToStart(function.addEntryBlock(builder));
  shared = LLVM::AddressOfOp::create(builder, LLVM::LLVMPointerType::get(builder.getContext(), 3), name + "_shared");
  Operation *common = LLVM::UndefOp::create(builder, builder.getI32Type());
  ArrayAttr arrays = signatures();
  kernel = std::make_unique<tile::Kernel>(arrays, plan_.tokens, plan_.blocks, function, common);
  l = std::make_unique<tile::Lowering>(builder);
  emit();
  LLVM::ReturnOp::create(l->b, ValueRange());
  common->erase();
  for (auto &evaluator : evaluators)
    if (!evaluator->reason.empty())
      return emitError(evaluator->reasonLoc) << evaluator->reason;

  // A host finds the batch entries and heads from these, whatever the kernel asks.
  for (StringRef dim : {"B", "T", "H"})
    kernel->size(dim);
  kernel->setArguments();
  int32_t threads = plan_.threads;
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), builder.getDenseI32ArrayAttr({threads}));
  // Else ptxas keeps registers for a second block, and spills.
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), builder.getI32IntegerAttr(1));
  function->setAttr("rondo.arrays", arrays);
  function->setAttr("rondo.chunk", builder.getI64IntegerAttr(plan_.tokens));
  auto entry = [&](StringRef key, int64_t value) {
    return builder.getNamedAttr(key, builder.getI64IntegerAttr(value));
  };
  function->setAttr("rondo.launch", builder.getDictionaryAttr(
                                        {entry("threads", threads), entry("shared", plan_.sharedBytes()),
                                         entry("blocks", plan_.blocks), entry("maxBlocks", 0), entry("workspace", 0),
                                         builder.getNamedAttr("params", kernel->parameters())}));
  return success();
}

namespace {
struct BuildColumns : rondo::impl::RondoBuildColumnsBase<BuildColumns> {
  using RondoBuildColumnsBase::RondoBuildColumnsBase;

  void runOnOperation() override {
    FailureOr<ElementTypes> types = parseElementTypes(getOperation(), dtype, dtypes);
    if (failed(types))
      return signalPassFailure();
    for (func::FuncOp body : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      auto chunk = body->getAttrOfType<IntegerAttr>("rondo.chunk");
      if (!chunk || body->hasAttr("rondo.arrays") || body->hasAttr("rondo.backward") || body->hasAttr("rondo.step"))
        continue;
      ColumnBuilder builder(body);
      if (chunk.getInt() != 1) {
        builder.reason = "it is the body of a chunk, not of one token (rondo-derive{form=sequential chunk=1})";
      } else if (failed(builder.collect(*types))) {
        return signalPassFailure();
      } else if (succeeded(builder.plan())) {
        if (failed(builder.build(getModule())))
          return signalPassFailure();
        body.erase();
        continue;
      }
      if (required) {
        emitError(builder.reasonLoc) << "threads cannot own columns of its states: " << builder.reason;
        return signalPassFailure();
      }
      emitRemark(builder.reasonLoc) << "threads cannot own columns of its states: " << builder.reason;
    }
  }

  gpu::GPUModuleOp getModule() {
    if (auto module = getOperation().lookupSymbol<gpu::GPUModuleOp>("cuda"))
      return module;
    OpBuilder b = OpBuilder::atBlockEnd(getOperation().getBody());
    return gpu::GPUModuleOp::create(b, getOperation().getLoc(), "cuda");
  }
};
} // namespace
