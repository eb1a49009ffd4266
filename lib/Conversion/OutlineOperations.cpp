//===- OutlineOperations.cpp - Equal structured operations share one function -----------------------------------===//

#include "VectorizeSupport.h"
#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Transforms/RegionUtils.h"

namespace rondo {
#define GEN_PASS_DEF_RONDOOUTLINEOPERATIONS
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-outline-operations"

using namespace mlir;
using namespace rondo;

namespace {

class OutlineOperations : public rondo::impl::RondoOutlineOperationsBase<OutlineOperations> {
public:
  using RondoOutlineOperationsBase::RondoOutlineOperationsBase;

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (op.hasPureBufferSemantics() && countPoints(op) >= minPoints)
        ops.push_back(op);
    });
    SymbolTable symbols(getOperation());
    // Last first: a sum then still finds the fill that clears its result.
    for (linalg::LinalgOp op : llvm::reverse(ops))
      if (!absorbed.contains(op))
        outline(op, symbols);
  }

private:
  /// Points of the iteration space; a dynamic extent counts as 16.
  static int64_t countPoints(linalg::LinalgOp op) {
    int64_t points = 1;
    for (int64_t range : op.getStaticLoopRanges())
      points *= ShapedType::isDynamic(range) ? 16 : range;
    return points;
  }

  /// The type of a parameter: the offset of a view is the caller's business.
  static Type parameterType(Type type) {
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref)
      return type;
    SmallVector<int64_t> strides;
    int64_t offset;
    if (failed(memref.getStridesAndOffset(strides, offset)))
      return type;
    auto layout = StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides);
    return MemRefType::get(memref.getShape(), memref.getElementType(), layout, memref.getMemorySpace());
  }

  static std::string nameOf(linalg::LinalgOp op) {
    std::string name = op.getNumReductionLoops() > 0 ? "sum" : "map";
    for (int64_t range : op.getStaticLoopRanges())
      name += (name.size() > 3 ? "x" : "_") + (ShapedType::isDynamic(range) ? "n" : std::to_string(range));
    return name;
  }

  void outline(linalg::LinalgOp op, SymbolTable &symbols) {
    SmallVector<Operation *> body;
    if (op.getNumReductionLoops() > 0)
      if (linalg::FillOp fill = vectorize::findZeroFill(op))
        body.push_back(fill);
    body.push_back(op);

    // What the function needs: buffers and scalars; constants it makes itself.
    SetVector<Value> captured, constants;
    auto need = [&](Value value) { (matchPattern(value, m_Constant()) ? constants : captured).insert(value); };
    for (Operation *inner : body)
      llvm::for_each(inner->getOperands(), need);
    SetVector<Value> above;
    getUsedValuesDefinedAbove(op->getRegions(), above);
    llvm::for_each(above, need);

    Location loc = op.getLoc();
    auto types = llvm::map_to_vector(captured, [](Value v) { return parameterType(v.getType()); });
    OpBuilder b(&getContext());
    auto function = func::FuncOp::create(loc, nameOf(op), b.getFunctionType(types, {}));
    function.setPrivate();
    function->setAttr("llvm.linkage", LLVM::LinkageAttr::get(&getContext(), LLVM::Linkage::Internal));
    function->setAttr("passthrough", b.getStrArrayAttr({"noinline"}));
    b.setInsertionPointToStart(function.addEntryBlock());
    IRMapping mapping;
    mapping.map(captured.getArrayRef(), function.getArguments());
    for (Value constant : constants)
      b.clone(*constant.getDefiningOp(), mapping);
    for (Operation *inner : body)
      b.clone(*inner, mapping);
    func::ReturnOp::create(b, loc);

    func::FuncOp callee = findEqual(function);
    if (callee) {
      function->destroy();
    } else {
      callee = function;
      equal[function.getFunctionType()].push_back(function);
      symbols.insert(function);
    }
    b.setInsertionPoint(op);
    SmallVector<Value> arguments;
    for (auto [value, type] : llvm::zip_equal(captured, types))
      arguments.push_back(value.getType() == type ? value
                                                  : memref::CastOp::create(b, loc, cast<MemRefType>(type), value));
    func::CallOp::create(b, loc, callee, arguments);
    for (Operation *inner : body) {
      absorbed.insert(inner);
      inner->erase();
    }
  }

  /// A function made before that does the same; names are not compared.
  func::FuncOp findEqual(func::FuncOp function) {
    for (func::FuncOp candidate : equal.lookup(function.getFunctionType()))
      if (OperationEquivalence::isRegionEquivalentTo(&function.getBody(), &candidate.getBody(),
                                                     OperationEquivalence::IgnoreLocations))
        return candidate;
    return {};
  }

  DenseMap<Type, SmallVector<func::FuncOp>> equal;
  /// Operations that are in a function by now.
  DenseSet<Operation *> absorbed;
};

} // namespace
