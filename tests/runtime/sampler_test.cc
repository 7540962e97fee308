#include "lutra/runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/random.h"
#include "tests/kernels/each_variant.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <typename Body>
void ExpectError(const Body& body, const char* part) {
  EXPECT_THAT(ErrorMessage(body), HasSubstr(part));
}

// Everything off: the model's own distribution.
SamplerOptions Plain() {
  SamplerOptions options;
  options.temperature = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  return options;
}

std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) {
    logits.push_back(static_cast<float>(std::log(p)));
  }
  return logits;
}

// Which tokens come in `draws` draws, and how often.
std::map<int32_t, int> Count(const SamplerOptions& options,
                             const std::vector<float>& logits,
                             int draws = 20000) {
  Sampler sampler(options, logits.size());
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.Sample(logits)];
  return counts;
}

std::vector<int32_t> Kept(const SamplerOptions& options,
                          const std::vector<float>& logits) {
  std::vector<int32_t> ids;
  for (const auto& [id, count] : Count(options, logits)) ids.push_back(id);
  return ids;
}

// Five standard deviations of a binomial count.
void ExpectShares(const std::map<int32_t, int>& counts,
                  const std::vector<double>& shares, int draws = 20000) {
  for (size_t i = 0; i < shares.size(); ++i) {
    const auto found = counts.find(static_cast<int32_t>(i));
    const double count = found == counts.end() ? 0 : found->second;
    const double p = shares[i];
    EXPECT_NEAR(count, p * draws, 5 * std::sqrt(p * (1 - p) * draws) + 1e-9)
        << "token " << i;
  }
}

const std::vector<double> kShares = {0.1, 0.4, 0.05, 0.3, 0.15};

TEST(SamplerTest, DrawsByProbability) {
  ExpectShares(Count(Plain(), Logs(kShares)), kShares);
}

TEST(SamplerTest, TemperatureRaisesToThePower) {
  for (const float temperature : {0.5f, 2.0f}) {
    SamplerOptions options = Plain();
    options.temperature = temperature;
    std::vector<double> shares;
    double total = 0;
    for (const double p : kShares) {
      shares.push_back(std::pow(p, 1 / static_cast<double>(temperature)));
      total += shares.back();
    }
    for (double& share : shares) share /= total;
    ExpectShares(Count(options, Logs(kShares)), shares);
  }
}

TEST(SamplerTest, TopKKeepsTheLargestAndTheirRatios) {
  SamplerOptions options = Plain();
  options.top_k = 2;
  ExpectShares(Count(options, Logs(kShares)), {0, 0.4 / 0.7, 0, 0.3 / 0.7, 0});
  options.top_k = 1;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1));
  for (const size_t all : {size_t{5}, size_t{6}, size_t{1000000}}) {
    options.top_k = all;
    ExpectShares(Count(options, Logs(kShares)), kShares);
  }
}

TEST(SamplerTest, OfEqualLogitsTopKKeepsTheLowestIds) {
  SamplerOptions options = Plain();
  options.top_k = 3;
  EXPECT_THAT(Kept(options, std::vector<float>(200, 1.5f)),
              ElementsAre(0, 1, 2));
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  SamplerOptions options = Plain();
  options.top_p = 0.75f;  // 0.4 + 0.3 is less, with 0.15 it is enough
  ExpectShares(Count(options, Logs(kShares)),
               {0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85});
  options.top_p = 0.39f;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1));
  options.top_p = 0;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1));
  options.top_p = 1;
  ExpectShares(Count(options, Logs(kShares)), kShares);
}

// More candidates than are sorted at first, in another order than they come.
TEST(SamplerTest, TopPOfManyTokens) {
  SamplerOptions options = Plain();
  options.top_p = 0.5f;
  // Token id is the (id * 7 % 1000)-th best, and 143 * 7 = 1001.
  std::vector<float> logits;
  double total = 0;
  for (int i = 0; i < 1000; ++i) {
    logits.push_back(static_cast<float>(i * 7 % 1000) * -0.001f);
    total += std::exp(-0.001 * i);
  }
  int expected = 0;
  for (double sum = 0; sum < total / 2; ++expected) {
    sum += std::exp(-0.001 * expected);
  }
  std::vector<int32_t> best;
  for (int rank = 0; rank < expected; ++rank) best.push_back(rank * 143 % 1000);
  EXPECT_THAT(Kept(options, logits),
              ::testing::UnorderedElementsAreArray(best));
}

