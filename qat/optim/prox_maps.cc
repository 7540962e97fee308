#include "lutra/qat/prox_maps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/base/clones.h"
#include "lutra/runtime/error.h"
#include "qat/grids/rounding.h"

namespace lutra::qat {
namespace {

// Grids of up to that many levels are searched by selects, which vectorise
// where table look-ups would not; longer ones are rare.
constexpr size_t kMaxSelected = 16;

float Midpoint(const float* levels, size_t i) {
  return (levels[i] + levels[i + 1]) / 2.0f;
}

struct Bracket {
  float lo;
  float hi;
};

// Finds the levels of one ascending grid that are next to a value. It is padded
// to kCount levels that no value exceeds.
template <size_t kCount>
class LevelFinder {
 public:
  LevelFinder(const float* levels, size_t count) {
    for (size_t i = 0; i < kCount; ++i) {
      const bool real = i < count;
      level_[i] = real ? levels[i] : std::numeric_limits<float>::infinity();
      next_[i] = levels[std::min(i + 1, count - 1)];
      midpoint_[i] = i + 1 < count ? Midpoint(levels, i)
                                   : std::numeric_limits<float>::infinity();
    }
  }

  // The nearest level, the lower one on a tie: its index is the number of
  // midpoints below x, and the last of them decides.
  float Nearest(float x) const {
    float nearest = level_[0];
    ForFirst<kCount - 1>(
        [&](size_t i) { nearest = x > midpoint_[i] ? next_[i] : nearest; });
    return nearest;
  }

  // The levels around x; the same outermost level twice for values outside.
  Bracket Around(float x) const {
    Bracket bracket{level_[0], level_[0]};
    // Above the first level lo stays, above the last one hi does.
    ForFirst<kCount - 1>([&](size_t i) {
      bracket.hi = x > level_[i] ? next_[i] : bracket.hi;
      bracket.lo = x > level_[i + 1] ? level_[i + 1] : bracket.lo;
    });
    return bracket;
  }

 private:
  template <size_t kTimes, typename F>
  static void ForFirst(const F& f) {
    [&f]<size_t... kIndex>(std::index_sequence<kIndex...>) { (f(kIndex), ...); }
    (std::make_index_sequence<kTimes>());
  }

  float level_[kCount];
  float next_[kCount];
  float midpoint_[kCount];
};

// The same for any number of levels. Grids that do not ascend exist in
// compatibility modes only; counting is right for them, too.
class AnyLevelFinder {
 public:
  AnyLevelFinder(const float* levels, size_t count)
      : levels_(levels),
        count_(count),
        ascending_(std::is_sorted(levels, levels + count)) {}

  float Nearest(float x) const {
    return levels_[CountBelow(
        count_ - 1, x, [this](size_t i) { return Midpoint(levels_, i); })];
  }

  Bracket Around(float x) const {
    const size_t below =
        CountBelow(count_, x, [this](size_t i) { return levels_[i]; });
    return {levels_[below == 0 ? 0 : below - 1],
            levels_[std::min(below, count_ - 1)]};
  }

 private:
  // Of f(0), ..., f(n - 1).
  template <typename F>
  size_t CountBelow(size_t n, float x, const F& f) const {
    size_t below = 0;
    if (ascending_) {
      for (size_t rest = n; rest > 0;) {
        const size_t half = rest / 2;
        const bool right = f(below + half) < x;
        below = right ? below + half + 1 : below;
        rest = right ? rest - half - 1 : half;
      }
    } else {
      for (size_t i = 0; i < n; ++i) below += size_t{f(i) < x};
    }
    return below;
  }

