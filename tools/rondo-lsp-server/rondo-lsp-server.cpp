//===- rondo-lsp-server.cpp - Language server for .mlir files with Rondo's dialects -----------------------------===//

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Dialect/Rondo/Rondo.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<rondo::RondoDialect, rondo::chunk::ChunkDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
