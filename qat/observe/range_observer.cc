#include "lutra/qat/range_observer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lutra/qat/fake_quant.h"
#include "lutra/runtime/error.h"
#include "qat/grids/summation.h"
#include "qat/spec/groups.h"

namespace lutra::qat {
namespace {

constexpr size_t kBins = 2048;
constexpr size_t kMaxHistograms = size_t{1} << 16;
// Ranges that kMse tries: 1/kRanges, 2/kRanges ... of what occurred.
constexpr int kRanges = 100;

}  // namespace

RangeObserver::RangeObserver(const ObserverOptions& options)
    : options_(options) {
  if (!(options.percentile > 0.0 && options.percentile <= 100.0)) {
    throw Error("range observer: the percentile must lie in (0, 100]");
  }
  if (options.group_size < kWholeTensor) {
    throw Error("range observer: a group size of " +
                std::to_string(options.group_size) + " is impossible");
  }
  if (options.method == RangeMethod::kMx ||
      options.method == RangeMethod::kMeanMax) {
    throw Error("range observer: this method is not one of values alone");
  }
  if (options.scheme.bounds.lo >= options.scheme.bounds.hi) {
    throw Error("range observer: the scheme has no integers");
  }
}

void RangeObserver::Observe(const float* x, size_t rows, size_t columns) {
  const bool whole = options_.group_size == kWholeTensor;
  const size_t n = whole ? 1 : rows;
  const size_t k = whole ? rows * columns : columns;
  const Groups shape = GroupsOf(k, whole ? 0 : options_.group_size);
  const size_t count = n * shape.per_row;
  if (count == 0) return;
  if (const auto position = FindNotFinite(x, n * k)) {
    throw Error("range observer: element " + std::to_string(*position) +
                " is not finite");
  }
  if (groups_.empty()) {
    if (options_.method != RangeMethod::kMinMax && count > kMaxHistograms) {
      throw Error("range observer: " + std::to_string(count) +
                  " histograms are too many");
    }
    groups_.resize(count);
  } else if (groups_.size() != count) {
    throw Error("range observer: " + std::to_string(count) +
                " groups instead of " + std::to_string(groups_.size()));
  }
  ForGroups(n, k, shape, [&](size_t group, size_t begin, size_t size) {
    Observe(x + begin, size, groups_[group]);
  });
}

void RangeObserver::Observe(const float* x, size_t count, Group& group) const {
  const Range range = MinMax(x, count);
  group.min = group.seen ? std::min(group.min, range.min) : range.min;
  group.max = group.seen ? std::max(group.max, range.max) : range.max;
  group.seen = true;
  if (options_.method == RangeMethod::kMinMax) return;
  const float largest = std::max(-range.min, range.max);
  if (group.bins.empty()) {
    group.bins.resize(kBins);
    int exponent = 0;
    std::frexp(std::max(largest, std::numeric_limits<float>::min()), &exponent);
    group.limit = std::ldexp(1.0f, std::min(exponent, 127));
  }
  while (largest > group.limit && std::isfinite(2.0f * group.limit)) {
    Widen(group);
  }
  const double scale =
      static_cast<double>(kBins) / (2.0 * static_cast<double>(group.limit));
  for (size_t i = 0; i < count; ++i) {
    const double offset =
        (static_cast<double>(x[i]) + static_cast<double>(group.limit)) * scale;
    const double bin = std::clamp(offset, 0.0, static_cast<double>(kBins - 1));
    ++group.bins[static_cast<size_t>(bin)];
  }
}

// Twice the width: pairs of bins move towards the middle.
void RangeObserver::Widen(Group& group) {
  std::vector<uint64_t> wider(kBins);
  for (size_t i = 0; i < kBins; ++i) {
    wider[kBins / 4 + i / 2] += group.bins[i];
  }
  group.bins = std::move(wider);
  group.limit *= 2.0f;
}

float RangeObserver::BinCenter(const Group& group, size_t bin) {
  const double width =
      2.0 * static_cast<double>(group.limit) / static_cast<double>(kBins);
  return static_cast<float>((static_cast<double>(bin) + 0.5) * width -
                            static_cast<double>(group.limit));
}

AffineParameters RangeObserver::FromPercentile(const Group& group) const {
  double total = 0.0;
  for (const uint64_t bin : group.bins) total += static_cast<double>(bin);
  const double outside = total * (1.0 - options_.percentile / 100.0) / 2.0;
  const auto end = [&](bool from_top) {
    double sum = 0.0;
    for (size_t i = 0; i < kBins; ++i) {
      const size_t bin = from_top ? kBins - 1 - i : i;
      sum += static_cast<double>(group.bins[bin]);
      if (sum > outside) return BinCenter(group, bin);
    }
    return 0.0f;
  };
  return ChooseAffine(options_.scheme,
                      std::clamp(end(false), group.min, group.max),
                      std::clamp(end(true), group.min, group.max));
}

AffineParameters RangeObserver::FromMse(const Group& group) const {
  AffineParameters best;
  double least = std::numeric_limits<double>::infinity();
  for (int i = kRanges; i > 0; --i) {
    const float part = static_cast<float>(i) / static_cast<float>(kRanges);
    const AffineParameters parameters =
        ChooseAffine(options_.scheme, part * group.min, part * group.max);
    const AffineCode code(parameters, options_.scheme);
    double error = 0.0;
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (group.bins[bin] == 0) continue;
      const float x = BinCenter(group, bin);
      const double e =
          static_cast<double>(x) - static_cast<double>(code.FakeQuantize(x));
      error += static_cast<double>(group.bins[bin]) * e * e;
    }
    if (error < least) {
      least = error;
      best = parameters;
    }
  }
  return best;
}

AffineParameters RangeObserver::Parameters(size_t group) const {
  if (group >= groups_.size() || !groups_[group].seen) {
    throw Error("range observer: nothing was observed");
  }
  const Group& observed = groups_[group];
  switch (options_.method) {
    case RangeMethod::kMinMax:
    case RangeMethod::kMeanMax:
    case RangeMethod::kMx:
      break;
    case RangeMethod::kPercentile:
      return FromPercentile(observed);
    case RangeMethod::kMse:
      return FromMse(observed);
  }
  return ChooseAffine(options_.scheme, observed.min, observed.max);
}

}  // namespace lutra::qat
