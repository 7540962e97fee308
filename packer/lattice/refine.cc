#include "packer/lattice/refine.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/base/half.h"
#include "packer/lattice/rounding.h"

namespace lutra::packer {
namespace {

using kernels::ScaleType;

// The number of the type that is `steps` further from 0.
float Step(ScaleType type, float number, int steps) {
  switch (type) {
    case ScaleType::kBFloat16:
      return FloatFromBFloat16(
          static_cast<uint16_t>(BFloat16FromFloat(number) + steps));
    case ScaleType::kFloat16:
      return FloatFromFloat16(
          static_cast<uint16_t>(Float16FromFloat(number) + steps));
    default:
      break;
  }
  return std::bit_cast<float>(std::bit_cast<uint32_t>(number) +
                              static_cast<uint32_t>(steps));
}

bool GivesBack(const Grid& grid, DType type, std::span<const float> weights,
               std::span<const uint8_t> codes, float scale, float offset) {
  for (size_t i = 0; i < weights.size(); ++i) {
    const float value = GridValue(grid, type, codes[i], scale, offset);
    if (RoundTo(type, value) != weights[i]) return false;
  }
  return true;
}

// Calls attempt(number) with a number and its neighbours until it returns true.
template <typename Attempt>
bool AnyNear(ScaleType type, double number, const Attempt& attempt) {
  const float middle = RoundTo(type, number);
  if (middle == 0 || !std::isfinite(middle)) return attempt(middle);
  for (const int steps : {0, 1, -1, 2, -2}) {
    const float near = Step(type, middle, steps);
    if (std::isfinite(near) && attempt(near)) return true;
  }
  return false;
}

// Sums of least squares over levels q less `zero` and weights w.
struct Sums {
  double q = 0;
  double w = 0;
  double qq = 0;
  double qw = 0;

  Sums(const Grid& grid, std::span<const float> weights,
       std::span<const uint8_t> codes, double zero) {
    for (size_t i = 0; i < weights.size(); ++i) {
      const double level = grid.levels[codes[i]] - zero;
      q += level;
      w += double{weights[i]};
      qq += level * level;
      qw += level * double{weights[i]};
    }
  }
};

}  // namespace

void Refine(const Grid& grid, DType type, const NumberTypes& types,
            std::span<const float> weights, std::span<const uint8_t> codes,
            GroupFit& fit) {
  // Float32 weights leave no choice.
  if (type == DType::kFloat32 || fit.scale == 0) return;
  if (grid.rule != Grid::Rule::kOffset) {
    // An offset is a whole number of scales here.
    const double zero =
        grid.rule == Grid::Rule::kScale
            ? 0
            : std::nearbyint(-double{fit.offset} / double{fit.scale});
    const Sums sums(grid, weights, codes, zero);
    if (sums.qq == 0) return;
    AnyNear(types.scale, sums.qw / sums.qq, [&](float scale) {
      const float offset = grid.rule == Grid::Rule::kScale
                               ? 0.0f
                               : -static_cast<float>(zero) * scale;
      if (!GivesBack(grid, type, weights, codes, scale, offset)) return false;
      fit.scale = scale;
      fit.offset = offset;
      return true;
    });
    return;
  }
  const Sums sums(grid, weights, codes, 0);
  const auto count = static_cast<double>(weights.size());
  const double spread = sums.qq - sums.q * sums.q / count;
  if (spread <= 0) return;
  const double slope = (sums.qw - sums.q * sums.w / count) / spread;
  AnyNear(types.scale, slope, [&](float scale) {
    const double rest = (sums.w - double{scale} * sums.q) / count;
    return AnyNear(types.offset, rest, [&](float offset) {
      if (!GivesBack(grid, type, weights, codes, scale, offset)) return false;
      fit.scale = scale;
      fit.offset = offset;
      return true;
    });
  });
}

}  // namespace lutra::packer
