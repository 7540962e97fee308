#include "tools/cli/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <limits>
#include <string>
#include <vector>

namespace lutra::tools {
namespace {

TEST(JsonTest, Scalars) {
  EXPECT_EQ(Json().Dump(), "null");
  EXPECT_EQ(Json(nullptr).Dump(), "null");
  EXPECT_EQ(Json(true).Dump(), "true");
  EXPECT_EQ(Json(false).Dump(), "false");
  EXPECT_EQ(Json(-3).Dump(), "-3");
  EXPECT_EQ(Json(std::numeric_limits<int64_t>::min()).Dump(),
            "-9223372036854775808");
  EXPECT_EQ(Json(std::numeric_limits<uint64_t>::max()).Dump(),
            "18446744073709551615");
  EXPECT_EQ(Json(2.0).Dump(), "2.0");
  EXPECT_EQ(Json(0.1).Dump(), "0.1");
  EXPECT_EQ(Json(0.1f).Dump(), "0.10000000149011612");
  EXPECT_EQ(Json("a \"b\"\n").Dump(), R"("a \"b\"\n")");
}

TEST(JsonTest, NumbersThatJsonLacksAreNull) {
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).Dump(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).Dump(), "null");
  EXPECT_EQ(Json(std::numeric_limits<double>::quiet_NaN()).Dump(), "null");
}

TEST(JsonTest, ObjectsKeepTheirOrder) {
  Json json = {{"z", 1}, {"a", Json::Array({1, "two"})}};
  json["m"]["inner"] = std::vector<int32_t>{3, 4};
  json["z"] = 5;  // stays where it is
  json.Update({{"a", nullptr}, {"b", Json::Object()}});
  EXPECT_EQ(json.Dump(), R"({"z":5,"a":null,"m":{"inner":[3,4]},"b":{}})");
  EXPECT_EQ(Json({{"k", Json::Array({true})}}).Dump(2),
            "{\n  \"k\": [\n    true\n  ]\n}");
}

TEST(JsonTest, NullBecomesWhatIsAskedOfIt) {
  Json array;
  array.PushBack(1);
  array.PushBack({{"a", 2}});
  EXPECT_EQ(array.Dump(), R"([1,{"a":2}])");
  EXPECT_EQ(Json::Array().Dump(), "[]");
  EXPECT_THROW(array["key"], std::exception);
  EXPECT_THROW(Json(1).PushBack(2), std::exception);
}

TEST(JsonTest, LooksUpMembers) {
  const Json json = {{"name", "n"}, {"none", nullptr}, {"size", 1}};
  ASSERT_NE(json.Find("name"), nullptr);
  ASSERT_NE(json.Find("name")->AsString(), nullptr);
  EXPECT_EQ(*json.Find("name")->AsString(), "n");
  EXPECT_TRUE(json.Find("none")->IsNull());
  EXPECT_FALSE(json.Find("size")->IsNull());
  EXPECT_EQ(json.Find("size")->AsString(), nullptr);
  EXPECT_EQ(json.Find("other"), nullptr);
}

TEST(JsonTest, ParseKeepsWhatDumpWrites) {
  const std::string text =
      R"({"b":[null,true,-1,18446744073709551615,0.5,"é"],"a":{}})";
  EXPECT_EQ(Json::Parse(text).Dump(), text);
  EXPECT_THROW(Json::Parse("{"), std::exception);
}

TEST(JsonTest, TextThatIsNotUtf8) {
  const Json json = "a\xFF";
  EXPECT_THROW(json.Dump(), std::exception);
  EXPECT_EQ(json.Dump(-1, Json::BadText::kReplace), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace lutra::tools
