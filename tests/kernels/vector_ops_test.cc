// The float operations: accuracy against double precision, and the bits of the
// reference on every instruction set.

#include "lutra/kernels/vector_ops.h"

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

#include "kernels/base/half.h"
#include "tests/kernels/each_variant.h"

namespace lutra::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> NormalFloats(size_t n, uint32_t seed,
                                float deviation = 1.0f) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

// Values that functions may stumble over, and many between.
std::vector<float> Arguments() {
  std::vector<float> x = {0.0f,  -0.0f,  1e-40f, -1e-40f, 1e-20f, -1e-20f,
                          0.6f,  -0.6f,  86.9f,  -86.9f,  87.1f,  -87.1f,
                          88.1f, -88.1f, 1000,   -1000,   3e38f,  -3e38f};
  for (float v = -100.0f; v < 100.0f; v += 0.0137f) x.push_back(v);
  const auto small = NormalFloats(1000, 1, 0.3f);
  x.insert(x.end(), small.begin(), small.end());
  return x;
}

struct FunctionCase {
  const char* name;
  Function function;
  double (*exact)(double);
  double tolerance;  // relative
  // Results below this have lost precision or are 0.
  double smallest = 1e-37;
};

const FunctionCase kFunctions[] = {
    {"Exp", Function::kExp, [](double x) { return std::exp(x); }, 1e-7},
    {"Relu", Function::kRelu, [](double x) { return std::max(x, 0.0); }, 0},
    {"Sigmoid", Function::kSigmoid,
     [](double x) { return 1 / (1 + std::exp(-x)); }, 4e-7},
    {"Tanh", Function::kTanh, [](double x) { return std::tanh(x); }, 4e-7},
    {"Silu", Function::kSilu, [](double x) { return x / (1 + std::exp(-x)); },
     4e-7, 1e-35},
    {"Gelu", Function::kGelu,
     [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, 5e-6,
     1e-35},
    {"GeluTanh", Function::kGeluTanh,
     [](double x) {
       const double u =
           std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
       return x / (1 + std::exp(-2 * u));
     },
     2e-5, 1e-35},
    {"Relu2", Function::kRelu2, [](double x) { return x > 0 ? x * x : 0.0; },
     2e-7}};

TEST(VectorOpsTest, FunctionsAreAccurate) {
  const std::vector<float> x = Arguments();
  std::vector<float> y(x.size());
  for (const FunctionCase& test : kFunctions) {
    SCOPED_TRACE(test.name);
    Apply(test.function, x.data(), x.size(), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = test.exact(double{x[i]});
      if (std::abs(exact) > double{std::numeric_limits<float>::max()} ||
          (test.function == Function::kExp && x[i] > 88.0f)) {
        ASSERT_EQ(y[i], kInfinity) << x[i];
        continue;
      }
      ASSERT_NEAR(y[i], exact, test.smallest + test.tolerance * std::abs(exact))
          << x[i];
    }
  }
}

TEST(VectorOpsTest, NaNStays) {
  for (const FunctionCase& test : kFunctions) {
    const std::vector<float> x(19, kNaN);
    std::vector<float> y(19, 0.0f);
    Apply(test.function, x.data(), x.size(), y.data());
    for (const float v : y) EXPECT_TRUE(std::isnan(v)) << test.name;
  }
}

TEST(VectorOpsTest, InfinitiesGiveTheLimits) {
  struct Limits {
    Function function;
    float low;
    float high;
  };
  const std::vector<float> x = {-kInfinity, kInfinity};
  for (const auto& [function, low, high] :
       {Limits{Function::kExp, 0.0f, kInfinity},
        Limits{Function::kRelu, 0.0f, kInfinity},
        Limits{Function::kSigmoid, 0.0f, 1.0f},
        Limits{Function::kTanh, -1.0f, 1.0f},
        Limits{Function::kSilu, -0.0f, kInfinity},
        Limits{Function::kGelu, -0.0f, kInfinity},
        Limits{Function::kGeluTanh, -0.0f, kInfinity},
        Limits{Function::kRelu2, 0.0f, kInfinity}}) {
    std::vector<float> y(2);
    reference::Apply(function, x.data(), 2, y.data());
    EXPECT_EQ(y, (std::vector{low, high})) << static_cast<int>(function);
    EXPECT_EQ(std::signbit(y[0]), std::signbit(low));
  }
}

// Calls body() under each variant and expects these bits; of a NaN, only that
// it is one.
void ExpectBits(const std::vector<float>& expected,
                const std::function<std::vector<float>()>& body) {
  ForEachVariant([&](const char* variant) {
    const std::vector<float> y = body();
    ASSERT_EQ(y.size(), expected.size());
    for (size_t i = 0; i < y.size(); ++i) {
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(y[i])) << variant << " at " << i;
        continue;
      }
      ASSERT_EQ(std::bit_cast<uint32_t>(y[i]),
                std::bit_cast<uint32_t>(expected[i]))
          << variant << " at " << i;
    }
  });
}

