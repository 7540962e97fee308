#ifndef LUTRA_TESTS_GOLDEN_REPLAY_GOLDEN_FILE_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_GOLDEN_FILE_H_

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/json.h"

namespace lutra::golden {

// A safetensors file with recorded values.
class GoldenFile {
 public:
  // Throws lutra::Error.
  static GoldenFile Open(const std::filesystem::path& path);

  std::string name() const;  // without the folder
  // The metadata "golden" as JSON, null if the file has none.
  const nlohmann::json& description() const { return document_.root(); }
  const SafetensorsFile& file() const { return file_; }

  bool Has(const std::string& tensor) const {
    return file_.Find(tensor) != nullptr;
  }
  const std::vector<int64_t>& Shape(const std::string& tensor) const {
    return file_.Get(tensor).shape;
  }
  // Size of one dimension; throws lutra::Error if there are fewer or it is 0:
  // an empty tensor proves nothing.
  size_t Dimension(const std::string& tensor, size_t index) const;

  // The elements of a tensor of dtype T, copied: golden files do not align
  // their data. Throws lutra::Error for another dtype.
  template <typename T>
  std::vector<T> Load(const std::string& tensor) const;

 private:
  explicit GoldenFile(SafetensorsFile file) : file_(std::move(file)) {}

  SafetensorsFile file_;
  JsonDocument document_;
};

// The files of a folder whose names end in ".safetensors", sorted by name.
// Throws lutra::Error.
std::vector<std::filesystem::path> SafetensorsIn(
    const std::filesystem::path& folder);

template <typename T>
constexpr DType DTypeOf() {
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::kInt64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::kInt32;
  if constexpr (std::is_same_v<T, uint32_t>) return DType::kUInt32;
  if constexpr (std::is_same_v<T, int8_t>) return DType::kInt8;
  return DType::kUInt8;
}

template <typename T>
std::vector<T> GoldenFile::Load(const std::string& tensor) const {
  const TensorView& view = file_.Get(tensor);
  if (view.dtype != DTypeOf<T>()) {
    throw Error::InTensor(file_.path(), tensor,
                          "is of type " + std::string(Name(view.dtype)) +
                              " instead of " + std::string(Name(DTypeOf<T>())));
  }
  std::vector<T> values(view.ElementCount());
  if (!values.empty()) {
    std::memcpy(values.data(), view.data.data(), values.size() * sizeof(T));
  }
  return values;
}

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_GOLDEN_FILE_H_
