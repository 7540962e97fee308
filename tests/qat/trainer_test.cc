#include "lutra/qat/trainer.h"
#include "lutra/qat/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/random.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::HasSubstr;

constexpr size_t kFeatures = 16;
constexpr size_t kClasses = 4;

// Points around four centres, far enough apart to be told apart, with some
// noise so that it takes learning.
LabelledImages Blobs(size_t count, uint64_t stream) {
  Random centres(17);
  std::vector<float> centre(kClasses * kFeatures);
  for (float& value : centre) value = centres.Symmetric();
  Random random(19, stream);
  LabelledImages images;
  images.count = count;
  images.image_shape = {4, 4};
  for (size_t i = 0; i < count; ++i) {
    const size_t label = random.Below(kClasses);
    images.labels.push_back(static_cast<uint8_t>(label));
    for (size_t j = 0; j < kFeatures; ++j) {
      images.images.push_back(centre[label * kFeatures + j] +
                              1.5f * random.Symmetric());
    }
  }
  return images;
}

TrainableModel SmallMlp() {
  const std::vector<size_t> hidden = {24, 12};
  return MakeMlp(kFeatures, hidden, kClasses, /*seed=*/1);
}

// 300 images in batches of 32: nine full steps and one smaller.
TrainOptions SmallOptions() {
  TrainOptions options;
  options.epochs = 4;
  options.batch_size = 32;
  options.learning_rate = 1e-2;
  options.warmup_epochs = 0.5;
  return options;
}

TrainOptions QuantizedOptions() {
  TrainOptions options = SmallOptions();
  QuantizedTraining quantization;
  quantization.schemes = {{"fc1.weight", {"stretched", 2, 8}},
                          {"fc2.weight", {"stretched", 2, 0}},
                          {"fc3.weight", {"stretched", 3, 0}}};
  quantization.anneal_start = 0.5;
  quantization.anneal_end = 3.0;
  quantization.period = 3;
  options.quantization = quantization;
  return options;
}

bool GoOn(const TrainProgress&) { return true; }

std::string Bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class TrainerTest : public ::testing::Test {
 protected:
  // Trains from the start to the end and returns the model file's bytes.
  std::string TrainToEnd(const TrainOptions& options, Executor* executor) {
    Trainer trainer(SmallMlp(), train_, options, executor);
    EXPECT_TRUE(trainer.Run(GoOn));
    trainer.WriteModel(dir_ / "whole.safetensors");
    return Bytes(dir_ / "whole.safetensors");
  }

  TempDir dir_;
  const LabelledImages train_ = Blobs(300, 0);
  const LabelledImages test_ = Blobs(200, 1);
};

TEST_F(TrainerTest, LearnsInFloat) {
  Trainer trainer(SmallMlp(), train_, SmallOptions(), nullptr);
  EXPECT_LT(trainer.Judge(test_).accuracy, 0.6);
  EXPECT_TRUE(trainer.Run(GoOn));
  EXPECT_GT(trainer.Judge(test_).accuracy, 0.9);
}

// The loss takes logits: a softmax at the end changes nothing, but is written.
TEST_F(TrainerTest, SoftmaxAtTheEnd) {
  TrainableModel model = SmallMlp();
  model.graph.nodes.push_back({OpType::kSoftmax, {"logits"}, "p", "", ""});
  Node rounded{OpType::kFakeQuantize, {"p"}, "q", "", ""};
  rounded.attributes = {{"scale", 1.0 / 256}, {"low", 0.0}, {"high", 255.0}};
  model.graph.nodes.push_back(rounded);
  model.graph.outputs = {"q"};
  Trainer with(model, train_, SmallOptions(), nullptr);
  EXPECT_TRUE(with.Run(GoOn));
  with.WriteModel(dir_ / "with.safetensors");
  TrainToEnd(SmallOptions(), nullptr);
  const TrainableModel a = LoadTrainableModel(dir_ / "with.safetensors");
  const TrainableModel b = LoadTrainableModel(dir_ / "whole.safetensors");
  EXPECT_EQ(a.graph.outputs[0], "q");
  for (const auto& [name, tensor] : b.parameters) {
    EXPECT_EQ(a.parameters.at(name).values, tensor.values) << name;
  }
}

