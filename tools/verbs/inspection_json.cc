#include "tools/verbs/inspection.h"

namespace lutra::tools {
namespace {

// Entries of a packed weight's table, if it has one for all rows.
std::vector<int> TableEntries(const kernels::LutMatrix& matrix) {
  if (matrix.table == nullptr) return {};
  return std::vector<int>(matrix.table,
                          matrix.table + matrix.format.TableEntries());
}

Json ToJson(const ValueInfo& value) {
  return {
      {"name", value.name}, {"type", Name(value.type)}, {"shape", value.shape}};
}

// As in the file, with the shapes of the outputs.
Json NodesToJson(const Model& model) {
  Json nodes = Json::Parse(GraphToJson(model.graph()))["nodes"];
  for (Json& node : nodes.items()) {
    node["shape"] = model.value(*node["output"].AsString()).shape;
  }
  return nodes;
}

Json ToJson(const TensorLine& line, bool has_graph) {
  Json json = {{"name", line.tensor->name},
               {"dtype", Name(line.tensor->dtype)},
               {"shape", line.Shape()},
               {"bytes", line.tensor->data.size()},
               {"bits_per_element", line.BitsPerElement()}};
  if (has_graph) json["uses"] = line.uses;
  if (line.scheme.has_value()) {
    json["scheme"] = {{"quantizer", line.scheme->quantizer},
                      {"bits", line.scheme->bits},
                      {"group_size", line.scheme->group_size}};
  }
  json["packed"] = line.Packed();
  if (line.Packed()) {
    const kernels::LutMatrix& matrix = *line.weight->packed;
    json["bits"] = matrix.format.bits;
    json["group_size"] = matrix.format.group_size;
    json["table"] = TableEntries(matrix);
    json["format_version"] = kernels::FormatVersion(matrix.format);
    json["scales"] = line.Scales();
  }
  if (line.pack) {
    json["method"] = line.pack->method;
    json["lossless"] = line.pack->max_error == 0;
    json["sqnr_db"] = line.pack->sqnr_db;  // infinite: null
    json["max_error"] = line.pack->max_error;
  }
  return json;
}

// The templates as they are: a program may want to render them.
Json ToJson(const ChatData& chat) {
  Json json;
  for (const auto& [name, source] : chat.templates) {
    json["templates"].PushBack({{"name", name}, {"template", source}});
  }
  json["tokens"] = Json::Object();
  for (const auto& [name, token] : chat.tokens) json["tokens"][name] = token;
  return json;
}

}  // namespace

Json ToJson(const Inspection& inspection) {
  const SafetensorsFile& file = inspection.file;
  const bool has_graph = inspection.model != nullptr;
  Json json;
  json["file"] = file.path();
  json["file_bytes"] = file.byte_size();
  Json metadata = Json::Object();
  for (const auto& [key, value] : file.metadata()) {
    if (!IsShownElsewhere(key)) metadata[key] = value;
  }
  json["metadata"] = metadata;
  json["runnable"] = has_graph;
  if (has_graph) {
    const Model& model = *inspection.model;
    if (const auto chat = ReadChatData(model)) json["chat"] = ToJson(*chat);
    for (const ValueInfo& value : model.inputs()) {
      json["inputs"].PushBack(ToJson(value));
    }
    for (const ValueInfo& value : model.outputs()) {
      json["outputs"].PushBack(ToJson(value));
    }
    json["nodes"] = NodesToJson(model);
    const packer::WeightTotals totals = packer::Total(packer::Weights(model));
    json["weights"] = totals.elements;
    json["weight_bytes"] = totals.bytes;
    json["bits_per_weight"] = totals.BitsPerWeight();
  }
  json["tensors"] = Json::Array();
  for (const TensorLine& line : inspection.tensors) {
    json["tensors"].PushBack(ToJson(line, has_graph));
  }
  return json;
}

}  // namespace lutra::tools
