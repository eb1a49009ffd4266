//===- KernelBuilder.h - Loops around chunk bodies ----------------------------------------------------*- C++ -*-===//
//
// What the kernels of a mixer have in common: their arrays, the loop over batch and heads, the loads and stores of
// rows, and the states carried from chunk to chunk.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_KERNELBUILDER_H
#define RONDO_LIB_CONVERSION_KERNELBUILDER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"

namespace rondo {

/// What the caller's array is to the mixer; the value is the number of leading dimensions before the mixer's own: [B,
/// T, H], [H] or [B, H].
enum class Role { Token = 3, Param = 1, State = 2 };

/// One array of a kernel: an argument, an output or a state of the body.
struct KernelArray {
  llvm::StringRef name;
  Role role;
  /// The element type in memory; inside the kernel everything is f32.
  mlir::Type element;
  /// The body's sizes of one token's value (or of a parameter or state of one head).
  llvm::ArrayRef<int64_t> sizes;
  /// The names of these sizes.
  mlir::ArrayAttr dims;
  /// The kernel argument.
  mlir::Value memref;

  int64_t leading() const { return static_cast<int64_t>(role); }
};

/// The indices of the head that an iteration of the parallel loop works on.
struct HeadIndex {
  mlir::Value batch, head, heads, block;
};

/// How element types are chosen: f32 for states and parameters, per name or by default for everything that has tokens.
struct ElementTypes {
  mlir::Type byDefault;
  llvm::StringMap<mlir::Type> byName;
};

/// From a pass's options `dtype` and `dtypes` (name=type each); an error at `op` for what is no element type.
mlir::FailureOr<ElementTypes> parseElementTypes(mlir::Operation *op, llvm::StringRef dtype,
                                                llvm::ArrayRef<std::string> dtypes);

class KernelBuilder {
public:
  KernelBuilder(mlir::func::FuncOp body, llvm::StringRef block)
      : body(body), block(block), b(body.getContext()), loc(body.getLoc()) {}

protected:
  using Value = mlir::Value;

  Value index(int64_t value);
  Value mul(Value lhs, Value rhs);
  Value add(Value lhs, Value rhs);
  Value sub(Value lhs, Value rhs);
  Value dim(Value memref, int64_t position);
  Value bit(Value mask, int64_t position);

  /// Reads the attributes of a body's argument or result. `prefix` is removed from the role ("grad_").
  mlir::FailureOr<KernelArray> makeArray(mlir::Type type, mlir::DictionaryAttr attrs, const ElementTypes &types,
                                         llvm::StringRef prefix = "");
  mlir::MemRefType memrefType(const KernelArray &array) { return memrefType(array, array.leading()); }
  /// With another number of dimensions before the mixer's own.
  mlir::MemRefType memrefType(const KernelArray &array, int64_t leading);
  /// The arrays of a body that runs forwards.
  mlir::LogicalResult collectArrays(const ElementTypes &types, llvm::SmallVectorImpl<KernelArray> &inputs,
                                    llvm::SmallVectorImpl<KernelArray> &outputs,
                                    llvm::SmallVectorImpl<KernelArray> &states);
  /// The description of an array for callers that only see the compiled function.
  mlir::Attribute signature(const KernelArray &array, llvm::StringRef role);
  /// Makes the function, with the arrays' memrefs and then `numMasks` i64 as its arguments.
  mlir::func::FuncOp createKernel(llvm::StringRef suffix, llvm::ArrayRef<mlir::Type> arrays, unsigned numMasks,
                                  llvm::ArrayRef<mlir::Attribute> signatures);
  /// omp.parallel { omp.wsloop over the items }; a number of threads of 0 leaves the choice to the OpenMP runtime.
  void buildParallelLoop(Value threads, Value items, llvm::function_ref<void(Value)> buildItem);

  Value allocate(llvm::ArrayRef<int64_t> sizes);
  Value toTensor(Value buffer, bool writable);
  /// `layout`: of the memory that the tensor lies in, when it is not an allocation of the kernel.
  Value toBuffer(Value tensor, mlir::MemRefLayoutAttrInterface layout = {});
  void fill(Value buffer, double value);
  /// The part of an array that belongs to one head (and one token).
  Value slice(const KernelArray &array, Value memref, const HeadIndex &head, Value token);
  /// Row `position` of a buffer [C, ...].
  Value row(Value buffer, Value position);
  /// Copies between buffers of the same shape, converting the element type; `adds` to what the target holds.
  void convert(Value source, Value target, bool adds = false);

  /// One head's parameters as tensors.
  llvm::SmallVector<Value> loadParams(llvm::ArrayRef<KernelArray> arrays, const HeadIndex &head);
  /// A state of one head: the caller's when `given`, else `init`.
  Value loadState(const KernelArray &array, Value memref, const HeadIndex &head, Value given, double init);
  /// Asks the cache for one token's row, which the next chunk will need: the rows of a head lie far apart, and the
  /// hardware does not foresee them. Tokens after the last one stand for the last.
  void prefetchRow(const KernelArray &array, const HeadIndex &head, Value token, bool isWrite);
  /// Rows start .. start+count-1 as a tensor of C rows; the others repeat the last row, or are zero.
  Value loadRows(const KernelArray &array, const HeadIndex &head, Value start, Value count, bool repeatLast);
  void forEachRow(Value count, llvm::function_ref<void(Value position)> body);
  /// Copies the operations that `values` need to where the builder is.
  void cloneNeeded(mlir::ValueRange values, mlir::IRMapping &mapping, llvm::SmallPtrSetImpl<mlir::Operation *> &done);
  /// Makes the new states lie in the buffers of the old ones.
  void carry(mlir::ValueRange next, llvm::MutableArrayRef<Value> carried);
  /// Ends the body of a loop over chunks or tokens.
  void yieldStates(mlir::ValueRange states);

  mlir::func::FuncOp body;
  llvm::StringRef block;
  mlir::OpBuilder b;
  mlir::Location loc;
  int64_t chunkSize = 0;
};

/// Builds `<name>_backward_kernel` from a chunk body and its derivative (BuildBackwardKernel.cpp). The states before
/// every `keepEvery`-th chunk are kept from the forward sweep.
mlir::LogicalResult buildBackwardKernel(mlir::func::FuncOp forward, mlir::func::FuncOp backward,
                                        const ElementTypes &types, int64_t keepEvery);

/// Builds `<name>_kernel` from the body of one token (BuildStepKernel.cpp).
mlir::LogicalResult buildStepKernel(mlir::func::FuncOp body, const ElementTypes &types);

} // namespace rondo

#endif // RONDO_LIB_CONVERSION_KERNELBUILDER_H
