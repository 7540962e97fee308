#include "lutra/runtime/token_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "lutra/runtime/sampler.h"
#include "lutra/runtime/tokenizer_data.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class TokenConstraintTest : public ::testing::Test {
 protected:
  TokenConstraintTest() {
    TinyLanguage().Build().Write(dir_ / "m.safetensors");
    tokenizer_ = Tokenizer::FromModel(*Model::Load(dir_ / "m.safetensors"));
  }

  TokenConstraint Constraint(const std::string& gbnf, bool continues = true) {
    return TokenConstraint(Grammar::Parse(gbnf), *tokenizer_,
                           TinyLanguage::kVocabulary, {}, continues);
  }

  // What the allowed tokens stand for, ends as "$".
  std::vector<std::string> Allowed(TokenConstraint& constraint) {
    const Span<const uint32_t> mask = constraint.Allowed();
    std::vector<std::string> texts;
    for (size_t i = 0; i < TinyLanguage::kVocabulary; ++i) {
      if (!IsAllowed(mask, i)) continue;
      const auto id = static_cast<int32_t>(i);
      texts.push_back(tokenizer_->IsEnd(id) ? "$" : tokenizer_->TokenBytes(id));
    }
    return texts;
  }

  int32_t Id(const std::string& text) const {
    for (size_t i = 0; i < tokenizer_->size(); ++i) {
      const auto id = static_cast<int32_t>(i);
      if (tokenizer_->TokenBytes(id) == text) return id;
    }
    ADD_FAILURE() << text;
    return -1;
  }

  TempDir dir_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

TEST_F(TokenConstraintTest, TokensOfSeveralCharacters) {
  TokenConstraint constraint = Constraint("root ::= \"the\" | \"a\" \"b\"*");
  EXPECT_THAT(Allowed(constraint), UnorderedElementsAre("a", "t", "th"));
  EXPECT_FALSE(constraint.complete());
  constraint.Accept(Id("t"));
  EXPECT_THAT(Allowed(constraint), UnorderedElementsAre("h", "he"));
  constraint.Accept(Id("he"));
  EXPECT_THAT(Allowed(constraint), ElementsAre("$"));
  EXPECT_TRUE(constraint.finished());
  constraint.Accept(TinyLanguage::kEos);

  constraint.Reset();
  constraint.Accept(Id("a"));
  EXPECT_THAT(Allowed(constraint), UnorderedElementsAre("b", "$"));
  EXPECT_TRUE(constraint.complete());
  EXPECT_FALSE(constraint.finished());
  EXPECT_THAT(ErrorMessage([&] { constraint.Accept(Id("c")); }),
              HasSubstr("cannot come next"));
  EXPECT_THAT(ErrorMessage([&] { constraint.Accept(TinyLanguage::kBos); }),
              HasSubstr("cannot come next"));
  EXPECT_THAT(ErrorMessage([&] { constraint.Accept(1 << 20); }),
              HasSubstr("cannot come next"));
  EXPECT_THAT(Allowed(constraint), UnorderedElementsAre("b", "$"));

  TokenConstraint again = constraint.Again();
  EXPECT_THAT(Allowed(again), UnorderedElementsAre("a", "t", "th"));
}

TEST_F(TokenConstraintTest, ACharacterMayBeSplitIntoTokens) {
  TokenConstraint constraint = Constraint("root ::= [\\u00e0-\\u00ef] \".\"");
  EXPECT_THAT(Allowed(constraint), UnorderedElementsAre("\xC3\xA9", "\xC3"));
  constraint.Accept(Id("\xC3"));
  EXPECT_THAT(Allowed(constraint), ElementsAre("\xA9"));
  constraint.Accept(Id("\xA9"));
  EXPECT_THAT(Allowed(constraint), ElementsAre("."));
}

TEST_F(TokenConstraintTest, EndsOfTheApp) {
  const int32_t end = Id("x");
  TokenConstraint constraint(Grammar::Parse("root ::= \"x\"* \"y\""),
                             *tokenizer_, TinyLanguage::kVocabulary, {&end, 1});
  EXPECT_THAT(Allowed(constraint), ElementsAre("y"));
  constraint.Accept(Id("y"));
  EXPECT_THAT(Allowed(constraint), UnorderedElementsAre("$", "x"));
}

TEST_F(TokenConstraintTest, NothingGoesOn) {
  TokenConstraint constraint = Constraint("root ::= \"A\"");
  EXPECT_THAT(Allowed(constraint), ElementsAre());
}

// A mask allows a token exactly if some text of the grammar goes on with it.
TEST_F(TokenConstraintTest, MasksAgreeWithMatching) {
  const auto grammar = Grammar::Parse(
      "root ::= item (\" \" item)* \".\"\n"
      "item ::= \"the\" | [a-e]{1,2} | \"(\"? \"he\" | [^a-z. ]");
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    TokenConstraint constraint(grammar, *tokenizer_, TinyLanguage::kVocabulary);
    std::string text;
    for (int step = 0; step < 12 && !constraint.finished(); ++step) {
      const Span<const uint32_t> mask = constraint.Allowed();
      std::vector<int32_t> allowed;
      for (size_t i = 0; i < TinyLanguage::kVocabulary; ++i) {
        const auto id = static_cast<int32_t>(i);
        const std::string bytes = tokenizer_->TokenBytes(id);
        if (bytes.empty()) continue;
        // All ways to come to an end from a text of this grammar.
        bool possible = false;
        for (const char* rest : {"", ".", "e.", "he.", "\xA9.", "a.", " a."}) {
          possible |= grammar->Matches(text + bytes + rest);
        }
        EXPECT_EQ(IsAllowed(mask, i), possible) << text << "|" << bytes;
        if (IsAllowed(mask, i)) allowed.push_back(id);
      }
      const int32_t id = allowed.at(random() % allowed.size());
      text += tokenizer_->TokenBytes(id);
      constraint.Accept(id);
    }
  }
}

}  // namespace
}  // namespace lutra
