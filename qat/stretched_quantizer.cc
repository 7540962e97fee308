#include <limits>

#include "lutra/qat/quantizers.h"
#include "qat/run_quantizer.h"
#include "qat/stretched.h"

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
    const StretchedCode code(run.p, run.n, bits,
                             std::numeric_limits<float>::min());
    for (size_t i = 0; i < run.n; ++i) {
      run.q[i] = code.Dequantize(code.Quantize(run.p[i]));
    }
    const auto half = static_cast<float>(1 << (bits - 1));
    for (size_t i = 0; i < run.levels; ++i) {
      run.grid[i] = code.Dequantize(static_cast<float>(i) - half);
    }
  }
};

}  // namespace

std::unique_ptr<Quantizer> MakeStretchedQuantizer() {
  return std::make_unique<StretchedQuantizer>();
}

}  // namespace lutra::qat
