#include "packer/lattice/group_fit.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

#include "packer/lattice/rounding.h"

namespace lutra::packer {
namespace {

constexpr size_t kMost = GroupValues::kMost;
// Levels of a grid with an offset.
constexpr size_t kMostSteps = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// 1 / i for numbers of levels: a product costs less than a quotient. A little
// less for lower bounds, and more for upper ones, so that no exact number is
// lost to rounding.
struct Reciprocals {
  double below[Grid::kMiddle + 1] = {};
  double above[Grid::kMiddle + 1] = {};
  constexpr Reciprocals() {
    for (int i = 1; i <= Grid::kMiddle; ++i) {
      below[i] = (1 - 0x1p-50) / i;
      above[i] = (1 + 0x1p-50) / i;
    }
  }
};
constexpr Reciprocals kReciprocal;

// The number of an interval with the fewest binary digits.
double Simplest(double low, double high) {
  if (low <= 0 && high >= 0) return 0;
  if (low < 0) return -Simplest(-high, -low);
  const auto from = std::bit_cast<uint64_t>(low);
  const auto to = std::bit_cast<uint64_t>(high);
  if (from >= to) return low;
  // Above this digit both are the same.
  const uint64_t digit = std::bit_floor(from ^ to);
  const uint64_t below = digit - 1;
  return (from & (digit | below)) == 0 ? low
                                       : std::bit_cast<double>(to & ~below);
}

// Calls attempt(number) with the simplest float32 numbers of an interval until
// it returns true. Its ends are simple, too, and may round to a neighbour.
template <typename Attempt>
bool AnySimplest(double low, double high, const Attempt& attempt) {
  const double margin = 0x1p-10 * (high - low);
  const double numbers[] = {Simplest(low, high),
                            Simplest(low + margin, high - margin), low, high};
  return std::any_of(
      std::begin(numbers), std::end(numbers),
      [&](double number) { return attempt(static_cast<float>(number)); });
}

// The same, then with others: rounding twice may spoil some.
template <typename Attempt>
bool AnyOf(double low, double high, DType type, const Attempt& attempt) {
  if (AnySimplest(low, high, attempt)) return true;
  const double width = high - low;
  for (const double part : {0.5, 0.25, 0.75}) {
    if (attempt(static_cast<float>(low + part * width))) return true;
  }
  // Of float32 weights there are few, and perhaps one fits.
  if (type != DType::kFloat32) return false;
  constexpr int kFew = 48;
  float number = std::nextafter(static_cast<float>(low), -kInfinity);
  const float end = std::nextafter(static_cast<float>(high), kInfinity);
  for (int i = 0; i < kFew && number <= end; ++i) {
    if (attempt(number)) return true;
    number = std::nextafter(number, kInfinity);
  }
  return false;
}

// A scale and an offset of 16 bits are worth looking for.
struct Brief {
  int digits;
  float (*round)(float);

  bool Has(float number) const { return round(number) == number; }
};
constexpr Brief kBriefs[] = {{8, RoundToBFloat16}, {11, RoundToFloat16}};

// Calls attempt(number) with the numbers of an interval that have 16 bits,
// until it returns true.
template <typename Attempt>
bool AnyBrief(double low, double high, const Brief& brief,
              const Attempt& attempt) {
  if (low <= 0) return false;
  constexpr int kFew = 64;
  const double step = std::ldexp(1.0, std::ilogb(low) + 1 - brief.digits);
  double number = std::ceil(low / step) * step;
  for (int i = 0; i < kFew && number <= high; ++i, number += step) {
    const auto found = static_cast<float>(number);
    if (brief.Has(found) && attempt(found)) return true;
  }
  return false;
}

class Fitter {
 public:
  Fitter(const Grid& grid, DType type, const GroupValues& values,
         uint8_t* codes)
      : grid_(grid),
        type_(type),
        values_(values),
        size_(values.size()),
        codes_(codes == nullptr ? room_.data() : codes) {}

  std::optional<GroupFit> Run() {
    const bool found = grid_.rule == Grid::Rule::kOffset ? FindOffset()
                       : grid_.whole                     ? FindScale()
                                                         : FindTableScale();
    if (!found) return std::nullopt;
    return fit_;
  }

 private:
  bool Proven() const {
    for (size_t i = 0; i < size_; ++i) {
      const float value =
          GridValue(grid_, type_, codes_[i], fit_.scale, fit_.offset);
      if (RoundTo(type_, value) != values_[i]) return false;
    }
    return true;
  }

