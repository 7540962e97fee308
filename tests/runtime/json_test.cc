#include "runtime/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const std::string& text) {
  return ErrorMessage([&] { ParseJson(text, "config.json", "config"); });
}

// Python's json module writes them, and reads them back.
TEST(JsonTest, NumbersThatJsonDoesNotHaveAreNamed) {
  EXPECT_EQ(Refusal(R"({"a": 1, "eps": NaN, "b": 2})"),
            "config.json: config: 'eps' is NaN, which JSON has no number for");
  EXPECT_THAT(Refusal(R"({"rope": {"factor": -Infinity}})"),
              HasSubstr("'rope.factor' is -Infinity"));
  // Objects that are closed are no part of the place.
  EXPECT_THAT(Refusal(R"({"a": {"b": 1}, "list": [{"c": 1}, Infinity]})"),
              HasSubstr("'list' is Infinity"));
  EXPECT_THAT(Refusal("NaN"), HasSubstr("config: a value is NaN"));
  EXPECT_THAT(Refusal("[-Infinity]"), HasSubstr("a value is -Infinity"));
}

TEST(JsonTest, OtherDamageIsNotTakenForThem) {
  EXPECT_THAT(Refusal(R"({"a": nan})"), HasSubstr("not valid JSON (at byte"));
  EXPECT_THAT(Refusal(R"({"a": -)"), HasSubstr("not valid JSON (at byte"));
  EXPECT_THAT(Refusal(""), HasSubstr("not valid JSON (at byte"));
  EXPECT_THAT(Refusal(R"({"NaN": Nan})"), HasSubstr("not valid JSON (at byte"));
}

}  // namespace
}  // namespace lutra
