//===- Kernel.h - A tile kernel and the role that is lowered ------------------------------------------*- C++ -*-===//
//
// What the lowering of an operation may ask for beside the small code of `Lowering`: the parameters of the kernel and
// the addresses made of them (`Kernel`), and the tensor core products that have begun and not ended (`RoleLowering`).
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_TILE_KERNEL_H
#define RONDO_LIB_CONVERSION_TILE_KERNEL_H

#include "Lowering.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

namespace rondo::tile {

/// An entry of `rondo.arrays`.
struct DeviceArray {
  mlir::StringRef name, role;
  mlir::Type element;
  mlir::ArrayRef<int64_t> sizes;
};

/// The function that a `tile.kernel` becomes. Parameters are added where an operation needs them; what is made of them
/// and is the same for all threads is computed once, before the roles.
class Kernel {
public:
  /// `before`: the operation before which the common code goes.
  Kernel(KernelOp op, mlir::LLVM::LLVMFuncOp function, mlir::Operation *before);
  /// A kernel that was no `tile.kernel`: `arrays` as `rondo.arrays` has them, `blocks` for each batch entry and head.
  Kernel(mlir::ArrayAttr arrays, int64_t chunk, int64_t blocks, mlir::LLVM::LLVMFuncOp function,
         mlir::Operation *before);

  /// Tokens a chunk.
  int64_t chunk;
  /// Rows of a chunk that a token has.
  int64_t writes = 1;
  /// All lanes of a warp arrive at a barrier, not the first one for them.
  bool everyLaneArrives = false;

  /// The array of that name if it has that role; else an error at `user` and null.
  const DeviceArray *find(mlir::Operation *user, mlir::StringRef name, mlir::StringRef role);

  //===--- Parameters (i64 or pointers) ---------------------------------------------------------------------------===//

  mlir::Value pointer(mlir::StringRef array);
  mlir::Value stride(mlir::StringRef array, mlir::StringRef dim);
  mlir::Value size(mlir::StringRef dim);
  mlir::Value map(mlir::StringRef array, mlir::ArrayRef<int64_t> box, int64_t swizzle);
  /// As `params` of `rondo.launch` lists them.
  mlir::ArrayAttr parameters();
  /// For each parameter, as the function needs them.
  void setArguments();

  //===--- This block (i32) ---------------------------------------------------------------------------------------===//

  mlir::Value tokens();
  mlir::Value chunks();
  mlir::Value column();
  mlir::Value batch();
  mlir::Value head();
  /// The head of an array that may have fewer of them.
  mlir::Value head(const DeviceArray &array);
  /// The first element of this batch entry and head (of this head for a parameter); `part` is `.initial` or `.final`
  /// for states.
  mlir::Value base(const DeviceArray &array, mlir::StringRef part = "");

private:
  mlir::Value parameter(mlir::ArrayRef<std::pair<mlir::StringRef, mlir::Attribute>> entries, mlir::Type type);
  mlir::Value cached(const llvm::Twine &name, llvm::function_ref<mlir::Value()> make);

  int64_t blocks;
  mlir::LLVM::LLVMFuncOp function;
  mlir::ImplicitLocOpBuilder b;
  llvm::SmallVector<DeviceArray> arrays;
  llvm::MapVector<mlir::DictionaryAttr, mlir::Value> params;
  llvm::StringMap<mlir::Value> values;
};

class RoleLowering : public Lowering {
public:
  RoleLowering(mlir::ImplicitLocOpBuilder builder, Kernel &kernel, RoleOp role)
      : Lowering(std::move(builder)), kernel(kernel), role(role) {}

  Kernel &kernel;
  RoleOp role;

  //===--- Program ------------------------------------------------------------------------------------------------===//

  mlir::LogicalResult lowerBlock(mlir::Block &block);
  mlir::LogicalResult lowerOperation(mlir::Operation *op);
  /// Lowers what has been put off.
  mlir::LogicalResult lowerAllDeferred();
  /// `lane` and `warp` (and what is made of them) as values that LLVM knows nothing about, unless registers are ample.
  void hideThread();
  void setThread(mlir::Value lane, mlir::Value warp);
  /// Whether this is the first thread of its warp; of the copy of the role.
  mlir::Value isFirstLane();
  mlir::Value isFirstThread();
  mlir::Value isFirstWarp();

  //===--- Values with a layout -----------------------------------------------------------------------------------===//

  /// The index along `dimension` of each scalar that this thread holds, i32.
  Scalars indices(mlir::RankedTensorType type, int64_t dimension);
  /// Address of the 16-byte unit `unit` (a constant plus `bit`) of row `row` of a swizzled tile, where `row` mod 8 is
  /// `lane` mod 8: what a lane gives to ldmatrix and stmatrix.
  mlir::Value matrixAddress(mlir::Value buffer, SharedType type, mlir::Value row, int64_t unit, mlir::Value bit);