TEST(VectorOpsTest, FunctionsHaveTheBitsOfTheReference) {
  std::vector<float> x = Arguments();
  x.insert(x.end(), {kInfinity, -kInfinity, kNaN, -kNaN});
  for (const FunctionCase& test : kFunctions) {
    SCOPED_TRACE(test.name);
    std::vector<float> expected(x.size());
    reference::Apply(test.function, x.data(), x.size(), expected.data());
    ExpectBits(expected, [&] {
      std::vector<float> y(x.size());
      Apply(test.function, x.data(), x.size(), y.data());
      return y;
    });
  }
}

TEST(VectorOpsTest, WritesOnlyTheRow) {
  for (size_t n = 1; n < 40; ++n) {
    const auto x = NormalFloats(n, 3);
    std::vector<float> y(n + 1, 7.0f);
    Apply(Function::kSilu, x.data(), n, y.data());
    EXPECT_EQ(y[n], 7.0f);
    SoftmaxRow(x.data(), n, y.data());
    EXPECT_EQ(y[n], 7.0f);
    RmsNormRow(x.data(), x.data(), n, 1e-5f, y.data());
    EXPECT_EQ(y[n], 7.0f);
  }
}

// The sum in 16 lanes that vector_ops.h defines, once more.
float LaneSum(const std::vector<float>& terms) {
  float lanes[16] = {};
  for (size_t i = 0; i < terms.size(); ++i) lanes[i % 16] += terms[i];
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

const size_t kSizes[] = {1, 2, 7, 15, 16, 17, 31, 32, 48, 64, 100, 301};

TEST(VectorOpsTest, SoftmaxOfInfinities) {
  for (const size_t n : kSizes) {
    std::vector<float> x(n, -kInfinity);
    std::vector<float> y(n);
    const auto run = [&] {
      SoftmaxRow(x.data(), n, y.data());
      return y;
    };
    ExpectBits(std::vector<float>(n, kNaN), run);
    x[n / 2] = 3.0f;
    std::vector<float> one(n);
    one[n / 2] = 1.0f;
    ExpectBits(one, run);
    x[n / 2] = kInfinity;
    ExpectBits(std::vector<float>(n, kNaN), run);
  }
}

TEST(VectorOpsTest, SoftmaxHasTheBitsOfTheReference) {
  for (const size_t n : kSizes) {
    for (const float odd : {0.0f, -kInfinity, kInfinity, kNaN}) {
      SCOPED_TRACE(n);
      auto x = NormalFloats(n, 5, 4.0f);
      if (odd != 0.0f) x[n / 2] = odd;
      std::vector<float> expected(n);
      reference::SoftmaxRow(x.data(), n, expected.data());
      ExpectBits(expected, [&] {
        std::vector<float> y = x;
        SoftmaxRow(y.data(), n, y.data());
        return y;
      });
    }
  }
}

// The references are what the header says.
TEST(VectorOpsTest, SoftmaxReferenceIsTheFormula) {
  for (const size_t n : kSizes) {
    const auto x = NormalFloats(n, 5, 4.0f);
    const float largest = *std::max_element(x.begin(), x.end());
    std::vector<float> e(n);
    for (size_t i = 0; i < n; ++i) e[i] = x[i] - largest;
    reference::Apply(Function::kExp, e.data(), n, e.data());
    const float scale = 1.0f / LaneSum(e);
    std::vector<float> y(n);
    reference::SoftmaxRow(x.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(y[i], e[i] * scale);
  }
}

TEST(VectorOpsTest, NormReferencesAreTheFormulas) {
  for (const size_t n : kSizes) {
    SCOPED_TRACE(n);
    const auto x = NormalFloats(n, 6, 3.0f);
    const auto w = NormalFloats(n, 7);
    const auto b = NormalFloats(n, 8);
    const float count = static_cast<float>(n);
    std::vector<float> squares(n);
    for (size_t i = 0; i < n; ++i) squares[i] = x[i] * x[i];
    const float rms = 1.0f / std::sqrt(LaneSum(squares) / count + 1e-5f);
    const float mean = LaneSum(x) / count;
    for (size_t i = 0; i < n; ++i) {
      squares[i] = (x[i] - mean) * (x[i] - mean);
    }
    const float deviation = 1.0f / std::sqrt(LaneSum(squares) / count + 1e-5f);
    std::vector<float> y(n);
    reference::RmsNormRow(x.data(), w.data(), n, 1e-5f, y.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(y[i], (x[i] * rms) * w[i]);
    reference::LayerNormRow(x.data(), w.data(), nullptr, n, 1e-5f, y.data());
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], ((x[i] - mean) * deviation) * w[i]);
    }
    reference::LayerNormRow(x.data(), w.data(), b.data(), n, 1e-5f, y.data());
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], ((x[i] - mean) * deviation) * w[i] + b[i]);
    }
  }
}

