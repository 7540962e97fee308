#ifndef LUTRA_RUNTIME_OPS_EXPERTS_H_
#define LUTRA_RUNTIME_OPS_EXPERTS_H_

#include <cstddef>
#include <span>

namespace lutra {

// Definitions in plain C++ of what becomes of one token, to the bit, which the
// operators are tested against. expert_linear is defined by linear.

// route: numbers of the `count` largest logits, the largest first and of equal
// ones the first, then their weights: kernels::SoftmaxRow of all logits
// (`over_all`) or of the chosen ones, times their scales [logits], unless these
// are nullptr. `routes` is [2 * count].
void ReferenceRoute(std::span<const float> logits, size_t count, bool over_all,
                    const float* scales, float* routes);

// expert_sum of x [count, width]: y[j] = y[j] + weight[i] * x[i][j] for i in
// order, beginning with 0, every operation rounded by itself.
void ReferenceExpertSum(std::span<const float> x,
                        std::span<const float> weights, float* y);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_EXPERTS_H_
