#include "packer/import/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

constexpr std::string_view kBatchNorm = "batch_norm";
constexpr size_t kMaxNodes = 65536;

BatchNormNode ReadNode(const JsonObject& node, std::string& input) {
  node.AllowOnly({"op", "inputs", "output", "weight", "bias", "attributes"});
  const json& inputs = node.List("inputs", 1);
  if (inputs.empty() || !inputs[0].is_string()) {
    node.Fail("'inputs' is not the name of one value");
  }
  input = inputs[0].get<std::string>();
  const JsonObject attributes = node.Object("attributes");
  attributes.AllowOnly({"mean", "variance", "eps"});
  return {.output = node.String("output"),
          .gamma = node.String("weight", ""),
          .beta = node.String("bias", ""),
          .mean = attributes.String("mean"),
          .variance = attributes.String("variance"),
          .eps = attributes.Number("eps", 0, 1)};
}

// The values of a graph's JSON: who makes them, and how many use them.
struct Values {
  explicit Values(json& root) {
    CountUses(root, "outputs");
    for (json& node : root["nodes"]) {
      if (!node.is_object()) continue;
      CountUses(node, "inputs");
      const auto output = node.find("output");
      if (output == node.end() || !output->is_string()) continue;
      makers.emplace(output->get<std::string>(), &node);
    }
  }

  void CountUses(const json& object, const char* list) {
    const auto found = object.find(list);
    if (found == object.end() || !found->is_array()) return;
    for (const json& name : *found) {
      if (name.is_string()) ++uses[name.get<std::string>()];
    }
  }

  // Lets the node that makes `input` make `output`, which nothing else may use.
  void Redirect(const std::string& input, const std::string& output,
                const JsonObject& node) {
    if (uses[input] != 1) {
      node.Fail("its input '" + input + "' is used by others, too");
    }
    const auto maker = makers.find(input);
    if (maker == makers.end()) {
      node.Fail("no node makes its input '" + input + "'");
    }
    json* const target = maker->second;
    (*target)["output"] = output;
    makers.erase(maker);
    makers.emplace(output, target);
  }

  std::map<std::string, json*, std::less<>> makers;
  std::map<std::string, size_t, std::less<>> uses;
};

// A vector with a number for each of `channels`; `fallback` if it has no name.
std::vector<float> ReadChannels(const SafetensorsFile& tensors,
                                const std::string& name, size_t channels,
                                float fallback) {
  std::vector<float> values(channels, fallback);
  if (name.empty()) return values;
  const TensorView& view = tensors.Get(name);
  const int64_t shape[] = {static_cast<int64_t>(channels)};
  CheckShape(view, shape, tensors.path());
  std::vector<std::byte> buffer;
  const auto bytes =
      CopyTensor(name, view, /*float32=*/true, tensors.path(), nullptr)
          .read(buffer);
  ToFloats(DType::kFloat32, bytes, values);
  return values;
}

// Outputs of the layer, each a channel. Checks the shapes that folding needs.
size_t ChannelsOf(const Node& node, const SafetensorsFile& tensors) {
  const TensorView& weight = tensors.Get(node.weight);
  if (weight.shape.size() != 2 || weight.ElementCount() == 0) {
    throw Error::InTensor(
        tensors.path(), node.weight,
        "is of the shape " + ShapeToString(weight.shape) + ", not a matrix");
  }
  const int64_t channels =
      weight.shape[node.op == OpType::kDepthwiseConv2d ? 1 : 0];
  if (!node.bias.empty()) {
    CheckShape(tensors.Get(node.bias), {&channels, 1}, tensors.path());
  }
  return static_cast<size_t>(channels);
}

}  // namespace

void ChannelAffine::ScaleRows(std::span<float> weights) const {
  const size_t k = weights.size() / factor.size();
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(weights[i] * factor[i / k]);
  }
}

void ChannelAffine::ScaleColumns(std::span<float> weights) const {
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(weights[i] * factor[i % factor.size()]);
  }
}

