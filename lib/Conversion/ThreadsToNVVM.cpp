//===- ThreadsToNVVM.cpp - The program of one thread to a GPU kernel --------------------------------------------===//

#include "rondo/Conversion/Passes.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <cmath>

namespace rondo {
#define GEN_PASS_DEF_RONDOTHREADSTONVVM
#include "rondo/Conversion/Passes.h.inc"
} // namespace rondo

#define DEBUG_TYPE "rondo-threads-to-nvvm"

using namespace mlir;

namespace {

constexpr unsigned kGlobal = 1, kShared = 3;

/// One array of the kernel as the device sees it: where it begins and how far its elements are apart.
struct DeviceArray {
  Value pointer;
  /// Of every dimension (i64), the leading ones from parameters.
  SmallVector<Value> strides;
  /// Of every dimension; null where nobody may ask.
  SmallVector<Value> sizes;
};

class KernelWriter {
public:
  KernelWriter(func::FuncOp source, gpu::GPUModuleOp module, int64_t blocks, int64_t mostShared, int64_t mostBlocks)
      : source(source), module(module), b(source.getLoc(), source.getContext()), blocks(blocks), mostShared(mostShared),
        mostBlocks(mostBlocks) {}

  LogicalResult run();

private:
  LogicalResult addParameters();
  DeviceArray addArray(DictionaryAttr description, StringRef name, StringRef leading);
  /// A new parameter of the kernel.
  Value add(StringRef kind, Type type, StringRef array = "", StringRef dim = "");
  void placeArena(memref::AllocOp arena);
  void rewriteMemory();
  void rewriteIdentifiers();
  void setLaunch();

  Value constant(int64_t value) { return arith::ConstantIntOp::create(b, b.getI64Type(), value); }
  /// The address of an element of an argument or of the arena.
  Value address(Value base, ValueRange indices, Type element);

  func::FuncOp source;
  gpu::GPUModuleOp module;
  LLVM::LLVMFuncOp kernel;
  ImplicitLocOpBuilder b;
  int64_t blocks, mostShared, mostBlocks;

  SmallVector<Attribute> params;
  DenseMap<Value, DeviceArray> arrays;
  /// B, T and H.
  llvm::StringMap<Value> sizes;
  Value arena;
  int64_t sharedBytes = 0, workspaceBytes = 0;
};

class ThreadsToNVVM : public rondo::impl::RondoThreadsToNVVMBase<ThreadsToNVVM> {
public:
  using RondoThreadsToNVVMBase::RondoThreadsToNVVMBase;

private:
  void runOnOperation() override {
    SmallVector<func::FuncOp> functions;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr("rondo.threads"))
        functions.push_back(function);
    if (functions.empty())
      return;
    ImplicitLocOpBuilder b(getOperation().getLoc(), getOperation().getBodyRegion());
    auto module = getOperation().lookupSymbol<gpu::GPUModuleOp>("cuda");
    if (!module)
      module = gpu::GPUModuleOp::create(b, "cuda");
    for (func::FuncOp function : functions) {
      if (failed(KernelWriter(function, module, blocks, mostShared, mostBlocks).run()))
        return signalPassFailure();
      function.erase();
    }
  }
};

} // namespace

Value KernelWriter::add(StringRef kind, Type type, StringRef array, StringRef dim) {
  SmallVector<NamedAttribute> fields{b.getNamedAttr("kind", b.getStringAttr(kind))};
  if (!array.empty())
    fields.push_back(b.getNamedAttr("array", b.getStringAttr(array)));
  if (!dim.empty())
    fields.push_back(b.getNamedAttr("dim", b.getStringAttr(dim)));
  params.push_back(b.getDictionaryAttr(fields));
  return kernel.getBody().front().addArgument(type, b.getLoc());
}

/// `leading` has a letter for each dimension before the mixer's own.
DeviceArray KernelWriter::addArray(DictionaryAttr description, StringRef name, StringRef leading) {
  DeviceArray array;
  Type i64 = b.getI64Type();
  Value generic = add("pointer", LLVM::LLVMPointerType::get(b.getContext()), name);
  array.pointer = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), kGlobal), generic);
  for (char letter : leading)
    array.strides.push_back(add("stride", i64, name, StringRef(&letter, 1)));
  auto role = description.getAs<StringAttr>("role").getValue();
  for (char letter : leading) {
    bool isGrouped = letter == 'H' && (role == "token" || role == "param");
    array.sizes.push_back(isGrouped ? add("heads", i64, name) : Value(sizes[StringRef(&letter, 1)]));
  }
  // What belongs to one head (and token) is contiguous.
  ArrayRef<int64_t> inner = description.getAs<DenseI64ArrayAttr>("sizes").asArrayRef();
  auto dims = description.getAs<ArrayAttr>("dims");
  auto block = source->getAttrOfType<StringAttr>("rondo.block");
  SmallVector<int64_t> whole(inner);
  for (auto [i, size] : llvm::enumerate(whole))
    if (block && dims && i < dims.size() && dims[i] == block)
      size *= blocks;
  for (size_t i = 0; i < whole.size(); ++i) {
    int64_t stride = 1;
    for (int64_t size : ArrayRef(whole).drop_front(i + 1))
      stride *= size;
    array.strides.push_back(constant(stride));
    array.sizes.push_back(constant(whole[i]));
  }
  return array;
}

