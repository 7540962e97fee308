#include "packer/import/rope.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "kernels/base/half.h"

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

float RoundedTo(DType dtype, float value) {
  if (dtype == DType::kBFloat16) return RoundToBFloat16(value);
  if (dtype == DType::kFloat16) return RoundToFloat16(value);
  return value;
}

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
                                      RopePrecision precision, DType dtype) {
  std::vector<float> frequencies = InverseFrequencies(scheme, dim);
  if (precision == RopePrecision::kCheckpoint) {
    for (float& frequency : frequencies) {
      frequency = RoundedTo(dtype, frequency);
    }
  }
  return frequencies;
}

ImportTensor RopeTensor(const std::string& name,
                        std::vector<float> frequencies) {
  const auto count = static_cast<int64_t>(frequencies.size());
  return MakeTensor(name, {count}, [frequencies = std::move(frequencies)] {
    return frequencies;
  });
}

}  // namespace lutra::packer
