//===- LowerTiles.cpp - From a tile kernel to the code of its threads ------------------------------------------===//

#include "Kernel.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Conversion/Tile.h"
#include "llvm/Support/MathExtras.h"

#define DEBUG_TYPE "rondo-lower-tiles"

namespace rondo {
#define GEN_PASS_DEF_RONDOLOWERTILES
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

using arith::CmpIPredicate;

/// What a block may use of an H100 or H200.
static constexpr int64_t kMaxSharedBytes = 232448, kMaxBarriers = 15, kMaxThreads = 1024, kRegisters = 65536;
/// Registers, besides those that a loop carries, with which a role may keep the addresses that its threads use.
static constexpr int64_t kAmple = 168;

//===----------------------------------------------------------------------------------------------------------------===//
// This thread
//===----------------------------------------------------------------------------------------------------------------===//

void RoleLowering::setThread(Value newLane, Value newWarp) {
  lane = newLane;
  warp = newWarp;
  quad = shr(lane, 2);
  inQuad = bitAnd(lane, 3);
}

void RoleLowering::hideThread() {
  auto hide = [&](Value x) { return inlineAsm("mov.b32 $0, $1;", "=r,r", x, {b.getI32Type()}).front(); };
  Value hidden = hide(lane);
  setThread(hidden, warps == 1 ? warp : hide(warp));
}

Value RoleLowering::isFirstLane() { return compare(CmpIPredicate::eq, lane, i32(0)); }
Value RoleLowering::isFirstWarp() { return compare(CmpIPredicate::eq, warp, i32(0)); }
Value RoleLowering::isFirstThread() {
  if (warps == 1)
    return isFirstLane();
  return arith::AndIOp::create(b, isFirstWarp(), isFirstLane());
}

//===----------------------------------------------------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------------------------------------------------===//

static int64_t warpsOf(Attribute layout) {
  return llvm::TypeSwitch<Attribute, int64_t>(layout)
      .Case<FragmentAttr, ColumnsAttr, RowsAttr>([](auto layout) { return layout.getWarps(); })
      .Case<OctetsAttr, OctetRowsAttr, GramAttr>([](Attribute) { return 8; })
      .Default([](Attribute) { return 0; });
}

LogicalResult RoleLowering::checkLayouts(Operation *op) {
  for (Value result : op->getResults()) {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (!type)
      continue;
    if (!type.getEncoding())
      return op->emitOpError("gives ") << type << ", which needs a layout";
    int64_t needed = warpsOf(type.getEncoding());
    if (needed && needed != warps)
      return op->emitOpError("gives a value of ") << needed << " warps in a role of " << warps;
  }
  return success();
}

// Registers are what a role has least of, and a product in flight holds its operands and its result. So what only reads
// shared memory or computes element by element is lowered where a product, a store or the like asks for it, and the
// products in flight that it uses are waited for before: loads that the program has before a product do not fill
// registers beside it. Reads stay before anything that lets others write.

static bool isRead(Operation *op) { return isa<LoadOp, LoadScalarOp, IntervalProductsOp>(op); }

static bool isDeferrable(Operation *op) {
  if (isRead(op) || isa<BroadcastOp, IotaOp, SplitPairsOp, JoinPairsOp>(op))
    return true;
  return isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
         !op->hasTrait<OpTrait::ConstantLike>() && llvm::any_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>);
}

/// Whether reads may move behind `op`: nobody may write what this role reads because of it.
static bool keepsBuffers(Operation *op) {
  return isa<MmaOp, DotOp, ReduceOp, WaitOp, AcquireOp, CommitOp, SlotOp, BlockOp, WindowOp, CopyIndexOp, BlockIndexOp,
             ChunksOp, CountOp>(op) ||
         isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect());
}

/// The buffer or ring of which `value` is a part.
static Value rootOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<SlotOp, BlockOp, WindowOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

