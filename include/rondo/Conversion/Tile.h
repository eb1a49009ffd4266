//===- Tile.h - The end of the tile path --------------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_CONVERSION_TILE_H
#define RONDO_CONVERSION_TILE_H

#include "mlir/Pass/PassManager.h"

namespace rondo {

/// What follows `rondo-lower-tiles`: the kernels of `gpu.module @cuda` to the LLVM dialect (with NVVM).
void addTileToNVVM(mlir::OpPassManager &pm);

/// For `rondo-opt`: `rondo-tile-to-nvvm` is `addTileToNVVM`.
void registerTilePipelines();

} // namespace rondo

#endif // RONDO_CONVERSION_TILE_H
