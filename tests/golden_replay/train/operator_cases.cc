#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lutra/qat/operator_gradient.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/operator.h"
#include "tests/golden_replay/train/cases.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
using qat::TrainingProgram;
using qat::TrainingSequence;

// What says how the case is run, and is no attribute of the node.
bool IsOfTheCase(const std::string& key) {
  return key == "sequences" || key == "same" || key == "broadcast";
}

// What model files name otherwise.
std::string AttributeName(const std::string& key) {
  return key == "softcap" ? "soft_cap" : key;
}

Attributes AttributesOf(const json& values) {
  Attributes attributes;
  for (const auto& [key, value] : values.items()) {
    if (IsOfTheCase(key)) continue;
    const std::string name = AttributeName(key);
    if (value.is_string()) {
      attributes[name] = value.get<std::string>();
    } else if (value.is_array()) {
      attributes[name] = value.get<std::vector<int64_t>>();
    } else {
      attributes[name] = value.get<double>();
    }
  }
  return attributes;
}

bool HasAttribute(const OperatorSchema& schema, const std::string& name) {
  return std::ranges::any_of(
      schema.attributes,
      [&](const AttributeSchema& attribute) { return attribute.name == name; });
}

// Why model files have no such node; empty if they have.
std::string Missing(const TrainingCase& c) {
  const auto op = FindOperator(c.Op());
  if (!op) return "model files have no operator " + c.Op();
  const json& attributes = c.attributes();
  if (attributes.contains("broadcast")) return "model files do not broadcast";
  for (const auto& [name, value] : AttributesOf(attributes)) {
    if (!HasAttribute(GetOperator(*op).schema(), name)) {
      return "the operator has no attribute " + name;
    }
  }
  return "";
}

// The case as a graph of one node.
struct OneNode {
  Graph graph;
  qat::TensorMap parameters;
  // Operands of the node in the order of the graph's inputs, and what they
  // hold, floats or ids.
  std::vector<std::string> names;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<int32_t>> ids;
  size_t rows = 0;
};

OneNode MakeNode(const TrainingCase& c) {
  OneNode one;
  Node node;
  node.op = *FindOperator(c.Op());
  node.output = "y";
  node.attributes = AttributesOf(c.attributes());
  for (const std::string name : c.json.at("inputs")) {
    if (name == "positions") continue;
    std::vector<int64_t> shape = c.Shape(name);
    if (name == "weight" || name == "bias") {
      (name == "weight" ? node.weight : node.bias) = name;
      qat::Tensor tensor(shape);
      tensor.values = c.Load<float>(name);
      one.parameters.emplace(name, std::move(tensor));
      continue;
    }
    one.rows = static_cast<size_t>(shape.at(0));
    shape.erase(shape.begin());
    const bool is_ids = name == "ids";
    one.graph.inputs.push_back(
        {name, is_ids ? ValueType::kInt32 : ValueType::kFloat32, shape});
    one.names.push_back(name);
    one.floats.push_back(is_ids ? std::vector<float>() : c.Load<float>(name));
    one.ids.push_back(is_ids ? c.Load<int32_t>(name) : std::vector<int32_t>());
    node.inputs.push_back(name);
  }
  if (c.attributes().contains("same")) node.inputs.push_back(node.inputs[0]);
  one.graph.nodes.push_back(std::move(node));
  one.graph.outputs.push_back("y");
  return one;
}

std::vector<TrainingSequence> SequencesOf(const TrainingCase& c, size_t rows) {
  std::vector<TrainingSequence> sequences;
  if (c.attributes().contains("sequences")) {
    for (const size_t count : c.attributes()["sequences"]) {
      sequences.push_back({.rows = count});
    }
    return sequences;
  }
  const size_t position =
      c.Has("positions")
          ? static_cast<size_t>(c.Load<int32_t>("positions").at(0))
          : 0;
  return {{.rows = rows, .position = position}};
}

void Compare(const TrainingCase& c, const OneNode& one,
             const TrainingProgram& program, Comparison& comparison) {
  const auto& definition = *qat::FindGradient(one.graph.nodes[0].op);
  for (const std::string gradient : c.json.at("gradients")) {
    const std::string operand = gradient.substr(1);
    const auto parameter = program.gradients().find(operand);
    if (parameter != program.gradients().end()) {
      c.Compare(gradient, parameter->second.values, comparison);
      continue;
    }
    const auto input = std::ranges::find(one.names, operand);
    if (input != one.names.end()) {
      c.Compare(
          gradient,
          program.InputGradient(static_cast<size_t>(input - one.names.begin())),
          comparison);
    } else if (operand != "weight" || definition.TrainsWeight()) {
      throw Error("there is no gradient of '" + operand + "'");
    }
  }
}

}  // namespace

void ReplayOperator(const TrainingCase& c, Comparison& comparison) {
  const std::string missing = Missing(c);
  if (!missing.empty()) {
    comparison.Note(missing);
    return;
  }
  const OneNode one = MakeNode(c);
  TrainingProgram program(one.graph, one.parameters, {.input_gradients = true});
  std::vector<const void*> inputs;
  for (size_t i = 0; i < one.names.size(); ++i) {
    inputs.push_back(one.ids[i].empty()
                         ? static_cast<const void*>(one.floats[i].data())
                         : one.ids[i].data());
  }
  program.Forward(SequencesOf(c, one.rows), inputs);
  c.Compare("y", program.Output(0), comparison);
  const auto dy = c.Load<float>("dy");
  const std::array<const float*, 1> gradients{dy.data()};
  program.Backward(gradients);
  Compare(c, one, program, comparison);
}

}  // namespace lutra::golden
