#include "lutra/qat/quantizers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lutra/qat/prox_maps.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

constexpr size_t kRows = 5;
constexpr size_t kColumns = 48;

struct Quantized {
  std::vector<float> q;
  std::vector<float> grid;
};

Quantized Apply(const Quantizer& quantizer, int bits,
                const std::vector<float>& p, size_t rows, bool per_row) {
  Quantized result;
  const GridView view{p.data(), rows, p.size() / rows, per_row};
  result.q.resize(p.size());
  result.grid.resize(view.GridCount() * quantizer.GridSize(bits));
  quantizer.Quantize(view, bits, result.q.data(), result.grid.data());
  return result;
}

bool Supports(const Quantizer& quantizer, int bits) {
  try {
    return quantizer.GridSize(bits) > 0;
  } catch (const Error&) {
    return false;
  }
}

class QuantizerTest : public testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<Quantizer> quantizer_ = MakeQuantizer(GetParam());

  template <typename F>
  void ForBits(const F& f) const {
    size_t supported = 0;
    for (int bits = 0; bits <= 8; ++bits) {
      if (!Supports(*quantizer_, bits)) continue;
      ++supported;
      f(bits);
    }
    EXPECT_GT(supported, 0u);
  }
};

TEST_P(QuantizerTest, KnowsItsName) {
  EXPECT_EQ(quantizer_->name(), GetParam());
}

TEST_P(QuantizerTest, ValuesLieOnAnAscendingGrid) {
  for (const float deviation : {1.0f, 1e-20f, 1e20f}) {
    const auto p = RandomValues(kRows * kColumns, 1, deviation);
    ForBits([&](int bits) {
      for (const bool per_row : {true, false}) {
        const Quantized got = Apply(*quantizer_, bits, p, kRows, per_row);
        const size_t levels = quantizer_->GridSize(bits);
        // Projecting them again changes nothing.
        std::vector<float> again = got.q;
        MakeProxHardQuant()->Apply({again.data(), nullptr, got.grid.data(),
                                    kRows, kColumns, levels, per_row},
                                   0);
        EXPECT_EQ(again, got.q) << bits;
        for (size_t i = 0; i < p.size(); ++i) {
          const size_t row = per_row ? i / kColumns : 0;
          const auto begin =
              got.grid.begin() + static_cast<ptrdiff_t>(row * levels);
          const auto end = begin + static_cast<ptrdiff_t>(levels);
          EXPECT_TRUE(std::is_sorted(begin, end)) << bits;
          EXPECT_NE(std::find(begin, end, got.q[i]), end)
              << bits << " bits, element " << i;
        }
      }
    });
  }
}

TEST_P(QuantizerTest, RowsDoNotInfluenceEachOther) {
  const auto p = RandomValues(kRows * kColumns, 2);
  ForBits([&](int bits) {
    const Quantized all = Apply(*quantizer_, bits, p, kRows, true);
    for (size_t row = 0; row < kRows; ++row) {
      const auto begin = p.begin() + static_cast<ptrdiff_t>(row * kColumns);
      const std::vector<float> one(begin, begin + kColumns);
      const Quantized alone = Apply(*quantizer_, bits, one, 1, true);
      EXPECT_TRUE(
          std::equal(alone.q.begin(), alone.q.end(),
                     all.q.begin() + static_cast<ptrdiff_t>(row * kColumns)));
      const Quantized tensor = Apply(*quantizer_, bits, one, 1, false);
      EXPECT_EQ(tensor.q, alone.q);
      EXPECT_EQ(tensor.grid, alone.grid);
    }
  });
}

TEST_P(QuantizerTest, WorksInPlace) {
  const auto p = RandomValues(kRows * kColumns, 3);
  ForBits([&](int bits) {
    const Quantized apart = Apply(*quantizer_, bits, p, kRows, true);
    std::vector<float> values = p;
    std::vector<float> grid(apart.grid.size());
    quantizer_->Quantize({values.data(), kRows, kColumns, true}, bits,
                         values.data(), grid.data());
    EXPECT_EQ(values, apart.q);
    EXPECT_EQ(grid, apart.grid);
  });
}

