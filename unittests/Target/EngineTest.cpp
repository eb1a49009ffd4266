//===- EngineTest.cpp - Kernels against a plain loop over tokens ------------------------------------------------===//

#include "rondo/Target/Engine.h"
#include "rondo/Conversion/Passes.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Target/Pipelines.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"
#include <cmath>
#include <random>

using namespace mlir;
using namespace rondo;

namespace {

constexpr int64_t kKeys = 32, kValues = 48;

float fromBits(uint16_t bits, Dtype dtype) {
  if (dtype == Dtype::BF16) {
    uint32_t word = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &word, 4);
    return value;
  }
  return llvm::APFloat(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits)).convertToFloat();
}

uint16_t toBits(float value, Dtype dtype) {
  llvm::APFloat number(value);
  bool inexact;
  number.convert(dtype == Dtype::BF16 ? llvm::APFloat::BFloat() : llvm::APFloat::IEEEhalf(),
                 llvm::APFloat::rmNearestTiesToEven, &inexact);
  return number.bitcastToAPInt().getZExtValue();
}

/// An array with its own memory; every row is followed by unused elements, so that strides differ from shapes.
struct Tensor {
  Array array;
  std::vector<char> memory;

  Tensor(Dtype dtype, ArrayRef<int64_t> shape, int64_t padding = 0) {
    array.dtype = dtype;
    array.shape.assign(shape.begin(), shape.end());
    array.strides.resize(shape.size());
    int64_t stride = 1;
    for (int64_t i = int64_t(shape.size()) - 1; i >= 0; --i) {
      array.strides[i] = stride;
      stride *= shape[i] + (i == 0 ? 0 : padding);
    }
    memory.assign(stride * elementSize(), char(0xff));
    array.data = memory.data();
  }

  int64_t elementSize() const { return array.dtype == Dtype::F32 ? 4 : 2; }
  int64_t offset(ArrayRef<int64_t> position) const {
    int64_t result = 0;
    for (auto [index, stride] : llvm::zip(position, array.strides))
      result += index * stride;
    return result;
  }
  float get(ArrayRef<int64_t> position) const {
    const char *address = memory.data() + offset(position) * elementSize();
    if (array.dtype == Dtype::F32) {
      float value;
      memcpy(&value, address, 4);
      return value;
    }
    uint16_t bits;
    memcpy(&bits, address, 2);
    return fromBits(bits, array.dtype);
  }
  void set(ArrayRef<int64_t> position, float value) {
    char *address = memory.data() + offset(position) * elementSize();
    if (array.dtype == Dtype::F32) {
      memcpy(address, &value, 4);
      return;
    }
    uint16_t bits = toBits(value, array.dtype);
    memcpy(address, &bits, 2);
  }

  template <typename F>
  void fill(F &&next) {
    SmallVector<int64_t> position(array.shape.size(), 0);
    int64_t count = 1;
    for (int64_t size : array.shape)
      count *= size;
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i;
      for (int64_t d = int64_t(position.size()) - 1; d >= 0; --d) {
        position[d] = rest % array.shape[d];
        rest /= array.shape[d];
      }
      set(position, next());
    }
  }
};

class EngineTest : public ::testing::Test {
protected:
  EngineTest() {
    registerCpuDialects(registry);
    context.appendDialectRegistry(registry);
    context.disableMultithreading();
    context.loadAllAvailableDialects();
  }

  /// The test's chunk body in the LLVM dialect.
  OwningOpRef<ModuleOp> lower(StringRef options) {
    OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(RONDO_TEST_INPUTS "/scalar-decay.mlir", &context);
    CpuPipelineOptions pipeline;
    PassManager pm(&context, ModuleOp::getOperationName());
    if (!module || failed(pipeline.parseFromString(options)))
      return nullptr;
    buildCpuPipeline(pm, pipeline);
    return succeeded(pm.run(*module)) ? std::move(module) : nullptr;
  }

  CpuTarget target(StringRef name) {
    auto result = CpuTarget::get(name);
    EXPECT_TRUE(bool(result));
    return std::move(*result);
  }

