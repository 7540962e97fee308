#include "packer/lattice/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace lutra::packer {
namespace {

// What the codes stand for.
void FillLevels(const Grid& grid, DType type, const GroupFit& fit,
                std::vector<float>& levels) {
  levels.resize(grid.level_count);
  for (size_t code = 0; code < levels.size(); ++code) {
    levels[code] = GridValue(grid, type, static_cast<uint8_t>(code), fit.scale,
                             fit.offset);
  }
}

// The code whose value is nearest; the lower of two. Levels rise, or fall where
// the scale is negative.
uint8_t Nearest(std::span<const float> levels, float weight) {
  const bool rising = levels.front() <= levels.back();
  size_t first = 0;
  size_t last = levels.size() - 1;
  while (first < last) {
    const size_t middle = (first + last) / 2;
    const bool before =
        rising ? levels[middle] < weight : levels[middle] > weight;
    (before ? first : last) = before ? middle + 1 : middle;
  }
  if (first > 0 && std::abs(levels[first - 1] - weight) <=
                       std::abs(levels[first] - weight)) {
    --first;
  }
  return static_cast<uint8_t>(first);
}

}  // namespace

GroupFit NearestOnGrid(const Grid& grid, DType type, const NumberTypes& types,
                       std::span<const float> weights, uint8_t* codes) {
  // Scales from that which reaches the outermost weight down to half of it.
  constexpr int kSteps = 32;
  std::vector<float> finite(weights.begin(), weights.end());
  for (float& weight : finite) {
    if (!std::isfinite(weight)) weight = 0;
  }
  const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
  const double middle = (double{*least} + *most) / 2;
  const double largest = std::max(std::abs(*least), std::abs(*most));
  const bool shifted = grid.rule != Grid::Rule::kScale;
  const double outermost = shifted ? (double{*most} - *least) / grid.widest
                                   : largest / (grid.whole ? grid.largest : 1);
  double cost = std::numeric_limits<double>::infinity();
  GroupFit best;
  std::vector<float> levels;
  for (int i = 0; i < 2 * kSteps; ++i) {
    GroupFit fit;
    const double size = outermost * (1 - 0.5 * (i / 2) / kSteps);
    // Of a grid that is not symmetric the longer side may be either.
    fit.scale = RoundTo(types.scale, i % 2 == 0 || shifted ? size : -size);
    if (grid.rule == Grid::Rule::kOffset) {
      fit.offset =
          static_cast<float>(middle - 0.5 * grid.widest * double{fit.scale});
    } else if (shifted && fit.scale != 0) {
      const double zero = std::clamp(
          std::nearbyint(0.5 * grid.widest - middle / double{fit.scale}), 0.0,
          static_cast<double>(grid.widest));
      fit.offset = static_cast<float>(
          StoresZeroPoint(grid, type) ? zero : -zero * double{fit.scale});
    }
    FillLevels(grid, type, fit, levels);
    double sum = 0;
    for (const float weight : finite) {
      const double error = double{levels[Nearest(levels, weight)]} - weight;
      sum += error * error;
    }
    if (!(sum < cost)) continue;
    cost = sum;
    best = fit;
  }
  FillLevels(grid, type, best, levels);
  for (size_t i = 0; i < finite.size(); ++i) {
    codes[i] = Nearest(levels, finite[i]);
  }
  return best;
}

}  // namespace lutra::packer
