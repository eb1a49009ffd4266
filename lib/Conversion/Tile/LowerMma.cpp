//===- LowerMma.cpp - Products on the tensor cores -------------------------------------------------------------===//
//
// Roles of whole warpgroups use wgmma. It runs beside the program and takes registers that must not be touched until it
// is waited for. So the lowering keeps the list of products in flight: the scalars of a result exist for other
// instructions only as results of the wait, which is inline assembly that takes them in and gives them out; no compiler
// can move a use above it. Likewise operands in registers go through the fence before.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Kernel.h"
#include "rondo/Dialect/Tile/Layouts.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

//===----------------------------------------------------------------------------------------------------------------===//
// Products in flight
//===----------------------------------------------------------------------------------------------------------------===//

/// An instruction between accesses to `scalars` before and after.
static Scalars passThrough(RoleLowering &l, StringRef text, ArrayRef<Value> scalars) {
  SmallVector<std::string> constraints;
  SmallVector<Type> types;
  for (Value scalar : scalars) {
    constraints.push_back(scalar.getType().isF32() ? "=f" : "=r");
    types.push_back(scalar.getType());
  }
  for (size_t i = 0; i < scalars.size(); ++i)
    constraints.push_back(std::to_string(i));
  constraints.push_back("~{memory}");
  return l.inlineAsm(text, llvm::join(constraints, ","), scalars, types);
}

void RoleLowering::addInFlight(Value result, Value onto) {
  for (Value &value : inFlight)
    if (onto && value == onto)
      value = Value();
  inFlight.push_back(result);
}

void RoleLowering::waitFor(Value value) {
  auto *found = llvm::find(inFlight, value);
  if (found == inFlight.end())
    return;
  // Groups end in the order in which they began.
  size_t done = found - inFlight.begin() + 1, left = inFlight.size() - done;
  SmallVector<Value> results, scalars;
  for (Value result : ArrayRef(inFlight).take_front(done))
    if (result) {
      results.push_back(result);
      llvm::append_range(scalars, get(result));
    }
  Scalars waited = passThrough(*this, "wgmma.wait_group.sync.aligned " + std::to_string(left) + ";", scalars);
  ArrayRef<Value> rest = waited;
  for (Value result : results) {
    size_t count = get(result).size();
    set(result, Scalars(rest.take_front(count)));
    rest = rest.drop_front(count);
  }
  inFlight.erase(inFlight.begin(), inFlight.begin() + done);
  fenced.clear();
}

void RoleLowering::waitForAll() {
  if (!inFlight.empty())
    waitFor(inFlight.back());
  fenced.clear();
}

void RoleLowering::holdInRegisters(ValueRange values) {
  Scalars all;
  for (Value value : values)
    llvm::append_range(all, get(value));
  all = passThrough(*this, "wgmma.fence.sync.aligned;", all);
  ArrayRef<Value> rest = all;
  for (Value value : values) {
    size_t count = get(value).size();
    set(value, Scalars(rest.take_front(count)));
    rest = rest.drop_front(count);
  }
}

//===----------------------------------------------------------------------------------------------------------------===//
// wgmma
//===----------------------------------------------------------------------------------------------------------------===//

/// A descriptor of a swizzled tile as an operand of wgmma.
static Value makeDescriptor(RoleLowering &l, Value address, SharedType type, bool transposed, bool inBranch) {
  Value start = l.shr(LLVM::PtrToIntOp::create(l.b, l.b.getI32Type(), address), 4);
  // In a branch, addresses are made where they are used: the same products after it would have them in registers, two
  // for every 16 columns, and what is the same in all iterations would be held around the loop.
  if (inBranch)
    start = l.inlineAsm("mov.b32 $0, $1;", "=r,r", start, {l.b.getI32Type()}).front();
  return arith::AddIOp::create(l.b, arith::ExtUIOp::create(l.b, l.b.getI64Type(), start),
                               l.i64(layouts::descriptor(type.getBlockBytes(), transposed)));
}

