//===- Npy.h - Arrays of real numbers and their .npy files --------------------------------------------*- C++ -*-===//
//
// The file format is NumPy's (versions 1 to 3): a magic string, a header in Python syntax, and the elements.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_SUPPORT_NPY_H
#define RONDO_SUPPORT_NPY_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rondo {

enum class ElementType { f16, bf16, f32, f64 };

/// `f32`, as a user writes it.
llvm::StringRef elementTypeName(ElementType type);
std::optional<ElementType> parseElementType(llvm::StringRef name);
int64_t elementBytes(ElementType type);

/// The product of `shape` times `bytesPerElement`; nothing when it does not fit in 63 bits or a size is negative.
std::optional<int64_t> arrayBytes(llvm::ArrayRef<int64_t> shape, int64_t bytesPerElement);

/// A dense array in C order.
struct NpyArray {
  ElementType type = ElementType::f32;
  std::vector<int64_t> shape;
  std::vector<char> bytes;

  NpyArray() = default;
  /// Zeros. `shape` must have passed `arrayBytes`.
  NpyArray(ElementType type, llvm::ArrayRef<int64_t> shape);

  int64_t size() const { return int64_t(bytes.size()) / elementBytes(type); }
  template <typename T>
  T *data() {
    return reinterpret_cast<T *>(bytes.data());
  }
  template <typename T>
  const T *data() const {
    return reinterpret_cast<const T *>(bytes.data());
  }

  /// The same numbers rounded to `type` (to nearest, ties to even).
  NpyArray convertTo(ElementType type) const;
  std::vector<double> toDoubles() const;
  static NpyArray fromDoubles(llvm::ArrayRef<double> values, llvm::ArrayRef<int64_t> shape, ElementType type);
};

/// `[2, 64, 4]`.
std::string shapeText(llvm::ArrayRef<int64_t> shape);

/// Reads f16, f32, f64 and (as `ml_dtypes` stores it, `V2`) bf16 in C order. Every message begins with the path.
llvm::Expected<NpyArray> readNpy(llvm::StringRef path);
/// bf16 is written as f32, which every reader knows.
llvm::Error writeNpy(llvm::StringRef path, const NpyArray &array);

} // namespace rondo

#endif // RONDO_SUPPORT_NPY_H
