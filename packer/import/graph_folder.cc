// Safetensors of any layers, with a graph as docs/model_file.md describes it.

#include <map>

#include "lutra/runtime/error.h"
#include "packer/import/import_plan.h"
#include "runtime/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

// The one safetensors file of the folder.
fs::path FindWeights(const fs::path& source) {
  std::error_code error;
  if (!fs::is_directory(source, error)) return source;
  fs::path found;
  for (fs::directory_iterator entry(source, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".safetensors") continue;
    if (!found.empty()) {
      throw Error::InFile(source.string(),
                          "holds several safetensors files; name one");
    }
    found = entry->path();
  }
  if (found.empty()) {
    throw Error::InFile(source.string(), "holds no safetensors file");
  }
  return found;
}

// Tensors of the graph, and whether each may stay 16-bit.
std::map<std::string, bool> UsedTensors(const Graph& graph) {
  std::map<std::string, bool> used;
  for (const Node& node : graph.nodes) {
    if (!node.bias.empty()) used[node.bias] = false;
    if (node.weight.empty()) continue;
    const auto [entry, fresh] = used.emplace(node.weight, IsPackable(node.op));
    if (!fresh) entry->second = entry->second && IsPackable(node.op);
  }
  return used;
}

}  // namespace

ImportPlan PlanGraph(const ImportOptions& options) {
  const fs::path weights = FindWeights(options.source);
  fs::path graph = options.graph;
  if (graph.empty()) graph = options.source / kGraphFile;
  const MappedFile graph_file(graph);
  ImportPlan plan;
  plan.architecture = "graph";
  plan.graph = ParseGraph(graph_file.text(), graph.string());
  const auto file =
      std::make_shared<const SafetensorsFile>(SafetensorsFile::Open(weights));
  for (const auto& [name, may_be_half] : UsedTensors(plan.graph)) {
    plan.tensors.push_back(CopyTensor(name, file->Get(name),
                                      options.float32 || !may_be_half,
                                      file->path(), file));
  }
  return plan;
}

}  // namespace lutra::packer
