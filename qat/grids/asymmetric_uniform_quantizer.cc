#include <algorithm>
#include <limits>

#include "lutra/qat/quantizers.h"
#include "qat/grids/rounding.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

constexpr float kFinest = 1.0f / (1 << 22);

class AsymmetricUniformQuantizer : public RunQuantizer {
 public:
  AsymmetricUniformQuantizer(bool center, bool compat)
      : RunQuantizer("asymmetric-uniform", center), compat_(compat) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, 1, kMaxGridBits);
    return size_t{1} << bits;
  }

 private:
  void QuantizeRun(const Run& run, int bits) const override {
    const Range range = MinMax(run.p, run.n);
    const auto last = static_cast<float>(run.levels - 1);
    float s = std::max((range.max - range.min) / last,
                       std::numeric_limits<float>::min());
    // Values far from zero for their range: keeps z an exact integer.
    if (!compat_) s = std::max(s, MaxMagnitude(run.p, run.n) * kFinest);
    const float z = RoundHalfEven(range.min / s);
    const float first = compat_ ? -static_cast<float>(1 << (bits - 1)) : z;
    for (size_t i = 0; i < run.n; ++i) {
      float k = RoundHalfEven(run.p[i] / s);
      // The sum is not always k again, and upstream does not clip.
      k = compat_ ? (k - z) + z : std::clamp(k, z, z + last);
      run.q[i] = k * s;
    }
    for (size_t i = 0; i < run.levels; ++i) {
      run.grid[i] = (first + static_cast<float>(i)) * s;
    }
  }

  bool compat_;
};

}  // namespace

std::unique_ptr<Quantizer> MakeAsymmetricUniformQuantizer(bool center,
                                                          bool compat) {
  return std::make_unique<AsymmetricUniformQuantizer>(center, compat);
}

}  // namespace lutra::qat
