#include "lutra/qat/gradient.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "qat/grad/operators.h"

namespace lutra::qat {
namespace {

Error ShapeError(const Node& node, const std::string& cause) {
  return Error("graph: node '" + node.output + "' (" +
               std::string(Name(node.op)) + "): " + cause);
}

size_t Width(const std::vector<int64_t>& shape) {
  size_t width = 1;
  for (const int64_t size : shape) width *= static_cast<size_t>(size);
  return width;
}

bool HasGradient(OpType op) {
  switch (op) {
    case OpType::kLinear:
    case OpType::kEmbedding:
    case OpType::kRelu:
    case OpType::kGelu:
    case OpType::kSilu:
    case OpType::kAdd:
    case OpType::kMul:
    case OpType::kSoftmax:
      return true;
    default:
      return false;
  }
}

}  // namespace

Backprop::Backprop(const Graph& graph, const TensorMap& parameters,
                   Executor* executor)
    : executor_(executor), parameters_(parameters) {
  values_.reserve(graph.inputs.size() + graph.nodes.size());
  for (const GraphInput& input : graph.inputs) {
    Value value;
    value.name = input.name;
    value.type = input.type;
    value.shape = input.shape;
    value.width = Width(input.shape);
    inputs_.push_back(values_.size());
    values_.push_back(std::move(value));
  }
  for (const Node& node : graph.nodes) AddNode(node);
  for (const std::string& output : graph.outputs) {
    outputs_.push_back(FindValue(output));
  }
}

void Backprop::AddNode(const Node& node) {
  if (!HasGradient(node.op)) {
    throw ShapeError(node, "training has no gradient for this operator");
  }
  Operation operation;
  operation.op = node.op;
  if (node.inputs.size() != InputCount(node.op)) {
    throw ShapeError(node, "has " + std::to_string(node.inputs.size()) +
                               " inputs, takes " +
                               std::to_string(InputCount(node.op)));
  }
  Value output;
  output.name = node.output;
  for (const std::string& input : node.inputs) {
    const size_t index = FindValue(input);
    operation.inputs.push_back(index);
    output.differentiable |= values_[index].differentiable;
    const bool wants_ids = node.op == OpType::kEmbedding;
    if ((values_[index].type == ValueType::kInt32) != wants_ids) {
      throw ShapeError(node, "input '" + input + "' has the wrong type");
    }
  }
  if (!node.weight.empty()) operation.weight = UseParameter(node.weight);
  if (!node.bias.empty()) operation.bias = UseParameter(node.bias);
  output.differentiable |= operation.weight != nullptr;
  InferShape(node, operation, output);
  output.width = Width(output.shape);
  operation.output = values_.size();
  values_.push_back(std::move(output));
  operations_.push_back(std::move(operation));
}

void Backprop::InferShape(const Node& node, const Operation& operation,
                          Value& output) {
  const std::vector<int64_t>& x = values_[operation.inputs[0]].shape;
  if (!HasWeight(node.op)) {
    if (operation.inputs.size() == 2 &&
        values_[operation.inputs[1]].shape != x) {
      throw ShapeError(node,
                       "shapes " + ShapeToString(x) + " and " +
                           ShapeToString(values_[operation.inputs[1]].shape) +
                           " differ");
    }
    if (node.op == OpType::kSoftmax && x.empty()) {
      throw ShapeError(node, "its input is a scalar");
    }
    output.shape = x;
    return;
  }
  if (operation.weight == nullptr) throw ShapeError(node, "has no weight");
  const std::vector<int64_t>& weight = operation.weight->tensor->shape;
  const bool linear = node.op == OpType::kLinear;
  if (weight.size() != 2 || x.size() != (linear ? 1u : 0u) ||
      (linear && x[0] != weight[1])) {
    throw ShapeError(node, "weight '" + node.weight + "' " +
                               ShapeToString(weight) +
                               " does not fit the input " + ShapeToString(x));
  }
  output.shape = {linear ? weight[0] : weight[1]};
  if (operation.bias != nullptr &&
      (!linear || operation.bias->tensor->shape != output.shape)) {
    throw ShapeError(node, "bias '" + node.bias + "' " +
                               ShapeToString(operation.bias->tensor->shape) +
                               " does not fit the output " +
                               ShapeToString(output.shape));
  }
}

Backprop::ParameterGradient* Backprop::UseParameter(const std::string& name) {
  const auto parameter = parameters_.find(name);
  if (parameter == parameters_.end()) {
    throw Error("graph: parameter '" + name + "' is missing");
  }
  const auto [used, inserted] = used_.try_emplace(name);
  if (inserted) {
    used->second.tensor = &parameter->second;
    used->second.gradient =
        &gradients_.try_emplace(name, parameter->second.shape).first->second;
  }
  return &used->second;
}

size_t Backprop::FindValue(const std::string& name) const {
  const auto value =
      std::find_if(values_.begin(), values_.end(),
                   [&](const Value& v) { return v.name == name; });
  if (value == values_.end()) {
    throw Error("graph: value '" + name + "' is used before it is defined");
  }
  return static_cast<size_t>(value - values_.begin());
}

void Backprop::Forward(size_t m, Span<const void* const> inputs) {
  if (inputs.size() != inputs_.size()) {
    throw Error("graph: " + std::to_string(inputs.size()) +
                " inputs given, takes " + std::to_string(inputs_.size()));
  }
  m_ = m;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values_[inputs_[i]].input = inputs[i];
  }
  for (const Operation& operation : operations_) {
    Value& output = values_[operation.output];
    const size_t size = m * output.width;
    if (output.data.size() < size) output.data.resize(size);
    RunForward(operation);
  }
}

