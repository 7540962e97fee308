#include "qat/grids/summation.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace lutra::qat {
namespace {

// Vectors of the compiler's own (GCC and Clang have the same): loops over
// arrays of lanes are not always turned into vector instructions.
using Quad = float __attribute__((vector_size(4 * sizeof(float))));
using QuadBits = uint32_t __attribute__((vector_size(4 * sizeof(float))));

// Eight lanes.
struct Lanes {
  static constexpr size_t kWidth = 8;

  static Lanes Load(const float* p) {
    Lanes lanes;
    std::memcpy(&lanes.low, p, sizeof(Quad));
    std::memcpy(&lanes.high, p + kWidth / 2, sizeof(Quad));
    return lanes;
  }
  Lanes Abs() const { return {Abs(low), Abs(high)}; }
  Lanes Max(const Lanes& other) const {
    return {low < other.low ? other.low : low,
            high < other.high ? other.high : high};
  }
  Lanes Min(const Lanes& other) const {
    return {other.low < low ? other.low : low,
            other.high < high ? other.high : high};
  }
  Lanes& operator+=(const Lanes& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  std::array<float, kWidth> ToArray() const {
    return std::bit_cast<std::array<float, kWidth>>(*this);
  }

  Quad low{};
  Quad high{};

 private:
  static Quad Abs(Quad x) {
    return std::bit_cast<Quad>(std::bit_cast<QuadBits>(x) & 0x7FFFFFFFu);
  }
};

// One lane, for sums of few values.
struct Single {
  static constexpr size_t kWidth = 1;

  static Single Load(const float* p) { return {*p}; }
  Single Abs() const { return {std::fabs(value)}; }
  Single& operator+=(const Single& other) {
    value += other.value;
    return *this;
  }

  float value = 0.0f;
};

struct Identity {
  template <typename L>
  L operator()(const L& x) const {
    return x;
  }
};
struct Magnitude {
  template <typename L>
  L operator()(const L& x) const {
    return x.Abs();
  }
};

constexpr size_t kAccumulators = 4;
constexpr size_t kLevels = 4;

template <typename L>
struct Accumulators {
  L a, b, c, d;

  Accumulators& operator+=(const Accumulators& other) {
    a += other.a;
    b += other.b;
    c += other.c;
    d += other.d;
    return *this;
  }
};

// Adds `count` items of kAccumulators vectors each, starting at p.
template <typename L, typename Map>
Accumulators<L> Accumulate(const float* p, size_t count, Map map,
                           Accumulators<L> sums) {
  for (size_t i = 0; i < count; ++i, p += kAccumulators * L::kWidth) {
    sums.a += map(L::Load(p));
    sums.b += map(L::Load(p + L::kWidth));
    sums.c += map(L::Load(p + 2 * L::kWidth));
    sums.d += map(L::Load(p + 3 * L::kWidth));
  }
  return sums;
}

// The cascade: every 2^power items the running sums move up one level.
template <typename L, typename Map>
Accumulators<L> CascadeSum(const float* p, size_t items, Map map) {
  constexpr size_t kStride = kAccumulators * L::kWidth;
  const size_t ceil_log2 = items < 2 ? 0 : size_t(std::bit_width(items - 1));
  const size_t power = std::max<size_t>(4, ceil_log2 / kLevels);
  const size_t step = size_t{1} << power;
  std::array<Accumulators<L>, kLevels> levels{};
  size_t i = 0;
  while (i + step <= items) {
    levels[0] = Accumulate<L>(p + i * kStride, step, map, levels[0]);
    i += step;
    for (size_t level = 1; level < kLevels; ++level) {
      levels[level] += levels[level - 1];
      levels[level - 1] = {};
      const size_t mask = (step - 1) << (level * power);
      if ((i & mask) != 0) break;
    }
  }
  levels[0] = Accumulate<L>(p + i * kStride, items - i, map, levels[0]);
  for (size_t level = 1; level < kLevels; ++level) levels[0] += levels[level];
  return levels[0];
}

// Sums `count` vectors, lane by lane.
template <typename L, typename Map>
L SumVectors(const float* p, size_t count, Map map) {
  const size_t items = count / kAccumulators;
  Accumulators<L> sums{};
  if (items < 16) {  // the cascade would not start
    sums = Accumulate<L>(p, items, map, sums);
  } else {
    sums = CascadeSum<L>(p, items, map);
  }
  for (size_t i = items * kAccumulators; i < count; ++i) {
    sums.a += map(L::Load(p + i * L::kWidth));
  }
  sums.a += sums.b;
  sums.a += sums.c;
  sums.a += sums.d;
  return sums.a;
}

template <typename Map>
float SumWith(const float* p, size_t n, Map map) {
  if (n < Lanes::kWidth) return SumVectors<Single>(p, n, map).value;
  const size_t vectors = n / Lanes::kWidth;
  const Lanes lanes = SumVectors<Lanes>(p, vectors, map);
  float sum = 0.0f;
  for (size_t i = vectors * Lanes::kWidth; i < n; ++i) {
    sum += map(Single{p[i]}).value;
  }
  for (const float lane : lanes.ToArray()) sum += lane;
  return sum;
}

}  // namespace

float Sum(const float* p, size_t n) { return SumWith(p, n, Identity()); }

float SumOfMagnitudes(const float* p, size_t n) {
  return SumWith(p, n, Magnitude());
}

float Mean(const float* p, size_t n) {
  return Sum(p, n) / static_cast<float>(n);
}

float MeanOfMagnitudes(const float* p, size_t n) {
  return SumOfMagnitudes(p, n) / static_cast<float>(n);
}

float MaxMagnitude(const float* p, size_t n) {
  // Two chains, so that one does not wait for the other.
  Lanes even;
  Lanes odd;
  size_t i = 0;
  for (; i + 2 * Lanes::kWidth <= n; i += 2 * Lanes::kWidth) {
    even = even.Max(Lanes::Load(p + i).Abs());
    odd = odd.Max(Lanes::Load(p + i + Lanes::kWidth).Abs());
  }
  float max = 0.0f;
  for (; i < n; ++i) max = std::max(max, std::fabs(p[i]));
  for (const float lane : even.Max(odd).ToArray()) max = std::max(max, lane);
  return max;
}

Range MinMax(const float* p, size_t n) {
  std::array<float, Lanes::kWidth> first;
  first.fill(p[0]);
  Lanes min = Lanes::Load(first.data());
  Lanes max = min;
  size_t i = 0;
  for (; i + Lanes::kWidth <= n; i += Lanes::kWidth) {
    const Lanes x = Lanes::Load(p + i);
    min = min.Min(x);
    max = max.Max(x);
  }
  Range range{p[0], p[0]};
  for (const float lane : min.ToArray()) range.min = std::min(range.min, lane);
  for (const float lane : max.ToArray()) range.max = std::max(range.max, lane);
  for (; i < n; ++i) {
    range.min = std::min(range.min, p[i]);
    range.max = std::max(range.max, p[i]);
  }
  return range;
}

}  // namespace lutra::qat
