#include "tools/cli/line_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace lutra::tools {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

size_t Count(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + 1)) {
    ++count;
  }
  return count;
}

std::string ChartSvg(const std::string& x_name,
                     const std::vector<ChartPanel>& panels) {
  return DrawingSvg(LineChart(x_name, panels));
}

TEST(LineChartTest, TicksAreRound) {
  EXPECT_THAT(ChartTicks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(ChartTicks(3, 97, 4), ElementsAre(50));
  EXPECT_THAT(ChartTicks(0.0, 0.003, 5),
              ElementsAre(0, DoubleNear(0.001, 1e-12), DoubleNear(0.002, 1e-12),
                          DoubleNear(0.003, 1e-12)));
  EXPECT_THAT(ChartTicks(-1, 1, 4), ElementsAre(-1, -0.5, 0, 0.5, 1));
}

TEST(LineChartTest, DrawsEachSeriesOfEachPanel) {
  const std::string svg = ChartSvg(
      "step",
      {{"loss <x>",
        {{"one & two", {1, 2, 3}, {3, 2, 1}}, {"b", {1, 2, 3}, {1, 1, 1}}}},
       {"rate", {{"one & two", {1, 2, 3}, {0, 0, 0}}}}});
  EXPECT_EQ(Count(svg, "<polyline"), 3u);
  EXPECT_THAT(svg, HasSubstr(">loss &lt;x&gt;<"));
  EXPECT_THAT(svg, HasSubstr(">one &amp; two<"));
  EXPECT_THAT(svg, HasSubstr(">step<"));
  // From the left end to the right one, and from the top down.
  EXPECT_THAT(svg, HasSubstr("points=\"90.0,20.0 455.0,105.0 820.0,190.0 \""));
}

TEST(LineChartTest, LeavesOutWhatIsNoNumberAndThinsWhatIsMuch) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const std::string gap =
      ChartSvg("x", {{"y", {{"a", {0, 1, 2}, {0, kNaN, 1}}}}});
  EXPECT_THAT(gap, HasSubstr("points=\"90.0,190.0 820.0,20.0 \""));
  EXPECT_THAT(gap, Not(HasSubstr("nan")));
  ChartSeries many{"m", {}, {}};
  for (int i = 0; i < 100000; ++i) {
    many.x.push_back(i);
    many.y.push_back(i % 2);
  }
  EXPECT_LT(ChartSvg("x", {{"y", {many}}}).size(), 20000u);
  EXPECT_THAT(ChartSvg("x", {{"y", {{"a", {}, {}}}}}),
              Not(HasSubstr("polyline")));
}

TEST(LineChartTest, LogarithmicAxes) {
  EXPECT_THAT(LogarithmicTicks(0.03, 2),
              ElementsAre(DoubleNear(0.05, 1e-9), DoubleNear(0.1, 1e-9),
                          DoubleNear(0.2, 1e-9), DoubleNear(0.5, 1e-9), 1, 2));
  EXPECT_THAT(LogarithmicTicks(1, 10000), ElementsAre(1, 10, 100, 1000, 10000));
  // Factors of ten are as far apart; what is not above 0 has no place.
  const std::string svg =
      ChartSvg("x", {{"y", {{"a", {0, 1, 2, 3}, {0, 0.1, 1, 10}}}, true}});
  EXPECT_THAT(svg, HasSubstr("points=\"333.3,190.0 576.7,105.0 820.0,20.0 \""));
  EXPECT_EQ(Count(svg, "<circle"), 3u);
}

}  // namespace
}  // namespace lutra::tools
