#ifndef LUTRA_QAT_TRAINING_PROGRAM_H_
#define LUTRA_QAT_TRAINING_PROGRAM_H_

#include <cstddef>
#include <memory>
#include <set>
#include <string>

#include "lutra/kernels/executor.h"
#include "lutra/kernels/span.h"
#include "lutra/qat/tensor.h"
#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"

namespace lutra::qat {

// The rows of a call that belong together: tokens of one text, in order, from
// `position` on (0 in graphs with an operator that remembers tokens, see
// IsStateful). Where rows are independent, one sequence holds them all.
struct TrainingSequence {
  size_t rows = 0;
  size_t position = 0;
};

// A graph over parameters as the runtime sees it, where they lie: they must
// outlive it and keep their addresses. Throws lutra::Error for parameters that
// are missing or do not fit.
std::shared_ptr<const Model> ModelOf(const Graph& graph,
                                     const TensorMap& parameters);

struct TrainingProgramOptions {
  // Must outlive the program; nullptr: the calling thread.
  Executor* executor = nullptr;
  // Parameters that have no gradient.
  std::set<std::string, std::less<>> frozen = {};
  // Parameters that may not be the graph's, but whose gradients are wanted
  // beside the others: somebody else adds to them.
  std::set<std::string, std::less<>> others = {};
  // Whether gradients with respect to the float inputs are computed as well.
  bool input_gradients = false;
  // Whether most of what the forward half leaves is computed again where the
  // backward half needs it, instead of kept: one more forward half in time, for
  // a fraction of the memory. The results have the same bits.
  bool recompute = false;
};

// A graph with float weights, run forward by the steps of the runtime, which
// are what an app runs, and backward by the gradients of their operators:
// reverse-mode differentiation (Griewank and Walther, "Evaluating
// Derivatives", 2008). One arena holds what the forward half leaves for the
// backward half, gradients of values, and scratch, each only while it is
// needed.
//
// A value or parameter that several nodes use receives the sum of their
// gradients. Not thread-safe. Results have the same bits for any number of
// threads.
class TrainingProgram {
 public:
  // `parameters` must outlive the program. Their values may change between
  // calls; their shapes and addresses may not. Throws lutra::Error when a
  // parameter is missing or a shape does not fit.
  TrainingProgram(const Graph& graph, const TensorMap& parameters,
                  const TrainingProgramOptions& options);
  ~TrainingProgram();
  TrainingProgram(TrainingProgram&&) noexcept;
  TrainingProgram& operator=(TrainingProgram&&) noexcept;

  const Model& model() const;

  // Plans memory for calls of up to `sequences` sequences of up to `longest`
  // rows. What was reserved before stays. Throws lutra::Error.
  void Reserve(size_t sequences, size_t longest);
  size_t ArenaBytes() const;

  // inputs[i]: float or int32 [all rows, shape of input i], in the graph's
  // order. Reserves what has not been reserved, and allocates nothing else.
  // Throws lutra::Error for an id that is out of range or a wrong number of
  // inputs.
  void Forward(Span<const TrainingSequence> sequences,
               Span<const void* const> inputs);
  // With `rows` independent rows, or one sequence of them.
  void Forward(size_t rows, Span<const void* const> inputs);

  // Float [rows, shape of output `index`], valid until Backward.
  Span<const float> Output(size_t index) const;
  // Values per row of an output.
  size_t OutputWidth(size_t index) const;

  // Sets the gradients of all parameters to zero.
  void ClearGradients();
  // Propagates the gradients of some loss with respect to every output, laid
  // out as the outputs, back to all parameters, where they are added to what is
  // there (of other parts of a batch). Call after Forward.
  void Backward(Span<const float* const> output_gradients);

  // Gradients by parameter name, for the parameters that the graph trains and
  // those of `others`; the addresses stay the same. All zero at first, and for
  // a parameter that no output depends on.
  TensorMap& gradients();
  const TensorMap& gradients() const;

  // With respect to float input `index`, [rows, shape of the input], valid
  // until the next Forward. Empty unless the options ask for it.
  Span<const float> InputGradient(size_t index) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAINING_PROGRAM_H_
