#include "lutra/qat/text_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int32_t> Counting(size_t n) {
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), 100);
  return ids;
}

SampleBatch Load(const TextSamples& samples, std::vector<uint32_t> which,
                 uint64_t epoch) {
  SampleBatch batch;
  samples.Load(which, epoch, batch);
  return batch;
}

TEST(TextSamplesTest, WindowsFollowEachOther) {
  const TextSamples samples(Counting(14), {.length = 3, .begin = 1});
  EXPECT_EQ(samples.Count(), 3u);
  const SampleBatch batch = Load(samples, {1, 0}, 0);
  EXPECT_THAT(batch.ids, ElementsAre(1, 103, 104, 1, 100, 101));
  EXPECT_THAT(batch.targets, ElementsAre(103, 104, 105, 100, 101, 102));
  ASSERT_EQ(batch.sequences.size(), 2u);
  EXPECT_EQ(batch.sequences[1].rows, 3u);
}

TEST(TextSamplesTest, WithoutABeginTheFirstTokenIsNotPredicted) {
  const TextSamples samples(Counting(10), {.length = 3, .begin = {}});
  const SampleBatch batch = Load(samples, {1}, 0);
  EXPECT_THAT(batch.ids, ElementsAre(103, 104, 105));
  EXPECT_THAT(batch.targets, ElementsAre(104, 105, 106));
}

// Every epoch begins at another place, and never runs past the end.
TEST(TextSamplesTest, EpochsDiffer) {
  for (const size_t length : {1u, 5u, 16u}) {
    for (const bool begin : {false, true}) {
      TextOptions options;
      options.length = length;
      if (begin) options.begin = 1;
      const TextSamples samples(Counting(100), options);
      std::set<int32_t> firsts;
      for (uint64_t epoch = 1; epoch < 200; ++epoch) {
        std::vector<uint32_t> all(samples.Count());
        std::iota(all.begin(), all.end(), 0u);
        const SampleBatch batch = Load(samples, all, epoch);
        firsts.insert(batch.targets.front());
        ASSERT_LE(batch.targets.back(), 199);
        ASSERT_EQ(batch.targets.size(), samples.Count() * length);
      }
      EXPECT_EQ(firsts.size(), length);
    }
  }
}

TEST(TextSamplesTest, RefusesWhatCannotBe) {
  EXPECT_THAT(ErrorMessage(
                  [] { TextSamples(Counting(5), {.length = 0, .begin = {}}); }),
              HasSubstr("at least one token"));
  EXPECT_EQ(ErrorMessage(
                [] { TextSamples(Counting(5), {.length = 3, .begin = {}}); }),
            "the text has 5 tokens; windows of 3 need at least 7");
  const TextSamples samples(Counting(10), {.length = 3, .begin = {}});
  Graph graph;
  graph.inputs = {{"ids", ValueType::kInt32, {}}};
  EXPECT_NO_THROW(samples.CheckGraph(graph, 110));
  EXPECT_EQ(ErrorMessage([&] { samples.CheckGraph(graph, 109); }),
            "the text has the id 109, the graph tells 109 apart");
  graph.inputs[0].type = ValueType::kFloat32;
  EXPECT_THAT(ErrorMessage([&] { samples.CheckGraph(graph, 110); }),
              HasSubstr("whose only input are ids"));
}

TEST(TextSamplesTest, ChecksumTellsTextsApart) {
  const TextSamples a(Counting(10), {.length = 3, .begin = {}});
  std::vector<int32_t> other = Counting(10);
  other[4] = 7;
  const TextSamples b(other, {.length = 3, .begin = {}});
  EXPECT_NE(a.Checksum(), b.Checksum());
}

}  // namespace
}  // namespace lutra::qat
