#include <algorithm>
#include <cmath>
#include <limits>

#include "lutra/runtime/error.h"
#include "qat/grids/lsbq.h"
#include "qat/grids/lsbq_compat.h"
#include "qat/grids/run_quantizer.h"

namespace lutra::qat {
namespace {

// LsbqLevels +-v1 +-v2 with v1 >= v2; ternary: -v1, 0, v1.
struct LsbqLevels {
  float v1 = 0.0f;
  float v2 = 0.0f;
};

// All grids of which no single level can be moved to advantage: for some
// threshold each magnitude's level is the mean of the magnitudes on its side.
std::vector<LsbqLevels> Candidates(const SortedMagnitudes& magnitudes,
                                   int bits) {
  const size_t n = magnitudes.size();
  const std::vector<float>& a = magnitudes.values;
  const float mean = magnitudes.total() / static_cast<float>(n);
  // All on the upper side; there may be nothing better.
  std::vector<LsbqLevels> result;
  result.push_back(bits == 0 ? LsbqLevels{mean, 0.0f}
                             : LsbqLevels{mean / 2.0f, mean / 2.0f});
  for (size_t i = 0; i + 1 < n; ++i) {
    const float hi = magnitudes.MeanAbove(i);
    const float lo = bits == 0 ? 0.0f : magnitudes.MeanUpTo(i);
    if (hi < lo) continue;  // by rounding
    const float threshold = (hi + lo) / 2.0f;
    if (!(a[i] <= threshold && threshold < a[i + 1])) continue;
    result.push_back(bits == 0 ? LsbqLevels{hi, 0.0f}
                               : LsbqLevels{threshold, (hi - lo) / 2.0f});
  }
  return result;
}

// A value exactly between two levels goes to the lower one.
float Nearest(float p, const LsbqLevels& levels, int bits) {
  if (bits == 0) {
    if (p > levels.v1 / 2.0f) return levels.v1;
    return p > -levels.v1 / 2.0f ? 0.0f : -levels.v1;
  }
  const float first = SignOf(p) * levels.v1;
  return first + SignOf(p - first) * levels.v2;
}

double SquaredError(const float* p, size_t n, const LsbqLevels& levels,
                    int bits) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) {
    const double e = static_cast<double>(p[i]) -
                     static_cast<double>(Nearest(p[i], levels, bits));
    sum += e * e;
  }
  return sum;
}

class OptimalLsbqQuantizer : public RunQuantizer {
 public:
  explicit OptimalLsbqQuantizer(const LsbqOptions& options)
      : RunQuantizer("lsbq-optimal", options.center),
        greedy_(MakeLsbqQuantizer(
            {false, false, options.ternary_multiplier, options.compat})) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, 0, 2);
    return bits == 0 ? 3 : size_t{1} << bits;
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const size_t levels = GridSize(bits);
    if (bits > 1 || center()) return std::nullopt;
    return MakeTable(-1, bits == 0 ? 1 : 2, levels);
  }

 private:
  void QuantizeRun(const Run& run, int bits) const override {
    if (bits == 1) {  // the greedy grid is optimal
      greedy_->Quantize({run.p, 1, run.n, false}, bits, run.q, run.grid);
      return;
    }
    const SortedMagnitudes magnitudes(run.p, run.n);
    LsbqLevels best;
    double least = std::numeric_limits<double>::infinity();
    for (const LsbqLevels& levels : Candidates(magnitudes, bits)) {
      const double error = SquaredError(run.p, run.n, levels, bits);
      if (error < least) {
        least = error;
        best = levels;
      }
    }
    for (size_t i = 0; i < run.n; ++i) {
      run.q[i] = Nearest(run.p[i], best, bits);
    }
    if (bits == 0) {
      run.grid[0] = -best.v1;
      run.grid[1] = 0.0f;
      run.grid[2] = best.v1;
    } else {
      run.grid[0] = -best.v1 - best.v2;
      run.grid[1] = -best.v1 + best.v2;
      run.grid[2] = best.v1 - best.v2;
      run.grid[3] = best.v1 + best.v2;
    }
  }

  std::unique_ptr<Quantizer> greedy_;
};

}  // namespace

SortedMagnitudes::SortedMagnitudes(const float* p, size_t n)
    : values(n), sums(n) {
  std::transform(p, p + n, values.begin(),
                 [](float x) { return std::fabs(x); });
  std::sort(values.begin(), values.end());
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) {
    sum += static_cast<double>(values[i]);
    sums[i] = static_cast<float>(sum);
  }
}

std::unique_ptr<Quantizer> MakeOptimalLsbqQuantizer(
    const LsbqOptions& options) {
  if (options.compat) return MakeCompatOptimalLsbqQuantizer(options);
  return std::make_unique<OptimalLsbqQuantizer>(options);
}

}  // namespace lutra::qat