LogicalResult RoleLowering::lowerDeferred(ValueRange values) {
  llvm::SetVector<Operation *> needed;
  for (Value value : values)
    if (Operation *op = value.getDefiningOp(); op && deferred.contains(op))
      needed.insert(op);
  for (size_t i = 0; i < needed.size(); ++i)
    for (Value operand : needed[i]->getOperands())
      if (Operation *op = operand.getDefiningOp(); op && deferred.contains(op))
        needed.insert(op);
  SmallVector<Operation *> ops = needed.takeVector();
  llvm::sort(ops, [](Operation *x, Operation *y) { return x->isBeforeInBlock(y); });
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      waitFor(operand);
  for (Operation *op : ops) {
    deferred.remove(op);
    if (failed(lowerNow(op)))
      return failure();
    if (llvm::all_of(op->getOperands(), [&](Value operand) {
          Operation *from = operand.getDefiningOp();
          return !from || from->getBlock() != op->getBlock() || recomputable.contains(from) ||
                 isa<SlotOp, BlockOp, WindowOp>(from) || !isa<RankedTensorType>(operand.getType());
        }))
      recomputable.insert(op);
  }
  return success();
}

LogicalResult RoleLowering::lowerDeferredReads() {
  SmallVector<Value> reads;
  for (Operation *op : deferred)
    if (isRead(op))
      reads.push_back(op->getResult(0));
  recomputable.clear();
  return lowerDeferred(reads);
}

LogicalResult RoleLowering::lowerAllDeferred() {
  SmallVector<Value> all;
  for (Operation *op : deferred)
    all.push_back(op->getResult(0));
  recomputable.clear();
  return lowerDeferred(all);
}

/// `op` needs many registers: what is used after it and can be computed again does not stay in them.
void RoleLowering::forgetRecomputable(Operation *op) {
  llvm::SmallDenseSet<Value> written;
  for (Value operand : op->getOperands())
    written.insert(rootOf(operand));
  for (Operation *other : recomputable.takeVector())
    if (llvm::none_of(other->getOperands(), [&](Value operand) { return written.contains(rootOf(operand)); }) &&
        llvm::any_of(other->getUsers(), [&](Operation *user) {
          Operation *ancestor = op->getBlock()->findAncestorOpInBlock(*user);
          return ancestor && op->isBeforeInBlock(ancestor);
        }))
      deferred.insert(other);
}

/// The values that a loop carries and of which `value` is made by operations that are still deferred.
void RoleLowering::collectCarried(Value value, llvm::SmallPtrSetImpl<Value> &carried) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (isa<RankedTensorType>(argument.getType()))
      carried.insert(argument);
    return;
  }
  if (Operation *from = value.getDefiningOp(); from && deferred.contains(from))
    for (Value operand : from->getOperands())
      collectCarried(operand, carried);
}

/// Whether the loop around `op` carries more than one fragment.
static bool carriesSeveral(Operation *op) {
  auto loop = dyn_cast<scf::ForOp>(op->getParentOp());
  return loop && llvm::count_if(loop.getRegionIterArgs(), [](Value value) {
                   auto type = dyn_cast<RankedTensorType>(value.getType());
                   return type && isa_and_nonnull<FragmentAttr>(type.getEncoding());
                 }) > 1;
}

/// A carried value that is made of several is made when these have been read and no product is in flight: beside one,
/// or when others have taken the registers of the old ones, ptxas would move registers, and serialize all products.
LogicalResult RoleLowering::lowerCoupled(MmaOp op) {
  SmallVector<Value> sums;
  for (auto other : op->getBlock()->getOps<MmaOp>())
    if (Value accumulator = other.getAccumulator()) {
      llvm::SmallPtrSet<Value, 4> carried;
      collectCarried(accumulator, carried);
      if (carried.size() > 1)
        sums.push_back(accumulator);
    }
  if (sums.empty())
    return success();
  waitForAll();
  if (failed(lowerDeferred(sums)))
    return failure();
  holdInRegisters(sums);
  return success();
}

