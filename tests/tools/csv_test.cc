#include "tools/cli/csv.h"

#include <gtest/gtest.h>

namespace lutra::tools {
namespace {

using nlohmann::ordered_json;

TEST(CsvTest, KeysInOrderAndQuotes) {
  const ordered_json records = {
      {{"name", "plain"}, {"value", 1.5}},
      {{"name", "a \"b\", c"}, {"other", true}, {"value", nullptr}}};
  EXPECT_EQ(ToCsv(records),
            "name,value,other\n"
            "plain,1.5,\n"
            "\"a \"\"b\"\", c\",,true\n");
}

}  // namespace
}  // namespace lutra::tools
