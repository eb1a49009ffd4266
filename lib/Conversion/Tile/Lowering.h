//===- Lowering.h - From tiles to the registers of one thread -----------------------------------------*- C++ -*-===//
//
// `rondo-lower-tiles` rewrites each role of a `tile.kernel` as the code of one of its threads (llvm, nvvm, arith, scf):
// a value with a layout becomes the scalars that this thread holds, in the order that the layout's description says.
// Operations are lowered one by one, in program order, by the functions below; each reads the scalars of its operands
// and sets those of its results.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_TILE_LOWERING_H
#define RONDO_LIB_CONVERSION_TILE_LOWERING_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "rondo/Dialect/Tile/Tile.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include <memory>

namespace rondo::tile {

using Scalars = llvm::SmallVector<mlir::Value>;

/// Number of scalars that one thread holds of a value with a layout. Values of 16-bit floats are held as i32, two
/// neighbours (of the layout's order) in each, the first in the low half: half as many scalars. So a 16-bit fragment is
/// the register operand A of a product as it is: scalars 4k .. 4k+3 are those of columns 16k .. 16k+15.
int64_t getScalarsPerThread(mlir::RankedTensorType type);
/// Whether a value is held in pairs of 16-bit floats.
bool isPacked(mlir::RankedTensorType type);

/// The state of lowering one role.
class Lowering {
public:
  explicit Lowering(mlir::ImplicitLocOpBuilder builder) : b(builder) {}

  /// Where new code goes.
  mlir::ImplicitLocOpBuilder b;

  //===--- Values -------------------------------------------------------------------------------------------------===//

  /// The scalars of a value with a layout; one for a scalar (an `index` value becomes i32).
  llvm::ArrayRef<mlir::Value> get(mlir::Value value) const;
  mlir::Value getScalar(mlir::Value value) const { return get(value).front(); }
  void set(mlir::Value value, Scalars scalars);
  /// The address of a shared buffer (`!llvm.ptr<3>`).
  mlir::Value getAddress(mlir::Value buffer) const { return get(buffer).front(); }
  /// Where the rows of 128 bytes of a tile are, and the 16-byte unit at which the buffer begins in them (0 but for a
  /// window at a constant column): units change places by their number in the row.
  std::pair<mlir::Value, int64_t> getRows(mlir::Value buffer);

  //===--- This thread --------------------------------------------------------------------------------------------===//

  /// All i32. `lane`: 0 .. 31; `warp`: 0 .. warps-1 in this copy of the role (uniform over the warp); `quad` = lane /
  /// 4, `inQuad` = lane % 4. Fresh (opaque to LLVM) in each loop, so that addresses made of them are not kept in
  /// registers across the whole loop.
  mlir::Value lane, warp, quad, inQuad, copy;
  /// Warps of one copy of the role, and copies; the numbers of the hardware barriers of this copy and of all (null:
  /// nobody asks for that).
  int64_t warps = 0, copies = 1;
  mlir::Value barrier, barrierOfCopies;

  //===--- Small code ---------------------------------------------------------------------------------------------===//

