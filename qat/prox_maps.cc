#include "lutra/qat/prox_maps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

// Columns handled at a time, so that scratch stays in the L1 cache.
constexpr size_t kTile = 512;

// Finds the levels of one grid that are next to values.
class LevelFinder {
 public:
  LevelFinder(const float* levels, size_t count)
      : levels_(levels),
        count_(count),
        ascending_(std::is_sorted(levels, levels + count)) {}

  // q[i] = the level nearest to p[i], the lower one on a tie: its index is the
  // number of midpoints below p[i].
  void Nearest(const float* p, size_t n, float* q) const {
    if (!ascending_) {
      NearestByCount(p, n, q);
      return;
    }
    // With ascending levels the last midpoint below p decides; selects
    // vectorise where table look-ups would not.
    float selected[kTile];
    std::fill(selected, selected + n, levels_[0]);
    for (size_t level = 1; level < count_; ++level) {
      const float midpoint = Midpoint(level - 1);
      const float value = levels_[level];
      for (size_t i = 0; i < n; ++i) {
        selected[i] = p[i] > midpoint ? value : selected[i];
      }
    }
    std::copy(selected, selected + n, q);
  }

  // lo[i] and hi[i] = the levels around p[i]; the same outermost level twice
  // for values outside.
  void Around(const float* p, size_t n, float* lo, float* hi) const {
    if (!ascending_) {
      AroundByCount(p, n, lo, hi);
      return;
    }
    std::fill(lo, lo + n, levels_[0]);
    std::fill(hi, hi + n, levels_[0]);
    for (size_t level = 0; level < count_; ++level) {
      const float value = levels_[level];
      const float next = levels_[std::min(level + 1, count_ - 1)];
      for (size_t i = 0; i < n; ++i) {
        lo[i] = p[i] > value ? value : lo[i];
        hi[i] = p[i] > value ? next : hi[i];
      }
    }
  }

 private:
  // Grids that do not ascend exist in compatibility modes only.
  void NearestByCount(const float* p, size_t n, float* q) const {
    for (size_t i = 0; i < n; ++i) {
      const float x = p[i];
      size_t below = 0;
      for (size_t level = 0; level + 1 < count_; ++level) {
        if (Midpoint(level) < x) ++below;
      }
      q[i] = levels_[below];
    }
  }

  void AroundByCount(const float* p, size_t n, float* lo, float* hi) const {
    for (size_t i = 0; i < n; ++i) {
      const float x = p[i];
      const auto below = static_cast<size_t>(std::count_if(
          levels_, levels_ + count_, [x](float level) { return level < x; }));
      lo[i] = levels_[below == 0 ? 0 : below - 1];
      hi[i] = levels_[std::min(below, count_ - 1)];
    }
  }

  float Midpoint(size_t level) const {
    return (levels_[level] + levels_[level + 1]) / 2.0f;
  }

  const float* levels_;
  size_t count_;
  bool ascending_;
};

// Calls f(finder, offset, n) for pieces of at most kTile values with one grid.
template <typename F>
void ForTiles(const ProxArguments& a, const F& f) {
  const size_t runs = a.per_row ? a.rows : 1;
  const size_t length = a.per_row ? a.columns : a.rows * a.columns;
  for (size_t run = 0; run < runs; ++run) {
    const LevelFinder finder(a.grid + run * a.levels, a.levels);
    for (size_t begin = 0; begin < length; begin += kTile) {
      f(finder, run * length + begin, std::min(kTile, length - begin));
    }
  }
}

void Quantize(const ProxArguments& a) {
  if (a.q != nullptr) {
    std::copy(a.q, a.q + a.rows * a.columns, a.p);
    return;
  }
  ForTiles(a, [&a](const LevelFinder& finder, size_t offset, size_t n) {
    finder.Nearest(a.p + offset, n, a.p + offset);
  });
}

void CheckInterval(const char* map, int64_t start, int64_t end) {
  if (start < end) return;
  throw Error(std::string("proximal map ") + map + ": annealing must end (" +
              std::to_string(end) + ") after its start (" +
              std::to_string(start) + ")");
}

