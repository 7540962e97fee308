#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/model.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kExample =
    "Takes any safetensors file; one without a graph is listed, too, and what\n"
    "it lacks is said.\n"
    "\n"
    "Examples:\n"
    "  lutra inspect packed.safetensors\n"
    "  lutra inspect packed.safetensors --graph\n"
    "  lutra inspect packed.safetensors --json | jq '.tensors[].bytes'";

// A tensor of the file, with what lutra knows about it.
struct TensorLine {
  const TensorView* tensor = nullptr;
  std::optional<packer::Weight> weight;    // of nodes that can be packed
  std::optional<qat::QuantScheme> scheme;  // as recorded
  std::optional<packer::PackRecord> pack;  // likewise
  size_t uses = 0;                         // nodes that refer to it

  // Shape of what it stands for: a packed weight's bytes stand for a matrix.
  std::vector<int64_t> Shape() const {
    if (!weight.has_value()) return tensor->shape;
    return {weight->n, weight->k};
  }
  double BitsPerElement() const {
    if (weight.has_value()) return weight->BitsPerWeight();
    return 8.0 * static_cast<double>(ByteSize(tensor->dtype));
  }
  bool Packed() const { return weight.has_value() && weight->packed; }
  std::string Type() const;
  std::string Scheme() const;
};

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

// Entries of a packed weight's table, if it has one for all rows.
std::vector<int> TableEntries(const kernels::LutMatrix& matrix) {
  if (matrix.table == nullptr) return {};
  return std::vector<int>(matrix.table,
                          matrix.table + matrix.format.TableEntries());
}

struct Inspection {
  SafetensorsFile file;
  std::shared_ptr<const Model> model;  // null: there is no graph
  std::vector<TensorLine> tensors;
};

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
    if (line.Packed() && record != records.end()) line.pack = record->second;
    line.uses = uses[tensor.name];
    result.tensors.push_back(std::move(line));
  }
  return result;
}

