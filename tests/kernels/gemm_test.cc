#include "lutra/kernels/gemm.h"

#include <gtest/gtest.h>
#include <pthreadpool.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lutra/kernels/variants.h"
#include "tests/kernels/random_matrix.h"

namespace lutra::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
// Fills what a kernel may not touch.
constexpr float kCanary = -12345.75f;

struct PoolDeleter {
  void operator()(pthreadpool_t pool) const { pthreadpool_destroy(pool); }
};
using Pool = std::unique_ptr<std::remove_pointer_t<pthreadpool_t>, PoolDeleter>;

// Pools of 1 to 8 threads, made once.
pthreadpool_t PoolOf(size_t threads) {
  static std::map<size_t, Pool> pools;
  Pool& pool = pools[threads];
  if (!pool) pool.reset(pthreadpool_create(threads));
  return pool.get();
}

// The activations of a call, with rows further apart than K.
struct Input {
  size_t m;
  size_t k;
  size_t stride;
  std::vector<float> x;
  std::vector<float> bias;  // may be empty
};

Input MakeInput(size_t m, const LutFormat& format, std::mt19937& rng) {
  Input input{m, format.k, format.k + rng() % 5, {}, {}};
  // Exactly what may be read: the last row has no padding behind it.
  input.x.resize((m - 1) * input.stride + format.k);
  std::normal_distribution<float> normal(0.3f, 1.0f);
  for (size_t t = 0; t < m; ++t) {
    float* row = &input.x[t * input.stride];
    for (size_t k = 0; k < format.k; ++k) row[k] = normal(rng);
    switch (rng() % 12) {
      case 0:  // all zeros
        for (size_t k = 0; k < format.k; ++k) row[k] = 0;
        break;
      case 1:  // only the ends of the range
        for (size_t k = 0; k < format.k; ++k) row[k] = rng() % 2 ? 1.f : -1.f;
        break;
      case 2:
        row[rng() % format.k] = rng() % 2 ? kInfinity : -kInfinity;
        break;
      case 3:
        row[rng() % format.k] = kNaN;
        break;
      case 4:  // zero point at its limits
        for (size_t k = 0; k < format.k; ++k) row[k] = std::fabs(row[k]);
        break;
      case 5:
        for (size_t k = 0; k < format.k; ++k) row[k] = -std::fabs(row[k]);
        break;
      case 6:  // subnormal
        for (size_t k = 0; k < format.k; ++k) row[k] *= 0x1p-140f;
        break;
      case 7:  // max - min overflows
        row[0] = 3e38f;
        row[format.k - 1] = -3e38f;
        break;
      default:
        break;
    }
  }
  if (rng() % 2) {
    input.bias.resize(format.n);
    for (float& b : input.bias) b = normal(rng);
  }
  return input;
}

enum class Engine { kActive, kReference };

// Runs a call; checks that it writes nothing but y.
std::vector<float> Compute(Engine engine, const LutMatrix& w,
                           ActivationType type, const Input& input,
                           size_t threads) {
  const size_t n = w.format.n;
  const size_t y_stride = n + 3;
  std::vector<float> y(input.m * y_stride, kCanary);
  GemmArguments arguments;
  arguments.x = input.x.data();
  arguments.x_stride = input.stride;
  arguments.m = input.m;
  arguments.bias = input.bias.empty() ? nullptr : input.bias.data();
  arguments.y = y.data();
  arguments.y_stride = y_stride;
  if (engine == Engine::kReference) {
    ReferenceGemm(w, type, arguments);
  } else {
    const AlignedBytes scratch =
        AllocateAligned(GemmScratchBytes(w, type, input.m, threads));
    Gemm(w, type, arguments, scratch.get(),
         threads == 0 ? nullptr : PoolOf(threads));
  }
  std::vector<float> result;
  for (size_t t = 0; t < input.m; ++t) {
    for (size_t i = 0; i < y_stride; ++i) {
      if (i < n) {
        result.push_back(y[t * y_stride + i]);
      } else {
        EXPECT_EQ(y[t * y_stride + i], kCanary) << "written outside y";
      }
    }
  }
  return result;
}

// The same bits, all NaNs being equal.
void ExpectSameBits(const std::vector<float>& expected,
                    const std::vector<float>& actual, size_t n) {
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(expected[i]),
              std::bit_cast<uint32_t>(actual[i]))
        << "token " << i / n << " row " << i % n << ": " << expected[i]
        << " != " << actual[i];
  }
}

std::string Describe(const LutFormat& f, size_t m, size_t threads) {
  return std::string(ActiveVariant()) + " n=" + std::to_string(f.n) +
         " k=" + std::to_string(f.k) + " bits=" + std::to_string(f.bits) +
         " group=" + std::to_string(f.group_size) + " granularity=" +
         std::to_string(static_cast<int>(f.table_granularity)) +
         " scales=" + std::to_string(static_cast<int>(f.scale_type)) +
         " m=" + std::to_string(m) + " threads=" + std::to_string(threads);
}

class VariantTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!ForceVariant(GetParam().c_str())) {
      GTEST_SKIP() << "not supported by this CPU";
    }
  }
  void TearDown() override { ForceVariant(nullptr); }
};

std::vector<std::string> VariantNames() {
  size_t count = 0;
  const Variant* variants = Variants(&count);
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.emplace_back(variants[i].name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(AllVariants, VariantTest,
                         testing::ValuesIn(VariantNames()),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c))) {
                               c = '_';
                             }
                           }
                           return name;
                         });

constexpr ActivationType kInt8Types[] = {ActivationType::kInt8Symmetric,
                                         ActivationType::kInt8Asymmetric};

TEST_P(VariantTest, Int8EqualsReferenceOnRandomShapes) {
  std::mt19937 rng(11);
  for (int i = 0; i < 250; ++i) {
    const LutFormat format =
        RandomFormat(1 + static_cast<uint32_t>(rng() % 300),
                     1 + static_cast<uint32_t>(rng() % 300), rng);
    const TableKind kind =
        static_cast<TableKind>(rng() % static_cast<size_t>(TableKind::kCount));
    const RandomMatrix w = MakeRandomMatrix(format, kind, rng);
    const size_t m = rng() % 3 == 0 ? 1 : 1 + rng() % 67;
    const size_t threads = rng() % 8 == 0 ? 1 + rng() % 8 : 0;
    const Input input = MakeInput(m, format, rng);
    SCOPED_TRACE(Describe(format, m, threads));
    const ActivationType type = kInt8Types[rng() % 2];
    ExpectSameBits(Compute(Engine::kReference, w.matrix, type, input, 0),
                   Compute(Engine::kActive, w.matrix, type, input, threads),
                   format.n);
    if (HasFatalFailure()) return;
  }
}

// Every combination of format fields, each with the shapes that have ends.
TEST_P(VariantTest, Int8EqualsReferenceOnEveryFormat) {
  std::mt19937 rng(12);
  for (uint32_t bits = 1; bits <= 4; ++bits) {
    for (const uint32_t group_size : {16u, 32u, 48u, 128u, 203u}) {
      for (uint32_t choice = 0; choice < 6; ++choice) {
        const LutFormat format{
            .n = 33,
            .k = 203,
            .bits = bits,
            .group_size = group_size,
            .table_granularity = static_cast<TableGranularity>(choice % 2),
            .scale_type = static_cast<ScaleType>(choice / 2)};
        for (size_t kind = 0; kind < static_cast<size_t>(TableKind::kCount);
             ++kind) {
          const RandomMatrix w =
              MakeRandomMatrix(format, static_cast<TableKind>(kind), rng);
          for (const size_t m : {size_t{1}, size_t{9}}) {
            const Input input = MakeInput(m, format, rng);
            SCOPED_TRACE(Describe(format, m, 0));
            for (const ActivationType type : kInt8Types) {
              ExpectSameBits(
                  Compute(Engine::kReference, w.matrix, type, input, 0),
                  Compute(Engine::kActive, w.matrix, type, input, 0), format.n);
              if (HasFatalFailure()) return;
            }
          }
        }
      }
    }
  }
}

// Sums at the ends of their ranges, over one large group.
TEST_P(VariantTest, Int8IsExactAtTheLimits) {
  const uint32_t k = kMaxGroupSize;
  LutFormat format{.n = 2, .k = k, .bits = 1, .group_size = k};
  const std::vector<float> scales(2, 1.0f);
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  for (const auto& table :
       {std::vector<int8_t>{-128, 127}, std::vector<int8_t>{-128, -127},
        std::vector<int8_t>{126, 127}}) {
    for (const uint8_t index : {uint8_t{0}, uint8_t{1}}) {
      std::vector<uint8_t> indices(2 * size_t{k}, index);
      PackLutMatrix(format, indices.data(), scales.data(), table.data(),
                    blob.get());
      LutMatrix w;
      ASSERT_EQ(ParseLutMatrix(blob.get(), BlobBytes(format), &w), nullptr);
      for (const float sign : {-1.0f, 1.0f}) {
        for (const size_t m : {size_t{1}, size_t{2}}) {
          Input input{m, k, k, std::vector<float>(m * k, sign), {}};
          for (const ActivationType type : kInt8Types) {
            ExpectSameBits(Compute(Engine::kReference, w, type, input, 0),
                           Compute(Engine::kActive, w, type, input, 0), 2);
          }
        }
      }
    }
  }
}

