#include <algorithm>
#include <cmath>
#include <limits>

#include "lutra/qat/quantizers.h"
#include "qat/grids/run_quantizer.h"

namespace lutra::qat {
namespace {

// Shares of the range between minimum and maximum that the search begins with.
constexpr int kRanges = 11;
constexpr double kRangeStep = 0.05;
constexpr int kRounds = 3;

// Levels offset + k scale, k = 0 ... last.
struct Line {
  double scale = 0;
  double offset = 0;
  int last = 0;

  int Nearest(double x) const {
    return static_cast<int>(
        std::clamp(std::nearbyint((x - offset) / scale), 0.0, double(last)));
  }
};

double SquaredError(const float* p, size_t n, const Line& line) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    const double error = p[i] - (line.offset + line.scale * line.Nearest(p[i]));
    sum += error * error;
  }
  return sum;
}

// The line through the points (nearest level, value) with the smallest squared
// error; false if all values have the same level, or it falls.
bool Fit(const float* p, size_t n, Line& line) {
  double sums[4] = {};  // of k, k^2, p, k p
  for (size_t i = 0; i < n; ++i) {
    const double k = line.Nearest(p[i]);
    sums[0] += k;
    sums[1] += k * k;
    sums[2] += p[i];
    sums[3] += k * p[i];
  }
  const auto count = static_cast<double>(n);
  const double spread = count * sums[1] - sums[0] * sums[0];
  if (spread <= 0) return false;
  const double scale = (count * sums[3] - sums[0] * sums[2]) / spread;
  if (!(scale > std::numeric_limits<float>::min())) return false;
  line.scale = scale;
  line.offset = (sums[2] - scale * sums[0]) / count;
  return true;
}

class MseAsymmetricQuantizer : public RunQuantizer {
 public:
  MseAsymmetricQuantizer() : RunQuantizer("mse-asymmetric", /*center=*/false) {}

  size_t GridSize(int bits) const override {
    CheckBits(bits, 1, kMaxGridBits);
    return size_t{1} << bits;
  }

 private:
  void QuantizeRun(const Run& run, int bits) const override {
    const auto [least, most] = std::minmax_element(run.p, run.p + run.n);
    const int last = (1 << bits) - 1;
    const double range = static_cast<double>(*most) - *least;
    const double middle = (static_cast<double>(*most) + *least) / 2;
    Line best{std::max<double>(range / last, std::numeric_limits<float>::min()),
              *least, last};
    double least_error = SquaredError(run.p, run.n, best);
    for (int i = 0; i < kRanges && least_error > 0; ++i) {
      const double part = range * (1 - kRangeStep * i);
      Line line{part / last, middle - part / 2, last};
      if (!(line.scale > std::numeric_limits<float>::min())) break;
      for (int round = 0; round < kRounds; ++round) {
        if (!Fit(run.p, run.n, line)) break;
      }
      const double error = SquaredError(run.p, run.n, line);
      if (error >= least_error) continue;
      least_error = error;
      best = line;
    }
    const Line stored{static_cast<float>(best.scale),
                      static_cast<float>(best.offset), last};
    for (size_t i = 0; i < run.levels; ++i) {
      run.grid[i] = static_cast<float>(stored.offset) +
                    static_cast<float>(stored.scale) * static_cast<float>(i);
    }
    for (size_t i = 0; i < run.n; ++i) {
      run.q[i] = run.grid[stored.Nearest(run.p[i])];
    }
  }
};

}  // namespace

std::unique_ptr<Quantizer> MakeMseAsymmetricQuantizer() {
  return std::make_unique<MseAsymmetricQuantizer>();
}

}  // namespace lutra::qat
