//===- Kernel.cpp - Parameters of a tile kernel, and the addresses made of them --------------------------------===//

#include "Kernel.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::tile;

Kernel::Kernel(KernelOp op, LLVM::LLVMFuncOp function, Operation *before)
    : Kernel(op.getArrays(), op.getChunk() / op.getWrites(), op.getBlocks(), function, before) {
  writes = op.getWrites();
}

Kernel::Kernel(ArrayAttr descriptions, int64_t chunk, int64_t blocks, LLVM::LLVMFuncOp function, Operation *before)
    : chunk(chunk), blocks(blocks), function(function), b(function.getLoc(), before) {
  for (auto entry : descriptions.getAsRange<DictionaryAttr>())
    arrays.push_back({entry.getAs<StringAttr>("name").getValue(), entry.getAs<StringAttr>("role").getValue(),
                      entry.getAs<TypeAttr>("type").getValue(), entry.getAs<DenseI64ArrayAttr>("sizes").asArrayRef()});
}

const DeviceArray *Kernel::find(Operation *user, StringRef name, StringRef role) {
  auto found = llvm::find_if(arrays, [&](const DeviceArray &array) { return array.name == name; });
  if (found == arrays.end()) {
    user->emitOpError("names the array '") << name << "', which is not in `arrays` of the kernel";
    return nullptr;
  }
  // One kernel writes it, later ones read it.
  bool isTemporary = found->role == "temporary" && (role == "token" || role == "output");
  if (found->role != role && !isTemporary) {
    user->emitOpError("works on an array of role ") << role << ", '" << name << "' is " << found->role;
    return nullptr;
  }
  return &*found;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------------------------------------------------===//

Value Kernel::parameter(ArrayRef<std::pair<StringRef, Attribute>> entries, Type type) {
  SmallVector<NamedAttribute> attributes;
  for (auto [name, value] : entries)
    attributes.push_back(b.getNamedAttr(name, value));
  Value &argument = params[b.getDictionaryAttr(attributes)];
  if (!argument)
    argument = function.getBody().front().addArgument(type, b.getLoc());
  return argument;
}

Value Kernel::pointer(StringRef array) {
  return parameter({{"kind", b.getStringAttr("pointer")}, {"array", b.getStringAttr(array)}},
                   LLVM::LLVMPointerType::get(b.getContext(), /*addressSpace=*/1));
}

Value Kernel::stride(StringRef array, StringRef dim) {
  return parameter(
      {{"kind", b.getStringAttr("stride")}, {"array", b.getStringAttr(array)}, {"dim", b.getStringAttr(dim)}},
      b.getI64Type());
}

Value Kernel::size(StringRef dim) {
  return parameter({{"kind", b.getStringAttr("size")}, {"dim", b.getStringAttr(dim)}}, b.getI64Type());
}

Value Kernel::map(StringRef array, ArrayRef<int64_t> box, int64_t swizzle) {
  return parameter({{"kind", b.getStringAttr("map")},
                    {"array", b.getStringAttr(array)},
                    {"box", b.getI64ArrayAttr(box)},
                    {"swizzle", b.getI64IntegerAttr(swizzle)}},
                   LLVM::LLVMPointerType::get(b.getContext()));
}

ArrayAttr Kernel::parameters() {
  return b.getArrayAttr(llvm::map_to_vector(params, [](const auto &entry) -> Attribute { return entry.first; }));
}

void Kernel::setArguments() {
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> attributes;
  for (auto [description, value] : params) {
    types.push_back(value.getType());
    SmallVector<NamedAttribute> entries;
    if (description.getAs<StringAttr>("kind").getValue() == "map") {
      // A tensor map is read in place, in the constant memory of the parameters.
      auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), 128);
      entries = {b.getNamedAttr(LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(bytes)),
                 b.getNamedAttr(LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(64)),
                 b.getNamedAttr(NVVM::NVVMDialect::getGridConstantAttrName(), b.getUnitAttr())};
    }
    attributes.push_back(b.getDictionaryAttr(entries));
  }
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), types);
  function.setFunctionType(type);
  function.setAllArgAttrs(attributes);
}

//===----------------------------------------------------------------------------------------------------------------===//
// This block
//===----------------------------------------------------------------------------------------------------------------===//

Value Kernel::cached(const Twine &name, function_ref<Value()> make) {
  std::string key = name.str();
  auto found = values.find(key);
  if (found != values.end())
    return found->second;
  Value value = make();
  return values[key] = value;
}

static Value constant(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
}
static Value narrow(ImplicitLocOpBuilder &b, Value value) { return arith::TruncIOp::create(b, b.getI32Type(), value); }
static Value widen(ImplicitLocOpBuilder &b, Value value) { return arith::ExtSIOp::create(b, b.getI64Type(), value); }

Value Kernel::tokens() {
  return cached("T", [&] { return narrow(b, size("T")); });
}

Value Kernel::chunks() {
  return cached("chunks", [&]() -> Value {
    Value last = arith::AddIOp::create(b, tokens(), constant(b, chunk - 1));
    return arith::DivUIOp::create(b, last, constant(b, chunk));
  });
}

static Value blockIndex(ImplicitLocOpBuilder &b) { return NVVM::BlockIdXOp::create(b, b.getI32Type()); }

Value Kernel::column() {
  return cached("column", [&]() -> Value { return arith::RemUIOp::create(b, blockIndex(b), constant(b, blocks)); });
}

Value Kernel::batch() {
  return cached("batch", [&]() -> Value {
    Value item = arith::DivUIOp::create(b, blockIndex(b), constant(b, blocks));
    return arith::DivUIOp::create(b, item, narrow(b, size("H")));
  });
}

Value Kernel::head() {
  return cached("head", [&]() -> Value {
    Value item = arith::DivUIOp::create(b, blockIndex(b), constant(b, blocks));
    return arith::RemUIOp::create(b, item, narrow(b, size("H")));
  });
}

Value Kernel::head(const DeviceArray &array) {
  if (array.role != "token" && array.role != "param")
    return head();
  return cached("head of " + array.name, [&]() -> Value {
    Value heads =
        parameter({{"kind", b.getStringAttr("heads")}, {"array", b.getStringAttr(array.name)}}, b.getI64Type());
    Value sharing = arith::DivUIOp::create(b, narrow(b, size("H")), narrow(b, heads));
    return arith::DivUIOp::create(b, head(), sharing);
  });
}

Value Kernel::base(const DeviceArray &array, StringRef part) {
  std::string name = (array.name + part).str();
  return cached("base of " + name, [&]() -> Value {
    Value offset = arith::MulIOp::create(b, widen(b, head(array)), stride(name, "H"));
    if (array.role != "param")
      offset = arith::AddIOp::create(b, offset, arith::MulIOp::create(b, widen(b, batch()), stride(name, "B")));
    Value first = pointer(name);
    return LLVM::GEPOp::create(b, first.getType(), array.element, first, ValueRange(offset));
  });
}