// A deeper network, whose inner layers are not kept: the same file.
TEST_F(TrainerTest, ComputesAgainWhatIsNotKept) {
  const std::vector<size_t> hidden(24, 40);
  const auto train = [&](const TrainOptions& options, const char* name) {
    Trainer trainer(MakeMlp(kFeatures, hidden, kClasses, /*seed=*/1), train_,
                    options, nullptr);
    EXPECT_TRUE(trainer.Run(GoOn));
    trainer.WriteModel(dir_ / name);
    return trainer.Reserve().step;
  };
  TrainOptions options = SmallOptions();
  const size_t kept = train(options, "kept");
  options.recompute = true;
  EXPECT_LT(train(options, "again"), kept * 2 / 3);
  EXPECT_EQ(Bytes(dir_ / "again"), Bytes(dir_ / "kept"));
}

TEST_F(TrainerTest, ReportsProgress) {
  Trainer trainer(SmallMlp(), train_, QuantizedOptions(), nullptr);
  std::vector<TrainProgress> all;
  trainer.Run([&](const TrainProgress& progress) {
    all.push_back(progress);
    return true;
  });
  ASSERT_EQ(all.size(), 40u);  // four epochs of ten steps
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].step, static_cast<int64_t>(i + 1));
    EXPECT_EQ(all[i].epoch, static_cast<int64_t>(i / 10 + 1));
    EXPECT_EQ(all[i].epoch_done, i % 10 == 9);
    EXPECT_GE(all[i].seconds_left, 0.0);
    if (i == 0) continue;
    EXPECT_LE(all[i].inverse_slope, all[i - 1].inverse_slope);
    // Warm-up takes five steps.
    EXPECT_EQ(all[i].learning_rate > all[i - 1].learning_rate, i < 5) << i;
  }
  EXPECT_DOUBLE_EQ(all[4].learning_rate, 1e-2);
  EXPECT_LT(all.back().learning_rate, 1e-4);
  EXPECT_EQ(all.front().inverse_slope, 1.0);
  EXPECT_EQ(all[30].inverse_slope, 0.0);
  EXPECT_LT(all.back().loss, all.front().loss);
  EXPECT_GT(all.back().accuracy, all.front().accuracy);
  EXPECT_EQ(all.back().total_steps, 40);
  EXPECT_EQ(all.back().seconds_left, 0.0);
}

// Whether every run of `group` values holds odd multiples of one number, up to
// 2^bits - 1 times it: the stretched grid.
void ExpectOnGrid(const Tensor& tensor, size_t group, int bits) {
  for (size_t begin = 0; begin < tensor.values.size(); begin += group) {
    float unit = std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < group; ++i) {
      unit = std::min(unit, std::abs(tensor.values[begin + i]));
    }
    ASSERT_GT(unit, 0.0f);
    for (size_t i = 0; i < group; ++i) {
      const float value = tensor.values[begin + i];
      const float multiple = std::rint(value / unit);
      EXPECT_EQ(value, multiple * unit);
      EXPECT_EQ(std::abs(std::remainder(multiple, 2.0f)), 1.0f) << multiple;
      EXPECT_LT(std::abs(multiple), static_cast<float>(1 << bits));
    }
  }
}

TEST_F(TrainerTest, FinishesOnTheGridAndWritesItsSchemes) {
  const TrainOptions options = QuantizedOptions();
  Trainer trainer(SmallMlp(), train_, options, nullptr);
  EXPECT_TRUE(trainer.Run(GoOn));
  EXPECT_GT(trainer.Judge(test_).accuracy, 0.85);

  trainer.WriteModel(dir_ / "qat.safetensors");
  const auto file = Model::Load(dir_ / "qat.safetensors");
  EXPECT_EQ(ParseSchemes(file->file().metadata().at(std::string(kSchemesKey)),
                         "test"),
            options.quantization->schemes);
  const TrainableModel loaded = LoadTrainableModel(dir_ / "qat.safetensors");
  ASSERT_EQ(loaded.parameters.size(), 6u);
  for (const auto& [name, tensor] : trainer.model().parameters) {
    EXPECT_EQ(loaded.parameters.find(name)->second.values, tensor.values);
  }
  ExpectOnGrid(loaded.parameters.find("fc1.weight")->second, 8, 2);
  ExpectOnGrid(loaded.parameters.find("fc2.weight")->second, 24, 2);
  ExpectOnGrid(loaded.parameters.find("fc3.weight")->second, 12, 3);
}