LogicalResult RoleLowering::lowerOperation(Operation *op) {
  if (isDeferrable(op)) {
    deferred.insert(op);
    return success();
  }
  if (madeElsewhere.contains(op))
    return success();
  if (auto mma = dyn_cast<MmaOp>(op); mma && mma.getAccumulator() && failed(lowerCoupled(mma)))
    return failure();
  // Reads of several carried values: all are rounded before the first product.
  if (auto mma = dyn_cast<MmaOp>(op)) {
    llvm::SmallPtrSet<Value, 4> carried, others;
    collectCarried(mma.getLhs(), carried);
    SmallVector<Value> operands{mma.getLhs()};
    // Carried values and what is read of them, in registers of a thread.
    int64_t registers = 0;
    if (auto loop = dyn_cast<scf::ForOp>(op->getParentOp()))
      for (Value value : loop.getRegionIterArgs())
        if (auto type = dyn_cast<RankedTensorType>(value.getType()))
          registers += getScalarsPerThread(type);
    for (auto other : op->getBlock()->getOps<MmaOp>()) {
      others.clear();
      collectCarried(other.getLhs(), others);
      if (other == mma || !others.empty())
        registers += getScalarsPerThread(cast<RankedTensorType>(other.getResult().getType()));
    }
    // Where they are many, one by one.
    constexpr int64_t kReadAtOnce = 128;
    bool isMany = registers > kReadAtOnce;
    if (!carried.empty())
      for (auto other : op->getBlock()->getOps<MmaOp>()) {
        others.clear();
        collectCarried(other.getLhs(), others);
        if (!others.empty() && llvm::none_of(others, [&](Value value) { return carried.contains(value); }))
          operands.push_back(other.getLhs());
      }
    if (!carried.empty() && carriesSeveral(op)) {
      if (isMany || operands.size() == 1) {
        waitForAll();
      } else {
        if (failed(lowerDeferred(operands)))
          return failure();
        holdInRegisters(operands);
      }
    }
  }
  // What other products with the same left operand add to: one fence for all. Their registers must not be computed
  // beside a product in flight, or ptxas serializes all products of the kernel (C7518).
  if (auto mma = dyn_cast<MmaOp>(op); mma && isa<RankedTensorType>(mma.getLhs().getType())) {
    SmallVector<Value> accumulators;
    for (Operation *user : mma.getLhs().getUsers())
      if (auto other = dyn_cast<MmaOp>(user); other && other != mma && other.getAccumulator())
        accumulators.push_back(other.getAccumulator());
    if (mma.getAccumulator() && llvm::any_of(accumulators, [&](Value value) {
          Operation *from = value.getDefiningOp();
          return from && deferred.contains(from);
        }))
      waitFor(mma.getAccumulator());
    if (failed(lowerDeferred(accumulators)))
      return failure();
  }
  if (isa<scf::ForOp, scf::IfOp>(op)) {
    if (failed(lowerAllDeferred()))
      return failure();
  } else {
    SmallVector<Value> operands(op->getOperands());
    if (auto mma = dyn_cast<MmaOp>(op))
      if (arith::TruncFOp rounded = getLongOperand(mma))
        operands.front() = rounded.getIn();
    if (failed(lowerDeferred(operands)))
      return failure();
  }
  if (isa<InverseOp>(op)) {
    forgetRecomputable(op);
    return lowerNow(op);
  }
  if (!keepsBuffers(op) && failed(lowerDeferredReads()))
    return failure();
  return lowerNow(op);
}

LogicalResult RoleLowering::lowerNow(Operation *op) {
  OpBuilder::InsertionGuard guard(b);
  b.setLoc(op->getLoc());
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return lowerLoop(loop);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return lowerIf(branch);
  // A constant of the kernel may belong to another role.
  if (!op->hasTrait<OpTrait::ConstantLike>() && failed(checkLayouts(op)))
    return failure();
  // Products end before anything else uses their results; what branches inside begins with nothing in flight.
  if (isa<DecayedFactorsOp, DecayedGramOp, IntervalTablesOp>(op))
    waitForAll();
  else if (!isa<MmaOp>(op))
    for (Value operand : op->getOperands())
      waitFor(operand);
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](CopyIndexOp index) { return set(index.getResult(), {copy}), success(); })
      .Case([&](BlockIndexOp index) { return set(index.getResult(), {kernel.column()}), success(); })
      .Case([&](ChunksOp index) { return set(index.getResult(), {kernel.chunks()}), success(); })
      .Case<LoadOp, LoadScalarOp, StoreOp, BroadcastOp, IotaOp, ReduceOp, MmaOp, DotOp, SlotOp, BlockOp, WindowOp,
            AcquireOp, CommitOp, WaitOp, ReleaseOp, SyncOp, FetchOp, WriteBackOp, DrainOp, CountOp, LoadTokensOp,
            LoadTotalOp, StoreTokensOp, LoadParameterOp, LoadStateOp, StoreStateOp, SplitPairsOp, JoinPairsOp,
            DecayedApplyOp>([&](auto op) { return lower(op, *this); })
      // One line for each of LowerTime.cpp, LowerInverse.cpp and LowerGram.cpp.
      .Case<DecayedFactorsOp, DecayedGramOp>([&](auto op) { return lower(op, *this); })
      .Case<CumprodOp, TotalOp, ScanOp, IntervalTablesOp, CoupledProductsOp, IntervalProductsOp, InverseOp>(
          [&](auto op) { return lower(op, *this); })
      .Default([&](Operation *op) -> LogicalResult {
        if (isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()))
          return lowerElementwise(op, *this);
        return op->emitOpError("has no lowering in a tile kernel");
      });
}