/// The descriptor of step k (16 along the summed dimension).
static Value stepDescriptor(RoleLowering &l, Value descriptor, SharedType type, bool transposed, int64_t k) {
  int64_t bytes = layouts::stepOffset(type.getBlockBytes(), transposed, k);
  return bytes == 0 ? descriptor : l.add(descriptor, l.i64(bytes / 16));
}

/// Columns of a left operand whose registers a product may hold.
static constexpr int64_t kLongest = 128;

/// Rounds the `part`th columns of a long operand to `operands`, behind the registers of the parts before, when the
/// product has read those.
static void beginPart(RoleLowering &l, arith::TruncFOp rounded, int64_t part, Scalars &sums, Scalars &operands) {
  Value wide = rounded.getIn();
  Scalars elements(l.get(wide));
  if (part > 0) {
    NVVM::WgmmaGroupSyncAlignedOp::create(l.b);
    // Through the wait goes also what is rounded after it, so that no compiler rounds it before.
    Scalars waited = sums;
    llvm::append_range(waited, ArrayRef(elements).drop_front(part * kLongest / 2));
    waited = passThrough(l, "wgmma.wait_group.sync.aligned 0;", waited);
    llvm::copy(ArrayRef(waited).take_front(sums.size()), sums.begin());
    llvm::copy(ArrayRef(waited).drop_front(sums.size()), elements.begin() + part * kLongest / 2);
    l.set(wide, Scalars(elements));
  }
  Scalars ready = sums;
  size_t end = std::min<size_t>(elements.size(), (part + 1) * kLongest / 2);
  for (size_t i = part * kLongest / 2; i < end; i += 2)
    ready.push_back(l.pack(elements[i], elements[i + 1], cast<RankedTensorType>(rounded.getType()).getElementType()));
  ready = passThrough(l, "wgmma.fence.sync.aligned;", ready);
  llvm::copy(ArrayRef(ready).take_front(sums.size()), sums.begin());
  llvm::append_range(operands, ArrayRef(ready).drop_front(sums.size()));
}

arith::TruncFOp rondo::tile::getLongOperand(MmaOp op) {
  auto rounded = op.getLhs().getDefiningOp<arith::TruncFOp>();
  return rounded && cast<RankedTensorType>(rounded.getType()).getShape()[1] > kLongest ? rounded : arith::TruncFOp();
}

