#include "lutra/runtime/text_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class TextGeneratorTest : public ::testing::Test {
 protected:
  explicit TextGeneratorTest(TinyLanguage tiny = {.context = 200}) {
    tiny.Build().Write(dir_ / "m.safetensors");
    model_ = Model::Load(dir_ / "m.safetensors");
    tokenizer_ = Tokenizer::FromModel(*model_);
  }

  // A generation from a new sequence.
  struct Outcome {
    GenerationEnd end;
    std::string text;
    std::vector<int32_t> tokens;
  };
  Outcome Generate(const GenerationOptions& options,
                   const std::string& prompt = "the ") {
    LanguageModel language(model_);
    TextGenerator generator(language, *tokenizer_, options);
    Outcome outcome;
    outcome.end = generator.Generate(
        prompt, [&](std::string_view text) { outcome.text += text; });
    outcome.tokens = generator.tokens();
    return outcome;
  }

  TempDir dir_;
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

constexpr int32_t kUnused = 0;  // of TinyLanguage

GenerationOptions Sampled(uint64_t seed, size_t tokens) {
  GenerationOptions options;
  options.sampler.temperature = 1.5f;
  options.sampler.top_k = 0;
  options.sampler.top_p = 1;
  options.sampler.min_p = 0;
  options.sampler.seed = seed;
  options.max_tokens = tokens;
  options.ignore_end = true;
  return options;
}

// The penalty is on the prompt's tokens and on those that were chosen.
TEST_F(TextGeneratorTest, IsTokenizerModelAndSamplerTogether) {
  GenerationOptions options = Sampled(3, 30);
  options.sampler.repetition_penalty = 3;
  const Outcome outcome = Generate(options);
  EXPECT_EQ(outcome.end, GenerationEnd::kMaxTokens);
  ASSERT_EQ(outcome.tokens.size(), 30u);

  LanguageModel language(model_);
  Sampler sampler(options.sampler, language.vocabulary());
  TextStream stream(*tokenizer_, /*continues=*/true);
  std::string text;
  const auto prompt = tokenizer_->Encode("the ", /*add_special=*/true);
  for (const int32_t id : prompt) sampler.Accept(id);
  std::span<const float> logits = language.Feed(prompt);
  for (int i = 0; i < 30; ++i) {
    std::vector<float> allowed(logits.begin(), logits.end());
    for (const int32_t excluded : {kUnused, TinyLanguage::kEos}) {
      allowed[static_cast<size_t>(excluded)] =
          -std::numeric_limits<float>::infinity();
    }
    const int32_t id = sampler.Sample(allowed);
    EXPECT_EQ(id, outcome.tokens[static_cast<size_t>(i)]);
    sampler.Accept(id);
    text += stream.Add(id);
    logits = language.Feed({&id, 1});
  }
  EXPECT_EQ(outcome.text, text + stream.Flush());
}

TEST_F(TextGeneratorTest, StepsGiveTheSameText) {
  const GenerationOptions options = Sampled(3, 5);
  const Outcome expected = Generate(options);
  LanguageModel language(model_);
  TextGenerator generator(language, *tokenizer_, options);
  EXPECT_THAT(ErrorMessage([&] { generator.Next(); }), HasSubstr("has ended"));
  std::string text;
  generator.Begin(tokenizer_->EncodePrompt("the "), /*continues=*/true,
                  [&](std::string_view piece) { text += piece; });
  for (size_t i = 1; i < 5; ++i) {
    EXPECT_EQ(generator.Next(), std::nullopt);
    EXPECT_EQ(generator.tokens().size(), i);
  }
  EXPECT_EQ(generator.Next(), expected.end);
  EXPECT_EQ(text, expected.text);
  EXPECT_EQ(generator.tokens(), expected.tokens);
  EXPECT_THAT(ErrorMessage([&] { generator.Next(); }), HasSubstr("has ended"));
}

TEST_F(TextGeneratorTest, SeedsReproduce) {
  const Outcome first = Generate(Sampled(1, 40));
  EXPECT_EQ(Generate(Sampled(1, 40)).text, first.text);
  EXPECT_NE(Generate(Sampled(2, 40)).text, first.text);
}

