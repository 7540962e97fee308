#ifndef LUTRA_PACKER_CALIBRATE_SAMPLE_RUNNER_H_
#define LUTRA_PACKER_CALIBRATE_SAMPLE_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/samples.h"
#include "lutra/runtime/program.h"

namespace lutra::packer {

// Whether the rows of a sample depend on each other.
bool HasState(const Graph& graph);

// Throws Error for a model that does not take the samples.
void CheckSamples(const Model& model, const qat::Samples& samples);

// What data is run with: float32 activations and cache, so that nothing but
// weights has been rounded.
ProgramOptions DataProgramOptions(const Graph& graph,
                                  const qat::Samples& samples,
                                  Executor* executor);

// Runs a model with one input over samples and holds the outputs of a call.
class SampleRunner {
 public:
  // Memory for calls of `rows` rows. A part of a network is run as all of
  // `network` is, so that its rows come in the same calls. `samples` must
  // outlive this. Throws Error.
  SampleRunner(const std::shared_ptr<const Model>& model, const Graph& network,
               const qat::Samples& samples, size_t rows, Executor* executor);

  // Runs `which` of the samples in order: those whose rows depend on each other
  // a sample after the other, others together. After each call `each` gets the
  // number of its rows, whose outputs are then there, and their targets.
  using Each = std::function<void(size_t count, Span<const int32_t> targets)>;
  void Run(Span<const uint32_t> which, const Each& each);

  const Model& model() const { return program_.model(); }
  // [rows, width] of each output of the model, of which a call fills the first.
  std::vector<std::vector<float>>& outputs() { return outputs_; }
  // Of the program and the outputs.
  size_t Bytes() const;

 private:
  const qat::Samples& samples_;
  size_t rows_;
  bool has_state_;
  Program program_;
  std::vector<std::vector<float>> outputs_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_CALIBRATE_SAMPLE_RUNNER_H_
