//===- CHeaderCuda.cpp - The GPU kernels of a compiled mixer, in C ----------------------------------------------===//

#include "CHeader.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace rondo::driver {

static StringRef name(rondo_cuda_kind kind) {
  switch (kind) {
  case RONDO_CUDA_POINTER:
    return "RONDO_CUDA_POINTER";
  case RONDO_CUDA_STRIDE:
    return "RONDO_CUDA_STRIDE";
  case RONDO_CUDA_HEADS:
    return "RONDO_CUDA_HEADS";
  case RONDO_CUDA_SIZE:
    return "RONDO_CUDA_SIZE";
  case RONDO_CUDA_MAP:
    return "RONDO_CUDA_MAP";
  case RONDO_CUDA_WORKSPACE:
    return "RONDO_CUDA_WORKSPACE";
  }
  llvm_unreachable("unknown kind of parameter");
}

static StringRef name(rondo_cuda_dim dim) {
  return dim == RONDO_CUDA_B ? "RONDO_CUDA_B" : dim == RONDO_CUDA_T ? "RONDO_CUDA_T" : "RONDO_CUDA_H";
}

/// The bytes of a file and a 0, at `symbol`: the assembler reads the file.
static void printFile(StringRef symbol, StringRef path, raw_ostream &os) {
  std::string inAssembly, inC;
  raw_string_ostream(inAssembly).write_escaped(path);
  raw_string_ostream(inC).write_escaped(inAssembly);
  os << "    \".balign 64\\n\"\n    \"" << symbol << ": .incbin \\\"" << inC << "\\\"\\n\"\n    \".byte 0\\n\"\n";
}

void printCudaProgram(const CInterface &interface, raw_ostream &os) {
  const rondo_cuda_program &program = *interface.cuda;
  ArrayRef kernels(program.kernels, program.count);
  for (auto [i, kernel] : enumerate(kernels)) {
    os << "static const rondo_cuda_param forward_params_" << i << "[] = {\n";
    for (const rondo_cuda_param &param : ArrayRef(kernel.params, kernel.count))
      os << "    {" << name(param.kind) << ", " << param.array << ", " << name(param.dim) << ", {" << param.box[0]
         << ", " << param.box[1] << "}, " << param.swizzle << "},\n";
    os << (kernel.count ? "" : "    {RONDO_CUDA_SIZE, 0, RONDO_CUDA_B, {0, 0}, 0}, /* none */\n") << "};\n";
  }
  os << "static const rondo_cuda_kernel forward_kernels[] = {\n";
  for (auto [i, kernel] : enumerate(kernels))
    os << "    {\"" << kernel.name << "\", " << kernel.threads << ", " << kernel.shared << ", " << kernel.blocks << ", "
       << kernel.max_blocks << ", " << kernel.workspace << ", " << kernel.count << ", forward_params_" << i << "},\n";
  os << "};\n";
  ArrayRef temporaries(program.temporaries, program.temporary_count);
  if (!temporaries.empty())
    os << "static const rondo_operand forward_temporaries[] = {\n";
  for (const rondo_operand &operand : temporaries)
    os << "    {\"" << operand.name << "\", RONDO_OUTPUT, 0, {"
       << (operand.dtype.code == kDLBfloat ? "kDLBfloat" : "kDLFloat") << ", " << int(operand.dtype.bits) << ", 1}, "
       << operand.rank << ", {" << operand.sizes[0] << ", " << operand.sizes[1] << "}, NULL},\n";
  os << (temporaries.empty() ? "" : "};\n") << "static const rondo_cuda_program forward_program = {&forward_signature, "
     << kernels.size() << ", forward_kernels, " << temporaries.size() << ", "
     << (temporaries.empty() ? "NULL" : "forward_temporaries") << "};\n\n__asm__(\n    \".section .rodata\\n\"\n";
  bool hasCubin = !interface.cubinFile.empty();
  printFile("rondo_ptx", interface.ptxFile, os);
  if (hasCubin)
    printFile("rondo_cubin", interface.cubinFile, os);
  os << "    \".text\\n\");\n"
     << "extern const char rondo_ptx[] __attribute__((visibility(\"hidden\")));\n";
  if (hasCubin)
    os << "extern const char rondo_cubin[] __attribute__((visibility(\"hidden\")));\n";
  os << "static const rondo_cuda_image forward_image = {" << (hasCubin ? "rondo_cubin" : "NULL") << ", rondo_ptx};\n"
     << "static rondo_cuda_function forward_cuda = {&forward_program, &forward_image, RONDO_CUDA_NOT_LOADED};\n\n";
}

void printCudaCall(const CInterface &interface, raw_ostream &os) {
  os << "  DLDevice device;\n"
     << "  rondo_status found = rondo_find_device(&forward_signature, tensors, "
     << (interface.onCpu ? "RONDO_ON_BOTH" : "RONDO_ON_CUDA") << ", &device);\n";
  if (interface.onCpu)
    os << "  if (found || device.device_type == kDLCUDA)\n  ";
  os << "  return found ? found : rondo_cuda_call(&forward_cuda, tensors, device.device_id, args->check_nan, d, "
        "args->stream);\n";
}

} // namespace rondo::driver
