#include "lutra/runtime/speculation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/runtime/text_generator.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<int32_t> Guess(Drafter& drafter, const std::vector<int32_t>& text,
                           size_t most) {
  std::vector<int32_t> guess;
  drafter.Guess(text, most, guess);
  return guess;
}

TEST(PromptLookup, FollowsTheLatestLongestMatch) {
  PromptLookup lookup(3, 2);
  EXPECT_THAT(Guess(lookup, {1, 2, 3, 4, 1, 2}, 8), ElementsAre(3, 4, 1, 2));
  EXPECT_THAT(Guess(lookup, {1, 2, 3, 4, 1, 2}, 2), ElementsAre(3, 4));
  // Of equal ones the later, but a longer one before all.
  EXPECT_THAT(Guess(lookup, {1, 2, 3, 1, 2, 4, 1, 2}, 1), ElementsAre(4));
  EXPECT_THAT(Guess(lookup, {9, 1, 2, 3, 1, 2, 4, 9, 1, 2}, 1), ElementsAre(3));
  EXPECT_THAT(Guess(lookup, {1, 2, 3, 2}, 8), IsEmpty());
  EXPECT_THAT(Guess(lookup, {}, 8), IsEmpty());
  EXPECT_THAT(Guess(lookup, {5}, 8), IsEmpty());
  EXPECT_THAT(ErrorMessage([] { PromptLookup(1, 2); }),
              HasSubstr("prompt lookup"));
}

class SpeculationTest : public ::testing::Test {
 protected:
  SpeculationTest() : model_(Make({.context = 200, .packed = true})) {
    tokenizer_ = Tokenizer::FromModel(*model_);
  }

  std::shared_ptr<const Model> Make(TinyLanguage tiny) {
    const std::filesystem::path path =
        dir_ / ("m" + std::to_string(++models_) + ".safetensors");
    tiny.Build().Write(path);
    return Model::Load(path);
  }

  struct Outcome {
    std::string text;
    std::vector<int32_t> tokens;
    GenerationEnd end;
    size_t position;
    bool operator==(const Outcome&) const = default;
  };

  // Two prompts after each other, so that speculation must leave the sequence
  // as it would be.
  std::vector<Outcome> Generate(const GenerationOptions& options,
                                Drafter* drafter, size_t most) {
    LanguageModel language(model_);
    TextGenerator generator(language, *tokenizer_, options);
    generator.SetDrafter(drafter, most);
    std::vector<Outcome> outcomes;
    for (const char* prompt : {"the he th the he th ", " the he"}) {
      Outcome outcome;
      outcome.end = generator.Generate(
          prompt, [&](std::string_view text) { outcome.text += text; });
      outcome.tokens = generator.tokens();
      outcome.position = language.position();
      outcomes.push_back(outcome);
    }
    if (drafter != nullptr) {
      guessed_ += generator.speculation()->guessed();
      accepted_ += generator.speculation()->accepted();
    }
    return outcomes;
  }

  TempDir dir_;
  int models_ = 0;
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  size_t guessed_ = 0;
  size_t accepted_ = 0;
};

TEST_F(SpeculationTest, TheTextIsTheModelsOwn) {
  // The same model guesses well, another one badly.
  LanguageModel same(model_);
  LanguageModel other(Make({.context = 60, .seed = 2}));
  DraftModel good(same, 0);
  DraftModel bad(other, 0);
  PromptLookup lookup(3, 1);
  for (const bool greedy : {true, false}) {
    for (const bool constrained : {false, true}) {
      GenerationOptions options;
      options.sampler.temperature = greedy ? 0.0f : 1.2f;
      options.sampler.repetition_penalty = 1.1f;
      options.sampler.seed = 5;
      options.max_tokens = 70;
      options.ignore_end = true;
      if (constrained) {
        options.grammar = Grammar::Parse("root ::= ([a-m]{1,3} \" \")*");
      }
      const auto expected = Generate(options, nullptr, 1);
      for (Drafter* drafter : std::vector<Drafter*>{&good, &bad, &lookup}) {
        for (const size_t most : {1u, 3u, 8u}) {
          EXPECT_EQ(Generate(options, drafter, most), expected)
              << greedy << constrained << most;
        }
      }
    }
  }
  EXPECT_GT(accepted_, 100u);
  EXPECT_GT(guessed_, accepted_);
}

