//===- Step.cpp - `rondoc run --form=step`: decoding ------------------------------------------------------------===//

#include "rondo/Driver/Execute.h"

using namespace mlir;
using namespace llvm;

namespace rondo::driver {

LogicalResult runStep(Source &source, MixerOp mixer, const Signature &signature, const Problem &problem,
                      const Options &options, Arrays &arrays, Stopwatch &stopwatch) {
  if (failed(checkMemory(signature, problem, 4, options.statesOut.empty() ? 0 : problem.time)))
    return failure();
  int64_t threads = getThreads(options);
  std::unique_ptr<Engine> engine = createEngine(source, mixer, {problem.sizes}, options, stopwatch);
  if (!engine)
    return failure();
  StringMap<NpyArray> histories;
  for (const Operand &output : signature.outputs)
    arrays.outputs[output.name] = NpyArray(kernelType(output, options), problem.shape(output));
  for (const Operand &state : signature.states) {
    std::vector<int64_t> shape = problem.shape(state);
    arrays.finalStates[state.name] = NpyArray(ElementType::f32, shape);
    shape.insert(shape.begin() + 2, problem.time);
    if (options.statesOut.count(state.name))
      histories[state.name] = NpyArray(ElementType::f32, shape);
  }
  Expected<std::vector<KernelCall>> calls =
      prepareStepCalls(*engine, signature, arrays, histories, options.draft, threads);
  if (!calls)
    return error(toString(calls.takeError()));
  auto begin = [&] { beginStates(signature, arrays); };
  auto decode = [&] {
    for (const KernelCall &call : *calls)
      call();
  };
  begin();
  decode();
  stopwatch.lap("run");
  if (options.time)
    measure(decode, threads, problem.time, begin);

  for (const auto &[name, path] : options.statesOut) {
    NpyArray &array = histories[name];
    if (!problem.batched)
      array.shape.erase(array.shape.begin());
    if (Error failure = writeNpy(path, array))
      return error(toString(std::move(failure)));
  }
  return success();
}

} // namespace rondo::driver
