//===- rondo-micro.cpp - Check and time single operations -------------------------------------------------------===//
//
// Compiles every function of a file twice, with rondo-vectorize and with upstream's scalar loops, runs both on the same
// random buffers and compares everything they may have written, guard zones included. Arguments are static memrefs (any
// strides) of f32, bf16 or f16, or an index with the argument attribute `micro.value`; `micro.lower` compares only the
// lower triangle of a square matrix, `micro.range = [low, high]` chooses the data. With --time, prints the share of the
// machine's peak for functions that have the attribute `micro.flops`.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "rondo/Conversion/Passes.h"

#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <ctime>
#include <random>

using namespace mlir;

static llvm::cl::opt<std::string> inputFile(llvm::cl::Positional, llvm::cl::desc("FILE.mlir"), llvm::cl::Required);
static llvm::cl::opt<std::string> onlyFunction("function", llvm::cl::desc("only functions whose name contains this"));
static llvm::cl::opt<bool> wantTime("time", llvm::cl::desc("print times"));
static llvm::cl::opt<bool> outline("outline", llvm::cl::desc("run rondo-outline-operations first"));
static llvm::cl::opt<unsigned> vectorWidth("vector-width", llvm::cl::desc("bits of a vector"), llvm::cl::init(256));
static llvm::cl::opt<double> tolerance("tolerance", llvm::cl::desc("largest relative difference"),
                                       llvm::cl::init(2e-5));
static llvm::cl::opt<unsigned> optLevel("O", llvm::cl::desc("LLVM optimisation level"), llvm::cl::init(2),
                                        llvm::cl::Prefix);
static llvm::cl::opt<std::string> dumpObject("dump-object", llvm::cl::desc("write the vector version's object file"));

/// Seconds of CPU time of this thread: other processes do not count.
static double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------------------------------------------------===//

/// Rondo's loops are shaped already: LLVM must not unroll or vectorise them again.
static llvm::Error optimize(llvm::Module *module, llvm::TargetMachine *machine) {
  llvm::PipelineTuningOptions options;
  options.LoopUnrolling = options.LoopVectorization = options.SLPVectorization = options.LoopInterleaving = false;
  llvm::PassBuilder builder(machine, options);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  auto level = optLevel == 3   ? llvm::OptimizationLevel::O3
               : optLevel == 2 ? llvm::OptimizationLevel::O2
                               : llvm::OptimizationLevel::O1;
  builder.buildPerModuleDefaultPipeline(level).run(*module, modules);
  return llvm::Error::success();
}

struct Compiled {
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<ExecutionEngine> engine;
};

/// Seconds spent on passes, on LLVM's optimiser and on code generation.
struct CompileTimes {
  double lower = 0, optimize = 0, generate = 0;
};