TEST(VectorOpsTest, NormsHaveTheBitsOfTheReference) {
  for (const size_t n : kSizes) {
    SCOPED_TRACE(n);
    const auto x = NormalFloats(n, 6, 3.0f);
    const auto w = NormalFloats(n, 7);
    const auto b = NormalFloats(n, 8);
    std::vector<float> expected(n);
    reference::RmsNormRow(x.data(), w.data(), n, 1e-5f, expected.data());
    ExpectBits(expected, [&] {
      std::vector<float> y = x;
      RmsNormRow(y.data(), w.data(), n, 1e-5f, y.data());
      return y;
    });
    for (const float* bias : {static_cast<const float*>(nullptr), b.data()}) {
      reference::LayerNormRow(x.data(), w.data(), bias, n, 1e-5f,
                              expected.data());
      ExpectBits(expected, [&] {
        std::vector<float> y = x;
        LayerNormRow(y.data(), w.data(), bias, n, 1e-5f, y.data());
        return y;
      });
    }
  }
}

// Windows of all shapes, also without a tap on the image.
TEST(VectorOpsTest, WindowsHaveTheBitsOfTheReference) {
  for (const size_t n : kSizes) {
    for (const auto& [rows, columns] :
         {std::pair<size_t, size_t>{3, 3}, {1, 4}, {2, 1}, {0, 3}, {2, 0}}) {
      SCOPED_TRACE(std::to_string(n) + " channels, " + std::to_string(rows) +
                   " by " + std::to_string(columns));
      const size_t width = columns + 2;  // of the image, and of the window
      const auto x = NormalFloats((rows + 1) * width * n, 6, 3.0f);
      const auto w = NormalFloats((rows + 1) * width * n, 7);
      const auto b = NormalFloats(n, 8);
      const WindowTaps taps = {.rows = rows,
                               .columns = columns,
                               .x = x.data() + n,
                               .x_row = width * n,
                               .x_column = n,
                               .weight = w.data(),
                               .weight_row = (columns + 1) * n,
                               .weight_column = n};
      std::vector<float> expected(n);
      for (const float* bias : {static_cast<const float*>(nullptr), b.data()}) {
        reference::SumWindow(taps, bias, n, expected.data());
        ExpectBits(expected, [&] {
          std::vector<float> y(n, -1.0f);
          SumWindow(taps, bias, n, y.data());
          return y;
        });
      }
    }
  }
}

TEST(VectorOpsTest, WindowReferenceIsTheFormula) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6};  // two channels
  const std::vector<float> w = {10, 20, 30, 40};
  const std::vector<float> b = {0.5f, -0.5f};
  float y[2];
  // Two taps, one above the other, with a pixel between them.
  reference::SumWindow({.rows = 2,
                        .columns = 1,
                        .x = x.data(),
                        .x_row = 4,
                        .x_column = 2,
                        .weight = w.data(),
                        .weight_row = 2,
                        .weight_column = 2},
                       b.data(), 2, y);
  EXPECT_EQ(y[0], 1 * 10 + 5 * 30 + 0.5f);
  EXPECT_EQ(y[1], 2 * 20 + 6 * 40 - 0.5f);
}

TEST(VectorOpsTest, HalvesAreExact) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  ForEachVariant([&](const char* variant) {
    std::vector<float> y(all.size());
    ToFloat32(FloatType::kFloat16, all.data(), all.size(), y.data());
    for (size_t i = 0; i < all.size(); ++i) {
      const float exact = FloatFromFloat16(all[i]);
      if (std::isnan(exact)) {
        ASSERT_TRUE(std::isnan(y[i])) << variant << " " << i;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(exact))
            << variant << " " << i;
      }
    }
    ToFloat32(FloatType::kBFloat16, all.data(), all.size(), y.data());
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), uint32_t{all[i]} << 16)
          << variant;
    }
  });
}

TEST(VectorOpsTest, ConversionsHaveTheBitsOfTheReference) {
  const auto x = NormalFloats(1003, 12, 1e-4f);
  std::vector<uint16_t> halves(x.size());
  reference::ToFloat16(x.data(), x.size(), halves.data());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(halves[i], Float16FromFloat(x[i]));
  }
  for (const FloatType type : {FloatType::kFloat16, FloatType::kBFloat16}) {
    std::vector<float> expected(x.size());
    reference::ToFloat32(type, halves.data(), halves.size(), expected.data());
    ExpectBits(expected, [&] {
      std::vector<float> y(halves.size());
      ToFloat32(type, halves.data(), halves.size(), y.data());
      return y;
    });
  }
}

TEST(VectorOpsTest, RoundsToHalves) {
  std::vector<float> x = {0.0f,      -0.0f,      -1.0f, 65504.0f,
                          65519.9f,  65520.0f,   1e30f, 1.00048828125f,
                          kInfinity, -kInfinity, kNaN,  6e-8f,
                          2.9e-8f,   6.1e-5f};
  for (float v = 1e-9f; v < 1e6f; v *= 1.0107f) {
    x.push_back(v);
    x.push_back(-v);
  }
  ForEachVariant([&](const char* variant) {
    std::vector<uint16_t> y(x.size());
    ToFloat16(x.data(), x.size(), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(y[i], Float16FromFloat(x[i])) << variant << " " << x[i];
    }
  });
}

}  // namespace
}  // namespace lutra::kernels
