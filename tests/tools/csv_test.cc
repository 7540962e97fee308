#include "tools/cli/csv.h"

#include <gtest/gtest.h>

namespace lutra::tools {
namespace {

TEST(CsvTest, KeysInOrderAndQuotes) {
  const Json records = Json::Array(
      {{{"name", "plain"}, {"value", 1.5}},
       {{"name", "a \"b\", c"}, {"other", true}, {"value", nullptr}}});
  EXPECT_EQ(ToCsv(records),
            "name,value,other\n"
            "plain,1.5,\n"
            "\"a \"\"b\"\", c\",,true\n");
}

}  // namespace
}  // namespace lutra::tools