TEST_P(QuantizerTest, ZerosAndConstantsStayFinite) {
  for (const float value : {0.0f, 0.25f, -3.0f, 1e30f, 1e-42f}) {
    const std::vector<float> p(32, value);
    ForBits([&](int bits) {
      const Quantized got = Apply(*quantizer_, bits, p, 1, true);
      for (const float q : got.q) EXPECT_TRUE(std::isfinite(q));
      for (const float level : got.grid) EXPECT_TRUE(std::isfinite(level));
    });
  }
}

TEST_P(QuantizerTest, TableTimesScaleIsTheGrid) {
  const auto p = RandomValues(64, 4);
  ForBits([&](int bits) {
    const auto table = quantizer_->LutTable(bits);
    if (!table) return;
    EXPECT_LE(table->size(), 256u);
    EXPECT_EQ(table->size() & (table->size() - 1), 0u);
    const Quantized got = Apply(*quantizer_, bits, p, 1, true);
    ASSERT_LE(got.grid.size(), table->size());
    float scale = 0.0f;
    for (size_t i = 0; i < got.grid.size(); ++i) {
      if (std::abs((*table)[i]) == 1) scale = std::fabs(got.grid[i]);
    }
    EXPECT_GT(scale, 0.0f);
    for (size_t i = 0; i < got.grid.size(); ++i) {
      EXPECT_EQ(got.grid[i], scale * static_cast<float>((*table)[i]));
    }
  });
}

TEST_P(QuantizerTest, RefusesImpossibleBits) {
  EXPECT_THROW(quantizer_->GridSize(-1), Error);
  EXPECT_THROW(quantizer_->GridSize(9), Error);
  EXPECT_THROW(quantizer_->GridSize(1 << 30), Error);
}

