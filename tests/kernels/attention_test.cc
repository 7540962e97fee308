// Attention over a cache against plain mathematics, and against the reference
// on every instruction set.

#include "lutra/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "tests/kernels/each_variant.h"
#include "tests/kernels/random_matrix.h"

namespace lutra::kernels {
namespace {

// Filled with bytes that are NaNs as floats and halves: whatever is read that
// was not written shows.
AlignedBytes Allocate(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  AlignedBytes memory = AllocateAligned(rounded);
  std::memset(memory.get(), 0xFF, rounded);
  return memory;
}

std::vector<float> Normal(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

struct Data {
  explicit Data(const AttentionShape& shape)
      : q(Normal(shape.context * shape.heads * shape.head_dim, 1)),
        k(Normal(shape.context * shape.kv_heads * shape.head_dim, 2)),
        v(Normal(shape.context * shape.kv_heads * shape.head_dim, 3)) {}
  std::vector<float> q, k, v;
};

// A cache for the context. It begins somewhere inside of its pages.
class Pages {
 public:
  explicit Pages(const AttentionShape& shape) {
    const size_t bytes = kOffset + AttentionPageBytes(shape);
    for (size_t t = 0; t < shape.context; t += kCachePageTokens) {
      memory_.push_back(Allocate(bytes));
      pages_.push_back(reinterpret_cast<std::byte*>(memory_.back().get()));
    }
  }
  AttentionCache cache() const { return {pages_.data(), kOffset}; }

 private:
  static constexpr size_t kOffset = 128;
  std::vector<AlignedBytes> memory_;
  std::vector<std::byte*> pages_;
};

// All tokens of the context, one after the other.
std::vector<float> AttendAll(const AttentionShape& shape, const Data& data) {
  EXPECT_TRUE(AttentionFits(shape));
  const Pages pages(shape);
  const AlignedBytes scratch = Allocate(AttentionScratchBytes(shape));
  const size_t q_size = shape.heads * shape.head_dim;
  const size_t kv_size = shape.kv_heads * shape.head_dim;
  std::vector<float> y(shape.context * q_size);
  for (size_t t = 0; t < shape.context; ++t) {
    StoreToken(shape, t, &data.k[t * kv_size], &data.v[t * kv_size],
               pages.cache());
    // The heads in two parts.
    const size_t half = shape.kv_heads / 2;
    for (const auto& [first, count] :
         {std::pair{size_t{0}, half}, std::pair{half, shape.kv_heads - half}}) {
      AttendToken(shape, t, first, count, &data.q[t * q_size], pages.cache(),
                  scratch.get(), &y[t * q_size]);
    }
  }
  return y;
}

std::vector<double> Naive(const AttentionShape& shape, const Data& data) {
  const size_t dim = shape.head_dim;
  std::vector<double> y(shape.context * shape.heads * dim);
  for (size_t t = 0; t < shape.context; ++t) {
    for (size_t h = 0; h < shape.heads; ++h) {
      const size_t kv = h / (shape.heads / shape.kv_heads);
      const float* q = &data.q[(t * shape.heads + h) * dim];
      const size_t first =
          shape.window == 0 || t < shape.window ? 0 : t + 1 - shape.window;
      std::vector<double> scores;
      for (size_t s = first; s <= t; ++s) {
        double score = 0;
        for (size_t d = 0; d < dim; ++d) {
          score += double{q[d]} *
                   double{data.k[(s * shape.kv_heads + kv) * dim + d]};
        }
        scores.push_back(score * double{shape.scale});
      }
      const double most = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (double& score : scores) sum += score = std::exp(score - most);
      for (size_t s = first; s <= t; ++s) {
        for (size_t d = 0; d < dim; ++d) {
          y[(t * shape.heads + h) * dim + d] +=
              scores[s - first] / sum *
              double{data.v[(s * shape.kv_heads + kv) * dim + d]};
        }
      }
    }
  }
  return y;
}

std::vector<AttentionShape> Shapes() {
  const auto shape = [](size_t heads, size_t kv_heads, size_t head_dim,
                        size_t context, size_t window) {
    return AttentionShape{.heads = heads,
                          .kv_heads = kv_heads,
                          .head_dim = head_dim,
                          .context = context,
                          .scale = 0.3f,
                          .window = window};
  };
  return {shape(1, 1, 1, 3, 0), shape(1, 1, 8, 70, 0), shape(2, 2, 20, 33, 0),
          shape(4, 2, 16, 40, 7), shape(3, 1, 24, 50, 16),
          shape(8, 2, 64, 90, 0), shape(7, 1, 32, 80, 33),
          shape(9, 1, 80, 20, 1),
          // Windows that begin and end in several pages.
          shape(2, 1, 16, 300, 70), shape(1, 1, 16, 200, 0)};
}

class AttentionTest : public ::testing::TestWithParam<CacheType> {};

TEST_P(AttentionTest, IsTheFormula) {
  // Errors of a value: of the scores (weights change by as much), and of the
  // values themselves.
  const double tolerance = GetParam() == CacheType::kFloat32   ? 1e-5
                           : GetParam() == CacheType::kFloat16 ? 1e-2
                                                               : 1e-1;
  for (AttentionShape shape : Shapes()) {
    shape.cache = GetParam();
    const Data data(shape);
    const auto y = AttendAll(shape, data);
    const auto expected = Naive(shape, data);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], expected[i], tolerance)
          << shape.heads << " heads of " << shape.head_dim << ", element " << i;
    }
  }
}

