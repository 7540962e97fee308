#include "lutra/eval/timing.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

namespace lutra::eval {
namespace {

TEST(TimingTest, Statistics) {
  const Timing timing = Summarise({5, 1, 4, 2, 100});
  EXPECT_EQ(timing.calls, 5u);
  EXPECT_EQ(timing.minimum, 1);
  EXPECT_EQ(timing.median, 4);
  EXPECT_EQ(timing.mean, 22.4);
  EXPECT_EQ(timing.deviation, 2);  // of 1, 3, 0, 2, 96
  EXPECT_EQ(timing.p99, 100);
  EXPECT_EQ(Summarise({1, 2, 3, 4}).median, 2.5);
  EXPECT_EQ(Summarise({7}).deviation, 0);
}

TEST(TimingTest, AverageOfASample) {
  const MeanAndDeviation average = Average(std::vector<double>{2, 4, 9});
  EXPECT_DOUBLE_EQ(average.mean, 5);
  EXPECT_DOUBLE_EQ(average.deviation, std::sqrt(13.0));  // 9 + 1 + 16 over 2
  EXPECT_EQ(Average(std::vector<double>{7}).deviation, 0);
}

TEST(TimingTest, PercentileIsARank) {
  std::vector<double> values(200);
  std::iota(values.begin(), values.end(), 1.0);
  EXPECT_EQ(Summarise(values).p99, 198);
}

TEST(TimingTest, RepeatIsTheNumberOfTimedCalls) {
  size_t calls = 0;
  TimingOptions options;
  options.repeat = 17;
  options.seconds = 0;
  const Timing timing = TimeCalls([&] { ++calls; }, options);
  EXPECT_EQ(timing.calls, 17u);
  EXPECT_GT(calls, 17u);  // some to warm up
}

TEST(TimingTest, TimesAreInMicroseconds) {
  TimingOptions options;
  options.repeat = 3;
  const auto start = std::chrono::steady_clock::now();
  const Timing timing = TimeCalls(
      [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); },
      options);
  const std::chrono::duration<double, std::micro> all =
      std::chrono::steady_clock::now() - start;
  EXPECT_GE(timing.minimum, 2000);
  EXPECT_LE(3 * timing.mean, all.count());
}

TEST(TimingTest, SecondsLimitTheTime) {
  TimingOptions options;
  options.seconds = 0;
  EXPECT_EQ(TimeCalls([] {}, options).calls, 10u);
}

}  // namespace
}  // namespace lutra::eval
