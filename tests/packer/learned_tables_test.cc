#include "packer/encode/learned_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/qat/conversion.h"
#include "tests/runtime/model_builder.h"

namespace lutra::packer {
namespace {

constexpr size_t kTableRows = 96;
constexpr size_t kTableColumns = 200;
constexpr size_t kTableGroup = 64;
constexpr size_t kTableGroups = 4;

using qat::LearnedTable;

// With heavy tails, and rows of different size.
std::vector<float> Weights(uint32_t seed) {
  std::vector<float> w = RandomFloats(kTableRows * kTableColumns, seed);
  for (size_t i = 0; i < w.size(); ++i) {
    w[i] *=
        (1 + std::abs(w[i])) * static_cast<float>(1 + i / kTableColumns % 7);
  }
  return w;
}

TensorView View(const std::vector<float>& w) {
  TensorView view;
  view.name = std::string("w");
  view.shape = {kTableRows, kTableColumns};
  view.data = std::as_bytes(std::span(w));
  return view;
}

LearnedTableOptions Options(int bits, LearnedTable granularity) {
  LearnedTableOptions options;
  options.bits = bits;
  options.group_size = kTableGroup;
  options.granularity = granularity;
  return options;
}

LearnedTables Learn(const std::vector<float>& w,
                    const LearnedTableOptions& options,
                    Executor* executor = nullptr) {
  return LearnTables(RowSource(View(w), "w"), options, executor);
}

size_t Entries(int bits) { return bits == 0 ? 4 : size_t{1} << bits; }

// Sum over the groups of squared error over squared values.
double RelativeError(const std::vector<float>& w,
                     const std::vector<double>& q) {
  double error = 0;
  for (size_t row = 0; row < w.size(); row += kTableColumns) {
    for (size_t begin = 0; begin < kTableColumns; begin += kTableGroup) {
      double noise = 0;
      double signal = 0;
      for (size_t i = begin; i < std::min(begin + kTableGroup, kTableColumns);
           ++i) {
        const double e = double{w[row + i]} - q[row + i];
        noise += e * e;
        signal += double{w[row + i]} * w[row + i];
      }
      error += signal == 0 ? noise : noise / signal;
    }
  }
  return error;
}

double RelativeError(const std::vector<float>& w, const LearnedTables& learned,
                     const LearnedTableOptions& options) {
  const size_t entries = Entries(options.bits);
  std::vector<double> q(w.size());
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t row = i / kTableColumns;
    const size_t group = row * kTableGroups + i % kTableColumns / kTableGroup;
    const size_t table =
        options.granularity == LearnedTable::kRow ? row * entries : 0;
    const double level = learned.tables[table + learned.indices[i]];
    q[i] = double{learned.scales[group]} * level;
  }
  return RelativeError(w, q);
}

double StretchedError(const std::vector<float>& w, int bits) {
  const auto quantizer = qat::MakeMseQuantizer(/*stretched=*/bits > 0);
  const qat::LutForm form = qat::QuantizeToLut(
      w.data(), kTableRows, kTableColumns, *quantizer, bits, kTableGroup);
  const std::vector<float> q =
      qat::Dequantize(form, kTableRows, kTableColumns, kTableGroup);
  return RelativeError(w, {q.begin(), q.end()});
}

TEST(LearnedTablesTest, IsBetterThanTheBestScaleOfAFixedTable) {
  const std::vector<float> w = Weights(1);
  for (const int bits : {0, 1, 2, 3, 4}) {
    const double fixed = StretchedError(w, bits);
    const LearnedTableOptions tensor = Options(bits, LearnedTable::kTensor);
    const LearnedTableOptions row = Options(bits, LearnedTable::kRow);
    const double by_tensor = RelativeError(w, Learn(w, tensor), tensor);
    const double by_row = RelativeError(w, Learn(w, row), row);
    EXPECT_LT(by_tensor, fixed * (1 + 1e-6)) << bits;
    EXPECT_LT(by_row, fixed * (1 + 1e-6)) << bits;
    // The tails are where the levels of a fixed table are not.
    if (bits >= 2) {
      EXPECT_LT(by_tensor, 0.98 * fixed) << bits;
    }
    // Four groups of two bits gain more by the sign that tables of rows do
    // without.
    if (bits >= 3) {
      EXPECT_LT(by_row, by_tensor) << bits;
    }
  }
}

TEST(LearnedTablesTest, LossNeverRises) {
  const std::vector<float> w = Weights(2);
  for (const int bits : {2, 3, 4}) {
    const LearnedTables learned =
        Learn(w, Options(bits, LearnedTable::kTensor));
    ASSERT_GT(learned.losses.size(), 2u);
    EXPECT_NEAR(learned.losses.front(), StretchedError(w, bits),
                1e-3 * learned.losses.front());
    for (size_t i = 1; i < learned.losses.size(); ++i) {
      EXPECT_LE(learned.losses[i], learned.losses[i - 1] * (1 + 1e-7)) << i;
    }
  }
}

// What could not be improved by moving one thing alone: every weight is on its
// nearest entry, every scale is the best for its indices.
TEST(LearnedTablesTest, EndsWhereNoStepHelps) {
  const std::vector<float> w = Weights(3);
  for (const LearnedTable granularity :
       {LearnedTable::kTensor, LearnedTable::kRow}) {
    const LearnedTableOptions options = Options(3, granularity);
    const LearnedTables learned = Learn(w, options);
    for (size_t i = 0; i < w.size(); ++i) {
      const size_t row = i / kTableColumns;
      const double scale =
          learned.scales[row * kTableGroups + i % kTableColumns / kTableGroup];
      const int8_t* table =
          &learned.tables[granularity == LearnedTable::kRow ? row * 8 : 0];
      const auto distance = [&](size_t e) {
        return std::abs(double{w[i]} - scale * static_cast<double>(table[e]));
      };
      for (size_t e = 0; e < 8; ++e) {
        ASSERT_LE(distance(learned.indices[i]),
                  distance(e) + 1e-5 * std::abs(w[i]))
            << i;
      }
    }
  }
}

TEST(LearnedTablesTest, TablesAscendAndAreWhole) {
  const std::vector<float> w = Weights(4);
  for (const int bits : {0, 2, 4}) {
    const size_t entries = Entries(bits);
    const LearnedTables learned = Learn(w, Options(bits, LearnedTable::kRow));
    ASSERT_EQ(learned.tables.size(), kTableRows * entries);
    for (size_t row = 0; row < kTableRows; ++row) {
      const std::span<const int8_t> table(&learned.tables[row * entries],
                                          entries);
      EXPECT_TRUE(std::is_sorted(table.begin(), table.end()));
      const int largest = std::max(-table.front(), int{table.back()});
      EXPECT_GE(largest, bits == 0 ? 1 : 3);
    }
    for (const uint8_t index : learned.indices) {
      ASSERT_LT(index, bits == 0 ? 3u : entries);
    }
  }
}

// Where a fixed table is exact there is nothing to learn.
TEST(LearnedTablesTest, KeepsAnExactTable) {
  std::vector<float> w(kTableRows * kTableColumns);
  for (size_t i = 0; i < w.size(); ++i) {
    const int level = static_cast<int>(i * 7 % 4) * 2 - 3;
    w[i] = static_cast<float>(level) * 0.25f *
           static_cast<float>(1 + i / kTableColumns);
  }
  for (const LearnedTable granularity :
       {LearnedTable::kTensor, LearnedTable::kRow}) {
    const LearnedTableOptions options = Options(2, granularity);
    EXPECT_LT(RelativeError(w, Learn(w, options), options), 1e-9);
  }
}

// A scale's sign chooses between the table and its mirror image.
TEST(LearnedTablesTest, GroupsTakeTheTableOrItsMirrorImage) {
  constexpr float kLevels[] = {-24, -9, 7, 40};
  std::vector<float> w(kTableRows * kTableColumns);
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t group =
        i / kTableColumns * kTableGroups + i % kTableColumns / kTableGroup;
    const float sign = group * 7 % 3 == 0 ? -0.01f : 0.01f;
    w[i] = sign * static_cast<float>(1 + group % 5) * kLevels[i * 5 / 3 % 4];
  }
  const LearnedTableOptions options = Options(2, LearnedTable::kTensor);
  const LearnedTables learned = Learn(w, options);
  EXPECT_LT(RelativeError(w, learned, options), 1e-3 * StretchedError(w, 2));
  const auto negative =
      std::count_if(learned.scales.begin(), learned.scales.end(),
                    [](float scale) { return scale < 0; });
  const auto all = static_cast<std::ptrdiff_t>(learned.scales.size());
  EXPECT_TRUE(negative == all / 3 || negative == all - all / 3) << negative;
}

