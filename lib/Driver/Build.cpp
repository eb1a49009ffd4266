//===- Build.cpp - From a mixer to a kernel ---------------------------------------------------------------------===//

#include "rondo/Driver/Build.h"
#include "mlir/Pass/PassManager.h"
#include "rondo/Analysis/Structure.h"
#include "rondo/Conversion/Tile.h"
#include "rondo/Dialect/Tile/Tile.h"
#include "rondo/Driver/Problem.h"
#include "rondo/Target/Cuda.h"
#include "rondo/Target/CudaPipelines.h"
#include "rondo/Target/Pipelines.h"
#include "rondo/Transforms/Passes.h"
#include "rondo/Transforms/Specialize.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

std::optional<CpuTarget> getTarget(const Options &options) {
  Expected<CpuTarget> target = CpuTarget::get(options.cpu);
  if (target)
    return std::move(*target);
  (void)error(toString(target.takeError()));
  return std::nullopt;
}

ElementType kernelType(const Operand &operand, const Options &options) {
  if (operand.role == Operand::state || operand.role == Operand::param)
    return ElementType::f32;
  auto found = options.dtypes.find(operand.name);
  return *parseElementType(found == options.dtypes.end() ? options.dtype : found->second);
}

LogicalResult checkTypes(const Signature &signature, const Options &options) {
  SmallVector<StringRef> names;
  for (const Operand &argument : signature.arguments)
    if (argument.role == Operand::token)
      names.push_back(argument.name);
  for (const Operand &output : signature.outputs)
    names.push_back(output.name);
  for (const auto &[name, type] : options.dtypes)
    if (!is_contained(names, name))
      return error("--dtype " + name + ": mixer '" + signature.mixer + "' has no token argument or output '" + name +
                   "'" + suggestion(name, names));
  return success();
}

FailureOr<StringMap<int64_t>> getSizes(const Signature &signature, const Options &options, int64_t fallback) {
  if (failed(checkSizeNames(signature, options.sizes)))
    return failure();
  StringMap<int64_t> sizes;
  for (const auto &[name, value] : options.sizes)
    sizes[name] = value;
  for (const std::string &name : signature.sizes)
    if (!sizes.count(name)) {
      if (fallback == 0)
        return error("size '" + name + "' of mixer '" + signature.mixer + "' is missing; pass --size " + name +
                     "=NUMBER");
      sizes[name] = fallback;
    }
  return sizes;
}

/// Splits one size over which the mixer never sums, so that there is work for every thread when heads are few. Returns
/// its name, or nothing, and makes the size in `sizes` that of one block.
static std::string splitColumns(MixerOp mixer, const BuildRequest &request, StringMap<int64_t> &sizes) {
  constexpr int64_t kSmallestBlock = 16;
  if (request.items == 0 || request.items >= request.threads)
    return "";
  int64_t blocks = PowerOf2Ceil(divideCeil(request.threads, request.items));
  for (const std::string &name : Structure(mixer).getFreeSizes()) {
    int64_t &size = sizes[name];
    while (blocks > 1 && (size % blocks != 0 || size / blocks < kSmallestBlock))
      blocks /= 2;
    if (blocks > 1) {
      size /= blocks;
      return name;
    }
  }
  return "";
}

/// Runs the passes that `add` adds, as one stage.
static LogicalResult runPasses(Source &source, Stopwatch &stopwatch, StringRef stage,
                               llvm::function_ref<void(PassManager &)> add) {
  PassManager manager(&source.getContext(), ModuleOp::getOperationName());
  // A third of the passes' time; `rondo-opt` verifies after each pass.
  manager.enableVerifier(false);
  add(manager);
  if (failed(manager.run(source.getModule())))
    return failure();
  stopwatch.lap(stage);
  return success();
}

static LogicalResult raise(Source &source, Stopwatch &stopwatch) {
  return runPasses(source, stopwatch, "raise",
                   [](PassManager &manager) { manager.addNestedPass<MixerOp>(createRondoRaiseUpdates()); });
}

