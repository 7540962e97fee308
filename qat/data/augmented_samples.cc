#include "lutra/qat/augmented_samples.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"

namespace lutra::qat {
namespace {

std::vector<float> FloatsOf(const Samples& samples, uint32_t sample,
                            uint64_t epoch) {
  SampleBatch batch;
  samples.Load({&sample, 1}, epoch, batch);
  return std::move(batch.floats);
}

// From -most to most.
int64_t Step(Random& random, size_t most) {
  return static_cast<int64_t>(random.Below(2 * most + 1)) -
         static_cast<int64_t>(most);
}

// Of mean 0 and variance 1, nearly normal: each of the three has the variance
// 1/3.
float Bell(Random& random) {
  const float first = random.Symmetric();
  const float second = random.Symmetric();
  return first + second + random.Symmetric();
}

}  // namespace

AugmentedSamples::AugmentedSamples(const Samples& samples,
                                   std::vector<size_t> shape,
                                   const Augmentation& augmentation)
    : samples_(samples), shape_(std::move(shape)), augmentation_(augmentation) {
  for (size_t dim = 0; dim < augmentation_.shift.size(); ++dim) {
    const size_t most = augmentation_.shift[dim];
    if (most == 0) continue;
    if (dim >= shape_.size() || most >= shape_[dim]) {
      throw Error("a shift of " + std::to_string(most) + " leaves nothing of " +
                  std::to_string(dim < shape_.size() ? shape_[dim] : 1) +
                  " places in dimension " + std::to_string(dim));
    }
  }
  if (augmentation_.noise > 0) deviations_ = Deviations();
}

std::vector<float> AugmentedSamples::Deviations() const {
  std::vector<double> sums;
  std::vector<double> squares;
  for (size_t i = 0; i < samples_.Count(); ++i) {
    const std::vector<float> values =
        FloatsOf(samples_, static_cast<uint32_t>(i), /*epoch=*/0);
    sums.resize(values.size());
    squares.resize(values.size());
    for (size_t k = 0; k < values.size(); ++k) {
      const double value{values[k]};
      sums[k] += value;
      squares[k] += value * value;
    }
  }
  const auto count = static_cast<double>(samples_.Count());
  std::vector<float> deviations;
  for (size_t k = 0; k < sums.size(); ++k) {
    const double mean = sums[k] / count;
    const double variance = squares[k] / count - mean * mean;
    deviations.push_back(
        static_cast<float>(std::sqrt(std::max(0.0, variance))));
  }
  return deviations;
}

std::vector<float> AugmentedSamples::Shifted(Span<const float> values,
                                             std::array<int64_t, 2> by) const {
  std::array<size_t, 2> sizes = {1, 1};
  std::copy_n(shape_.begin(), std::min(shape_.size(), sizes.size()),
              sizes.begin());
  const size_t inner = values.size() / (sizes[0] * sizes[1]);
  const auto from = [&](size_t place, size_t dim) {
    return static_cast<size_t>(
        std::clamp<int64_t>(static_cast<int64_t>(place) - by[dim], 0,
                            static_cast<int64_t>(sizes[dim]) - 1));
  };
  std::vector<float> result;
  result.reserve(values.size());
  for (size_t i = 0; i < sizes[0]; ++i) {
    for (size_t j = 0; j < sizes[1]; ++j) {
      const float* const begin =
          values.data() + (from(i, 0) * sizes[1] + from(j, 1)) * inner;
      result.insert(result.end(), begin, begin + inner);
    }
  }
  return result;
}

void AugmentedSamples::Load(Span<const uint32_t> samples, uint64_t epoch,
                            SampleBatch& batch) const {
  const size_t before = batch.floats.size();
  samples_.Load(samples, epoch, batch);
  if (epoch == 0 || samples.empty()) return;
  const size_t size = (batch.floats.size() - before) / samples.size();
  for (size_t i = 0; i < samples.size(); ++i) {
    float* const values = batch.floats.data() + before + i * size;
    // A stream for each, so that a sample does not depend on its batch.
    Random random(augmentation_.seed, epoch << 32 | samples[i]);
    if (random.Uniform() < augmentation_.mixup) {
      const auto other = static_cast<uint32_t>(random.Below(Count()));
      const double root = random.Uniform();
      const auto weight = static_cast<float>(0.5 * root * root);
      const std::vector<float> mixed = FloatsOf(samples_, other, epoch);
      for (size_t k = 0; k < size; ++k) {
        values[k] += weight * (mixed[k] - values[k]);
      }
    }
    const std::array<int64_t, 2> by = {Step(random, augmentation_.shift[0]),
                                       Step(random, augmentation_.shift[1])};
    if (by[0] != 0 || by[1] != 0) {
      const std::vector<float> moved = Shifted({values, size}, by);
      std::copy(moved.begin(), moved.end(), values);
    }
    if (deviations_.empty()) continue;
    const auto factor =
        static_cast<float>(augmentation_.noise * random.Uniform());
    for (size_t k = 0; k < size; ++k) {
      values[k] += factor * deviations_[k] * Bell(random);
    }
  }
}

uint32_t AugmentedSamples::Checksum() const {
  const auto with = [](uLong crc, const auto& value) {
    return crc32_z(crc, reinterpret_cast<const unsigned char*>(&value),
                   sizeof(value));
  };
  uLong crc = samples_.Checksum();
  crc = with(crc, augmentation_.mixup);
  crc = with(crc, augmentation_.shift);
  crc = with(crc, augmentation_.noise);
  return static_cast<uint32_t>(with(crc, augmentation_.seed));
}

}  // namespace lutra::qat
