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
          ScoreText(model, ids, {.bos = bos, .context = context},
                    [&](const TextScore& part) {
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
      const TextScore together = ScoreText(
          model, ids, {.bos = bos, .context = context, .sequences = 3});
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
  EXPECT_THAT(
      ErrorMessage([&] { ScoreText(model, ids, {.bos = 1, .context = 1}); }),
      HasSubstr("scores nothing"));
  ids[20] = 37;
  EXPECT_THAT(
      ErrorMessage([&] { ScoreText(model, ids, {.bos = 1, .context = 9}); }),
      HasSubstr("gives token 37"));
}

TEST(PerplexityTest, KlDivergence) {
  const std::vector<float> r = {0, std::log(3.0f)};  // 1/4, 3/4
  const std::vector<float> p = {5, 5};               // 1/2, 1/2
  EXPECT_NEAR(KlDivergence(r.data(), p.data(), 2),
              0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-7);
  EXPECT_NEAR(KlDivergence(p.data(), r.data(), 2),
              0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-7);
  EXPECT_EQ(KlDivergence(r.data(), r.data(), 2), 0);
}

// The second half of whole chunks, against a reference.
TEST(PerplexityTest, LlamaProtocolAndReference) {
  const TempDir dir;
  TinyLanguage{.packed = true}.Build().Write(dir / "m.safetensors");
  TinyLanguage{.packed = false}.Build().Write(dir / "r.safetensors");
  LanguageModel model(Model::Load(dir / "m.safetensors"));
  LanguageModel reference(Model::Load(dir / "r.safetensors"));
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 50; ++i) ids.push_back(i * 11 % 37);
  for (const int32_t bos : {1, -1}) {
    SCOPED_TRACE(bos);
    constexpr size_t kContext = 10;
    std::vector<int32_t> all = ids;
    if (bos >= 0) all.insert(all.begin(), bos);
    TextScore expected;
    for (size_t first = 0; first + kContext <= all.size(); first += kContext) {
      model.Reset();
      reference.Reset();
      for (size_t i = 0; i + 1 < kContext; ++i) {
        const int32_t id = i == 0 && bos >= 0 ? bos : all[first + i];
        const std::span<const float> p = model.Feed({&id, 1});
        const std::span<const float> r = reference.Feed({&id, 1});
        if (i + 1 < 6) continue;
        ++expected.scored;
        expected.nats += Nats(p, all[first + i + 1]);
        expected.divergence += KlDivergence(r.data(), p.data(), p.size());
        expected.same_top += std::max_element(p.begin(), p.end()) - p.begin() ==
                             std::max_element(r.begin(), r.end()) - r.begin();
      }
    }
    ScoreOptions options{.bos = bos,
                         .context = kContext,
                         .protocol = ScoreProtocol::kLlama,
                         .sequences = 3,
                         .reference = &reference};
    const TextScore score = ScoreText(model, ids, options);
    EXPECT_EQ(score.scored, 20u);
    EXPECT_EQ(score.scored, expected.scored);
    EXPECT_NEAR(score.nats, expected.nats, 1e-9 * expected.nats);
    EXPECT_GT(score.divergence, 0);
    EXPECT_NEAR(score.divergence, expected.divergence,
                1e-4 * expected.divergence);
    EXPECT_EQ(score.same_top, expected.same_top);
    EXPECT_DOUBLE_EQ(score.DivergencePerToken(), score.divergence / 20);
    options.reference = nullptr;
    EXPECT_EQ(ScoreText(model, ids, options).nats, score.nats);
    options.reference = &model;
    EXPECT_EQ(ScoreText(model, ids, options).divergence, 0);
    options.chunks = 2;
    EXPECT_EQ(ScoreText(model, ids, options).scored, 8u);
    options.context = 40;
    EXPECT_THAT(ErrorMessage([&] { ScoreText(model, ids, options); }),
                HasSubstr("less than two chunks of 40"));
  }
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