TEST_F(SpeculationTest, StepsLeaveNothingOfGuesses) {
  LanguageModel same(model_);
  DraftModel good(same, 0);
  PromptLookup lookup(3, 1);
  GenerationOptions options;
  options.sampler.temperature = 0;
  options.max_tokens = 70;
  options.ignore_end = true;
  const std::string prompt = "the he th the he th ";
  LanguageModel alone(model_);
  TextGenerator expected(alone, *tokenizer_, options);
  expected.Generate(prompt, [](std::string_view) {});
  for (Drafter* drafter : std::vector<Drafter*>{&good, &lookup}) {
    LanguageModel language(model_);
    TextGenerator generator(language, *tokenizer_, options);
    generator.SetDrafter(drafter, 8);
    const auto ids = tokenizer_->EncodePrompt(prompt);
    generator.Begin(ids, /*continues=*/true, [](std::string_view) {});
    size_t steps = 0;
    while (!generator.NextGuessed()) {
      ++steps;
      EXPECT_EQ(language.position() + generator.pending().size(),
                ids.size() + generator.tokens().size());
    }
    EXPECT_EQ(generator.tokens(), expected.tokens());
    // Each took what was guessed right, of which there was some.
    EXPECT_GT(generator.speculation()->accepted(), 0u);
    EXPECT_LT(steps, generator.tokens().size());
  }
}

TEST_F(SpeculationTest, UpToTheEndOfTheContext) {
  LanguageModel same(model_);
  DraftModel draft(same, 0);
  GenerationOptions options;
  options.sampler.temperature = 0;
  options.ignore_end = true;
  LanguageModel language(model_);
  TextGenerator generator(language, *tokenizer_, options);
  generator.SetDrafter(&draft, 8);
  EXPECT_EQ(generator.Generate("the", [](std::string_view) {}),
            GenerationEnd::kContextFull);
  EXPECT_EQ(language.position(), 200u);
  EXPECT_GT(generator.speculation()->accepted(), 100u);
}

TEST_F(SpeculationTest, FeedAndSettle) {
  LanguageModel same(model_);
  DraftModel draft(same, 0);
  LanguageModel language(model_);
  LanguageModel alone(model_);
  Speculation speculation(language, draft, 4);
  const std::vector<int32_t> prompt = {1, 5, 9};
  const auto next = [](Span<const float> logits) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) -
                                logits.begin());
  };
  std::vector<float> logits;
  const auto feed = [&](Span<const int32_t> ids) {
    const Span<const float> ahead = speculation.Feed(ids);
    const Span<const float> plain = alone.Feed(ids);
    logits.assign(plain.begin(), plain.end());
    EXPECT_TRUE(std::equal(ahead.begin(), ahead.end(), plain.begin()));
    EXPECT_EQ(speculation.position(), alone.position());
  };
  feed(prompt);
  for (int i = 0; i < 20; ++i) {
    // Now and then something that nobody would guess.
    const int32_t id = i % 7 == 6 ? 4 : next(logits);
    feed({&id, 1});
  }
  EXPECT_GE(language.position(), alone.position());
  speculation.Settle();
  EXPECT_EQ(language.position(), alone.position());
  // A token that is none fails and leaves no guess.
  const int32_t wrong = 1000;
  EXPECT_THAT(ErrorMessage([&] {
                speculation.Feed({&wrong, 1});
              }),
              HasSubstr("1000"));
  EXPECT_EQ(language.position(), alone.position());
  EXPECT_EQ(speculation.position(), alone.position());
  const int32_t id = next(logits);
  feed({&id, 1});
}

TEST_F(SpeculationTest, Errors) {
  LanguageModel language(model_);
  PromptLookup lookup;
  for (const size_t most : {size_t{0}, Speculation::kMaxGuess + 1}) {
    EXPECT_THAT(ErrorMessage([&] { Speculation(language, lookup, most); }),
                HasSubstr("1 to 64 tokens"));
  }
  const auto other = Tokenizer::FromModel(*Make({}));
  CheckDraftTokenizer(*tokenizer_, *other);
}

}  // namespace
}  // namespace lutra
