//===- RondoDialect.cpp - The token-level dialect: types and the mixer ------------------------------------------===//

#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "rondo/Dialect/Rondo/Rondo.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace rondo;

#include "rondo/Dialect/Rondo/RondoDialect.cpp.inc"
#include "rondo/Dialect/Rondo/RondoEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "rondo/Dialect/Rondo/RondoTypes.cpp.inc"

void RondoDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "rondo/Dialect/Rondo/RondoTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "rondo/Dialect/Rondo/RondoOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

static ParseResult parseDim(AsmParser &parser, SmallVectorImpl<Dim> &dims) {
  SMLoc loc = parser.getCurrentLocation();
  int64_t number;
  OptionalParseResult parsed = parser.parseOptionalInteger(number);
  if (parsed.has_value()) {
    if (failed(*parsed))
      return failure();
    dims.push_back(Dim(number));
    return success();
  }
  std::string text;
  if (failed(parser.parseOptionalKeywordOrString(&text)))
    return parser.emitError(loc, "expected a size: a name, a number or a quoted expression such as \"2*K\"");
  auto dim = Dim::parse(text);
  if (!dim)
    return parser.emitError(loc, "'") << text << "' is not a size expression; write names, numbers, + - * / and ()";
  dims.push_back(*dim);
  return success();
}

static ParseResult parseDims(AsmParser &parser, SmallVectorImpl<Dim> &dims) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, [&] { return parseDim(parser, dims); });
}

static void printDims(AsmPrinter &printer, ArrayRef<Dim> dims) {
  printer << "<";
  llvm::interleaveComma(dims, printer, [&](const Dim &dim) {
    if (dim.isSimple())
      printer << dim.str();
    else
      printer << '"' << dim.str() << '"';
  });
  printer << ">";
}

static SmallVector<int64_t> toShape(ArrayRef<Dim> dims) {
  return llvm::map_to_vector(dims, [](const Dim &dim) { return *dim.getConstant(); });
}

static bool areStatic(ArrayRef<Dim> dims) {
  return llvm::all_of(dims, [](const Dim &dim) { return dim.getConstant().has_value(); });
}

Type ValueType::parse(AsmParser &parser) {
  SmallVector<Dim> dims;
  if (failed(parseDims(parser, dims)))
    return {};
  if (dims.size() > 2) {
    parser.emitError(parser.getNameLoc(), "a value has at most two sizes");
    return {};
  }
  return get(parser.getContext(), dims);
}
void ValueType::print(AsmPrinter &printer) const { printDims(printer, getDims()); }
SmallVector<int64_t> ValueType::getShape() const { return toShape(getDims()); }
bool ValueType::isStatic() const { return areStatic(getDims()); }

Type StateType::parse(AsmParser &parser) {
  SmallVector<Dim> dims;
  if (failed(parseDims(parser, dims)))
    return {};
  if (dims.size() > 2) {
    parser.emitError(parser.getNameLoc(), "a state has at most two sizes");
    return {};
  }
  return get(parser.getContext(), dims);
}
void StateType::print(AsmPrinter &printer) const { printDims(printer, getDims()); }
SmallVector<int64_t> StateType::getShape() const { return toShape(getDims()); }
bool StateType::isStatic() const { return areStatic(getDims()); }
ValueType StateType::getValueType() const { return ValueType::get(getContext(), getDims()); }

//===----------------------------------------------------------------------===//
// MixerOp
//===----------------------------------------------------------------------===//

void MixerOp::build(OpBuilder &builder, OperationState &state, StringRef name, FunctionType type) {
  state.addAttribute(SymbolTable::getSymbolAttrName(), builder.getStringAttr(name));
  state.addAttribute(getFunctionTypeAttrName(state.name), TypeAttr::get(type));
  state.addRegion();
}

ParseResult MixerOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildType = [](Builder &builder, ArrayRef<Type> inputs, ArrayRef<Type> results,
                      function_interface_impl::VariadicFlag,
                      std::string &) { return builder.getFunctionType(inputs, results); };
  return function_interface_impl::parseFunctionOp(parser, result, /*allowVariadic=*/false,
                                                  getFunctionTypeAttrName(result.name), buildType,
                                                  getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void MixerOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
                                           getArgAttrsAttrName(), getResAttrsAttrName());
}

StringRef MixerOp::getArgName(unsigned i) { return getArgAttrOfType<StringAttr>(i, kNameAttr).getValue(); }
StringRef MixerOp::getResultName(unsigned i) { return getResultAttrOfType<StringAttr>(i, kNameAttr).getValue(); }
bool MixerOp::isParam(unsigned i) {
  auto kind = getArgAttrOfType<StringAttr>(i, kKindAttr);
  return kind && kind.getValue() == "param";
}
bool MixerOp::isGrouped(unsigned i) { return getArgAttr(i, kGroupedAttr) != nullptr; }
SmallVector<StateOp, 4> MixerOp::getStates() { return llvm::to_vector<4>(getBody().getOps<StateOp>()); }
YieldOp MixerOp::getYield() { return cast<YieldOp>(getBody().front().getTerminator()); }

LogicalResult MixerOp::verifyRegions() {
  llvm::StringSet<> names;
  for (unsigned i = 0; i < getNumArguments(); ++i) {
    if (!isa<ValueType>(getArgumentTypes()[i]))
      return emitOpError("argument ") << i << " must be a !rondo.val";
    auto name = getArgAttrOfType<StringAttr>(i, kNameAttr);
    if (!name)
      return emitOpError("argument ") << i << " needs a name: {rondo.name = \"...\"}";
    if (!names.insert(name.getValue()).second)
      return emitOpError("two arguments are named '") << name.getValue() << "'";
    auto kind = getArgAttrOfType<StringAttr>(i, kKindAttr);
    if (kind && kind.getValue() != "param" && kind.getValue() != "token")
      return emitOpError("argument '") << name.getValue() << "': rondo.kind is \"token\" or \"param\"";
  }
  for (unsigned i = 0; i < getNumResults(); ++i) {
    if (!isa<ValueType>(getResultTypes()[i]))
      return emitOpError("result ") << i << " must be a !rondo.val";
    if (!getResultAttrOfType<StringAttr>(i, kNameAttr))
      return emitOpError("result ") << i << " needs a name: {rondo.name = \"...\"}";
  }
  if (getBody().empty() || getBody().front().empty() || !isa<YieldOp>(getBody().front().back()))
    return emitOpError("must end in rondo.yield");
  if (TypeRange(getYield().getOperandTypes()) != TypeRange(getResultTypes()))
    return getYield().emitOpError("must yield the mixer's result types");
  llvm::StringSet<> stateNames;
  for (StateOp state : getStates())
    if (!stateNames.insert(state.getName()).second)
      return state.emitOpError("two states are named '") << state.getName() << "'";
  return success();
}
