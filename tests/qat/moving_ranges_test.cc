#include "qat/train/moving_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lutra/qat/dataset.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/input_quantization.h"
#include "lutra/runtime/random.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

// Fixed ranges of activations that follow a training.

namespace lutra::qat {
namespace {

constexpr size_t kMovingFeatures = 9;

LabelledImages MovingImages() {
  Random random(3);
  LabelledImages images;
  images.count = 64;
  images.image_shape = {3, 3};
  for (size_t i = 0; i < images.count; ++i) {
    images.labels.push_back(static_cast<uint8_t>(i % 3));
    for (size_t j = 0; j < kMovingFeatures; ++j) {
      images.images.push_back(random.Symmetric() + (i % 3 == j % 3 ? 2.0f : 0));
    }
  }
  return images;
}

class MovingRangesTest : public ::testing::Test {
 protected:
  MovingRangesTest() {
    const std::vector<size_t> hidden = {8};
    model_ = MakeMlp(kMovingFeatures, hidden, 3, /*seed=*/2);
    const auto spec = QuantizationSpec::Parse(
        R"({"activations": {"dynamic": false, "observer": "mean-max"}})",
        "spec");
    values_ = QuantizeInputs(spec, model_.graph);
    // As the caller finds them before.
    for (const StaticInput& value : values_) {
      SetInputRange(value.value, -0.1f, 0.1f, model_.graph);
    }
    options_.steps = 40;
    options_.batch_size = 16;
    options_.learning_rate = 0.05;
    options_.moving_ranges = values_;
    options_.range_period = 4;
  }

  static InputQuantization InputOfLayer(const Graph& graph,
                                        const char* weight) {
    for (const Node& node : graph.nodes) {
      if (node.weight == weight) return InputQuantizationOf(node);
    }
    return {};
  }

  std::string Train(const TrainOptions& options) {
    Trainer trainer(model_, images_, options, nullptr);
    trainer.Run([](const TrainProgress&) { return true; });
    trainer.WriteModel(dir_ / "m.safetensors");
    return ReadBytes(dir_ / "m.safetensors");
  }

