#include "lutra/eval/multiple_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lutra/eval/perplexity.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra::eval {
namespace {

using ::testing::HasSubstr;

class MultipleChoiceTest : public ::testing::Test {
 protected:
  MultipleChoiceTest() {
    TinyLanguage{.packed = true}.Build().Write(dir_ / "m.safetensors");
    model_ =
        std::make_unique<LanguageModel>(Model::Load(dir_ / "m.safetensors"));
    tokenizer_ = Tokenizer::FromModel(model_->model());
  }

  // The definition, token by token and every choice from the beginning.
  double Nats(const std::string& context, const std::string& choice) {
    const int32_t bos = TextStart(*tokenizer_);
    std::vector<int32_t> ids;
    if (bos >= 0) ids.push_back(bos);
    size_t first = ids.size() + tokenizer_->Encode(context, false).size();
    for (const int32_t id : tokenizer_->Encode(context + choice, false)) {
      ids.push_back(id);
    }
    model_->Reset();
    double nats = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const std::span<const float> logits = model_->Feed({&ids[i], 1});
      if (i + 1 < first) continue;
      nats += NegativeLogLikelihood(logits.data(), logits.size(), ids[i + 1]);
    }
    return nats;
  }

  ChoiceScore Score(const std::vector<ChoiceQuestion>& questions) {
    return ScoreChoices(*model_, *tokenizer_, questions);
  }
  std::string Refusal(const ChoiceQuestion& question) {
    return ErrorMessage([&] { Score({{"a", {"b"}, 0}, question}); });
  }

  TempDir dir_;
  std::unique_ptr<LanguageModel> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(MultipleChoiceTest, AsDefined) {
  // "t" and "he": the last token of the context is not that of the whole.
  const std::vector<std::string> contexts = {"abc", "", "at", "it was t", "."};
  const std::vector<std::string> choices = {" a", "he cat", "zzzz zz", "q",
                                            " the dog ate the cat"};
  std::vector<ChoiceQuestion> questions;
  size_t correct = 0;
  size_t by_byte = 0;
  double nats = 0;
  for (size_t q = 0; q < contexts.size() * choices.size(); ++q) {
    const ChoiceQuestion question{contexts[q % contexts.size()], choices,
                                  q / contexts.size()};
    size_t best = 0;
    size_t best_by_byte = 0;
    std::vector<double> all;
    std::vector<double> per_byte;
    for (const std::string& choice : choices) {
      all.push_back(Nats(question.context, choice));
      per_byte.push_back(
          all.back() /
          static_cast<double>(choice.size() - (choice[0] == ' ' ? 1 : 0)));
    }
    for (size_t i = 0; i < choices.size(); ++i) {
      if (all[i] < all[best]) best = i;
      if (per_byte[i] < per_byte[best_by_byte]) best_by_byte = i;
    }
    correct += best == question.answer ? 1 : 0;
    by_byte += best_by_byte == question.answer ? 1 : 0;
    nats += all[question.answer];
    questions.push_back(question);
  }
  const ChoiceScore score = Score(questions);
  EXPECT_EQ(score.questions, questions.size());
  EXPECT_EQ(score.correct, correct);
  EXPECT_EQ(score.correct_by_byte, by_byte);
  // Every answer is right once.
  EXPECT_EQ(score.correct, contexts.size());
  EXPECT_EQ(score.correct_by_byte, contexts.size());
  EXPECT_NEAR(score.answer_nats, nats, 1e-9 * nats);
  EXPECT_EQ(score.Accuracy(), 0.2);
}

// A letter is more probable than two that are one token, but not per byte.
TEST_F(MultipleChoiceTest, TheMostProbableOneIsNotTheOneByByte) {
  ChoiceQuestion question;
  for (char before = 'a'; before <= 'z' && question.choices.empty(); ++before) {
    const std::string context(1, before);
    const double two = Nats(context, "th");
    for (char c = 'a'; c <= 'z'; ++c) {
      const std::string letter(1, c);
      const double one = Nats(context, letter);
      if (one < two && two / 2 < one) question = {context, {"th", letter}, 1};
    }
  }
  ASSERT_FALSE(question.choices.empty());
  const ChoiceScore score = Score({question});
  EXPECT_EQ(score.correct, 1u);
  EXPECT_EQ(score.correct_by_byte, 0u);
}

TEST_F(MultipleChoiceTest, WhatIsNoQuestion) {
  EXPECT_THAT(Refusal({"a", {}, 0}), HasSubstr("question 2: the answer"));
  EXPECT_THAT(Refusal({"a", {"b"}, 1}), HasSubstr("question 2: the answer"));
  EXPECT_THAT(Refusal({"a", {"b", ""}, 0}),
              HasSubstr("choice '' adds no token"));
  EXPECT_THAT(Refusal({std::string(200, 'a'), {"b"}, 0}),
              HasSubstr("but the context has 64"));
}

}  // namespace
}  // namespace lutra::eval