double Fraction(int64_t start, int64_t end, int64_t step) {
  return static_cast<double>(step - start) / static_cast<double>(end - start);
}

class ProxHardQuant : public ProxMap {
 public:
  std::optional<double> Apply(const ProxArguments& arguments,
                              int64_t /*step*/) const override {
    Quantize(arguments);
    return std::nullopt;
  }
};

class ProxParq : public ProxMap {
 public:
  explicit ProxParq(const ParqSchedule& schedule) : schedule_(schedule) {
    CheckInterval("parq", schedule.start, schedule.end);
    if (!(schedule.steepness > 0.0) || !std::isfinite(schedule.steepness) ||
        !std::isfinite(schedule.center)) {
      throw Error("proximal map parq: the steepness must be above 0");
    }
  }

  std::optional<double> Apply(const ProxArguments& arguments,
                              int64_t step) const override {
    if (step < schedule_.start) return 1.0;
    if (step >= schedule_.end) {
      Quantize(arguments);
      return 0.0;
    }
    const double r =
        std::max(static_cast<double>(std::numeric_limits<float>::min()),
                 InverseSlope(schedule_, step));
    ApplyMap(arguments, static_cast<float>(r));
    return r;
  }

 private:
  static void ApplyMap(const ProxArguments& a, float r) {
    ForTiles(a, [&a, r](const LevelFinder& finder, size_t offset, size_t n) {
      float lo[kTile];
      float hi[kTile];
      float* p = a.p + offset;
      finder.Around(p, n, lo, hi);
      for (size_t i = 0; i < n; ++i) {
        const float m = (lo[i] + hi[i]) / 2.0f;
        const float moved = m + (p[i] - m) / r;
        const float low = moved < lo[i] ? lo[i] : moved;
        p[i] = low > hi[i] ? hi[i] : low;
      }
    });
  }

  ParqSchedule schedule_;
};

class ProxBinaryRelax : public ProxMap {
 public:
  ProxBinaryRelax(int64_t start, int64_t end) : start_(start), end_(end) {
    CheckInterval("binaryrelax", start, end);
  }

  std::optional<double> Apply(const ProxArguments& arguments,
                              int64_t step) const override {
    if (step >= end_) {
      Quantize(arguments);
    } else if (step >= start_) {
      Blend(arguments, Fraction(start_, end_, step));
    }
    return std::nullopt;
  }

 private:
  static void Blend(const ProxArguments& a, double theta) {
    const auto keep = static_cast<float>(1.0 - theta);
    const auto pull = static_cast<float>(theta);
    ForTiles(a, [&](const LevelFinder& finder, size_t offset, size_t n) {
      float nearest[kTile];
      float* p = a.p + offset;
      const float* q = a.q + offset;
      if (a.q == nullptr) {
        finder.Nearest(p, n, nearest);
        q = nearest;
      }
      for (size_t i = 0; i < n; ++i) {
        const float kept = p[i] * keep;
        p[i] = kept + pull * q[i];
      }
    });
  }

  int64_t start_;
  int64_t end_;
};

}  // namespace

double InverseSlope(const ParqSchedule& schedule, int64_t step) {
  const auto sigmoid = [](double z) { return 1.0 / (1.0 + std::exp(z)); };
  const double s = schedule.steepness;
  const double f = Fraction(schedule.start, schedule.end, step);
  const double low = sigmoid(s / 2.0);
  const double high = sigmoid(-s / 2.0);
  return (sigmoid(s * (f - schedule.center)) - low) / (high - low);
}

std::unique_ptr<ProxMap> MakeProxHardQuant() {
  return std::make_unique<ProxHardQuant>();
}

std::unique_ptr<ProxMap> MakeProxParq(const ParqSchedule& schedule) {
  return std::make_unique<ProxParq>(schedule);
}

std::unique_ptr<ProxMap> MakeProxBinaryRelax(int64_t start, int64_t end) {
  return std::make_unique<ProxBinaryRelax>(start, end);
}

}  // namespace lutra::qat