  /// Compiles the test's chunk body for the host.
  std::unique_ptr<Engine> compile(StringRef options) {
    OwningOpRef<ModuleOp> module = lower(options);
    if (!module)
      return nullptr;
    auto engine = Engine::create(*module, target("native"));
    if (!engine) {
      ADD_FAILURE() << llvm::toString(engine.takeError());
      return nullptr;
    }
    return std::move(*engine);
  }

  DialectRegistry registry;
  MLIRContext context;

  struct Problem {
    int64_t batch = 2, tokens = 65, heads = 4, keyHeads = 2;
    Dtype dtype = Dtype::F32;
    bool withStates = true;
    int64_t threads = 2, padding = 0, values = kValues;
  };

  /// Runs a kernel and the recurrence, token by token in f64; returns the relative error over outputs and final state.
  double compare(Engine &engine, const Problem &p) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform(0, 1);
    Tensor q(p.dtype, {p.batch, p.tokens, p.keyHeads, kKeys}, p.padding);
    Tensor k(p.dtype, {p.batch, p.tokens, p.keyHeads, kKeys}, p.padding);
    Tensor v(p.dtype, {p.batch, p.tokens, p.heads, p.values}, p.padding);
    Tensor g(Dtype::F32, {p.batch, p.tokens, p.heads}, p.padding);
    Tensor w(Dtype::F32, {p.heads});
    Tensor initial(Dtype::F32, {p.batch, p.heads, kKeys, p.values}), final(initial.array.dtype, initial.array.shape);
    Tensor o(p.dtype, {p.batch, p.tokens, p.heads, p.values}, p.padding);
    q.fill([&] { return normal(random) / std::sqrt(float(kKeys)); });
    for (Tensor *tensor : {&k, &v, &initial})
      tensor->fill([&] { return normal(random); });
    g.fill([&] { return -0.1f * uniform(random); });
    w.fill([&] { return uniform(random); });

    StateArrays state;
    if (p.withStates) {
      state.initial = initial.array;
      state.final = final.array;
    }
    llvm::Error failed =
        engine.run("scalar_decay_kernel", {q.array, k.array, v.array, g.array, w.array}, {o.array}, {state}, p.threads);
    EXPECT_EQ(llvm::toString(std::move(failed)), "");

    double difference = 0, size = 1e-30;
    auto account = [&](double actual, double expected) {
      difference += (actual - expected) * (actual - expected);
      size += expected * expected;
    };
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t h = 0; h < p.heads; ++h) {
        int64_t hk = h * p.keyHeads / p.heads;
        std::vector<double> S(kKeys * p.values, 0.0);
        for (int64_t r = 0; p.withStates && r < kKeys; ++r)
          for (int64_t c = 0; c < p.values; ++c)
            S[r * p.values + c] = initial.get({b, h, r, c});
        for (int64_t t = 0; t < p.tokens; ++t) {
          double decay = std::exp(double(g.get({b, t, h})));
          for (int64_t r = 0; r < kKeys; ++r)
            for (int64_t c = 0; c < p.values; ++c)
              S[r * p.values + c] =
                  decay * S[r * p.values + c] + double(w.get({h})) * k.get({b, t, hk, r}) * v.get({b, t, h, c});
          for (int64_t c = 0; c < p.values; ++c) {
            double sum = 0;
            for (int64_t r = 0; r < kKeys; ++r)
              sum += q.get({b, t, hk, r}) * S[r * p.values + c];
            account(o.get({b, t, h, c}), sum);
          }
        }
        for (int64_t r = 0; p.withStates && r < kKeys; ++r)
          for (int64_t c = 0; c < p.values; ++c)
            account(final.get({b, h, r, c}), S[r * p.values + c]);
      }
    return std::sqrt(difference / size);
  }
};

TEST_F(EngineTest, everyLength) {
  auto engine = compile("");
  ASSERT_TRUE(engine);
  for (int64_t tokens : {0, 1, 63, 64, 65, 1000})
    for (int64_t threads : {0, 1, 2}) {
      Problem problem;
      problem.tokens = tokens;
      problem.threads = threads;
      EXPECT_LT(compare(*engine, problem), 1e-5) << tokens << " tokens, " << threads << " threads";
    }
}