// Letters are tokens, so that a word spans several.
TEST_F(TextGeneratorTest, StopStringsSpanTokens) {
  const Outcome whole = Generate(Sampled(1, 60));
  for (size_t at = 5; at + 4 < whole.text.size(); at += 7) {
    GenerationOptions options = Sampled(1, 60);
    options.stops = {whole.text.substr(at, 4), "never to be found"};
    const Outcome stopped = Generate(options);
    EXPECT_EQ(stopped.end, GenerationEnd::kStopString);
    EXPECT_EQ(stopped.text,
              whole.text.substr(0, whole.text.find(options.stops[0])));
    EXPECT_LT(stopped.tokens.size(), whole.tokens.size());
  }
}

TEST_F(TextGeneratorTest, EndsWithTheContext) {
  const Outcome outcome = Generate(Sampled(1, 0));
  EXPECT_EQ(outcome.end, GenerationEnd::kContextFull);
  // BOS, "the", " " are three; the last one chosen is not fed.
  const size_t prompt = tokenizer_->Encode("the ", true).size();
  EXPECT_EQ(outcome.tokens.size(), 200 - prompt + 1);
}

TEST_F(TextGeneratorTest, EndTokensEndUnlessIgnored) {
  GenerationOptions options = Sampled(1, 0);
  options.ignore_end = false;
  options.sampler.temperature = 50;  // so that EOS comes
  const Outcome ended = Generate(options);
  EXPECT_EQ(ended.end, GenerationEnd::kEndToken);
  EXPECT_EQ(ended.tokens.back(), TinyLanguage::kEos);
  options.ignore_end = true;
  const Outcome ignored = Generate(options);
  EXPECT_EQ(ignored.end, GenerationEnd::kContextFull);
  EXPECT_THAT(ignored.tokens,
              ::testing::Not(::testing::Contains(TinyLanguage::kEos)));
}

// A sequence in several calls is the same as in one.
TEST_F(TextGeneratorTest, ContinuesWhatWasSaid) {
  const Outcome whole = Generate(Sampled(5, 40));
  LanguageModel language(model_);
  TextGenerator generator(language, *tokenizer_, Sampled(5, 10));
  std::string text;
  const auto show = [&](std::string_view piece) { text += piece; };
  for (int part = 0; part < 4; ++part) {
    generator.Generate(part == 0 ? "the " : "", show);
  }
  EXPECT_EQ(text, whole.text);
  // Another text in between changes it, and has no BOS.
  generator.Generate("he", show);
  EXPECT_EQ(generator.prompt_tokens(), tokenizer_->Encode("he", false));
  generator.Reset();
  text.clear();
  generator.Generate("the ", show);
  EXPECT_EQ(text, Generate(Sampled(5, 10)).text);
}

TEST_F(TextGeneratorTest, BeginsATextOfItsOwn) {
  const Outcome outcome = Generate(Sampled(1, 10), "");
  EXPECT_EQ(outcome.tokens.size(), 10u);
}

TEST_F(TextGeneratorTest, GoesOnAfterACancellation) {
  const Outcome whole = Generate(Sampled(5, 40));
  LanguageModel language(model_);
  TextGenerator generator(language, *tokenizer_, Sampled(5, 40));
  std::string text;
  EXPECT_THROW(generator.Generate("the ",
                                  [&](std::string_view piece) {
                                    text += piece;
                                    if (text.size() >= 12) language.Cancel();
                                  }),
               Cancelled);
  EXPECT_EQ(text, whole.text.substr(0, text.size()));
  EXPECT_LT(text.size(), whole.text.size());
  generator.Generate("", [&](std::string_view piece) { text += piece; });
  EXPECT_EQ(text.substr(0, whole.text.size()), whole.text);
}

TEST_F(TextGeneratorTest, APromptThatDoesNotFitLeavesNothing) {
  LanguageModel language(model_);
  TextGenerator generator(language, *tokenizer_, Sampled(3, 10));
  std::string text;
  const auto show = [&](std::string_view piece) { text += piece; };
  generator.Generate("the ", show);
  EXPECT_THAT(
      ErrorMessage([&] { generator.Generate(std::string(500, 'a'), show); }),
      HasSubstr("too short"));
  generator.Generate("", show);
  EXPECT_EQ(text, Generate(Sampled(3, 20)).text);
}

// A tokenizer of `size` ids: a to z, then A to Z. The last one ends a text.
std::shared_ptr<const Tokenizer> Letters(size_t size) {
  TokenizerData data;
  std::vector<uint32_t> all;
  for (uint32_t id = 0; id < size; ++id) {
    const uint32_t letter = id < 26 ? 'a' + id : 'A' + id - 26;
    data.AddPiece(std::string(1, static_cast<char>(letter)),
                  PieceType::kNormal);
    all.push_back(id);
  }
  MakeLookup(all, data);
  AddMergesByScore(std::vector<float>(size), data);
  data.recipe.kind = "letters";
  data.recipe.ends = {static_cast<int32_t>(size) - 1};
  return Tokenizer::Parse(SerializeTokenizer(data), "letters");
}

