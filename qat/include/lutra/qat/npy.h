#ifndef LUTRA_QAT_NPY_H_
#define LUTRA_QAT_NPY_H_

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"

// Arrays in NumPy's .npy files
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html),
// versions 1.0 and 2.0, little-endian, C order.

namespace lutra::qat {

enum class NpyType { kFloat32, kInt32, kInt64, kInt8, kUInt8 };

size_t ByteSize(NpyType type);
// NumPy's name, e.g. "float32".
std::string_view Name(NpyType type);

struct NpyArray {
  NpyType type = NpyType::kFloat32;
  std::vector<size_t> shape;    // [] for a scalar
  std::vector<std::byte> data;  // as many elements as the product of the shape
};

// Throws lutra::Error for other types, Fortran order, and files whose size is
// not what the header says.
NpyArray ReadNpy(const std::filesystem::path& path);

// Writes float32 (version 1.0); the file appears under its name when it is
// complete. `data` has as many elements as the product of the shape. Throws
// lutra::Error.
void WriteNpy(const std::filesystem::path& path, Span<const size_t> shape,
              Span<const float> data);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_NPY_H_
