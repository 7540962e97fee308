#include "packer/architectures/graph_builder.h"

#include <algorithm>
#include <utility>

namespace lutra::packer {

using Role = NetworkTensor::Role;

Node& GraphBuilder::Add(OpType op, std::vector<std::string> inputs,
                        std::string output) {
  Node node;
  node.op = op;
  node.inputs = std::move(inputs);
  node.output = std::move(output);
  return network_.graph.nodes.emplace_back(std::move(node));
}

std::string GraphBuilder::Output(OpType op, std::vector<std::string> inputs,
                                 std::string output) {
  return Add(op, std::move(inputs), std::move(output)).output;
}

std::string GraphBuilder::Scale(const std::string& output, const std::string& x,
                                double factor) {
  if (factor == 1) return x;
  Add(OpType::kScale, {x}, output).attributes["factor"] = factor;
  return output;
}

std::string GraphBuilder::SoftCap(const std::string& output,
                                  const std::string& x, double limit) {
  if (limit == 0) return x;
  const std::string part = Scale(output + ".part", x, 1 / limit);
  return Scale(output, Output(OpType::kTanh, {part}, output + ".tanh"), limit);
}

std::string GraphBuilder::Slice(const std::string& output, const std::string& x,
                                int64_t begin, int64_t length) {
  Node& slice = Add(OpType::kSlice, {x}, output);
  slice.attributes["begin"] = static_cast<double>(begin);
  slice.attributes["length"] = static_cast<double>(length);
  return output;
}

std::string GraphBuilder::UnitNorm(const std::string& output,
                                   const std::string& x,
                                   const std::string& weight, int64_t width,
                                   float factor, double eps) {
  Node& norm = Add(OpType::kRmsNorm, {x}, output);
  norm.weight = weight;
  norm.attributes["eps"] = eps;
  Make(weight, Role::kRope,
       std::vector<float>(static_cast<size_t>(width), factor));
  return output;
}

std::string GraphBuilder::CausalConv1d(const std::string& output,
                                       const std::string& x,
                                       const std::string& weight,
                                       int64_t channels, int64_t taps,
                                       const std::string& bias) {
  Node& conv = Add(OpType::kCausalConv1d, {x}, output);
  conv.weight = weight;
  conv.bias = bias;
  TensorPart part;
  part.name = weight;
  part.stored = {channels, 1, taps};
  part.transposed = true;
  Use(weight, Role::kBias, {taps, channels}, {part});
  if (!bias.empty()) Use(bias, Role::kBias, {channels});
  return output;
}

std::string GraphBuilder::Linear(const std::string& output,
                                 const std::string& x,
                                 const std::string& weight, int64_t n,
                                 int64_t k, const std::string& bias,
                                 std::vector<TensorPart> weight_parts,
                                 std::vector<TensorPart> bias_parts) {
  Node& linear = Add(OpType::kLinear, {x}, output);
  linear.weight = weight;
  linear.bias = bias;
  Use(weight, Role::kMatrix, {n, k}, std::move(weight_parts));
  if (!bias.empty()) Use(bias, Role::kBias, {n}, std::move(bias_parts));
  return output;
}

NetworkTensor& GraphBuilder::Use(const std::string& name, Role role,
                                 std::vector<int64_t> shape,
                                 std::vector<TensorPart> parts) {
  if (!used_.insert(name).second) return Find(name);
  NetworkTensor tensor;
  tensor.name = name;
  tensor.role = role;
  if (parts.empty()) {
    TensorPart part;
    part.name = name;
    part.stored = shape;
    parts = {part};
  }
  tensor.shape = std::move(shape);
  tensor.parts = std::move(parts);
  return network_.tensors.emplace_back(std::move(tensor));
}

NetworkTensor& GraphBuilder::Find(const std::string& name) {
  std::vector<NetworkTensor>& tensors = network_.tensors;
  return *std::find_if(
      tensors.begin(), tensors.end(),
      [&](const NetworkTensor& tensor) { return tensor.name == name; });
}

NetworkTensor& GraphBuilder::Make(const std::string& name, Role role,
                                  std::vector<float> values) {
  if (!used_.insert(name).second) return Find(name);
  NetworkTensor tensor;
  tensor.name = name;
  tensor.role = role;
  tensor.shape = {static_cast<int64_t>(values.size())};
  tensor.values = std::move(values);
  return network_.tensors.emplace_back(std::move(tensor));
}

}  // namespace lutra::packer
