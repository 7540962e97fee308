#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "lutra/qat/prox_maps.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

// Grids of few levels, of many and unsorted ones are searched by code of their
// own each; all must give what the header says, found by looking at every
// level.
struct Grid {
  std::vector<float> levels;

  explicit Grid(size_t count, bool ascending)
      : levels(RandomValues(count, static_cast<uint32_t>(count))) {
    if (ascending) std::sort(levels.begin(), levels.end());
  }

  // Levels are powers of nothing, so no midpoint is a tie.
  float Nearest(float x) const {
    size_t below = 0;
    for (size_t i = 0; i + 1 < levels.size(); ++i) {
      below += (levels[i] + levels[i + 1]) / 2.0f < x;
    }
    return levels[below];
  }

  // clip(m + (p - m) / r, lo, hi)
  float Moved(float x, float r) const {
    size_t below = 0;
    for (const float level : levels) below += level < x;
    const float lo = levels[below == 0 ? 0 : below - 1];
    const float hi = levels[std::min(below, levels.size() - 1)];
    const float m = (lo + hi) / 2.0f;
    return std::min(std::max(m + (x - m) / r, lo), hi);
  }
};

// Values between levels, at them and beyond.
std::vector<float> ValuesFor(const Grid& grid) {
  std::vector<float> values = RandomValues(200, 7, 2.0f);
  values.insert(values.end(), grid.levels.begin(), grid.levels.end());
  return values;
}

class ProxLevelsTest : public testing::TestWithParam<size_t> {};

TEST_P(ProxLevelsTest, EveryLevelIsFound) {
  const ParqSchedule schedule{0, 10, 10.0, 0.5};
  const auto r = static_cast<float>(InverseSlope(schedule, 3));
  for (const bool ascending : {true, false}) {
    const Grid grid(GetParam(), ascending);
    const std::vector<float> values = ValuesFor(grid);
    std::vector<float> hard = values;
    std::vector<float> parq = values;
    const auto apply = [&](const ProxMap& map, std::vector<float>& p) {
      map.Apply({p.data(), nullptr, grid.levels.data(), 1, p.size(),
                 grid.levels.size(), false},
                3);
    };
    apply(*MakeProxHardQuant(), hard);
    apply(*MakeProxParq(schedule), parq);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(hard[i], grid.Nearest(values[i])) << values[i];
      EXPECT_EQ(parq[i], grid.Moved(values[i], r)) << values[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, ProxLevelsTest,
                         testing::Values(1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18,
                                         33, 256));

}  // namespace
}  // namespace lutra::qat
