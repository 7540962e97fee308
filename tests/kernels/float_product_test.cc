// Products of float matrices: the bits of the reference, for every layout,
// type, size, split and instruction set, and the formula itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/fused.h"
#include "kernels/base/half.h"
#include "lutra/kernels/float_gemm.h"
#include "lutra/kernels/thread_team.h"
#include "tests/kernels/each_variant.h"
#include "tests/rounds.h"

namespace lutra::kernels {
namespace {

constexpr FloatType kFloatTypes[] = {FloatType::kFloat32, FloatType::kFloat16,
                                     FloatType::kBFloat16};

// A random matrix as it is stored, in rows with some elements between them.
struct Stored {
  Stored(size_t rows, size_t columns, FloatType type, bool transposed,
         size_t gap, std::mt19937& rng)
      : bytes(((transposed ? columns : rows) *
               ((transposed ? rows : columns) + gap)) *
              ByteSize(type)),
        matrix{bytes.data(), type, (transposed ? rows : columns) + gap,
               transposed} {
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    for (size_t at = 0; at < bytes.size(); at += ByteSize(type)) {
      const float value = uniform(rng);
      if (type == FloatType::kFloat32) {
        std::memcpy(&bytes[at], &value, sizeof(value));
      } else {
        const uint16_t bits =
            type == FloatType::kFloat16
                ? Float16FromFloat(value)
                : static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
        std::memcpy(&bytes[at], &bits, sizeof(bits));
      }
    }
  }
  Stored(const Stored&) = delete;

