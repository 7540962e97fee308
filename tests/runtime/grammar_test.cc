#include "lutra/runtime/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

void ExpectTexts(const std::string& gbnf, const std::vector<std::string>& yes,
                 const std::vector<std::string>& no) {
  const auto grammar = Grammar::Parse(gbnf);
  for (const std::string& text : yes) {
    EXPECT_TRUE(grammar->Matches(text)) << gbnf << "\n" << text;
  }
  for (const std::string& text : no) {
    EXPECT_FALSE(grammar->Matches(text)) << gbnf << "\n" << text;
  }
}

TEST(Grammar, Notation) {
  ExpectTexts("root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno"});
  ExpectTexts("root ::= \"a\" | ", {"a", ""}, {"aa"});
  ExpectTexts("root ::= \"a\"* \"b\"+ \"c\"?", {"b", "aabbc"},
              {"", "a", "bcc"});
  ExpectTexts("root ::= [ab]{2,3} [c]{2} [d]{1,} [e]{,2}",
              {"abccd", "aaaccddee"}, {"accd", "abccdeee", "abcc", "aaaaccd"});
  ExpectTexts("root ::= (\"a\" | \"b\" (\"c\"\n | \"d\")) \"e\" # end",
              {"ae", "bce", "bde"}, {"be", "a"});
  ExpectTexts("root ::= . [^a-c\\n]", {"xd", "\xC3\xA9\xF0\x9F\xA6\xA6", "\nz"},
              {"xa", "x\n", "x"});
  ExpectTexts("root ::= \"\\x41\\u00e9\\U0001F9A6\\n\\t\\r\\\\\\\"\\[\\]\"",
              {"A\xC3\xA9\xF0\x9F\xA6\xA6\n\t\r\\\"[]"}, {"A"});
  ExpectTexts("root ::= [\\x30-\\x32\\]^-]", {"0", "1", "2", "]", "^", "-"},
              {"3", "["});
  ExpectTexts("# first\nroot ::= a-b\n\n\ta-b ::=\n \"x\"\n  | \"y\"\r\n",
              {"x", "y"}, {"xy"});
  ExpectTexts("root ::= \"(\" root \")\" | \"x\"", {"x", "((x))"},
              {"(x", "x)", ""});
  // What ends with itself is no left recursion, and no text.
  ExpectTexts("root ::= loop | \"a\"\nloop ::= loop", {"a"}, {"", "b"});
  ExpectTexts("root ::= ((\"a\"*)* \"b\"*)*", {"", "abba"}, {"c"});
}

TEST(Grammar, CharactersAreWholeUtf8) {
  // Bytes that are no character have no class, not even a complement's.
  ExpectTexts("root ::= [^x]*", {"\xC3\xA9", "\xEF\xBF\xBD"},
              {"\xC3", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xC0\x80"});
  for (const uint32_t limit :
       {0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u}) {
    char escape[16];
    std::snprintf(escape, sizeof(escape), "\\U%08x", limit);
    const auto up_to =
        Grammar::Parse(std::string("root ::= [\\x00-") + escape + "]");
    const auto above =
        Grammar::Parse(std::string("root ::= [^\\x00-") + escape + "]");
    for (const auto& [text, code] :
         std::vector<std::pair<std::string, uint32_t>>{
             {"a", 'a'},
             {"\x7F", 0x7F},
             {"\xC2\x80", 0x80},
             {"\xDF\xBF", 0x7FF},
             {"\xE0\xA0\x80", 0x800},
             {"\xEF\xBF\xBF", 0xFFFF},
             {"\xF0\x90\x80\x80", 0x10000},
             {"\xF4\x8F\xBF\xBF", 0x10FFFF}}) {
      EXPECT_EQ(up_to->Matches(text), code <= limit) << limit << " " << code;
      EXPECT_EQ(above->Matches(text), code > limit) << limit << " " << code;
    }
  }
}

TEST(Grammar, Errors) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "there is no rule 'root'"},
      {"top ::= \"a\"", "there is no rule 'root'"},
      {"root ::= \"a\"\n  b c", "line 2: '::=' is expected, there is 'c'"},
      {"root ::= a", "line 1: there is no rule 'a'"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule 'root' stands here a"},
      {"root ::= \"a", "line 1: a text has no closing"},
      {"root ::= [a", "no closing ']'"},
      {"root ::= []", "a class of characters is empty"},
      {"root ::= [b-a]", "a range of characters ends before it begins"},
      {"root ::= (\"a\"", "ends where ')' is expected"},
      {"root ::= \"a\" )", "the end of the line is expected, there is ')'"},
      {"root ::= \"a\"{2,1}", "a repetition ends before it begins"},
      {"root ::= \"a\"{x}", "a number is expected"},
      {"root ::= \"\\q\"", "one of n r t"},
      {"root ::= \"\\", "ends where one of n r t"},
      {"root ::= \"\\ud800\"", "an escape is no character"},
      {"root ::= \"\\u12g4\"", "a hexadecimal digit"},
      {"root ::= <think>", "tokens (<...>) are not supported"},
      {"root ::= \xFF", "is not UTF-8"},
      {"root ::= root \"a\" | \"b\"", "'root' can begin with itself"},
      {"root ::= a\na ::= \"x\"? (b | \"c\") \"d\"\nb ::= \"\" a \"e\"",
       "can begin with itself"},
      {"root ::= \"a\"{9999999}", "a repetition is too long"},
      {"root ::= \"a\"{600000} \"b\"{600000}", "the rule is too large"},
      {"root ::= \"a\"{0,400000}", "1048576 symbols"},
      {"root ::= " + std::string(300, '('), "groups are nested too deeply"}};
  for (const auto& [gbnf, message] : cases) {
    EXPECT_THAT(ErrorMessage([&gbnf = gbnf] { Grammar::Parse(gbnf); }),
                HasSubstr(message))
        << gbnf;
  }
}

