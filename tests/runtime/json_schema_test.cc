#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/runtime/grammar.h"
#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

void ExpectJson(const std::string& schema, const std::vector<std::string>& yes,
                const std::vector<std::string>& no) {
  const auto grammar = Grammar::FromJsonSchema(schema);
  for (const std::string& text : yes) {
    EXPECT_TRUE(grammar->Matches(text)) << schema << "\n" << text;
  }
  for (const std::string& text : no) {
    EXPECT_FALSE(grammar->Matches(text)) << schema << "\n" << text;
  }
}

TEST(JsonSchema, AnyValue) {
  for (const char* schema : {"true", "{}", R"({"title": "x", "x-own": 1})"}) {
    ExpectJson(
        schema,
        {"1", "-0.5e+3", "true", "null", "\"\"", R"("\u00e9\n\ud83d\ude00")",
         "[]", "[1, [2]]", "{}", "{\n  \"a\": {\"b\": [1,2]}\n}"},
        {"", "01", "1.", "+1", "nul", "\"", "\"\n\"", R"("\x")", R"("\ud83d")",
         "[1,]", "{a: 1}", "{\"a\" : 1}", "1 "});
  }
}

TEST(JsonSchema, Types) {
  ExpectJson(R"({"type": "string"})", {R"("a")"}, {"1", "null"});
  ExpectJson(R"({"type": "integer"})", {"0", "-12"}, {"1.0", "1e3", "007"});
  ExpectJson(R"({"type": "number"})", {"0", "1.5", "1e3"}, {"\"1\""});
  ExpectJson(R"({"type": ["boolean", "null"]})", {"true", "null"}, {"0"});
  ExpectJson(R"({"type": "object"})", {"{}", R"({"a": 1})"}, {"[]"});
  ExpectJson(R"({"type": "array"})", {"[]", "[1, null]"}, {"{}"});
  ExpectJson(R"({"enum": ["a", 1, {"b": null}]})",
             {"\"a\"", "1", R"({"b":null})"}, {"\"b\"", "2"});
  ExpectJson(R"({"const": "a\"b"})", {R"("a\"b")"}, {"\"a\""});
}

TEST(JsonSchema, Objects) {
  const char* schema = R"({"type": "object",
    "properties": {"z": {"type": "integer"}, "a": {"type": "boolean"},
                   "m": {"type": "null"}},
    "required": ["a"]})";
  ExpectJson(
      schema,
      {R"({"a": true})", R"({"z": 1, "a": true})",
       R"({"z": 1,"a": false,"m": null})", R"({"a": true, "m": null})"},
      {"{}", R"({"z": 1})", R"({"a": true, "z": 1})", R"({"a": true, "b": 1})",
       R"({"a": 1})", R"({"a": true,})", R"({, "a": true})"});
  ExpectJson(R"({"properties": {"a": {}, "b": {}}})",
             {"{}", R"({"a": 1})", R"({"b": 1})", R"({"a": 1, "b": 2})"},
             {R"({"b": 1, "a": 2})", R"({"c": 1})"});
  ExpectJson(R"({"required": ["a"]})", {R"({"a": [1]})"}, {"{}", "[]"});
  ExpectJson(R"({"type": "object", "properties": {}})", {"{}"},
             {R"({"a": 1})"});
}

TEST(JsonSchema, OtherKeysAreNoneOfTheNamedOnes) {
  const char* schema = R"({"type": "object",
    "properties": {"ab": {"type": "integer"}, "abc": {"type": "integer"},
                   "\u00e9": {"type": "integer"}},
    "additionalProperties": {"type": "string"}})";
  ExpectJson(schema,
             {R"({})", R"({"ab": 1, "x": "y"})", R"({"a": "y", "abcd": "z"})",
              R"({"": "y"})", R"({"b": "y"})", "{\"\xC3\xA8\": \"y\"}",
              "{\"\xC3\xA9\": 1}"},
             {R"({"ab": "y"})", R"({"x": "y", "ab": 1})", R"({"abc": "y"})",
              R"({"\u0061b": "y"})", "{\"\xC3\xA9\": \"y\"}", R"({"x": 1})"});
  ExpectJson(R"({"additionalProperties": {"type": "integer"}})",
             {"{}", R"({"a": 1, "b": 2})"}, {R"({"a": "b"})"});
}

