#ifndef LUTRA_TOOLS_CLI_NPY_H_
#define LUTRA_TOOLS_CLI_NPY_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Arrays in NumPy's .npy files
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html),
// versions 1.0 and 2.0, little-endian, C order.

namespace lutra::tools {

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
void WriteNpy(const std::filesystem::path& path, std::span<const size_t> shape,
              std::span<const float> data);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_NPY_H_