LogicalResult RoleLowering::lowerBlock(Block &block) {
  for (Operation &op : block)
    if (!op.hasTrait<OpTrait::IsTerminator>())
      if (failed(lowerOperation(&op)))
        return failure();
  if (failed(lowerAllDeferred()))
    return failure();
  recomputable.clear();
  return success();
}

/// The scalars of several values, one after the other.
static Scalars flatten(RoleLowering &l, ValueRange values) {
  Scalars scalars;
  for (Value value : values)
    llvm::append_range(scalars, l.get(value));
  return scalars;
}

/// Gives `values` the scalars that others of the same types have as `scalars`.
static void unflatten(RoleLowering &l, ValueRange values, ValueRange like, ValueRange scalars) {
  for (auto [value, other] : llvm::zip_equal(values, like)) {
    size_t count = l.get(other).size();
    l.set(value, Scalars(scalars.take_front(count)));
    scalars = scalars.drop_front(count);
  }
}

LogicalResult RoleLowering::lowerLoop(scf::ForOp op) {
  waitForAll();
  Scalars inits = flatten(*this, op.getInitArgs());
  auto loop = scf::ForOp::create(b, getScalar(op.getLowerBound()), getScalar(op.getUpperBound()),
                                 getScalar(op.getStep()), inits);
  Value outerLane = lane, outerWarp = warp, outerQuad = quad, outerInQuad = inQuad;
  bool isAmple = static_cast<int64_t>(role.getRegisters()) >= kAmple + static_cast<int64_t>(inits.size());
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    if (!isAmple)
      hideThread();
    set(op.getInductionVar(), {loop.getInductionVar()});
    unflatten(*this, op.getRegionIterArgs(), op.getInitArgs(), loop.getRegionIterArgs());
    if (failed(lowerBlock(*op.getBody())))
      return failure();
    waitForAll();
    Scalars next = flatten(*this, op.getBody()->getTerminator()->getOperands());
    if (inits.empty())
      b.setInsertionPoint(loop.getBody()->getTerminator());
    else
      scf::YieldOp::create(b, next);
  }
  std::tie(lane, warp, quad, inQuad) = std::tie(outerLane, outerWarp, outerQuad, outerInQuad);
  // Nor do addresses of before stay in registers for what comes after the loop.
  if (!isAmple)
    hideThread();
  unflatten(*this, op.getResults(), op.getInitArgs(), loop.getResults());
  return success();
}

