#include "packer/calibrate/gradient_pass.h"

#include <algorithm>
#include <cmath>

#include "lutra/qat/loss.h"
#include "lutra/runtime/error.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

qat::TensorMap Floats(const Model& model) {
  qat::TensorMap tensors;
  for (const Node& node : model.graph().nodes) {
    for (const std::string& name : {node.weight, node.bias}) {
      if (name.empty() || tensors.contains(name)) continue;
      const TensorView& view = model.file().Get(name);
      const RowSource source(view, model.path());
      std::vector<float> scratch;
      const auto values = source.Rows(0, source.rows(), scratch);
      qat::Tensor& tensor = tensors[name];
      tensor.shape = view.shape;
      tensor.values.assign(values.begin(), values.end());
    }
  }
  return tensors;
}

qat::TrainingProgramOptions OnlyInputs(const qat::TensorMap& parameters,
                                       Executor* executor) {
  qat::TrainingProgramOptions options;
  options.executor = executor;
  options.input_gradients = true;
  for (const auto& [name, tensor] : parameters) options.frozen.insert(name);
  return options;
}

}  // namespace

GradientPass::GradientPass(const Model& model,
                           const std::vector<std::string>& values,
                           const qat::Samples& samples, Executor* executor)
    : model_(model),
      samples_(samples),
      executor_(executor),
      parameters_(Floats(model)),
      graph_(WithTaps(values)),
      program_(graph_, parameters_, OnlyInputs(parameters_, executor)) {
  const size_t rows = samples.RowsOfSample();
  program_.Reserve(1, rows);
  size_t widest = 0;
  for (const ValueInfo& input : program_.model().inputs()) {
    widest = std::max(widest, input.ElementCount());
  }
  for (const ValueInfo& output : program_.model().outputs()) {
    widest = std::max(widest, output.ElementCount());
  }
  zeros_.resize(rows * widest);
  for (const Place& place : places_) {
    moments_.emplace_back(place.width);
    rows_.emplace_back(rows * place.width);
  }
}

// A zero is added to the output of each linear node: the gradient with respect
// to it is that with respect to the output.
Graph GradientPass::WithTaps(const std::vector<std::string>& values) {
  Graph graph = model_.graph();
  const std::vector<Node> nodes = std::move(graph.nodes);
  graph.nodes.clear();
  graph.outputs.resize(1);
  for (const std::string& value : values) {
    Place place;
    place.width = model_.value(value).ElementCount();
    const bool is_input =
        std::any_of(graph.inputs.begin(), graph.inputs.end(),
                    [&](const GraphInput& i) { return i.name == value; });
    if (!is_input) {
      place.output = graph.outputs.size();
      graph.outputs.push_back(value);
    }
    places_.push_back(place);
  }
  for (Node node : nodes) {
    const auto value =
        std::find(values.begin(), values.end(),
                  node.op == OpType::kLinear ? node.inputs[0] : "");
    if (value == values.end()) {
      graph.nodes.push_back(std::move(node));
      continue;
    }
    Node sum;
    sum.op = OpType::kAdd;
    sum.output = node.output;
    node.output += ":plain";
    sum.inputs = {node.output, sum.output + ":change"};
    places_[static_cast<size_t>(value - values.begin())].gradients.push_back(
        graph.inputs.size());
    graph.inputs.push_back(
        {sum.inputs[1], ValueType::kFloat32, model_.value(sum.output).shape});
    graph.nodes.push_back(std::move(node));
    graph.nodes.push_back(std::move(sum));
  }
  return graph;
}

void GradientPass::Run(Span<const uint32_t> which,
                       const std::function<void(size_t rows)>& done) {
  qat::SampleBatch batch;
  std::vector<float> gradient;
  for (const uint32_t sample : which) {
    batch.Clear();
    samples_.Load({&sample, 1}, 0, batch);
    const size_t rows = batch.targets.size();
    std::vector<const void*> inputs(graph_.inputs.size(), zeros_.data());
    inputs[0] = batch.Input();
    program_.Forward(batch.sequences, inputs);
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].output == 0) {
        rows_[i] = batch.floats;
        continue;
      }
      const Span<const float> output = program_.Output(places_[i].output);
      std::copy(output.begin(), output.end(), rows_[i].begin());
    }
    const Span<const float> logits = program_.Output(0);
    gradient.resize(logits.size());
    qat::SoftmaxCrossEntropy(logits, batch.targets, {}, 1.0f, gradient, {},
                             executor_);
    std::vector<const float*> gradients(graph_.outputs.size(), zeros_.data());
    gradients[0] = gradient.data();
    program_.Backward(gradients);
    AddRows(rows);
    if (done) done(rows);
  }
}

void GradientPass::AddRows(size_t rows) {
  for (size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    std::vector<double> squares(rows);
    size_t outputs = 0;
    for (const size_t input : place.gradients) {
      const Span<const float> change = program_.InputGradient(input);
      const size_t width = change.size() / rows;
      outputs += width;
      for (size_t e = 0; e < rows * width; ++e) {
        squares[e / width] += static_cast<double>(change[e]) * change[e];
      }
    }
    for (size_t row = 0; row < rows; ++row) {
      const double weight =
          std::sqrt(squares[row] / static_cast<double>(outputs));
      for (size_t c = row * place.width; c < (row + 1) * place.width; ++c) {
        float& x = rows_[i][c];
        x = static_cast<float>(x * weight);
        if (!std::isfinite(x)) {
          throw Error::InFile(model_.path(),
                              "an input of a layer, or a "
                              "gradient, is not finite");
        }
      }
    }
    moments_[i].Add(rows_[i].data(), rows, executor_, multiply_);
  }
}

size_t GradientPass::Bytes() const {
  size_t bytes = program_.ArenaBytes() + zeros_.size() * sizeof(float);
  for (const auto& [name, tensor] : parameters_) {
    bytes += tensor.values.size() * sizeof(float);
  }
  for (const Place& place : places_) {
    bytes += Moments::Bytes(place.width) +
             samples_.RowsOfSample() * place.width * sizeof(float);
  }
  return bytes;
}

}  // namespace lutra::packer
