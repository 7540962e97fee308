#include "lutra/eval/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra::eval {
namespace {

using ::testing::HasSubstr;

double Nats(std::span<const float> logits, int32_t token) {
  return NegativeLogLikelihood(logits.data(), logits.size(), token);
}

TEST(PerplexityTest, NegativeLogLikelihood) {
  const std::vector<float> logits = {1, 2, -1000};
  const double sum = std::exp(1.0) + std::exp(2.0);
  EXPECT_NEAR(Nats(logits, 0), std::log(sum) - 1, 1e-12);
  EXPECT_NEAR(Nats(logits, 1), std::log(sum) - 2, 1e-12);
  EXPECT_NEAR(Nats(logits, 2), std::log(sum) + 1000, 1e-9);
  const std::vector<float> large = {1e30f, 1e30f};
  EXPECT_NEAR(Nats(large, 1), std::numbers::ln2, 1e-12);
}

// The protocol written down once more, token by token.
TextScore Expected(LanguageModel& model, const std::vector<int32_t>& ids,
                   int32_t bos, size_t context) {
  const size_t window = bos < 0 ? context : context - 1;
  TextScore score;
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool starts = i % window == 0;
    if (starts) model.Reset();
    if (starts && bos < 0) continue;
    const int32_t before = starts ? bos : ids[i - 1];
    const std::span<const float> logits = model.Feed({&before, 1});
    score.nats += Nats(logits, ids[i]);
    ++score.scored;
    const auto best = std::max_element(logits.begin(), logits.end());
    if (best - logits.begin() == ids[i]) ++score.correct;
  }
  return score;
}

TEST(PerplexityTest, ScoresByTheProtocol) {
  const TempDir dir;
  TinyLanguage{.packed = true}.Build().Write(dir / "m.safetensors");
  LanguageModel model(Model::Load(dir / "m.safetensors"));
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 50; ++i) ids.push_back(i * 11 % 37);
  size_t correct = 0;  // in all cases together
  for (const int32_t bos : {1, -1}) {
    for (const size_t context : {size_t{2}, size_t{9}, size_t{60}}) {
      const TextScore expected = Expected(model, ids, bos, context);
      size_t calls = 0;
      const TextScore score =
          ScoreText(model, ids, bos, context, [&](const TextScore& part) {
            ++calls;
            EXPECT_LE(part.tokens, ids.size());
          });
      EXPECT_EQ(score.tokens, ids.size());
      EXPECT_EQ(score.scored, expected.scored);
      EXPECT_EQ(score.correct, expected.correct);
      correct += score.correct;
      EXPECT_NEAR(score.nats, expected.nats, 1e-9 * expected.nats)
          << bos << " " << context;
      const size_t window = bos < 0 ? context : context - 1;
      EXPECT_EQ(calls, (ids.size() + window - 1) / window);
      // Several chunks at once.
      const TextScore together = ScoreText(model, ids, bos, context, {}, 3);
      EXPECT_EQ(together.nats, score.nats);
      EXPECT_EQ(together.correct, score.correct);
      EXPECT_EQ(together.scored, score.scored);
      EXPECT_EQ(together.tokens, score.tokens);
      EXPECT_DOUBLE_EQ(
          score.Perplexity(),
          std::exp(score.nats / static_cast<double>(expected.scored)));
      EXPECT_DOUBLE_EQ(score.BitsPerByte(100),
                       score.NatsPerToken() * 50 / std::numbers::ln2 / 100);
    }
  }
  EXPECT_GT(correct, 0u);
  EXPECT_THAT(ErrorMessage([&] { ScoreText(model, ids, 1, 1); }),
              HasSubstr("scores nothing"));
  ids[20] = 37;
  EXPECT_THAT(ErrorMessage([&] { ScoreText(model, ids, 1, 9); }),
              HasSubstr("gives token 37"));
}

TEST(PerplexityTest, ReadText) {
  const TempDir dir;
  WriteBytes(dir / "t",
             "ab\xC3\xA9"
             "cd");
  EXPECT_EQ(ReadText(dir / "t", 0),
            "ab\xC3\xA9"
            "cd");
  EXPECT_EQ(ReadText(dir / "t", 100),
            "ab\xC3\xA9"
            "cd");
  EXPECT_EQ(ReadText(dir / "t", 4), "ab\xC3\xA9");
  EXPECT_EQ(ReadText(dir / "t", 3), "ab");  // not half a character
  EXPECT_EQ(ReadText(dir / "t", 2), "ab");
  WriteBytes(dir / "e", "");
  EXPECT_THAT(ErrorMessage([&] { ReadText(dir / "e", 0); }),
              HasSubstr("holds no text"));
  EXPECT_THAT(ErrorMessage([&] { ReadText(dir / "none", 0); }),
              HasSubstr("cannot open"));
  for (const size_t limit : {size_t{0}, size_t{4}}) {
    EXPECT_THAT(ErrorMessage([&] { ReadText(dir.path(), limit); }),
                HasSubstr("cannot read"));
  }
}

}  // namespace
}  // namespace lutra::eval