TEST_P(VariantTest, NonFiniteTokenGivesNaNAndLeavesOthersAlone) {
  std::mt19937 rng(13);
  const LutFormat format{.n = 20, .k = 70, .bits = 2, .group_size = 32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  Input input{3, 70, 70, std::vector<float>(3 * 70, 0.5f), {}};
  input.x[70 + 69] = kInfinity;
  for (const ActivationType type : kInt8Types) {
    const std::vector<float> y =
        Compute(Engine::kActive, w.matrix, type, input, 0);
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_EQ(std::isnan(y[i]), i / 20 == 1) << i;
    }
  }
}

// Float path: one result for every m and number of threads, near the reference.
TEST_P(VariantTest, FloatIsNearReferenceAndTheSameForEveryCall) {
  std::mt19937 rng(14);
  for (int i = 0; i < 80; ++i) {
    const LutFormat format =
        RandomFormat(1 + static_cast<uint32_t>(rng() % 300),
                     1 + static_cast<uint32_t>(rng() % 300), rng);
    const RandomMatrix w = MakeRandomMatrix(format, TableKind::kExtreme, rng);
    const size_t m = 1 + rng() % 67;
    const size_t threads = rng() % 8 == 0 ? 1 + rng() % 8 : 0;
    Input input = MakeInput(m, format, rng);
    for (float& x : input.x) {
      if (!(std::fabs(x) < 1e30f)) x = 1.0f;
    }
    SCOPED_TRACE(Describe(format, m, threads));
    const ActivationType type = ActivationType::kFloat32;
    const std::vector<float> expected =
        Compute(Engine::kReference, w.matrix, type, input, 0);
    const std::vector<float> actual =
        Compute(Engine::kActive, w.matrix, type, input, threads);
    std::vector<float> row(format.k);
    for (uint32_t n = 0; n < format.n; ++n) {
      DequantizeRow(w.matrix, n, row.data());
      for (size_t t = 0; t < m; ++t) {
        double magnitude = 0;
        for (size_t k = 0; k < format.k; ++k) {
          magnitude +=
              std::fabs(double{row[k]} * input.x[t * input.stride + k]);
        }
        // Adding the bias rounds once more.
        const size_t at = t * format.n + n;
        const double bound =
            0x1p-23 * ((format.k + 2) * magnitude + std::fabs(expected[at])) +
            0x1p-126;
        ASSERT_NEAR(actual[at], expected[at], bound) << t << " " << n;
      }
    }
    // Each token alone.
    for (size_t t = 0; t < m; t += 1 + rng() % 5) {
      Input one{1, format.k, format.k, {}, input.bias};
      const float* x = &input.x[t * input.stride];
      one.x.assign(x, x + format.k);
      const std::vector<float> alone =
          Compute(Engine::kActive, w.matrix, type, one, 0);
      ASSERT_EQ(std::memcmp(alone.data(), &actual[t * format.n],
                            format.n * sizeof(float)),
                0)
          << "token " << t;
    }
  }
}

TEST(VariantsTest, ForcingAVariant) {
  size_t count = 0;
  const Variant* variants = Variants(&count);
  ASSERT_GT(count, 0u);
  const std::string best = ActiveVariant();
  EXPECT_FALSE(ForceVariant("no such variant"));
  EXPECT_EQ(ActiveVariant(), best);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(ForceVariant(variants[i].name), variants[i].supported);
    if (variants[i].supported) {
      EXPECT_STREQ(ActiveVariant(), variants[i].name);
    }
  }
  EXPECT_TRUE(ForceVariant(nullptr));
  EXPECT_EQ(ActiveVariant(), best);
}

// Enough work for threads to take part.
TEST(GemmTest, ManyThreadsGiveTheSameBits) {
  std::mt19937 rng(15);
  const LutFormat format{.n = 500, .k = 264, .bits = 2, .group_size = 64};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  for (const ActivationType type :
       {ActivationType::kInt8Symmetric, ActivationType::kInt8Asymmetric,
        ActivationType::kFloat32}) {
    for (const size_t m : {size_t{1}, size_t{130}}) {
      Input input = MakeInput(m, format, rng);
      const std::vector<float> one =
          Compute(Engine::kActive, w.matrix, type, input, 0);
      for (size_t threads = 1; threads <= 8; ++threads) {
        ExpectSameBits(one,
                       Compute(Engine::kActive, w.matrix, type, input, threads),
                       format.n);
      }
    }
  }
}

TEST(GemmTest, NoTokens) {
  std::mt19937 rng(16);
  const LutFormat format{.n = 5, .k = 5, .bits = 2, .group_size = 5};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  EXPECT_EQ(GemmScratchBytes(w.matrix, ActivationType::kFloat32, 0, 1), 0u);
  Gemm(w.matrix, ActivationType::kFloat32, GemmArguments(), nullptr, nullptr);
}

}  // namespace
}  // namespace lutra::kernels
