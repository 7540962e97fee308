#include "packer/architectures/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lutra::packer {
namespace {

double Llama3(const RopeScheme& scheme, double frequency) {
  // How often the pair turns within the context of the first training.
  const double turns =
      scheme.original_context * frequency / (2 * std::numbers::pi);
  const double low = scheme.low_frequency_factor;
  const double high = scheme.high_frequency_factor;
  if (turns < low) return frequency / scheme.factor;
  if (turns > high) return frequency;
  const double smooth = (turns - low) / (high - low);
  return (1 - smooth) * frequency / scheme.factor + smooth * frequency;
}

// The number of the pair that turns `turns` times within the original context.
double PairOf(const RopeScheme& scheme, double dim, double turns) {
  return dim *
         std::log(scheme.original_context / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(scheme.theta));
}

double Yarn(const RopeScheme& scheme, double dim, double pair,
            double frequency) {
  double low = PairOf(scheme, dim, scheme.beta_fast);
  double high = PairOf(scheme, dim, scheme.beta_slow);
  if (scheme.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const double slowed = std::clamp((pair - low) / (high - low), 0.0, 1.0);
  return frequency / scheme.factor * slowed + frequency * (1 - slowed);
}

double YarnScale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

}  // namespace

std::vector<float> InverseFrequencies(const RopeScheme& scheme, int64_t dim,
                                      bool is_long) {
  const auto width = static_cast<double>(dim);
  const std::vector<double>& factors =
      is_long ? scheme.long_factors : scheme.short_factors;
  std::vector<float> frequencies;
  for (int64_t i = 0; i < dim / 2; ++i) {
    const auto pair = static_cast<double>(i);
    double frequency = std::pow(scheme.theta, -2 * pair / width);
    switch (scheme.scaling) {
      case RopeScheme::Scaling::kNone:
        break;
      case RopeScheme::Scaling::kLinear:
        frequency /= scheme.factor;
        break;
      case RopeScheme::Scaling::kLlama3:
        frequency = Llama3(scheme, frequency);
        break;
      case RopeScheme::Scaling::kYarn:
        frequency = Yarn(scheme, width, pair, frequency);
        break;
      case RopeScheme::Scaling::kLongRope:
        frequency /= factors[static_cast<size_t>(i)];
        break;
      case RopeScheme::Scaling::kProportional:
        frequency = pair < std::floor(scheme.proportion * width / 2)
                        ? frequency / scheme.factor
                        : 0;
        break;
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

double RopeScale(const RopeScheme& scheme) {
  using Scaling = RopeScheme::Scaling;
  if (scheme.attention_factor > 0) return scheme.attention_factor;
  if (scheme.scaling == Scaling::kYarn) {
    if (scheme.mscale != 0 && scheme.mscale_all_dim != 0) {
      return YarnScale(scheme.factor, scheme.mscale) /
             YarnScale(scheme.factor, scheme.mscale_all_dim);
    }
    return YarnScale(scheme.factor, 1);
  }
  if (scheme.scaling == Scaling::kLongRope && scheme.factor > 1) {
    return std::sqrt(1 + std::log(scheme.factor) /
                             std::log(scheme.original_context));
  }
  return 1;
}

}  // namespace lutra::packer
