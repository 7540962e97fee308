#ifndef LUTRA_TESTS_KERNELS_DIGEST_H_
#define LUTRA_TESTS_KERNELS_DIGEST_H_

#include <gtest/gtest.h>

#include <bit>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "tests/kernels/each_variant.h"

// What tests share that hold digests of outputs, the same on every platform.

namespace lutra {

// The distributions of the standard library differ between libraries.
class PortableNumbers {
 public:
  // 24 random bits as a number in [-1, 1), exactly.
  float Real() { return static_cast<float>(Bits() >> 8) * 0x1p-23f - 1.0f; }
  std::vector<float> Reals(size_t count) {
    std::vector<float> reals(count);
    for (float& real : reals) real = Real();
    return reals;
  }
  uint32_t Bits() { return static_cast<uint32_t>(rng_()); }

 private:
  std::mt19937 rng_{1};
};

// FNV-1a, of words.
class Digest {
 public:
  void Add(uint64_t word) { value_ = (value_ ^ word) * 1099511628211u; }
  // The bits of each number.
  template <class Floats>
  void AddFloats(const Floats& floats) {
    for (const float number : floats) Add(std::bit_cast<uint32_t>(number));
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 14695981039346656037u;
};

// A line that scripts/same_bits.sh reads.
inline void PrintDigest(const char* name, const char* variant,
                        uint64_t digest) {
  std::printf("digest: %s %s %016" PRIx64 "\n", name, variant, digest);
  std::fflush(stdout);
}

// Expects that compute() gives `recorded` with each variant in force.
template <typename Compute>
void ExpectDigest(const char* name, uint64_t recorded, const Compute& compute) {
  PrintDigest(name, "recorded", recorded);
  kernels::ForEachVariant([&](const char* variant) {
    const uint64_t digest = compute();
    PrintDigest(name, variant, digest);
    EXPECT_EQ(digest, recorded) << variant;
  });
}

}  // namespace lutra

#endif  // LUTRA_TESTS_KERNELS_DIGEST_H_