TEST(LearnedTablesTest, RoundedScalesAreOfTheirType) {
  const std::vector<float> w = Weights(5);
  LearnedTableOptions options = Options(2, LearnedTable::kTensor);
  const double exact = RelativeError(w, Learn(w, options), options);
  for (const qat::ScaleType type :
       {qat::ScaleType::kBFloat16, qat::ScaleType::kFloat16}) {
    options.scale_type = type;
    const LearnedTables learned = Learn(w, options);
    for (const float scale : learned.scales) {
      EXPECT_EQ(qat::RoundScale(type, scale), scale);
    }
    EXPECT_LT(RelativeError(w, learned, options), 1.001 * exact);
  }
}

TEST(LearnedTablesTest, IsTheSameForAnyPool) {
  const std::unique_ptr<Executor> executor = StartThreadTeam(3);
  // More than one task.
  std::vector<float> w;
  for (uint32_t seed = 1; w.size() < 16 * kTableRows * kTableColumns; ++seed) {
    const std::vector<float> part = Weights(seed);
    w.insert(w.end(), part.begin(), part.end());
  }
  TensorView view = View(w);
  view.shape[0] = 16 * kTableRows;
  const RowSource source(view, "w");
  for (const LearnedTable granularity :
       {LearnedTable::kTensor, LearnedTable::kRow}) {
    const LearnedTableOptions options = Options(2, granularity);
    const LearnedTables one = LearnTables(source, options, nullptr);
    const LearnedTables three = LearnTables(source, options, executor.get());
    EXPECT_EQ(one.tables, three.tables);
    EXPECT_EQ(one.scales, three.scales);
    EXPECT_EQ(one.indices, three.indices);
  }
}

TEST(LearnedTablesTest, ZerosStayZeros) {
  std::vector<float> w(kTableRows * kTableColumns, 0.0f);
  for (const LearnedTable granularity :
       {LearnedTable::kTensor, LearnedTable::kRow}) {
    const LearnedTableOptions options = Options(2, granularity);
    EXPECT_LT(RelativeError(w, Learn(w, options), options), 1e-60);
  }
}

}  // namespace
}  // namespace lutra::packer
