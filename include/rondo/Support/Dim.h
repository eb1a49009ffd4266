//===- Dim.h - A size: a polynomial of named sizes ----------------------------------------------------*- C++ -*-===//
//
// `K`, `128`, `2*K`, `K/2`, `K*(K+1)/2`. Two sizes are equal when their polynomials are, so `K+K` is `2*K`.
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_SUPPORT_DIM_H
#define RONDO_SUPPORT_DIM_H

#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rondo {

/// A pointer to a polynomial that exists once per process: cheap to copy, compared by identity.
class Dim {
public:
  Dim() : Dim(0) {}
  Dim(int64_t value);
  static Dim name(llvm::StringRef name);
  /// Reads `K*(K+1)/2`; nothing when the text is not a size expression.
  static std::optional<Dim> parse(llvm::StringRef text);

  Dim operator+(const Dim &other) const;
  Dim operator-(const Dim &other) const;
  Dim operator*(const Dim &other) const;
  /// Division by a number; nothing when `divisor` is not a non-zero number.
  std::optional<Dim> dividedBy(const Dim &divisor) const;

  bool operator==(const Dim &other) const { return polynomial == other.polynomial; }
  bool operator!=(const Dim &other) const { return polynomial != other.polynomial; }
  bool operator<(const Dim &other) const { return str() < other.str(); }

  /// The value when no name occurs and the value is an integer.
  std::optional<int64_t> getConstant() const;
  /// The value with names replaced by `sizes`; nothing when a name is missing or the value is no non-negative integer.
  std::optional<int64_t> evaluate(const llvm::StringMap<int64_t> &sizes) const;
  /// Replaces the names that `sizes` knows.
  Dim substitute(const llvm::StringMap<int64_t> &sizes) const;
  /// The names that occur, sorted, each once.
  std::vector<std::string> names() const;
  /// True for a plain name or number (printed without quotes in types).
  bool isSimple() const;

  /// Canonical text: equal polynomials have equal text.
  llvm::StringRef str() const;

  friend llvm::hash_code hash_value(const Dim &dim) { return llvm::hash_value(dim.polynomial); }

private:
  struct Polynomial;
  explicit Dim(Polynomial &&polynomial);
  const Polynomial *polynomial;
};

} // namespace rondo

#endif // RONDO_SUPPORT_DIM_H
