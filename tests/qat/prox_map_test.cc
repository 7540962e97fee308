#include "lutra/qat/prox_maps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

const std::vector<float> kGrid = {-1.5f, -0.5f, 0.5f, 1.5f};

std::vector<float> Apply(const ProxMap& map, std::vector<float> p, int64_t step,
                         const float* q = nullptr,
                         const std::vector<float>& grid = kGrid) {
  const size_t n = p.size();
  map.Apply({p.data(), q, grid.data(), 1, n, grid.size(), false}, step);
  return p;
}

TEST(ProxHardTest, TiesGoToTheLowerLevel) {
  EXPECT_EQ(Apply(*MakeProxHardQuant(), {-9.0f, -1.0f, 0.0f, 1.0f, 9.0f}, 0),
            (std::vector<float>{-1.5f, -1.5f, -0.5f, 0.5f, 1.5f}));
}

TEST(ProxHardTest, CopiesGivenValues) {
  const std::vector<float> q = {7.0f, 8.0f};
  EXPECT_EQ(Apply(*MakeProxHardQuant(), {0.0f, 0.0f}, 3, q.data()), q);
}

TEST(ProxHardTest, GridThatDoesNotAscendIsSearchedByCount) {
  // Midpoints 0.5, -0.5, 0.5: how many are below decides.
  const std::vector<float> grid = {-1.0f, 2.0f, -3.0f, 4.0f};
  EXPECT_EQ(Apply(*MakeProxHardQuant(), {-2.0f, 0.0f, 1.0f}, 0, nullptr, grid),
            (std::vector<float>{-1.0f, 2.0f, 4.0f}));
}

TEST(ProxParqTest, NothingHappensBeforeTheStart) {
  const auto p = RandomValues(100, 1);
  const auto map = MakeProxParq({10, 20, 10.0, 0.5});
  EXPECT_EQ(Apply(*map, p, 9), p);
}

TEST(ProxParqTest, EqualsHardQuantizationFromTheEndOn) {
  const auto p = RandomValues(2000, 2);
  const auto parq = MakeProxParq({10, 20, 10.0, 0.5});
  const auto hard = MakeProxHardQuant();
  for (const int64_t step : {20, 21, 1000}) {
    EXPECT_EQ(Apply(*parq, p, step), Apply(*hard, p, step));
    EXPECT_EQ(Apply(*parq, p, step, p.data()), p);
  }
}

TEST(ProxParqTest, MovesValuesAwayFromMidpointsMoreAndMore) {
  const auto map = MakeProxParq({0, 100, 10.0, 0.5});
  float last = 0.1f;  // between -0.5 and 0.5
  for (const int64_t step : {10, 30, 50, 70, 90, 99}) {
    const float moved = Apply(*map, {0.1f}, step)[0];
    EXPECT_GE(moved, last);
    EXPECT_LE(moved, 0.5f);
    last = moved;
  }
  EXPECT_EQ(last, 0.5f);
}

// m + (p - m) / r, worked out by the formula of the header.
TEST(ProxParqTest, MovesByTheInverseSlope) {
  for (const ParqSchedule& schedule :
       {ParqSchedule{0, 10, 10.0, 0.5}, ParqSchedule{2, 9, 3.0, 0.5},
        ParqSchedule{0, 10, 6.0, 0.25}}) {
    const auto map = MakeProxParq(schedule);
    for (int64_t step = schedule.start; step < schedule.end; ++step) {
      const double f = static_cast<double>(step - schedule.start) /
                       static_cast<double>(schedule.end - schedule.start);
      const auto fall = [&](double x) {
        return 1 / (1 + std::exp(schedule.steepness * x));
      };
      const double r =
          (fall(f - schedule.center) - fall(0.5)) / (fall(-0.5) - fall(0.5));
      EXPECT_NEAR(InverseSlope(schedule, step), r, 1e-14);
      const double positive = std::max(r, double{1e-30});
      const std::vector<float> p = {0.125f, -0.3f, 1.1f, -1.5f, 7.0f};
      const std::vector<float> got = Apply(*map, p, step);
      EXPECT_NEAR(got[0], std::min(0.125 / positive, 0.5), 1e-6);
      EXPECT_NEAR(got[1], std::max(-0.3 / positive, -0.5), 1e-6);
      EXPECT_NEAR(got[2], std::min(1 + 0.1 / positive, 1.5), 1e-5);
      EXPECT_EQ(got[3], -1.5f);
      EXPECT_EQ(got[4], 1.5f);
    }
  }
}

