#ifndef LUTRA_QAT_GRAD_RECOMPUTE_H_
#define LUTRA_QAT_GRAD_RECOMPUTE_H_

#include <cstddef>
#include <span>
#include <vector>

// What a training step computes again in its backward half, in place of keeping
// it from the forward half: Chen, Xu, Zhang and Guestrin, "Training Deep Nets
// with Sublinear Memory Cost", 2016.

namespace lutra::qat {

// An operation with values by their numbers, in the order of the forward half.
struct PlannedOperation {
  std::vector<size_t> inputs;
  size_t output = 0;
  size_t width = 0;  // of the output: elements per row
  bool has_backward = false;
  std::vector<size_t> read_backward;  // values that its backward step reads
};

// A step of the backward half.
struct LateStep {
  size_t operation = 0;
  bool again = false;  // the forward step once more, not the backward step
};

// First operations of the parts of the graph whose inner values are not kept:
// only one part's are there at a time, beside those that go from one part to
// another. The first is 0; the parts are chosen for the least memory.
std::vector<size_t> RecomputedParts(
    std::span<const PlannedOperation> operations,
    std::span<const size_t> outputs);

// The backward half: the backward steps in reverse order, and before those of a
// part the forward steps that they need once more. The last part, which has
// just run, needs none; nor do `outputs` and what other parts use, which are
// kept.
std::vector<LateStep> BackwardHalf(std::span<const PlannedOperation> operations,
                                   std::span<const size_t> outputs,
                                   std::span<const size_t> parts);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_RECOMPUTE_H_