std::string_view Name(ValueType type) {
  return type == ValueType::kFloat32 ? "float32" : "int32";
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

ordered_json ToJson(const ValueInfo& value) {
  return {
      {"name", value.name}, {"type", Name(value.type)}, {"shape", value.shape}};
}

// As in the file, with the shapes of the outputs.
ordered_json NodesToJson(const Model& model) {
  ordered_json nodes = ordered_json::parse(GraphToJson(model.graph()))["nodes"];
  for (ordered_json& node : nodes) {
    node["shape"] = model.value(node["output"].get<std::string>()).shape;
  }
  return nodes;
}

// Metadata that is shown in another form.
bool IsShownElsewhere(std::string_view key) {
  return key == kGraphKey || key == kSchemesKey || key == packer::kPackKey;
}

ordered_json ToJson(const TensorLine& line, bool has_graph) {
  ordered_json json = {{"name", line.tensor->name},
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
  }
  if (line.pack) {
    const double sqnr = line.pack->sqnr_db;
    json["method"] = line.pack->method;
    json["lossless"] = line.pack->max_error == 0;
    // JSON has no infinity.
    json["sqnr_db"] =
        std::isfinite(sqnr) ? ordered_json(sqnr) : ordered_json(nullptr);
    json["max_error"] = line.pack->max_error;
  }
  return json;
}

ordered_json ToJson(const Inspection& inspection) {
  const SafetensorsFile& file = inspection.file;
  const bool has_graph = inspection.model != nullptr;
  ordered_json json;
  json["file"] = file.path();
  json["file_bytes"] = file.byte_size();
  ordered_json metadata = ordered_json::object();
  for (const auto& [key, value] : file.metadata()) {
    if (!IsShownElsewhere(key)) metadata[key] = value;
  }
  json["metadata"] = metadata;
  json["runnable"] = has_graph;
  if (has_graph) {
    const Model& model = *inspection.model;
    for (const ValueInfo& value : model.inputs()) {
      json["inputs"].push_back(ToJson(value));
    }
    for (const ValueInfo& value : model.outputs()) {
      json["outputs"].push_back(ToJson(value));
    }
    json["nodes"] = NodesToJson(model);
    const packer::WeightTotals totals = packer::Total(packer::Weights(model));
    json["weights"] = totals.elements;
    json["weight_bytes"] = totals.bytes;
    json["bits_per_weight"] = totals.BitsPerWeight();
  }
  json["tensors"] = ordered_json::array();
  for (const TensorLine& line : inspection.tensors) {
    json["tensors"].push_back(ToJson(line, has_graph));
  }
  return json;
}

std::string Describe(const std::vector<ValueInfo>& values) {
  std::vector<std::string> words;
  for (const ValueInfo& value : values) {
    words.push_back(value.name + " " + std::string(Name(value.type)) +
                    ShapeToString(value.shape));
  }
  return Join(words);
}

// "5 nodes: 3 linear, 2 relu".
std::string Summary(const Graph& graph) {
  std::map<std::string_view, size_t> counts;
  for (const Node& node : graph.nodes) ++counts[Name(node.op)];
  std::vector<std::string> words;
  for (const auto& [op, count] : counts) {
    words.push_back(std::to_string(count) + ' ' + std::string(op));
  }
  return std::to_string(graph.nodes.size()) + " nodes: " + Join(words);
}

void PrintOverview(const Model& model) {
  std::cout << "inputs:  " << OneLine(Describe(model.inputs())) << "\n"
            << "outputs: " << OneLine(Describe(model.outputs())) << "\n"
            << "graph:   " << Summary(model.graph()) << "\n\n";
}

void PrintGraph(const Model& model, OutputFormat format) {
  Table nodes({{"node", Table::Align::kRight},
               {"operator", Table::Align::kLeft},
               {"inputs", Table::Align::kLeft},
               {"output", Table::Align::kLeft},
               {"shape", Table::Align::kLeft},
               {"weight", Table::Align::kLeft},
               {"bias", Table::Align::kLeft}});
  size_t index = 0;
  for (const Node& node : model.graph().nodes) {
    nodes.AddRow({std::to_string(index++), std::string(Name(node.op)),
                  Join(node.inputs), node.output,
                  ShapeToString(model.value(node.output).shape), node.weight,
                  node.bias});
  }
  std::cout << (format == OutputFormat::kTable ? nodes.Text()
                                               : nodes.Markdown())
            << "\n";
}

void PrintTensors(const Inspection& inspection, OutputFormat format) {
  Table table({{"tensor", Table::Align::kLeft},
               {"shape", Table::Align::kLeft},
               {"type", Table::Align::kLeft},
               {"scheme", Table::Align::kLeft},
               {"bytes"},
               {"bits/element"},
               {"SQNR dB"},
               {"uses"}});
  for (const TensorLine& line : inspection.tensors) {
    table.AddRow({line.tensor->name, ShapeToString(line.Shape()), line.Type(),
                  line.Scheme(), WithCommas(line.tensor->data.size()),
                  Fixed(line.BitsPerElement(), 2),
                  line.pack ? Fixed(line.pack->sqnr_db, 2) : "",
                  inspection.model ? std::to_string(line.uses) : "?"});
  }
  std::cout << (format == OutputFormat::kTable ? table.Text()
                                               : table.Markdown());
}

void PrintTotals(const Inspection& inspection) {
  const SafetensorsFile& file = inspection.file;
  size_t tensor_bytes = 0;
  for (const TensorView& tensor : file.tensors()) {
    tensor_bytes += tensor.data.size();
  }
  std::cout << "\n";
  if (inspection.model != nullptr) {
    const packer::WeightTotals totals =
        packer::Total(packer::Weights(*inspection.model));
    std::cout << "weights: " << WithCommas(totals.elements) << " in "
              << WithCommas(totals.bytes) << " bytes, "
              << Fixed(totals.BitsPerWeight(), 2) << " bits per weight\n";
  }
  std::cout << "tensors: " << file.tensors().size() << " in "
            << WithCommas(tensor_bytes) << " bytes\n"
            << "file:    " << WithCommas(file.byte_size()) << " bytes ("
            << Bytes(file.byte_size()) << ")\n";
}

void Print(const Inspection& inspection, bool graph, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(inspection).dump(2) << "\n";
    return;
  }
  const SafetensorsFile& file = inspection.file;
  std::cout << "file:    " << OneLine(file.path()) << "\n";
  for (const auto& [key, value] : file.metadata()) {
    if (IsShownElsewhere(key)) continue;
    std::cout << OneLine(key) << ": " << OneLine(value) << "\n";
  }
  if (inspection.model != nullptr) {
    PrintOverview(*inspection.model);
    if (graph) PrintGraph(*inspection.model, format);
  }
  PrintTensors(inspection, format);
  PrintTotals(inspection);
  if (inspection.model == nullptr) {
    std::cout << "\nThe file has no graph (metadata '" << kGraphKey
              << "'), so lutra can list its tensors but not run or pack it.\n";
  }
}

}  // namespace

void AddInspectVerb(CLI::App& app) {
  struct Options {
    std::string model;
    bool graph = false;
    OutputFormat format = OutputFormat::kTable;
  };
  auto options = std::make_shared<Options>();
  CLI::App* inspect =
      app.add_subcommand("inspect", "Show a model's graph, tensors and sizes");
  inspect->footer(kExample);
  inspect->add_option("MODEL", options->model, "A safetensors file")
      ->required();
  inspect->add_flag("--graph", options->graph, "Show every node of the graph");
  AddFormatOptions(*inspect, options->format);
  inspect->callback([options] {
    Print(Inspect(options->model), options->graph, options->format);
  });
}

}  // namespace lutra::tools