  TempDir dir_;
  TrainableModel model_;
  const LabelledImages images_ = MovingImages();
  std::vector<StaticInput> values_;
  TrainOptions options_;
};

TEST_F(MovingRangesTest, AreTheMeansOfTheBatches) {
  ASSERT_EQ(values_.size(), 2u);
  MovingRanges moving(model_.graph, model_.parameters, values_, nullptr);
  float sum_of_least = 0;
  float sum_of_most = 0;
  for (size_t first : {size_t{0}, size_t{16}}) {
    const float* const x = images_.images.data() + first * kMovingFeatures;
    const std::vector<TrainingSequence> sequences = {{16, 0}};
    moving.Look(sequences, x);
    const auto [least, most] = std::minmax_element(x, x + 16 * kMovingFeatures);
    sum_of_least += std::min(*least, 0.0f);
    sum_of_most += *most;
  }
  Graph graph = model_.graph;
  moving.SetRanges(graph);
  const InputQuantization first = InputOfLayer(graph, "fc1.weight");
  EXPECT_NEAR(first.range_min, sum_of_least / 2, 1e-6f);
  EXPECT_NEAR(first.range_max, sum_of_most / 2, 1e-6f);
  const InputQuantization second = InputOfLayer(graph, "fc2.weight");
  // Behind a relu, of values that are not cut to the old range.
  EXPECT_EQ(second.range_min, 0.0f);
  EXPECT_GT(second.range_max, 0.2f);
  EXPECT_EQ(
      GraphToJson(WithoutRangesOf({"x", values_[1].value}, graph)),
      GraphToJson(WithoutRangesOf({"x", values_[1].value}, model_.graph)));
}

TEST_F(MovingRangesTest, FollowTheTrainingToItsEnd) {
  Trainer trainer(model_, images_, options_, nullptr);
  std::vector<float> ranges;
  trainer.Run([&](const TrainProgress&) {
    ranges.push_back(
        InputOfLayer(trainer.model().graph, "fc2.weight").range_max);
    return true;
  });
  ASSERT_EQ(ranges.size(), 40u);
  // Every fourth step looks at a batch, up to four fifths of all.
  for (size_t step = 1; step < ranges.size(); ++step) {
    EXPECT_EQ(ranges[step] != ranges[step - 1], step % 4 == 0 && step < 32)
        << step;
  }
  EXPECT_GT(trainer.Judge(images_).accuracy, 0.9);
}

TEST_F(MovingRangesTest, TheirMemoryIsPlannedAndTold) {
  Trainer with(model_, images_, options_, nullptr);
  options_.moving_ranges.clear();
  Trainer without(model_, images_, options_, nullptr);
  const size_t more = with.Reserve().step - without.Reserve().step;
  EXPECT_GE(more, 16 * 8 * sizeof(float));  // the hidden values of a batch
  EXPECT_LT(more, size_t{1} << 16);
}

TEST_F(MovingRangesTest, EndWhereWeightsAreOnTheirGrids) {
  QuantizedTraining quantization;
  quantization.schemes = {{"fc1.weight", {"stretched", 2, 0}}};
  quantization.anneal_end = 4.0;  // step 16
  options_.quantization = quantization;
  Trainer trainer(model_, images_, options_, nullptr);
  std::vector<float> ranges;
  trainer.Run([&](const TrainProgress&) {
    ranges.push_back(
        InputOfLayer(trainer.model().graph, "fc2.weight").range_max);
    return true;
  });
  EXPECT_NE(ranges[11], ranges[12]);
  EXPECT_EQ(ranges[12], ranges.back());
}

TEST_F(MovingRangesTest, ThePeriodMatters) {
  TrainOptions other = options_;
  other.range_period = 5;
  EXPECT_NE(Train(options_), Train(other));
  other.moving_ranges.clear();
  EXPECT_NE(Train(options_), Train(other));
  other = options_;
  other.range_period = 0;
  EXPECT_THROW(Train(other), std::exception);
}

TEST_F(MovingRangesTest, AResumedRunHasTheSameBytes) {
  const std::string expected = Train(options_);
  for (const int64_t stop : {7, 12, 35}) {
    TrainOptions options = options_;
    options.checkpoint = dir_ / ("run" + std::to_string(stop));
    options.checkpoint_steps = 1;
    {
      Trainer trainer(model_, images_, options, nullptr);
      trainer.Run(
          [&](const TrainProgress& progress) { return progress.step < stop; });
    }
    Trainer trainer(model_, images_, options, nullptr);
    trainer.Resume();
    trainer.Run([](const TrainProgress&) { return true; });
    trainer.WriteModel(dir_ / "m.safetensors");
    EXPECT_EQ(ReadBytes(dir_ / "m.safetensors") == expected, true) << stop;
    options.range_period = 5;
    Trainer other(model_, images_, options, nullptr);
    EXPECT_THROW(other.Resume(), std::exception);
  }
}

// Batches of 7 in 7 shards: the last one of an epoch, of one image, leaves all
// shards but one without a batch, and is looked at like all others.
TEST_F(MovingRangesTest, EmptyShardsAreNoBatches) {
  options_.batch_size = 7;
  options_.shards = 7;
  options_.range_period = 1;
  Trainer trainer(model_, images_, options_, nullptr);
  trainer.Run([&](const TrainProgress& progress) {
    const float range =
        InputOfLayer(trainer.model().graph, "fc1.weight").range_max;
    EXPECT_GT(range, 1.0f) << progress.step;
    EXPECT_LT(range, 3.0f) << progress.step;
    return true;
  });
}

// What a checkpoint says of ranges is checked like all else in it.
TEST_F(MovingRangesTest, DamagedRangesAreRefused) {
  options_.checkpoint = dir_ / "run";
  {
    Trainer trainer(model_, images_, options_, nullptr);
    trainer.Run(
        [](const TrainProgress& progress) { return progress.step < 5; });
    trainer.SaveCheckpoint();
  }
  const std::filesystem::path file = options_.checkpoint / "model.safetensors";
  const std::string good = ReadBytes(file);
  const auto resumes = [&](const std::string& from, const std::string& to) {
    RawFile raw = RawFile::Parse(good);
    const size_t at = raw.header.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    raw.header.replace(at, from.size(), to);
    raw.header.append(7 - (raw.header.size() + 7) % 8, ' ');
    WriteBytes(file, raw.Bytes());
    try {
      Trainer(model_, images_, options_, nullptr).Resume();
      return true;
    } catch (const std::exception&) {
      return false;
    }
  };
  const std::string ranges = R"(\"ranges\":{)";
  EXPECT_TRUE(resumes(ranges, ranges));
  EXPECT_FALSE(resumes(ranges, R"(\"rages\":{)"));
  EXPECT_FALSE(resumes(ranges, R"(\"ranges\":{\"z\":[1,1.0,-1.0,1.0],)"));
  EXPECT_FALSE(resumes(ranges + R"(\"relu1\":[)", ranges + R"(\"relu9\":[)"));
  EXPECT_FALSE(resumes(ranges + R"(\"relu1\":[2)", ranges + R"(\"relu1\":[0)"));
  EXPECT_FALSE(
      resumes(ranges + R"(\"relu1\":[2,)", ranges + R"(\"relu1\":[2,-)"));
}

}  // namespace
}  // namespace lutra::qat
