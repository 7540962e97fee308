#include "lutra/qat/augmented_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "lutra/qat/dataset.h"
#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

// Sample i has the values 100 i, 100 i + 1, ...
LabelledImages Counted(size_t count, size_t features) {
  LabelledImages images;
  images.count = count;
  images.image_shape = {features};
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = 0; k < features; ++k) {
      images.images.push_back(static_cast<float>(100 * i + k));
    }
    images.labels.push_back(static_cast<uint8_t>(i));
  }
  return images;
}

std::vector<float> Loaded(const Samples& samples, std::vector<uint32_t> which,
                          uint64_t epoch) {
  SampleBatch batch;
  samples.Load({which.data(), which.size()}, epoch, batch);
  EXPECT_THAT(batch.targets, ElementsAreArray(which));  // labels stay
  return batch.floats;
}

TEST(AugmentedSamplesTest, JudgingSeesTheSamplesThemselves) {
  const LabelledImages images = Counted(3, 4);
  const AugmentedSamples samples(images, {4}, {1, {2, 0}, 5, 1});
  EXPECT_EQ(Loaded(samples, {2, 0}, 0), Loaded(images, {2, 0}, 0));
  EXPECT_NE(Loaded(samples, {2, 0}, 1), Loaded(images, {2, 0}, 1));
  EXPECT_EQ(samples.Count(), 3u);
  EXPECT_EQ(samples.RowName(), "image");
}

// Batches may be cut in any way, and each epoch has samples of its own.
TEST(AugmentedSamplesTest, DependOnSeedEpochAndSampleAlone) {
  const LabelledImages images = Counted(8, 6);
  const Augmentation augmentation = {0.5, {2, 0}, 0.5, 7};
  const AugmentedSamples samples(images, {6}, augmentation);
  const std::vector<float> both = Loaded(samples, {5, 2}, 3);
  const std::vector<float> second = Loaded(samples, {2}, 3);
  EXPECT_TRUE(std::equal(second.begin(), second.end(), both.begin() + 6));
  EXPECT_NE(Loaded(samples, {2}, 4), second);
  Augmentation other = augmentation;
  other.seed = 8;
  const AugmentedSamples others(images, {6}, other);
  EXPECT_NE(Loaded(others, {2}, 3), second);
}

TEST(AugmentedSamplesTest, MovesByEachStepAndRepeatsTheBorder) {
  const LabelledImages images = Counted(1, 6);
  const AugmentedSamples rows(images, {3, 2}, {0, {1, 0}, 0, 1});
  std::set<std::vector<float>> seen;
  for (uint64_t epoch = 1; epoch < 40; ++epoch) {
    seen.insert(Loaded(rows, {0}, epoch));
  }
  EXPECT_THAT(seen, ElementsAre(ElementsAre(0, 1, 0, 1, 2, 3),
                                ElementsAre(0, 1, 2, 3, 4, 5),
                                ElementsAre(2, 3, 4, 5, 4, 5)));
  seen.clear();
  const AugmentedSamples columns(images, {2, 3}, {0, {0, 1}, 0, 1});
  for (uint64_t epoch = 1; epoch < 40; ++epoch) {
    seen.insert(Loaded(columns, {0}, epoch));
  }
  EXPECT_THAT(seen, ElementsAre(ElementsAre(0, 0, 1, 3, 3, 4),
                                ElementsAre(0, 1, 2, 3, 4, 5),
                                ElementsAre(1, 2, 2, 4, 5, 5)));
}

