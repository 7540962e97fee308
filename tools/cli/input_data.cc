#include "tools/cli/input_data.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "lutra/qat/dataset.h"
#include "lutra/qat/npy.h"
#include "lutra/runtime/error.h"
#include "runtime/base/regular_file.h"

namespace lutra::tools {
namespace {

// Both types of values have four bytes.
constexpr size_t kValueBytes = 4;

template <typename T>
void Store(T value, size_t index, std::span<std::byte> bytes) {
  static_assert(sizeof(T) == kValueBytes);
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

std::string FirstBytes(const std::filesystem::path& path) {
  constexpr uint64_t kMost = 6;
  const FileDescriptor file = OpenForReading(path);
  const uint64_t size = RegularFileSize(file.get(), path.string());
  std::string bytes(static_cast<size_t>(std::min(size, kMost)), '\0');
  ReadAt(file.get(), 0, std::as_writable_bytes(std::span(bytes)),
         path.string());
  return bytes;
}

// An array of any of the formats.
qat::NpyArray ReadArray(const std::filesystem::path& path) {
  const std::string start = FirstBytes(path);
  if (start.empty() || start.starts_with("\x93NUMPY"))
    return qat::ReadNpy(path);
  if (!start.starts_with(std::string_view("\0\0", 2)) &&
      !start.starts_with("\x1f\x8b")) {
    throw Error::InFile(path.string(), "is neither a .npy nor an idx file");
  }
  const qat::IdxArray idx = qat::ReadIdx(path);
  qat::NpyArray array;
  array.type = qat::NpyType::kUInt8;
  array.shape = idx.shape;
  const auto bytes = std::as_bytes(std::span(idx.data));
  array.data.assign(bytes.begin(), bytes.end());
  return array;
}

std::string Shape(std::span<const size_t> shape) {
  const std::vector<int64_t> sizes(shape.begin(), shape.end());
  return ShapeToString(sizes);
}

// Tokens in an array for `value`. Throws Error with the bare cause.
size_t CountTokens(const qat::NpyArray& array, const ValueInfo& value) {
  if (std::equal(array.shape.begin(), array.shape.end(), value.shape.begin(),
                 value.shape.end(), [](size_t a, int64_t b) {
                   return a == static_cast<size_t>(b);
                 })) {
    return 1;
  }
  const size_t elements = array.data.size() / ByteSize(array.type);
  const size_t tokens = array.shape.empty() ? 0 : array.shape[0];
  if (tokens == 0 || elements / tokens != value.ElementCount()) {
    throw Error("shape " + Shape(array.shape) + " does not fit the input '" +
                value.name + "', which takes tokens of shape " +
                ShapeToString(value.shape));
  }
  return tokens;
}

// NumPy's whole numbers are int64 by itself. Throws Error with the bare cause.
std::vector<std::byte> Narrowed(const std::vector<std::byte>& wide) {
  std::vector<std::byte> narrow(wide.size() / sizeof(int64_t) * kValueBytes);
  for (size_t i = 0; i < wide.size() / sizeof(int64_t); ++i) {
    int64_t value;
    std::memcpy(&value, wide.data() + i * sizeof(value), sizeof(value));
    const auto id = static_cast<int32_t>(value);
    if (id != value) {
      throw Error("holds " + std::to_string(value) + ", which is no id");
    }
    Store(id, i, narrow);
  }
  return narrow;
}

}  // namespace

InputData ReadInput(const std::filesystem::path& path, const ValueInfo& value) {
  qat::NpyArray array = ReadArray(path);
  InputData data;
  try {
    data.tokens = CountTokens(array, value);
    const bool ids = value.type == ValueType::kInt32;
    if (array.type == qat::NpyType::kUInt8) {
      data.bytes.resize(array.data.size() * kValueBytes);
      for (size_t i = 0; i < array.data.size(); ++i) {
        const auto byte = std::to_integer<uint8_t>(array.data[i]);
        if (ids) {
          Store(int32_t{byte}, i, data.bytes);
        } else {
          Store(static_cast<float>(byte) / 255.0f, i, data.bytes);
        }
      }
    } else if (ids && array.type == qat::NpyType::kInt64) {
      data.bytes = Narrowed(array.data);
    } else if (array.type ==
               (ids ? qat::NpyType::kInt32 : qat::NpyType::kFloat32)) {
      data.bytes = std::move(array.data);
    } else {
      throw Error("is of type " + std::string(Name(array.type)) +
                  ", but the input '" + value.name + "' takes " +
                  (ids ? "int32 or int64" : "float32"));
    }
  } catch (const Error& error) {
    throw Error::InFile(path.string(), error.what());
  }
  return data;
}

}  // namespace lutra::tools
