#include "packer/encode/two_level_scales.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/base/half.h"

namespace lutra::packer {
namespace {

constexpr int kMost = 127;
// The largest scale of a span takes at least this number: below, numbers are
// coarser than half of what they could be.
constexpr int kLeast = 64;

float Rounded(float scale, float super) {
  const float number =
      std::clamp(std::nearbyint(scale / super), -static_cast<float>(kMost),
                 static_cast<float>(kMost));
  return number * super;
}

double Cost(std::span<const double> weights, std::span<const float> scales,
            float super) {
  double cost = 0;
  for (size_t i = 0; i < scales.size(); ++i) {
    const double change = double{Rounded(scales[i], super)} - scales[i];
    cost += weights[i] * change * change;
  }
  return cost;
}

float RoundSuper(kernels::ScaleType type, float super) {
  switch (type) {
    case kernels::ScaleType::kBFloat16:
      return RoundToBFloat16(super);
    case kernels::ScaleType::kFloat16:
      return RoundToFloat16(super);
    default:
      return super;
  }
}

float FindSuper(kernels::ScaleType type, std::span<const double> weights,
                std::span<const float> scales) {
  float largest = 0;
  for (const float scale : scales) largest = std::max(largest, std::abs(scale));
  float best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int number = kMost; number >= kLeast; --number) {
    const float super = RoundSuper(type, largest / static_cast<float>(number));
    if (super == 0 || !std::isfinite(super)) continue;
    const double cost = Cost(weights, scales, super);
    if (cost >= least) continue;
    least = cost;
    best = super;
  }
  return best;
}

}  // namespace

void RoundToTwoLevels(const kernels::LutFormat& format,
                      std::span<const double> weights, std::span<float> scales,
                      std::span<float> super_scales) {
  const size_t span = format.super_span == kernels::SuperSpan::kRow
                          ? scales.size()
                          : kernels::kSuperColumns / format.group_size;
  for (size_t i = 0; i < super_scales.size(); ++i) {
    const size_t count = std::min(span, scales.size() - i * span);
    const std::span<float> part = scales.subspan(i * span, count);
    const float super =
        FindSuper(format.super_type, weights.subspan(i * span, count), part);
    super_scales[i] = super;
    for (float& scale : part) scale = super == 0 ? 0 : Rounded(scale, super);
  }
}

}  // namespace lutra::packer