void ChannelAffine::Apply(std::span<float> bias) const {
  for (size_t c = 0; c < bias.size(); ++c) {
    bias[c] = static_cast<float>(bias[c] * factor[c] + offset[c]);
  }
}

ChannelAffine ToAffine(std::span<const float> gamma,
                       std::span<const float> beta, std::span<const float> mean,
                       std::span<const float> variance, double eps) {
  ChannelAffine affine;
  for (size_t c = 0; c < gamma.size(); ++c) {
    if (variance[c] < 0) throw Error("has a negative variance");
    const double factor = double{gamma[c]} / std::sqrt(variance[c] + eps);
    const double offset = double{beta[c]} - mean[c] * factor;
    if (!std::isfinite(factor) || !std::isfinite(offset)) {
      throw Error("has numbers that are not finite");
    }
    affine.factor.push_back(factor);
    affine.offset.push_back(offset);
  }
  return affine;
}

std::vector<BatchNormNode> TakeBatchNorms(std::string& graph,
                                          std::string_view file) {
  JsonDocument document = ParseJson(graph, file, "graph");
  json& root = document.root();
  const JsonObject object(root, file, "graph");
  // A copy, since the root changes below.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const json nodes = object.List("nodes", kMaxNodes);
  const auto is_norm = [](const json& node) {
    return node.is_object() && node.value("op", json()) == kBatchNorm;
  };
  json& rest = root["nodes"];
  rest.clear();
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(rest),
               [&](const json& node) { return !is_norm(node); });
  Values values(root);
  for (const json& node : nodes) {
    if (is_norm(node)) values.CountUses(node, "inputs");
  }
  std::vector<BatchNormNode> norms;
  for (const json& node : nodes) {
    if (!is_norm(node)) continue;
    const JsonObject entry(node, file, "graph: batch_norm");
    std::string input;
    norms.push_back(ReadNode(entry, input));
    values.Redirect(input, norms.back().output, entry);
  }
  if (!norms.empty()) graph = root.dump();
  return norms;
}

std::vector<FoldedNode> PlanFolding(const std::vector<BatchNormNode>& norms,
                                    const Graph& graph,
                                    const SafetensorsFile& tensors,
                                    std::string_view graph_file) {
  std::map<std::string_view, size_t> makers;
  std::map<std::string_view, size_t> users;  // of tensors
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    makers[graph.nodes[i].output] = i;
    ++users[graph.nodes[i].weight];
    ++users[graph.nodes[i].bias];
  }
  std::vector<FoldedNode> folded;
  for (const BatchNormNode& norm : norms) {
    const auto fail = [&](const std::string& cause) {
      throw Error::InFile(graph_file,
                          "graph: batch_norm '" + norm.output + "' " + cause);
    };
    const auto maker = makers.find(norm.output);
    const Node* const node =
        maker == makers.end() ? nullptr : &graph.nodes[maker->second];
    if (node == nullptr ||
        (node->op != OpType::kLinear && node->op != OpType::kConv2d &&
         node->op != OpType::kDepthwiseConv2d)) {
      fail(
          "does not follow one of linear, conv2d and depthwise_conv2d, into "
          "which it could be folded");
    }
    for (const std::string& name : {node->weight, node->bias}) {
      if (!name.empty() && users[name] > 1) {
        fail("follows a layer that shares the tensor '" + name + "'");
      }
    }
    const size_t channels = ChannelsOf(*node, tensors);
    const auto read = [&](const std::string& name, float fallback) {
      return ReadChannels(tensors, name, channels, fallback);
    };
    try {
      folded.push_back(
          {maker->second,
           ToAffine(read(norm.gamma, 1), read(norm.beta, 0), read(norm.mean, 0),
                    read(norm.variance, 1), norm.eps)});
    } catch (const Error& error) {
      const std::string cause = error.what();
      // What is wrong with a tensor says so itself.
      if (cause.starts_with(tensors.path())) throw;
      fail(cause);
    }
  }
  return folded;
}

}  // namespace lutra::packer
