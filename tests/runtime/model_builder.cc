#include "tests/runtime/model_builder.h"

#include <random>

#include "lutra/runtime/model.h"

namespace lutra {

std::vector<float> RandomFloats(size_t count, uint32_t seed, float deviation) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(rng);
  return values;
}

ModelBuilder& ModelBuilder::Input(std::string name, std::vector<int64_t> shape,
                                  ValueType type) {
  graph_.inputs.push_back({std::move(name), type, std::move(shape)});
  return *this;
}

ModelBuilder& ModelBuilder::Add(OpType op, std::vector<std::string> inputs,
                                std::string output, std::string weight,
                                std::string bias) {
  graph_.nodes.push_back({op, std::move(inputs), std::move(output),
                          std::move(weight), std::move(bias)});
  return *this;
}

ModelBuilder& ModelBuilder::Set(std::string name, Attribute value) {
  graph_.nodes.back().attributes.insert_or_assign(std::move(name),
                                                  std::move(value));
  return *this;
}

ModelBuilder& ModelBuilder::Output(std::string name) {
  graph_.outputs.push_back(std::move(name));
  return *this;
}

ModelBuilder& ModelBuilder::Floats(std::string name, std::vector<int64_t> shape,
                                   std::span<const float> values) {
  return Tensor(std::move(name), DType::kFloat32, std::move(shape),
                std::as_bytes(values));
}

ModelBuilder& ModelBuilder::Packed(std::string name,
                                   std::span<const uint8_t> blob) {
  return Tensor(std::move(name), DType::kUInt8,
                {static_cast<int64_t>(blob.size())}, std::as_bytes(blob));
}

ModelBuilder& ModelBuilder::Tensor(std::string name, DType dtype,
                                   std::vector<int64_t> shape,
                                   std::span<const std::byte> data) {
  data_[name].assign(data.begin(), data.end());
  std::erase_if(tensors_, [&](const TensorInfo& t) { return t.name == name; });
  tensors_.push_back({std::move(name), dtype, std::move(shape)});
  return *this;
}

ModelBuilder& ModelBuilder::Metadata(std::string_view key, std::string value) {
  metadata_[std::string(key)] = std::move(value);
  return *this;
}

ModelBuilder& ModelBuilder::NoMetadata(std::string_view key) {
  no_metadata_.emplace_back(key);
  return *this;
}

void ModelBuilder::Write(const std::filesystem::path& path) const {
  auto metadata = metadata_;
  metadata.emplace(kVersionKey, std::to_string(kModelVersion));
  metadata.emplace(kGraphKey, GraphToJson(graph_));
  for (const std::string& key : no_metadata_) metadata.erase(key);
  SafetensorsWriter writer(path, metadata, tensors_);
  for (const auto& [name, data] : data_) writer.Write(name, data);
  writer.Commit();
}

}  // namespace lutra
