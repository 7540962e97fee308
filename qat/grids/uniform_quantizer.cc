#include <algorithm>
#include <cmath>
#include <limits>

#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "qat/grids/rounding.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

class UniformQuantizer : public RunQuantizer {
 public:
  UniformQuantizer(std::string_view name, int min_bits,
                   const UniformOptions& options)
      : RunQuantizer(name, options.center),
        min_bits_(min_bits),
        options_(options) {
    if (!(options.int_shift >= 0.0 && options.int_shift <= 1.0) ||
        !(std::fabs(options.zero_point) <= 1.0)) {
      throw Error(
          "uniform quantizer: int_shift must lie in [0, 1] and zero_point in "
          "[-1, 1]");
    }
  }

  size_t GridSize(int bits) const override {
    CheckBits(bits, min_bits_, kMaxGridBits);
    if (Bound(bits) <= 0.0) CheckBits(bits, 2, kMaxGridBits);
    return static_cast<size_t>(std::ldexp(1.0, bits) -
                               2.0 * options_.int_shift) +
           1;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    const double twice_first = -2.0 * Bound(bits);
    // With other options rounding does not end on the grid.
    const double rest = Bound(bits) - options_.zero_point;
    if (center() || rest != std::floor(rest) ||
        twice_first != std::floor(twice_first)) {
      return std::nullopt;
    }
    // Half-integer levels are doubled (and the scale halved).
    const int first = static_cast<int>(twice_first);
    return first % 2 == 0 ? MakeTable(first / 2, 1, levels)
                          : MakeTable(first, 2, levels);
  }

 private:
  // The largest level in units of the scale.
  double Bound(int bits) const {
    return std::ldexp(1.0, bits - 1) - options_.int_shift;
  }

  void QuantizeRun(const Run& run, int bits) const override {
    const auto bound = static_cast<float>(Bound(bits));
    const auto zero_point = static_cast<float>(options_.zero_point);
    float max = MaxMagnitude(run.p, run.n);
    if (options_.scale == UniformOptions::Scale::kMean) {
      const auto multiple = static_cast<float>(bits);
      max = std::min(multiple * MeanOfMagnitudes(run.p, run.n), max);
    }
    max = std::max(max, std::numeric_limits<float>::min());
    const float s = max / bound;
    for (size_t i = 0; i < run.n; ++i) {
      const float low = run.p[i] < -max ? -max : run.p[i];
      const float x = low > max ? max : low;
      const float k = RoundHalfEvenSmall(x / s - zero_point);
      run.q[i] = (k + zero_point) * s;
    }
    for (size_t i = 0; i < run.levels; ++i) {
      run.grid[i] = (static_cast<float>(i) - bound) * s;
    }
  }

  int min_bits_;
  UniformOptions options_;
};

}  // namespace

std::unique_ptr<Quantizer> MakeUniformQuantizer(const UniformOptions& options) {
  return std::make_unique<UniformQuantizer>("uniform", 1, options);
}

std::unique_ptr<Quantizer> MakeMaxUniformQuantizer(bool center,
                                                   std::string_view name) {
  const UniformOptions options{UniformOptions::Scale::kMax, 1.0, 0.0, center};
  return std::make_unique<UniformQuantizer>(name, 2, options);
}

}  // namespace lutra::qat
