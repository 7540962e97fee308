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
    grid.codes[level + Grid::kMiddle] = static_cast<int8_t>(grid.level_count);
    grid.levels[grid.level_count++] = static_cast<int8_t>(level);
    grid.multiples |= 1u << (level + Grid::kMiddle);
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
      grid.multiples |= 1u << (Grid::kMiddle - level);
    }
  }
  return grid;
}

std::vector<Grid> MakeGrids() {
  const int ternary[] = {-1, 0, 1};
  // Doubled, so that they are whole.
  const int float4[] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
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
  };
}

}  // namespace

std::span<const Grid> Grids() {
  static const std::vector<Grid> grids = MakeGrids();
  return grids;
}

}  // namespace lutra::packer