  // Fills in magnitudes. Returns the place of the largest.
  size_t Measure() {
    size_t largest = 0;
    for (size_t i = 0; i < size_; ++i) {
      magnitudes_[i] = std::abs(values_[i]);
      if (magnitudes_[i] > magnitudes_[largest]) largest = i;
    }
    return largest;
  }

  // The largest magnitude is that of some level, mostly an outermost one.
  bool FindTableScale() {
    const size_t largest = Measure();
    const std::span levels(grid_.levels, grid_.level_count);
    if (magnitudes_[largest] == 0) {
      codes_[0] = static_cast<uint8_t>(
          std::find(levels.begin(), levels.end(), 0.0f) - levels.begin());
      return true;
    }
    for (size_t i = 0; i < size_; ++i) {
      intervals_[i] = RoundsTo(type_, values_[i]);
    }
    const bool negative = values_[largest] < 0;
    for (size_t i = 0; i < levels.size() / 2; ++i) {
      const float level = negative ? levels[i] : levels[levels.size() - 1 - i];
      if (level != 0 && TryTable(largest, std::abs(level))) return true;
    }
    return false;
  }

  bool TryTable(size_t largest, float size) {
    double low = intervals_[largest].low / double{size};
    double high = intervals_[largest].high / double{size};
    const double inverse = 2 / (low + high);
    const float* const levels = grid_.levels;
    const float* const end = levels + grid_.level_count;
    for (size_t i = 0; i < size_; ++i) {
      const double wanted = double{values_[i]} * inverse;
      const float* level = std::lower_bound(levels + 1, end - 1, wanted);
      if (wanted - level[-1] < level[0] - wanted) --level;
      codes_[i] = static_cast<uint8_t>(level - levels);
      const double own = std::abs(double{*level});
      if (own == 0) {
        if (values_[i] != 0) return false;
        continue;
      }
      constexpr double kMargin = 0x1p-50;
      low = std::max(low, intervals_[i].low / own * (1 - kMargin));
      high = std::min(high, intervals_[i].high / own * (1 + kMargin));
      if (low > high) return false;
    }
    fit_.low = low;
    fit_.high = high;
    return AnyOf(low, high, type_, [&](float scale) {
      fit_.scale = scale;
      return Proven();
    });
  }

  // The largest magnitude is k times the scale for some level k.
  bool FindScale() {
    const size_t largest = Measure();
    const float most = magnitudes_[largest];
    if (most == 0) {
      codes_[0] = grid_.codes[Grid::kMiddle];
      return true;
    }
    float least = kInfinity;
    for (size_t i = 0; i < size_; ++i) {
      if (magnitudes_[i] != 0) least = std::min(least, magnitudes_[i]);
    }
    const bool rough = least < SmallestNormal(type_);
    if (rough || grid_.IsWide()) SortByMagnitude(rough);
    bool known = false;
    const auto attempt = [&](int k) {
      // Where both k and -k are levels, a scale above 0 says as much as one
      // below.
      const bool plus = grid_.Has(k);
      const bool minus = grid_.Has(-k);
      if (!plus && !minus) return false;
      if (!rough && !AreMultiples(k, most)) return false;
      if (!known) {
        for (size_t i = 0; i < size_; ++i) {
          intervals_[i] = RoundsTo(type_, values_[i]);
        }
        known = true;
      }
      const bool negative = !(plus && minus) && (values_[largest] < 0) == plus;
      return grid_.IsWide() ? TryWide(k, largest, negative)
                            : TryLevel(k, largest, negative, rough);
    };
    if (grid_.IsWide()) return AnyWide(attempt);
    // Few values fit several levels: the lowest has the simplest scale. Many
    // fit one, and that is seldom low.
    constexpr size_t kFew = 8;
    for (int turn = 1; turn <= grid_.largest; ++turn) {
      if (attempt(size_ > kFew ? grid_.largest + 1 - turn : turn)) return true;
    }
    return false;
  }

  // Tries what the largest level of a group mostly is first.
  template <typename Attempt>
  bool AnyWide(const Attempt& attempt) const {
    // So many values need as many levels of either sign.
    const int lowest = std::max(1, static_cast<int>(size_ / 2));
    for (const int k : {15, 16, 31, 32, 63, 64, 127, 128}) {
      if (k >= lowest && attempt(k)) return true;
    }
    for (int k = lowest; k <= grid_.largest; ++k) {
      if (attempt(k)) return true;
    }
    return false;
  }

