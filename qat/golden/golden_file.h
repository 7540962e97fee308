#ifndef LUTRA_QAT_GOLDEN_GOLDEN_FILE_H_
#define LUTRA_QAT_GOLDEN_GOLDEN_FILE_H_

#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/qat/golden.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "qat/golden/comparison.h"

namespace lutra::qat {

// A golden file: its tensors, and its metadata "golden" as JSON.
class GoldenFile {
 public:
  // Throws lutra::Error.
  static GoldenFile Open(const std::filesystem::path& path);

  std::string name() const;  // without the folder
  std::filesystem::path folder() const;
  const nlohmann::json& description() const { return description_; }
  const SafetensorsFile& file() const { return file_; }

  bool Has(const std::string& tensor) const {
    return file_.Find(tensor) != nullptr;
  }
  const std::vector<int64_t>& Shape(const std::string& tensor) const {
    return file_.Get(tensor).shape;
  }
  // Size of one dimension; throws lutra::Error if there are fewer.
  size_t Dimension(const std::string& tensor, size_t index) const;

  // The elements of a tensor of dtype T, copied: golden files do not align
  // their data. Throws lutra::Error for another dtype.
  template <typename T>
  std::vector<T> Load(const std::string& tensor) const;

 private:
  explicit GoldenFile(SafetensorsFile file) : file_(std::move(file)) {}

  SafetensorsFile file_;
  nlohmann::json description_;
};

// Replays the cases of a file by `replay`, which gets the case's JSON and
// compares; anything it throws fails that case.
void ForCases(
    const GoldenFile& file, const char* name_key,
    const std::function<void(const nlohmann::json&, Comparison&)>& replay,
    std::vector<GoldenResult>& results);
// One case that no list names.
void RunCase(const GoldenFile& file, const std::string& name,
             const std::function<void(Comparison&)>& replay,
             std::vector<GoldenResult>& results);

template <typename T>
constexpr DType DTypeOf() {
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::kInt64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::kInt32;
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

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GOLDEN_GOLDEN_FILE_H_