  mlir::Value i32(int64_t value);
  mlir::Value i64(int64_t value);
  mlir::Value f32(double value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, int64_t y) { return y == 0 ? x : add(x, i32(y)); }
  mlir::Value mul(mlir::Value x, int64_t y);
  mlir::Value shl(mlir::Value x, int64_t bits);
  mlir::Value shr(mlir::Value x, int64_t bits);
  mlir::Value bitAnd(mlir::Value x, int64_t mask);
  mlir::Value bitXor(mlir::Value x, mlir::Value y);
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  mlir::Value fmul(mlir::Value x, mlir::Value y);
  mlir::Value fadd(mlir::Value x, mlir::Value y);
  /// 2^x, as ex2.approx.ftz.
  mlir::Value exp2(mlir::Value x);
  /// A pointer `offset` bytes (i32, or a number) further.
  mlir::Value gep(mlir::Value pointer, mlir::Value offset);
  mlir::Value gep(mlir::Value pointer, int64_t offset);
  /// Two f32 rounded to a pair of 16-bit floats in an i32 (low first), and back.
  mlir::Value pack(mlir::Value low, mlir::Value high, mlir::Type element);
  std::pair<mlir::Value, mlir::Value> unpack(mlir::Value pair, mlir::Type element);
  /// Elements to an LLVM vector, and back.
  mlir::Value makeVector(llvm::ArrayRef<mlir::Value> elements);
  Scalars splitVector(mlir::Value vector);
  /// Shared memory accesses: a f32, or `count` (2, 4) neighbouring ones, aligned.
  mlir::Value loadF32(mlir::Value pointer);
  Scalars loadF32s(mlir::Value pointer, int64_t count);
  void storeF32s(llvm::ArrayRef<mlir::Value> values, mlir::Value pointer);
  mlir::Value loadI32(mlir::Value pointer);
  void storeI32(mlir::Value value, mlir::Value pointer);
  /// ldmatrix.x4 / stmatrix.x4 of 16-bit 8x8 matrices, optionally transposed; four i32.
  Scalars ldmatrix(mlir::Value pointer, bool transposed);
  void stmatrix(mlir::Value pointer, llvm::ArrayRef<mlir::Value> registers, bool transposed);
  /// mma.sync m16n8k16, f32 accumulators; a: 4 i32, b: 2 i32; c: 4 f32 or empty for zero.
  Scalars mmaSync(llvm::ArrayRef<mlir::Value> a, llvm::ArrayRef<mlir::Value> b, llvm::ArrayRef<mlir::Value> c,
                  mlir::Type element);
  /// shfl.sync of a 32-bit value: up, down, xor (bfly), idx.
  mlir::Value shuffle(mlir::NVVM::ShflKind kind, mlir::Value value, mlir::Value lane);
  /// The sum over each `lanes` neighbouring lanes, a power of two, in all of them.
  mlir::Value sumOverLanes(mlir::Value value, int64_t lanes);
  /// Inline PTX. Constraints as LLVM's ("=f", "r", "0" ...); results typed.
  Scalars inlineAsm(llvm::StringRef text, llvm::StringRef constraints, llvm::ArrayRef<mlir::Value> operands,
                    llvm::ArrayRef<mlir::Type> results, bool sideEffects = true);
  void syncWarp();
  /// The barrier of this copy of the role; of all copies.
  void sync();
  void syncCopies();
  void fenceAsync();
  /// `if (condition) { body }` as scf.if; values made inside do not leave it.
  void ifThen(mlir::Value condition, llvm::function_ref<void()> body);

  //===--- Stores that another operation makes --------------------------------------------------------------------===//

  /// `tile.store`s of operands of a `tile.decayed_gram` times the decays to the ends of the chunk, which it has at
  /// hand; see LowerGram.cpp.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<StoreOp>> storesOfGram;
  llvm::DenseSet<mlir::Operation *> madeElsewhere;

private:
  // On the heap, so that what `get` gives stays valid when other values are set.
  llvm::DenseMap<mlir::Value, std::unique_ptr<Scalars>> values;
};

// LowerTime.cpp
mlir::LogicalResult lower(CumprodOp op, Lowering &l);
mlir::LogicalResult lower(TotalOp op, Lowering &l);
mlir::LogicalResult lower(ScanOp op, Lowering &l);
mlir::LogicalResult lower(IntervalTablesOp op, Lowering &l);
mlir::LogicalResult lower(CoupledProductsOp op, Lowering &l);
mlir::LogicalResult lower(IntervalProductsOp op, Lowering &l);
// LowerInverse.cpp
mlir::LogicalResult lower(InverseOp op, Lowering &l);
// LowerGram.cpp
mlir::LogicalResult lower(DecayedFactorsOp op, Lowering &l);
mlir::LogicalResult lower(DecayedGramOp op, Lowering &l);
/// Finds the stores that grams make.
void planGramStores(RoleOp role, Lowering &l);
/// `tile.store` of a `#tile.gram` value, to f32 or rounded to a swizzled tile: zeros above the diagonal.
mlir::LogicalResult lowerGramStore(StoreOp op, Lowering &l);

} // namespace rondo::tile

#endif // RONDO_LIB_CONVERSION_TILE_LOWERING_H
