#include <algorithm>
#include <array>
#include <cmath>

#include "lutra/runtime/error.h"
#include "qat/grids/lsbq.h"
#include "qat/grids/run_quantizer.h"
#include "qat/grids/summation.h"

namespace lutra::qat {
namespace {

class LsbqQuantizer : public RunQuantizer {
 public:
  explicit LsbqQuantizer(const LsbqOptions& options)
      : RunQuantizer("lsbq", options.center), options_(options) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, 0, kMaxGridBits);
    return bits == 0 ? 3 : size_t{1} << bits;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    // More bits have a grid of a form of its own in every row.
    if (bits > 1 || center() || options_.compat) return std::nullopt;
    return MakeTable(-1, bits == 0 ? 1 : 2, levels);
  }

 private:
  bool NeedsScratch() const override { return true; }

  void QuantizeRun(const Run& run, int bits) const override {
    if (bits == 0) {
      QuantizeTernary(run);
    } else {
      QuantizeGreedily(run, bits);
    }
  }

  void QuantizeTernary(const Run& run) const {
    const float v = static_cast<float>(options_.ternary_multiplier) *
                    MeanOfMagnitudes(run.p, run.n);
    run.grid[0] = -v;
    run.grid[1] = 0.0f;
    run.grid[2] = v;
    const float low = -v / 2.0f;
    const float high = v / 2.0f;
    for (size_t i = 0; i < run.n; ++i) {
      const float above_low = run.p[i] > low ? 0.0f : -v;
      run.q[i] = run.p[i] > high ? v : above_low;
    }
  }

  void QuantizeGreedily(const Run& run, int bits) const {
    std::array<float, kMaxGridBits> v{};
    float* r = run.scratch;
    std::copy(run.p, run.p + run.n, r);
    for (int j = 0; j < bits; ++j) {
      const float mean = MeanOfMagnitudes(r, run.n);
      v[static_cast<size_t>(j)] = mean;
      // The chosen levels are summed from left to right, as those of the grid
      // are.
      if (!options_.compat) AddLevel(r, run.n, mean, j == 0, run.q);
      if (j + 1 == bits) break;
      for (size_t i = 0; i < run.n; ++i) r[i] = Residual(r[i], mean);
    }
    if (options_.compat) {
      const float last = v[static_cast<size_t>(bits - 1)];
      for (size_t i = 0; i < run.n; ++i) {
        run.q[i] = run.p[i] - Residual(r[i], last);
      }
    }
    FillGrid(run, bits, v);
  }

  static void AddLevel(const float* r, size_t n, float v, bool first,
                       float* q) {
    if (first) {
      for (size_t i = 0; i < n; ++i) q[i] = SignOf(r[i]) * v;
    } else {
      for (size_t i = 0; i < n; ++i) q[i] += SignOf(r[i]) * v;
    }
  }

  static void FillGrid(const Run& run, int bits,
                       const std::array<float, kMaxGridBits>& v) {
    for (size_t i = 0; i < run.levels; ++i) {
      float sum = 0.0f;
      for (int j = 0; j < bits; ++j) {
        const bool minus = ((i >> j) & 1) == 0;
        const float level = v[static_cast<size_t>(j)];
        sum = j == 0 ? (minus ? -level : level)
                     : (minus ? sum - level : sum + level);
      }
      run.grid[i] = sum;
    }
    std::sort(run.grid, run.grid + run.levels);
  }

  LsbqOptions options_;
};

}  // namespace

std::unique_ptr<Quantizer> MakeLsbqQuantizer(const LsbqOptions& options) {
  if (!(options.ternary_multiplier > 0.0) ||
      !std::isfinite(options.ternary_multiplier)) {
    throw Error("quantizer 'lsbq': the ternary multiplier must be above 0");
  }
  if (options.optimal) return MakeOptimalLsbqQuantizer(options);
  return std::make_unique<LsbqQuantizer>(options);
}

}  // namespace lutra::qat