TEST(JsonSchema, Arrays) {
  ExpectJson(R"({"items": {"type": "integer"}, "minItems": 2, "maxItems": 3})",
             {"[1, 2]", "[1,2,3]"}, {"[]", "[1]", "[1,2,3,4]", "[1, true]"});
  ExpectJson(R"({"items": {"type": "integer"}, "maxItems": 1})", {"[]", "[1]"},
             {"[1, 2]"});
  ExpectJson(R"({"items": {"type": "integer"}, "minItems": 1})",
             {"[1]", "[1, 2, 3, 4]"}, {"[]"});
  ExpectJson(R"({"items": {}, "maxItems": 0})", {"[]", "[ ]"}, {"[1]"});
  ExpectJson(R"({"prefixItems": [{"type": "integer"}, {"type": "null"}]})",
             {"[1, null]"}, {"[1]", "[1, null, 2]", "[null, 1]"});
  ExpectJson(R"({"prefixItems": [{"type": "integer"}],
                 "items": {"type": "null"}, "minItems": 2, "maxItems": 3})",
             {"[1, null]", "[1, null, null]"},
             {"[1]", "[1, null, null, null]", "[1, 2]"});
  ExpectJson(R"({"items": [{"type": "integer"}],
                 "additionalItems": {"type": "null"}})",
             {"[1]", "[1, null, null]"}, {"[null]"});
}

TEST(JsonSchema, Strings) {
  ExpectJson(R"({"minLength": 2, "maxLength": 3})",
             {R"("ab")", R"("a\nc")", R"("\ud83d\ude00\u00e9")"},
             {R"("a")", R"("abcd")"});
  ExpectJson(R"({"type": "string", "format": "date"})", {"\"2024-02-29\""},
             {"\"2024-13-01\"", "\"24-1-1\""});
  ExpectJson(R"({"type": "string", "format": "date-time"})",
             {"\"2024-02-29T23:59:59Z\"", "\"2024-02-29T00:00:00.5+01:00\""},
             {"\"2024-02-29\"", "\"2024-02-29T24:00:00Z\""});
  ExpectJson(R"({"type": "string", "format": "uuid"})",
             {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123\""});
  ExpectJson(R"({"type": "string", "format": "email"})", {"\"any\""}, {"1"});
}

TEST(JsonSchema, Patterns) {
  const auto pattern = [](const std::string& expression) {
    return R"({"type": "string", "pattern": ")" + expression + R"("})";
  };
  ExpectJson(pattern("^[A-Z][a-z]+$"), {"\"Ab\""},
             {"\"A\"", "\"ab\"", "\"Ab1\""});
  ExpectJson(pattern("b"), {"\"abc\"", "\"b\""}, {"\"ac\""});
  ExpectJson(pattern("^a|b$"), {"\"ax\"", "\"xb\""}, {"\"xa\"", "\"bx\""});
  ExpectJson(pattern("^(?:ab|c)*?d{2,3}$"), {"\"dd\"", "\"abcddd\""},
             {"\"d\"", "\"add\""});
  ExpectJson(pattern("^\\\\d{3}-\\\\w\\\\s?$"), {"\"123-a\"", "\"123-_ \""},
             {"\"12a-a\""});
  ExpectJson(pattern("^(?<name>x)\\\\.\\\\/\\\\u0041$"), {"\"x./A\""},
             {"\"xy/A\""});
  // What JSON escapes.
  ExpectJson(pattern("^[^a]$"), {"\"b\"", R"("\"")", R"("\\")", R"("\n")"},
             {"\"a\"", "\"\\\""});
  ExpectJson(pattern("^\\\\n\\\"$"), {R"("\n\"")"}, {"\"n\""});
  ExpectJson(pattern("^\\\\x01$"), {R"("\u0001")"}, {"\"\x01\""});
  for (const auto& [expression, message] :
       std::vector<std::pair<std::string, std::string>>{
           {"(?=a)", "looks ahead"},
           {"a\\\\b", "'\\b', which is not supported"},
           {"(a)\\\\1", "'\\1', which is not supported"},
           {"a)", "has ')' where it cannot stand"},
           {"(a", "ends too early"},
           {"*a", "has '*' where"},
           {"x^", "has '^' where"},
           {"[b-a]", "a range that is none"},
           {"a{2,1}", "a repetition that is none"},
           {"a{99999}", "too long"}}) {
    EXPECT_THAT(ErrorMessage([&, &e = expression] {
                  Grammar::FromJsonSchema(pattern(e));
                }),
                HasSubstr(message))
        << expression;
  }
}

TEST(JsonSchema, IntegersBetweenLimits) {
  for (const auto& [least, most] :
       std::vector<std::pair<int, int>>{{0, 0},
                                        {0, 120},
                                        {-5, 5},
                                        {-120, -7},
                                        {7, 1999},
                                        {99, 101},
                                        {-1, 0},
                                        {18, 18},
                                        {-300, 4}}) {
    const auto grammar = Grammar::FromJsonSchema(
        R"({"type": "integer", "minimum": )" + std::to_string(least) +
        R"(, "maximum": )" + std::to_string(most) + "}");
    for (int i = -2100; i <= 2100; ++i) {
      EXPECT_EQ(grammar->Matches(std::to_string(i)), i >= least && i <= most)
          << least << " " << most << " " << i;
    }
    EXPECT_FALSE(grammar->Matches("-0"));
    EXPECT_FALSE(grammar->Matches("007"));
  }
  ExpectJson(R"({"type": "integer", "exclusiveMinimum": 0})", {"1", "99999"},
             {"0", "-1"});
  ExpectJson(R"({"type": "integer", "exclusiveMaximum": -1})", {"-2", "-99999"},
             {"-1", "0", "2"});
  ExpectJson(R"({"type": "integer", "minimum": 5, "exclusiveMinimum": 3})",
             {"5"}, {"4"});
}

