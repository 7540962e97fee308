#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lutra/qat/samples.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"

namespace lutra::qat {

void SampleSubset::Load(Span<const uint32_t> samples, uint64_t epoch,
                        SampleBatch& batch) const {
  std::vector<uint32_t> of_all;
  of_all.reserve(samples.size());
  for (const uint32_t sample : samples) of_all.push_back(which_[sample]);
  all_.Load(of_all, epoch, batch);
}

uint32_t SampleSubset::Checksum() const {
  const auto crc = crc32_z(
      all_.Checksum(), reinterpret_cast<const unsigned char*>(which_.data()),
      which_.size() * sizeof(uint32_t));
  return static_cast<uint32_t>(crc);
}

SampleSplit SplitSamples(size_t count, double share, uint64_t seed) {
  const double wanted = std::round(share * static_cast<double>(count));
  if (!(wanted >= 1.0 && wanted < static_cast<double>(count))) {
    throw Error("a share of " + std::to_string(share) + " of " +
                std::to_string(count) + " samples leaves nothing on one side");
  }
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed, /*stream=*/0x5eed);
  Shuffle(order, random);
  const auto middle = order.begin() + static_cast<ptrdiff_t>(wanted);
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return {{order.begin(), middle}, {middle, order.end()}};
}

}  // namespace lutra::qat