LogicalResult KernelWriter::addParameters() {
  Type i64 = b.getI64Type();
  for (StringRef dim : {"B", "T", "H"})
    sizes[dim] = add("size", i64, "", dim);
  unsigned next = 0;
  Value initialMask = constant(0), finalMask = constant(0);
  int64_t states = 0;
  auto bitOfPointer = [&](Value pointer, Value mask) -> Value {
    Value null = LLVM::ZeroOp::create(b, pointer.getType());
    Value given = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, pointer, null);
    Value bit = arith::ShLIOp::create(b, arith::ExtUIOp::create(b, i64, given), constant(states));
    return arith::OrIOp::create(b, mask, bit);
  };
  for (auto description : source->getAttrOfType<ArrayAttr>("rondo.arrays").getAsRange<DictionaryAttr>()) {
    StringRef name = description.getAs<StringAttr>("name").getValue();
    StringRef role = description.getAs<StringAttr>("role").getValue();
    if (next >= source.getNumArguments())
      return source.emitError("has no launch on a GPU: its arguments are not its arrays");
    if (role == "state") {
      DeviceArray initial = addArray(description, (name + ".initial").str(), "BH");
      DeviceArray final = addArray(description, (name + ".final").str(), "BH");
      initialMask = bitOfPointer(initial.pointer, initialMask);
      finalMask = bitOfPointer(final.pointer, finalMask);
      arrays[source.getArgument(next++)] = initial;
      arrays[source.getArgument(next++)] = final;
      ++states;
    } else if (role == "token" || role == "output" || role == "param") {
      arrays[source.getArgument(next++)] = addArray(description, name, role == "param" ? "H" : "BTH");
    } else {
      return source.emitError("has no launch on a GPU: the role '") << role << "' of '" << name << "' is unknown there";
    }
  }
  if (source.getNumArguments() != next + 3)
    return source.emitError("has no launch on a GPU: only forward kernels have one");
  source.getArgument(next).replaceAllUsesWith(initialMask);
  source.getArgument(next + 1).replaceAllUsesWith(finalMask);
  if (!source.getArgument(next + 2).use_empty()) // the number of CPU threads
    source.getArgument(next + 2).replaceAllUsesWith(constant(0));
  return success();
}

void KernelWriter::placeArena(memref::AllocOp alloc) {
  int64_t bytes = alloc.getType().getNumElements() * 4;
  b.setInsertionPoint(alloc);
  if (bytes <= mostShared) {
    sharedBytes = bytes;
    auto type = LLVM::LLVMArrayType::get(b.getF32Type(), 0);
    std::string name = (source.getSymName() + "_shared").str();
    OpBuilder outer(kernel);
    auto global = LLVM::GlobalOp::create(outer, alloc.getLoc(), type, /*isConstant=*/false, LLVM::Linkage::External,
                                         name, Attribute(), /*alignment=*/128, kShared);
    arena = LLVM::AddressOfOp::create(b, global);
  } else {
    workspaceBytes = llvm::alignTo(bytes, 256);
    Value generic = add("workspace", LLVM::LLVMPointerType::get(b.getContext()));
    auto type = LLVM::LLVMPointerType::get(b.getContext(), kGlobal);
    Value base = LLVM::AddrSpaceCastOp::create(b, type, generic);
    Value block = arith::ExtUIOp::create(b, b.getI64Type(), NVVM::BlockIdXOp::create(b, b.getI32Type()));
    Value offset = arith::MulIOp::create(b, block, constant(workspaceBytes));
    arena = LLVM::GEPOp::create(b, type, b.getI8Type(), base, ValueRange{offset});
  }
}

Value KernelWriter::address(Value base, ValueRange indices, Type element) {
  auto found = arrays.find(base);
  Value pointer = found == arrays.end() ? arena : found->second.pointer, offset;
  for (auto [i, index] : llvm::enumerate(indices)) {
    Value term = arith::IndexCastOp::create(b, b.getI64Type(), index);
    if (found != arrays.end())
      term = arith::MulIOp::create(b, term, found->second.strides[i]);
    offset = offset ? arith::AddIOp::create(b, offset, term) : term;
  }
  return LLVM::GEPOp::create(b, pointer.getType(), element, pointer, ValueRange{offset});
}

