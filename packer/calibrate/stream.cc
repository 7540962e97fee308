#include "packer/calibrate/stream.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "lutra/runtime/program.h"
#include "packer/calibrate/sample_runner.h"
#include "packer/calibrate/taps.h"

namespace lutra::packer {
namespace {

// Rows of a call where they are independent.
constexpr size_t kIndependentRows = 256;

}  // namespace

ValueStream::ValueStream(const Model& model, const qat::Samples& samples,
                         std::vector<uint32_t> which, Executor* executor)
    : model_(model),
      samples_(samples),
      which_(std::move(which)),
      executor_(executor),
      stateful_(HasState(model.graph())),
      rows_(which_.size() * samples.RowsOfSample()) {
  for (const MatrixInput& input : LayerInputs(model)) {
    awaited_.insert(input.tap);
  }
}

void ValueStream::Replace(const std::string& weight,
                          Span<const std::byte> blob) {
  replaced_[weight] = blob;
}

const std::vector<float>& ValueStream::Value(const std::string& name) const {
  return values_.find(name)->second;
}

void ValueStream::Took(const std::string& name) {
  const auto awaited = awaited_.find(name);
  if (awaited != awaited_.end()) awaited_.erase(awaited);
}

// The nodes that have not run and that targets need; its inputs are what they
// take from before, its outputs what is needed afterwards.
Graph ValueStream::NextPiece(const std::vector<std::string>& targets) const {
  const Graph& graph = model_.graph();
  std::set<std::string_view> needed(targets.begin(), targets.end());
  Graph piece;
  std::set<std::string_view> made;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (!needed.contains(node.output) || ran_.contains(node.output)) continue;
    needed.insert(node.inputs.begin(), node.inputs.end());
    made.insert(node.output);
    piece.nodes.push_back(node);
  }
  std::reverse(piece.nodes.begin(), piece.nodes.end());
  // Of values from outside, those of the model come from the samples.
  for (const std::string_view name : needed) {
    if (made.contains(name)) continue;
    const auto from_nodes = values_.find(name);
    if (from_nodes == values_.end()) continue;
    const bool is_read = std::any_of(
        piece.nodes.begin(), piece.nodes.end(), [&](const Node& node) {
          return std::find(node.inputs.begin(), node.inputs.end(), name) !=
                 node.inputs.end();
        });
    if (!is_read) continue;
    piece.inputs.push_back(
        {std::string(name), ValueType::kFloat32, model_.value(name).shape});
  }
  for (const GraphInput& input : graph.inputs) {
    if (needed.contains(input.name) && !values_.contains(input.name)) {
      piece.inputs.push_back(input);
    }
  }
  std::set<std::string_view> later(targets.begin(), targets.end());
  later.insert(awaited_.begin(), awaited_.end());
  for (const Node& node : graph.nodes) {
    if (ran_.contains(node.output) || made.contains(node.output)) continue;
    later.insert(node.inputs.begin(), node.inputs.end());
  }
  for (const Node& node : piece.nodes) {
    if (later.contains(node.output)) piece.outputs.push_back(node.output);
  }
  return piece;
}

void ValueStream::DropUnneeded(const std::vector<std::string>& targets) {
  std::set<std::string_view> needed(targets.begin(), targets.end());
  needed.insert(awaited_.begin(), awaited_.end());
  for (const Node& node : model_.graph().nodes) {
    if (ran_.contains(node.output)) continue;
    needed.insert(node.inputs.begin(), node.inputs.end());
  }
  for (auto value = values_.begin(); value != values_.end();) {
    value =
        needed.contains(value->first) ? std::next(value) : values_.erase(value);
  }
}

// Of inputs of the model.
void ValueStream::LoadInputs(const std::vector<std::string>& targets) {
  for (const GraphInput& input : model_.graph().inputs) {
    if (input.type != ValueType::kFloat32 || values_.contains(input.name) ||
        std::find(targets.begin(), targets.end(), input.name) ==
            targets.end()) {
      continue;
    }
    qat::SampleBatch batch;
    samples_.Load(which_, 0, batch);
    values_[input.name] = std::move(batch.floats);
  }
}

void ValueStream::Advance(const std::vector<std::string>& targets,
                          const std::function<void(size_t rows)>& done) {
  LoadInputs(targets);
  const Graph piece = NextPiece(targets);
  if (piece.nodes.empty()) {
    DropUnneeded(targets);
    return;
  }
  const size_t per_sample = samples_.RowsOfSample();
  Program program(Model::FromTensors(piece, TensorsOf(piece, model_, replaced_),
                                     model_.path()),
                  DataProgramOptions(model_.graph(), samples_, executor_));
  std::vector<size_t> widths;
  for (const std::string& output : piece.outputs) {
    widths.push_back(model_.value(output).ElementCount());
    values_[output].resize(rows_ * widths.back());
  }
  const size_t at_once =
      stateful_ ? 1 : std::max<size_t>(1, kIndependentRows / per_sample);
  qat::SampleBatch batch;
  size_t row = 0;
  for (size_t first = 0; first < which_.size(); first += at_once) {
    const size_t count = std::min(at_once, which_.size() - first);
    const size_t rows = count * per_sample;
    batch.Clear();
    samples_.Load({which_.data() + first, count}, 0, batch);
    std::vector<const void*> inputs;
    for (const GraphInput& input : piece.inputs) {
      const auto value = values_.find(input.name);
      inputs.push_back(value == values_.end()
                           ? batch.Input()
                           : value->second.data() +
                                 row * model_.value(input.name).ElementCount());
    }
    std::vector<float*> outputs;
    for (size_t i = 0; i < widths.size(); ++i) {
      outputs.push_back(values_[piece.outputs[i]].data() + row * widths[i]);
    }
    Sequence sequence = program.NewSequence();
    const Program::Rows call{&sequence, rows};
    program.Run({&call, 1}, inputs, outputs);
    row += rows;
    if (done) done(rows);
  }
  for (const Node& node : piece.nodes) ran_.insert(node.output);
  DropUnneeded(targets);
}

}  // namespace lutra::packer
