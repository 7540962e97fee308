#include "packer/export/packed_layout.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace lutra::packer {
namespace {

using nlohmann::json;

std::string Stem(const std::string& name) {
  return name.ends_with(kWeightEnding)
             ? name.substr(0, name.size() - kWeightEnding.size())
             : name;
}

void DescribeCompressedTensors(const PackedDescription& weights, json& config) {
  std::map<std::pair<size_t, size_t>, json> forms;
  for (const auto& [name, layout] : weights.packed) {
    forms[{layout->bits(), layout->group_size()}].push_back(Stem(name));
  }
  json groups = json::object();
  for (auto& [form, modules] : forms) {
    const auto& [bits, group_size] = form;
    json numbers = {{"num_bits", bits},
                    {"type", "int"},
                    {"symmetric", true},
                    {"dynamic", false},
                    {"strategy", group_size == 0 ? "channel" : "group"},
                    {"group_size", nullptr}};
    if (group_size != 0) numbers["group_size"] = group_size;
    groups["group_" + std::to_string(groups.size())] = {
        {"targets", std::move(modules)},
        {"weights", std::move(numbers)},
        {"input_activations", nullptr},
        {"output_activations", nullptr}};
  }
  json ignore = json::array();
  for (const std::string& name : weights.floats) ignore.push_back(Stem(name));
  config["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                   {"format", "pack-quantized"},
                                   {"quantization_status", "compressed"},
                                   {"config_groups", std::move(groups)},
                                   {"ignore", std::move(ignore)}};
}

// The tensors say how they are quantized; this is what the library wants to be
// told, of one of them.
void DescribeTorchao(const PackedDescription& weights, json& config) {
  const PackedLayout& any = *weights.packed.begin()->second;
  json granularity = {{"_type", "PerAxis"}, {"_version", 1}};
  granularity["_data"]["axis"] = 0;
  if (any.group_size() != 0) {
    granularity = {{"_type", "PerGroup"}, {"_version", 1}};
    granularity["_data"]["group_size"] = any.group_size();
  }
  const auto named = [](const char* type, const json& data) -> json {
    return {{"_type", type}, {"_data", data}};
  };
  const json data = {
      {"granularity", std::move(granularity)},
      {"intx_choose_qparams_algorithm",
       named("IntxChooseQParamsAlgorithm", "AFFINE")},
      {"intx_packing_format", named("IntxPackingFormat", "UNPACKED_TO_INT8")},
      {"mapping_type", named("MappingType", "SYMMETRIC")},
      {"scale_dtype", nullptr},
      {"weight_dtype",
       named("torch.dtype", "int" + std::to_string(any.bits()))}};
  json type = named("IntxWeightOnlyConfig", data);
  type["_version"] = 2;
  json untouched = json::array();
  for (const std::string& name : weights.floats) {
    untouched.push_back(Stem(name));
  }
  config["quantization_config"] = {
      {"quant_method", "torchao"},
      {"include_input_output_embeddings", false},
      {"untie_embedding_weights", false},
      {"modules_to_not_convert", std::move(untouched)}};
  config["quantization_config"]["quant_type"]["default"] = std::move(type);
}

void DescribeMlx(const PackedDescription& weights, json& config) {
  // What most have, and what others have in its place.
  std::map<std::pair<size_t, size_t>, size_t> counts;
  std::pair<size_t, size_t> common;
  for (const auto& [name, layout] : weights.packed) {
    const std::pair form(layout->bits(), layout->group_size());
    if (++counts[form] > counts[common]) common = form;
  }
  json quantization = {{"bits", common.first},
                       {"group_size", common.second},
                       {"mode", "affine"}};
  for (const auto& [name, layout] : weights.packed) {
    if (std::pair(layout->bits(), layout->group_size()) == common) continue;
    quantization[Stem(name)] = {{"bits", layout->bits()},
                                {"group_size", layout->group_size()}};
  }
  for (const std::string& name : weights.floats) {
    quantization[Stem(name)] = false;
  }
  config["quantization"] = quantization;
  config["quantization_config"] = std::move(quantization);
}

}  // namespace

std::unique_ptr<PackedLayout> PackedLayout::Find(ExportLayout layout,
                                                 const Model& model,
                                                 const ExportTensor& tensor) {
  switch (layout) {
    case ExportLayout::kFloat:
      break;
    case ExportLayout::kCompressedTensors:
      return FindCompressedTensorsLayout(model, tensor);
    case ExportLayout::kTorchao:
      return FindTorchaoLayout(model, tensor);
    case ExportLayout::kMlx:
      return FindMlxLayout(model, tensor);
  }
  return nullptr;
}

void DescribeInConfig(ExportLayout layout, const PackedDescription& weights,
                      json& config) {
  if (weights.packed.empty()) return;
  switch (layout) {
    case ExportLayout::kFloat:
      break;
    case ExportLayout::kCompressedTensors:
      return DescribeCompressedTensors(weights, config);
    case ExportLayout::kTorchao:
      return DescribeTorchao(weights, config);
    case ExportLayout::kMlx:
      return DescribeMlx(weights, config);
  }
}

std::map<std::string, std::string> DescribeInMetadata(
    ExportLayout layout, const PackedDescription& weights) {
  std::map<std::string, std::string> metadata = {
      {"format", layout == ExportLayout::kMlx ? "mlx" : "pt"}};
  if (layout != ExportLayout::kTorchao || weights.packed.empty()) {
    return metadata;
  }
  const auto dtype = [](const std::string& name) -> json {
    return {{"_type", "torch.dtype"}, {"_data", name}};
  };
  for (const std::string& name : weights.names) {
    json entry = {{"_type", "Tensor"}};
    const auto packed = weights.packed.find(name);
    if (packed != weights.packed.end()) {
      const PackedLayout& layout_of = *packed->second;
      json data = {
          {"target_dtype", dtype("int" + std::to_string(layout_of.bits()))},
          {"block_size", json::array({1, layout_of.GroupColumns()})},
          {"dtype", dtype("float32")},
          {"activation_quantization", nullptr}};
      entry = {{"_type", "IntxUnpackedToInt8Tensor"},
               {"_data", std::move(data)},
               {"_tensor_data_names",
                json::array({"qdata", "scale", "zero_point"})}};
    }
    metadata[name] = entry.dump();
  }
  metadata["tensor_names"] = json(weights.names).dump();
  return metadata;
}

}  // namespace lutra::packer
