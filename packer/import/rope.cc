#include "packer/import/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace lutra::packer {
namespace {

double Scaled(const RopeScheme& scheme, double frequency) {
  switch (scheme.scaling) {
    case RopeScheme::Scaling::kNone:
      return frequency;
    case RopeScheme::Scaling::kLinear:
      return frequency / scheme.factor;
    case RopeScheme::Scaling::kLlama3:
      break;
  }
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

// To the nearest number with `digits` binary digits, ties to even; below
// 2^lowest steps no longer become smaller.
float Rounded(float value, int digits, int lowest) {
  const int exponent = std::max(std::ilogb(value), lowest);
  const float step = std::ldexp(1.0f, exponent - (digits - 1));
  return std::nearbyint(value / step) * step;
}

float RoundedTo(DType dtype, float value) {
  if (dtype == DType::kBFloat16) return Rounded(value, 8, -126);
  if (dtype == DType::kFloat16) return Rounded(value, 11, -14);
  return value;
}

// In radians, within the context.
constexpr double kLargestDeviation = 0.5;

// Up to here 16-bit models are made in memory, to test with.
constexpr int64_t kTestModelWidth = 128;

}  // namespace

std::vector<float> InverseFrequencies(const RopeScheme& scheme, int64_t dim) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < dim; i += 2) {
    const double exponent = -static_cast<double>(i) / static_cast<double>(dim);
    const double frequency = std::pow(scheme.theta, exponent);
    frequencies.push_back(static_cast<float>(Scaled(scheme, frequency)));
  }
  return frequencies;
}

std::vector<float> InverseFrequencies(const RopeScheme& scheme, int64_t dim,
                                      RopePrecision precision, DType dtype,
                                      int64_t context, int64_t width) {
  const std::vector<float> exact = InverseFrequencies(scheme, dim);
  if (precision == RopePrecision::kFloat32) return exact;
  std::vector<float> rounded;
  double deviation = 0;
  for (const float frequency : exact) {
    rounded.push_back(RoundedTo(dtype, frequency));
    deviation =
        std::max(deviation, std::abs(double{rounded.back()} - frequency));
  }
  const bool harmless =
      deviation * static_cast<double>(context) <= kLargestDeviation;
  const bool is_test = width <= kTestModelWidth;
  return precision == RopePrecision::kCheckpoint || harmless || is_test
             ? rounded
             : exact;
}

ImportTensor RopeTensor(const std::string& name,
                        std::vector<float> frequencies) {
  const auto count = static_cast<int64_t>(frequencies.size());
  return MakeTensor(name, {count}, [frequencies = std::move(frequencies)] {
    return frequencies;
  });
}

}  // namespace lutra::packer
