#include "tools/verbs/inspection.h"

#include <map>
#include <utility>

namespace lutra::tools {

std::string TensorLine::Type() const {
  if (!Packed()) return std::string(Name(tensor->dtype));
  return std::to_string(weight->packed->format.bits) + "-bit LUT";
}

std::string TensorLine::Scheme() const {
  if (scheme.has_value()) {
    return (Packed() ? "" : "trained: ") + qat::ToString(*scheme);
  }
  if (!Packed()) return "";
  const kernels::LutFormat& format = weight->packed->format;
  return format.group_size >= format.k
             ? "one scale per row"
             : "groups of " + std::to_string(format.group_size);
}

std::string TensorLine::Scales() const {
  if (!Packed()) return "";
  const kernels::LutFormat& format = weight->packed->format;
  std::string text(Name(format.scale_type));
  if (format.super_span != kernels::SuperSpan::kNone) {
    text.append(" times ").append(Name(format.super_type));
    text += format.super_span == kernels::SuperSpan::kRow ? " of the row"
                                                          : " of 256 columns";
  }
  if (format.offset_type != kernels::OffsetType::kNone) {
    text.append(", ").append(Name(StorageOf(format.offset_type)));
    text += " offsets";
  }
  return text;
}

std::string_view Name(kernels::ScaleType type) {
  switch (type) {
    case kernels::ScaleType::kFloat32:
      return "float32";
    case kernels::ScaleType::kBFloat16:
      return "bfloat16";
    case kernels::ScaleType::kFloat16:
      return "float16";
    case kernels::ScaleType::kInt8:
      return "int8";
    case kernels::ScaleType::kUint4:
      return "uint4";
    case kernels::ScaleType::kE8M0:
      return "e8m0";
    case kernels::ScaleType::kE4M3:
      break;
  }
  return "e4m3";
}

Inspection Inspect(const std::string& path) {
  Inspection result{SafetensorsFile::Open(path), nullptr, {}};
  std::map<std::string_view, packer::Weight> weights;
  std::map<std::string_view, size_t> uses;
  qat::SchemeMap schemes;
  std::map<std::string, packer::PackRecord> records;
  const auto& metadata = result.file.metadata();
  if (metadata.contains(std::string(kGraphKey))) {
    result.model = Model::Load(path);
    for (packer::Weight& weight : packer::Weights(*result.model)) {
      const std::string_view name = result.file.Get(weight.name).name;
      weights.emplace(name, std::move(weight));
    }
    for (const Node& node : result.model->graph().nodes) {
      if (!node.weight.empty()) ++uses[node.weight];
      if (!node.bias.empty()) ++uses[node.bias];
    }
    const auto entry = metadata.find(std::string(kSchemesKey));
    if (entry != metadata.end()) {
      schemes = qat::ParseSchemes(entry->second, path);
    }
    const auto note = metadata.find(std::string(packer::kPackKey));
    if (note != metadata.end()) {
      records = packer::ReadPackNote(note->second, path);
    }
  }
  for (const TensorView& tensor : result.file.tensors()) {
    TensorLine line;
    line.tensor = &tensor;
    const auto weight = weights.find(tensor.name);
    if (weight != weights.end()) line.weight = weight->second;
    const auto scheme = schemes.find(tensor.name);
    if (scheme != schemes.end()) line.scheme = scheme->second;
    const auto record = records.find(tensor.name);
    const bool quantized = line.Packed() || (result.model != nullptr &&
                                             result.model->stored(tensor.name));
    if (quantized && record != records.end()) line.pack = record->second;
    line.uses = uses[tensor.name];
    result.tensors.push_back(std::move(line));
  }
  return result;
}

bool IsShownElsewhere(std::string_view key) {
  return key == kGraphKey || key == kSchemesKey || key == packer::kPackKey ||
         key == kChatKey;
}

std::string_view Name(ValueType type) {
  return type == ValueType::kFloat32 ? "float32" : "int32";
}

}  // namespace lutra::tools