TEST(SamplerTest, MinPIsRelativeToTheMostProbable) {
  SamplerOptions options = Plain();
  options.min_p = 0.3f;  // 0.12 of probability
  ExpectShares(Count(options, Logs(kShares)),
               {0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85});
  // 0.15 is 0.375 of 0.4.
  options.min_p = 0.37f;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1, 3, 4));
  options.min_p = 0.38f;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1, 3));
  options.min_p = 1;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1));
  EXPECT_THAT(Kept(options, {1, 3, 3, 2}), ElementsAre(1, 2));
}

// Each filter sees what the one before it left, renormalised; the temperature
// comes last.
TEST(SamplerTest, OrderOfTheFilters) {
  SamplerOptions options = Plain();
  options.top_k = 3;  // 0.4 0.3 0.15, that is 0.471 0.353 0.176
  options.top_p = 0.8f;
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1, 3));
  options.temperature = 100;  // before top-p it would let the third in
  EXPECT_THAT(Kept(options, Logs(kShares)), ElementsAre(1, 3));
  options.temperature = 1;
  options.top_p = 1;
  options.repetition_penalty = 10;  // before top-k
  Sampler sampler(options, kShares.size());
  const std::vector<float> logits = {2, 5, 1, 4, 3};
  sampler.Accept(1);
  for (int i = 0; i < 1000; ++i) EXPECT_NE(sampler.Sample(logits), 1);
}

TEST(SamplerTest, GreedyAtTemperatureZero) {
  SamplerOptions options;
  options.temperature = 0;
  Sampler sampler(options, 5);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-3, -1, -2, -1, -5}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-kInf, -kInf, 0, -kInf, 7}), 4);
  Sampler one(options, 1);
  EXPECT_EQ(one.Sample(std::vector<float>{-3}), 0);
}

TEST(SamplerTest, RepetitionPenaltyOfTheWindow) {
  SamplerOptions options;
  options.temperature = 0;
  options.repetition_penalty = 2;
  options.repetition_window = 2;
  Sampler sampler(options, 3);
  const std::vector<float> positive = {4, 3, 1};
  EXPECT_EQ(sampler.Sample(positive), 0);
  sampler.Accept(0);
  EXPECT_EQ(sampler.Sample(positive), 1);  // 2 3 1
  sampler.Accept(0);
  EXPECT_EQ(sampler.Sample(positive), 1);  // once, however often it appears
  sampler.Accept(1);
  EXPECT_EQ(sampler.Sample(positive), 0);                        // 2 1.5 1
  EXPECT_EQ(sampler.Sample(std::vector<float>{-1, -2, -3}), 0);  // -2 -4 -3
  EXPECT_EQ(sampler.Sample(std::vector<float>{-2, -2, -3}), 2);  // -4 -4 -3
  sampler.Accept(1);                       // 0 has left the window
  EXPECT_EQ(sampler.Sample(positive), 0);  // 4 1.5 1
  sampler.Reset();
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 3, 2}), 1);

  // The oldest leaves first, again and again.
  options.repetition_window = 3;
  options.repetition_penalty = 100;
  Sampler ring(options, 8);
  const std::vector<float> falling = {8, 7, 6, 5, 4, 3, 2, 1};
  for (const int32_t id : {0, 1, 2, 3, 4, 5}) ring.Accept(id);
  EXPECT_EQ(ring.Sample(falling), 0);  // 3, 4 and 5 are in the window
  for (const int32_t id : {0, 1}) ring.Accept(id);
  EXPECT_EQ(ring.Sample(falling), 2);  // 5, 0, 1
  ring.Accept(2);
  EXPECT_EQ(ring.Sample(falling), 3);  // 0, 1, 2
  ring.Accept(6);
  EXPECT_EQ(ring.Sample(falling), 0);  // 1, 2, 6

  options.repetition_window = 0;
  options.repetition_penalty = 2;
  Sampler without(options, 3);
  without.Accept(0);
  EXPECT_EQ(without.Sample(positive), 0);
}

