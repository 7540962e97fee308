#ifndef LUTRA_TESTS_RUNTIME_MODEL_BUILDER_H_
#define LUTRA_TESTS_RUNTIME_MODEL_BUILDER_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/graph.h"
#include "lutra/runtime/safetensors.h"

namespace lutra {

// `count` normal numbers, the same for the same seed.
std::vector<float> RandomFloats(size_t count, uint32_t seed,
                                float deviation = 1.0f);

// Writes small model files, also wrong ones: nothing is checked here.
class ModelBuilder {
 public:
  ModelBuilder& Input(std::string name, std::vector<int64_t> shape,
                      ValueType type = ValueType::kFloat32);
  ModelBuilder& Add(OpType op, std::vector<std::string> inputs,
                    std::string output, std::string weight = "",
                    std::string bias = "");
  // An attribute of the node that was added last.
  ModelBuilder& Set(std::string name, Attribute value);
  ModelBuilder& Output(std::string name);

  // A tensor of the same name is replaced.
  ModelBuilder& Floats(std::string name, std::vector<int64_t> shape,
                       std::span<const float> values);
  // `blob` as kernels::PackLutMatrix makes it.
  ModelBuilder& Packed(std::string name, std::span<const uint8_t> blob);
  ModelBuilder& Tensor(std::string name, DType dtype,
                       std::vector<int64_t> shape,
                       std::span<const std::byte> data);

  // Replaces what would be written under a metadata key, e.g. the graph.
  ModelBuilder& Metadata(std::string_view key, std::string value);
  ModelBuilder& NoMetadata(std::string_view key);

  // Throws Error.
  void Write(const std::filesystem::path& path) const;

 private:
  Graph graph_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::vector<std::byte>> data_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> no_metadata_;
};

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_MODEL_BUILDER_H_
