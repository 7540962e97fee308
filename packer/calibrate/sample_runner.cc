#include "packer/calibrate/sample_runner.h"

#include <algorithm>

#include "lutra/runtime/error.h"

namespace lutra::packer {

bool HasState(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return IsStateful(node.op); });
}

void CheckSamples(const Model& model, const qat::Samples& samples) {
  if (model.inputs().size() != 1) {
    throw Error::InFile(model.path(), "takes several inputs");
  }
  try {
    samples.CheckGraph(model.graph(), model.outputs().at(0).ElementCount());
  } catch (const Error& error) {
    throw Error::InFile(model.path(), error.what());
  }
}

ProgramOptions DataProgramOptions(const Graph& graph,
                                  const qat::Samples& samples,
                                  Executor* executor) {
  ProgramOptions options;
  options.activations = kernels::ActivationType::kFloat32;
  options.cache = CacheType::kFloat32;
  options.executor = executor;
  options.threads = 1;  // where there is no executor
  if (HasState(graph)) options.context = samples.RowsOfSample();
  return options;
}

SampleRunner::SampleRunner(const std::shared_ptr<const Model>& model,
                           const Graph& network, const qat::Samples& samples,
                           size_t rows, Executor* executor)
    : samples_(samples),
      rows_(rows),
      has_state_(HasState(network)),
      program_(model, DataProgramOptions(network, samples, executor)) {
  program_.Reserve(rows, rows);
  for (const ValueInfo& output : model->outputs()) {
    outputs_.emplace_back(rows * output.ElementCount());
  }
}

void SampleRunner::Run(Span<const uint32_t> which, const Each& each) {
  const size_t row_bytes =
      model().inputs().at(0).ElementCount() * sizeof(float);
  const size_t at_once =
      has_state_ ? 1 : std::max<size_t>(1, rows_ / samples_.RowsOfSample());
  std::vector<float*> outputs;
  for (std::vector<float>& output : outputs_) outputs.push_back(output.data());
  qat::SampleBatch batch;
  for (size_t first = 0; first < which.size(); first += at_once) {
    batch.Clear();
    samples_.Load(which.subspan(first, std::min(at_once, which.size() - first)),
                  0, batch);
    Sequence sequence = program_.NewSequence();
    const size_t all = batch.targets.size();
    for (size_t begin = 0; begin < all; begin += rows_) {
      const size_t count = std::min(rows_, all - begin);
      const void* input =
          static_cast<const char*>(batch.Input()) + begin * row_bytes;
      const Program::Rows call{&sequence, count};
      program_.Run({&call, 1}, {&input, 1}, outputs);
      each(count, {batch.targets.data() + begin, count});
    }
  }
}

size_t SampleRunner::Bytes() const {
  size_t bytes = program_.ArenaBytes();
  for (const auto& output : outputs_) bytes += output.size() * sizeof(float);
  return bytes;
}

}  // namespace lutra::packer