TEST_P(AttentionTest, HasTheBitsOfTheReference) {
  for (AttentionShape shape : Shapes()) {
    shape.cache = GetParam();
    const Data data(shape);
    const size_t q_size = shape.heads * shape.head_dim;
    std::vector<float> expected(data.q.size());
    std::vector<float> scratch(shape.context);
    for (size_t t = 0; t < shape.context; ++t) {
      reference::Attend(shape, t, &data.q[t * q_size], data.k.data(),
                        data.v.data(), scratch.data(), &expected[t * q_size]);
    }
    ForEachVariant([&](const char* variant) {
      const auto y = AttendAll(shape, data);
      ASSERT_EQ(y.size(), expected.size());
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]),
                  std::bit_cast<uint32_t>(expected[i]))
            << variant << ", " << shape.heads << " heads of " << shape.head_dim
            << ", element " << i;
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(All, AttentionTest,
                         ::testing::Values(CacheType::kFloat32,
                                           CacheType::kFloat16,
                                           CacheType::kInt8));

// Int8 has no code for them: nothing of the row may look like a number. Tokens
// before it and heads that do not use it are as they were.
TEST(Int8CacheTest, RowsThatAreNotFiniteGiveNaN) {
  const AttentionShape shape{.heads = 4,
                             .kv_heads = 2,
                             .head_dim = 20,
                             .context = 40,
                             .cache = CacheType::kInt8,
                             .scale = 0.3f,
                             .window = 17};
  constexpr size_t kToken = 3;
  const Data plain(shape);
  const std::vector<float> expected = AttendAll(shape, plain);
  const size_t q_size = shape.heads * shape.head_dim;
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const bool in_keys : {true, false}) {
      Data data = plain;
      // Of the second head of keys.
      const size_t at = (kToken * shape.kv_heads + 1) * shape.head_dim + 7;
      (in_keys ? data.k : data.v)[at] = odd;
      std::vector<float> reference(expected.size());
      std::vector<float> scratch(shape.context);
      for (size_t t = 0; t < shape.context; ++t) {
        reference::Attend(shape, t, &data.q[t * q_size], data.k.data(),
                          data.v.data(), scratch.data(),
                          &reference[t * q_size]);
      }
      const auto check = [&](const char* who, const std::vector<float>& y) {
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t t = i / q_size;
          const bool sees = t >= kToken && t < kToken + shape.window &&
                            i % q_size >= q_size / 2;
          ASSERT_EQ(std::isnan(y[i]), sees) << who << ", element " << i;
          if (!sees) {
            ASSERT_EQ(y[i], expected[i]) << who << ", element " << i;
          }
        }
      };
      check("reference", reference);
      ForEachVariant(
          [&](const char* variant) { check(variant, AttendAll(shape, data)); });
    }
  }
}

TEST(AttentionShapeTest, AbsurdSizesDoNotFit) {
  // More than 4 GiB, too much for 32-bit sizes.
  const bool fits = AttentionFits({.heads = 128,
                                   .kv_heads = 8,
                                   .head_dim = 128,
                                   .context = size_t{1} << 20});
  EXPECT_EQ(fits, sizeof(size_t) == 8);
  EXPECT_FALSE(AttentionFits({.heads = size_t{1} << 20,
                              .kv_heads = 1,
                              .head_dim = size_t{1} << 20,
                              .context = size_t{1} << 30}));
}

}  // namespace
}  // namespace lutra::kernels
