#include "tests/golden_replay/npy_array.h"

#include <cstdint>
#include <cstring>

#include "lutra/qat/npy.h"

namespace lutra::golden {
namespace {

template <typename T>
std::vector<double> Numbers(const std::vector<std::byte>& bytes) {
  std::vector<double> values;
  for (size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    values.push_back(static_cast<double>(value));
  }
  return values;
}

std::vector<double> Numbers(const qat::NpyArray& array) {
  switch (array.type) {
    case qat::NpyType::kFloat32:
      return Numbers<float>(array.data);
    case qat::NpyType::kInt32:
      return Numbers<int32_t>(array.data);
    case qat::NpyType::kInt64:
      return Numbers<int64_t>(array.data);
    case qat::NpyType::kInt8:
      return Numbers<int8_t>(array.data);
    case qat::NpyType::kUInt8:
      break;
  }
  return Numbers<uint8_t>(array.data);
}

}  // namespace

NpyArray ReadNpyArray(const std::filesystem::path& path) {
  const qat::NpyArray array = qat::ReadNpy(path);
  return {array.shape, Numbers(array)};
}

}  // namespace lutra::golden