  // Values with fewer digits than others say little of the scale: they come
  // last. Else those do whose level is known only once the scale is.
  void SortByMagnitude(bool falling) {
    for (size_t i = 0; i < size_; ++i) order_[i] = static_cast<uint8_t>(i);
    std::sort(order_.begin(), order_.begin() + size_,
              [this, falling](uint8_t a, uint8_t b) {
                return falling ? magnitudes_[a] > magnitudes_[b]
                               : magnitudes_[a] < magnitudes_[b];
              });
  }

  // Whether all magnitudes are near to multiples of `largest` / k: what most
  // values of no grid fail. Rounding has changed both.
  bool AreMultiples(int k, float largest) const {
    const float tolerance = type_ == DType::kBFloat16  ? 0x1.02p-7f
                            : type_ == DType::kFloat16 ? 0x1.02p-10f
                                                       : 0x1p-20f;
    constexpr float kRound = 0x1.8p23f;
    const float inverse = static_cast<float>(k) / largest;
    for (size_t i = 0; i < size_; ++i) {
      const float steps = magnitudes_[i] * inverse;
      const float whole = (steps + kRound) - kRound;
      if (std::abs(steps - whole) > tolerance * steps) return false;
    }
    return true;
  }

  // Where a level is known, so are all, and each value allows an interval of
  // scales.
  bool TryLevel(int k, size_t largest, bool negative, bool rough) {
    double low = intervals_[largest].low * kReciprocal.below[k];
    double high = intervals_[largest].high * kReciprocal.above[k];
    double inverse = 2 / (low + high);
    int least = 0;
    int most = 0;
    for (size_t i = 0; i < size_; ++i) {
      const size_t at = rough ? order_[i] : i;
      if (rough) inverse = 2 / (low + high);
      // Half of what rounding adds to a number up to 2^51 is its last place.
      constexpr double kRound = 0x1.8p52;
      const double steps = double{magnitudes_[at]} * inverse;
      const int count = static_cast<int>((steps + kRound) - kRound);
      if (count > k) return false;
      const int multiple = (values_[at] < 0) != negative ? -count : count;
      if (!grid_.Has(multiple)) return false;
      if (count == 0) {
        if (magnitudes_[at] != 0) return false;
      } else {
        low = std::max(low, intervals_[at].low * kReciprocal.below[count]);
        high = std::min(high, intervals_[at].high * kReciprocal.above[count]);
        if (low > high) return false;
      }
      least = std::min(least, multiple);
      most = std::max(most, multiple);
      multiples_[at] = multiple;
    }
    if (most - least > grid_.widest) return false;
    return TryScales(k, low, high, negative, least);
  }

  // The same where levels lie as close as the values of a type: those that are
  // certain bound the scale, which then tells the others.
  bool TryWide(int k, size_t largest, bool negative) {
    // Products are rounded to float32 first, which may bring them across.
    constexpr double kMargin = 0x1p-24;
    const auto lowest = [this](size_t at) {
      return intervals_[at].low * (1 - kMargin);
    };
    const auto highest = [this](size_t at) {
      return intervals_[at].high * (1 + kMargin);
    };
    double low = lowest(largest) * kReciprocal.below[k];
    double high = highest(largest) * kReciprocal.above[k];
    size_t later = 0;
    for (const bool certain : {true, false}) {
      const size_t count = certain ? size_ : later;
      for (size_t i = 0; i < count; ++i) {
        const size_t at = certain ? order_[i] : later_[i];
        if (magnitudes_[at] == 0) {
          multiples_[at] = 0;
          continue;
        }
        const bool below = (values_[at] < 0) != negative;
        const int limit = grid_.Has(below ? -k : k) ? k : k - 1;
        const int least =
            std::max(1, static_cast<int>(std::ceil(lowest(at) / high)));
        const int most = std::min(limit, static_cast<int>(highest(at) / low));
        if (least > most) return false;
        if (certain && least < most) {
          later_[later++] = static_cast<uint8_t>(at);
          continue;
        }
        const int multiple =
            std::clamp(static_cast<int>(
                           std::nearbyint(magnitudes_[at] * 2 / (low + high))),
                       least, most);
        low = std::max(low, lowest(at) * kReciprocal.below[multiple]);
        high = std::min(high, highest(at) * kReciprocal.above[multiple]);
        if (low > high) return false;
        multiples_[at] = below ? -multiple : multiple;
      }
    }
    return TryScales(k, low, high, negative, 0);
  }

