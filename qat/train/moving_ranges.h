#ifndef LUTRA_QAT_TRAIN_MOVING_RANGES_H_
#define LUTRA_QAT_TRAIN_MOVING_RANGES_H_

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "lutra/qat/activations.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/qat/tensor.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/graph.h"

namespace lutra::qat {

// Fixed ranges of activations that follow a training: the means of what occurs
// in the batches that are looked at, with inputs that are not rounded.
class MovingRanges {
 public:
  // `parameters` and `executor` must outlive this. Throws lutra::Error.
  MovingRanges(const Graph& graph, const TensorMap& parameters,
               const std::vector<StaticInput>& values, Executor* executor);

  // Plans memory for batches of that size, and says how much it is.
  size_t Reserve(size_t sequences, size_t longest);
  // Adds a batch to the statistics. Throws lutra::Error for values that are not
  // finite.
  void Look(Span<const TrainingSequence> sequences, const void* input);
  // Gives the nodes their ranges.
  void SetRanges(Graph& graph) const;

  RangeStatistics& statistics() { return statistics_; }

 private:
  std::vector<StaticInput> values_;
  TrainingProgram program_;
  RangeStatistics statistics_;
};

// Without the ranges of these values.
Graph WithoutRangesOf(const std::set<std::string>& values, Graph graph);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_MOVING_RANGES_H_