TEST_F(TrainerTest, HardMapIsOnTheGridFromTheFirstStep) {
  TrainOptions options = QuantizedOptions();
  options.quantization->prox_map = "hard";
  Trainer trainer(SmallMlp(), train_, options, nullptr);
  EXPECT_FALSE(trainer.Run([](const TrainProgress&) { return false; }));
  ExpectOnGrid(trainer.model().parameters.find("fc2.weight")->second, 24, 2);
}

TEST_F(TrainerTest, SameBitsForAnyNumberOfThreads) {
  const std::string expected = TrainToEnd(QuantizedOptions(), nullptr);
  for (const size_t threads : {2u, 3u}) {
    const std::unique_ptr<Executor> executor = StartThreadTeam(threads);
    EXPECT_TRUE(TrainToEnd(QuantizedOptions(), executor.get()) == expected);
  }
}

// Rates and decays of single parameters, with steps of plain gradients: the
// first step of a matrix that learns at half the rate is half as long.
TEST_F(TrainerTest, ParametersHaveSettingsOfTheirOwn) {
  TrainOptions options = SmallOptions();
  options.optimizer = OptimizerKind::kSgd;
  options.momentum = 0.0;
  options.weight_decay = 0.0;
  options.warmup_epochs = 0.0;
  options.steps = 1;
  const TrainableModel start = SmallMlp();
  const auto change = [&](const TrainOptions& of, const char* name, size_t i) {
    Trainer trainer(SmallMlp(), train_, of, nullptr);
    trainer.Run(GoOn);
    return static_cast<double>(trainer.model().parameters.at(name).values[i]) -
           static_cast<double>(start.parameters.at(name).values[i]);
  };
  TrainOptions other = options;
  other.parameters["fc1.weight"].rate = 0.5;
  other.parameters["fc2.weight"].rate = 0.0;
  other.parameters["fc3.weight"].weight_decay = 2.0;
  for (const size_t i : {0u, 5u, 17u}) {
    EXPECT_NEAR(change(other, "fc1.weight", i),
                0.5 * change(options, "fc1.weight", i), 1e-7);
    EXPECT_EQ(change(other, "fc2.weight", i), 0.0);
    const double w = start.parameters.at("fc3.weight").values[i];
    EXPECT_NEAR(
        change(other, "fc3.weight", i),
        change(options, "fc3.weight", i) - options.learning_rate * 2.0 * w,
        1e-7);
    EXPECT_EQ(change(other, "fc3.bias", 0), change(options, "fc3.bias", 0));
  }
}

TEST_F(TrainerTest, DifferentSeedsGiveDifferentModels) {
  TrainOptions other = SmallOptions();
  other.seed = 2;
  EXPECT_FALSE(TrainToEnd(SmallOptions(), nullptr) ==
               TrainToEnd(other, nullptr));
}

enum class Weights { kFloat, kQuantized, kLearnedScales };

class ResumeTest : public TrainerTest,
                   public ::testing::WithParamInterface<Weights> {
 protected:
  static TrainOptions Options() {
    if (GetParam() == Weights::kFloat) return SmallOptions();
    TrainOptions options = QuantizedOptions();
    if (GetParam() == Weights::kLearnedScales) {
      options.quantization->period = 1;
      options.quantization->learned_scales = true;
    }
    return options;
  }
};