  const float* levels_;
  size_t count_;
  bool ascending_;
};

// Calls f(finder, offset, n) for every grid and the n values it belongs to.
template <typename Finder, typename F>
void ForGridsWith(const ProxArguments& a, const F& f) {
  const size_t grids = a.per_row ? a.rows : 1;
  const size_t length = a.per_row ? a.columns : a.rows * a.columns;
  for (size_t i = 0; i < grids; ++i) {
    const float* levels = a.grid + i * a.levels;
    if constexpr (!std::is_same_v<Finder, AnyLevelFinder>) {
      if (!std::is_sorted(levels, levels + a.levels)) {
        f(AnyLevelFinder(levels, a.levels), i * length, length);
        continue;
      }
    }
    f(Finder(levels, a.levels), i * length, length);
  }
}

template <typename F>
void ForGrids(const ProxArguments& a, const F& f) {
  if (a.levels <= 4) {
    ForGridsWith<LevelFinder<4>>(a, f);
  } else if (a.levels <= 8) {
    ForGridsWith<LevelFinder<8>>(a, f);
  } else if (a.levels <= kMaxSelected) {
    ForGridsWith<LevelFinder<kMaxSelected>>(a, f);
  } else {
    ForGridsWith<AnyLevelFinder>(a, f);
  }
}

LUTRA_CLONES void Quantize(const ProxArguments& a) {
  if (a.q != nullptr) {
    std::copy(a.q, a.q + a.rows * a.columns, a.p);
    return;
  }
  ForGrids(a, [&a](const auto& finder, size_t offset, size_t n) {
    float* p = a.p + offset;
    for (size_t i = 0; i < n; ++i) p[i] = finder.Nearest(p[i]);
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
  LUTRA_CLONES static void ApplyMap(const ProxArguments& a, float r) {
    ForGrids(a, [&a, r](const auto& finder, size_t offset, size_t n) {
      float* p = a.p + offset;
      for (size_t i = 0; i < n; ++i) {
        const Bracket around = finder.Around(p[i]);
        const float m = (around.lo + around.hi) / 2.0f;
        const float moved = m + (p[i] - m) / r;
        const float low = moved < around.lo ? around.lo : moved;
        p[i] = low > around.hi ? around.hi : low;
      }
    });
  }

  ParqSchedule schedule_;
};

// Nothing before a start, hard quantization from an end on.
class ProxBetween : public ProxMap {
 public:
  ProxBetween(const char* name, int64_t start, int64_t end)
      : start_(start), end_(end) {
    CheckInterval(name, start, end);
  }

  std::optional<double> Apply(const ProxArguments& arguments,
                              int64_t step) const override {
    if (step >= end_) {
      Quantize(arguments);
    } else if (step >= start_) {
      Pull(arguments, step);
    }
    return std::nullopt;
  }

 protected:
  virtual void Pull(const ProxArguments& arguments, int64_t step) const = 0;
  double FractionAt(int64_t step) const { return Fraction(start_, end_, step); }

 private:
  int64_t start_;
  int64_t end_;
};

class ProxBinaryRelax : public ProxBetween {
 public:
  ProxBinaryRelax(int64_t start, int64_t end)
      : ProxBetween("binaryrelax", start, end) {}

 private:
  void Pull(const ProxArguments& arguments, int64_t step) const override {
    Blend(arguments, FractionAt(step));
  }

  LUTRA_CLONES static void Blend(const ProxArguments& a, double theta) {
    const auto keep = static_cast<float>(1.0 - theta);
    const auto pull = static_cast<float>(theta);
    if (a.q != nullptr) {
      for (size_t i = 0; i < a.rows * a.columns; ++i) {
        const float kept = a.p[i] * keep;
        a.p[i] = kept + pull * a.q[i];
      }
      return;
    }
    ForGrids(a, [&](const auto& finder, size_t offset, size_t n) {
      float* p = a.p + offset;
      for (size_t i = 0; i < n; ++i) {
        const float kept = p[i] * keep;
        p[i] = kept + pull * finder.Nearest(p[i]);
      }
    });
  }
};

class ProxStochastic : public ProxBetween {
 public:
  ProxStochastic(int64_t start, int64_t end, uint64_t seed)
      : ProxBetween("stochastic", start, end), seed_(seed) {}

 private:
  void Pull(const ProxArguments& arguments, int64_t step) const override {
    Draw(arguments, RandomKey(seed_, static_cast<uint64_t>(step)));
  }

  LUTRA_CLONES static void Draw(const ProxArguments& a, uint32_t key) {
    ForGrids(a, [&a, key](const auto& finder, size_t offset, size_t n) {
      float* p = a.p + offset;
      for (size_t i = 0; i < n; ++i) {
        const Bracket around = finder.Around(p[i]);
        const float below = p[i] - around.lo;
        const float chance = RandomUnit(key, p[i]) * (around.hi - around.lo);
        p[i] = chance < below ? around.hi : around.lo;
      }
    });
  }

  uint64_t seed_;
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

void NearestLevels(Span<const float> values, Span<const float> grid,
                   float* nearest) {
  std::copy(values.begin(), values.end(), nearest);
  Quantize(
      {nearest, nullptr, grid.data(), 1, values.size(), grid.size(), true});
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

std::unique_ptr<ProxMap> MakeProxStochastic(int64_t start, int64_t end,
                                            uint64_t seed) {
  return std::make_unique<ProxStochastic>(start, end, seed);
}

}  // namespace lutra::qat