static Compiled compile(ModuleOp source, StringRef first, CompileTimes &times) {
  Compiled result;
  result.module = source.clone();
  PassManager pm(source.getContext(), ModuleOp::getOperationName());
  std::string pipeline =
      (first + ",func.func(canonicalize,cse),convert-scf-to-cf,convert-vector-to-llvm,expand-strided-metadata,"
               "lower-affine,convert-math-to-llvm,convert-math-to-libm,finalize-memref-to-llvm,convert-arith-to-llvm,"
               "convert-index-to-llvm,convert-cf-to-llvm,convert-func-to-llvm,canonicalize,cse,"
               "reconcile-unrealized-casts")
          .str();
  double start = now();
  if (failed(parsePassPipeline(pipeline, pm)) || failed(pm.run(*result.module)))
    exit(1);
  times.lower = now() - start;
  auto builder = llvm::cantFail(llvm::orc::JITTargetMachineBuilder::detectHost());
  builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  std::unique_ptr<llvm::TargetMachine> machine = llvm::cantFail(builder.createTargetMachine());
  ExecutionEngineOptions options;
  auto transformer = [&](llvm::Module *module) {
    double before = now();
    llvm::Error error = optimize(module, machine.get());
    times.optimize = now() - before;
    return error;
  };
  options.transformer = transformer;
  // Copies and conversions that upstream's scalar path leaves to functions.
  StringRef libraries[] = {RONDO_LLVM_LIBRARIES "/libmlir_c_runner_utils.so",
                           RONDO_LLVM_LIBRARIES "/libmlir_float16_utils.so"};
  options.sharedLibPaths = libraries;
  options.enableObjectDump = !dumpObject.empty();
  options.jitCodeGenOptLevel = llvm::CodeGenOptLevel::Default;
  result.engine =
      llvm::cantFail(ExecutionEngine::create(*result.module, options, llvm::cantFail(builder.createTargetMachine())));
  double before = now();
  auto functions = source.getOps<func::FuncOp>();
  (void)llvm::cantFail(result.engine->lookup((*functions.begin()).getName()));
  times.generate = now() - before;
  return result;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------------------------------------------------===//

struct alignas(64) Line {
  char bytes[64];
};

/// A memref argument: storage with guard zones, and its descriptor.
struct Buffer {
  Type element;
  SmallVector<int64_t> sizes, strides;
  int64_t offset = 0, count = 0;
  /// The guard zone, the array, and a guard zone again.
  std::vector<Line> storage;
  bool lowerOnly = false;
  std::vector<int64_t> descriptor;
  void *pointer = nullptr;

  static constexpr int64_t kGuard = 64;

  int64_t bytes() const { return element.getIntOrFloatBitWidth() / 8; }
  int64_t total() const { return storage.size() * sizeof(Line) / bytes(); }
  char *at(int64_t i) { return reinterpret_cast<char *>(storage.data()) + (kGuard + i) * bytes(); }
  const char *at(int64_t i) const { return const_cast<Buffer *>(this)->at(i); }

  void set(int64_t i, float value) {
    if (element.isF32())
      return void(memcpy(at(i), &value, 4));
    bool lost;
    llvm::APFloat number(value);
    number.convert(cast<FloatType>(element).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
    uint16_t bits = number.bitcastToAPInt().getZExtValue();
    memcpy(at(i), &bits, 2);
  }
  float get(int64_t i) const {
    float value = 0;
    if (element.isF32()) {
      memcpy(&value, at(i), 4);
      return value;
    }
    uint16_t bits;
    memcpy(&bits, at(i), 2);
    llvm::APFloat number(cast<FloatType>(element).getFloatSemantics(), llvm::APInt(16, bits));
    bool lost;
    number.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lost);
    return number.convertToFloat();
  }
  void bind() {
    auto base = reinterpret_cast<int64_t>(at(0));
    descriptor = {base, base, offset};
    llvm::append_range(descriptor, sizes);
    llvm::append_range(descriptor, strides);
    pointer = descriptor.data();
  }
};

static Buffer makeBuffer(func::FuncOp func, unsigned number, std::mt19937 &random) {
  Buffer buffer;
  auto type = cast<MemRefType>(func.getArgumentTypes()[number]);
  buffer.element = type.getElementType();
  buffer.sizes.assign(type.getShape().begin(), type.getShape().end());
  if (failed(type.getStridesAndOffset(buffer.strides, buffer.offset)))
    exit(1);
  for (int64_t &stride : buffer.strides)
    stride = ShapedType::isDynamic(stride) ? 300 : stride;
  buffer.offset = ShapedType::isDynamic(buffer.offset) ? 3 : buffer.offset;
  buffer.count = buffer.offset + 1;
  for (auto [size, stride] : llvm::zip_equal(buffer.sizes, buffer.strides))
    buffer.count += (size - 1) * stride;
  buffer.storage.resize(llvm::divideCeil((buffer.count + 2 * Buffer::kGuard) * buffer.bytes(), sizeof(Line)));
  buffer.lowerOnly = bool(func.getArgAttr(number, "micro.lower"));
  double low = -1, high = 1;
  if (auto range = func.getArgAttrOfType<ArrayAttr>(number, "micro.range")) {
    low = cast<FloatAttr>(range[0]).getValueAsDouble();
    high = cast<FloatAttr>(range[1]).getValueAsDouble();
  }
  std::uniform_real_distribution<float> uniform(low, high);
  for (int64_t i = -Buffer::kGuard; i < buffer.total() - Buffer::kGuard; ++i)
    buffer.set(i, uniform(random));
  if (auto first = func.getArgAttrOfType<ArrayAttr>(number, "micro.first"))
    for (auto [i, value] : llvm::enumerate(first.getAsRange<FloatAttr>()))
      buffer.set(buffer.offset + i, value.getValue().convertToFloat());
  return buffer;
}

/// The largest difference relative to max(1, |reference|), or in units in the last place of f32.
static double compare(const Buffer &actual, const Buffer &expected, bool inUlps) {
  double worst = 0;
  for (int64_t i = -Buffer::kGuard; i < expected.total() - Buffer::kGuard; ++i) {
    if (expected.lowerOnly && i >= expected.offset && i < expected.count) {
      int64_t element = i - expected.offset, row = element / expected.strides[0],
              column = element % expected.strides[0];
      if (column > row)
        continue;
    }
    double e = expected.get(i), a = actual.get(i);
    if (std::isnan(e) && std::isnan(a))
      continue;
    double unit = std::max(1.0, std::abs(e));
    if (inUlps)
      unit = std::max(std::ldexp(1.0, std::ilogb(e) - 23), std::ldexp(1.0, -149));
    double difference = a == e ? 0 : std::abs(a - e) / unit;
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Timing
//===----------------------------------------------------------------------------------------------------------------===//

/// Seconds of one call: the best of several batches.
template <class F>
static double measure(F call) {
  int64_t repeat = 1;
  for (double t = 0; t < 2e-3; repeat *= 2) {
    t = now();
    for (int64_t i = 0; i < repeat; ++i)
      call();
    t = now() - t;
  }
  double best = 1e9;
  for (int round = 0; round < 30; ++round) {
    double t = now();
    for (int64_t i = 0; i < repeat; ++i)
      call();
    best = std::min(best, (now() - t) / repeat);
  }
  return best;
}

/// Peak FMA rate of this core in GFLOP/s, from twelve independent chains.
static double measurePeak(ExecutionEngine &engine) {
  auto call = llvm::cantFail(engine.lookupPacked("micro_peak"));
  alignas(64) float data[16] = {};
  void *base = data;
  int64_t offset = 0, size = 16, stride = 1;
  void *args[] = {&base, &base, &offset, &size, &stride};
  return 10000.0 * 12 * (vectorWidth / 32) * 2 / measure([&] { call(args); }) / 1e9;
}

static std::string peakSource() {
  std::string vector = "vector<" + std::to_string(vectorWidth / 32) + "xf32>", text;
  llvm::raw_string_ostream os(text);
  auto list = [&](StringRef before, StringRef after) {
    for (int i = 0; i < 12; ++i)
      os << (i ? ", " : "") << before << (before.empty() ? "" : std::to_string(i)) << after;
  };
  os << "func.func @micro_peak(%m: memref<16xf32>) {\n%c0 = arith.constant 0 : index\n%c1 = arith.constant 1 : index\n"
     << "%n = arith.constant 10000 : index\n%s = vector.load %m[%c0] : memref<16xf32>, " << vector << "\n";
  // Different starting values, so that the chains are not merged.
  for (int i = 0; i < 12; ++i)
    os << llvm::formatv("%z{0} = arith.constant dense<{0}.0> : {1}\n", i, vector);
  os << "%r:12 = scf.for %i = %c0 to %n step %c1 iter_args(";
  for (int i = 0; i < 12; ++i)
    os << llvm::formatv("{0}%a{1} = %z{1}", i ? ", " : "", i);
  os << ") -> (";
  list("", vector);
  os << ") {\n";
  for (int i = 0; i < 12; ++i)
    os << llvm::formatv("%b{0} = vector.fma %a{0}, %s, %s : {1}\n", i, vector);
  os << "scf.yield ";
  list("%b", "");
  os << " : ";
  list("", vector);
  os << "\n}\n";
  os << "%sum0 = arith.addf %r#0, %r#1 : " << vector << "\n";
  for (int i = 2; i < 12; ++i)
    os << llvm::formatv("%sum{0} = arith.addf %sum{1}, %r#{2} : {3}\n", i - 1, i - 2, i, vector);
  os << "vector.store %sum10, %m[%c0] : memref<16xf32>, " << vector << "\nreturn\n}\n";
  return text;
}

//===----------------------------------------------------------------------------------------------------------------===//
// Main
//===----------------------------------------------------------------------------------------------------------------===//

static bool runFunction(func::FuncOp func, Compiled &vectors, Compiled &scalars, double peak) {
  std::mt19937 random(7);
  SmallVector<Buffer> actual, expected;
  SmallVector<int64_t> indices(func.getNumArguments());
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    if (auto value = func.getArgAttrOfType<IntegerAttr>(i, "micro.value")) {
      indices[i] = value.getInt();
      actual.emplace_back();
    } else {
      actual.push_back(makeBuffer(func, i, random));
    }
  }
  expected = actual;
  auto makeCall = [&](Compiled &compiled, SmallVectorImpl<Buffer> &buffers, SmallVectorImpl<void *> &args) {
    for (unsigned i = 0; i < buffers.size(); ++i) {
      if (!buffers[i].element) {
        args.push_back(&indices[i]);
        continue;
      }
      buffers[i].bind();
      args.push_back(&buffers[i].pointer);
    }
    return llvm::cantFail(compiled.engine->lookupPacked(("_mlir_ciface_" + func.getName()).str()));
  };
  SmallVector<void *> actualArgs, expectedArgs;
  auto actualCall = makeCall(vectors, actual, actualArgs);
  auto expectedCall = makeCall(scalars, expected, expectedArgs);
  actualCall(actualArgs.data());
  expectedCall(expectedArgs.data());
  auto ulps = func->getAttrOfType<FloatAttr>("micro.ulps");
  double worst = 0;
  for (unsigned i = 0; i < actual.size(); ++i)
    if (actual[i].element)
      worst = std::max(worst, compare(actual[i], expected[i], bool(ulps)));
  bool good = worst <= (ulps ? ulps.getValueAsDouble() : tolerance);
  llvm::outs() << llvm::formatv("{0,-34} {1} {2:e1}", func.getName(), good ? "ok" : "DIFFERS", worst);
  if (wantTime) {
    double seconds = measure([&] { actualCall(actualArgs.data()); });
    llvm::outs() << llvm::formatv(" {0,9:f2} us", seconds * 1e6);
    if (auto flops = func->getAttrOfType<FloatAttr>("micro.flops")) {
      double rate = flops.getValueAsDouble() / seconds / 1e9;
      llvm::outs() << llvm::formatv(" {0:f1} GFLOP/s, {1:f1} % of peak", rate, 100 * rate / peak);
    }
  }
  llvm::outs() << "\n";
  return good;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::cl::ParseCommandLineOptions(argc, argv, "check and time single operations\n");
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  registerAllPasses();
  rondo::registerRondoConversionPasses();
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registerAllToLLVMIRTranslations(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(inputFile, &context);
  if (!module)
    return 1;
  for (auto func : llvm::make_early_inc_range(module->getOps<func::FuncOp>())) {
    if (!onlyFunction.empty() && !func.getName().contains(onlyFunction))
      func.erase();
    else
      func->setAttr("llvm.emit_c_interface", UnitAttr::get(&context));
  }
  CompileTimes times, unused;
  Compiled vectors = compile(
      *module, "func.func(rondo-vectorize{vector-width=" + std::to_string(vectorWidth) + "},rondo-approximate-math)",
      times);
  Compiled scalars =
      compile(*module, "func.func(convert-linalg-to-loops,math-expand-ops{ops=rsqrt}),convert-math-to-libm", unused);
  double peak = 0;
  if (wantTime) {
    OwningOpRef<ModuleOp> peakModule = parseSourceString<ModuleOp>(peakSource(), &context);
    if (!peakModule)
      return 1;
    Compiled compiledPeak = compile(*peakModule, "func.func(canonicalize)", unused);
    peak = measurePeak(*compiledPeak.engine);
    llvm::outs() << llvm::formatv(
        "peak {0:f1} GFLOP/s; compiled in {1:f0} + {2:f0} + {3:f0} ms (passes, LLVM optimiser, "
        "code generation)\n",
        peak, times.lower * 1e3, times.optimize * 1e3, times.generate * 1e3);
  }
  bool good = true;
  for (auto func : module->getOps<func::FuncOp>())
    good &= runFunction(func, vectors, scalars, peak);
  if (!dumpObject.empty())
    vectors.engine->dumpToObjectFile(dumpObject);
  return good ? 0 : 1;
}