  // With the multiples, the smallest of which is `least`, known.
  bool TryScales(int k, double low, double high, bool negative, int least) {
    // Any whole number does that makes codes of all levels.
    const int zero = std::clamp(-least, 0, grid_.widest);
    for (size_t i = 0; i < size_; ++i) {
      codes_[i] = grid_.rule == Grid::Rule::kZeroPoint
                      ? static_cast<uint8_t>(multiples_[i] + zero)
                      : grid_.codes[multiples_[i] + Grid::kMiddle];
    }
    fit_.low = low;
    fit_.high = high;
    fit_.largest = k;
    return AnyOf(low, high, type_, [&](float scale) {
      fit_.scale = negative ? -scale : scale;
      if (grid_.rule == Grid::Rule::kZeroPoint) {
        const auto whole = static_cast<float>(zero);
        fit_.offset =
            StoresZeroPoint(grid_, type_) ? whole : -whole * fit_.scale;
      }
      return Proven();
    });
  }

  // The smallest and the largest value are k levels apart for some k.
  bool FindOffset() {
    size_t first = 0;
    size_t last = 0;
    for (size_t i = 0; i < size_; ++i) {
      if (values_[i] < values_[first]) first = i;
      if (values_[i] > values_[last]) last = i;
      // Of values, not of magnitudes.
      const Interval interval = RoundsTo(type_, values_[i]);
      intervals_[i] =
          values_[i] < 0 ? Interval{-interval.high, -interval.low} : interval;
    }
    if (size_ == 1) {
      fit_.offset = values_[0];
      return true;
    }
    for (int k = static_cast<int>(size_) - 1; k <= grid_.largest; ++k) {
      if (TrySpan(k, first, last)) return true;
    }
    return false;
  }

  bool TrySpan(int k, size_t first, size_t last) {
    const double start = values_[first];
    const double span = values_[last] - start;
    const double inverse = k / span;
    const double step = span / k;
    const auto width = [&](size_t at) {
      return intervals_[at].high - intervals_[at].low;
    };
    const double ends = width(first) + width(last);
    // Of the value at each level above the first, if there is one.
    std::array<double, kMostSteps> lows;
    std::array<double, kMostSteps> highs;
    lows.fill(-std::numeric_limits<double>::infinity());
    highs.fill(std::numeric_limits<double>::infinity());
    uint32_t taken = 0;
    // What rounding the product to float32 may add.
    const double pad =
        type_ == DType::kFloat32 ? step * kMostSteps * 0x1p-24 : 0.0;
    for (size_t i = 0; i < size_; ++i) {
      constexpr double kRound = 0x1.8p52;
      const double steps = (values_[i] - start) * inverse;
      const double whole = (steps + kRound) - kRound;
      if (std::abs(steps - whole) * step > ends + width(i) + 4 * pad)
        return false;
      const int count = static_cast<int>(whole);
      if ((taken >> count & 1) != 0) return false;
      taken |= 1u << count;
      multiples_[i] = count;
      lows[static_cast<size_t>(count)] = intervals_[i].low - pad;
      highs[static_cast<size_t>(count)] = intervals_[i].high + pad;
    }
    // Each pair of values bounds the scale, and together they say all.
    double low = 0;
    double high = std::numeric_limits<double>::infinity();
    for (int apart = 1; apart <= k; ++apart) {
      double least = -std::numeric_limits<double>::infinity();
      double most = -least;
      for (size_t i = 0;
           i + static_cast<size_t>(apart) <= static_cast<size_t>(k); ++i) {
        const size_t j = i + static_cast<size_t>(apart);
        least = std::max(least, lows[j] - highs[i]);
        most = std::min(most, highs[j] - lows[i]);
      }
      low = std::max(low, least * kReciprocal.below[apart]);
      high = std::min(high, most * kReciprocal.above[apart]);
      if (low > high) return false;
    }
    // Float32 weights tell which level was the first.
    const int shifts = type_ == DType::kFloat32 ? grid_.widest - k : 0;
    for (int shift = 0; shift <= shifts; ++shift) {
      for (size_t i = 0; i < size_; ++i) {
        codes_[i] = static_cast<uint8_t>(multiples_[i] + shift);
      }
      const auto attempt = [&](const Brief* brief) {
        return [this, brief](float scale) {
          fit_.scale = scale;
          return TryOffsets(brief);
        };
      };
      for (const Brief& brief : kBriefs) {
        if (AnyBrief(low, high, brief, attempt(&brief))) return true;
      }
      if (AnyOf(low, high, type_, attempt(nullptr))) return true;
    }
    return false;
  }