// Soon, and in little memory.
void ExpectTooManyWays(const std::string& gbnf, const std::string& text) {
  const auto grammar = Grammar::Parse(gbnf);
  EXPECT_THAT(ErrorMessage([&] { grammar->Matches(text); }),
              HasSubstr("too many ways"));
}

TEST(Grammar, HostileOnesEnd) {
  // Each level doubles the ways to read a text.
  std::string gbnf = "root ::= r0 \"!\"\n";
  for (int i = 0; i < 60; ++i) {
    const std::string next = "r" + std::to_string(i + 1);
    gbnf += "r" + std::to_string(i) + " ::= " + next + " " + next + " | \"\"\n";
  }
  ExpectTooManyWays(gbnf + "r60 ::= \"a\"?\n", "aaaa!");
  // Each bracket may be closed in two ways or stay open.
  ExpectTooManyWays(
      "root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"x\" root | \"\"",
      std::string(5000, 'x'));
  // Repetitions of repetitions are no larger than their parts.
  EXPECT_FALSE(Grammar::Parse("root ::= ((\"a\"{1000}){1000}){1000}")
                   ->Matches(std::string(5000, 'a')));
  // Deep nesting takes memory, no stack.
  const auto deep = Grammar::Parse("root ::= \"(\" root \")\" | \"\"");
  const std::string open(100'000, '(');
  EXPECT_TRUE(deep->Matches(open + std::string(open.size(), ')')));
  EXPECT_FALSE(deep->Matches(open + std::string(open.size() - 1, ')')));
}

// A random expression over "a", "b" and "é", its GBNF, and the plain way to
// match it: the set of places where it may end.
class Expression {
 public:
  Expression(std::mt19937& random, int depth) {
    kind_ = depth == 0 ? 0 : static_cast<int>(random() % 5);
    const size_t count = kind_ == 0 ? 0 : kind_ <= 2 ? 1 + random() % 3 : 1;
    for (size_t i = 0; i < count; ++i) parts_.emplace_back(random, depth - 1);
    constexpr const char* kLetters[] = {"a", "b", "\xC3\xA9"};
    letter_ = kLetters[random() % 3];
    least_ = random() % 3;
    most_ = least_ + random() % 3;
  }

  std::string Gbnf() const {
    std::string text = "(";
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (i > 0) text += kind_ == 1 ? " | " : " ";
      text += parts_[i].Gbnf();
    }
    if (kind_ == 0) text += "\"" + letter_ + "\"";
    text += ")";
    if (kind_ == 3) text += "*";
    if (kind_ == 4) {
      text += "{" + std::to_string(least_) + "," + std::to_string(most_) + "}";
    }
    return text;
  }

  std::set<size_t> Ends(const std::string& text, size_t at) const {
    std::set<size_t> ends;
    switch (kind_) {
      case 0:
        if (text.compare(at, letter_.size(), letter_) == 0) {
          ends.insert(at + letter_.size());
        }
        break;
      case 1:
        for (const Expression& part : parts_) {
          ends.merge(part.Ends(text, at));
        }
        break;
      case 2:
        ends.insert(at);
        for (const Expression& part : parts_) ends = Step(part, text, ends);
        break;
      default: {
        std::set<size_t> reached = {at};
        const size_t most = kind_ == 3 ? text.size() + 1 : most_;
        for (size_t i = 0; i <= most; ++i) {
          if (kind_ == 3 || i >= least_)
            ends.insert(reached.begin(), reached.end());
          reached = Step(parts_[0], text, reached);
        }
        break;
      }
    }
    return ends;
  }

 private:
  static std::set<size_t> Step(const Expression& part, const std::string& text,
                               const std::set<size_t>& from) {
    std::set<size_t> ends;
    for (const size_t at : from) ends.merge(part.Ends(text, at));
    return ends;
  }

  int kind_;  // letter, alternatives, sequence, *, {least,most}
  std::vector<Expression> parts_;
  std::string letter_;
  size_t least_;
  size_t most_;
};

TEST(Grammar, AgreesWithPlainMatching) {
  std::mt19937 random(7);
  size_t matches = 0;
  for (int round = 0; round < 300; ++round) {
    const Expression expression(random, 4);
    const auto grammar = Grammar::Parse("root ::= " + expression.Gbnf());
    for (int i = 0; i < 30; ++i) {
      std::string text;
      for (size_t length = random() % 7; length > 0; --length) {
        constexpr const char* kLetters[] = {"a", "b", "\xC3\xA9"};
        text += kLetters[random() % 3];
      }
      const bool expected = expression.Ends(text, 0).contains(text.size());
      matches += expected ? 1 : 0;
      EXPECT_EQ(grammar->Matches(text), expected) << grammar->text() << "\n"
                                                  << text;
    }
  }
  EXPECT_GT(matches, 500u);
}

}  // namespace
}  // namespace lutra