LogicalResult RoleLowering::lowerIf(scf::IfOp op) {
  waitForAll();
  // The types of the results are known when a branch has been lowered: count them from the layouts.
  SmallVector<Type> types;
  for (Type type : op.getResultTypes()) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    Type element = tensor && isPacked(tensor) ? b.getI32Type() : getElementTypeOrSelf(type);
    if (element.isIndex())
      element = b.getI32Type();
    if (isa<SharedType>(type))
      element = LLVM::LLVMPointerType::get(op.getContext(), 3);
    types.append(tensor ? getScalarsPerThread(tensor) : 1, element);
  }
  bool hasElse = !op.getElseRegion().empty();
  auto branch = scf::IfOp::create(b, types, getScalar(op.getCondition()), hasElse);
  auto outer = std::tuple(lane, warp, quad, inQuad);
  for (auto [from, to] : llvm::zip(op->getRegions(), branch->getRegions())) {
    if (from.empty())
      continue;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&to.front());
    if (failed(lowerBlock(from.front())))
      return failure();
    waitForAll();
    if (!types.empty())
      scf::YieldOp::create(b, flatten(*this, from.front().getTerminator()->getOperands()));
    // A loop in the branch has numbers of the thread of its own.
    std::tie(lane, warp, quad, inQuad) = outer;
  }
  // As after a loop.
  if (op.getOperation()->walk([](MmaOp) { return WalkResult::interrupt(); }).wasInterrupted())
    hideThread();
  ValueRange scalars = branch.getResults();
  for (Value result : op.getResults()) {
    auto tensor = dyn_cast<RankedTensorType>(result.getType());
    size_t count = tensor ? getScalarsPerThread(tensor) : 1;
    set(result, Scalars(scalars.take_front(count)));
    scalars = scalars.drop_front(count);
  }
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
/// Where a role runs.
struct Placement {
  RoleOp role;
  int64_t firstWarp, firstBarrier;
  /// Whether a barrier of all copies comes after those of each.
  bool hasCommonBarrier;
  int64_t end() { return firstWarp + role.getWarps() * role.getCopies(); }
  bool isWarpgroups() { return role.getWarps() % 4 == 0; }
};

/// One `tile.kernel`.
class KernelLowering {
public:
  KernelLowering(KernelOp op, gpu::GPUModuleOp module, bool everyLaneArrives)
      : op(op), module(module), everyLaneArrives(everyLaneArrives), b(op.getLoc(), op) {}

  LogicalResult run();

private:
  LogicalResult place();
  LogicalResult budgetRegisters();
  LogicalResult layOut();
  FailureOr<std::pair<int64_t, int64_t>> countArrivals(MakeChannelOp channel);
  LogicalResult initializeBarriers(Value shared);
  void setRegisters(int64_t registers);
  LogicalResult dispatch(Value lane, Value warp);
  LogicalResult lowerRole(Placement &placement, Value lane, Value warp);

  KernelOp op;
  gpu::GPUModuleOp module;
  bool everyLaneArrives;
  ImplicitLocOpBuilder b;
  std::unique_ptr<Kernel> kernel;
  SmallVector<Placement> placements;
  int64_t warps = 0, launchRegisters = 0, sharedBytes = 0;
  /// The registers of each warpgroup; empty: as the kernel was launched.
  SmallVector<int64_t> registers;
  llvm::DenseMap<Value, int64_t> offsets;
  llvm::DenseMap<Value, Value> addresses;
};
} // namespace

LogicalResult KernelLowering::place() {
  int64_t barriers = 0;
  auto add = [&](RoleOp role) {
    bool needsBarrier = role.getWarps() > 1;
    bool meets = role.getCopies() > 1 && role.walk([](ReduceOp op) {
                                               return op.getScratch() ? WalkResult::interrupt() : WalkResult::advance();
                                             })
                                             .wasInterrupted();
    placements.push_back({role, warps, needsBarrier || meets ? barriers + 1 : 0, meets});
    warps = placements.back().end();
    barriers += (needsBarrier ? role.getCopies() : 0) + (meets ? 1 : 0);
  };
  for (bool warpgroups : {true, false})
    for (auto role : op.getBody().getOps<RoleOp>()) {
      if (role.getWarps() < 1 || role.getCopies() < 1)
        return role.emitOpError("needs a warp");
      if ((role.getWarps() % 4 == 0) == warpgroups)
        add(role);
    }
  if (barriers > kMaxBarriers)
    return op.emitOpError("has ") << barriers << " groups of warps with a barrier, a block has " << kMaxBarriers;
  if (placements.empty())
    return op.emitOpError("has no role");
  return success();
}