TEST(AugmentedSamplesTest, MixesAShareOfTheSamplesByLessThanHalf) {
  constexpr size_t kCount = 4000;
  const LabelledImages images = Counted(kCount, 1);
  const AugmentedSamples samples(images, {1}, {0.25, {0, 0}, 0, 1});
  std::vector<uint32_t> all(kCount);
  std::iota(all.begin(), all.end(), 0u);
  SampleBatch batch;
  samples.Load({all.data(), all.size()}, 1, batch);
  size_t mixed = 0;
  double furthest = 0;
  double way = 0;  // of all together
  for (size_t i = 0; i < kCount; ++i) {
    // Half the way to the furthest other sample is the most.
    const double value{batch.floats[i]};
    const double own = 100.0 * static_cast<double>(i);
    const double reach =
        std::max(own, 100.0 * static_cast<double>(kCount - 1) - own);
    mixed += value != own;
    furthest = std::max(furthest, std::abs(value - own) / reach);
    way += std::abs(value - own);
  }
  EXPECT_GT(mixed, kCount / 5);
  EXPECT_LT(mixed, kCount * 3 / 10);
  EXPECT_LT(furthest, 0.5);
  EXPECT_GT(furthest, 0.3);
  // A third of the range is the mean distance of two, a sixth the mean weight.
  EXPECT_NEAR(way / kCount / (0.25 * 100.0 * kCount / 3.0), 1.0 / 6, 0.015);
}

// The second value is the same everywhere, so it stays as it is.
TEST(AugmentedSamplesTest, NoiseIsMeasuredByTheDeviationOfAValue) {
  constexpr size_t kCount = 4000;
  LabelledImages images;
  images.count = kCount;
  images.image_shape = {2};
  for (size_t i = 0; i < kCount; ++i) {
    images.images.push_back(i % 2 == 0 ? -8.0f : 8.0f);
    images.images.push_back(3.0f);
    images.labels.push_back(0);
  }
  const AugmentedSamples samples(images, {2}, {0, {0, 0}, 0.5, 1});
  std::vector<uint32_t> all(kCount);
  std::iota(all.begin(), all.end(), 0u);
  SampleBatch batch;
  samples.Load({all.data(), all.size()}, 1, batch);
  double sum = 0;
  double squares = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const double noise = double{batch.floats[2 * i]} - (i % 2 == 0 ? -8 : 8);
    sum += noise;
    squares += noise * noise;
    EXPECT_EQ(batch.floats[2 * i + 1], 3.0f);
  }
  // Up to 0.5 of 8: of a uniform factor the mean square is a third.
  EXPECT_NEAR(sum / kCount, 0.0, 0.15);
  EXPECT_NEAR(squares / kCount, 16.0 / 3, 0.5);
}

TEST(AugmentedSamplesTest, ChecksumsTellSettingsApart) {
  const LabelledImages images = Counted(3, 4);
  std::set<uint32_t> seen = {images.Checksum()};
  for (const Augmentation& augmentation :
       {Augmentation{0.5, {1, 1}, 0.5, 1}, Augmentation{0.4, {1, 1}, 0.5, 1},
        Augmentation{0.5, {0, 1}, 0.5, 1}, Augmentation{0.5, {1, 0}, 0.5, 1},
        Augmentation{0.5, {1, 1}, 0.4, 1}, Augmentation{0.5, {1, 1}, 0.5, 2}}) {
    const AugmentedSamples samples(images, {2, 2}, augmentation);
    EXPECT_TRUE(seen.insert(samples.Checksum()).second);
  }
}

TEST(AugmentedSamplesTest, RefusesShiftsOfAllThatThereIs) {
  const LabelledImages images = Counted(3, 4);
  const auto make = [&](std::vector<size_t> shape,
                        std::array<size_t, 2> shift) {
    const AugmentedSamples samples(images, std::move(shape), {0, shift, 0, 1});
  };
  EXPECT_EQ(ErrorMessage([&] {
              make({4}, {4, 0});
            }),
            "a shift of 4 leaves nothing of 4 places in dimension 0");
  EXPECT_THAT(ErrorMessage([&] {
                make({4}, {1, 1});
              }),
              HasSubstr("of 1 places in dimension 1"));
  make({4}, {3, 0});
}

}  // namespace
}  // namespace lutra::qat