TEST_F(TextGeneratorTest, TokensThatTheTokenizerDoesNotKnowAreNotChosen) {
  constexpr size_t kKnown = 30;  // of 37
  const auto letters = Letters(kKnown);
  LanguageModel language(model_);
  GenerationOptions options = Sampled(1, 150);
  options.sampler.temperature = 50;
  TextGenerator generator(language, *letters, options);
  generator.Generate("ab", [](std::string_view) {});
  ASSERT_EQ(generator.tokens().size(), 150u);
  const auto& tokens = generator.tokens();
  // All others come, but for the last one, which ends a text.
  EXPECT_EQ(*std::ranges::max_element(tokens), int32_t{kKnown} - 2);
}

// Rows that pad the vocabulary, or lie in its midst.
TEST_F(TextGeneratorTest, TokensWithoutAMeaningAreNotChosen) {
  GenerationOptions options = Sampled(1, 150);
  options.sampler.temperature = 50;
  EXPECT_THAT(Generate(options).tokens,
              ::testing::Not(::testing::Contains(kUnused)));
}

// What the tokenizer puts after a text would end it.
TEST_F(TextGeneratorTest, APromptDoesNotEndTheText) {
  TokenizerData data =
      ParseTokenizer(model_->file().Get(kTokenizerTensor).data, "test");
  data.recipe.after = {TinyLanguage::kEos};
  const auto ending = Tokenizer::Parse(SerializeTokenizer(data), "test");
  LanguageModel language(model_);
  TextGenerator generator(language, *ending, Sampled(1, 10));
  std::string text;
  generator.Generate("the ", [&](std::string_view piece) { text += piece; });
  EXPECT_THAT(generator.prompt_tokens(),
              ::testing::Not(::testing::Contains(TinyLanguage::kEos)));
  EXPECT_EQ(text, Generate(Sampled(1, 10)).text);
}

// What a program's function throws is none of the library's errors.
TEST_F(TextGeneratorTest, GoesOnAfterAnyException) {
  const Outcome whole = Generate(Sampled(5, 40));
  LanguageModel language(model_);
  TextGenerator generator(language, *tokenizer_, Sampled(5, 20));
  std::vector<int32_t> tokens;
  EXPECT_THROW(generator.Generate("the ", [](std::string_view) { throw 1; }),
               int);
  ASSERT_FALSE(generator.tokens().empty());
  for (int i = 0; i < 2; ++i) {
    tokens.insert(tokens.end(), generator.tokens().begin(),
                  generator.tokens().end());
    generator.Generate("", [](std::string_view) {});
  }
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), whole.tokens.begin()));
  EXPECT_GT(tokens.size(), 20u);
}

// Among them the one that ends a text.
TEST_F(TextGeneratorTest, TokensThatTheModelDoesNotKnow) {
  const auto letters = Letters(TinyLanguage::kVocabulary + 5);
  LanguageModelOptions eight;
  eight.chunk = 8;
  LanguageModel language(model_, eight);
  TextGenerator generator(language, *letters, Sampled(1, 10));
  const auto show = [](std::string_view) {};
  generator.Generate("ab", show);
  EXPECT_EQ(generator.tokens().size(), 10u);
  EXPECT_EQ(language.position(), 11u);  // the last one waits

  // What waits and seven letters are fed, in a call of 8 tokens. That of the
  // other three fails; none of them must wait.
  EXPECT_THAT(ErrorMessage([&] { generator.Generate("abcdefghiO", show); }),
              HasSubstr("40"));
  EXPECT_EQ(language.position(), 11u + 8);
  generator.Generate("xyz", show);
  EXPECT_EQ(language.position(), 19u + 3 + 9);
}

TEST_F(TextGeneratorTest, WrongUse) {
  GenerationOptions options;
  options.stops = {""};
  EXPECT_THAT(ErrorMessage([&] { Generate(options); }), HasSubstr("empty"));
  options.stops.clear();
  EXPECT_THAT(ErrorMessage([&] { Generate(options, std::string(500, 'a')); }),
              HasSubstr("the context of 200 tokens is too short"));
}

}  // namespace
}  // namespace lutra
