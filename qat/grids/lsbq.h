#ifndef LUTRA_QAT_GRIDS_LSBQ_H_
#define LUTRA_QAT_GRIDS_LSBQ_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "lutra/qat/quantizers.h"

namespace lutra::qat {

// The optimal forms, for 0 and 2 bits (1 bit is the greedy one).
std::unique_ptr<Quantizer> MakeOptimalLsbqQuantizer(const LsbqOptions& options);

// -1 for x < 0, else 1.
inline float SignOf(float x) { return x < 0.0f ? -1.0f : 1.0f; }

// Subtracts the levels' nearer one: one greedy step.
inline float Residual(float x, float v) { return x - SignOf(x) * v; }

// What candidates of optimal grids are made of: |p| ascending, and its running
// sums, accumulated in double, each rounded to float.
struct SortedMagnitudes {
  SortedMagnitudes(const float* p, size_t n);

  size_t size() const { return values.size(); }
  float total() const { return sums.back(); }
  // Mean of the values after index i, and of those up to it.
  float MeanAbove(size_t i) const {
    return (total() - sums[i]) / static_cast<float>(size() - 1 - i);
  }
  float MeanUpTo(size_t i) const { return sums[i] / static_cast<float>(i + 1); }

  std::vector<float> values;
  std::vector<float> sums;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_LSBQ_H_
