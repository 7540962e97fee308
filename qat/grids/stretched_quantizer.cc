#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/base/clones.h"
#include "lutra/qat/quantizers.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/stretched.h"

namespace lutra::qat {
namespace {

class StretchedQuantizer : public Quantizer {
 public:
  std::string_view name() const override { return "stretched"; }

  size_t GridSize(int bits) const override {
    CheckBitsOf(name(), bits, 1, kMaxGridBits);
    return size_t{1} << bits;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    return MakeTable(1 - static_cast<int>(levels), 2, levels);
  }

  // All scales of some runs first: each is a long chain of dependent
  // operations, and without other work in between the CPU overlaps them.
  void Quantize(const GridView& p, int bits, float* q,
                float* grid) const override {
    const size_t n = p.per_row ? p.columns : p.rows * p.columns;
    const size_t count = p.GridCount();
    const size_t levels = GridSize(bits);
    if (n == 0) {
      std::fill(grid, grid + count * levels, 0.0f);
      return;
    }
    std::vector<StretchedCode> codes;
    codes.reserve(std::min(count, kRunsAtOnce));
    for (size_t begin = 0; begin < count; begin += kRunsAtOnce) {
      const size_t end = std::min(begin + kRunsAtOnce, count);
      codes.clear();
      for (size_t i = begin; i < end; ++i) {
        codes.emplace_back(p.p + i * n, n, bits,
                           std::numeric_limits<float>::min());
      }
      QuantizeRuns(codes.data(), end - begin, p.p + begin * n, n,
                   q + begin * n);
      const auto half = static_cast<float>(1 << (bits - 1));
      for (size_t i = begin; i < end; ++i) {
        for (size_t level = 0; level < levels; ++level) {
          grid[i * levels + level] =
              codes[i - begin].Dequantize(static_cast<float>(level) - half);
        }
      }
    }
  }

 private:
  static constexpr size_t kRunsAtOnce = 64;

  LUTRA_CLONES static void QuantizeRuns(const StretchedCode* codes,
                                        size_t count, const float* p, size_t n,
                                        float* q) {
    for (size_t run = 0; run < count; ++run) {
      const StretchedCode code = codes[run];
      for (size_t i = run * n; i < (run + 1) * n; ++i) {
        q[i] = code.Dequantize(code.Quantize(p[i]));
      }
    }
  }
};

}  // namespace

std::unique_ptr<Quantizer> MakeStretchedQuantizer() {
  return std::make_unique<StretchedQuantizer>();
}

}  // namespace lutra::qat