static LogicalResult lowerWarpgroup(MmaOp op, RoleLowering &l) {
  auto result = cast<RankedTensorType>(op.getResult().getType());
  SharedType rhs = op.getRhs().getType();
  auto lhsShared = dyn_cast<SharedType>(op.getLhs().getType());
  int64_t n = result.getShape()[1], k = op.getTransposed() ? rhs.getShape()[0] : rhs.getShape()[1];
  if (n > 256)
    return op.emitOpError("has ") << n << " columns; one product has at most 256: split it";
  if (k % 16)
    return op.emitOpError("sums over ") << k << " terms, which are not sixteens";

  // A part of a long operand is rounded when the part before has been read.
  arith::TruncFOp rounded = l.warps % 4 == 0 ? getLongOperand(op) : arith::TruncFOp();
  if (rounded)
    l.waitForAll();

  // An accumulator still in flight needs no wait if this product takes its registers over.
  Value accumulator = op.getAccumulator();
  bool continues = accumulator && l.isInFlight(accumulator) && accumulator.hasOneUse();
  if (accumulator && !continues)
    l.waitFor(accumulator);

  Scalars operands, sums;
  if (accumulator)
    llvm::append_range(sums, l.get(accumulator));
  SmallVector<Value> touched;
  bool tiesLhs = !lhsShared && !rounded && !l.fenced.contains(op.getLhs());
  if (tiesLhs)
    llvm::append_range(touched, l.get(op.getLhs()));
  if (accumulator && !continues)
    llvm::append_range(touched, sums);
  if (!rounded && (!touched.empty() || !l.anyInFlight())) {
    Scalars ready = passThrough(l, "wgmma.fence.sync.aligned;", touched);
    ArrayRef<Value> rest = ready;
    if (tiesLhs) {
      size_t count = l.get(op.getLhs()).size();
      l.set(op.getLhs(), Scalars(rest.take_front(count)));
      l.fenced.insert(op.getLhs());
      rest = rest.drop_front(count);
    }
    if (accumulator && !continues)
      sums.assign(rest.begin(), rest.end());
  }
  if (!lhsShared && !rounded)
    llvm::append_range(operands, l.get(op.getLhs()));

  bool inBranch = isa<scf::IfOp>(op->getParentOp());
  Value lhsDescriptor;
  if (lhsShared) {
    Value address = l.getAddress(op.getLhs());
    if (l.warps > 4)
      address = l.gep(address, l.mul(l.shr(l.warp, 2), 64 * 128));
    lhsDescriptor = makeDescriptor(l, address, lhsShared, /*transposed=*/false, inBranch);
  }
  Value rhsDescriptor = makeDescriptor(l, l.getAddress(op.getRhs()), rhs, op.getTransposed(), inBranch);
  StringRef type = rhs.getElementType().isBF16() ? "bf16" : "f16";
  int64_t perThread = n / 2;
  SmallVector<Type> types(perThread, l.b.getF32Type());
  for (int64_t step = 0; step < k / 16; ++step) {
    if (rounded && step % (kLongest / 16) == 0)
      beginPart(l, rounded, step / (kLongest / 16), sums, operands);
    SmallVector<Value> inputs(sums);
    SmallVector<std::string> constraints(perThread, "=f"), outputs;
    for (int64_t i = 0; i < perThread; ++i)
      outputs.push_back("$" + std::to_string(i));
    for (size_t i = 0; i < sums.size(); ++i)
      constraints.push_back(std::to_string(i));
    int64_t next = perThread + sums.size();
    std::string left;
    if (lhsShared) {
      inputs.push_back(stepDescriptor(l, lhsDescriptor, lhsShared, /*transposed=*/false, step));
      constraints.push_back("l");
      left = "$" + std::to_string(next++);
    } else {
      SmallVector<std::string> names;
      for (int64_t i = 0; i < 4; ++i) {
        inputs.push_back(operands[4 * step + i]);
        constraints.push_back("r");
        names.push_back("$" + std::to_string(next++));
      }
      left = "{" + llvm::join(names, ",") + "}";
    }
    inputs.push_back(stepDescriptor(l, rhsDescriptor, rhs, op.getTransposed(), step));
    constraints.push_back("l");
    constraints.push_back("~{memory}");
    std::string text;
    llvm::raw_string_ostream os(text);
    os << "{ .reg .pred p; setp.ne.b32 p, " << (sums.empty() ? 0 : 1) << ", 0; wgmma.mma_async.sync.aligned.m64n" << n
       << "k16.f32." << type << "." << type << " {" << llvm::join(outputs, ",") << "}, " << left << ", $" << next
       << ", p, 1, 1" << (lhsShared ? ", 0" : "") << ", " << (op.getTransposed() ? 1 : 0) << "; }";
    sums = l.inlineAsm(text, llvm::join(constraints, ","), inputs, types);
  }
  NVVM::WgmmaGroupSyncAlignedOp::create(l.b);
  l.set(op.getResult(), std::move(sums));
  l.addInFlight(op.getResult(), continues ? accumulator : Value());
  return success();
}

LogicalResult rondo::tile::lower(MmaOp op, RoleLowering &l) {
  Type left = getElementTypeOrSelf(op.getLhs().getType());
  if (auto shared = dyn_cast<SharedType>(op.getLhs().getType()))
    left = shared.getElementType();
  if (left != op.getRhs().getType().getElementType() || !op.getRhs().getType().isSwizzled())
    return op.emitOpError("multiplies 16-bit operands of one type");
  if (l.warps % 4)
    return op.emitOpError("needs a role of whole warpgroups, this one has ") << l.warps << " warps";
  return lowerWarpgroup(op, l);
}