LogicalResult KernelLowering::budgetRegisters() {
  bool given = llvm::any_of(placements, [](Placement &p) { return p.role.getRegisters() != 0; });
  if (given && warps > 4) {
    warps = llvm::alignTo(warps, 4);
    registers.assign(warps / 4, 0);
    for (Placement &placement : placements) {
      int64_t count = placement.role.getRegisters();
      if (count < 24 || count > 256 || count % 8)
        return placement.role.emitOpError("needs registers, a multiple of 8 from 24 to 256, as another role has them");
      // Warpgroups of small roles have what the largest needs.
      for (int64_t group = placement.firstWarp / 4; group < int64_t(llvm::divideCeil(placement.end(), 4)); ++group)
        registers[group] = std::max(registers[group], count);
    }
    // Small roles share one instruction.
    int64_t small = 0;
    for (Placement &placement : placements)
      if (!placement.isWarpgroups())
        small = std::max(small, placement.role.getRegisters() ? int64_t(placement.role.getRegisters()) : 0);
    for (Placement &placement : placements)
      if (!placement.isWarpgroups())
        for (int64_t group = placement.firstWarp / 4; group < int64_t(registers.size()); ++group)
          registers[group] = small;
  }
  if (32 * warps > kMaxThreads)
    return op.emitOpError("has ") << 32 * warps << " threads, a block has at most " << kMaxThreads;
  launchRegisters = std::min<int64_t>(256, kRegisters / (32 * warps) / 8 * 8);
  int64_t sum = 0;
  for (int64_t count : registers)
    sum += count;
  if (!registers.empty() && sum > launchRegisters * int64_t(registers.size()))
    return op.emitOpError("has roles with ")
           << sum << " registers in " << registers.size() << " warpgroups, of which " << launchRegisters
           << " each can be given: " << launchRegisters * registers.size();
  return success();
}

LogicalResult KernelLowering::layOut() {
  auto place = [&](Value value, int64_t bytes, int64_t alignment) {
    sharedBytes = llvm::alignTo(sharedBytes, alignment);
    offsets[value] = sharedBytes;
    sharedBytes += bytes;
  };
  // The swizzle counts from addresses that are multiples of 1024.
  for (bool swizzled : {true, false})
    for (auto alloc : op.getBody().getOps<AllocOp>()) {
      SharedType type = alloc.getResult().getType();
      if (type.isSwizzled() == swizzled)
        place(alloc.getResult(), type.getSlots() * type.getSlotBytes(), swizzled ? 1024 : 128);
    }
  for (auto channel : op.getBody().getOps<MakeChannelOp>())
    place(channel.getResult(), 16 * channel.getResult().getType().getSlots(), 16);
  if (sharedBytes > kMaxSharedBytes)
    return op.emitOpError("needs ") << sharedBytes << " bytes of shared memory, a block has " << kMaxSharedBytes;
  return success();
}

/// Arrivals that fill a slot, and that free it.
FailureOr<std::pair<int64_t, int64_t>> KernelLowering::countArrivals(MakeChannelOp channel) {
  int64_t full = 0, empty = 0;
  bool waits = false, acquires = false;
  for (Placement &placement : placements) {
    bool commits = false, fetches = false, releases = false;
    for (Operation *user : channel.getResult().getUsers()) {
      if (!placement.role->isProperAncestor(user))
        continue;
      commits |= isa<CommitOp>(user);
      fetches |= isa<FetchOp>(user);
      releases |= isa<ReleaseOp>(user);
      waits |= isa<WaitOp>(user);
      acquires |= isa<AcquireOp>(user);
      if (auto fetch = dyn_cast<FetchOp>(user))
        acquires |= fetch.getAcquire();
    }
    int64_t copies = placement.role.getCopies(), each = copies * placement.role.getWarps();
    if (everyLaneArrives)
      each *= 32;
    full += (commits ? each : 0) + (fetches ? 1 : 0);
    empty += releases ? each : 0;
  }
  if (waits && full == 0)
    return channel.emitOpError("is waited for and nobody commits it");
  if (acquires && empty == 0)
    return channel.emitOpError("is acquired and nobody releases it");
  return std::make_pair(std::max<int64_t>(full, 1), std::max<int64_t>(empty, 1));
}

LogicalResult KernelLowering::initializeBarriers(Value shared) {
  for (auto channel : op.getBody().getOps<MakeChannelOp>()) {
    FailureOr<std::pair<int64_t, int64_t>> counts = countArrivals(channel);
    if (failed(counts))
      return failure();
    for (int64_t slot = 0; slot < channel.getResult().getType().getSlots(); ++slot)
      for (auto [offset, count] : {std::pair(0, counts->first), std::pair(8, counts->second)}) {
        int32_t at = offsets[channel.getResult()] + 16 * slot + offset;
        Value barrier = LLVM::GEPOp::create(b, shared.getType(), b.getI8Type(), shared, ArrayRef<LLVM::GEPArg>{at});
        NVVM::MBarrierInitOp::create(b, barrier, arith::ConstantOp::create(b, b.getI32IntegerAttr(count)), Value());
      }
  }
  return success();
}

