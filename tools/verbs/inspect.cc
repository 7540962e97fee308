#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/weights.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/output_file.h"
#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
#include "tools/verbs/inspect_lattice.h"
#include "tools/verbs/inspect_picture.h"
#include "tools/verbs/inspect_source.h"
#include "tools/verbs/inspection.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kInspectExample =
    "Takes any safetensors file; one without a graph is listed, too, and what\n"
    "it lacks is said. Of what import reads (a folder, a GGUF file) it says\n"
    "what import would make of it, before it does.\n"
    "\n"
    "Examples:\n"
    "  lutra inspect packed.safetensors\n"
    "  lutra inspect packed.safetensors --graph\n"
    "  lutra inspect packed.safetensors --graph packed.svg\n"
    "  lutra inspect SmolLM2-135M-Instruct-Q4_1.gguf\n"
    "  lutra inspect gemma-3-4b-it-qat-q4_0-unquantized --lattice\n"
    "  lutra inspect packed.safetensors --json | jq '.tensors[].bytes'";

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
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
  std::cout << Rendered(nodes, format) << "\n";
}

void PrintTensors(const Inspection& inspection, OutputFormat format) {
  Table table({{"tensor", Table::Align::kLeft},
               {"shape", Table::Align::kLeft},
               {"type", Table::Align::kLeft},
               {"scheme", Table::Align::kLeft},
               {"scales", Table::Align::kLeft},
               {"bytes"},
               {"bits/element"},
               {"SQNR dB"},
               {"uses"}});
  for (const TensorLine& line : inspection.tensors) {
    table.AddRow({line.tensor->name, ShapeToString(line.Shape()), line.Type(),
                  line.Scheme(), line.Scales(),
                  WithCommas(line.tensor->data.size()),
                  Fixed(line.BitsPerElement(), 2),
                  line.pack ? Fixed(line.pack->sqnr_db, 2) : "",
                  inspection.model ? std::to_string(line.uses) : "?"});
  }
  std::cout << Rendered(table, format);
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

void PrintChat(const Model& model) {
  const std::optional<ChatData> chat = ReadChatData(model);
  if (!chat) return;
  std::string text;
  for (const auto& [name, source] : chat->templates) {
    text += (text.empty() ? "" : ", ") + OneLine(name) + " (" +
            WithCommas(source.size()) + " bytes)";
  }
  for (const auto& [name, token] : chat->tokens) {
    text += "; " + OneLine(name) + " " + OneLine(token);
  }
  std::cout << "chat template: " << text << "\n";
}

void Print(const Inspection& inspection, bool graph, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    std::cout << ToJson(inspection).Dump(2) << "\n";
    return;
  }
  const SafetensorsFile& file = inspection.file;
  std::cout << "file:    " << OneLine(file.path()) << "\n";
  for (const auto& [key, value] : file.metadata()) {
    if (IsShownElsewhere(key)) continue;
    std::cout << OneLine(key) << ": " << OneLine(value) << "\n";
  }
  if (inspection.model != nullptr) {
    PrintChat(*inspection.model);
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

void Draw(const Inspection& inspection, const std::string& path) {
  const std::string svg = GraphPicture(inspection);
  OutputFile file(path);
  file.Append(svg);
  file.Commit();
  std::cout << OneLine(path) << ": " << inspection.model->graph().nodes.size()
            << " nodes\n";
}

}  // namespace

void AddInspectVerb(CommandLine& line) {
  struct Options {
    std::string model;
    std::string picture;
    Option graph;
    bool lattice = false;
    size_t threads = 0;
    OutputFormat format = OutputFormat::kTable;
  };
  auto options = std::make_shared<Options>();
  Verb inspect =
      line.AddVerb("inspect", "Show a model's graph, tensors and sizes");
  inspect.Footer(kInspectExample);
  inspect
      .Add("MODEL", options->model, "A safetensors file, or what import takes")
      .Required();
  options->graph =
      inspect
          .Add("--graph", options->picture,
               "Show every node of the graph, or with a file's name draw it")
          .TypeName("FILE.svg")
          .OptionalValue();
  inspect.AddFlag("--lattice", options->lattice,
                  "Show which float tensors lie on a hidden grid");
  AddThreadsOption(inspect, options->threads);
  AddFormatOptions(inspect, options->format);
  inspect.OnRun([options] {
    if (!options->picture.empty() && !options->picture.ends_with(".svg")) {
      throw UsageError("--graph",
                       "draws a file that ends with .svg; give the "
                       "model before it");
    }
    if (options->lattice) {
      PrintLattices(options->model, options->threads, options->format);
      return;
    }
    if (IsSource(options->model)) {
      PrintSource(options->model, options->format);
      return;
    }
    const Inspection inspection = Inspect(options->model);
    if (!options->picture.empty()) {
      return Draw(inspection, options->picture);
    }
    Print(inspection, options->graph.Given(), options->format);
  });
}

}  // namespace lutra::tools
