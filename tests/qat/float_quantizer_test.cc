#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "kernels/base/float8.h"
#include "lutra/qat/conversion.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

// Quantizers whose levels are the floats of a few bits.

namespace lutra::qat {
namespace {

struct Type {
  std::string name;
  int bits;
  int exponent_bits;
  int mantissa_bits;
  int codes;  // of numbers that are not negative
  int emax;
};
const Type kTypes[] = {
    {"fp6e2m3", 6, 2, 3, 32, 2},    {"fp6e3m2", 6, 3, 2, 32, 4},
    {"fp8e4m3", 8, 4, 3, 127, 8},   {"fp8e5m2", 8, 5, 2, 124, 15},
    {"mxfp4", 4, 2, 1, 8, 2},       {"mxfp6e2m3", 6, 2, 3, 32, 2},
    {"mxfp6e3m2", 6, 3, 2, 32, 4},  {"mxfp8e4m3", 8, 4, 3, 127, 8},
    {"mxfp8e5m2", 8, 5, 2, 124, 15}};

bool IsMx(const Type& type) { return type.name.starts_with("mx"); }

// From the definition: bits of a code put together.
std::vector<double> Numbers(const Type& type) {
  const int bias = (1 << (type.exponent_bits - 1)) - 1;
  std::set<double> numbers;
  for (int code = 0; code < type.codes; ++code) {
    const int exponent = code >> type.mantissa_bits;
    const int mantissa = code & ((1 << type.mantissa_bits) - 1);
    const double fraction = std::ldexp(mantissa, -type.mantissa_bits);
    const double x = exponent == 0 ? std::ldexp(fraction, 1 - bias)
                                   : std::ldexp(1 + fraction, exponent - bias);
    numbers.insert(x);
    numbers.insert(-x);
  }
  return {numbers.begin(), numbers.end()};
}

struct FloatQuantized {
  std::vector<float> q;
  std::vector<float> grid;
};

FloatQuantized Quantize(const Type& type, const std::vector<float>& p) {
  const auto quantizer = MakeQuantizer(type.name);
  FloatQuantized result{std::vector<float>(p.size()),
                        std::vector<float>(quantizer->GridSize(type.bits))};
  quantizer->Quantize({p.data(), 1, p.size(), true}, type.bits, result.q.data(),
                      result.grid.data());
  return result;
}

TEST(FloatQuantizerTest, LevelsAreTheNumbersOfTheType) {
  for (const Type& type : kTypes) {
    const std::vector<double> numbers = Numbers(type);
    // The largest value gets the scale 1.
    const auto largest = static_cast<float>(
        IsMx(type) ? std::ldexp(1.0, type.emax) : numbers.back());
    const FloatQuantized result = Quantize(type, {largest});
    EXPECT_EQ(std::vector<double>(result.grid.begin(), result.grid.end()),
              numbers)
        << type.name;
  }
}

TEST(FloatQuantizerTest, ValuesTakeTheNearestLevelAndTiesTheEvenOne) {
  for (const Type& type : kTypes) {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
      std::vector<float> p = RandomValues(32, seed);
      for (float& x : p) x = x * x * x;  // of many sizes
      const FloatQuantized result = Quantize(type, p);
      for (size_t i = 0; i < p.size(); ++i) {
        EXPECT_TRUE(std::binary_search(result.grid.begin(), result.grid.end(),
                                       result.q[i]));
        float least = std::fabs(p[i] - result.grid[0]);
        for (const float level : result.grid) {
          least = std::min(least, std::fabs(p[i] - level));
        }
        EXPECT_LE(std::fabs(p[i] - result.q[i]), least * 1.00001f)
            << type.name << ' ' << p[i];
      }
    }
  }
  // Beside 448, whose scale is 1.
  const FloatQuantized ties =
      Quantize(kTypes[2], {448.0f, 1.0625f, 1.1875f, -1.0625f, 0x1p-10f});
  EXPECT_EQ(ties.q, (std::vector<float>{448.0f, 1.0f, 1.25f, -1.0f, 0.0f}));
}

TEST(FloatQuantizerTest, ScalesOfBlocksArePowersOfTwo) {
  for (const Type& type : kTypes) {
    EXPECT_EQ(HasPowersOfTwo(type.name), IsMx(type));
    EXPECT_EQ(FloatBits(type.name), type.bits);
    const std::vector<double> numbers = Numbers(type);
    for (const float largest : {0.3f, 1.0f, 1.99f, 7.9f, 1e-3f, 5e8f}) {
      const FloatQuantized result = Quantize(type, {largest, largest / 3});
      const double scale = result.grid.back() / numbers.back();
      const double expected =
          IsMx(type)
              ? std::exp2(std::floor(std::log2(double{largest})) - type.emax)
              : double{largest} / numbers.back();
      EXPECT_NEAR(scale / expected, 1.0, 1e-6) << type.name << ' ' << largest;
    }
  }
  // What is beyond the largest float becomes that.
  EXPECT_EQ(Quantize(kTypes[4], {7.9f}).q[0], 6.0f);
  EXPECT_EQ(MicroscalingOf("fp4", 4), "mxfp4");
  EXPECT_EQ(MicroscalingOf("intx", 8), "mxint8");
  EXPECT_EQ(MicroscalingOf("intx", 4), std::nullopt);
  EXPECT_EQ(MicroscalingOf("mxfp8e5m2", 8), "mxfp8e5m2");
}

TEST(FloatQuantizerTest, MxInt8IsWholeMultiples) {
  const Type type{"mxint8", 8, 0, 0, 0, 0};
  const FloatQuantized result = Quantize(type, {1.5f, 0.01f, -1.999f});
  EXPECT_EQ(result.q, (std::vector<float>{1.5f, 0.015625f, -127.0f / 64.0f}));
  const auto table = *MakeQuantizer("mxint8")->LutTable(8);
  EXPECT_EQ(table.size(), 256u);
  EXPECT_EQ(table.front(), -127);
  EXPECT_EQ(table[254], 127);
}

TEST(FloatQuantizerTest, ZerosAndTinyValues) {
  for (const Type& type : kTypes) {
    const FloatQuantized zeros = Quantize(type, {0.0f, 0.0f});
    EXPECT_EQ(zeros.q, (std::vector<float>{0.0f, 0.0f}));
    const FloatQuantized tiny = Quantize(type, {1e-44f, -1e-40f});
    for (const float x : tiny.q) EXPECT_TRUE(std::isfinite(x)) << type.name;
  }
}

// Those whose levels are int8 have a table, others a storage.
TEST(FloatQuantizerTest, AreEitherPackedOrStored) {
  for (const Type& type : kTypes) {
    const auto table = MakeQuantizer(type.name)->LutTable(type.bits);
    const auto storage = FloatStorage(type.name);
    EXPECT_NE(table.has_value(), storage.has_value()) << type.name;
    if (!table) continue;
    EXPECT_TRUE(std::is_sorted(table->begin(), table->end()));
    const std::vector<double> numbers = Numbers(type);
    for (size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_EQ((*table)[i], numbers[i] / numbers.back() * table->back());
    }
  }
  EXPECT_EQ(FloatStorage("fp8e5m2"), DType::kFloat8E5M2);
  EXPECT_EQ(FloatStorage("fp8e4m3"), DType::kFloat8E4M3);
  EXPECT_EQ(FloatStorage("mxfp6e3m2"), DType::kFloat8E4M3);
  EXPECT_EQ(FloatStorage("intx"), std::nullopt);
}

TEST(FloatFormTest, WeightsOnTheGridAreStoredWithoutLoss) {
  constexpr size_t kRows = 3;
  constexpr size_t kColumns = 70;  // the last group is short
  constexpr int64_t kGroup = 32;
  for (const Type& type : kTypes) {
    if (!FloatStorage(type.name)) continue;
    std::vector<float> w = RandomValues(kRows * kColumns, 5);
    std::fill(w.begin(), w.begin() + kGroup, 0.0f);
    const auto quantizer = MakeQuantizer(type.name);
    std::vector<float> grid(quantizer->GridSize(type.bits));
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t c = 0; c < kColumns; c += kGroup) {
        float* const p = w.data() + row * kColumns + c;
        const size_t count = std::min<size_t>(kGroup, kColumns - c);
        quantizer->Quantize({p, 1, count, true}, type.bits, p, grid.data());
      }
    }
    const auto form =
        MatchFloats(w.data(), kRows, kColumns, type.name, kGroup, nullptr);
    ASSERT_TRUE(form) << type.name;
    ASSERT_EQ(form->scales.size(), kRows * 3);
    for (size_t i = 0; i < w.size(); ++i) {
      const uint8_t code = form->codes[i];
      const float number = form->dtype == DType::kFloat8E5M2
                               ? FloatFromE5M2(code)
                               : FloatFromE4M3(code);
      const size_t group = i / kColumns * 3 + i % kColumns / kGroup;
      ASSERT_EQ(form->scales[group] * number, w[i]) << type.name << ' ' << i;
    }
    w[40] *= 1.001f;
    GridMismatch why;
    EXPECT_FALSE(
        MatchFloats(w.data(), kRows, kColumns, type.name, kGroup, &why));
    EXPECT_EQ(why.row, 0u);
    EXPECT_EQ(why.group, 1u);
    EXPECT_THROW(MatchFloats(w.data(), kRows, kColumns, "mxfp4", kGroup, &why),
                 Error);
    w[40] = INFINITY;
    EXPECT_FALSE(
        MatchFloats(w.data(), kRows, kColumns, type.name, kGroup, &why));
    EXPECT_EQ(why.column, 40u);
  }
}

}  // namespace
}  // namespace lutra::qat