TEST(JsonSchema, NumbersBetweenLimits) {
  const std::vector<std::string> texts = {
      "-3",   "-2.5", "-2",  "-2.0", "-1.01", "-1", "-0.5", "0",    "0.0",
      "0.25", "1",    "1.0", "1.5",  "1.99",  "2",  "2.0",  "2.01", "10"};
  for (const char* least : {"", "-2", "-1", "0", "1"}) {
    for (const char* most : {"", "-1", "0", "1", "2"}) {
      for (const bool exclusive : {false, true}) {
        std::string schema = R"({"type": "number")";
        const std::string word = exclusive ? "exclusiveM" : "m";
        if (*least) schema += ", \"" + word + "inimum\": " + least;
        if (*most) schema += ", \"" + word + "aximum\": " + most;
        schema += "}";
        const double low = *least ? std::stod(least) : -1e9;
        const double high = *most ? std::stod(most) : 1e9;
        if (low > high || (exclusive && low == high)) {
          EXPECT_THAT(ErrorMessage([&] { Grammar::FromJsonSchema(schema); }),
                      HasSubstr("no number is allowed"));
          continue;
        }
        const auto grammar = Grammar::FromJsonSchema(schema);
        for (const std::string& text : texts) {
          const double value = std::stod(text);
          const bool expected = exclusive ? value > low && value < high
                                          : value >= low && value <= high;
          EXPECT_EQ(grammar->Matches(text), expected) << schema << " " << text;
        }
      }
    }
  }
}

TEST(JsonSchema, ReferencesAndCombinations) {
  ExpectJson(R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object",
      "properties": {"children": {"type": "array",
                                  "items": {"$ref": "#/$defs/tree"}}}}}})",
             {"{}", R"({"children": [{"children": []}, {}]})"},
             {R"({"children": [1]})"});
  ExpectJson(R"({"properties": {"next": {"$ref": "#"}}})",
             {R"({"next": {"next": {}}})"}, {R"({"next": 1})"});
  ExpectJson(R"({"anyOf": [{"type": "string"}, {"type": "null"}],
                 "default": null})",
             {"\"a\"", "null"}, {"1"});
  ExpectJson(
      R"({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": -5}]})",
      {"7", "-7"}, {"0", "7.5"});
  ExpectJson(R"({"allOf": [{"$ref": "#/definitions/a"},
                           {"properties": {"y": {"type": "null"}},
                            "required": ["y"]}],
                 "definitions": {"a": {"type": "object", "required": ["x"],
                                 "properties": {"x": {"type": "null"}}}}})",
             {R"({"x": null, "y": null})"}, {R"({"x": null})"});
  ExpectJson(R"({"allOf": [{"properties": {"x": {}}}],
                 "additionalProperties": {"type": "null"}})",
             {R"({"x": null, "y": null})"}, {R"({"x": 1})"});
  ExpectJson(R"({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]})", {"2"},
             {"1", "3"});
}

TEST(JsonSchema, Errors) {
  for (const auto& [schema, message] :
       std::vector<std::pair<std::string, std::string>>{
           {"", "not valid JSON"},
           {"[]", "a schema must be an object"},
           {"false", "no value is allowed"},
           {R"({"type": "text"})", "'type' is none of"},
           {R"({"not": {}})", "'not' is not supported"},
           {R"({"properties": {"a/b": {"multipleOf": 2}}})",
            "/properties/a~1b: 'multipleOf' is not supported"},
           {R"({"uniqueItems": true})", "'uniqueItems' is not supported"},
           {R"({"maxProperties": 3})", "'maxProperties' is not supported"},
           {R"({"required": ["a"], "additionalProperties": false})",
            "/properties/a: no value is allowed"},
           {R"({"$ref": "other.json"})", "only places in the schema itself"},
           {R"({"$ref": "#/$defs/a"})", "which does not exist"},
           {R"({"minLength": 1.5})", "must be a number from 0"},
           {R"({"minLength": -1})", "must be a number from 0"},
           {R"({"minimum": 0.5})", "must be a whole number"},
           {R"({"minItems": 3, "maxItems": 2})", "no length is allowed"},
           {R"({"pattern": "a", "minLength": 2})", "beside a length"},
           {R"({"enum": []})", "'enum' must be a list"},
           {"\"" + std::string(1 << 18, ' ') + "\"", "is longer than"},
           {R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}]})",
            "'pattern' of two schemas"}}) {
    EXPECT_THAT(ErrorMessage([&, &s = schema] { Grammar::FromJsonSchema(s); }),
                HasSubstr(message))
        << schema;
  }
}

}  // namespace
}  // namespace lutra
