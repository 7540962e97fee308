#include "tests/golden_replay/unpack.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/error.h"

namespace lutra::golden {

std::vector<float> Unpack(const packer::StoredWeight& weight,
                          const packer::Holding& holding) {
  struct alignas(kernels::kBlobAlignment) Line {
    std::byte bytes[kernels::kBlobAlignment];
  };
  std::vector<Line> blob(kernels::BlobBytes(holding.format) / sizeof(Line));
  packer::WriteBlob(
      weight, holding, [&](size_t offset, std::span<const std::byte> part) {
        std::copy(part.begin(), part.end(), blob.data()->bytes + offset);
      });
  kernels::LutMatrix matrix;
  const auto* bytes = reinterpret_cast<const uint8_t*>(blob.data());
  const char* cause =
      kernels::ParseLutMatrix(bytes, blob.size() * sizeof(Line), &matrix);
  if (cause != nullptr) throw Error(cause);
  if (!kernels::ChecksumMatches(matrix)) throw Error("checksum is wrong");
  std::vector<float> values(weight.rows * weight.columns);
  for (size_t r = 0; r < weight.rows; ++r) {
    kernels::DequantizeRow(matrix, static_cast<uint32_t>(r),
                           values.data() + r * weight.columns);
  }
  return values;
}

}  // namespace lutra::golden