// A penalty is a division: it must not turn the largest numbers to infinity.
TEST(SamplerTest, ExtremeLogits) {
  SamplerOptions options = Plain();
  options.repetition_penalty = 1e-3f;
  Sampler sampler(options, 3);
  sampler.Accept(0);
  const float max = std::numeric_limits<float>::max();
  EXPECT_EQ(sampler.Sample(std::vector<float>{max, -max, 0}), 0);
  options.temperature = 1e-30f;
  EXPECT_THAT(Kept(options, {max, max, -max}), ElementsAre(0, 1));
  options.temperature = 1e30f;
  EXPECT_THAT(Kept(options, {1, 2, 3}), ElementsAre(0, 1, 2));
}

TEST(SamplerTest, MinusInfinityExcludes) {
  SamplerOptions options = Plain();
  EXPECT_THAT(Kept(options, {-kInf, 1, -kInf, 2}), ElementsAre(1, 3));
  options.top_k = 3;
  options.top_p = 0.999f;
  EXPECT_THAT(Kept(options, {-kInf, 1, -kInf, 2}), ElementsAre(1, 3));
  options.repetition_penalty = 0.5f;
  Sampler sampler(options, 2);
  sampler.Accept(0);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-kInf, 1}), 1);
}

TEST(SamplerTest, SeedsReproduce) {
  const std::vector<float> logits = RandomFloats(300, 1);
  const auto text = [&](Sampler& sampler) {
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) {
      ids.push_back(sampler.Sample(logits));
      sampler.Accept(ids.back());
    }
    return ids;
  };
  SamplerOptions options;
  options.repetition_penalty = 1.1f;
  options.seed = 7;
  Sampler a(options, logits.size());
  Sampler b(options, logits.size());
  options.seed = 8;
  Sampler c(options, logits.size());
  const std::vector<int32_t> first = text(a);
  EXPECT_EQ(text(b), first);
  EXPECT_NE(text(c), first);
  EXPECT_NE(text(a), first);
  a.Reset();
  EXPECT_EQ(text(a), first);
}

// The same on every machine: SplitMix64's first numbers for the seed 0 are
// E220A8397B1DCDAF, 6E789E6AA1B965F4, 06C45D188009454F.
TEST(SamplerTest, TheGeneratorIsDefinedToTheBit) {
  SamplerOptions options = Plain();
  Sampler sampler(options, 16);
  const std::vector<float> equal(16, 0.0f);
  EXPECT_EQ(sampler.Sample(equal), 0xE);
  EXPECT_EQ(sampler.Sample(equal), 0x6);
  EXPECT_EQ(sampler.Sample(equal), 0x0);
}

// Probabilities are those of the kernels' exp, not of a C library's: for about
// half of these logits a library's logarithm is on the other side of min-p.
TEST(SamplerTest, ProbabilitiesAreDefinedToTheBit) {
  SamplerOptions options = Plain();
  options.seed = 3;
  for (float logit = -8.0f; logit < 0.0f; logit += 0.37f) {
    kernels::reference::Apply(kernels::Function::kExp, &logit, 1,
                              &options.min_p);
    EXPECT_THAT(Kept(options, {0.0f, logit, -20.0f}), ElementsAre(0, 1))
        << logit;
  }
}

TEST(SamplerTest, GivesTheRecordedTokensOnEveryVariant) {
  // Not of the standard library's distributions, which differ.
  Random random(5);
  std::vector<float> logits(1000);
  for (float& logit : logits) logit = 8 * random.Symmetric();
  const auto text = [&](float temperature, size_t top_k, float top_p,
                        float min_p) {
    Sampler sampler({.temperature = temperature,
                     .repetition_penalty = 1.1f,
                     .top_k = top_k,
                     .top_p = top_p,
                     .min_p = min_p,
                     .seed = 11},
                    logits.size());
    std::vector<int32_t> ids;
    for (int i = 0; i < 8; ++i) {
      ids.push_back(sampler.Sample(logits));
      sampler.Accept(ids.back());
    }
    return ids;
  };
  kernels::ForEachVariant([&](const char* variant) {
    SCOPED_TRACE(variant);
    EXPECT_THAT(text(0.8f, 40, 0.95f, 0.05f),
                ElementsAre(968, 580, 539, 893, 671, 733, 708, 201));
    EXPECT_THAT(text(1.0f, 0, 1.0f, 0.0f),
                ElementsAre(249, 216, 675, 539, 116, 576, 69, 832));
    EXPECT_THAT(text(1.7f, 0, 0.9f, 0.0f),
                ElementsAre(832, 539, 854, 14, 94, 416, 227, 758));
    EXPECT_THAT(text(0.3f, 0, 1.0f, 0.2f),
                ElementsAre(227, 201, 675, 551, 94, 580, 47, 845));
  });
}

