//===- Specialize.cpp - Replace named sizes with numbers --------------------------------------------------------===//

#include "rondo/Transforms/Specialize.h"
#include "rondo/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include <set>

#define DEBUG_TYPE "rondo-specialize"

namespace rondo {
#define GEN_PASS_DEF_RONDOSPECIALIZE
#include "rondo/Transforms/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

/// Sizes above this are refused, so that the product of two still fits 64 bits.
constexpr int64_t kMaxSize = std::numeric_limits<int32_t>::max();

static ArrayRef<Dim> dimsOf(Type type) {
  if (auto value = dyn_cast<ValueType>(type))
    return value.getDims();
  if (auto state = dyn_cast<StateType>(type))
    return state.getDims();
  return {};
}

/// Calls `fn(dim, location)` for every size that the mixer uses, until it fails.
static LogicalResult forEachDim(MixerOp mixer, function_ref<LogicalResult(Dim, Location)> fn) {
  auto visit = [&](Value value) -> LogicalResult {
    for (const Dim &dim : dimsOf(value.getType()))
      if (failed(fn(dim, value.getLoc())))
        return failure();
    return success();
  };
  for (BlockArgument argument : mixer.getBody().getArguments())
    if (failed(visit(argument)))
      return failure();
  for (Operation &op : mixer.getBody().getOps()) {
    if (auto size = dyn_cast<DimOp>(op); size && failed(fn(*Dim::parse(size.getSize()), size.getLoc())))
      return failure();
    for (Value result : op.getResults())
      if (failed(visit(result)))
        return failure();
  }
  return success();
}

std::vector<std::string> rondo::getSizeNames(MixerOp mixer) {
  std::set<std::string> names;
  (void)forEachDim(mixer, [&](Dim dim, Location) {
    for (const std::string &name : dim.names())
      names.insert(name);
    return success();
  });
  return {names.begin(), names.end()};
}

/// Says why `dim` has no value that can be a size.
static LogicalResult checkDim(Dim dim, const llvm::StringMap<int64_t> &sizes, Location loc) {
  std::string given;
  for (const std::string &name : dim.names()) {
    auto it = sizes.find(name);
    if (it == sizes.end())
      return emitError(loc, "the size '") << name << "' is not given; add " << name << "=NUMBER to the sizes";
    if (it->second < 1 || it->second > kMaxSize)
      return emitError(loc, "the size ") << name << "=" << it->second << " is not between 1 and " << kMaxSize;
    given += (given.empty() ? " with " : ", ") + name + "=" + std::to_string(it->second);
  }
  if (dim.evaluate(sizes).value_or(0) < 1)
    return emitError(loc, "the size '") << dim.str() << "' is no positive whole number" << given;
  return success();
}

static ArrayAttr writtenDims(Builder &builder, Type type) {
  SmallVector<StringRef> names;
  for (const Dim &dim : dimsOf(type))
    names.push_back(dim.str());
  return builder.getStrArrayAttr(names);
}

LogicalResult rondo::specialize(MixerOp mixer, const llvm::StringMap<int64_t> &sizes) {
  if (failed(forEachDim(mixer, [&](Dim dim, Location loc) { return checkDim(dim, sizes, loc); })))
    return failure();

  // What was written is recorded once: a mixer that is specialised again keeps its names.
  OpBuilder builder(mixer.getContext());
  for (auto [i, type] : llvm::enumerate(mixer.getArgumentTypes()))
    if (!mixer.getArgAttr(i, kDimsAttr))
      mixer.setArgAttr(i, kDimsAttr, writtenDims(builder, type));
  for (auto [i, type] : llvm::enumerate(mixer.getResultTypes()))
    if (!mixer.getResultAttr(i, kDimsAttr))
      mixer.setResultAttr(i, kDimsAttr, writtenDims(builder, type));
  for (StateOp state : mixer.getStates())
    if (!state->hasAttr(kDimsAttr))
      state->setAttr(kDimsAttr, writtenDims(builder, state.getType()));

  auto convert = [&](Type type) -> Type {
    SmallVector<Dim> numbers;
    for (const Dim &dim : dimsOf(type))
      numbers.push_back(dim.substitute(sizes));
    if (isa<StateType>(type))
      return StateType::get(type.getContext(), numbers);
    return ValueType::get(type.getContext(), numbers);
  };
  auto convertAll = [&](TypeRange types) { return llvm::map_to_vector(types, convert); };
  mixer.setFunctionType(
      builder.getFunctionType(convertAll(mixer.getArgumentTypes()), convertAll(mixer.getResultTypes())));
  for (BlockArgument argument : mixer.getBody().getArguments())
    argument.setType(convert(argument.getType()));
  for (Operation &op : llvm::make_early_inc_range(mixer.getBody().getOps())) {
    for (Value result : op.getResults())
      result.setType(convert(result.getType()));
    if (auto size = dyn_cast<DimOp>(op)) {
      builder.setInsertionPoint(size);
      auto number = builder.getF64FloatAttr(*Dim::parse(size.getSize())->evaluate(sizes));
      size.replaceAllUsesWith(ConstantOp::create(builder, size.getLoc(), size.getType(), number).getResult());
      size.erase();
    }
  }
  return success();
}

namespace {
struct RondoSpecializePass : rondo::impl::RondoSpecializeBase<RondoSpecializePass> {
  using RondoSpecializeBase::RondoSpecializeBase;

  void runOnOperation() override {
    llvm::StringMap<int64_t> given;
    for (StringRef entry : sizes) {
      auto [name, text] = entry.split('=');
      int64_t number;
      if (name.empty() || text.getAsInteger(10, number)) {
        getOperation().emitError("'") << entry << "' is not NAME=NUMBER";
        return signalPassFailure();
      }
      given[name] = number;
    }

    llvm::StringSet<> used;
    for (auto mixer : getOperation().getOps<MixerOp>()) {
      for (const std::string &name : getSizeNames(mixer))
        used.insert(name);
      if (failed(specialize(mixer, given)))
        return signalPassFailure();
    }
    for (StringRef entry : sizes)
      if (StringRef name = entry.split('=').first; !used.contains(name)) {
        getOperation().emitError("no mixer has a size '") << name << "'";
        return signalPassFailure();
      }
  }
};
} // namespace
