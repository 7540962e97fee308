#include <algorithm>
#include <limits>

#include "lutra/qat/quantizers.h"
#include "qat/rounding.h"
#include "qat/run_quantizer.h"
#include "qat/summation.h"

namespace lutra::qat {
namespace {

class StretchedQuantizer : public RunQuantizer {
 public:
  StretchedQuantizer() : RunQuantizer("stretched", /*center=*/false) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, 1, kMaxGridBits);
    return size_t{1} << bits;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    return MakeTable(1 - static_cast<int>(levels), 2, levels);
  }

 private:
  void QuantizeRun(const Run& run, int bits) const override {
    const auto half = static_cast<float>(1 << (bits - 1));
    const float bound = half - 0.5f;
    const float max = std::max(
        std::min(static_cast<float>(bits) * MeanOfMagnitudes(run.p, run.n),
                 MaxMagnitude(run.p, run.n)),
        std::numeric_limits<float>::min());
    const float s = max / bound;
    // s * bound is not always max: upstream clips to the product.
    const float clip = s * bound;
    for (size_t i = 0; i < run.n; ++i) {
      const float low = run.p[i] < -clip ? -clip : run.p[i];
      const float x = low > clip ? clip : low;
      const float k = RoundHalfEvenSmall(x / s - 0.5f);
      run.q[i] = (k + 0.5f) * s;
    }
    for (size_t i = 0; i < run.levels; ++i) {
      run.grid[i] = (static_cast<float>(i) - half + 0.5f) * s;
    }
  }
};

}  // namespace

std::unique_ptr<Quantizer> MakeStretchedQuantizer() {
  return std::make_unique<StretchedQuantizer>();
}

}  // namespace lutra::qat
