#ifndef LUTRA_QAT_GRIDS_SUMMATION_H_
#define LUTRA_QAT_GRIDS_SUMMATION_H_

#include <cstddef>

// Sums in a defined order, so that a grid has the same bits on every CPU and
// for every thread count, and the same as PyTorch's generic CPU code
// (aten/src/ATen/native/cpu/SumKernel.cpp): eight lanes, four interleaved
// accumulators, and a four-level cascade above 512 values.

namespace lutra::qat {

float Sum(const float* p, size_t n);
float SumOfMagnitudes(const float* p, size_t n);

// Sum / n. n > 0.
float Mean(const float* p, size_t n);
float MeanOfMagnitudes(const float* p, size_t n);

// Largest |p[i]|; 0 for no values.
float MaxMagnitude(const float* p, size_t n);

struct Range {
  float min = 0.0f;
  float max = 0.0f;
};
// n > 0.
Range MinMax(const float* p, size_t n);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_SUMMATION_H_
