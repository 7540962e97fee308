// Safetensors of any layers, with a graph as docs/model_file.md describes it.

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/batch_norm.h"
#include "packer/import/checkpoint.h"
#include "packer/import/import_plan.h"
#include "packer/import/recovery.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/system_error.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

// The one safetensors file of the folder.
fs::path FindWeights(const fs::path& source) {
  std::error_code error;
  if (!fs::is_directory(source, error)) return source;
  fs::path found;
  const int failure = ForEachEntry(source, [&](std::string_view name) {
    fs::path file = source / name;
    if (file.extension() != ".safetensors") return;
    if (!found.empty()) {
      throw Error::InFile(source.string(),
                          "holds several safetensors files; name one");
    }
    found = std::move(file);
  });
  if (failure != 0) throw SystemError(source.string(), "cannot read", failure);
  if (found.empty()) {
    throw Error::InFile(source.string(), "holds no safetensors file");
  }
  return found;
}

// Tensors of the graph, and whether each may be packed or stay 16-bit.
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

// Lets the layer make what the batch normalization after it made.
void Fold(const FoldedNode& folded, ImportPlan& plan) {
  Node& node = plan.graph.nodes[folded.node];
  const auto find = [&](const std::string& name) {
    return std::find_if(
        plan.tensors.begin(), plan.tensors.end(),
        [&](const ImportTensor& tensor) { return tensor.info.name == name; });
  };
  const auto change = [](ImportTensor& tensor,
                         std::function<void(std::span<float>)> scale) {
    tensor.read = [read = std::move(tensor.read),
                   scale = std::move(scale)](std::vector<std::byte>& buffer) {
      const auto bytes = read(buffer);
      if (bytes.data() != buffer.data()) {
        buffer.assign(bytes.begin(), bytes.end());
      }
      scale({reinterpret_cast<float*>(buffer.data()),
             buffer.size() / sizeof(float)});
      return std::span<const std::byte>(buffer);
    };
  };
  const ChannelAffine& affine = folded.affine;
  change(*find(node.weight), [affine, op = node.op](std::span<float> weights) {
    if (op == OpType::kDepthwiseConv2d) {
      affine.ScaleColumns(weights);
    } else {
      affine.ScaleRows(weights);
    }
  });
  if (node.bias.empty()) {
    node.bias = node.weight + ".batch_norm";
    const size_t channels = affine.offset.size();
    plan.tensors.push_back(
        MakeTensor(node.bias, {static_cast<int64_t>(channels)},
                   [channels] { return std::vector<float>(channels); }));
  }
  change(*find(node.bias),
         [affine](std::span<float> bias) { affine.Apply(bias); });
}

}  // namespace

ImportPlan PlanGraph(const ImportOptions& options) {
  const fs::path weights = FindWeights(options.source);
  fs::path graph = options.graph;
  if (graph.empty()) graph = options.source / kGraphFile;
  std::string text(MappedFile(graph).text());
  const std::vector<BatchNormNode> norms = TakeBatchNorms(text, graph.string());
  ImportPlan plan;
  plan.architecture = "graph";
  plan.graph = ParseGraph(text, graph.string());
  const auto file =
      std::make_shared<const SafetensorsFile>(SafetensorsFile::Open(weights));
  const std::vector<FoldedNode> folded =
      PlanFolding(norms, plan.graph, *file, graph.string());
  std::map<std::string, bool> used = UsedTensors(plan.graph);
  for (const FoldedNode& fold : folded) {
    used[plan.graph.nodes[fold.node].weight] = false;  // the values change
  }
  Recovery recovery(options);
  for (const auto& [name, packable] : used) {
    const TensorView& view = file->Get(name);
    if (options.recover && packable && MayHaveGrid(view.dtype)) {
      std::string reason;
      const StoredWeight* weight = recovery.Find({view, file->path(), file},
                                                 /*transposed=*/false, reason);
      if (weight != nullptr) {
        plan.tensors.push_back(HeldTensor(name, *weight, false));
        continue;
      }
      plan.floats.push_back({name, name, reason});
    }
    plan.tensors.push_back(CopyTensor(name, view, options.float32 || !packable,
                                      file->path(), file));
  }
  for (const FoldedNode& fold : folded) Fold(fold, plan);
  return plan;
}

}  // namespace lutra::packer
