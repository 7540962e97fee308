#include "tools/cli/table.h"

#include <gtest/gtest.h>

#include <limits>

namespace lutra::tools {
namespace {

Table Sample() {
  Table table({{"name", Table::Align::kLeft}, {"n"}, {"note"}});
  table.AddRow({"a|b", "1,000", ""});
  table.AddRow({"µs", "2", "ok"});
  return table;
}

TEST(TableTest, TextIsAligned) {
  EXPECT_EQ(Sample().Text(),
            "name      n  note\n"
            "----  -----  ----\n"
            "a|b   1,000\n"
            "µs        2    ok\n");
}

TEST(TableTest, Markdown) {
  EXPECT_EQ(Sample().Markdown(),
            "| name |     n | note |\n"
            "| :--- | ----: | ---: |\n"
            "| a\\|b | 1,000 |      |\n"
            "| µs   |     2 |   ok |\n");
}

TEST(TableTest, NamesCannotBreakLines) {
  Table table({{"name", Table::Align::kLeft}});
  table.AddRow({"a\nb\x1b[2J"});
  EXPECT_EQ(table.Text(), "name\n-------\na?b?[2J\n");
}

TEST(FormatTest, Numbers) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1234567), "1,234,567");
  EXPECT_EQ(Fixed(2.345, 1), "2.3");
  EXPECT_EQ(Fixed(std::numeric_limits<double>::infinity(), 2), "inf");
  EXPECT_EQ(Short(0), "0");
  EXPECT_EQ(Short(1234.5), "1234");
  EXPECT_EQ(Short(12.345), "12.3");
  EXPECT_EQ(Short(0.012345), "0.0123");
  EXPECT_EQ(Short(-0.5), "-0.500");
  EXPECT_EQ(Short(1.5e-9), "1.50e-09");
  EXPECT_EQ(Short(2.5e9), "2.50e+09");
  EXPECT_EQ(Bytes(512), "512 B");
  EXPECT_EQ(Bytes(1536), "1.50 KiB");
  EXPECT_EQ(Bytes(uint64_t{5} << 40), "5.00 TiB");
}

}  // namespace
}  // namespace lutra::tools
