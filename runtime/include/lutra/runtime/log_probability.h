#ifndef LUTRA_RUNTIME_LOG_PROBABILITY_H_
#define LUTRA_RUNTIME_LOG_PROBABILITY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/kernels/span.h"

// How probable tokens are by their logits alone, whatever a sampler would do
// with these: natural logarithms of a softmax. The exp is that of
// lutra/kernels/vector_ops.h, sums are taken in double precision in the order
// of the ids, and the logarithm is a series of our own: the same bits on every
// machine, within 1e-6 of the exact value, or a part in 10^6 of it.
//
// Logits of minus infinity are allowed, but not for all tokens. Both functions
// throw Error for others that are not finite.

namespace lutra {

struct TokenLogProbability {
  int32_t id = 0;
  float log_probability = 0;
};

// Throws Error for an id outside the logits.
float LogProbability(Span<const float> logits, int32_t id);

// The `count` most probable tokens, by falling probability, of equal ones the
// lower id first. Throws Error if there are fewer logits.
std::vector<TokenLogProbability> TopLogProbabilities(Span<const float> logits,
                                                     size_t count);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_LOG_PROBABILITY_H_