void KernelWriter::rewriteMemory() {
  SmallVector<Operation *> ops;
  kernel.walk([&](Operation *op) {
    if (isa<memref::LoadOp, memref::StoreOp, memref::DimOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    b.setLoc(op->getLoc());
    b.setInsertionPoint(op);
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      Value place = address(load.getMemRef(), load.getIndices(), load.getType());
      load.replaceAllUsesWith(LLVM::LoadOp::create(b, load.getType(), place).getResult());
    } else if (auto store = dyn_cast<memref::StoreOp>(op)) {
      Value place = address(store.getMemRef(), store.getIndices(), store.getValue().getType());
      LLVM::StoreOp::create(b, store.getValue(), place);
    } else {
      auto dim = cast<memref::DimOp>(op);
      Value size = arrays[dim.getSource()].sizes[*dim.getConstantIndex()];
      dim.replaceAllUsesWith(arith::IndexCastOp::create(b, b.getIndexType(), size).getResult());
    }
    op->erase();
  }
}

void KernelWriter::rewriteIdentifiers() {
  kernel.walk([&](Operation *op) {
    b.setLoc(op->getLoc());
    b.setInsertionPoint(op);
    Type i32 = b.getI32Type();
    Value number;
    if (isa<gpu::ThreadIdOp>(op)) {
      number = NVVM::ThreadIdXOp::create(b, i32);
    } else if (isa<gpu::BlockIdOp>(op)) {
      number = NVVM::BlockIdXOp::create(b, i32);
    } else if (isa<gpu::GridDimOp>(op)) {
      number = NVVM::GridDimXOp::create(b, i32);
    } else if (isa<gpu::BarrierOp>(op)) {
      NVVM::Barrier0Op::create(b);
      op->erase();
      return;
    } else if (isa<math::ExpOp, math::Exp2Op>(op) && op->getResult(0).getType().isF32()) {
      // The GPU has a function for powers of two.
      Value x = op->getOperand(0);
      if (isa<math::ExpOp>(op))
        x = arith::MulFOp::create(b, x, arith::ConstantOp::create(b, b.getF32FloatAttr(M_LOG2E)));
      op->getResult(0).replaceAllUsesWith(LLVM::Exp2Op::create(b, b.getF32Type(), x));
      op->erase();
      return;
    } else {
      return;
    }
    op->getResult(0).replaceAllUsesWith(arith::IndexCastUIOp::create(b, b.getIndexType(), number));
    op->erase();
  });
}

void KernelWriter::setLaunch() {
  int64_t threads = source->getAttrOfType<IntegerAttr>("rondo.threads").getInt();
  auto number = [&](StringRef name, int64_t value) { return b.getNamedAttr(name, b.getI64IntegerAttr(value)); };
  kernel->setAttr("rondo.launch", b.getDictionaryAttr({number("threads", threads), number("shared", sharedBytes),
                                                       number("blocks", source->hasAttr("rondo.block") ? blocks : 1),
                                                       number("maxBlocks", workspaceBytes ? mostBlocks : 0),
                                                       number("workspace", workspaceBytes),
                                                       b.getNamedAttr("params", b.getArrayAttr(params))}));
  kernel->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  kernel->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), b.getDenseI32ArrayAttr({int32_t(threads)}));
  // Else ptxas keeps registers for a second block, and spills.
  kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
  for (StringRef name : {"rondo.arrays", "rondo.chunk", "rondo.block", "rondo.scratch_bytes"})
    if (Attribute attr = source->getAttr(name))
      kernel->setAttr(name, attr);
}

LogicalResult KernelWriter::run() {
  b.setInsertionPointToEnd(module.getBody());
  Type nothing = LLVM::LLVMVoidType::get(b.getContext());
  kernel = LLVM::LLVMFuncOp::create(b, source.getSymName(), LLVM::LLVMFunctionType::get(nothing, {}));
  b.setInsertionPointToStart(kernel.addEntryBlock(b));
  if (failed(addParameters()))
    return failure();
  Block *entry = &kernel.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(source.getBody().front())) {
    if (isa<func::ReturnOp>(op))
      LLVM::ReturnOp::create(b, ValueRange());
    else
      op.moveBefore(entry, entry->end());
    b.setInsertionPointToEnd(entry);
  }
  memref::AllocOp alloc;
  kernel.walk([&](memref::AllocOp op) { alloc = op; });
  if (alloc)
    placeArena(alloc);
  rewriteMemory();
  rewriteIdentifiers();
  if (alloc)
    alloc.erase();
  SmallVector<Type> types(entry->getArgumentTypes());
  kernel.setFunctionType(LLVM::LLVMFunctionType::get(nothing, types));
  setLaunch();
  return success();
}
