// Attention over a cache against plain mathematics, and against the reference
// on every instruction set.

#include "lutra/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/each_variant.h"
#include "tests/kernels/random_matrix.h"
#include "tests/rounds.h"

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

struct Case {
  AttentionShape shape;
  bool has_sinks = false;
};

struct Data {
  explicit Data(const Case& c)
      : q(Normal(c.shape.context * c.shape.heads * c.shape.head_dim, 1)),
        k(Normal(c.shape.context * c.shape.kv_heads * c.shape.head_dim, 2)),
        v(Normal(c.shape.context * c.shape.kv_heads * c.shape.head_dim, 3)) {
    if (!c.has_sinks) return;
    sinks = Normal(c.shape.heads, 4);
    // The same as none.
    if (c.shape.heads > 1) sinks[0] = -std::numeric_limits<float>::infinity();
  }
  const float* Sinks() const { return sinks.empty() ? nullptr : sinks.data(); }
  std::vector<float> q, k, v, sinks;
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

// All tokens of the context, in calls of as many as `tile` returns, up to what
// a call takes. Each call's are stored right before it.
std::vector<float> AttendAll(const AttentionShape& shape, const Data& data,
                             const std::function<size_t()>& tile) {
  EXPECT_TRUE(AttentionFits(shape));
  const Pages pages(shape);
  const AlignedBytes scratch = Allocate(AttentionScratchBytes(shape));
  const size_t q_size = shape.heads * shape.head_dim;
  const size_t kv_size = shape.kv_heads * shape.head_dim;
  std::vector<float> y(shape.context * q_size);
  const auto store = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      StoreToken(shape, i, &data.k[i * kv_size], &data.v[i * kv_size],
                 pages.cache());
    }
  };
  if (shape.both_directions) store(0, shape.context);
  for (size_t t = 0; t < shape.context;) {
    const size_t rows =
        std::min({tile(), AttentionTile(shape), shape.context - t});
    if (!shape.both_directions) store(t, t + rows);
    const AttentionTokens tokens = {.position = t,
                                    .count = rows,
                                    .end = shape.context,
                                    .q = &data.q[t * q_size],
                                    .sinks = data.Sinks(),
                                    .y = &y[t * q_size]};
    // The heads in two parts.
    const size_t half = shape.kv_heads / 2;
    AttendTokens(shape, tokens, 0, half, pages.cache(), scratch.get());
    AttendTokens(shape, tokens, half, shape.kv_heads - half, pages.cache(),
                 scratch.get());
    t += rows;
  }
  return y;
}

std::vector<float> AttendOneByOne(const AttentionShape& shape,
                                  const Data& data) {
  return AttendAll(shape, data, [] { return size_t{1}; });
}

// Of every `step`-th token; 0 for the others.
std::vector<float> ByReference(const AttentionShape& shape, const Data& data,
                               size_t step = 1) {
  const size_t q_size = shape.heads * shape.head_dim;
  std::vector<float> y(data.q.size());
  for (size_t t = 0; t < shape.context; t += step) {
    reference::Attend(shape, t, &data.q[t * q_size], data.Sinks(),
                      data.k.data(), data.v.data(), &y[t * q_size],
                      shape.context);
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
      const size_t after = !shape.both_directions ? 0
                           : shape.window == 0    ? shape.context
                                                  : shape.window - 1;
      const size_t last = std::min(t + after, shape.context - 1);
      std::vector<double> scores;
      for (size_t s = first; s <= last; ++s) {
        double score = 0;
        for (size_t d = 0; d < dim; ++d) {
          score += double{q[d]} *
                   double{data.k[(s * shape.kv_heads + kv) * dim + d]};
        }
        score *= double{shape.scale};
        if (shape.soft_cap != 0) {
          score = double{shape.soft_cap} *
                  std::tanh(score / double{shape.soft_cap});
        }
        scores.push_back(score);
      }
      const double most = *std::max_element(scores.begin(), scores.end());
      double sum =
          data.sinks.empty() ? 0 : std::exp(double{data.sinks[h]} - most);
      for (double& score : scores) sum += score = std::exp(score - most);
      for (size_t s = first; s <= last; ++s) {
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

std::vector<Case> Cases() {
  const auto shape = [](size_t heads, size_t kv_heads, size_t head_dim,
                        size_t context, size_t window, float soft_cap = 0) {
    return AttentionShape{.heads = heads,
                          .kv_heads = kv_heads,
                          .head_dim = head_dim,
                          .context = context,
                          .scale = 0.3f,
                          .window = window,
                          .soft_cap = soft_cap};
  };
  const auto both = [](AttentionShape s) {
    s.both_directions = true;
    return s;
  };
  return {{both(shape(2, 1, 20, 150, 0))},
          {both(shape(3, 3, 9, 200, 40, 2.0f)), true},
          {both(shape(4, 1, 16, 70, 1))},
          {both(shape(4, 2, 16, 90, 500))},
          {shape(1, 1, 1, 3, 0)},
          {shape(1, 1, 8, 150, 0)},
          {shape(2, 2, 20, 33, 0)},
          {shape(4, 2, 16, 40, 7), true},
          {shape(3, 1, 23, 100, 16)},
          {shape(8, 2, 64, 200, 0)},
          {shape(7, 1, 33, 80, 33, 2.0f)},
          {shape(9, 1, 80, 20, 1)},
          {shape(2, 1, 130, 70, 0), true},
          {shape(80, 1, 3, 10, 0)},
          // Windows that begin and end in several pages.
          {shape(2, 1, 16, 300, 70), true},
          {shape(1, 1, 5, 200, 3, 0.5f), true},
          {shape(1, 1, 16, 200, 0, 1.0f)}};
}

std::string Describe(const AttentionShape& shape, size_t element) {
  const size_t q_size = shape.heads * shape.head_dim;
  return std::to_string(shape.heads) + " heads of " +
         std::to_string(shape.head_dim) + ", token " +
         std::to_string(element / q_size) + ", element " +
         std::to_string(element % q_size);
}

class AttentionTest : public ::testing::TestWithParam<CacheType> {};

TEST_P(AttentionTest, IsTheFormula) {
  // Errors of a value: of the scores (weights change by as much), and of the
  // values themselves.
  const double tolerance = GetParam() == CacheType::kFloat32   ? 1e-5
                           : GetParam() == CacheType::kFloat16 ? 1e-2
                                                               : 1e-1;
  for (Case c : Cases()) {
    c.shape.cache = GetParam();
    const Data data(c);
    const auto y = AttendOneByOne(c.shape, data);
    const auto expected = Naive(c.shape, data);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], expected[i], tolerance) << Describe(c.shape, i);
    }
  }
}