TEST(SamplerTest, LogitsThatCannotBeUsed) {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplerOptions options = Plain();
    options.temperature = temperature;
    Sampler sampler(options, 3);
    const auto sample = [&](std::vector<float> logits) {
      return [&sampler, logits] { sampler.Sample(logits); };
    };
    ExpectError(sample({1, kNan, 2}), "the logit of token 1 is NaN");
    ExpectError(sample({1, 2, kInf}), "the logit of token 2 is infinite");
    ExpectError(sample({-kInf, -kInf, -kInf}), "every token is excluded");
    ExpectError(sample({1, 2}), "2 logits given for a vocabulary of 3");
    EXPECT_NO_THROW(sample({1, 2, 3})());
  }
}

// A mask is minus infinity in other words, whatever the filters.
TEST(SamplerTest, AMaskExcludesTokens) {
  constexpr size_t kVocabulary = 70;  // 3 words, the last one partly used
  ASSERT_EQ(TokenMaskWords(kVocabulary), 3u);
  for (const float temperature : {0.0f, 1.0f}) {
    for (const float penalty : {1.0f, 1.3f}) {
      SamplerOptions options;
      options.temperature = temperature;
      options.repetition_penalty = penalty;
      options.top_k = 10;
      Sampler masked(options, kVocabulary);
      Sampler expected(options, kVocabulary);
      Random random(3);
      for (uint32_t i = 0; i < 200; ++i) {
        std::vector<float> logits = RandomFloats(kVocabulary, i, 2.0f);
        std::vector<uint32_t> mask(3);
        for (uint32_t& word : mask) {
          word = static_cast<uint32_t>(random.Uniform() * 4294967295.0);
        }
        const int32_t id = masked.Sample(logits, mask);
        EXPECT_TRUE(IsAllowed(mask, static_cast<size_t>(id)));
        for (size_t j = 0; j < kVocabulary; ++j) {
          if ((mask[j / 32] >> (j % 32) & 1u) == 0) logits[j] = -kInf;
        }
        ASSERT_EQ(id, expected.Sample(logits));
        masked.Accept(id);
        expected.Accept(id);
      }
    }
  }
}

TEST(SamplerTest, MasksThatCannotBeUsed) {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplerOptions options = Plain();
    options.temperature = temperature;
    Sampler sampler(options, 33);
    const std::vector<float> logits(33, 1.0f);
    const auto sample = [&](std::vector<uint32_t> mask) {
      return [&sampler, &logits, mask] { sampler.Sample(logits, mask); };
    };
    ExpectError(sample({0, 0}), "every token is excluded");
    // Bits past the vocabulary are none of it.
    ExpectError(sample({0, ~1u}), "every token is excluded");
    ExpectError(sample({~0u}), "the mask has another length");
    ExpectError(sample({~0u, ~0u, ~0u}), "the mask has another length");
    EXPECT_EQ(sampler.Sample(logits, std::vector<uint32_t>{0, 1}), 32);
  }
}

TEST(SamplerTest, OptionsThatCannotBeUsed) {
  const auto make = [](auto change) {
    return [change] {
      SamplerOptions options;
      change(options);
      Sampler(options, 10);
    };
  };
  for (const float bad : {-1.0f, kNan, kInf}) {
    ExpectError(make([=](auto& o) { o.temperature = bad; }), "temperature");
    ExpectError(make([=](auto& o) { o.repetition_penalty = bad; }), "penalty");
    ExpectError(make([=](auto& o) { o.top_p = bad; }), "top-p");
    ExpectError(make([=](auto& o) { o.min_p = bad; }), "min-p");
  }
  ExpectError(make([](auto& o) { o.repetition_penalty = 0; }), "penalty");
  ExpectError(make([](auto& o) { o.repetition_window = size_t{1} << 40; }),
              "window");
  ExpectError([] { Sampler({}, 0); }, "empty");
  Sampler sampler({}, 10);
  ExpectError([&] { sampler.Accept(10); }, "token 10 is outside");
  ExpectError([&] { sampler.Accept(-1); }, "token -1 is outside");
}

}  // namespace
}  // namespace lutra
