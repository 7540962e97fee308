#include <algorithm>
#include <limits>

#include "lutra/qat/quantizers.h"
#include "qat/grids/rounding.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

class TernaryQuantizer : public RunQuantizer {
 public:
  explicit TernaryQuantizer(bool center) : RunQuantizer("ternary", center) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, 0, 0);
    return 3;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    if (center()) return std::nullopt;
    return MakeTable(-1, 1, levels);
  }

 private:
  void QuantizeRun(const Run& run, int /*bits*/) const override {
    const float s = std::max(MaxMagnitude(run.p, run.n),
                             std::numeric_limits<float>::min()) /
                    1.5f;
    for (size_t i = 0; i < run.n; ++i) {
      // |p / s| is at most 1.5.
      const float k = RoundHalfEvenSmall(run.p[i] / s);
      const float low = k < -1.0f ? -1.0f : k;
      run.q[i] = (low > 1.0f ? 1.0f : low) * s;
    }
    run.grid[0] = -s;
    run.grid[1] = 0.0f;
    run.grid[2] = s;
  }
};

}  // namespace

std::unique_ptr<Quantizer> MakeTernaryQuantizer(bool center) {
  return std::make_unique<TernaryQuantizer>(center);
}

}  // namespace lutra::qat
