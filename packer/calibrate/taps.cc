#include "packer/calibrate/taps.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace lutra::packer {
namespace {

using FindInput = std::optional<MatrixInput>(const Model&, const Node&);

std::vector<MatrixInput> Collect(const Model& model, FindInput find) {
  std::vector<MatrixInput> inputs;
  std::set<std::string> seen;
  for (const Node& node : model.graph().nodes) {
    std::optional<MatrixInput> input = find(model, node);
    if (input && seen.insert(input->name).second) {
      inputs.push_back(*std::move(input));
    }
  }
  return inputs;
}

}  // namespace

std::optional<MatrixInput> FindMatrixInput(const Model& model,
                                           const Node& node) {
  const auto elements = [&](const std::string& value) {
    return model.value(value).ElementCount();
  };
  switch (node.op) {
    case OpType::kLinear:
      return MatrixInput{node.inputs[0], node.inputs[0],
                         elements(node.inputs[0])};
    case OpType::kLstmCell:
      // What it holds may lie behind its hidden state.
      return MatrixInput{node.output, node.output,
                         elements(node.output) /
                             (WordAttribute(node, "output") == "both" ? 2 : 1)};
    case OpType::kGruCell:
      // Reset before, the rows of the candidate multiply r * h, not h: they are
      // rounded as if nothing was reset.
      return MatrixInput{node.output, node.output, elements(node.output)};
    case OpType::kConv2d: {
      const Window2d window =
          MakeWindow2d(model, node, model.value(node.inputs[0]));
      return MatrixInput{node.output + ":windows", node.inputs[0],
                         window.Taps() * window.channels, window};
    }
    default:
      return std::nullopt;
  }
}

std::optional<MatrixInput> FindLayerInput(const Model& model,
                                          const Node& node) {
  if (node.op == OpType::kLstmCell || node.op == OpType::kGruCell) {
    return std::nullopt;
  }
  return FindMatrixInput(model, node);
}

std::vector<MatrixInput> MatrixInputs(const Model& model) {
  return Collect(model, FindMatrixInput);
}

std::vector<MatrixInput> LayerInputs(const Model& model) {
  return Collect(model, FindLayerInput);
}

std::optional<std::string> NormalizedSum(const Graph& graph,
                                         std::string_view input) {
  const auto readers = [&](std::string_view value) {
    std::vector<const Node*> nodes;
    for (const Node& node : graph.nodes) {
      if (std::find(node.inputs.begin(), node.inputs.end(), value) !=
          node.inputs.end()) {
        nodes.push_back(&node);
      }
    }
    return nodes;
  };
  const std::vector<const Node*> layers = readers(input);
  if (layers.size() != 1 || layers[0]->op != OpType::kLinear) return {};
  const std::vector<const Node*> sums = readers(layers[0]->output);
  if (sums.size() != 1 || sums[0]->op != OpType::kAdd) return {};
  for (const Node* node : readers(sums[0]->output)) {
    if (node->op == OpType::kRmsNorm || node->op == OpType::kLayerNorm) {
      return sums[0]->output;
    }
  }
  return {};
}

std::vector<TensorView> TensorsOf(const Graph& graph, const Model& model,
                                  const PackedBlobs& replaced) {
  std::set<std::string_view> used;
  for (const Node& node : graph.nodes) {
    used.insert(node.weight);
    used.insert(node.bias);
  }
  std::vector<TensorView> tensors;
  for (TensorView tensor : model.file().tensors()) {
    if (!used.contains(tensor.name)) continue;
    const auto packed = replaced.find(tensor.name);
    if (packed != replaced.end()) {
      tensor.dtype = DType::kUInt8;
      tensor.data = packed->second;
      tensor.shape = {static_cast<int64_t>(tensor.data.size())};
    }
    tensors.push_back(tensor);
  }
  return tensors;
}

std::shared_ptr<const Model> TapModel(const Model& model,
                                      const std::vector<std::string>& values) {
  const Graph graph = Subgraph(model.graph(), values);
  return Model::FromTensors(graph, TensorsOf(graph, model), model.path());
}

}  // namespace lutra::packer