INSTANTIATE_TEST_SUITE_P(All, QuantizerTest,
                         testing::ValuesIn(QuantizerNames()),
                         [](const auto& name_info) {
                           std::string name(name_info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Quantizers whose levels are fixed by what lies on them: quantizing values of
// the grid, all levels in use, changes nothing.
class IdempotenceTest : public testing::TestWithParam<std::string_view> {};

TEST_P(IdempotenceTest, OwnGridIsAFixedPoint) {
  const auto quantizer = MakeQuantizer(GetParam());
  for (int bits = 0; bits <= 8; ++bits) {
    if (!Supports(*quantizer, bits)) continue;
    const auto p = RandomValues(4096, 11);
    const Quantized first = Apply(*quantizer, bits, p, 1, true);
    std::vector<float> levels = first.grid;
    const Quantized second = Apply(*quantizer, bits, levels, 1, true);
    for (size_t i = 0; i < levels.size(); ++i) {
      EXPECT_NEAR(second.q[i], levels[i],
                  1e-6f * std::fabs(levels.back() - levels.front()))
          << bits << " bits, level " << i;
    }
  }
}

// (The scale of stretched, mean-scaled and greedy grids is a mean, that of
// symmetric integers half a step more than the largest level.)
INSTANTIATE_TEST_SUITE_P(Grids, IdempotenceTest,
                         testing::Values("max-uniform", "asymmetric-uniform",
                                         "intx-no-clipping", "intx-asymmetric",
                                         "intx-asymmetric-no-zero", "int4",
                                         "lsbq-optimal"),
                         [](const auto& name_info) {
                           std::string name(name_info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(MakeQuantizerTest, SuggestsTheNearestName) {
  try {
    MakeQuantizer("streched");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("stretched"), std::string::npos);
  }
}

TEST(StretchedTest, IsUniformWithDefaultOptions) {
  const auto p = RandomValues(640, 9);
  const auto stretched = MakeStretchedQuantizer();
  const auto uniform = MakeUniformQuantizer({});
  for (int bits = 1; bits <= 4; ++bits) {
    const Quantized a = Apply(*stretched, bits, p, 10, true);
    const Quantized b = Apply(*uniform, bits, p, 10, true);
    EXPECT_EQ(a.q, b.q);
    EXPECT_EQ(a.grid, b.grid);
  }
}

double SquaredError(const std::vector<float>& p, const std::vector<float>& q) {
  double sum = 0.0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double e = static_cast<double>(p[i]) - static_cast<double>(q[i]);
    sum += e * e;
  }
  return sum;
}

TEST(OptimalLsbqTest, IsNeverWorseThanGreedyOrCompat) {
  LsbqOptions options;
  const auto greedy = MakeLsbqQuantizer(options);
  options.optimal = true;
  const auto optimal = MakeLsbqQuantizer(options);
  options.compat = true;
  const auto compat = MakeLsbqQuantizer(options);
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const auto p = RandomValues(24, seed);
    for (const int bits : {0, 1, 2}) {
      const double best = SquaredError(p, Apply(*optimal, bits, p, 1, true).q);
      const double slack = best * 1e-5 + 1e-9;
      EXPECT_LE(best,
                SquaredError(p, Apply(*greedy, bits, p, 1, true).q) + slack);
      EXPECT_LE(best,
                SquaredError(p, Apply(*compat, bits, p, 1, true).q) + slack);
      EXPECT_LE(best,
                SquaredError(p, Apply(*compat, bits, p, 1, false).q) + slack);
    }
  }
}

// What the defaults put right.
TEST(OptimalLsbqTest, CompatHasUpstreamsDefects) {
  LsbqOptions options;
  options.optimal = true;
  const auto right = MakeLsbqQuantizer(options);
  options.compat = true;
  const auto compat = MakeLsbqQuantizer(options);

  // The ternary grid of a tensor has half the size.
  const auto p = RandomValues(256, 21);
  const float full = Apply(*right, 0, p, 1, false).grid[2];
  const float half = Apply(*compat, 0, p, 1, false).grid[2];
  EXPECT_LT(half, 0.7f * full);

  // A tensor of zeros is an error, or zeros.
  const std::vector<float> zeros(16, 0.0f);
  EXPECT_THROW(Apply(*compat, 2, zeros, 1, false), Error);
  EXPECT_EQ(Apply(*right, 2, zeros, 1, false).q, zeros);

  // Some grids do not ascend, and some rows depend on others.
  size_t unsorted = 0;
  for (uint32_t seed = 0; seed < 400; ++seed) {
    const auto row = RandomValues(16, seed);
    const Quantized got = Apply(*compat, 2, row, 1, true);
    if (!std::is_sorted(got.grid.begin(), got.grid.end())) ++unsorted;
  }
  EXPECT_GT(unsorted, 0u);
  EXPECT_FALSE(compat->RowsAreIndependent());
  EXPECT_TRUE(right->RowsAreIndependent());
}

TEST(LsbqTest, CompatDiffersByRoundingOnly) {
  LsbqOptions options;
  const auto right = MakeLsbqQuantizer(options);
  options.compat = true;
  const auto compat = MakeLsbqQuantizer(options);
  const auto p = RandomValues(1024, 31);
  for (int bits = 0; bits <= 4; ++bits) {
    const Quantized a = Apply(*right, bits, p, 4, true);
    const Quantized b = Apply(*compat, bits, p, 4, true);
    EXPECT_EQ(a.grid, b.grid);
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(a.q[i], b.q[i], 1e-6f);
  }
}

TEST(CenteredTest, ShiftsWithTheValues) {
  const auto p = RandomValues(256, 41);
  std::vector<float> shifted = p;
  for (float& x : shifted) x += 5.0f;
  UniformOptions options;
  options.center = true;
  const auto quantizer = MakeUniformQuantizer(options);
  const Quantized a = Apply(*quantizer, 3, p, 1, true);
  const Quantized b = Apply(*quantizer, 3, shifted, 1, true);
  EXPECT_FALSE(quantizer->LutTable(3).has_value());
  for (size_t i = 0; i < a.grid.size(); ++i) {
    EXPECT_NEAR(b.grid[i], a.grid[i] + 5.0f, 1e-4f);
  }
}

TEST(UniformTest, RefusesOptionsOutOfRange) {
  UniformOptions options;
  options.int_shift = 2.0;
  EXPECT_THROW(MakeUniformQuantizer(options), Error);
  options = {};
  options.zero_point = std::nan("");
  EXPECT_THROW(MakeUniformQuantizer(options), Error);
  EXPECT_THROW(MakeMaxUniformQuantizer(false)->GridSize(1), Error);
}

}  // namespace
}  // namespace lutra::qat