Span<const float> Backprop::Output(size_t index) const {
  const Value& value = values_[outputs_[index]];
  return {value.Floats(), m_ * value.width};
}

size_t Backprop::OutputWidth(size_t index) const {
  return values_[outputs_[index]].width;
}

void Backprop::RunForward(const Operation& operation) {
  const Value& x = values_[operation.inputs[0]];
  Value& y = values_[operation.output];
  float* out = y.data.data();
  switch (operation.op) {
    case OpType::kLinear:
      LinearForward({m_, y.width, x.width}, x.Floats(),
                    operation.weight->tensor->values.data(),
                    operation.bias == nullptr
                        ? nullptr
                        : operation.bias->tensor->values.data(),
                    out, executor_);
      break;
    case OpType::kEmbedding: {
      const auto* ids = static_cast<const int32_t*>(x.input);
      const int64_t rows = operation.weight->tensor->shape[0];
      for (size_t i = 0; i < m_; ++i) {
        if (ids[i] < 0 || ids[i] >= rows) {
          throw Error("input '" + x.name + "': id " + std::to_string(ids[i]) +
                      " is outside [0, " + std::to_string(rows) + ")");
        }
      }
      EmbeddingForward(m_, y.width, ids,
                       operation.weight->tensor->values.data(), out, executor_);
      break;
    }
    case OpType::kRelu:
    case OpType::kGelu:
    case OpType::kSilu:
      ActivationForward(operation.op, m_ * y.width, x.Floats(), out, executor_);
      break;
    case OpType::kAdd:
    case OpType::kMul:
      BinaryForward(operation.op, m_ * y.width, x.Floats(),
                    values_[operation.inputs[1]].Floats(), out, executor_);
      break;
    case OpType::kSoftmax: {
      const auto width = static_cast<size_t>(y.shape.back());
      SoftmaxForward(m_ * y.width / width, width, x.Floats(), out, executor_);
      break;
    }
    default:  // refused by AddNode
      break;
  }
}

void Backprop::Backward(Span<const float* const> output_gradients) {
  if (output_gradients.size() != outputs_.size()) {
    throw Error("graph: " + std::to_string(output_gradients.size()) +
                " output gradients given, takes " +
                std::to_string(outputs_.size()));
  }
  for (Value& value : values_) {
    value.has_gradient = false;
    const size_t size = m_ * value.width;
    if (value.differentiable && value.gradient.size() < size) {
      value.gradient.resize(size);
    }
  }
  for (auto& [name, used] : used_) used.has_gradient = false;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Value& value = values_[outputs_[i]];
    if (!value.differentiable) continue;
    // A sum, as the same value may be an output twice.
    BinaryGradient(OpType::kAdd, m_ * value.width, nullptr, output_gradients[i],
                   Accumulate(value.has_gradient), value.gradient.data(),
                   executor_);
  }
  for (size_t i = operations_.size(); i-- > 0;) {
    const Operation& operation = operations_[i];
    if (values_[operation.output].has_gradient) RunBackward(operation);
  }
}

bool Backprop::Accumulate(bool& has_gradient) {
  return std::exchange(has_gradient, true);
}

void Backprop::RunBackward(const Operation& operation) {
  Value& x = values_[operation.inputs[0]];
  const Value& y = values_[operation.output];
  const float* dy = y.gradient.data();
  const size_t count = m_ * y.width;
  const auto weight_gradient = [](ParameterGradient* parameter) {
    return parameter->gradient->values.data();
  };
  switch (operation.op) {
    case OpType::kLinear: {
      const LinearShape shape{m_, y.width, x.width};
      LinearWeightGradient(shape, dy, x.Floats(),
                           Accumulate(operation.weight->has_gradient),
                           weight_gradient(operation.weight), executor_);
      if (operation.bias != nullptr) {
        LinearBiasGradient(shape, dy, Accumulate(operation.bias->has_gradient),
                           weight_gradient(operation.bias), executor_);
      }
      if (x.differentiable) {
        LinearInputGradient(shape, dy, operation.weight->tensor->values.data(),
                            Accumulate(x.has_gradient), x.gradient.data(),
                            executor_);
      }
      break;
    }
    case OpType::kEmbedding:
      EmbeddingWeightGradient(
          m_, static_cast<size_t>(operation.weight->tensor->shape[0]), y.width,
          static_cast<const int32_t*>(x.input), dy,
          Accumulate(operation.weight->has_gradient),
          weight_gradient(operation.weight), executor_);
      break;
    case OpType::kRelu:
    case OpType::kGelu:
    case OpType::kSilu:
      ActivationGradient(operation.op, count, x.Floats(), dy,
                         Accumulate(x.has_gradient), x.gradient.data(),
                         executor_);
      break;
    case OpType::kAdd:
    case OpType::kMul:
      for (size_t i = 0; i < 2; ++i) {
        Value& operand = values_[operation.inputs[i]];
        if (!operand.differentiable) continue;
        BinaryGradient(operation.op, count,
                       values_[operation.inputs[1 - i]].Floats(), dy,
                       Accumulate(operand.has_gradient),
                       operand.gradient.data(), executor_);
      }
      break;
    case OpType::kSoftmax: {
      const auto width = static_cast<size_t>(y.shape.back());
      SoftmaxGradient(count / width, width, y.data.data(), dy,
                      Accumulate(x.has_gradient), x.gradient.data(), executor_);
      break;
    }
    default:  // refused by AddNode
      break;
  }
}

}  // namespace lutra::qat