TEST(ProxParqTest, StaysBetweenTheLevels) {
  const auto p = RandomValues(3000, 3, 2.0f);
  const auto map = MakeProxParq({0, 10, 10.0, 0.5});
  for (int64_t step = 0; step < 12; ++step) {
    for (const float x : Apply(*map, p, step)) {
      EXPECT_GE(x, -1.5f);
      EXPECT_LE(x, 1.5f);
    }
  }
}

TEST(ParqScheduleTest, FallsFromOneToZero) {
  const ParqSchedule schedule{5, 25, 10.0, 0.5};
  EXPECT_DOUBLE_EQ(InverseSlope(schedule, 5), 1.0);
  EXPECT_NEAR(InverseSlope(schedule, 15), 0.5, 1e-12);
  EXPECT_NEAR(InverseSlope(schedule, 25), 0.0, 1e-12);
  for (int64_t step = 5; step < 25; ++step) {
    EXPECT_GT(InverseSlope(schedule, step), InverseSlope(schedule, step + 1));
  }
}

TEST(ParqScheduleTest, ReturnsTheSlope) {
  const auto map = MakeProxParq({5, 25, 10.0, 0.5});
  std::vector<float> p = {0.0f};
  const ProxArguments arguments{p.data(), nullptr,      kGrid.data(), 1,
                                1,        kGrid.size(), false};
  EXPECT_EQ(map->Apply(arguments, 0), 1.0);
  EXPECT_EQ(map->Apply(arguments, 25), 0.0);
  EXPECT_FALSE(MakeProxHardQuant()->Apply(arguments, 0).has_value());
}

TEST(ProxBinaryRelaxTest, BlendsThenQuantizes) {
  const auto map = MakeProxBinaryRelax(0, 4);
  EXPECT_EQ(Apply(*map, {0.1f}, 0), (std::vector<float>{0.1f}));
  EXPECT_NEAR(Apply(*map, {0.1f}, 2)[0], 0.3f, 1e-6f);
  EXPECT_EQ(Apply(*map, {0.1f}, 4), (std::vector<float>{0.5f}));
  // Towards what is handed over, not towards the grid.
  const std::vector<float> q = {2.0f};
  EXPECT_NEAR(Apply(*map, {0.5f}, 1, q.data())[0], 0.875f, 1e-6f);
  EXPECT_NEAR(Apply(*map, {0.5f}, 3, q.data())[0], 1.625f, 1e-6f);
}

TEST(ProxMapTest, RowsUseTheirOwnGrids) {
  std::vector<float> p = {0.4f, 0.4f};
  const std::vector<float> grid = {0.0f, 1.0f, -1.0f, 3.0f};
  MakeProxHardQuant()->Apply({p.data(), nullptr, grid.data(), 2, 1, 2, true},
                             0);
  EXPECT_EQ(p, (std::vector<float>{0.0f, -1.0f}));
}

TEST(ProxMapTest, RefusesBadSchedules) {
  EXPECT_THROW(MakeProxParq({10, 10, 10.0, 0.5}), Error);
  EXPECT_THROW(MakeProxParq({0, 10, 0.0, 0.5}), Error);
  EXPECT_THROW(MakeProxParq({0, 10, std::nan(""), 0.5}), Error);
  EXPECT_THROW(MakeProxBinaryRelax(3, 2), Error);
}

}  // namespace
}  // namespace lutra::qat
