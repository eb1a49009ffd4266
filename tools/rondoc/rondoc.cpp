//===- rondoc.cpp - The compiler's command line -----------------------------------------------------------------===//
//
// Options and help only; `rondo/Driver/Driver.h` does the work. The command line library needs exceptions, so this file
// is built apart from the rest.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Driver/Driver.h"
#include <CLI/CLI.hpp>

using namespace rondo::driver;

namespace {

constexpr int kWrongUsage = 2;

/// Reads `NAME=VALUE` items into `values`; `convert` reads a VALUE and throws when it cannot.
template <typename T, typename F>
void addPairs(CLI::App *command, const std::string &flag, std::map<std::string, T> &values, const std::string &help,
              const std::string &placeholder, F convert) {
  auto parse = [&values, flag, convert](const std::vector<std::string> &items) {
    for (const std::string &item : items) {
      size_t equals = item.find('=');
      if (equals == std::string::npos || equals == 0 || equals + 1 == item.size())
        throw CLI::ValidationError(flag, "'" + item + "' is not NAME=VALUE");
      std::string name = item.substr(0, equals);
      if (!values.emplace(name, convert(item.substr(equals + 1))).second)
        throw CLI::ValidationError(flag, "'" + name + "' is given twice");
    }
  };
  command->add_option_function<std::vector<std::string>>(flag, parse, help)->type_name(placeholder);
}

void addPaths(CLI::App *command, const std::string &flag, std::map<std::string, std::string> &values,
              const std::string &help) {
  addPairs(command, flag, values, help, "NAME=FILE", [](const std::string &text) { return text; });
}

/// The whole of `text` as a number of type T.
template <typename T>
T number(const std::string &text) {
  T value;
  if (!CLI::detail::lexical_cast(text, value))
    throw CLI::ValidationError("'" + text + "' is not a number");
  return value;
}

void addSource(CLI::App *command, Options &options) {
  command->add_option("FILE", options.file, "a .rondo file (or .mlir with a rondo.mixer)")->required();
  command->add_option("--mixer", options.mixer, "which mixer of the file; needed when it has several")
      ->type_name("NAME");
  addPairs(command, "--const", options.consts, "value of a `const` argument", "NAME=NUMBER", number<double>);
  command->add_flag("--verbose", options.verbose, "say how long each stage takes");
}

void addSizes(CLI::App *command, Options &options, const std::string &help) {
  addPairs(command, "--size", options.sizes, help, "NAME=NUMBER", [](const std::string &text) {
    int64_t value = number<int64_t>(text);
    if (value < 1)
      throw CLI::ValidationError("--size", "a size is at least 1, not " + text);
    return value;
  });
}

void addForm(CLI::App *command, Options &options, bool hasStep = true) {
  std::vector<std::string> forms = {"chunk", "sequential"};
  std::string help =
      "chunk: many tokens at a time where the mixer allows it (default); sequential: one token at a time, "
      "in the order of the step function";
  if (hasStep) {
    forms.insert(forms.end(), {"step", "summary"});
    help +=
        "; step: decode with the step function, which updates the states in place; summary: split the sequence into "
        "--shards, summarise them side by side, combine, and run each from the states it begins with";
  }
  command
      ->add_option_function<std::string>(
          "--form",
          [&options](const std::string &form) {
            options.sequential = form == "sequential";
            options.step = form == "step";
            options.shards = form == "summary" ? std::max<int64_t>(options.shards, 2) : 0;
          },
          help)
      ->check(CLI::IsMember(forms))
      ->type_name("FORM");
  if (hasStep)
    command
        ->add_option_function<int64_t>(
            "--shards", [&options](int64_t shards) { options.shards = shards; },
            "shards of --form=summary (default: 2)")
        ->check(CLI::Range(int64_t(1), int64_t(4096)))
        ->type_name("N");
  command
      ->add_option("--keep-every", options.keepEvery,
                   "the backward kernel keeps the states before every N-th chunk and computes those between again "
                   "(default: 1, or more where memory is short)")
      ->check(CLI::Range(int64_t(1), int64_t(64)))
      ->type_name("N");
  command->add_flag("--sanitize", options.sanitize,
                    "GPU kernels in which compute-sanitizer's racecheck sees who waits for whom: every lane arrives at "
                    "a barrier, where one does for its warp otherwise; a little slower");
  command->add_option("--chunk", options.chunk, "tokens in a chunk (default: the compiler's choice)")
      ->check(CLI::Range(int64_t(1), int64_t(4096)))
      ->type_name("N");
  command
      ->add_option_function<std::vector<std::string>>(
          "--dtype",
          [&options](const std::vector<std::string> &items) {
            for (const std::string &item : items) {
              size_t equals = item.find('=');
              std::string type = equals == std::string::npos ? item : item.substr(equals + 1);
              if (type != "f32" && type != "bf16" && type != "f16")
                throw CLI::ValidationError("--dtype", "'" + type + "' is not f32, bf16 or f16");
              if (equals == std::string::npos)
                options.dtype = type;
              else
                options.dtypes[item.substr(0, equals)] = type;
            }
          },
          "element type of token arguments and outputs: f32 (default), bf16 or f16; NAME=TYPE for one of them. States "
          "and "
          "parameters are f32, and so is all arithmetic")
      ->type_name("TYPE|NAME=TYPE");
}

void addTarget(CLI::App *command, Options &options, std::vector<std::string> targets, const std::string &help) {
  command
      ->add_option_function<std::string>(
          "--target",
          [&options](const std::string &target) {
            options.target = target == "interpreter" ? Target::interpreter
                             : target == "cuda"      ? Target::cuda
                                                     : Target::cpu;
          },
          help)
      ->check(CLI::IsMember(std::move(targets)))
      ->type_name("TARGET");
}

void addDraft(CLI::App *command, Options &options) {
  command->add_option("--draft", options.draft, "with --form=step: tokens in a call of the step function (default: 1)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("K");
}

void addCpu(CLI::App *command, Options &options) {
  command->add_option("--cpu", options.cpu, "the CPU to compile for, as LLVM names it (default: this one)")
      ->type_name("NAME");
  command
      ->add_option(
          "--vector-bits", options.vectorBits,
          "bits of the vectors that loops are written in (default: the CPU's widest); wider ones run as several")
      ->check(CLI::IsMember({128, 256, 512}))
      ->type_name("BITS");
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

void addRun(CLI::App &app, Options &options) {
  CLI::App *command = app.add_subcommand("run", "Compile a mixer and run it on arrays");
  addSource(command, options);
  addTarget(
      command, options, {"interpreter", "cpu", "cuda"},
      "cpu: compiled (default); cuda: compiled for an NVIDIA GPU (Hopper); interpreter: token by token in float64, "
      "the meaning of the mixer");
  addForm(command, options);
  addDraft(command, options);
  addCpu(command, options);
  addPaths(command, "--in", options.in, "an argument's array");
  addPaths(command, "--out", options.out, "where to write an output");
  addPaths(command, "--state-in", options.stateIn, "a state's value before the first token");
  addPaths(command, "--state-out", options.stateOut, "where to write a state's value after the last token");
  addPaths(command, "--states-out", options.statesOut,
           "with --form=step: where to write a state's value after each token, [B, H, T, R, C]");
  addPaths(command, "--grad", options.grad,
           "an output's cotangent: run backwards; cotangents that are not given are zero");
  addPaths(command, "--grad-state", options.gradState, "a final state's cotangent: run backwards");
  addPaths(command, "--grad-out", options.gradOut, "where to write an argument's gradient");
  addPaths(command, "--grad-state-out", options.gradStateOut, "where to write the gradient of a state's initial value");
  addSizes(command, options, "a size that no array tells");
  addPaths(command, "--expect", options.expect,
           "compare an output or final state with an array; fail beyond --tolerance");
  command
      ->add_option("--tolerance", options.tolerance, "largest relative error |out - ref| / |ref| for --expect (1e-5)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  command->add_option("--threads", options.threads, "threads over batch and heads (default: all cores)")
      ->check(CLI::Range(int64_t(1), int64_t(4096)))
      ->type_name("N");
  command->add_flag("--check", options.checkNumbers, "look for NaN in every input first");
  command->add_flag(
      "--time", options.time,
      "repeat the kernel (the backward kernel when there is one) until the figure is steady and print one "
      "line");
  command->footer(
      R"(Arrays are .npy files in C order: [B, T, H, D] for vectors, [B, T, H] for scalars, [H, ...] for parameters,
[B, H, R, C] for states ([B, H, R] for vector states, [B, H] for scalar ones). Without B there is one sequence.
Sizes such as K and V come from the arrays. The cpu target writes f32 (f16 with --dtype=f16), the interpreter f64.

Examples:
  rondoc run mixers/gla.rondo --in q=q.npy k=k.npy v=v.npy gk=gk.npy --out o=o.npy
  rondoc run mixers/gla.rondo --in q=q.npy k=k.npy v=v.npy gk=gk.npy --expect o=reference.npy --time --threads=1
  rondoc run mixers/gla.rondo --in ... --form=step --state-in S=prefilled.npy --out o=o.npy --time
  rondoc run mixers/gla.rondo --target=interpreter --in ... --state-in S=before.npy --state-out S=after.npy
  rondoc run mixers/gla.rondo --in q=q.npy k=k.npy v=v.npy gk=gk.npy --grad o=do.npy --grad-out q=dq.npy gk=dgk.npy
The last line of --time:
  time median_ms=12.31 min_ms=12.24 max_ms=12.90 runs=41 threads=1
With --form=step it ends in the time for a token: token_us=5.123
With --target=cuda the times are those of events on the device, and compile_ms is from text to loaded kernel:
  time median_ms=0.1803 min_ms=0.1795 max_ms=0.1841 runs=100 compile_ms=812.4 device="NVIDIA H200")");
}

void addCompile(CLI::App &app, Options &options) {
  CLI::App *command = app.add_subcommand("compile", "Write a shared object and a C header");
  addSource(command, options);
  command->add_option("-o,--output", options.output, "folder to write to, made when it does not exist")
      ->required()
      ->type_name("DIR");
  command
      ->add_option_function<std::string>(
          "--target",
          [&options](const std::string &target) {
            options.withCpu = target != "cuda";
            options.withCuda = target != "cpu";
          },
          "cpu: the kernels of the library are for the CPU (default); cuda: for an NVIDIA GPU (Hopper), forward only; "
          "cpu,cuda: both, and the tensors of a call tell which")
      ->check(CLI::IsMember({"cpu", "cuda", "cpu,cuda"}))
      ->type_name("TARGET");
  addSizes(command, options, "every named size");
  addForm(command, options, /*hasStep=*/false);
  addCpu(command, options);
  command->footer(
      R"(Writes lib<mixer>.so, <mixer>.h and the two headers it includes. The library takes DLPack tensors and needs the C library
and OpenMP at run time, nothing else. The header describes the forward and the backward call; examples/c has whole
programs, and train.c fits a sequence by gradient descent.

With --target=cuda the tensors of a call are on the GPU and it has a stream; the library needs the C library and, when it
is called, the CUDA driver. It holds PTX and, where ptxas is found ($RONDO_PTXAS, PATH, $CUDA_HOME), what that makes of it.
examples/python calls it with PyTorch's tensors.

Examples:
  rondoc compile mixers/gated_delta_net.rondo -o build/gdn --size K=128 V=128
  cc main.c -Ibuild/gdn build/gdn/libgated_delta_net.so -Wl,-rpath,$PWD/build/gdn
  rondoc compile mixers/gated_delta_net.rondo -o build/gdn --target=cuda --size K=128 V=128 --dtype=bf16)");
}

void addExplain(CLI::App &app, Options &options) {
  CLI::App *command = app.add_subcommand("explain", "Say how a mixer will run, and why");
  addSource(command, options);
  command->add_flag("--json", options.json, "print one JSON object a mixer");
  command->footer(
      R"(Prints, for each state, how it is carried from token to token, what its reads and writes depend on, and the form it
runs in. Where the chunk form is impossible: the statement that prevents it and what to change.

Example:
  rondoc explain mixers/mlstm.rondo)");
}

void addEmit(CLI::App &app, Options &options) {
  CLI::App *command = app.add_subcommand("emit", "Print a mixer at one stage of the compiler");
  addSource(command, options);
  command
      ->add_option("--stage", options.stage,
                   "rondo, chunk; linalg, llvm or asm for the CPU; tile, nvvm, ptx or cubin for the GPU")
      ->required()
      ->check(CLI::IsMember({"rondo", "chunk", "linalg", "llvm", "asm", "tile", "nvvm", "ptx", "cubin"}))
      ->type_name("STAGE");
  addSizes(command, options, "every named size (not needed for --stage=rondo)");
  addForm(command, options);
  addCpu(command, options);
  command->add_option("-o,--output", options.output, "file to write (default: standard output)")->type_name("FILE");
  command->footer(R"(The stages, in order:
  rondo    the token-level dialect, as written
  chunk    the body of one chunk: tensors, matrix products, Gram matrices, solves
  linalg   the kernel on linalg operations
  llvm     LLVM IR
  asm      assembly for the CPU
For the GPU, after chunk (none needs a GPU):
  tile     what one thread block does, with explicit layouts
  nvvm     the kernels in the llvm and nvvm dialects, and how they are launched
  ptx      PTX for sm_90a
  cubin    what ptxas makes of it; registers, spills and warnings of each kernel go to standard error

Example:
  rondoc emit --stage=chunk mixers/gla.rondo --size K=64 V=64
  rondoc emit --stage=cubin mixers/gla.rondo --size K=128 V=128 --dtype=bf16 -o gla.cubin)");
}

void addCheck(CLI::App &app, Options &options) {
  CLI::App *command = app.add_subcommand("check", "Compare the compiled mixer with its meaning");
  addSource(command, options);
  addTarget(command, options, {"cpu", "cuda"}, "cpu: compiled (default); cuda: compiled for an NVIDIA GPU (Hopper)");
  addSizes(command, options, "a named size (default: 64)");
  command->add_option("--lengths", options.lengths, "sequence lengths (default: around multiples of the chunk)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("T,...");
  command->add_flag("--gradients", options.gradients,
                    "check the backward kernel: gradients of every argument and initial state");
  addForm(command, options);
  addDraft(command, options);
  addCpu(command, options);
  command
      ->add_option(
          "--tolerance", options.tolerance,
          "largest relative error (default: 1e-5, or 1e-2 for bf16 and f16; gradients: 1e-4 and 2e-2; with "
          "--target=cuda, bf16 and f16: 5e-3, or 1e-2 where one state is written from, or read with, reads of another)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  command->add_option("--threads", options.threads, "threads over batch and heads (default: all cores)")
      ->check(CLI::Range(int64_t(1), int64_t(4096)))
      ->type_name("N");
  command->footer(
      R"(Runs the kernel and the interpreter on random inputs and on hard ones (gates near 0, far below 0, resets) and prints the
relative error of every output and final state, or with --gradients of every gradient.

Examples:
  rondoc check my_mixer.rondo --size K=64 V=128 --lengths 1,63,64,65,1000
  rondoc check my_mixer.rondo --gradients --size K=32 V=32)");
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Rondo compiles sequence mixers, written for one token, to fast kernels for whole sequences.", "rondoc");
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  app.footer(
      "`rondoc COMMAND --help` explains each command with examples. Exit code: 0, 1 when something failed, 2 for "
      "wrong usage.");

  Options options;
  addRun(app, options);
  addCompile(app, options);
  addExplain(app, options);
  addEmit(app, options);
  addCheck(app, options);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    std::cerr << "error: " << error.what() << "\nRun `rondoc --help` or `rondoc COMMAND --help` for usage.\n";
    return kWrongUsage;
  }

  std::string command = app.get_subcommands().front()->get_name();
  if (command == "run")
    return run(options);
  if (command == "compile")
    return compile(options);
  if (command == "explain")
    return explain(options);
  if (command == "emit")
    return emit(options);
  return check(options);
}
