//===- Npy.cpp - Arrays of real numbers and their .npy files ----------------------------------------------------===//

#include "rondo/Support/Npy.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>

using namespace llvm;

namespace rondo {

//===----------------------------------------------------------------------===//
// Element types
//===----------------------------------------------------------------------===//

StringRef elementTypeName(ElementType type) {
  switch (type) {
  case ElementType::f16:
    return "f16";
  case ElementType::bf16:
    return "bf16";
  case ElementType::f32:
    return "f32";
  case ElementType::f64:
    return "f64";
  }
  llvm_unreachable("unknown element type");
}

std::optional<ElementType> parseElementType(StringRef name) {
  return StringSwitch<std::optional<ElementType>>(name)
      .Case("f16", ElementType::f16)
      .Case("bf16", ElementType::bf16)
      .Case("f32", ElementType::f32)
      .Case("f64", ElementType::f64)
      .Default(std::nullopt);
}

int64_t elementBytes(ElementType type) { return type == ElementType::f64 ? 8 : type == ElementType::f32 ? 4 : 2; }

namespace {

/// The upper half of a float.
struct BFloat16 {
  uint16_t bits;
  explicit BFloat16(double value) {
    float single = float(value);
    uint32_t word;
    std::memcpy(&word, &single, 4);
    // A NaN keeps its sign and a set bit; everything else rounds to nearest, ties to even.
    bits = single != single ? uint16_t(word >> 16 | 0x40) : uint16_t((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
  operator double() const {
    uint32_t word = uint32_t(bits) << 16;
    float single;
    std::memcpy(&single, &word, 4);
    return single;
  }
};

/// Calls `f` with a null pointer to the C++ type of `type`.
template <typename F>
auto dispatch(ElementType type, F f) {
  switch (type) {
  case ElementType::f16:
    return f(static_cast<_Float16 *>(nullptr));
  case ElementType::bf16:
    return f(static_cast<BFloat16 *>(nullptr));
  case ElementType::f32:
    return f(static_cast<float *>(nullptr));
  case ElementType::f64:
    return f(static_cast<double *>(nullptr));
  }
  llvm_unreachable("unknown element type");
}

} // namespace

//===----------------------------------------------------------------------===//
// Arrays
//===----------------------------------------------------------------------===//

std::optional<int64_t> arrayBytes(ArrayRef<int64_t> shape, int64_t bytesPerElement) {
  // An empty array is empty whatever its other sizes are.
  if (is_contained(shape, 0))
    return 0;
  int64_t bytes = bytesPerElement;
  for (int64_t size : shape)
    if (size < 0 || MulOverflow(bytes, size, bytes))
      return std::nullopt;
  return bytes;
}

NpyArray::NpyArray(ElementType type, ArrayRef<int64_t> shape)
    : type(type), shape(shape), bytes(size_t(arrayBytes(shape, elementBytes(type)).value())) {}

NpyArray NpyArray::convertTo(ElementType to) const {
  if (to == type)
    return *this;
  NpyArray result(to, shape);
  dispatch(type, [&](auto *from) {
    using From = std::remove_pointer_t<decltype(from)>;
    dispatch(to, [&](auto *into) {
      using To = std::remove_pointer_t<decltype(into)>;
      for (int64_t i = 0, n = size(); i < n; ++i)
        result.data<To>()[i] = To(double(data<From>()[i]));
    });
  });
  return result;
}

std::vector<double> NpyArray::toDoubles() const {
  NpyArray doubles = convertTo(ElementType::f64);
  return std::vector<double>(doubles.data<double>(), doubles.data<double>() + doubles.size());
}

NpyArray NpyArray::fromDoubles(ArrayRef<double> values, ArrayRef<int64_t> shape, ElementType type) {
  NpyArray doubles(ElementType::f64, shape);
  assert(doubles.size() == int64_t(values.size()) && "shape and values disagree");
  std::copy(values.begin(), values.end(), doubles.data<double>());
  return doubles.convertTo(type);
}

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  raw_string_ostream os(text);
  interleaveComma(shape, os);
  return text + "]";
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

static constexpr StringLiteral kMagic("\x93NUMPY");

namespace {

struct Header {
  std::string dtype;
  bool fortran = false;
  std::vector<int64_t> shape;
};

} // namespace

/// The text after `'key':` in a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
static StringRef valueOf(StringRef header, StringRef key) {
  for (char quote : {'\'', '"'}) {
    std::string quoted = (Twine(quote) + key + Twine(quote)).str();
    size_t at = header.find(quoted);
    if (at != StringRef::npos) {
      StringRef rest = header.substr(at + quoted.size()).ltrim();
      if (rest.consume_front(":"))
        return rest.ltrim();
    }
  }
  return StringRef();
}

static std::optional<Header> parseHeader(StringRef text) {
  Header header;
  StringRef dtype = valueOf(text, "descr"), order = valueOf(text, "fortran_order"), shape = valueOf(text, "shape");
  // Structured dtypes are lists and end here.
  if (dtype.size() < 2 || (dtype[0] != '\'' && dtype[0] != '"') || !shape.consume_front("("))
    return std::nullopt;
  header.dtype = dtype.drop_front().take_until([&](char c) { return c == dtype[0]; }).str();
  if (!order.starts_with("True") && !order.starts_with("False"))
    return std::nullopt;
  header.fortran = order.starts_with("True");
  size_t close = shape.find(')');
  if (close == StringRef::npos)
    return std::nullopt;
  SmallVector<StringRef> sizes;
  shape.take_front(close).split(sizes, ',', -1, /*KeepEmpty=*/false);
  for (StringRef size : sizes) {
    int64_t value;
    if (size.trim().empty())
      continue;
    if (size.trim().getAsInteger(10, value) || value < 0)
      return std::nullopt;
    header.shape.push_back(value);
  }
  return header;
}

Expected<NpyArray> readNpy(StringRef path) {
  auto error = [&](const Twine &message) {
    return createStringError(inconvertibleErrorCode(), Twine("'") + path + "': " + message);
  };
  ErrorOr<std::unique_ptr<MemoryBuffer>> file =
      MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (std::error_code code = file.getError())
    return error(code.message());

  StringRef content = (*file)->getBuffer();
  if (!content.consume_front(kMagic) || content.size() < 4)
    return error("not a .npy file");
  uint8_t version = content[0];
  content = content.drop_front(2);
  size_t lengthBytes = version == 1 ? 2 : 4;
  if (version < 1 || version > 3)
    return error(".npy version " + Twine(version) + " is not known (1 to 3 are)");
  if (content.size() < lengthBytes)
    return error("the file ends within its header");
  size_t length = version == 1 ? support::endian::read16le(content.data()) : support::endian::read32le(content.data());
  content = content.drop_front(lengthBytes);
  if (content.size() < length)
    return error("the file ends within its header");
  std::optional<Header> header = parseHeader(content.take_front(length));
  content = content.drop_front(length);
  if (!header)
    return error("the header is not one of a plain array");

  auto type = StringSwitch<std::optional<ElementType>>(header->dtype)
                  .Cases({"<f2", "=f2"}, ElementType::f16)
                  .Cases({"<f4", "=f4"}, ElementType::f32)
                  .Cases({"<f8", "=f8"}, ElementType::f64)
                  .Cases({"<V2", "|V2"}, ElementType::bf16)
                  .Default(std::nullopt);
  if (!type)
    return error("elements of type '" + header->dtype +
                 "' cannot be used; store f32 ('<f4'), f64 ('<f8'), f16 ('<f2') or bf16 ('<V2')");
  if (header->fortran)
    return error("the array is in Fortran order; store it in C order (numpy.ascontiguousarray)");
  std::optional<int64_t> bytes = arrayBytes(header->shape, elementBytes(*type));
  if (!bytes)
    return error("shape " + shapeText(header->shape) + " is larger than 64 bits can count");
  if (uint64_t(*bytes) != content.size())
    return error("shape " + shapeText(header->shape) + " of " + elementTypeName(*type) + " needs " + Twine(*bytes) +
                 " bytes and the file has " + Twine(content.size()));

  NpyArray array;
  array.type = *type;
  array.shape = header->shape;
  array.bytes.assign(content.begin(), content.end());
  return array;
}

Error writeNpy(StringRef path, const NpyArray &array) {
  if (array.type == ElementType::bf16)
    return writeNpy(path, array.convertTo(ElementType::f32));
  std::string header =
      "{'descr': '<f" + std::to_string(elementBytes(array.type)) + "', 'fortran_order': False, 'shape': (";
  for (int64_t size : array.shape)
    header += std::to_string(size) + ", ";
  header += "), }";
  // Magic, version and length take 10 bytes; the data begins at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';

  std::error_code code;
  raw_fd_ostream os(path, code, sys::fs::OF_None);
  if (code)
    return createStringError(code, Twine("'") + path + "': " + code.message());
  char prefix[4] = {1, 0, char(header.size() & 0xff), char(header.size() >> 8)};
  os << kMagic << StringRef(prefix, 4) << header << StringRef(array.bytes.data(), array.bytes.size());
  os.close();
  if (os.has_error()) {
    code = os.error();
    os.clear_error();
    return createStringError(code, Twine("'") + path + "': " + code.message());
  }
  return Error::success();
}

} // namespace rondo
