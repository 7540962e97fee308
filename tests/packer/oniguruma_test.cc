// Regular expressions of tokenizer.json: what they split text into, where
// Oniguruma and PCRE2 read a pattern differently.

#include "packer/import/tokenizers/oniguruma.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/packer/tokenizer_json.h"
#include "tests/runtime/throws.h"

namespace lutra::packer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What `pattern` cuts `text` into.
std::vector<std::string> Parts(const std::string& pattern,
                               const std::string& text) {
  TokenizerJson json;
  json.ByteLevel(pattern);
  return json.Parts(text);
}

std::string Translated(const std::string& pattern) {
  const nlohmann::json root = nlohmann::json::object();
  return PcrePattern(JsonObject(root, "tokenizer.json", "split"), pattern);
}

TEST(OnigurumaTest, WhiteSpaceIsUnicodes) {
  // U+180E has not been white space since Unicode 6.3; U+0085 and U+3000 are.
  for (const char* pattern : {R"(\s+)", R"([\s]+)", R"([[:space:]]+)"}) {
    EXPECT_THAT(Parts(pattern, "a \xC2\x85\xE3\x80\x80\xE1\xA0\x8E"),
                ElementsAre("a", " \xC2\x85\xE3\x80\x80", "\xE1\xA0\x8E"))
        << pattern;
  }
  for (const char* pattern : {R"(\S+)", R"([\S]+)", R"([^\s]+)"}) {
    EXPECT_THAT(Parts(pattern, " a\xE1\xA0\x8E"),
                ElementsAre(" ", "a\xE1\xA0\x8E"))
        << pattern;
  }
  EXPECT_THAT(Parts(R"([^\S\n]+)", "a \n b"),
              ElementsAre("a", " ", "\n", " ", "b"));
}

TEST(OnigurumaTest, WordsHaveMarks) {
  // Devanagari "hindi" with two vowel signs and a virama.
  const std::string word =
      "\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D\xE0\xA4\xA6\xE0\xA5"
      "\x80";
  for (const char* pattern : {R"(\w+)", R"([\w]+)", R"([[:word:]]+)"}) {
    EXPECT_THAT(Parts(pattern, word + " a_1"), ElementsAre(word, " ", "a_1"))
        << pattern;
  }
  EXPECT_THAT(Parts(R"(\W)", word + "-+"), ElementsAre(word, "-", "+"));
  EXPECT_THAT(Parts(R"(\b\w+\b)", word + "!a"), ElementsAre(word, "!", "a"));
  EXPECT_THAT(Parts(R"(a\B.)", "aba-a"), ElementsAre("ab", "a-a"));
  // Outside of a class superscripts are parts of words.
  EXPECT_THAT(Parts(R"(\w+)", "m\xC2\xB2!"), ElementsAre("m\xC2\xB2", "!"));
  EXPECT_THAT(Parts(R"([\w]+)", "m\xC2\xB2!"), ElementsAre("m", "\xC2\xB2!"));
}

TEST(OnigurumaTest, ClassesInClasses) {
  // Of BLOOM: "(", "|" and ")" belong to the outer class.
  EXPECT_THAT(Parts(R"( ?[^(\s|[.,!?])]+)", "ab, (cd ef"),
              ElementsAre("ab", ", (", "cd", " ef"));
  EXPECT_THAT(Parts(R"([[ab]-[yz]]+)", "a-zm"), ElementsAre("a-z", "m"));
  EXPECT_THAT(Parts(R"([]a]+)", "b]a["), ElementsAre("b", "]a", "["));
  EXPECT_THAT(Parts(R"([[:digit:][:upper:]]+)", "A1b"), ElementsAre("A1", "b"));
  EXPECT_THAT(Parts(R"([:a]+)", "b:a"), ElementsAre("b", ":a"));
}

TEST(OnigurumaTest, OtherEscapes) {
  EXPECT_THAT(Parts(R"(\h+)", "xAf09"), ElementsAre("x", "Af09"));
  EXPECT_THAT(Parts(R"(\v)", "\n\v"), ElementsAre("\n", "\v"));
  // An escaped backslash starts no escape.
  EXPECT_THAT(Parts(R"(\\s)", " \\s"), ElementsAre(" ", "\\s"));
  EXPECT_THAT(Parts(R"((?i)a|b)", "xBA"), ElementsAre("x", "B", "A"));
}

TEST(OnigurumaTest, RefusesByName) {
  struct Case {
    const char* pattern;
    const char* expected;
  };
  const Case cases[] = {
      {R"([\W])", R"('\W' in a class)"},
      {R"([a-z&&[^m]])", "'&&' in a class"},
      {R"([a[^b]])", "a negated class in a class"},
      {R"([[:graph:]])", "'[:graph:]'"},
      {R"([abc)", "a class without an end"},
      {R"(a\Kb)", R"('\K')"},
      {R"(\Qa\E)", R"('\Q')"},
      {R"(a{1,3}+)", "a count followed by '+'"},
      {R"(a{,3})", "a count without a lower limit"},
      {R"(a(?i)b|c)", "'(?i)'"},
      {R"((?m:.))", "'(?m:'"},
      {R"((?)", "'(?'"},
  };
  for (const Case& test : cases) {
    EXPECT_THAT(ErrorMessage([&] { Translated(test.pattern); }),
                AllOf(HasSubstr(test.expected),
                      HasSubstr("in a regular expression is not supported")));
  }
  // Outside of classes && is text, and so is a brace that starts no count.
  EXPECT_EQ(Translated("a&&b"), "a&&b");
  EXPECT_EQ(Translated("a{b}+"), "a{b}+");
}

}  // namespace
}  // namespace lutra::packer
