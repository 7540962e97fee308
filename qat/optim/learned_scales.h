#ifndef LUTRA_QAT_OPTIM_LEARNED_SCALES_H_
#define LUTRA_QAT_OPTIM_LEARNED_SCALES_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/span.h"

// Grids that are a table times a scale whose logarithm is trained
// (QuantOptimizerOptions::learned_scales). A grid has `levels` of the table's
// entries; grids lie one after the other.

namespace lutra::qat {

// The logarithms of the scales of `grids`; scales of 0 count as the smallest
// number.
void LogScalesOf(Span<const float> grids, Span<const int8_t> table,
                 size_t levels, float* log_scales);

// The other way round, rounded once as packing rounds them.
void GridsOf(Span<const float> log_scales, Span<const int8_t> table,
             size_t levels, float* grids);

// The gradient of the logarithm of a scale: the sum over the n weights that
// share `grid` (ascending). `nearest` is scratch of n floats.
float LogScaleGradient(const float* weights, const float* gradients, size_t n,
                       Span<const float> grid, float* nearest);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_OPTIM_LEARNED_SCALES_H_
