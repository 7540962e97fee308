#ifndef LUTRA_TESTS_GOLDEN_REPLAY_PARQ_LINEAR_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_PARQ_LINEAR_H_

#include <span>
#include <string>

#include "tests/golden_replay/comparison.h"

namespace lutra::qat {

struct LinearShape {
  size_t m;  // tokens
  size_t n;  // outputs
  size_t k;  // inputs
};

// Compares x [m, k] * w^T [n, k] + bias [n] (may be empty) with `expected`, to
// 1e-5 of the largest sum of absolute products in the row: the summation order
// of matrix products is not defined.
void CompareLinear(const std::string& what, const LinearShape& shape,
                   std::span<const float> x, std::span<const float> w,
                   std::span<const float> bias, std::span<const float> expected,
                   golden::Comparison& comparison);

}  // namespace lutra::qat

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_PARQ_LINEAR_H_