/// A raised mixer to chunk bodies.
static LogicalResult derive(Source &source, MixerOp mixer, const StringMap<int64_t> &sizes, const BuildRequest &request,
                            const Options &options, Stopwatch &stopwatch) {
  if (failed(specialize(mixer, sizes)))
    return failure();
  return runPasses(source, stopwatch, "derive", [&](PassManager &manager) {
    RondoDeriveOptions derive;
    derive.form = options.step ? "step" : options.sequential ? "sequential" : "chunk";
    derive.step = request.step;
    if (options.chunk)
      derive.chunk = options.chunk;
    else if (options.sequential && !request.gradients)
      derive.chunk = 1; // the body of the step kernel: the same numbers to the last bit
    manager.addPass(createRondoDerive(derive));
    if (request.gradients)
      manager.addPass(createRondoDifferentiate());
  });
}

/// NAME=TYPE for single arguments, as the pipelines take it.
static std::vector<std::string> namedTypes(const Options &options) {
  std::vector<std::string> types;
  for (const auto &[name, type] : options.dtypes)
    types.push_back(name + "=" + type);
  return types;
}

LogicalResult build(Source &source, MixerOp mixer, Stage stage, const BuildRequest &request, const Options &options,
                    const CpuTarget &target, Stopwatch &stopwatch) {
  if (stage == Stage::rondo)
    return success();
  if (failed(raise(source, stopwatch)))
    return failure();
  StringMap<int64_t> sizes = request.sizes;
  CpuPipelineOptions cpu;
  // Sums in column blocks could have another order, and the sequential form has that of decoding.
  if (!request.gradients && !options.sequential && !options.step)
    cpu.block = splitColumns(mixer, request, sizes);
  if (failed(derive(source, mixer, sizes, request, options, stopwatch)))
    return failure();
  if (stage == Stage::chunk)
    return success();

  cpu.dtype = options.dtype;
  cpu.dtypes = namedTypes(options);
  cpu.vectorBits = options.vectorBits ? options.vectorBits : target.vectorBits();
  cpu.keepEvery = std::max<int64_t>(1, options.keepEvery);
  if (failed(
          runPasses(source, stopwatch, "linalg", [&](PassManager &manager) { buildBufferizePipeline(manager, cpu); })))
    return failure();
  if (stage == Stage::linalg)
    return success();
  return runPasses(source, stopwatch, "llvm", [&](PassManager &manager) { buildToLLVMPipeline(manager, cpu); });
}

/// The tile path, on a copy of the module: what it refuses takes the CUDA-core path, and a remark has said why.
static LogicalResult buildTiles(Source &source, CudaStage stage, const StringMap<int64_t> &sizes,
                                const CudaPipelineOptions &options, bool sanitize, Stopwatch &stopwatch) {
  OwningOpRef<ModuleOp> copy = source.getModule().clone();
  CudaPipelineOptions tiles;
  for (const auto &size : sizes)
    tiles.sizes.push_back((size.getKey() + "=" + Twine(size.getValue())).str());
  tiles.chunk = 64;
  tiles.dtype = std::string(options.dtype);
  tiles.dtypes = options.dtypes;
  PassManager schedule(&source.getContext(), ModuleOp::getOperationName());
  schedule.enableVerifier(false);
  buildToTilePipeline(schedule, tiles);
  // Chunk bodies that are left are what has no kernel of tiles; then no other part of the mixer has one.
  if (failed(schedule.run(*copy)) || copy->getOps<tile::KernelOp>().empty() ||
      !llvm::all_of(copy->getOps<func::FuncOp>(), [](func::FuncOp body) { return body->hasAttr("rondo.prepare"); }))
    return failure();
  stopwatch.lap("tile");
  if (stage != CudaStage::tile) {
    PassManager lower(&source.getContext(), ModuleOp::getOperationName());
    lower.enableVerifier(false);
    buildTileToNVVMPipeline(lower, sanitize);
    std::string reason;
    Location loc = copy->getLoc();
    LogicalResult lowered = success();
    {
      ScopedDiagnosticHandler quiet(&source.getContext(), [&](Diagnostic &diagnostic) {
        if (reason.empty()) {
          reason = diagnostic.str();
          loc = diagnostic.getLocation();
        }
        return success();
      });
      lowered = lower.run(*copy);
    }
    if (failed(lowered)) {
      emitRemark(loc) << "runs on CUDA cores: the kernel for tensor cores cannot be lowered: " << reason;
      return failure();
    }
    stopwatch.lap("nvvm");
  }
  source.getModule().getBodyRegion().takeBody(copy->getBodyRegion());
  source.getModule()->setDiscardableAttrs((*copy)->getDiscardableAttrDictionary());
  return success();
}

