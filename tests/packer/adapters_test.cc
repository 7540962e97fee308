#include "lutra/qat/adapters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/random.h"
#include "lutra/runtime/session.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

constexpr size_t kFeatures = 24;
constexpr size_t kClasses = 9;

qat::TrainableModel Network() {
  const size_t hidden[] = {20, 16};
  return qat::MakeMlp(kFeatures, hidden, kClasses, 3);
}

qat::LabelledImages Images() {
  qat::LabelledImages images;
  images.count = 64;
  images.image_shape = {kFeatures};
  Random random(5);
  for (size_t i = 0; i < images.count * kFeatures; ++i) {
    images.images.push_back(random.Symmetric());
  }
  for (size_t i = 0; i < images.count; ++i) {
    images.labels.push_back(static_cast<uint8_t>(i % kClasses));
  }
  return images;
}

std::vector<float> Scores(const std::filesystem::path& file,
                          const qat::LabelledImages& images) {
  Session session(Model::Load(file),
                  {.activations = kernels::ActivationType::kFloat32});
  std::vector<float> y(images.count * kClasses);
  const void* const input = images.images.data();
  float* const output = y.data();
  session.Run(images.count, {&input, 1}, {&output, 1});
  return y;
}

void ExpectNear(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5f);
}

qat::TrainOptions ShortRun(const qat::TrainableModel& model) {
  qat::TrainOptions options;
  options.steps = 6;
  options.batch_size = 16;
  options.learning_rate = 1e-2;
  options.frozen = qat::AllButAdapters(model);
  return options;
}

bool GoOn(const qat::TrainProgress&) { return true; }

TEST(AdaptersTest, BeginWithNothingAndMerge) {
  const TempDir dir;
  const qat::LabelledImages images = Images();
  qat::TrainableModel model = Network();
  qat::WriteModel(dir / "before", model, {});
  const std::vector<qat::Adapter> added =
      qat::AddAdapters({.rank = 4, .factor = 3}, model);
  ASSERT_EQ(added.size(), 2u);  // all but the last layer
  EXPECT_EQ(added[0].a, "fc1.lora_A.weight");
  EXPECT_EQ(qat::FindAdapters(model.graph)[1].b, "fc2.lora_B.weight");
  EXPECT_EQ(qat::FindAdapters(model.graph)[1].factor, 3);
  qat::WriteModel(dir / "added", model, {});
  EXPECT_EQ(Scores(dir / "added", images), Scores(dir / "before", images));

  const qat::TensorMap before = model.parameters;
  const qat::TrainOptions options = ShortRun(model);
  qat::Trainer trainer(std::move(model), images, options, nullptr);
  ASSERT_TRUE(trainer.Run(GoOn));
  for (const auto& [name, tensor] : trainer.model().parameters) {
    const bool adapter = name.find(".lora_") != std::string::npos;
    EXPECT_EQ(tensor.values == before.find(name)->second.values, !adapter)
        << name;
  }
  trainer.WriteModel(dir / "trained");
  EXPECT_NE(Scores(dir / "trained", images), Scores(dir / "before", images));
  qat::TrainableModel merged = qat::LoadTrainableModel(dir / "trained");
  qat::MergeAdapters(merged, nullptr);
  EXPECT_TRUE(qat::FindAdapters(merged.graph).empty());
  EXPECT_EQ(merged.parameters.size(), 6u);
  qat::WriteModel(dir / "merged", merged, {});
  ExpectNear(Scores(dir / "merged", images), Scores(dir / "trained", images));
}

// The packed weights stay what they are, byte for byte, also over a checkpoint.
TEST(AdaptersTest, BesidePackedWeights) {
  const TempDir dir;
  const qat::LabelledImages images = Images();
  qat::WriteModel(dir / "float", Network(), {});
  PackOptions pack;
  pack.rules = qat::SchemeRules(qat::QuantScheme{"stretched", 2, 16});
  PackModel(*Model::Load(dir / "float"), dir / "packed", pack);
  EXPECT_THAT(ErrorMessage([&] { qat::LoadTrainableModel(dir / "packed"); }),
              HasSubstr("'fc1.weight': is packed"));
  const auto start = [&] {
    qat::TrainableModel model =
        qat::LoadTrainableModel(dir / "packed", qat::PackedWeights::kUnpack);
    qat::AddAdapters({.rank = 2, .targets = {qat::NamePattern("^fc2")}}, model);
    return model;
  };
  qat::TrainOptions options = ShortRun(start());
  qat::Trainer whole(start(), images, options, nullptr);
  ASSERT_TRUE(whole.Run(GoOn));
  whole.WriteModel(dir / "whole");

  options.checkpoint = dir / "run";
  qat::Trainer half(start(), images, options, nullptr);
  EXPECT_FALSE(
      half.Run([](const qat::TrainProgress& state) { return state.step < 3; }));
  half.SaveCheckpoint();
  qat::Trainer rest(start(), images, options, nullptr);
  rest.Resume();
  ASSERT_TRUE(rest.Run(GoOn));
  rest.WriteModel(dir / "rest");
  EXPECT_EQ(Scores(dir / "rest", images), Scores(dir / "whole", images));

  const auto packed = Model::Load(dir / "packed");
  const auto trained = Model::Load(dir / "whole");
  for (const char* name : {"fc1.weight", "fc2.weight", "fc3.weight"}) {
    const auto bytes = [name](const Model& model) {
      const TensorView& view = model.file().Get(name);
      return std::vector<std::byte>(view.data.begin(), view.data.end());
    };
    EXPECT_EQ(bytes(*trained), bytes(*packed)) << name;
  }
  EXPECT_EQ(trained->file().metadata().at(std::string(kSchemesKey)),
            packed->file().metadata().at(std::string(kSchemesKey)));
  EXPECT_NE(Scores(dir / "whole", images), Scores(dir / "packed", images));
  qat::TrainableModel loaded =
      qat::LoadTrainableModel(dir / "whole", qat::PackedWeights::kUnpack);
  EXPECT_THAT(ErrorMessage([&] { qat::MergeAdapters(loaded, nullptr); }),
              HasSubstr("'fc2.weight'"));
  EXPECT_EQ(qat::FindAdapters(loaded.graph).size(), 1u);
  // A checkpoint of other packed weights is not resumed from.
  pack.rules = qat::SchemeRules(qat::QuantScheme{"stretched", 3, 16});
  PackModel(*Model::Load(dir / "float"), dir / "packed", pack);
  qat::Trainer other(start(), images, options, nullptr);
  EXPECT_THAT(ErrorMessage([&] { other.Resume(); }),
              HasSubstr("checkpoint of another model"));
}

TEST(AdaptersTest, Refusals) {
  qat::TrainableModel model = Network();
  const auto failure = [&](const qat::AdapterOptions& options) {
    return ErrorMessage([&] { qat::AddAdapters(options, model); });
  };
  EXPECT_THAT(failure({.targets = {qat::NamePattern("fc7")}}),
              HasSubstr("no linear layer"));
  EXPECT_THAT(failure({.rank = 9, .targets = {qat::NamePattern("fc3")}}),
              HasSubstr("'fc3.weight': an adapter of rank 9"));
  EXPECT_THAT(ErrorMessage([&] { qat::MergeAdapters(model, nullptr); }),
              HasSubstr("has no adapters"));
  qat::AddAdapters({.rank = 4, .targets = {qat::NamePattern("fc1")}}, model);
  EXPECT_THAT(failure({.rank = 4, .targets = {qat::NamePattern("fc1.weight")}}),
              HasSubstr("'fc1.weight': has an adapter"));
}

}  // namespace
}  // namespace lutra::packer