  //===--- Products in flight -------------------------------------------------------------------------------------===//

  bool isInFlight(mlir::Value value) const { return llvm::is_contained(inFlight, value); }
  /// A product has been committed. With `onto`, its accumulator is that product's result, whose registers it takes.
  void addInFlight(mlir::Value result, mlir::Value onto);
  bool anyInFlight() const { return !inFlight.empty(); }
  void waitFor(mlir::Value value);
  void waitForAll();
  /// Register operands that no instruction but products has touched since a fence.
  llvm::DenseSet<mlir::Value> fenced;

private:
  /// An operation whose lowering is put off; see LowerTiles.cpp.
  mlir::LogicalResult lowerNow(mlir::Operation *op);
  mlir::LogicalResult lowerDeferred(mlir::ValueRange values);
  void collectCarried(mlir::Value value, llvm::SmallPtrSetImpl<mlir::Value> &carried);
  mlir::LogicalResult lowerCoupled(MmaOp op);
  /// Through a fence: they are computed before it.
  void holdInRegisters(mlir::ValueRange values);
  mlir::LogicalResult lowerDeferredReads();

  void forgetRecomputable(mlir::Operation *op);
  llvm::SetVector<mlir::Operation *> deferred;
  /// Operations of this block that have been lowered and could be again: they read registers of no product.
  llvm::SetVector<mlir::Operation *> recomputable;

  mlir::LogicalResult lowerLoop(mlir::scf::ForOp op);
  mlir::LogicalResult lowerIf(mlir::scf::IfOp op);
  mlir::LogicalResult checkLayouts(mlir::Operation *op);
  /// Results of committed groups, oldest first; null: the registers went on into a later product.
  llvm::SmallVector<mlir::Value> inFlight;
};

// LowerElementwise.cpp
/// `arith` and `math`, element by element.
mlir::LogicalResult lowerElementwise(mlir::Operation *op, RoleLowering &l);

// LowerTransfer.cpp
mlir::LogicalResult lower(LoadOp op, RoleLowering &l);
mlir::LogicalResult lower(LoadScalarOp op, RoleLowering &l);
mlir::LogicalResult lower(StoreOp op, RoleLowering &l);
mlir::LogicalResult lower(BroadcastOp op, RoleLowering &l);
mlir::LogicalResult lower(IotaOp op, RoleLowering &l);
mlir::LogicalResult lower(SplitPairsOp op, RoleLowering &l);
mlir::LogicalResult lower(JoinPairsOp op, RoleLowering &l);

// LowerReduce.cpp
mlir::LogicalResult lower(ReduceOp op, RoleLowering &l);

// LowerMma.cpp
/// The rounding of a left operand of more columns than a product holds at a time: not lowered by itself.
mlir::arith::TruncFOp getLongOperand(MmaOp op);
mlir::LogicalResult lower(MmaOp op, RoleLowering &l);

// LowerDot.cpp
mlir::LogicalResult lower(DotOp op, RoleLowering &l);
// LowerDecayedApply.cpp
mlir::LogicalResult lower(DecayedApplyOp op, RoleLowering &l);

// LowerChannel.cpp
mlir::LogicalResult lower(SlotOp op, RoleLowering &l);
mlir::LogicalResult lower(BlockOp op, RoleLowering &l);
mlir::LogicalResult lower(WindowOp op, RoleLowering &l);
mlir::LogicalResult lower(AcquireOp op, RoleLowering &l);
mlir::LogicalResult lower(CommitOp op, RoleLowering &l);
mlir::LogicalResult lower(WaitOp op, RoleLowering &l);
mlir::LogicalResult lower(ReleaseOp op, RoleLowering &l);
mlir::LogicalResult lower(SyncOp op, RoleLowering &l);
mlir::LogicalResult lower(FetchOp op, RoleLowering &l);
mlir::LogicalResult lower(WriteBackOp op, RoleLowering &l);
mlir::LogicalResult lower(DrainOp op, RoleLowering &l);

// LowerDevice.cpp
mlir::LogicalResult lower(CountOp op, RoleLowering &l);
mlir::LogicalResult lower(LoadTokensOp op, RoleLowering &l);
mlir::LogicalResult lower(LoadTotalOp op, RoleLowering &l);
mlir::LogicalResult lower(StoreTokensOp op, RoleLowering &l);
mlir::LogicalResult lower(LoadParameterOp op, RoleLowering &l);
mlir::LogicalResult lower(LoadStateOp op, RoleLowering &l);
mlir::LogicalResult lower(StoreStateOp op, RoleLowering &l);

} // namespace rondo::tile

#endif // RONDO_LIB_CONVERSION_TILE_KERNEL_H