void KernelLowering::setRegisters(int64_t registers) {
  if (registers != launchRegisters)
    NVVM::SetMaxRegisterOp::create(b, registers,
                                   registers < launchRegisters ? NVVM::SetMaxRegisterAction::decrease
                                                               : NVVM::SetMaxRegisterAction::increase);
}

LogicalResult KernelLowering::lowerRole(Placement &placement, Value lane, Value warp) {
  RoleLowering l(b, *kernel, placement.role);
  l.warps = placement.role.getWarps();
  for (auto [value, address] : addresses)
    l.set(value, {address});
  Value inRole = l.add(warp, -placement.firstWarp);
  bool isPower = llvm::isPowerOf2_64(l.warps);
  if (placement.role.getCopies() == 1)
    l.copy = l.i32(0);
  else
    l.copy =
        isPower ? l.shr(inRole, llvm::Log2_64(l.warps)) : Value(arith::DivUIOp::create(l.b, inRole, l.i32(l.warps)));
  Value inCopy = inRole;
  if (l.warps == 1)
    inCopy = l.i32(0);
  else if (placement.role.getCopies() > 1)
    inCopy = isPower ? l.bitAnd(inRole, l.warps - 1) : Value(arith::RemUIOp::create(l.b, inRole, l.i32(l.warps)));
  l.copies = placement.role.getCopies();
  l.barrier = l.add(l.copy, placement.firstBarrier);
  if (placement.hasCommonBarrier)
    l.barrierOfCopies = l.i32(placement.firstBarrier + (l.warps > 1 ? l.copies : 0));
  l.setThread(lane, inCopy);
  planGramStores(placement.role, l);
  // What stands beside the roles (constants) is code of each.
  for (Operation &other : op.getBody().front())
    if (!isa<AllocOp, MakeChannelOp, RoleOp>(other) && failed(l.lowerOperation(&other)))
      return failure();
  if (failed(l.lowerAllDeferred()) || failed(l.lowerBlock(placement.role.getBody().front())))
    return failure();
  l.waitForAll();
  return success();
}

/// `if (warp < end of the first role) ... else if (warp < end of the second) ...`
LogicalResult KernelLowering::dispatch(Value lane, Value warp) {
  OpBuilder::InsertionGuard guard(b);
  bool smallHaveRegisters = false;
  for (auto [i, placement] : llvm::enumerate(placements)) {
    if (!placement.isWarpgroups() && !smallHaveRegisters && !registers.empty()) {
      setRegisters(registers[placement.firstWarp / 4]);
      smallHaveRegisters = true;
    }
    if (placement.end() == warps) {
      if (placement.isWarpgroups() && !registers.empty())
        setRegisters(registers[placement.firstWarp / 4]);
      return lowerRole(placement, lane, warp);
    }
    Value end = arith::ConstantOp::create(b, b.getI32IntegerAttr(placement.end()));
    Value mine = arith::CmpIOp::create(b, CmpIPredicate::ult, warp, end);
    auto branch = scf::IfOp::create(b, mine, /*withElseRegion=*/true);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    if (placement.isWarpgroups() && !registers.empty())
      setRegisters(registers[placement.firstWarp / 4]);
    if (failed(lowerRole(placement, lane, warp)))
      return failure();
    b.setInsertionPoint(branch.elseBlock()->getTerminator());
  }
  return success();
}

