//===- CHeader.cpp - The C interface of a compiled mixer ------------------------------------------------*- C++ -*-===//

#include "CHeader.h"
#include "rondo/Driver/Build.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace rondo::driver {

CInterface::CInterface(const Signature &signature, const StringMap<int64_t> &sizes, const Options &options)
    : signature(signature), sizes(sizes), source(sys::path::filename(options.file)) {
  auto add = [&](const Operand &operand, const Twine &field, StringRef role) {
    CTensor tensor{field.str(), operand.name, role.str(), &operand, kernelType(operand, options), {}};
    for (const Dim &dim : operand.dims)
      tensor.sizes.push_back(*dim.evaluate(sizes));
    tensors.push_back(std::move(tensor));
  };
  for (const Operand &argument : signature.arguments)
    add(argument, argument.name, argument.role == Operand::param ? "RONDO_PARAM" : "RONDO_TOKEN");
  for (const Operand &output : signature.outputs)
    add(output, output.name, "RONDO_OUTPUT");
  for (const Operand &state : signature.states) {
    add(state, "initial_" + state.name, "RONDO_INITIAL");
    add(state, "final_" + state.name, "RONDO_FINAL");
  }
}

static void printField(const CTensor &tensor, raw_ostream &os) {
  bool written = tensor.role == "RONDO_OUTPUT" || tensor.role == "RONDO_FINAL";
  os << "  " << (written ? "" : "const ") << "DLTensor *" << tensor.field << "; /**< " << tensor.operand->layout()
     << " " << elementTypeName(tensor.type);
  if (tensor.operand->grouped)
    os << "; may have fewer heads, a divisor of H";
  if (tensor.role == "RONDO_INITIAL")
    os << ", or NULL: starts at " << format("%g", tensor.operand->init);
  if (tensor.role == "RONDO_FINAL")
    os << ", or NULL: not wanted";
  os << " */\n";
}

void printHeader(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  std::string guard = "RONDO_MIXER_" + StringRef(mixer).upper() + "_H";
  os << "/* " << mixer << ": written by `rondoc compile` from " << interface.source << ". */\n"
     << "#ifndef " << guard << "\n#define " << guard << "\n\n"
     << "#include \"dlpack/dlpack.h\"\n#include \"rondo.h\"\n\n"
     << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";

  if (!interface.signature.sizes.empty()) {
    os << "/** The sizes that the mixer was compiled for. */\nenum {";
    interleave(
        interface.signature.sizes, os,
        [&](const std::string &name) { os << " " << mixer << "_" << name << " = " << interface.sizes.lookup(name); },
        ",");
    os << " };\n\n";
  }

  os << "/**\n * The tensors of one call. They are in the CPU's memory. Any strides are allowed; that of the last "
        "dimension of a\n"
     << " * vector or matrix is 1. B (batch), T (time) and H (heads) are the same in all of them, at least 1, and may "
        "differ from\n"
     << " * call to call. Fill with zeros first: `" << mixer << "_args args = {0};`.\n */\n"
     << "typedef struct " << mixer << "_args {\n";
  for (const CTensor &tensor : interface.tensors)
    printField(tensor, os);
  os << "  int32_t threads; /**< over batch entries and heads; 0: as many as OpenMP gives */\n"
     << "  int32_t check_nan; /**< not 0: look for NaN in every input first */\n"
     << "} " << mixer << "_args;\n\n"
     << "/** Runs the mixer over whole sequences. When the result is not RONDO_OK, nothing has been written and\n"
     << " * `rondo_error_message` says why. Threads may call it at the same time. */\n"
     << "rondo_status " << mixer << "_forward(const " << mixer << "_args *args);\n\n"
     << "#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
}

/// `{kDLFloat, 32, 1}`
static std::string dlpackType(ElementType type) {
  return std::string(type == ElementType::bf16 ? "{kDLBfloat, " : "{kDLFloat, ") +
         std::to_string(8 * elementBytes(type)) + ", 1}";
}

void printWrapper(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  size_t count = interface.tensors.size();
  std::string kernel = "_mlir_ciface_" + mixer + "_kernel";
  os << "#include \"rondo_runtime.h\"\n#include \"" << mixer << ".h\"\n\nstatic const rondo_operand operands[] = {\n";
  for (const CTensor &tensor : interface.tensors) {
    os << "    {\"" << tensor.name << "\", " << tensor.role << ", " << int(tensor.operand->grouped) << ", "
       << dlpackType(tensor.type) << ", " << tensor.sizes.size() << ", {";
    interleaveComma(tensor.sizes, os);
    os << (tensor.sizes.empty() ? "0" : "") << "}},\n";
  }
  os << "};\nstatic const rondo_signature signature = {\"" << mixer << "\", " << count << ", operands};\n\n"
     << "void " << kernel << "(";
  for (size_t i = 0; i < count; ++i)
    os << "rondo_descriptor *, ";
  os << "int64_t, int64_t, int64_t);\n\n"
     << "rondo_status " << mixer << "_forward(const " << mixer << "_args *args) {\n"
     << "  const DLTensor *tensors[] = {";
  interleaveComma(interface.tensors, os, [&](const CTensor &tensor) { os << "args->" << tensor.field; });
  os << "};\n  rondo_descriptor d[" << count << "];\n  rondo_masks masks;\n"
     << "  rondo_status status = rondo_prepare(&signature, tensors, args->check_nan, d, &masks);\n"
     << "  if (status == RONDO_OK)\n    " << kernel << "(";
  for (size_t i = 0; i < count; ++i)
    os << "&d[" << i << "], ";
  os << "masks.initial, masks.final, args->threads);\n  return status;\n}\n";
}

} // namespace rondo::driver
