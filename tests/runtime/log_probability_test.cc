#include "lutra/runtime/log_probability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

constexpr float kNone = -std::numeric_limits<float>::infinity();

// Plain double precision.
double Expected(const std::vector<float>& logits, size_t id) {
  double largest = -INFINITY;
  for (const float logit : logits) largest = std::fmax(largest, double{logit});
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return double{logits[id]} - largest - std::log(sum);
}

TEST(LogProbabilityTest, IsALogSoftmax) {
  for (const size_t count : {1u, 2u, 3u, 255u, 256u, 257u, 5000u}) {
    for (const float deviation : {0.0f, 0.1f, 3.0f, 200.0f}) {
      const std::vector<float> logits =
          RandomFloats(count, static_cast<uint32_t>(count), deviation);
      for (size_t id = 0; id < count; id += 1 + count / 7) {
        const double expected = Expected(logits, id);
        EXPECT_NEAR(double{LogProbability(logits, static_cast<int32_t>(id))},
                    expected, 1e-6 + 1e-6 * std::abs(expected))
            << count << " " << deviation << " " << id;
      }
    }
  }
}

TEST(LogProbabilityTest, ExtremeLogits) {
  EXPECT_EQ(LogProbability(std::vector<float>{5}, 0), 0.0f);
  EXPECT_EQ(LogProbability(std::vector<float>{0, kNone}, 0), 0.0f);
  EXPECT_EQ(LogProbability(std::vector<float>{0, kNone}, 1), kNone);
  const std::vector<float> far = {-3e38f, 3e38f};
  EXPECT_EQ(LogProbability(far, 1), 0.0f);
  EXPECT_LT(LogProbability(far, 0), -1e38f);
}

TEST(LogProbabilityTest, TheTopAreSortedWithTiesByLowerId) {
  const std::vector<float> logits = {1, 3, kNone, 3, -2, 3, 2};
  const auto top = TopLogProbabilities(logits, 5);
  std::vector<int32_t> ids;
  for (const auto& [id, log_probability] : top) {
    ids.push_back(id);
    EXPECT_EQ(log_probability, LogProbability(logits, id));
  }
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 3, 5, 6, 0}));
  EXPECT_TRUE(TopLogProbabilities(logits, 0).empty());
  EXPECT_EQ(TopLogProbabilities(logits, 7).back().id, 2);
}

TEST(LogProbabilityTest, WrongUse) {
  const auto message = [](const std::vector<float>& logits, size_t count) {
    return ErrorMessage([&] { TopLogProbabilities(logits, count); });
  };
  EXPECT_THAT(message({1, 2}, 3), HasSubstr("3 log-probabilities"));
  EXPECT_THAT(message({1, NAN}, 1), HasSubstr("the logit of token 1 is NaN"));
  EXPECT_THAT(message({1, -kNone}, 1), HasSubstr("token 1 is infinite"));
  EXPECT_THAT(message({kNone, kNone}, 1), HasSubstr("every token is excluded"));
  EXPECT_THAT(message({}, 0), HasSubstr("every token is excluded"));
  EXPECT_THAT(ErrorMessage([] {
                LogProbability(std::vector<float>{1, 2}, 2);
              }),
              HasSubstr("token 2 is outside the vocabulary of 2"));
  EXPECT_THAT(ErrorMessage([] {
                LogProbability(std::vector<float>{1, 2}, -1);
              }),
              HasSubstr("outside"));
}

}  // namespace
}  // namespace lutra
