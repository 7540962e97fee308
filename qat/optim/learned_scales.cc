#include "qat/optim/learned_scales.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lutra/qat/prox_maps.h"

namespace lutra::qat {

void LogScalesOf(Span<const float> grids, Span<const int8_t> table,
                 size_t levels, float* log_scales) {
  const auto last = static_cast<float>(table[levels - 1]);
  for (size_t i = 0; i < grids.size() / levels; ++i) {
    const float scale = grids[(i + 1) * levels - 1] / last;
    log_scales[i] =
        std::log(std::max(scale, std::numeric_limits<float>::min()));
  }
}

void GridsOf(Span<const float> log_scales, Span<const int8_t> table,
             size_t levels, float* grids) {
  for (const float log_scale : log_scales) {
    const float scale = std::exp(log_scale);
    for (size_t i = 0; i < levels; ++i) {
      *grids++ = static_cast<float>(table[i]) * scale;
    }
  }
}

float LogScaleGradient(const float* weights, const float* gradients, size_t n,
                       Span<const float> grid, float* nearest) {
  NearestLevels({weights, n}, grid, nearest);
  const float lowest = grid[0];
  const float highest = grid[grid.size() - 1];
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) {
    const float w = weights[i];
    const bool clipped = w < lowest || w > highest;
    const float slope = clipped ? nearest[i] : nearest[i] - w;
    sum += static_cast<double>(gradients[i]) * static_cast<double>(slope);
  }
  return static_cast<float>(sum);
}

}  // namespace lutra::qat