/// Threads that own columns of the states, on a copy of the module; what has no columns takes the general path.
static LogicalResult buildColumns(Source &source, const StringMap<int64_t> &sizes, const CudaPipelineOptions &options,
                                  Stopwatch &stopwatch) {
  OwningOpRef<ModuleOp> copy = source.getModule().clone();
  CudaPipelineOptions columns;
  for (const auto &size : sizes)
    columns.sizes.push_back((size.getKey() + "=" + Twine(size.getValue())).str());
  columns.dtype = std::string(options.dtype);
  columns.dtypes = options.dtypes;
  PassManager build(&source.getContext(), ModuleOp::getOperationName());
  build.enableVerifier(false);
  buildColumnsPipeline(build, columns);
  if (failed(build.run(*copy)) || !hasCudaModule(*copy))
    return failure();
  PassManager lower(&source.getContext(), ModuleOp::getOperationName());
  lower.enableVerifier(false);
  addTileToNVVM(lower);
  if (failed(lower.run(*copy)))
    return failure();
  stopwatch.lap("nvvm");
  source.getModule().getBodyRegion().takeBody(copy->getBodyRegion());
  source.getModule()->setDiscardableAttrs((*copy)->getDiscardableAttrDictionary());
  return success();
}

LogicalResult buildCuda(Source &source, MixerOp mixer, CudaStage stage, const BuildRequest &request,
                        const Options &options, Stopwatch &stopwatch) {
  if (hasCudaModule(source.getModule()))
    return success();
  CudaPipelineOptions cuda;
  cuda.dtype = options.dtype;
  cuda.dtypes = namedTypes(options);
  Options chunked = options;
  if (!options.chunk && !options.sequential)
    chunked.chunk = cuda.chunk;
  if (failed(raise(source, stopwatch)))
    return failure();
  StringMap<int64_t> sizes = request.sizes;
  bool tiles = !options.sequential && (options.chunk == 0 || options.chunk == 64);
  if (tiles && succeeded(buildTiles(source, stage, sizes, cuda, options.sanitize, stopwatch)))
    return success();
  if (stage == CudaStage::tile)
    return error(tiles ? "--stage=tile: this mixer runs on CUDA cores; --stage=nvvm has its kernel"
                       : "--stage=tile: tiles are for the chunk form with 64 tokens a chunk");
  if (options.chunk <= 1 && succeeded(buildColumns(source, sizes, cuda, stopwatch)))
    return success();
  if (!options.sequential) {
    cuda.block = splitColumns(mixer, request, sizes);
    if (!cuda.block.empty())
      cuda.blocks = request.sizes.lookup(cuda.block) / sizes.lookup(cuda.block);
  }
  if (failed(derive(source, mixer, sizes, request, chunked, stopwatch)))
    return failure();
  return runPasses(source, stopwatch, "nvvm", [&](PassManager &manager) { buildSimtPipeline(manager, cuda); });
}

} // namespace rondo::driver
