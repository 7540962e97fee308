#include "lutra/runtime/batch_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lutra/runtime/text_generator.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

class BatchGeneratorTest : public ::testing::Test {
 protected:
  BatchGeneratorTest() {
    TinyLanguage{.packed = true, .context = 60}.Build().Write(dir_ / "m");
    model_ = Model::Load(dir_ / "m");
    tokenizer_ = Tokenizer::FromModel(*model_);
    options_.generation.max_tokens = 20;
    options_.generation.sampler.temperature = 1.5f;
    options_.generation.sampler.top_k = 0;
    options_.generation.sampler.repetition_penalty = 1.2f;
  }

  std::vector<BatchResult> Texts(LanguageModel& language,
                                 const ShowText& show) {
    std::vector<BatchResult> results;
    GenerateTexts(language, *tokenizer_, prompts_, options_, show, results);
    return results;
  }

  std::vector<BatchResult> OfIds(LanguageModel& language,
                                 const std::vector<Ids>& prompts,
                                 const std::vector<uint32_t>& allowed,
                                 const ChooseEnd& each) {
    std::vector<BatchResult> results;
    GenerateIds(language, prompts, options_, allowed, each, results);
    return results;
  }

  // Each prompt by a generator of its own.
  BatchResult Alone(const std::string& prompt, std::string* text) {
    LanguageModel language(model_);
    TextGenerator generator(language, *tokenizer_, options_.generation);
    BatchResult result;
    result.end = generator.Generate(
        prompt, [text](std::string_view piece) { *text += piece; });
    result.prompt = generator.prompt_tokens();
    result.tokens = generator.tokens();
    return result;
  }

  TempDir dir_;
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  BatchOptions options_;
  const std::vector<std::string> prompts_ = {
      "the he", "he said to the fox", "", "a", "the he", "said the he said"};
};

// With fewer places than prompts, and with more; some end early by a stop
// string.
TEST_F(BatchGeneratorTest, EachIsAsAlone) {
  options_.generation.stops = {"e", "zz"};
  for (const size_t parallel : {1u, 2u, 3u, 8u}) {
    for (const bool ignore_end : {false, true}) {
      options_.parallel = parallel;
      options_.generation.ignore_end = ignore_end;
      LanguageModelOptions small;
      small.chunk = 5;
      LanguageModel language(model_, small);
      std::vector<std::string> texts(prompts_.size());
      const std::vector<BatchResult> results = Texts(
          language,
          [&](size_t prompt, std::string_view text) { texts[prompt] += text; });
      ASSERT_EQ(results.size(), prompts_.size());
      for (size_t i = 0; i < prompts_.size(); ++i) {
        SCOPED_TRACE(testing::Message() << parallel << " prompt " << i);
        std::string text;
        const BatchResult alone = Alone(prompts_[i], &text);
        EXPECT_EQ(results[i].prompt, alone.prompt);
        EXPECT_EQ(results[i].tokens, alone.tokens);
        EXPECT_EQ(results[i].end, alone.end);
        EXPECT_EQ(texts[i], text);
      }
      EXPECT_EQ(language.position(), 0u);
    }
  }
}

TEST_F(BatchGeneratorTest, EndsWhereTheContextIsFull) {
  options_.generation.max_tokens = 0;
  options_.generation.ignore_end = true;
  LanguageModel language(model_);
  const auto results = Texts(language, [](size_t, std::string_view) {});
  for (const BatchResult& result : results) {
    EXPECT_EQ(result.end, GenerationEnd::kContextFull);
    EXPECT_EQ(result.prompt.size() + result.tokens.size(), 61u);
  }
}

TEST_F(BatchGeneratorTest, IdsEndWhenTheCallerSaysSo) {
  LanguageModel language(model_);
  const std::vector<Ids> prompts = {{3, 4, 5}, {6}};
  Ids seen;
  const auto results =
      OfIds(language, prompts, {},
            [&](size_t prompt, int32_t id) -> std::optional<GenerationEnd> {
              if (prompt == 1) seen.push_back(id);
              if (prompt == 0 || seen.size() < 7) return std::nullopt;
              return GenerationEnd::kEndToken;
            });
  EXPECT_EQ(results[0].tokens.size(), 20u);
  EXPECT_EQ(results[0].end, GenerationEnd::kMaxTokens);
  EXPECT_EQ(results[1].tokens, seen);
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(results[1].end, GenerationEnd::kEndToken);
}

TEST_F(BatchGeneratorTest, OnlyAllowedTokensAreChosen) {
  LanguageModel language(model_);
  std::vector<uint32_t> allowed(TokenMaskWords(language.vocabulary()));
  allowed[0] = 1u << 7 | 1u << 9;
  const std::vector<Ids> prompts = {{3}, {4, 5}};
  for (const BatchResult& result :
       OfIds(language, prompts, allowed,
             [](size_t, int32_t) { return std::nullopt; })) {
    EXPECT_THAT(result.tokens,
                testing::Each(testing::AnyOf(testing::Eq(7), testing::Eq(9))));
  }
}

TEST_F(BatchGeneratorTest, NamesTheWrongPrompt) {
  LanguageModel language(model_);
  const auto error = [&](std::vector<Ids> prompts) {
    return ErrorMessage([&] {
      OfIds(language, prompts, {},
            [](size_t, int32_t) -> std::optional<GenerationEnd> {
              ADD_FAILURE() << "nothing must run";
              return std::nullopt;
            });
    });
  };
  EXPECT_THAT(error({{1}, {}}), HasSubstr("prompt 2 has no tokens"));
  EXPECT_THAT(error({{1}, {1}, {1, -4}}), HasSubstr("prompt 3 has the id -4"));
  EXPECT_THAT(error({{1, 100000}}), HasSubstr("prompt 1 has the id 100000"));
  EXPECT_THAT(error({{1}, Ids(61, 1)}),
              HasSubstr("prompt 2 has 61 tokens, more than the context of 60"));
  options_.parallel = 0;
  EXPECT_THAT(error({{1}}), HasSubstr("at least one prompt"));
}

// After a cancelled call, what was held back has been shown.
TEST_F(BatchGeneratorTest, CanBeCancelled) {
  options_.generation.max_tokens = 0;
  options_.generation.ignore_end = true;
  LanguageModel language(model_);
  std::string text;
  EXPECT_THROW(Texts(language,
                     [&](size_t, std::string_view piece) {
                       text += piece;
                       language.Cancel();
                     }),
               Cancelled);
  EXPECT_FALSE(text.empty());
}

}  // namespace
}  // namespace lutra
