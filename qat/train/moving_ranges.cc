#include "qat/train/moving_ranges.h"

#include <utility>

#include "lutra/runtime/input_quantization.h"

namespace lutra::qat {
namespace {

// What makes the values, of inputs that are not rounded.
Graph Observed(const Graph& graph, const std::vector<StaticInput>& values) {
  std::vector<std::string> outputs;
  for (const StaticInput& value : values) outputs.push_back(value.value);
  Graph observed = Subgraph(graph, outputs);
  InputQuantization exact;
  exact.type = kernels::ActivationType::kFloat32;
  for (Node& node : observed.nodes) {
    if (QuantizesInput(node.op)) SetInputQuantization(exact, node);
  }
  return observed;
}

TrainingProgramOptions WithoutGradients(const TensorMap& parameters,
                                        Executor* executor) {
  TrainingProgramOptions options;
  options.executor = executor;
  for (const auto& [name, tensor] : parameters) options.frozen.insert(name);
  return options;
}

std::vector<StaticInput> EachOnce(const std::vector<StaticInput>& values) {
  std::vector<StaticInput> result;
  std::set<std::string> seen;
  for (const StaticInput& value : values) {
    if (seen.insert(value.value).second) result.push_back(value);
  }
  return result;
}

}  // namespace

MovingRanges::MovingRanges(const Graph& graph, const TensorMap& parameters,
                           const std::vector<StaticInput>& values,
                           Executor* executor)
    : values_(EachOnce(values)),
      program_(Observed(graph, values_), parameters,
               WithoutGradients(parameters, executor)) {}

size_t MovingRanges::Reserve(size_t sequences, size_t longest) {
  program_.Reserve(sequences, longest);
  return program_.ArenaBytes();
}

void MovingRanges::Look(Span<const TrainingSequence> sequences,
                        const void* input) {
  const std::vector<const void*> inputs = {input};
  program_.Forward(sequences, inputs);
  for (size_t i = 0; i < values_.size(); ++i) {
    const Span<const float> output = program_.Output(i);
    statistics_.Add(values_[i].value, output.data(), output.size());
  }
}

void MovingRanges::SetRanges(Graph& graph) const {
  for (const StaticInput& value : values_) {
    const auto [min, max] =
        statistics_.Range(value.value, value.activations.symmetric);
    SetInputRange(value.value, min, max, graph);
  }
}

Graph WithoutRangesOf(const std::set<std::string>& values, Graph graph) {
  for (const std::string& value : values) SetInputRange(value, 0, 0, graph);
  return graph;
}

}  // namespace lutra::qat