// Stopped in the middle of an epoch, two steps after the last checkpoint.
TEST_P(ResumeTest, GivesTheSameFile) {
  const std::string expected = TrainToEnd(Options(), nullptr);
  TrainOptions options = Options();
  options.checkpoint = dir_ / "run";
  options.checkpoint_steps = 6;
  std::vector<double> losses;
  {
    Trainer trainer(SmallMlp(), train_, options, nullptr);
    EXPECT_FALSE(trainer.Run([&](const TrainProgress& progress) {
      losses.push_back(progress.loss);
      return progress.step < 26;
    }));
  }
  Trainer trainer(SmallMlp(), train_, options, nullptr);
  trainer.Resume();
  EXPECT_TRUE(trainer.Run([&](const TrainProgress& progress) {
    if (progress.step == 25) {
      EXPECT_EQ(progress.loss, losses[24]);
    }
    EXPECT_GT(progress.step, 24);
    return true;
  }));
  trainer.WriteModel(dir_ / "resumed.safetensors");
  EXPECT_TRUE(Bytes(dir_ / "resumed.safetensors") == expected);

  // What is left is a complete run, its model file like any other.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_ / "run"),
                          std::filesystem::directory_iterator()),
            2);
  EXPECT_NE(Model::Load(dir_ / "run/model.safetensors"), nullptr);
  Trainer finished(SmallMlp(), train_, options, nullptr);
  finished.Resume();
  EXPECT_TRUE(finished.Run([](const TrainProgress&) {
    ADD_FAILURE() << "nothing was left to do";
    return false;
  }));
}

std::string NameOfResumed(const ::testing::TestParamInfo<Weights>& test) {
  switch (test.param) {
    case Weights::kFloat:
      return "Float";
    case Weights::kQuantized:
      return "Quantized";
    case Weights::kLearnedScales:
      break;
  }
  return "LearnedScales";
}
INSTANTIATE_TEST_SUITE_P(All, ResumeTest,
                         ::testing::Values(Weights::kFloat, Weights::kQuantized,
                                           Weights::kLearnedScales),
                         NameOfResumed);

class BadCheckpointTest : public TrainerTest {
 protected:
  void SetUp() override {
    options_ = QuantizedOptions();
    options_.quantization->period = 1;
    options_.checkpoint = dir_ / "run";
    Trainer trainer(SmallMlp(), train_, options_, nullptr);
    trainer.Run(
        [](const TrainProgress& progress) { return progress.step < 10; });
  }

