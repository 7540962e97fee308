#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "lutra/qat/quantizers.h"
#include "qat/grids/rounding.h"
#include "qat/grids/run_quantizer.h"

namespace lutra::qat {
namespace {

// Of 4-bit floats with two bits for the exponent (OCP's E2M1), doubled.
constexpr int kFloat4Levels[] = {-12, -8, -6, -4, -3, -2, -1, 0,
                                 1,   2,  3,  4,  6,  8,  12};

// The integer levels of which a grid is a multiple: first, first + step, ...,
// or those of a list.
struct Levels {
  int first = 0;
  int step = 1;
  int count = 0;
  const int* list = nullptr;

  int operator[](int i) const { return list ? list[i] : first + step * i; }
  // Index of the level nearest to x.
  int Nearest(double x) const {
    if (list != nullptr) {
      const int* above = std::lower_bound(list, list + count, x);
      if (above == list + count) return count - 1;
      if (above == list) return 0;
      const bool is_below = x - above[-1] <= *above - x;
      return static_cast<int>(above - list) - (is_below ? 1 : 0);
    }
    const double i = std::nearbyint((x - first) / step);
    return static_cast<int>(std::clamp(i, 0.0, count - 1.0));
  }
};

// Finds the scale s with the smallest sum of (p - s * level)^2, each value on
// its nearest level, among all s up to max|p| over the last level: there
// nothing is clipped any more.
//
// With u = 1 / s growing, a value moves to the next level whenever u * p passes
// the middle between two levels. Between such events the assignment is fixed,
// and its best scale is a / b with a = sum p * level, b = sum level^2, which
// leaves sum p^2 - a^2 / b. So looking at every event finds the optimum. The
// sweep ends where the extreme value alone, clipped, costs more than the best
// so far.
class ScaleSweep {
 public:
  ScaleSweep(const float* p, size_t n, const Levels& levels)
      : p_(p), n_(n), levels_(levels) {}

  // 0 if all values are.
  double BestScale() {
    const double largest = LargestScale();
    if (largest == 0) return 0;
    Assign(1 / largest);
    Consider();
    FindEvents(1 / largest, 1 / SmallestScale());
    std::sort(events_.begin(), events_.end(),
              [](const Event& x, const Event& y) {
                return x.u != y.u ? x.u < y.u : x.value < y.value;
              });
    for (const Event& event : events_) {
      a_ += event.value * event.level_change;
      b_ += event.square_change;
      Consider();
    }
    return best_scale_;
  }

 private:
  struct Event {
    double u = 0;
    double value = 0;
    double level_change = 0;
    double square_change = 0;
  };

  double LargestScale() {
    for (size_t i = 0; i < n_; ++i) {
      min_ = std::min(min_, static_cast<double>(p_[i]));
      max_ = std::max(max_, static_cast<double>(p_[i]));
    }
    return std::max(-min_, max_) / levels_[levels_.count - 1];
  }

  void Assign(double u) {
    for (size_t i = 0; i < n_; ++i) {
      const double value = p_[i];
      const double level = levels_[levels_.Nearest(value * u)];
      a_ += value * level;
      b_ += level * level;
      sum_of_squares_ += value * value;
    }
  }

  void Consider() {
    if (b_ <= 0 || a_ <= 0) return;
    const double gain = a_ * a_ / b_;
    if (gain <= best_gain_) return;
    best_gain_ = gain;
    best_scale_ = a_ / b_;
  }

  // A smaller one loses more at an extreme value than the best so far in all.
  double SmallestScale() const {
    const double most = std::sqrt(std::max(sum_of_squares_ - best_gain_, 0.0));
    return std::max((max_ - most) / levels_[levels_.count - 1],
                    (min_ + most) / levels_[0]);
  }

  // All between the two; a negative `end` means no end.
  void FindEvents(double begin, double end) {
    for (size_t i = 0; i < n_; ++i) {
      const double value = p_[i];
      if (value == 0) continue;
      const int direction = value > 0 ? 1 : -1;
      int level = levels_.Nearest(value * begin);
      while (true) {
        const int next = level + direction;
        if (next < 0 || next >= levels_.count) break;
        const double from = levels_[level];
        const double to = levels_[next];
        const double u = (from + to) / 2 / value;
        if (end > 0 && u > end) break;
        // At the start a value may lie on the middle, already on either side.
        events_.push_back({u, value, to - from, to * to - from * from});
        level = next;
      }
    }
  }

  const float* p_;
  const size_t n_;
  const Levels levels_;
  double min_ = 0;
  double max_ = 0;
  double a_ = 0;
  double b_ = 0;
  double sum_of_squares_ = 0;
  double best_gain_ = 0;
  double best_scale_ = 0;
  std::vector<Event> events_;
};

enum class LevelKind { kWhole, kStretched, kFloat4 };

constexpr std::string_view NameOf(LevelKind kind) {
  return kind == LevelKind::kWhole       ? "mse"
         : kind == LevelKind::kStretched ? "mse-stretched"
                                         : "fp4";
}

class MseQuantizer : public RunQuantizer {
 public:
  explicit MseQuantizer(LevelKind kind)
      : RunQuantizer(NameOf(kind), /*center=*/false), kind_(kind) {}

  size_t GridSize(int bits) const override {
    return static_cast<size_t>(LevelsOf(bits).count);
  }

  std::optional<std::vector<int8_t>> LutTable(int bits) const override {
    const Levels levels = LevelsOf(bits);
    if (levels.list != nullptr) {
      std::vector<int8_t> table(levels.list, levels.list + levels.count);
      table.push_back(table.back());
      return table;
    }
    return MakeTable(levels.first, levels.step, GridSize(bits));
  }

 private:
  Levels LevelsOf(int bits) const {
    if (kind_ == LevelKind::kFloat4) {
      CheckBits(bits, 4, 4);
      return {0, 0, static_cast<int>(std::size(kFloat4Levels)), kFloat4Levels};
    }
    if (kind_ == LevelKind::kStretched) {
      CheckBits(bits, 1, kMaxGridBits);
      return {1 - (1 << bits), 2, 1 << bits};
    }
    if (bits == 0) return {-1, 1, 3};
    CheckBits(bits, 2, kMaxGridBits);
    return {-(1 << (bits - 1)), 1, 1 << bits};
  }

  void QuantizeRun(const Run& run, int bits) const override {
    const Levels levels = LevelsOf(bits);
    const double best = ScaleSweep(run.p, run.n, levels).BestScale();
    const float s =
        std::max(static_cast<float>(best), std::numeric_limits<float>::min());
    for (int i = 0; i < levels.count; ++i) {
      run.grid[i] = s * static_cast<float>(levels[i]);
    }
    for (size_t i = 0; i < run.n; ++i) {
      run.q[i] = run.grid[levels.Nearest(double{run.p[i]} / double{s})];
    }
  }

  LevelKind kind_;
};

}  // namespace

std::unique_ptr<Quantizer> MakeMseQuantizer(bool stretched) {
  return std::make_unique<MseQuantizer>(stretched ? LevelKind::kStretched
                                                  : LevelKind::kWhole);
}

std::unique_ptr<Quantizer> MakeFloat4Quantizer() {
  return std::make_unique<MseQuantizer>(LevelKind::kFloat4);
}

}  // namespace lutra::qat
