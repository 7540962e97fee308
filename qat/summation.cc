#include "qat/summation.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace lutra::qat {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kAccumulators = 4;
constexpr size_t kLevels = 4;

struct Identity {
  float operator()(float x) const { return x; }
};
struct Magnitude {
  float operator()(float x) const { return std::fabs(x); }
};

// One value per lane of every interleaved accumulator.
template <size_t kWidth>
using Accumulators = std::array<float, kAccumulators * kWidth>;

template <size_t kWidth>
void AddTo(Accumulators<kWidth>& sums, const Accumulators<kWidth>& terms) {
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += terms[i];
}

// Adds `count` items of kAccumulators vectors each, starting at p.
template <size_t kWidth, typename Load>
void Accumulate(const float* p, size_t count, Load load,
                Accumulators<kWidth>& sums) {
  Accumulators<kWidth> local = sums;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < local.size(); ++j) {
      local[j] += load(p[i * local.size() + j]);
    }
  }
  sums = local;
}

// The cascade: every 2^power items the running sums move up one level.
template <size_t kWidth, typename Load>
Accumulators<kWidth> CascadeSum(const float* p, size_t items, Load load) {
  constexpr size_t kStride = kAccumulators * kWidth;
  const size_t ceil_log2 = items < 2 ? 0 : size_t(std::bit_width(items - 1));
  const size_t power = std::max<size_t>(4, ceil_log2 / kLevels);
  const size_t step = size_t{1} << power;
  std::array<Accumulators<kWidth>, kLevels> levels{};
  size_t i = 0;
  while (i + step <= items) {
    Accumulate<kWidth>(p + i * kStride, step, load, levels[0]);
    i += step;
    for (size_t level = 1; level < kLevels; ++level) {
      AddTo<kWidth>(levels[level], levels[level - 1]);
      levels[level - 1].fill(0.0f);
      const size_t mask = (step - 1) << (level * power);
      if ((i & mask) != 0) break;
    }
  }
  Accumulate<kWidth>(p + i * kStride, items - i, load, levels[0]);
  for (size_t level = 1; level < kLevels; ++level) {
    AddTo<kWidth>(levels[0], levels[level]);
  }
  return levels[0];
}

// Sums `count` vectors of kWidth lanes, lane by lane.
template <size_t kWidth, typename Load>
std::array<float, kWidth> SumVectors(const float* p, size_t count, Load load) {
  const size_t items = count / kAccumulators;
  Accumulators<kWidth> sums{};
  if (items < 16) {  // the cascade would not start
    Accumulate<kWidth>(p, items, load, sums);
  } else {
    sums = CascadeSum<kWidth>(p, items, load);
  }
  std::array<float, kWidth> lanes;
  for (size_t j = 0; j < kWidth; ++j) lanes[j] = sums[j];
  for (size_t i = items * kAccumulators; i < count; ++i) {
    for (size_t j = 0; j < kWidth; ++j) lanes[j] += load(p[i * kWidth + j]);
  }
  for (size_t a = 1; a < kAccumulators; ++a) {
    for (size_t j = 0; j < kWidth; ++j) lanes[j] += sums[a * kWidth + j];
  }
  return lanes;
}

template <typename Load>
float SumWith(const float* p, size_t n, Load load) {
  if (n < kLanes) return SumVectors<1>(p, n, load)[0];
  const size_t vectors = n / kLanes;
  const auto lanes = SumVectors<kLanes>(p, vectors, load);
  float sum = 0.0f;
  for (size_t i = vectors * kLanes; i < n; ++i) sum += load(p[i]);
  for (const float lane : lanes) sum += lane;
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
  // Lanes, because a single running maximum does not vectorise.
  std::array<float, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float x = std::fabs(p[i + j]);
      lanes[j] = lanes[j] < x ? x : lanes[j];
    }
  }
  float max = 0.0f;
  for (; i < n; ++i) max = std::max(max, std::fabs(p[i]));
  for (const float lane : lanes) max = std::max(max, lane);
  return max;
}

Range MinMax(const float* p, size_t n) {
  Range range{p[0], p[0]};
  for (size_t i = 1; i < n; ++i) {
    range.min = std::min(range.min, p[i]);
    range.max = std::max(range.max, p[i]);
  }
  return range;
}

}  // namespace lutra::qat