  std::vector<uint8_t> bytes;
  FloatMatrix matrix;
};

// Scratch of exactly the size that is asked for, so that sanitizers see what
// is written behind it.
class Scratch {
 public:
  explicit Scratch(size_t bytes)
      : bytes_(std::max<size_t>(bytes, 1)),
        memory_(::operator new(bytes_, std::align_val_t(64))) {
    std::memset(memory_, 0xff, bytes_);  // NaNs
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() { ::operator delete(memory_, std::align_val_t(64)); }
  void* get() const { return memory_; }

 private:
  size_t bytes_;
  void* memory_;
};

void Multiply(const FloatGemmArguments& arguments, Executor* executor) {
  const Scratch scratch(FloatGemmScratchBytes(arguments));
  FloatGemm(arguments, scratch.get(), executor);
}

// What c becomes.
std::vector<float> ReferenceOf(FloatGemmArguments arguments,
                               std::vector<float> c, bool fused) {
  arguments.c = c.data();
  reference::FloatGemm(arguments, fused);
  return c;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() ||
          std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

TEST(FloatProductTest, TheReferenceIsTheFormula) {
  // Small enough to be written out: 2 x 1 x 6 in one block.
  const float a[] = {1.0f / 3, 2, 3, 4, 5.0f / 7, 6,  //
                     -1,       7, 9, 2, 0.1f,     4};
  const float b[] = {0.3f, 0.7f, 1.1f, 1.3f, 1.7f, 1.9f};
  const float bias[] = {0.25f};
  float c[2];
  FloatGemmArguments arguments;
  arguments.a = {a, FloatType::kFloat32, 6, false};
  arguments.b = {b, FloatType::kFloat32, 6, true};
  arguments.m = 2;
  arguments.n = 1;
  arguments.k = 6;
  arguments.bias = bias;
  arguments.c = c;
  arguments.c_stride = 1;
  for (const bool fused : {false, true}) {
    reference::FloatGemm(arguments, fused);
    for (size_t i = 0; i < 2; ++i) {
      const float* row = a + 6 * i;
      const auto add = [fused](float x, float y, float sum) {
        return fused ? FusedMultiplyAdd(x, y, sum) : x * y + sum;
      };
      const float chain0 = add(row[4], b[4], add(row[0], b[0], 0));
      const float chain1 = add(row[5], b[5], add(row[1], b[1], 0));
      const float chain2 = add(row[2], b[2], 0);
      const float chain3 = add(row[3], b[3], 0);
      EXPECT_EQ(c[i], (((bias[0] + chain0) + chain1) + chain2) + chain3);
    }
  }
}

TEST(FloatProductTest, TheReferenceIsAccurate) {
  std::mt19937 rng(1);
  const Stored a(3, 3000, FloatType::kFloat32, false, 0, rng);
  const Stored b(3000, 5, FloatType::kFloat32, false, 0, rng);
  FloatGemmArguments arguments = {a.matrix, b.matrix, 3, 5, 3000};
  arguments.c_stride = 5;
  std::vector<float> values_a(a.bytes.size() / 4);
  std::vector<float> values_b(b.bytes.size() / 4);
  std::memcpy(values_a.data(), a.bytes.data(), a.bytes.size());
  std::memcpy(values_b.data(), b.bytes.data(), b.bytes.size());
  for (const bool fused : {false, true}) {
    const auto c = ReferenceOf(arguments, std::vector<float>(15), fused);
    for (size_t i = 0; i < 15; ++i) {
      double sum = 0;
      double magnitude = 0;
      for (size_t j = 0; j < 3000; ++j) {
        const double term = double{values_a[i / 5 * 3000 + j]} *
                            double{values_b[j * 5 + i % 5]};
        sum += term;
        magnitude += std::abs(term);
      }
      // A term takes part in at most 128 additions of its chain and in four of
      // each of the six blocks.
      EXPECT_NEAR(c[i], sum, (128 + 24 + 1) * 0x1p-24 * magnitude);
    }
  }
}

// Random sizes around those at which something changes.
TEST(FloatProductTest, HasTheBitsOfTheReference) {
  const auto team = StartThreadTeam(3);
  std::mt19937 rng(2);
  const size_t sizes[] = {0,  1,  2,  3,  4,  5,  6,   7,   8,   11,
                          12, 13, 16, 17, 31, 33, 100, 511, 513, 1029};
  const auto size = [&] { return sizes[rng() % std::size(sizes)]; };
  for (int i = 0; i < Rounds(400); ++i) {
    FloatGemmArguments arguments;
    arguments.m = size();
    arguments.n = size();
    arguments.k = size();
    // References are slow.
    if (arguments.m * arguments.n * arguments.k > 4000000) continue;
    const Stored a(arguments.m, arguments.k, kFloatTypes[rng() % 3],
                   rng() % 2 == 0, rng() % 3, rng);
    const Stored b(arguments.k, arguments.n, kFloatTypes[rng() % 3],
                   rng() % 2 == 0, rng() % 3, rng);
    arguments.a = a.matrix;
    arguments.b = b.matrix;
    arguments.c_stride = arguments.n + rng() % 3;
    std::vector<float> start(arguments.m * arguments.c_stride);
    std::vector<float> bias(arguments.n);
    for (float& v : start) v = static_cast<float>(rng() % 7) / 3;
    for (float& v : bias) v = static_cast<float>(rng() % 7) / 5;
    arguments.accumulate = rng() % 2 == 0;
    if (!arguments.accumulate && rng() % 2 == 0) arguments.bias = bias.data();
    const std::vector<float> expected[] = {ReferenceOf(arguments, start, false),
                                           ReferenceOf(arguments, start, true)};
    ForEachVariant([&](const char* variant) {
      for (Executor* executor : {static_cast<Executor*>(nullptr), team.get()}) {
        std::vector<float> c = start;
        FloatGemmArguments one = arguments;
        one.c = c.data();
        Multiply(one, executor);
        ASSERT_TRUE(SameBits(c, expected[FloatGemmIsFused()]))
            << variant << " m " << one.m << " n " << one.n << " k " << one.k
            << " types " << static_cast<int>(one.a.type)
            << static_cast<int>(one.b.type) << (one.a.transposed ? " aT" : "")
            << (one.b.transposed ? " bT" : "")
            << (one.accumulate ? " accumulate" : "")
            << (one.bias != nullptr ? " bias" : "");
      }
    });
  }
}

// Layers with few rows, which have kernels of their own.
TEST(FloatProductTest, FewRowsHaveTheBitsOfTheReference) {
  std::mt19937 rng(4);
  for (const FloatType type : kFloatTypes) {
    for (const size_t k : {5u, 512u, 515u, 1031u}) {
      const Stored a(7, k, FloatType::kFloat32, false, 0, rng);
      const Stored b(k, 35, type, true, 0, rng);
      const std::vector<float> bias(35, 0.7f);
      for (size_t m = 1; m <= 7; ++m) {
        FloatGemmArguments arguments = {a.matrix, b.matrix, m, 35, k};
        arguments.bias = bias.data();
        arguments.c_stride = 35;
        const std::vector<float> start(m * 35);
        const std::vector<float> expected[] = {
            ReferenceOf(arguments, start, false),
            ReferenceOf(arguments, start, true)};
        ForEachVariant([&](const char* variant) {
          std::vector<float> c = start;
          arguments.c = c.data();
          Multiply(arguments, nullptr);
          EXPECT_TRUE(SameBits(c, expected[FloatGemmIsFused()]))
              << variant << " m " << m << " k " << k;
        });
      }
    }
  }
}

// A fused sum that underflows is -0, and stays it: terms that are not there are
// not added.
TEST(FloatProductTest, NothingIsAddedBehindTheLastTerm) {
  for (const size_t m : {1u, 8u}) {
    const std::vector<float> a(m * 5, 1e-30f);
    const std::vector<float> b(5, -1e-30f);
    const float bias = -0.0f;
    FloatGemmArguments arguments;
    arguments.a = {a.data(), FloatType::kFloat32, 5, false};
    arguments.b = {b.data(), FloatType::kFloat32, 5, true};
    arguments.m = m;
    arguments.n = 1;
    arguments.k = 5;
    arguments.bias = &bias;
    arguments.c_stride = 1;
    const std::vector<float> start(m);
    const std::vector<float> expected[] = {ReferenceOf(arguments, start, false),
                                           ReferenceOf(arguments, start, true)};
    ASSERT_TRUE(std::signbit(expected[1][0]));
    ForEachVariant([&](const char* variant) {
      std::vector<float> c = start;
      arguments.c = c.data();
      Multiply(arguments, nullptr);
      EXPECT_TRUE(SameBits(c, expected[FloatGemmIsFused()])) << variant;
    });
  }
}

// More rows and columns than are packed at a time.
TEST(FloatProductTest, LargeProductsAreThoseOfTheirParts) {
  constexpr size_t kM = 1600;
  constexpr size_t kK = 2100;
  constexpr size_t kN = 20;
  std::mt19937 rng(3);
  const auto team = StartThreadTeam(2);
  for (const bool transposed : {false, true}) {
    const Stored a(kM, kK, FloatType::kFloat32, transposed, 0, rng);
    const Stored b(kK, kN, FloatType::kFloat32, !transposed, 0, rng);
    std::vector<float> whole(kM * kN);
    FloatGemmArguments arguments = {a.matrix, b.matrix, kM, kN, kK};
    arguments.c = whole.data();
    arguments.c_stride = kN;
    Multiply(arguments, team.get());
    // Rows, one by one, are those of a product with one row.
    std::vector<float> row(kN);
    for (const size_t i : {size_t{0}, size_t{767}, size_t{768}, kM - 1}) {
      FloatGemmArguments one = arguments;
      one.m = 1;
      one.a.data =
          static_cast<const float*>(a.matrix.data) + (transposed ? i : i * kK);
      one.c = row.data();
      reference::FloatGemm(one, FloatGemmIsFused());
      EXPECT_TRUE(std::equal(row.begin(), row.end(),
                             whole.begin() + static_cast<ptrdiff_t>(i * kN)))
          << i;
    }
  }
}

TEST(FloatProductTest, InfinitiesAndNaNsStayInTheirRowsAndColumns) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr size_t kSize = 37;
  for (const size_t m : {size_t{3}, kSize}) {
    for (const bool transposed : {false, true}) {
      std::vector<float> a(m * kSize, 1.0f);
      std::vector<float> b(kSize * kSize, 1.0f);
      a[2 * kSize + 36] = kInfinity;
      b[transposed ? 30 * kSize + 36 : 36 * kSize + 30] =
          std::numeric_limits<float>::quiet_NaN();
      FloatGemmArguments arguments;
      arguments.a = {a.data(), FloatType::kFloat32, kSize, false};
      arguments.b = {b.data(), FloatType::kFloat32, kSize, transposed};
      arguments.m = m;
      arguments.n = kSize;
      arguments.k = kSize;
      arguments.c_stride = kSize;
      ForEachVariant([&](const char* variant) {
        std::vector<float> c(m * kSize);
        arguments.c = c.data();
        Multiply(arguments, nullptr);
        for (size_t i = 0; i < c.size(); ++i) {
          if (i % kSize == 30) {
            EXPECT_TRUE(std::isnan(c[i])) << variant;
          } else {
            EXPECT_EQ(c[i], i / kSize == 2 ? kInfinity : kSize) << variant;
          }
        }
      });
    }
  }
}

TEST(FloatProductTest, ScratchIsBoundedAndGrows) {
  size_t last = 0;
  for (size_t size = 1; size < 5000; size += 37) {
    FloatGemmArguments arguments;
    arguments.m = arguments.k = size;
    arguments.n = 1;
    const size_t bytes = FloatGemmScratchBytes(arguments);
    EXPECT_GE(bytes, last);
    EXPECT_LE(bytes, size_t{3300000});
    last = bytes;
    arguments.m = 1;
    arguments.b.transposed = true;
    EXPECT_EQ(FloatGemmScratchBytes(arguments), 0);
  }
}

}  // namespace
}  // namespace lutra::kernels