// However tokens come in calls.
TEST_P(AttentionTest, HasTheBitsOfTheReference) {
  std::mt19937 rng(5);
  const std::function<size_t()> tiles[] = {
      [] { return size_t{1}; }, [] { return size_t{1} << 20; },
      [&] { return size_t{1 + rng() % 33}; }};
  // Odd, so that all places in a page have their turn.
  const auto step = static_cast<size_t>(TestDivisor() | 1);
  for (Case c : Cases()) {
    c.shape.cache = GetParam();
    const Data data(c);
    const size_t q_size = c.shape.heads * c.shape.head_dim;
    const auto expected = ByReference(c.shape, data, step);
    ForEachVariant([&](const char* variant) {
      for (const auto& tile : tiles) {
        const auto y = AttendAll(c.shape, data, tile);
        for (size_t i = 0; i < y.size(); ++i) {
          if (i / q_size % step != 0) continue;
          ASSERT_EQ(std::bit_cast<uint32_t>(y[i]),
                    std::bit_cast<uint32_t>(expected[i]))
              << variant << ", " << Describe(c.shape, i);
        }
      }
    });
  }
}

// Neither what comes after a token nor what its window leaves out may show, not
// even a NaN in the page that it looks at.
void CheckUnseenTokens(CacheType cache, bool both_directions) {
  Case c{{.heads = 4,
          .kv_heads = 2,
          .head_dim = 24,
          .context = 90,
          .cache = cache,
          .scale = 0.3f,
          .window = 20,
          .both_directions = both_directions}};
  constexpr size_t kToken = 40;
  const Data plain(c);
  const auto expected = AttendOneByOne(c.shape, plain);
  Data odd = plain;
  const size_t kv_size = c.shape.kv_heads * c.shape.head_dim;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::fill_n(&odd.k[kToken * kv_size], kv_size, nan);
  std::fill_n(&odd.v[kToken * kv_size], kv_size, nan);
  const size_t q_size = c.shape.heads * c.shape.head_dim;
  const auto check = [&](const char* who, const std::vector<float>& y) {
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t t = i / q_size;
      const bool sees = t < kToken + c.shape.window &&
                        t + (both_directions ? c.shape.window : 1) > kToken;
      ASSERT_EQ(std::isnan(y[i]), sees) << who << ", " << Describe(c.shape, i);
      if (!sees) {
        ASSERT_EQ(y[i], expected[i]) << who << ", " << Describe(c.shape, i);
      }
    }
  };
  check("reference", ByReference(c.shape, odd));
  ForEachVariant([&](const char* variant) {
    check(variant, AttendAll(c.shape, odd, [] { return size_t{32}; }));
    check(variant, AttendOneByOne(c.shape, odd));
  });
}

TEST_P(AttentionTest, TokensThatAreNotSeenDoNotShow) {
  CheckUnseenTokens(GetParam(), false);
  CheckUnseenTokens(GetParam(), true);
}

