//===- CHeader.cpp - The C interface of a compiled mixer --------------------------------------------------------===//

#include "CHeader.h"
#include "rondo/Driver/Build.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <set>

using namespace llvm;

namespace rondo::driver {

CTensor CInterface::makeTensor(const Operand &operand, const Twine &field, StringRef role, const Options &options) {
  CTensor tensor{field.str(), operand.name, role.str(), &operand, kernelType(operand, options), {}};
  for (const Dim &dim : operand.dims)
    tensor.sizes.push_back(*dim.evaluate(sizes));
  for (StringRef written : {"_OUTPUT", "_FINAL", "_STATE", "_HISTORY", "_GRADIENT", "_CONTRIBUTION", "_TRANSITION"})
    tensor.written |= role.ends_with(written);
  return tensor;
}

CInterface::CInterface(const Signature &signature, const StringMap<int64_t> &sizes, const Options &options)
    : signature(signature), sizes(sizes), source(sys::path::filename(options.file)) {
  auto add = [&](std::vector<CTensor> &tensors, const Operand &operand, const Twine &field, StringRef role) {
    tensors.push_back(makeTensor(operand, field, role, options));
  };
  auto roleOf = [](const Operand &argument) { return argument.role == Operand::param ? "RONDO_PARAM" : "RONDO_TOKEN"; };
  for (const Operand &argument : signature.arguments)
    add(tensors, argument, argument.name, roleOf(argument));
  backwardTensors = tensors;
  for (const Operand &output : signature.outputs) {
    add(tensors, output, output.name, "RONDO_OUTPUT");
    add(backwardTensors, output, "grad_" + output.name, "RONDO_OUTPUT_COTANGENT");
  }
  for (const Operand &argument : signature.arguments)
    add(backwardTensors, argument, "grad_" + argument.name, (roleOf(argument) + Twine("_GRADIENT")).str());
  stepTensors = tensors;
  for (const Operand &state : signature.states) {
    add(stepTensors, state, "state_" + state.name, "RONDO_STATE");
    add(stepTensors, state, "history_" + state.name, "RONDO_HISTORY");
    add(tensors, state, "initial_" + state.name, "RONDO_INITIAL");
    add(tensors, state, "final_" + state.name, "RONDO_FINAL");
    add(backwardTensors, state, "initial_" + state.name, "RONDO_INITIAL");
    add(backwardTensors, state, "grad_final_" + state.name, "RONDO_FINAL_COTANGENT");
    add(backwardTensors, state, "", "RONDO_SAVED");
    add(backwardTensors, state, "grad_initial_" + state.name, "RONDO_INITIAL_GRADIENT");
  }
}

void CInterface::addSummary(const Signature &summary, ArrayRef<SummaryState> states, const Options &options) {
  summaryStates = states;
  auto add = [&](std::vector<CTensor> &tensors, const Operand &operand, const Twine &field, StringRef role,
                 const Twine &note, bool written) {
    CTensor &tensor = tensors.emplace_back(makeTensor(operand, field, role, options));
    tensor.note = note.str();
    tensor.written = written;
  };
  for (const Operand &argument : summary.arguments)
    summaryTensors.push_back(
        makeTensor(argument, argument.name, argument.role == Operand::param ? "RONDO_PARAM" : "RONDO_TOKEN", options));
  constexpr StringLiteral kNotWanted = ", or NULL: not wanted";
  for (auto [state, operand] : zip_equal(states, summary.states)) {
    bool isTransition = !state.transition.empty();
    add(summaryTensors, operand, isTransition ? "" : "initial_" + Twine(state.name), "RONDO_INITIAL",
        ", or NULL: not known yet", false);
    summaryTensors.back().identity = state.identity;
    add(summaryTensors, operand, (isTransition ? "" : "contribution_") + Twine(state.name),
        isTransition ? "RONDO_TRANSITION" : "RONDO_CONTRIBUTION", kNotWanted, true);
  }
  const Operand *own = signature.states.data(); // with the values that a sequence starts at
  for (bool transitions : {false, true})
    for (auto [state, operand] : zip_equal(states, summary.states)) {
      if (state.transition.empty() == transitions)
        continue;
      std::string field = (transitions ? "" : "contribution_") + state.name;
      StringRef role = transitions ? "RONDO_TRANSITION" : "RONDO_CONTRIBUTION";
      const std::string &target = transitions ? state.of[0] : state.name;
      if (!transitions)
        add(combineTensors, *own, "initial_" + Twine(state.name), "RONDO_INITIAL", "", false);
      add(combineTensors, operand, field, role, "; final_" + Twine(target) + " needs it", false);
      if (!transitions)
        add(combineTensors, *own++, "final_" + Twine(state.name), "RONDO_FINAL", "", true);
      add(composeTensors, operand, "first_" + Twine(field), role, "", false);
      add(composeTensors, operand, "second_" + Twine(field), role, "", false);
      add(composeTensors, operand, field, role, kNotWanted, true);
    }
}

Error CInterface::addCuda(const rondo_cuda_program &program) {
  const rondo_signature &kernel = *program.signature;
  bool same = size_t(kernel.count) == tensors.size();
  for (size_t i = 0; same && i < tensors.size(); ++i) {
    const rondo_operand &operand = kernel.operands[i];
    same = tensors[i].name == operand.name && ArrayRef(operand.sizes, operand.rank) == ArrayRef(tensors[i].sizes);
  }
  if (!same)
    return createStringError("the GPU kernel's arrays are not those of mixer '" + signature.mixer + "'");
  for (const rondo_cuda_kernel &kernel : ArrayRef(program.kernels, program.count))
    for (const rondo_cuda_param &param : ArrayRef(kernel.params, kernel.count))
      if (size_t(param.array) < tensors.size() && param.kind == RONDO_CUDA_MAP)
        tensors[param.array].isMapped = true;
  cuda = &program;
  return Error::success();
}

static void printField(const CTensor &tensor, raw_ostream &os) {
  if (tensor.field.empty())
    return;
  StringRef role = tensor.role;
  bool isGradient = role.ends_with("_GRADIENT");
  bool isHistory = role == "RONDO_HISTORY";
  std::string layout = tensor.operand->layout();
  if (isHistory)
    layout.insert(StringRef("[B, H").size(), ", T");
  os << "  " << (tensor.written ? "" : "const ") << "DLTensor *" << tensor.field << "; /**< " << layout << " "
     << elementTypeName(tensor.type);
  if (tensor.operand->grouped)
    os << (isGradient ? "; as many heads as " + tensor.name : "; may have fewer heads, a divisor of H");
  os << tensor.note;
  if (role == "RONDO_INITIAL" && tensor.note.empty())
    os << ", or NULL: starts at " << format("%g", tensor.operand->init);
  if (role == "RONDO_STATE")
    os << "; a sequence starts at " << format("%g", tensor.operand->init);
  if (role == "RONDO_FINAL" || role == "RONDO_INITIAL_GRADIENT" || isHistory)
    os << ", or NULL: not wanted";
  if (role == "RONDO_FINAL_COTANGENT")
    os << ", or NULL: zero";
  if (tensor.isMapped)
    os << "; on CUDA address and strides are multiples of 16 bytes";
  os << " */\n";
}

static void printBackward(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  os << "/**\n * The tensors of one backward call, under the same rules. `grad_` of an output or final state is its "
        "cotangent, dL/d of\n * it, and read; `grad_` of an argument or initial state is its gradient, and written. "
        "All "
        "that goes into the forward\n * call goes into this one too: it keeps the states before every "
     << interface.chunk << " tokens and computes the rest again.\n */\n"
     << "typedef struct " << mixer << "_backward_args {\n";
  for (const CTensor &tensor : interface.backwardTensors)
    printField(tensor, os);
  os << "  void *workspace; /**< for the states that it keeps, aligned for float; or NULL: from malloc, for the "
        "time "
        "of the\n                        call */\n"
     << "  size_t workspace_bytes; /**< at least " << mixer
     << "_backward_workspace(B, T, H) when there is a workspace */\n"
     << "  int32_t threads; /**< over batch entries and heads; 0: as many as OpenMP gives */\n"
     << "  int32_t check_nan; /**< not 0: look for NaN in every input and cotangent first */\n"
     << "} " << mixer << "_backward_args;\n\n"
     << "/** Bytes of a workspace. */\n"
     << "size_t " << mixer << "_backward_workspace(int64_t batch, int64_t tokens, int64_t heads);\n\n"
     << "/** Computes the gradients of whole sequences. When the result is not RONDO_OK, nothing has been written and\n"
     << " * `rondo_error_message` says why; RONDO_OUT_OF_MEMORY: the workspace is too small or malloc gave none. "
        "Threads "
        "may call it\n * at the same time, each with its own workspace. */\n"
     << "rondo_status " << mixer << "_backward(const " << mixer << "_backward_args *args);\n\n";
}

static void printStep(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  os << "/**\n * The tensors of one step call, under the same rules: T new tokens (one, or a draft of several). "
        "`state_` "
        "is the\n * state before the tokens and becomes the state after them. `history_` gets the state after each of "
        "them: to take\n * back the last tokens of a draft, copy the right one to `state_`.\n */\n"
     << "typedef struct " << mixer << "_step_args {\n";
  for (const CTensor &tensor : interface.stepTensors)
    printField(tensor, os);
  if (interface.scratch)
    os << "  void *scratch; /**< used during the call */\n"
       << "  size_t scratch_bytes; /**< " << mixer
       << "_step_scratch for each thread; with room for fewer there are fewer threads */\n";
  os << "  int32_t threads; /**< over batch entries and heads, when there is enough to do; 0: as many as OpenMP gives "
        "*/\n"
     << "  int32_t check_nan; /**< not 0: look for NaN in every input and state first */\n"
     << "} " << mixer << "_step_args;\n\n";
  if (interface.scratch)
    os << "enum { " << mixer << "_step_scratch = " << interface.scratch << " };\n\n";
  os << "/** Decodes, token by token: the same numbers to the last bit in whatever parts the tokens come. Allocates no "
        "memory.\n * When the result is not RONDO_OK, nothing has been written and `rondo_error_message` says why. "
        "Threads may call it at\n * the same time, each with its own states. */\n"
     << "rondo_status " << mixer << "_step(const " << mixer << "_step_args *args);\n\n";
}

static void printSummary(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  if (!interface.noSummary.empty()) {
    os << "/* No " << mixer << "_summary: " << interface.noSummary << ". */\n\n";
    return;
  }
  int64_t levels = 1;
  for (const SummaryState &state : interface.summaryStates)
    levels = std::max(levels, state.level + 1);
  os << "/**\n * The tensors of the summary of a shard of the sequence, under the same rules. A shard takes the states "
        "S "
        "before it to\n * A(S) + N: `contribution_` is N, and the arrays without a prefix are A.\n";
  if (levels == 1)
    os << " * Split a sequence: summarise every shard, with `initial_` NULL; from the first shard to the last, "
       << mixer << "_combine\n * makes of the states before a shard those after it; run every shard with the states "
       << "before it.\n";
  else
    os << " * States become known in the order of their levels. For level 0, 1, ...: summarise every shard, with "
          "`initial_` of lower\n * levels' states (what the shard begins with; their contributions mean nothing then) "
          "and NULL "
          "for the others; from the\n * first shard to the last, "
       << mixer << "_combine makes of this level's states before a shard those after it.\n * Then run every shard with "
       << "the states before it.\n";
  for (int64_t level = 0; level < levels; ++level) {
    SmallVector<StringRef> names;
    for (const SummaryState &state : interface.summaryStates)
      if (state.transition.empty() && state.level == level)
        names.push_back(state.name);
    if (levels > 1)
      os << " *   level " << level << ": " << join(names, ", ") << "\n";
  }
  os << " */\ntypedef struct " << mixer << "_summary_args {\n";
  for (const CTensor &tensor : interface.summaryTensors)
    printField(tensor, os);
  os << "  int32_t threads; /**< over batch entries and heads; 0: as many as OpenMP gives */\n"
     << "  int32_t check_nan; /**< not 0: look for NaN in every input first */\n"
     << "} " << mixer << "_summary_args;\n\n"
     << "/** Summarises a shard. When the result is not RONDO_OK, nothing has been written and `rondo_error_message` "
        "says\n * why. Threads may call it at the same time. */\n"
     << "rondo_status " << mixer << "_summary(const " << mixer << "_summary_args *args);\n\n";

  os << "/**\n * The states before a shard, its summary, and the states after it. None of the latter overlaps anything "
        "else.\n */\ntypedef struct "
     << mixer << "_combine_args {\n";
  for (const CTensor &tensor : interface.combineTensors)
    printField(tensor, os);
  os << "} " << mixer << "_combine_args;\n\n"
     << "/** Computes the states after a shard, A(initial) + N. When the result is not RONDO_OK, nothing has been "
        "written. */\n"
     << "rondo_status " << mixer << "_combine(const " << mixer << "_combine_args *args);\n\n";

  os << "/**\n * The summaries of two shards that follow one another, and that of both as one. The latter overlaps "
        "nothing "
        "else.\n */\ntypedef struct "
     << mixer << "_compose_args {\n";
  for (const CTensor &tensor : interface.composeTensors)
    printField(tensor, os);
  os << "} " << mixer << "_compose_args;\n\n"
     << "/** Computes the summary of two shards, of states of one level. When the result is not RONDO_OK, nothing has "
        "been\n * written. */\n"
     << "rondo_status " << mixer << "_compose(const " << mixer << "_compose_args *args);\n\n";
}

void printHeader(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  std::string guard = "RONDO_MIXER_" + StringRef(mixer).upper() + "_H";
  os << "/* " << mixer << ": written by `rondoc compile` from " << interface.source << ". */\n"
     << "#ifndef " << guard << "\n#define " << guard << "\n\n"
     << "#include \"dlpack/dlpack.h\"\n#include \"rondo.h\"\n#include <stddef.h>\n#include <stdint.h>\n\n"
     << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";

  if (!interface.signature.sizes.empty()) {
    os << "/** The sizes that the mixer was compiled for. */\nenum {";
    interleave(
        interface.signature.sizes, os,
        [&](const std::string &name) { os << " " << mixer << "_" << name << " = " << interface.sizes.lookup(name); },
        ",");
    os << " };\n\n";
  }

  bool onCpu = interface.onCpu, onCuda = interface.cuda;
  os << "/**\n * The tensors of one call. They are "
     << (onCuda ? onCpu ? "all in the CPU's memory, or all on one CUDA device of compute capability 9.0"
                        : "on one CUDA device of compute capability 9.0"
                : "in the CPU's memory")
     << ". Any strides are allowed; that of the last dimension of a\n"
     << " * vector or matrix is 1"
     << (onCuda ? ", and on CUDA the rows of a matrix follow one another without a gap" : "")
     << ". B (batch), T (time) and H (heads) are the same in all of them, at least 1, and may differ from\n"
     << " * call to call. Fill with zeros first: `" << mixer << "_args args = {0};`.\n */\n"
     << "typedef struct " << mixer << "_args {\n";
  for (const CTensor &tensor : interface.tensors)
    printField(tensor, os);
  if (onCpu)
    os << "  int32_t threads; /**< over batch entries and heads; 0: as many as OpenMP gives"
       << (onCuda ? "; not used on CUDA" : "") << " */\n"
       << "  int32_t check_nan; /**< not 0: look for NaN in every input first" << (onCuda ? "; on the CPU only" : "")
       << " */\n";
  else
    os << "  int32_t threads; /**< not used on CUDA */\n"
       << "  int32_t check_nan; /**< 0: there is no looking for NaN on CUDA */\n";
  if (onCuda)
    os << "  void *stream; /**< on CUDA: a CUstream or cudaStream_t of the tensors' device; NULL: its default stream "
          "*/\n";
  os << "} " << mixer << "_args;\n\n"
     << "/** Runs the mixer over whole sequences. When the result is not RONDO_OK, nothing has been written and\n"
     << " * `rondo_error_message` says why. Threads may call it at the same time.";
  if (onCuda)
    os << "\n *\n * On CUDA it puts the kernel on the stream and returns; the tensors must stay until the stream has "
          "passed it, and what\n * goes wrong on the device shows in a later call of the driver. The context is the "
          "current one when it belongs to the\n * device (PyTorch's), else the device's primary one. The first call "
          "there loads the code: call once before the capture of\n * a graph.";
  os << " */\n"
     << "rondo_status " << mixer << "_forward(const " << mixer << "_args *args);\n\n";
  if (onCuda)
    os << (onCpu ? "/* What follows runs on the CPU only. */\n\n"
                 : "/* No " + mixer +
                       "_backward, _step or _summary: they run on the CPU only. Compile with "
                       "--target=cpu,cuda for a library that\n * has them. */\n\n");
  if (onCpu) {
    printBackward(interface, os);
    printStep(interface, os);
    printSummary(interface, os);
  }
  os << "#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
}

/// `{kDLFloat, 32, 1}`
static std::string dlpackType(ElementType type) {
  return std::string(type == ElementType::bf16 ? "{kDLBfloat, " : "{kDLFloat, ") +
         std::to_string(8 * elementBytes(type)) + ", 1}";
}

/// The table of a kernel's operands for the runtime.
static void printTable(const CInterface &interface, ArrayRef<CTensor> tensors, StringRef name, int64_t chunk,
                       raw_ostream &os) {
  os << "static const rondo_operand " << name << "_operands[] = {\n";
  for (const CTensor &tensor : tensors) {
    os << "    {\"" << tensor.name << "\", " << tensor.role << ", " << int(tensor.operand->grouped) << ", "
       << dlpackType(tensor.type) << ", " << tensor.sizes.size() << ", {";
    interleaveComma(tensor.sizes, os);
    os << (tensor.sizes.empty() ? "0" : "") << "}, "
       << (tensor.identity ? "identity_" + std::to_string(tensor.sizes[0]) : "NULL") << "},\n";
  }
  os << "};\nstatic const rondo_signature " << name << "_signature = {\"" << interface.signature.mixer << "\", "
     << tensors.size() << ", " << name << "_operands, " << chunk << "};\n\n";
}

/// A function up to the call of its kernel. `place` is a call that comes in between, `last` what the kernel gets after
/// the tensors.
static void printFunction(const CInterface &interface, ArrayRef<CTensor> tensors, StringRef name, StringRef kernel,
                          StringRef place, StringRef last, StringRef lastTypes, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  if (interface.onCpu) {
    os << "void " << kernel << "(";
    for (size_t i = 0; i < tensors.size(); ++i)
      os << "rondo_descriptor *, ";
    os << lastTypes << ");\n\n";
  }
  os << "rondo_status " << mixer << "_" << name << "(const " << mixer << (name == "forward" ? "" : ("_" + name).str())
     << "_args *args) {\n  const DLTensor *tensors[] = {";
  interleaveComma(tensors, os,
                  [&](const CTensor &tensor) { os << (tensor.field.empty() ? "NULL" : "args->" + tensor.field); });
  os << "};\n  rondo_descriptor d[" << tensors.size() << "];\n";
  if (name == "forward" && interface.cuda)
    printCudaCall(interface, os);
  if (!interface.onCpu) {
    os << "}\n";
    return;
  }
  os << "  rondo_masks masks;\n  rondo_status status = rondo_prepare(&" << name
     << "_signature, tensors, args->check_nan, d, &masks);\n"
     << place << "  if (status == RONDO_OK)\n    " << kernel << "(";
  for (size_t i = 0; i < tensors.size(); ++i)
    os << "&d[" << i << "], ";
  os << last << ");\n";
}

/// How the summaries of shards combine, for the runtime, and the functions.
static void printSummaryWrapper(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  std::set<int64_t> identities;
  for (const CTensor &tensor : interface.summaryTensors)
    if (tensor.identity)
      identities.insert(tensor.sizes[0]);
  for (int64_t size : identities) {
    os << "static const float identity_" << size << "[" << size * size << "] = {";
    for (int64_t i = 0; i < size; ++i)
      os << (i % 8 ? " " : "\n    ") << "[" << i * (size + 1) << "] = 1,";
    os << "};\n\n";
  }
  printTable(interface, interface.summaryTensors, "summary", 0, os);
  printFunction(interface, interface.summaryTensors, "summary", "_mlir_ciface_" + mixer + "_summary_kernel", "",
                "masks.initial, masks.final, args->threads", "int64_t, int64_t, int64_t", os);
  os << "  return status;\n}\n\nstatic const float inits[] = {";
  interleaveComma(interface.signature.states, os, [&](const Operand &state) {
    if (std::isinf(state.init))
      os << (state.init < 0 ? "-INFINITY" : "INFINITY");
    else
      os << format("%.9g", state.init);
  });
  auto numberOf = [&](StringRef name) {
    return llvm::find_if(interface.signature.states, [&](const Operand &state) { return state.name == name; }) -
           interface.signature.states.begin();
  };
  os << "};\nstatic const rondo_action actions[] = {\n";
  int64_t count = 0;
  for (const SummaryState &state : interface.summaryStates) {
    if (state.transition.empty())
      continue;
    ++count;
    os << "    {RONDO_" << StringRef(state.transition).upper() << ", " << numberOf(state.of.front()) << ", "
       << numberOf(state.of.back()) << "},\n";
  }
  os << (count ? "" : "    {RONDO_SCALAR, 0, 0}, /* none */\n") << "};\nstatic const rondo_algebra algebra = {"
     << interface.signature.states.size() << ", inits, " << count << ", actions};\n\n";
  for (bool composes : {false, true}) {
    StringRef name = composes ? "compose" : "combine";
    ArrayRef<CTensor> tensors = composes ? interface.composeTensors : interface.combineTensors;
    printTable(interface, tensors, name, 0, os);
    os << "rondo_status " << mixer << "_" << name << "(const " << mixer << "_" << name
       << "_args *args) {\n  const DLTensor *tensors[] = {";
    interleaveComma(tensors, os, [&](const CTensor &tensor) { os << "args->" << tensor.field; });
    os << "};\n  rondo_descriptor d[" << tensors.size() << "];\n  return rondo_" << name << "(&" << name
       << "_signature, &algebra, tensors, d);\n}\n\n";
  }
}

void printWrapper(const CInterface &interface, raw_ostream &os) {
  const std::string &mixer = interface.signature.mixer;
  os << "#include \"" << (interface.cuda ? "rondo_cuda_call.h" : "rondo_runtime.h") << "\"\n#include \"" << mixer
     << ".h\"\n#include <math.h>\n#include <stdlib.h>\n\n";
  constexpr StringLiteral kLast = "masks.initial, masks.final, args->threads", kTypes = "int64_t, int64_t, int64_t";
  printTable(interface, interface.tensors, "forward", 0, os);
  if (interface.cuda)
    printCudaProgram(interface, os);
  printFunction(interface, interface.tensors, "forward", "_mlir_ciface_" + mixer + "_kernel", "", kLast, kTypes, os);
  if (!interface.onCpu)
    return;
  os << "  return status;\n}\n\n";

  printTable(interface, interface.backwardTensors, "backward", interface.chunk, os);
  os << "size_t " << mixer << "_backward_workspace(int64_t batch, int64_t tokens, int64_t heads) {\n"
     << "  return rondo_workspace_bytes(&backward_signature, batch, tokens, heads);\n}\n\n";
  printFunction(
      interface, interface.backwardTensors, "backward", "_mlir_ciface_" + mixer + "_backward_kernel",
      "  void *owned = NULL;\n  if (status == RONDO_OK)\n"
      "    status = rondo_place_states(&backward_signature, args->workspace, args->workspace_bytes, d, &owned);\n",
      kLast, kTypes, os);
  os << "  free(owned);\n  return status;\n}\n\n";

  printTable(interface, interface.stepTensors, "step", 0, os);
  std::string scratch = "  int64_t threads = args->threads;\n  rondo_descriptor scratch = {0};\n";
  if (interface.scratch)
    scratch += "  if (status == RONDO_OK)\n    status = rondo_place_scratch(&step_signature, args->scratch, "
               "args->scratch_bytes, " +
               mixer + "_step_scratch, &scratch, &threads);\n";
  printFunction(interface, interface.stepTensors, "step", "_mlir_ciface_" + mixer + "_step_kernel", scratch,
                "&scratch, masks.final, threads", "rondo_descriptor *, int64_t, int64_t", os);
  os << "  return status;\n}\n\n";
  if (interface.noSummary.empty())
    printSummaryWrapper(interface, os);
}

} // namespace rondo::driver
