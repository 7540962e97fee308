#include "lutra/runtime/stop_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

TEST(StopFilterTest, HoldsBackWhatMayBecomeAStop) {
  StopFilter filter({"END"});
  EXPECT_EQ(filter.Add("The "), "The ");
  EXPECT_EQ(filter.Add("LEN"), "L");  // "EN" may go on
  EXPECT_EQ(filter.Add("S"), "ENS");
  EXPECT_EQ(filter.Add(" E"), " ");
  EXPECT_EQ(filter.Add("E"), "E");
  EXPECT_EQ(filter.Add("N"), "");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.Add("D. More"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.Add("more"), "");
  EXPECT_EQ(filter.Flush(), "");
}

TEST(StopFilterTest, FlushGivesWhatWasHeldBack) {
  StopFilter filter({"\n\n", "###"});
  EXPECT_EQ(filter.Add("a##"), "a");
  EXPECT_EQ(filter.Flush(), "##");
  EXPECT_EQ(filter.Flush(), "");
  EXPECT_EQ(filter.Add("#"), "");  // what was shown is not searched again
  EXPECT_FALSE(filter.stopped());
}

TEST(StopFilterTest, TheFirstOfSeveralCounts) {
  StopFilter filter({"bc", "abcd", "z"});
  EXPECT_EQ(filter.Add("xabz"), "xab");
  EXPECT_TRUE(filter.stopped());
  StopFilter complete({"bc", "abcd"});
  EXPECT_EQ(complete.Add("xabcd"), "xa");
  StopFilter longest({"bc", "abc"});
  EXPECT_EQ(longest.Add("xabc"), "x");
}

TEST(StopFilterTest, NoStops) {
  StopFilter filter({});
  EXPECT_EQ(filter.Add("abc"), "abc");
  EXPECT_FALSE(filter.stopped());
  EXPECT_THAT(ErrorMessage([] {
                StopFilter({"a", ""});
              }),
              HasSubstr("stop string is empty"));
}

// However a text is cut into pieces, the result is that of searching it whole.
TEST(StopFilterTest, CutsDoNotMatter) {
  std::mt19937 rng(1);
  const std::vector<std::string> stops = {"aab", "baaba", "bbb"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += rng() % 2 == 0 ? 'a' : 'b';
    size_t end = std::string::npos;
    for (size_t i = 0; i < text.size() && end == std::string::npos; ++i) {
      const std::string begun = text.substr(0, i + 1);
      for (const std::string& stop : stops) {
        if (!begun.ends_with(stop)) continue;
        end = std::min(end, begun.size() - stop.size());
      }
    }
    StopFilter filter(stops);
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + rng() % 4;
      shown += filter.Add(std::string_view(text).substr(at, length));
      at += length;
    }
    shown += filter.Flush();
    EXPECT_EQ(filter.stopped(), end != std::string::npos) << text;
    EXPECT_EQ(shown, text.substr(0, end)) << text;
  }
}

}  // namespace
}  // namespace lutra
