#include "lutra/qat/sequence_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "lutra/qat/npy.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> Rising(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST(SequenceSamplesTest, WindowsLieWithinOneSequence) {
  // Of 5 and 4 steps, of two values each.
  const SequenceSamples samples(Rising(18), {5, 4}, 2, 2);
  EXPECT_EQ(samples.Count(), 4u);
  EXPECT_EQ(samples.RowsOfSample(), 2u);
  SampleBatch batch;
  const std::vector<uint32_t> which = {1, 2};
  samples.Load(which, 0, batch);
  EXPECT_THAT(batch.floats, ElementsAre(4, 5, 6, 7, 10, 11, 12, 13));
  EXPECT_THAT(batch.targets, ElementsAre(0, 0, 0, 0));
  ASSERT_EQ(batch.sequences.size(), 2u);
  EXPECT_EQ(batch.sequences[1].rows, 2u);
}

TEST(SequenceSamplesTest, WindowsAreNoLongerThanTheShortestSequence) {
  const SequenceSamples samples(Rising(10), {7, 3}, 1, 100);
  EXPECT_EQ(samples.RowsOfSample(), 3u);
  EXPECT_EQ(samples.Count(), 3u);
  EXPECT_NE(samples.Checksum(),
            SequenceSamples(Rising(10), {7, 3}, 1, 2).Checksum());
  EXPECT_EQ(ErrorMessage([] { SequenceSamples({}, {0}, 1, 4); }),
            "a sequence has no steps");
}

TEST(SequenceSamplesTest, ReadsArraysOfOneOrSeveralSequences) {
  const TempDir dir;
  const std::vector<int64_t> shape = {2};
  WriteNpy(dir / "a.npy", std::vector<size_t>{3, 2}, Rising(6));
  WriteNpy(dir / "b.npy", std::vector<size_t>{2, 4, 2}, Rising(16));
  EXPECT_TRUE(HasSequences(dir.path()));
  EXPECT_TRUE(HasSequences(dir / "a.npy"));
  EXPECT_FALSE(HasSequences(dir / "a.txt"));
  const SequenceSamples one = LoadSequences(dir / "a.npy", shape, 8);
  EXPECT_EQ(one.Count(), 1u);
  const SequenceSamples all = LoadSequences(dir.path(), shape, 8);
  EXPECT_EQ(all.Count(), 3u);
  SampleBatch batch;
  const std::vector<uint32_t> last = {2};
  all.Load(last, 0, batch);
  EXPECT_THAT(batch.floats, ElementsAre(8, 9, 10, 11, 12, 13));
  WriteNpy(dir / "c.npy", std::vector<size_t>{4, 3}, Rising(12));
  EXPECT_THAT(ErrorMessage([&] { LoadSequences(dir.path(), shape, 8); }),
              HasSubstr("c.npy: is no array [steps, 2] or [sequences, steps, "
                        "2] of float32"));
  WriteNpy(dir / "c.npy", std::vector<size_t>{1, 2},
           std::vector<float>{0, std::numeric_limits<float>::infinity()});
  EXPECT_THAT(ErrorMessage([&] { LoadSequences(dir.path(), shape, 8); }),
              HasSubstr("c.npy: holds a value that is not finite"));
  // However many of them.
  WriteNpy(dir / "c.npy", std::vector<size_t>{size_t{1} << 50, 0, 2},
           std::vector<float>());
  EXPECT_THAT(ErrorMessage([&] { LoadSequences(dir.path(), shape, 8); }),
              HasSubstr("c.npy: has no steps"));
  // Labelled samples are something else.
  WriteNpy(dir / "train-images.npy", std::vector<size_t>{1, 2}, Rising(2));
  EXPECT_FALSE(HasSequences(dir.path()));
}

}  // namespace
}  // namespace lutra::qat