LogicalResult KernelLowering::run() {
  if (!llvm::isPowerOf2_64(op.getWrites()) || op.getChunk() % op.getWrites())
    return op.emitOpError("has a power of two of writes a token, a part of the chunk, not ") << op.getWrites();
  if (failed(place()) || failed(budgetRegisters()) || failed(layOut()))
    return failure();

  b.setInsertionPointToEnd(module.getBody());
  std::string sharedName = (op.getSymName() + "_shared").str();
  auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
  LLVM::GlobalOp::create(b, bytes, /*isConstant=*/false, LLVM::Linkage::External, sharedName, Attribute(),
                         /*alignment=*/1024, /*addrSpace=*/3);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {});
  auto function = LLVM::LLVMFuncOp::create(b, op.getSymName(), type);
  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);

  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 3);
  Value shared = LLVM::AddressOfOp::create(b, pointer, sharedName);
  for (auto [value, offset] : offsets)
    addresses[value] = LLVM::GEPOp::create(b, pointer, b.getI8Type(), shared, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  auto constant = [&](int64_t value) -> Value { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
  Value thread = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  Value lane = arith::AndIOp::create(b, thread, constant(31));
  // The same in all threads of a warp, and ptxas can see it.
  Value warp = arith::ShRUIOp::create(b, thread, constant(5));
  warp = NVVM::ShflOp::create(b, b.getI32Type(), constant(-1), warp, constant(0), constant(31), NVVM::ShflKind::idx,
                              UnitAttr());
  Value isFirst = arith::CmpIOp::create(b, CmpIPredicate::eq, thread, constant(0));
  auto branch = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    if (failed(initializeBarriers(shared)))
      return failure();
    NVVM::FenceMbarrierInitOp::create(b);
    NVVM::FenceProxyOp::create(b, NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
                               NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
  }
  auto barrier = NVVM::Barrier0Op::create(b);
  kernel = std::make_unique<Kernel>(op, function, barrier);
  kernel->everyLaneArrives = everyLaneArrives;
  if (failed(dispatch(lane, warp)))
    return failure();
  b.setInsertionPointToEnd(entry);
  LLVM::ReturnOp::create(b, ValueRange());

  // A host finds the batch entries and heads from these, whatever the kernel asks.
  for (StringRef dim : {"B", "T", "H"})
    kernel->size(dim);
  kernel->setArguments();
  int32_t threads = 32 * warps;
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(), b.getDenseI32ArrayAttr({threads, 1, 1}));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
  function->setAttr("rondo.arrays", op.getArrays());
  function->setAttr("rondo.chunk", b.getI64IntegerAttr(kernel->chunk));
  auto entryOf = [&](StringRef name, int64_t value) { return b.getNamedAttr(name, b.getI64IntegerAttr(value)); };
  function->setAttr("rondo.launch",
                    b.getDictionaryAttr({entryOf("threads", threads), entryOf("shared", sharedBytes),
                                         entryOf("blocks", op.getBlocks()), entryOf("maxBlocks", 0),
                                         entryOf("workspace", 0), b.getNamedAttr("params", kernel->parameters())}));
  return success();
}

//===----------------------------------------------------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------------------------------------------------===//

namespace {
struct RondoLowerTilesPass : rondo::impl::RondoLowerTilesBase<RondoLowerTilesPass> {
  using RondoLowerTilesBase::RondoLowerTilesBase;

  void runOnOperation() override {
    ModuleOp top = getOperation();
    SmallVector<KernelOp> kernels(top.getOps<KernelOp>());
    if (kernels.empty())
      return;
    auto module = top.lookupSymbol<gpu::GPUModuleOp>("cuda");
    if (!module) {
      OpBuilder b = OpBuilder::atBlockEnd(top.getBody());
      module = gpu::GPUModuleOp::create(b, top.getLoc(), "cuda");
    }
    for (KernelOp op : kernels) {
      if (failed(KernelLowering(op, module, everyLaneArrives).run()))
        return signalPassFailure();
      op.erase();
    }
  }
};
} // namespace

void rondo::addTileToNVVM(OpPassManager &pm) {
  OpPassManager &device = pm.nest<gpu::GPUModuleOp>();
  device.addPass(createRondoApproximateMath());
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  device.addPass(createSCFToControlFlowPass());
  device.addPass(createConvertNVVMToLLVMPass());
  device.addPass(createArithToLLVMConversionPass());
  device.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<gpu::GPUModuleOp>(createReconcileUnrealizedCastsPass());
}

void rondo::registerTilePipelines() {
  PassPipelineRegistration<>("rondo-tile-to-nvvm", "Kernels that rondo-lower-tiles has made to the LLVM dialect",
                             addTileToNVVM);
}