  // With a scale each value allows an interval of offsets. `brief`: only those.
  bool TryOffsets(const Brief* brief) {
    double low = -std::numeric_limits<double>::infinity();
    double high = -low;
    for (size_t i = 0; i < size_; ++i) {
      const float product = static_cast<float>(codes_[i]) * fit_.scale;
      low = std::max(low, intervals_[i].low - double{product});
      high = std::min(high, intervals_[i].high - double{product});
    }
    if (low > high) return false;
    const auto attempt = [this](float offset) {
      fit_.offset = offset;
      return Proven();
    };
    if (brief == nullptr) return AnyOf(low, high, type_, attempt);
    return AnySimplest(low, high, [&](float offset) {
      return brief->Has(offset) && attempt(offset);
    });
  }

  const Grid& grid_;
  DType type_;
  const GroupValues& values_;
  size_t size_;
  std::array<float, kMost> magnitudes_;
  std::array<uint8_t, kMost> order_;  // where SortByMagnitude was called
  std::array<uint8_t, kMost> later_;
  std::array<Interval, kMost> intervals_;
  std::array<int, kMost> multiples_;
  std::array<uint8_t, kMost> room_;  // of codes that nobody wants
  uint8_t* codes_;                   // room_, or the caller's
  GroupFit fit_;
};

}  // namespace

bool StoresZeroPoint(const Grid& grid, DType type) {
  return grid.rule == Grid::Rule::kZeroPoint && type == DType::kFloat32;
}

float GridValue(const Grid& grid, DType type, uint8_t code, float scale,
                float offset) {
  const float level = grid.levels[code];
  if (grid.rule == Grid::Rule::kScale) return level * scale;
  if (StoresZeroPoint(grid, type)) return (level - offset) * scale;
  return level * scale + offset;
}

std::optional<GroupFit> FitGroup(const Grid& grid, DType type,
                                 const GroupValues& values, uint8_t* codes) {
  if (values.size() == 0 || values.size() > grid.level_count) {
    return std::nullopt;
  }
  return Fitter(grid, type, values, codes).Run();
}

double Log10Chance(const Grid& grid, DType type, std::span<const float> weights,
                   const GroupValues& values, const GroupFit& fit) {
  float least = values[0];
  float most = values[0];
  size_t nonzero = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    least = std::min(least, values[i]);
    most = std::max(most, values[i]);
    nonzero += values[i] != 0 ? size_t{1} : size_t{0};
  }
  if (values.size() < 2) return 0;
  const bool offset = grid.rule == Grid::Rule::kOffset;
  // How many values hit a level without having to.
  const size_t free = offset ? 2 : 1;
  size_t surplus;
  if (grid.level_count <= 3 && (offset || (least < 0 && most > 0))) {
    // Two values seldom prove much; that there are no more is what is told.
    const auto lower = std::count(weights.begin(), weights.end(), least);
    const auto upper = std::count(weights.begin(), weights.end(), most);
    surplus =
        lower > 1 && upper > 1 ? static_cast<size_t>(lower + upper) - free : 0;
  } else {
    const size_t distinct = offset ? values.size() : nonzero;
    surplus = std::max(distinct, free) - free;
  }
  // The share of the range that rounds to a level.
  const double reach =
      std::max(std::abs(double{least}), std::abs(double{most}));
  const double begin = offset ? double{least} : -reach;
  const double end = offset ? double{most} : reach;
  double covered = 0;
  const auto cover = [&](float value) {
    const float stored = RoundTo(type, value);
    if (stored < begin || stored > end) return;
    const Interval interval = RoundsTo(type, stored);
    covered += interval.high - interval.low;
  };
  if (offset || !grid.whole) {
    for (size_t code = 0; code < grid.level_count; ++code) {
      cover(GridValue(grid, type, static_cast<uint8_t>(code), fit.scale,
                      fit.offset));
    }
  } else {
    for (int m = 1; m <= grid.largest; ++m) {
      for (const int multiple : {m, -m}) {
        if (grid.Has(multiple)) cover(static_cast<float>(multiple) * fit.scale);
      }
    }
  }
  const double share = std::min(1.0, covered / (end - begin));
  // The level of the largest value is free, and so is the sign.
  const double choices = 2 * grid.largest;
  const double chance =
      std::log10(choices) + static_cast<double>(surplus) * std::log10(share);
  return std::min(0.0, chance);
}

}  // namespace lutra::packer