  // The message of Resume, which must leave the trainer as it was.
  std::string ResumeMessage(const TrainableModel& model,
                            const LabelledImages& images) {
    Trainer trainer(model, images, options_, nullptr);
    const std::string message = ErrorMessage([&] { trainer.Resume(); });
    for (const auto& [name, tensor] : model.parameters) {
      EXPECT_EQ(trainer.model().parameters.find(name)->second.values,
                tensor.values);
    }
    return message;
  }
  std::string ResumeMessage() { return ResumeMessage(SmallMlp(), train_); }
  // Empty if the run can be resumed.
  std::string ErrorMessageOrNone() {
    Trainer trainer(SmallMlp(), train_, options_, nullptr);
    try {
      trainer.Resume();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  void Overwrite(const char* name, const std::string& bytes) {
    std::ofstream(dir_ / "run" / name, std::ios::binary) << bytes;
  }

  TrainOptions options_;
};

TEST_F(BadCheckpointTest, OfOtherOptions) {
  options_.epochs = 5;
  EXPECT_THAT(ResumeMessage(),
              HasSubstr("run/model.safetensors: checkpoint of another run: "
                        "its epochs is 4, this run's is 5"));
  options_ = SmallOptions();
  options_.checkpoint = dir_ / "run";
  EXPECT_THAT(ResumeMessage(), HasSubstr("this run has none"));
}

// All that determines the result is compared.
TEST_F(BadCheckpointTest, EveryOptionIsCompared) {
  const TrainOptions same = options_;
  EXPECT_EQ(ErrorMessageOrNone(), "");
  const auto expect_refused =
      [&](const char* name, const std::function<void(TrainOptions&)>& change) {
        options_ = same;
        change(options_);
        EXPECT_THAT(ErrorMessageOrNone(),
                    HasSubstr(std::string("another run: its ") + name + " is"));
      };
  expect_refused("batch size", [](auto& o) { o.batch_size = 31; });
  expect_refused("learning rate", [](auto& o) { o.learning_rate = 2e-2; });
  expect_refused("warm-up", [](auto& o) { o.warmup_epochs = 0.25; });
  expect_refused("weight decay", [](auto& o) { o.weight_decay = 0.02; });
  expect_refused("seed", [](auto& o) { o.seed = 2; });
  expect_refused("shards", [](auto& o) { o.shards = 2; });
  expect_refused("proximal map",
                 [](auto& o) { o.quantization->prox_map = "hard"; });
  expect_refused("anneal start",
                 [](auto& o) { o.quantization->anneal_start = 0.25; });
  expect_refused("anneal end",
                 [](auto& o) { o.quantization->anneal_end = 3.5; });
  expect_refused("anneal steepness",
                 [](auto& o) { o.quantization->anneal_steepness = 9; });
  expect_refused("period", [](auto& o) { o.quantization->period = 2; });
  expect_refused("settings",
                 [](auto& o) { o.parameters["fc1.bias"].rate = 2.0; });
  expect_refused("scales' rate",
                 [](auto& o) { o.quantization->learned_scales = true; });
  expect_refused("schemes", [](auto& o) {
    o.quantization->schemes.at("fc2.weight").bits = 3;
  });
}

TEST_F(BadCheckpointTest, OfOtherData) {
  EXPECT_THAT(ResumeMessage(SmallMlp(), Blobs(299, 0)),
              HasSubstr("its data's checksum is"));
  EXPECT_THAT(ResumeMessage(SmallMlp(), Blobs(300, 5)),
              HasSubstr("its data's checksum is"));
}

TEST_F(BadCheckpointTest, OfAnotherModel) {
  TrainableModel model = SmallMlp();
  model.graph.nodes[1].op = OpType::kSilu;
  EXPECT_THAT(ResumeMessage(model, train_),
              HasSubstr("checkpoint of another model: its graph differs"));
  const std::vector<size_t> hidden = {24, 16};
  EXPECT_THAT(ResumeMessage(MakeMlp(kFeatures, hidden, kClasses, 1), train_),
              HasSubstr("checkpoint of another model: its shape is"));
}

TEST_F(BadCheckpointTest, Damaged) {
  const std::string model = Bytes(dir_ / "run/model.safetensors");
  Overwrite("model.safetensors", model.substr(0, model.size() / 2));
  EXPECT_THAT(ResumeMessage(), HasSubstr("run/model.safetensors: "));
  Overwrite("model.safetensors", model);

  const std::string state = Bytes(dir_ / "run/optimizer-10.safetensors");
  ASSERT_FALSE(state.empty());
  Overwrite("optimizer-10.safetensors", state.substr(0, state.size() - 1));
  EXPECT_THAT(ResumeMessage(), HasSubstr("optimizer-10.safetensors: "));
  std::filesystem::remove(dir_ / "run/optimizer-10.safetensors");
  EXPECT_THAT(ResumeMessage(), HasSubstr("optimizer-10.safetensors: "));
}

TEST_F(BadCheckpointTest, StateOfAnotherStep) {
  const auto run = dir_ / "run";
  std::filesystem::copy(run, dir_ / "earlier");
  Trainer trainer(SmallMlp(), train_, options_, nullptr);
  trainer.Resume();
  trainer.Run([](const TrainProgress& progress) { return progress.step < 20; });
  std::filesystem::copy_file(dir_ / "earlier/optimizer-10.safetensors",
                             run / "optimizer-20.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(ResumeMessage(), HasSubstr("is the state of another step"));
}

TEST_F(BadCheckpointTest, NoCheckpoint) {
  // A model file that no trainer keeps.
  WriteModel(dir_ / "run/model.safetensors", SmallMlp(), {});
  EXPECT_THAT(ResumeMessage(), HasSubstr("is not a training checkpoint"));
  options_.checkpoint = dir_ / "none";
  EXPECT_THAT(ResumeMessage(), HasSubstr("none/model.safetensors: "));
  options_.checkpoint.clear();
  EXPECT_EQ(ResumeMessage(), "no checkpoint to resume from");
}

TEST_F(TrainerTest, NamesTheStepAtWhichItBecomesUnstable) {
  TrainOptions options = SmallOptions();
  options.learning_rate = 1e30;
  Trainer trainer(SmallMlp(), train_, options, nullptr);
  EXPECT_THAT(ErrorMessage([&] { trainer.Run(GoOn); }),
              ::testing::MatchesRegex(
                  "training became unstable: at step [0-9]+ of 40 the loss is "
                  "not finite; try a lower learning rate"));
}

TEST_F(TrainerTest, RefusesWhatDoesNotFit) {
  const auto message = [&](const TrainOptions& options) {
    return ErrorMessage([&] { Trainer(SmallMlp(), train_, options, nullptr); });
  };
  TrainOptions options = QuantizedOptions();
  options.quantization->schemes["fc1.weight"].group_size = -5;
  EXPECT_EQ(message(options),
            "tensor 'fc1.weight': a group size of -5 is impossible");
  options = QuantizedOptions();
  options.quantization->schemes["fc9.weight"] = {};
  EXPECT_EQ(message(options),
            "tensor 'fc9.weight': has a scheme but is not in the graph");
  options = QuantizedOptions();
  options.quantization->anneal_end = 4.0;
  EXPECT_EQ(message(options),
            "annealing must start before it ends, and end before training "
            "does: it takes steps 5 to 40 of 40");
  for (const double steepness : {0.9, 101.0}) {
    options = QuantizedOptions();
    options.quantization->anneal_steepness = steepness;
    EXPECT_THAT(message(options), HasSubstr("must be in [1, 100]"));
  }
  options = QuantizedOptions();
  options.quantization->prox_map = "soft";
  EXPECT_THAT(message(options), HasSubstr("no proximal map 'soft'"));
  options = SmallOptions();
  options.batch_size = 0;
  EXPECT_EQ(message(options), "the batch size must be at least 1");
  options = SmallOptions();
  options.learning_rate = std::nan("");
  EXPECT_EQ(message(options), "the learning rate must be above 0");

  const std::vector<size_t> hidden = {8};
  EXPECT_EQ(ErrorMessage([&] {
              Trainer(MakeMlp(15, hidden, kClasses, 1), train_, SmallOptions(),
                      nullptr);
            }),
            "the graph takes 15 values, the images have 16");
  EXPECT_EQ(ErrorMessage([&] {
              Trainer(MakeMlp(kFeatures, hidden, 3, 1), train_, SmallOptions(),
                      nullptr);
            }),
            "the data has 4 classes, the graph tells 3 apart");
}

TEST_F(TrainerTest, RefusesToStartFromBadWeights) {
  TrainableModel model = SmallMlp();
  model.parameters.find("fc2.weight")->second.values[3] = std::nanf("");
  const auto path = dir_ / "nan.safetensors";
  WriteModel(path, model, {});
  EXPECT_EQ(
      ErrorMessage([&] { LoadTrainableModel(path); }),
      path.string() + ": tensor 'fc2.weight': has a value that is not finite");
}

TEST(MlpTest, HasTheLayersAskedFor) {
  const std::vector<size_t> hidden = {3, 2};
  const TrainableModel model = MakeMlp(4, hidden, 5, 1);
  EXPECT_EQ(model.graph.nodes.size(), 5u);
  EXPECT_EQ(model.parameters.find("fc1.weight")->second.shape,
            (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(model.parameters.find("fc3.bias")->second.shape,
            (std::vector<int64_t>{5}));
  // Uniform in +-1/sqrt(4), the same everywhere.
  EXPECT_EQ(
      model.parameters.find("fc1.weight")->second.values,
      MakeMlp(4, hidden, 5, 1).parameters.find("fc1.weight")->second.values);
  float largest = 0.0f;
  for (const float value : model.parameters.find("fc1.weight")->second.values) {
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_LE(largest, 0.5f);
  EXPECT_GT(largest, 0.35f);
  EXPECT_NE(
      model.parameters.find("fc1.weight")->second.values,
      MakeMlp(4, hidden, 5, 2).parameters.find("fc1.weight")->second.values);
  EXPECT_THAT(ErrorMessage([] { MakeMlp(0, {}, 5, 1); }),
              HasSubstr("a layer of 0 values"));
}

}  // namespace
}  // namespace lutra::qat