// Scores that are infinite or far apart: weights are 0, not NaN, where only
// their page has none that counts.
TEST_P(AttentionTest, PagesMayWeighNothing) {
  if (GetParam() == CacheType::kInt8) return;  // has no infinities
  Case c{{.heads = 1,
          .kv_heads = 1,
          .head_dim = 2,
          .context = 200,
          .cache = GetParam()}};
  Data data(c);
  for (size_t t = 0; t < c.shape.context; ++t) {
    data.q[2 * t] = 1.0f;
    data.q[2 * t + 1] = 0.0f;
    data.k[2 * t] = t < 64    ? -std::numeric_limits<float>::infinity()
                    : t < 130 ? -6e4f
                              : 1.0f;
  }
  const auto expected = ByReference(c.shape, data);
  ForEachVariant([&](const char* variant) {
    const auto y = AttendAll(c.shape, data, [] { return size_t{17}; });
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_EQ(std::isnan(y[i]), i < 2 * 64) << variant << ", element " << i;
      if (i >= 2 * 64) {
        ASSERT_EQ(y[i], expected[i]) << variant << ", element " << i;
      }
    }
  });
  // The mean of the values since.
  EXPECT_NEAR(expected[2 * 130], data.v[2 * 130], 1e-2);
}

INSTANTIATE_TEST_SUITE_P(All, AttentionTest,
                         ::testing::Values(CacheType::kFloat32,
                                           CacheType::kFloat16,
                                           CacheType::kInt8));

// Int8 has no code for them: nothing of the row may look like a number. Tokens
// before it and heads that do not use it are as they were.
TEST(Int8CacheTest, RowsThatAreNotFiniteGiveNaN) {
  const Case c{{.heads = 4,
                .kv_heads = 2,
                .head_dim = 20,
                .context = 40,
                .cache = CacheType::kInt8,
                .scale = 0.3f,
                .window = 17}};
  const AttentionShape& shape = c.shape;
  constexpr size_t kToken = 3;
  const Data plain(c);
  const std::vector<float> expected = AttendOneByOne(shape, plain);
  const size_t q_size = shape.heads * shape.head_dim;
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const char where : {'q', 'k', 'v'}) {
      Data data = plain;
      // Of the second head of keys, of the third of queries.
      const size_t at = (kToken * shape.kv_heads + 1) * shape.head_dim + 7;
      if (where == 'q') {
        data.q[(kToken * shape.heads + 2) * shape.head_dim + 7] = odd;
      } else {
        (where == 'k' ? data.k : data.v)[at] = odd;
      }
      const auto check = [&](const char* who, const std::vector<float>& y) {
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t t = i / q_size;
          const size_t head = i % q_size / shape.head_dim;
          const bool sees =
              where == 'q'
                  ? t == kToken && head == 2
                  : t >= kToken && t < kToken + shape.window && head >= 2;
          ASSERT_EQ(std::isnan(y[i]), sees) << who << ", element " << i;
          if (!sees) {
            ASSERT_EQ(y[i], expected[i]) << who << ", element " << i;
          }
        }
      };
      check("reference", ByReference(shape, data));
      ForEachVariant([&](const char* variant) {
        check(variant, AttendAll(shape, data, [] { return size_t{5}; }));
      });
    }
  }
}

// Sums of the largest integers must not wrap around, nor saturate.
TEST(Int8CacheTest, LargestSumsAreExact) {
  for (const size_t head_dim : {64u, 513u, 1024u}) {
    const Case c{{.heads = 1,
                  .kv_heads = 1,
                  .head_dim = head_dim,
                  .context = 70,
                  .cache = CacheType::kInt8,
                  .scale = 1.0f / static_cast<float>(head_dim)}};
    Data data(c);
    std::fill(data.q.begin(), data.q.end(), -1.0f);
    std::fill(data.k.begin(), data.k.end(), -1.0f);
    std::fill(data.v.begin(), data.v.end(), -1.0f);
    std::vector<float> expected(head_dim);
    reference::Attend(c.shape, c.shape.context - 1, data.q.data(), nullptr,
                      data.k.data(), data.v.data(), expected.data());
    EXPECT_NEAR(expected[0], -1.0f, 1e-4f);
    ForEachVariant([&](const char* variant) {
      const auto y = AttendAll(c.shape, data, [] { return size_t{9}; });
      for (size_t d = 0; d < head_dim; ++d) {
        ASSERT_EQ(y[(c.shape.context - 1) * head_dim + d], expected[d])
            << variant << ", " << head_dim;
      }
    });
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
  // One of them is enough, and none of them makes another one small.
  constexpr size_t kHuge = std::numeric_limits<size_t>::max() / 2;
  EXPECT_FALSE(AttentionFits(
      {.heads = kHuge, .kv_heads = 1, .head_dim = 1, .context = 1}));
  EXPECT_FALSE(AttentionFits(
      {.heads = 1, .kv_heads = 1, .head_dim = kHuge, .context = 1}));
  EXPECT_FALSE(AttentionFits(
      {.heads = 1, .kv_heads = 1, .head_dim = 1, .context = kHuge}));
}

}  // namespace
}  // namespace lutra::kernels