TEST_F(EngineTest, statesAreOptional) {
  auto engine = compile("");
  ASSERT_TRUE(engine);
  Problem problem;
  problem.withStates = false;
  EXPECT_LT(compare(*engine, problem), 1e-5);
}

TEST_F(EngineTest, anyStrides) {
  auto engine = compile("");
  ASSERT_TRUE(engine);
  Problem problem;
  problem.padding = 3;
  EXPECT_LT(compare(*engine, problem), 1e-5);
}

TEST_F(EngineTest, halfPrecisionArrays) {
  for (Dtype dtype : {Dtype::BF16, Dtype::F16}) {
    auto engine = compile(("dtype=" + stringifyDtype(dtype) + " dtypes=g=f32").str());
    ASSERT_TRUE(engine);
    Problem problem;
    problem.dtype = dtype;
    problem.padding = 3;
    EXPECT_LT(compare(*engine, problem), 1e-2) << stringifyDtype(dtype).str();
  }
}

TEST_F(EngineTest, columnBlocks) {
  auto engine = compile("block=V");
  ASSERT_TRUE(engine);
  for (int64_t blocks : {1, 2, 3}) {
    Problem problem;
    problem.values = blocks * kValues;
    EXPECT_LT(compare(*engine, problem), 1e-5) << blocks << " blocks";
  }
}

TEST_F(EngineTest, writesCodeForOtherTargets) {
  for (auto [cpu, bits, wide] : {std::make_tuple("x86-64-v3", 256u, false), std::make_tuple("x86-64-v4", 512u, true)}) {
    CpuTarget other = target(cpu);
    EXPECT_EQ(other.vectorBits(), bits);
    OwningOpRef<ModuleOp> module = lower("vector-bits=" + std::to_string(bits));
    ASSERT_TRUE(module);
    std::string text;
    llvm::raw_string_ostream os(text);
    CodegenTimes times;
    EXPECT_FALSE(emit(*module, other, Artifact::Assembly, os, &times));
    EXPECT_EQ(StringRef(text).contains("zmm"), wide);
    EXPECT_GT(times.codegen, 0);
  }
  auto unknown = CpuTarget::get("z80");
  ASSERT_FALSE(bool(unknown));
  EXPECT_EQ(llvm::toString(unknown.takeError()),
            "unknown CPU 'z80': write native or a name such as x86-64-v3, x86-64-v4 or znver5");
}

TEST_F(EngineTest, describesItsKernel) {
  auto engine = compile("");
  ASSERT_TRUE(engine);
  ASSERT_EQ(engine->kernels().size(), 1u);
  const KernelInfo &kernel = engine->kernels().front();
  EXPECT_EQ(kernel.name, "scalar_decay_kernel");
  EXPECT_EQ(kernel.inputs.size(), 5u);
  EXPECT_EQ(kernel.states.size(), 1u);
  EXPECT_EQ(kernel.chunk, 64);
  EXPECT_GE(kernel.scratchBytes, 4 * kKeys * kValues);
}

TEST_F(EngineTest, refusesWrongArrays) {
  auto engine = compile("");
  ASSERT_TRUE(engine);
  Tensor q(Dtype::F32, {1, 8, 2, kKeys}), v(Dtype::F32, {1, 8, 2, kValues}), g(Dtype::F32, {1, 8, 2}),
      w(Dtype::F32, {2});
  Tensor o(Dtype::F32, {1, 8, 2, kValues}), narrow(Dtype::F32, {1, 8, 2, 8}), half(Dtype::F16, {1, 8, 2, kKeys});
  Tensor three(Dtype::F32, {1, 8, 3, kKeys});
  auto message = [&](const Tensor &k) {
    return llvm::toString(engine->run("scalar_decay_kernel", {q.array, k.array, v.array, g.array, w.array}, {o.array}));
  };
  EXPECT_EQ(message(narrow), "'k' has the shape [1, 8, 2, 8]; its last dimensions must be [32]");
  EXPECT_EQ(message(half), "'k' must be f32, not f16");
  EXPECT_EQ(message(g), "'k' must have 4 dimensions, not 3");
  EXPECT_EQ(message(three), "'k' has 3 heads, which does not divide 2");
}

} // namespace
