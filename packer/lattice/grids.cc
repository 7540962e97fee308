#include "packer/lattice/grids.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <vector>

namespace lutra::packer {
namespace {

Grid Symmetric(std::string_view name, int bits, std::span<const int> levels) {
  Grid grid;
  grid.name = name;
  grid.bits = bits;
  for (const int level : levels) {
    grid.codes[level + Grid::kMiddle] = static_cast<uint8_t>(grid.level_count);
    grid.levels[grid.level_count++] = static_cast<float>(level);
    grid.multiples[level + Grid::kMiddle] = true;
    grid.largest = std::max(grid.largest, std::abs(level));
  }
  const auto [low, high] = std::minmax_element(levels.begin(), levels.end());
  grid.widest = *high - *low;
  return grid;
}

Grid Integers(std::string_view name, int bits) {
  std::vector<int> levels;
  for (int i = 0; i < 1 << bits; ++i) levels.push_back(i - (1 << (bits - 1)));
  return Symmetric(name, bits, levels);
}

Grid Odd(std::string_view name, int bits) {
  std::vector<int> levels;
  for (int i = 0; i < 1 << bits; ++i) levels.push_back(2 * i + 1 - (1 << bits));
  return Symmetric(name, bits, levels);
}

Grid Shifted(std::string_view name, int bits, Grid::Rule rule) {
  std::vector<int> levels;
  for (int i = 0; i < 1 << bits; ++i) levels.push_back(i);
  Grid grid = Symmetric(name, bits, levels);
  grid.rule = rule;
  if (rule == Grid::Rule::kZeroPoint) {
    for (const int level : levels) {
      grid.multiples[Grid::kMiddle - level] = true;
    }
  }
  return grid;
}

Grid Table(std::string_view name, std::span<const float> levels) {
  Grid grid;
  grid.name = name;
  grid.bits = 4;
  grid.whole = false;
  grid.level_count = levels.size();
  grid.largest = static_cast<int>(levels.size() / 2);
  std::copy(levels.begin(), levels.end(), grid.levels);
  return grid;
}

std::vector<Grid> MakeGrids() {
  const int ternary[] = {-1, 0, 1};
  // Doubled, so that they are whole.
  const int float4[] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
  // Of bitsandbytes: quantiles of the normal distribution, and floats of four
  // bits, as it has them.
  const float nf4[] = {-1.0f,
                       -0.6961928009986877f,
                       -0.5250730514526367f,
                       -0.39491748809814453f,
                       -0.28444138169288635f,
                       -0.18477343022823334f,
                       -0.09105003625154495f,
                       0.0f,
                       0.07958029955625534f,
                       0.16093020141124725f,
                       0.24611230194568634f,
                       0.33791524171829224f,
                       0.44070982933044434f,
                       0.5626170039176941f,
                       0.7229568362236023f,
                       1.0f};
  const float fp4[] = {
      -1.0f,        -2.0f / 3.0f,   -0.5f, -1.0f / 3.0f,  -0.25f,
      -1.0f / 6.0f, -1.0f / 192.0f, 0.0f,  1.0f / 192.0f, 1.0f / 6.0f,
      0.25f,        1.0f / 3.0f,    0.5f,  2.0f / 3.0f,   1.0f};
  constexpr Grid::Rule kZero = Grid::Rule::kZeroPoint;
  constexpr Grid::Rule kOffset = Grid::Rule::kOffset;
  return {
      Odd("two levels", 1),
      Shifted("two levels with an offset", 1, kOffset),
      Symmetric("ternary", 2, ternary),
      Integers("2 bits", 2),
      Odd("2 bits, stretched", 2),
      Shifted("2 bits with a zero point", 2, kZero),
      Shifted("2 bits with an offset", 2, kOffset),
      Integers("3 bits", 3),
      Odd("3 bits, stretched", 3),
      Shifted("3 bits with a zero point", 3, kZero),
      Shifted("3 bits with an offset", 3, kOffset),
      Integers("4 bits", 4),
      Odd("4 bits, stretched", 4),
      Symmetric("4-bit floats (e2m1)", 4, float4),
      Shifted("4 bits with a zero point", 4, kZero),
      Shifted("4 bits with an offset", 4, kOffset),
      Table("nf4", nf4),
      Table("fp4", fp4),
      Integers("8 bits", 8),
  };
}

}  // namespace

std::span<const Grid> Grids() {
  static const std::vector<Grid> grids = MakeGrids();
  return grids;
}

}  // namespace lutra::packer
