// Hidden grids of our own making: each is found with every group, and weights
// of no grid are left alone. tests/golden_replay replays those of other
// programs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "packer/lattice/group_fit.h"
#include "packer/lattice/lattice.h"
#include "packer/lattice/rounding.h"
#include "tests/packer/grid_matrix.h"

namespace lutra::packer {
namespace {

constexpr size_t kGroupSizes[] = {16, 32, 48, 64, 128, 256, 768};
constexpr size_t kWidths[] = {8, 16, 24, 40, 72, 200, 1000};

// Every weight of the groups that are said to be exact comes back.
size_t ExactGroups(const FloatMatrix& matrix, const Lattice& lattice) {
  LatticeRows rows;
  ReadLattice(matrix, lattice, 0, matrix.rows.rows(), nullptr, rows);
  const size_t columns = matrix.rows.columns();
  const size_t groups = rows.scales.size() / matrix.rows.rows();
  std::vector<bool> exact(rows.scales.size(), true);
  for (size_t i = 0; i < rows.codes.size(); ++i) {
    const size_t group =
        i / columns * groups + i % columns / lattice.group_size;
    const float value = GridValue(
        *lattice.grid, matrix.dtype, rows.codes[i], rows.scales[group],
        rows.offsets.empty() ? 0.0f : rows.offsets[group]);
    if (RoundTo(matrix.dtype, value) != rows.original[i]) exact[group] = false;
  }
  return static_cast<size_t>(std::count(exact.begin(), exact.end(), true));
}

void ExpectAllExact(const FloatMatrix& matrix, const Lattice& lattice) {
  EXPECT_GT(lattice.groups, 0u);
  EXPECT_EQ(lattice.exact_groups, lattice.groups);
  EXPECT_EQ(ExactGroups(matrix, lattice), lattice.groups);
}

class EveryGridTest
    : public ::testing::TestWithParam<std::tuple<size_t, DType>> {};

TEST_P(EveryGridTest, IsFoundWithItsGroups) {
  const Grid& grid = Grids()[std::get<0>(GetParam())];
  const DType dtype = std::get<1>(GetParam());
  Random random(7);
  for (const size_t group_size : kGroupSizes) {
    for (const Rounding rounding : {RoundToBFloat16, RoundToFloat16, AsIs}) {
      for (const bool signs : {false, true}) {
        if (signs && (grid.rule != Grid::Rule::kScale || !grid.whole)) continue;
        if (signs && (grid.rule != Grid::Rule::kScale || !grid.whole)) continue;
        MadeOf made = {&grid, dtype};
        made.columns = 768;
        made.group_size = group_size;
        made.rounding = rounding;
        made.signs = signs;
        const Matrix matrix = Make(made, random);
        const Lattice lattice = FindLattice(matrix.View(), nullptr);
        SCOPED_TRACE(std::string(grid.name) + ", groups of " +
                     std::to_string(group_size) + (signs ? ", signs" : ""));
        ASSERT_NE(lattice.grid, nullptr);
        EXPECT_EQ(lattice.grid->name, grid.name);
        EXPECT_EQ(lattice.group_size, group_size);
        EXPECT_FALSE(lattice.one_scale);
        EXPECT_LT(lattice.log10_chance, -9);
        ExpectAllExact(matrix.View(), lattice);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryGridTest,
    ::testing::Combine(::testing::Range<size_t>(0, 19),
                       ::testing::Values(DType::kBFloat16, DType::kFloat16,
                                         DType::kFloat32)));

TEST(LatticeTest, ThereAreAsManyGridsAsAreTried) {
  EXPECT_EQ(Grids().size(), 19u);
}

TEST(LatticeTest, AScaleOfAllIsSaid) {
  Random random(3);
  for (const char* name : {"ternary", "two levels", "4 bits"}) {
    MadeOf made = {&Named(name), DType::kBFloat16};
    made.group_size = made.columns;
    made.one_scale = true;
    const Matrix matrix = Make(made, random);
    const Lattice lattice = FindLattice(matrix.View(), nullptr);
    ASSERT_NE(lattice.grid, nullptr) << name;
    EXPECT_TRUE(lattice.one_scale) << name;
    ExpectAllExact(matrix.View(), lattice);
  }
}

TEST(LatticeTest, OneScaleHasOneSign) {
  Random random(3);
  MadeOf made = {&Named("4 bits"), DType::kBFloat16};
  made.group_size = made.columns;
  made.one_scale = true;
  std::vector<float> values = Make(made, random).Values();
  for (size_t i = 0; i < made.columns; ++i) values[i] = -values[i];
  const Matrix matrix(made.dtype, made.rows, made.columns, values);
  const Lattice lattice = FindLattice(matrix.View(), nullptr);
  ASSERT_NE(lattice.grid, nullptr);
  EXPECT_FALSE(lattice.one_scale);
  ExpectAllExact(matrix.View(), lattice);
}

TEST(LatticeTest, ScalesOf16BitsAreFoundAgain) {
  Random random(4);
  for (const char* name : {"4 bits", "4 bits with an offset", "ternary"}) {
    for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
      MadeOf made = {&Named(name), dtype};
      made.rows = 64;
      const Lattice brain = FindLattice(Make(made, random).View(), nullptr);
      EXPECT_EQ(brain.types.scale, kernels::ScaleType::kBFloat16) << name;
      made.rounding = RoundToFloat16;
      const Lattice half = FindLattice(Make(made, random).View(), nullptr);
      EXPECT_NE(half.types.scale, kernels::ScaleType::kFloat32) << name;
    }
  }
}

TEST(LatticeTest, WeightsOfFewDigitsAreRead) {
  // Float16 values below 2^-14 are multiples of 2^-24.
  Random random(5);
  for (const char* name :
       {"4 bits", "3 bits, stretched", "ternary", "4 bits with an offset"}) {
    for (const float size : {2e-5f, 3e-6f}) {
      MadeOf made = {&Named(name), DType::kFloat16};
      made.rounding = AsIs;
      made.size = size;
      const Matrix matrix = Make(made, random);
      const Lattice lattice = FindLattice(matrix.View(), nullptr);
      ASSERT_NE(lattice.grid, nullptr) << name;
      EXPECT_EQ(lattice.grid->name, name);
      ExpectAllExact(matrix.View(), lattice);
    }
  }
}

TEST(LatticeTest, ShortLastGroupsAndNarrowMatrices) {
  Random random(6);
  for (const size_t columns : kWidths) {
    MadeOf made = {&Named("3 bits"), DType::kBFloat16};
    made.rows = 40;
    made.columns = columns;
    const Matrix matrix = Make(made, random);
    const Lattice lattice = FindLattice(matrix.View(), nullptr);
    ASSERT_NE(lattice.grid, nullptr) << columns;
    EXPECT_EQ(lattice.group_size, std::min<size_t>(columns, 32)) << columns;
    ExpectAllExact(matrix.View(), lattice);
  }
}

TEST(LatticeTest, SmallMatricesOfFewLevels) {
  Random random(15);
  for (const char* name : {"two levels", "ternary", "2 bits, stretched",
                           "two levels with an offset"}) {
    MadeOf made = {&Named(name), DType::kBFloat16};
    made.rows = 4;
    made.columns = 64;
    const Matrix matrix = Make(made, random);
    const Lattice lattice = FindLattice(matrix.View(), nullptr);
    ASSERT_NE(lattice.grid, nullptr) << name;
    EXPECT_EQ(lattice.grid->name, name);
    EXPECT_EQ(lattice.group_size, made.group_size);
    ExpectAllExact(matrix.View(), lattice);
  }
}

TEST(LatticeTest, BitsOfWideGridsAreCounted) {
  Random random(16);
  for (int bits = 5; bits <= 8; ++bits) {
    Grid grid = Named("8 bits");
    // Those of fewer bits are in the middle.
    const size_t first = 128 - (size_t{1} << (bits - 1));
    grid.level_count = size_t{1} << bits;
    std::copy_n(grid.levels + first, grid.level_count, grid.levels);
    for (const DType dtype :
         {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
      const Matrix matrix = Make({&grid, dtype}, random);
      const Lattice lattice = FindLattice(matrix.View(), nullptr);
      ASSERT_NE(lattice.grid, nullptr) << bits;
      EXPECT_EQ(lattice.grid->name, "8 bits");
      EXPECT_EQ(lattice.bits, bits);
      EXPECT_EQ(lattice.group_size, 32u);
      ExpectAllExact(matrix.View(), lattice);
    }
  }
}

TEST(LatticeTest, WhatComesNearIsSaid) {
  Random random(17);
  MadeOf made = {&Named("4 bits"), DType::kBFloat16};
  made.rows = 256;
  const std::vector<float> grid = Make(made, random).Values();
  // Across: columns of the one are rows of the other.
  std::vector<float> across(grid.size());
  for (size_t i = 0; i < grid.size(); ++i) {
    across[i % 256 * 256 + i / 256] = grid[i];
  }
  const Matrix transposed(made.dtype, 256, 256, across);
  const Lattice lattice = FindLattice(transposed.View(), nullptr);
  EXPECT_EQ(lattice.grid, nullptr);
  EXPECT_EQ(lattice.miss, NearMiss::kAcross);
  EXPECT_EQ(lattice.missed->name, "4 bits");
  EXPECT_EQ(lattice.missed_group, 32u);
  FloatMatrix back = transposed.View();
  back.rows = back.rows.Transposed();
  ExpectAllExact(back, FindLattice(back, nullptr));
  // Two of three groups disturbed.
  std::vector<float> few = grid;
  for (size_t i = 0; i < few.size(); i += 32) {
    if (random() % 3 == 0) continue;
    for (size_t j = i; j < i + 32; ++j) few[j] *= Uniform(random, 0.5f, 2.0f);
  }
  const Matrix disturbed(made.dtype, 256, 256, few);
  const Lattice rest = FindLattice(disturbed.View(), nullptr);
  EXPECT_EQ(rest.grid, nullptr);
  EXPECT_EQ(rest.miss, NearMiss::kFew);
  EXPECT_EQ(rest.missed->name, "4 bits");
  EXPECT_EQ(rest.missed_group, 32u);
  EXPECT_NEAR(rest.missed_share, 1.0 / 3, 0.1);
}

TEST(LatticeTest, RowsAreReadInAnyPieces) {
  Random random(8);
  MadeOf made = {&Named("4 bits"), DType::kBFloat16};
  const Matrix matrix = Make(made, random);
  const Lattice lattice = FindLattice(matrix.View(), nullptr);
  LatticeRows all;
  ReadLattice(matrix.View(), lattice, 0, made.rows, nullptr, all);
  for (size_t row = 0; row < made.rows; ++row) {
    LatticeRows one;
    ReadLattice(matrix.View(), lattice, row, 1, nullptr, one);
    EXPECT_TRUE(std::equal(
        one.codes.begin(), one.codes.end(),
        all.codes.begin() + static_cast<std::ptrdiff_t>(row * made.columns)));
    EXPECT_TRUE(std::equal(one.scales.begin(), one.scales.end(),
                           all.scales.begin() + static_cast<std::ptrdiff_t>(
                                                    row * one.scales.size())));
  }
}

TEST(LatticeTest, DisturbedGroupsAreCountedAndStayNear) {
  Random random(9);
  for (const char* name :
       {"4 bits", "2 bits, stretched", "ternary", "4 bits with a zero point",
        "4 bits with an offset"}) {
    for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
      MadeOf made = {&Named(name), dtype};
      made.rows = 64;
      const Matrix clean = Make(made, random);
      std::vector<float> values = clean.Values();
      // Every tenth group, by one weight.
      size_t disturbed = 0;
      for (size_t g = 0; g < values.size() / made.group_size; g += 10) {
        const auto group =
            std::span(values).subspan(g * made.group_size, made.group_size);
        group[g % made.group_size] =
            1.46f *
            *std::max_element(group.begin(), group.end(), [](float a, float b) {
              return std::abs(a) < std::abs(b);
            });
        ++disturbed;
      }
      const Matrix matrix(dtype, made.rows, made.columns, values);
      const Lattice lattice = FindLattice(matrix.View(), nullptr);
      ASSERT_NE(lattice.grid, nullptr) << name;
      EXPECT_EQ(lattice.grid->name, made.grid->name);
      EXPECT_EQ(lattice.group_size, made.group_size);
      EXPECT_EQ(lattice.groups - lattice.exact_groups, disturbed) << name;
      EXPECT_EQ(ExactGroups(matrix.View(), lattice), lattice.exact_groups);
      // The others are near.
      double signal = 0;
      double noise = 0;
      LatticeRows read;
      ReadLattice(matrix.View(), lattice, 0, made.rows, nullptr, read);
      for (size_t i = 0; i < values.size(); ++i) {
        const size_t group = i / made.group_size;
        const float value =
            GridValue(*lattice.grid, dtype, read.codes[i], read.scales[group],
                      read.offsets.empty() ? 0.0f : read.offsets[group]);
        const double error = double{value} - read.original[i];
        signal += double{read.original[i]} * read.original[i];
        noise += error * error;
      }
      EXPECT_GT(signal, 50 * noise) << name;
    }
  }
}

TEST(LatticeTest, WeightsThatAreNotFiniteSpoilTheirGroupOnly) {
  Random random(10);
  MadeOf made = {&Named("4 bits"), DType::kBFloat16};
  const Matrix clean = Make(made, random);
  std::vector<float> values = clean.Values();
  values[5] = std::numeric_limits<float>::infinity();
  values[300] = std::numeric_limits<float>::quiet_NaN();
  const Matrix matrix(DType::kBFloat16, made.rows, made.columns, values);
  const Lattice lattice = FindLattice(matrix.View(), nullptr);
  ASSERT_NE(lattice.grid, nullptr);
  EXPECT_EQ(lattice.groups - lattice.exact_groups, 2u);
  LatticeRows read;
  ReadLattice(matrix.View(), lattice, 0, made.rows, nullptr, read);
  for (const float scale : read.scales) EXPECT_TRUE(std::isfinite(scale));
}

// Weights of no grid, each from a number of its own.
struct Decoy {
  const char* name;
  std::function<float(Random&, size_t)> weight;
};

std::vector<Decoy> Decoys() {
  const auto normal = [](Random& random) {
    return std::normal_distribution<float>(0, 0.02f)(random);
  };
  return {
      {"normal", [=](Random& r, size_t) { return normal(r); }},
      {"uniform", [](Random& r, size_t) { return Uniform(r, -1, 1); }},
      {"positive", [](Random& r, size_t) { return Uniform(r, 1, 2); }},
      {"all zero", [](Random&, size_t) { return 0.0f; }},
      {"all one", [](Random&, size_t) { return 1.0f; }},
      {"a number per row",
       [](Random&, size_t i) { return static_cast<float>(i / 256) * 0.37f; }},
      // One weight in a group proves nothing.
      {"pruned",
       [=](Random& r, size_t) { return r() % 24 == 0 ? normal(r) : 0.0f; }},
      {"half pruned",
       [=](Random& r, size_t) { return r() % 2 == 0 ? normal(r) : 0.0f; }},
      // 9 bits are not looked for.
      {"9 bits",
       [](Random& r, size_t) {
         return (static_cast<float>(r() % 512) - 256) * 0.013f;
       }},
      // Nor are floats of 8 bits with 3 digits.
      {"float8",
       [=](Random& r, size_t) {
         int exponent = 0;
         const float digits = std::frexp(normal(r), &exponent);
         return 0.37f * std::ldexp(std::nearbyint(digits * 16) / 16, exponent);
       }},
      // Few values, but not a table times a scale.
      {"irregular levels",
       [](Random& r, size_t) {
         constexpr float kLevels[] = {-1,      -0.7062f, -0.3849f, -0.0711f,
                                      0.1509f, 0.3079f,  0.5926f,  1};
         return 0.043f * kLevels[r() % 8];
       }},
  };
}

TEST(LatticeTest, NoFalseAlarm) {
  Random random(11);
  for (const Decoy& decoy : Decoys()) {
    for (const DType dtype :
         {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
      for (int round = 0; round < 4; ++round) {
        std::vector<float> values(64 * 256);
        for (size_t i = 0; i < values.size(); ++i) {
          values[i] = decoy.weight(random, i);
        }
        const Matrix matrix(dtype, 64, 256, values);
        const Lattice lattice = FindLattice(matrix.View(), nullptr);
        EXPECT_EQ(lattice.grid, nullptr)
            << decoy.name << ": " << lattice.grid->name;
        EXPECT_NE(lattice.miss, NearMiss::kFolded) << decoy.name;
      }
    }
  }
}

TEST(LatticeTest, TinyFloat16WeightsProveNothing) {
  // Multiples of 2^-24 by their type, not by a grid.
  Random random(12);
  std::vector<float> values(64 * 256);
  for (float& value : values) {
    value = std::normal_distribution<float>(0, 0x3p-24f)(random);
    value = std::clamp(value, -0x7p-24f, 0x7p-24f);
  }
  const Matrix matrix(DType::kFloat16, 64, 256, values);
  EXPECT_EQ(FindLattice(matrix.View(), nullptr).grid, nullptr);
}

TEST(LatticeTest, FoldedColumnsAreSaidToBeLost) {
  Random random(13);
  for (const DType dtype :
       {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
    for (const char* name : {"4 bits", "4 bits, stretched"}) {
      MadeOf made = {&Named(name), dtype};
      made.rows = 32;
      const Matrix clean = Make(made, random);
      std::vector<float> norm(made.columns);
      for (float& value : norm) value = Uniform(random, 0.5f, 2);
      std::vector<float> values = clean.Values();
      std::vector<float> by_row = values;
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] *= norm[i % made.columns];
        by_row[i] *= norm[i / made.columns];
      }
      const Matrix folded(dtype, made.rows, made.columns, values);
      const Lattice lattice = FindLattice(folded.View(), nullptr);
      EXPECT_EQ(lattice.grid, nullptr);
      EXPECT_EQ(lattice.miss == NearMiss::kFolded,
                std::string(name) == "4 bits")
          << name;
      // A number for each row is a part of its scales, unless it is rounded
      // twice.
      if (dtype != DType::kFloat32) continue;
      const Matrix scaled(DType::kBFloat16, made.rows, made.columns, by_row);
      const Lattice found = FindLattice(scaled.View(), nullptr);
      ASSERT_NE(found.grid, nullptr);
      ExpectAllExact(scaled.View(), found);
    }
  }
}

TEST(LatticeTest, GroupsThatRoundAtTheEdgeAreNotLost) {
  // Scales whose products lie half way between two numbers: ties.
  const Grid& grid = Named("4 bits");
  Random random(14);
  size_t tried = 0;
  for (uint16_t bits = 0x3C00; bits < 0x3C80; ++bits) {
    for (const int extra : {0x8000, 0x4000, 0xC000}) {
      const float scale = std::bit_cast<float>((uint32_t{bits} << 16) |
                                               static_cast<uint32_t>(extra));
      std::vector<float> weights(32);
      for (float& weight : weights) {
        weight = RoundToBFloat16(
            static_cast<float>(static_cast<int>(random() % 16) - 8) * scale);
      }
      GroupValues values;
      ASSERT_TRUE(values.Collect(weights, 16, nullptr));
      EXPECT_TRUE(FitGroup(grid, DType::kBFloat16, values, nullptr).has_value())
          << scale;
      ++tried;
    }
  }
  EXPECT_EQ(tried, 384u);
}

}  // namespace
}  // namespace lutra::packer
