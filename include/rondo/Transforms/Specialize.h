//===- Specialize.h - Numbers for named sizes ---------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_TRANSFORMS_SPECIALIZE_H
#define RONDO_TRANSFORMS_SPECIALIZE_H

#include "rondo/Dialect/Rondo/Rondo.h"

namespace rondo {

/// An array of strings on arguments, results and states of a specialised mixer: the sizes as they were written.
constexpr llvm::StringLiteral kDimsAttr = "rondo.dims";

/// The names of the sizes that a mixer's types use, sorted.
std::vector<std::string> getSizeNames(MixerOp mixer);

/// Replaces every named size of `mixer` by its number in `sizes`, and records what was written as `rondo.dims`.
/// Names in `sizes` that the mixer does not use are ignored. On failure the mixer is unchanged.
mlir::LogicalResult specialize(MixerOp mixer, const llvm::StringMap<int64_t> &sizes);

} // namespace rondo

#endif // RONDO_TRANSFORMS_SPECIALIZE_H
