#include "lutra/qat/adapters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra.h"
#include "lutra/packer/adapter_folder.h"
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

qat::TrainableModel AdaptedNetwork() {
  const size_t hidden[] = {20, 16};
  return qat::MakeMlp(kFeatures, hidden, kClasses, 3);
}

qat::LabelledImages AdaptedImages() {
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
                          const qat::LabelledImages& images,
                          const std::filesystem::path& adapter = {}) {
  LoadOptions load;
  load.adapter = adapter;
  Session session(Model::Load(file, load),
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
  const qat::LabelledImages images = AdaptedImages();
  qat::TrainableModel model = AdaptedNetwork();
  qat::WriteModel(dir / "before", model, {});
  const std::vector<Adapter> added =
      qat::AddAdapters({.rank = 4, .factor = 3}, model);
  ASSERT_EQ(added.size(), 2u);  // all but the last layer
  EXPECT_EQ(added[0].a, "fc1.lora_A.weight");
  EXPECT_EQ(FindAdapters(model.graph)[1].b, "fc2.lora_B.weight");
  EXPECT_EQ(FindAdapters(model.graph)[1].factor, 3);
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
  EXPECT_TRUE(FindAdapters(merged.graph).empty());
  EXPECT_EQ(merged.parameters.size(), 6u);
  qat::WriteModel(dir / "merged", merged, {});
  ExpectNear(Scores(dir / "merged", images), Scores(dir / "trained", images));
}

// The packed weights stay what they are, byte for byte, also over a checkpoint.
TEST(AdaptersTest, BesidePackedWeights) {
  const TempDir dir;
  const qat::LabelledImages images = AdaptedImages();
  qat::WriteModel(dir / "float", AdaptedNetwork(), {});
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
  EXPECT_EQ(FindAdapters(loaded.graph).size(), 1u);
  // A checkpoint of other packed weights is not resumed from.
  pack.rules = qat::SchemeRules(qat::QuantScheme{"stretched", 3, 16});
  PackModel(*Model::Load(dir / "float"), dir / "packed", pack);
  qat::Trainer other(start(), images, options, nullptr);
  EXPECT_THAT(ErrorMessage([&] { other.Resume(); }),
              HasSubstr("checkpoint of another model"));
}

TEST(AdaptersTest, Refusals) {
  qat::TrainableModel model = AdaptedNetwork();
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

// Adapters of a model whose B is not zero.
qat::TrainableModel Adapted(const std::filesystem::path& base) {
  qat::TrainableModel model =
      qat::LoadTrainableModel(base, qat::PackedWeights::kUnpack);
  Random random(7);
  for (const Adapter& adapter :
       qat::AddAdapters({.rank = 4, .factor = 3}, model)) {
    for (float& value : model.parameters.find(adapter.b)->second.values) {
      value = random.Symmetric();
    }
  }
  return model;
}

// A model, the same with adapters, and a folder of these.
class AdapterFolderTest : public ::testing::Test {
 protected:
  AdapterFolderTest() {
    qat::WriteModel(dir / "float", AdaptedNetwork(), {});
    Write("float");
  }

  // The adapters of a model.
  AdapterReport Write(const char* base) const {
    qat::WriteModel(dir / "adapted", Adapted(dir / base), {});
    return WriteAdapterFolder(*Model::Load(dir / "adapted"), dir / "folder");
  }
  std::vector<float> ScoresWithFolder(const char* base) const {
    return Scores(dir / base, images, dir / "folder");
  }

  const TempDir dir;
  const qat::LabelledImages images = AdaptedImages();
};

// A folder beside the model gives the bits of one file with both.
TEST_F(AdapterFolderTest, BesideFloatAndPackedModels) {
  PackOptions pack;
  pack.rules = qat::SchemeRules(qat::QuantScheme{"stretched", 2, 16});
  PackModel(*Model::Load(dir / "float"), dir / "packed", pack);
  for (const char* base : {"float", "packed"}) {
    const AdapterReport report = Write(base);
    EXPECT_EQ(report.adapters, 2u);
    EXPECT_EQ(report.rank, 4u);
    EXPECT_EQ(report.alpha, 12);
    EXPECT_EQ(report.bytes, 4 * 4 * (24 + 20 + 20 + 16u));
    const auto both = ScoresWithFolder(base);
    EXPECT_EQ(both, Scores(dir / "adapted", images)) << base;
    EXPECT_NE(both, Scores(dir / base, images)) << base;
  }
  EXPECT_THAT(ErrorMessage([&] {
                WriteAdapterFolder(*Model::Load(dir / "float"), dir / "none");
              }),
              HasSubstr("has no adapters"));
  EXPECT_THAT(ErrorMessage([&] { ScoresWithFolder("adapted"); }),
              HasSubstr("'fc1.weight': has an adapter already"));
}

TEST_F(AdapterFolderTest, ByTheCApi) {
  const std::string folder = (dir / "folder").string();
  lutra_load_options options;
  lutra_load_options_init(&options);
  EXPECT_EQ(options.adapter, nullptr);
  options.adapter = folder.c_str();
  lutra_model* model = nullptr;
  ASSERT_EQ(
      lutra_model_load_with((dir / "float").string().c_str(), &options, &model),
      LUTRA_OK);
  lutra_session* session = nullptr;
  lutra_session_options plain;
  lutra_session_options_init(&plain);
  plain.activations = LUTRA_ACTIVATIONS_FLOAT32;
  ASSERT_EQ(lutra_session_create(model, &plain, &session), LUTRA_OK);
  lutra_model_free(model);
  std::vector<float> y(images.count * kClasses);
  const void* const input = images.images.data();
  float* const output = y.data();
  ASSERT_EQ(lutra_session_run(session, images.count, &input, 1, &output, 1),
            LUTRA_OK);
  lutra_session_free(session);
  EXPECT_EQ(y, Scores(dir / "adapted", images));
  options.adapter = "nowhere";
  EXPECT_EQ(
      lutra_model_load_with((dir / "float").string().c_str(), &options, &model),
      LUTRA_NOT_FOUND);
}

TEST_F(AdapterFolderTest, WhatConfigurationsSay) {
  using nlohmann::json;
  const std::filesystem::path file = dir / "folder" / "adapter_config.json";
  const json written = json::parse(std::ifstream(file));
  const auto scores_with = [&](const json& change) {
    json config = written;
    config.update(change);
    std::ofstream(file) << config;
    return ScoresWithFolder("float");
  };
  const std::vector<float> expected = scores_with(json::object());
  // Other versions of the library have more members.
  EXPECT_EQ(scores_with({{"peft_version", "0.18"},
                         {"loftq_config", json::object()},
                         {"rank_pattern", json::object()},
                         {"use_qalora", false},
                         {"init_lora_weights", "gaussian"}}),
            expected);
  // alpha / sqrt(rank)
  EXPECT_EQ(scores_with({{"use_rslora", true}, {"lora_alpha", 6}}), expected);
  EXPECT_NE(scores_with({{"lora_alpha", 6}}), expected);
  const std::pair<json, const char*> refused[] = {
      {{{"peft_type", "IA3"}}, "peft_type is 'IA3'"},
      {{{"use_dora", true}}, "'use_dora' is true"},
      {{{"bias", "all"}}, "'bias' is \"all\""},
      {{{"fan_in_fan_out", true}}, "'fan_in_fan_out'"},
      {{{"modules_to_save", {"lm_head"}}}, "'modules_to_save'"},
      {{{"alpha_pattern", {{"fc1", 3}}}}, "'alpha_pattern'"},
      {{{"something_new", 1}}, "'something_new' is 1"},
      {{{"init_lora_weights", "pissa"}}, "init_lora_weights is \"pissa\""},
      {{{"r", 0}}, "r"},
      {{{"lora_alpha", "many"}}, "lora_alpha"}};
  for (const auto& entry : refused) {
    EXPECT_THAT(ErrorMessage([&] { scores_with(entry.first); }),
                HasSubstr(entry.second));
  }
  std::ofstream(file) << "{";
  EXPECT_THAT(ErrorMessage([&] { ScoresWithFolder("float"); }),
              HasSubstr("adapter_config.json"));
}

TEST_F(AdapterFolderTest, WhatTensorsAre) {
  using Shape = std::vector<int64_t>;
  const auto write = [&](const char* a, const Shape& a_shape, const char* b,
                         const Shape& b_shape) {
    const std::vector<TensorInfo> infos = {{a, DType::kBFloat16, a_shape},
                                           {b, DType::kBFloat16, b_shape}};
    SafetensorsWriter writer(dir / "folder" / "adapter_model.safetensors", {},
                             infos);
    for (const TensorInfo& info : infos) {
      writer.Write(info.name, std::vector<std::byte>(info.ByteCount()));
    }
    writer.Commit();
  };
  const auto failure = [&](const char* a, const Shape& a_shape, const char* b,
                           const Shape& b_shape) {
    write(a, a_shape, b, b_shape);
    return ErrorMessage([&] { ScoresWithFolder("float"); });
  };
  // Zeros add nothing, in another type and without the prefix.
  write("fc1.lora_A.weight", {4, 24}, "fc1.lora_B.weight", {20, 4});
  EXPECT_EQ(ScoresWithFolder("float"), Scores(dir / "float", images));
  EXPECT_THAT(failure("base_model.model.fc9.lora_A.weight", {4, 24},
                      "base_model.model.fc9.lora_B.weight", {20, 4}),
              HasSubstr("the model has no linear layer 'fc9'"));
  EXPECT_THAT(
      failure("fc1.lora_A.weight", {4, 24}, "fc2.lora_B.weight", {20, 4}),
      HasSubstr("its other half is missing"));
  EXPECT_THAT(failure("fc1.lora_A.weight", {4, 24}, "fc1.lora_magnitude", {20}),
              HasSubstr("'fc1.lora_magnitude': is no part of"));
  EXPECT_THAT(failure("fc1.lora_A.weight", {4, 24},
                      "base_model.model.fc1.lora_A.weight", {4, 24}),
              HasSubstr("occurs twice"));
  EXPECT_THAT(
      failure("fc1.lora_A.weight", {4, 23}, "fc1.lora_B.weight", {20, 4}),
      HasSubstr("'fc1.lora_A.weight'"));
  EXPECT_THAT(
      failure("fc1.lora_A.weight", {4, 24}, "fc1.lora_B.weight", {20, 3}),
      HasSubstr("'fc1.lora_B.weight'"));
  EXPECT_THAT(
      failure("fc1.lora_A.weight", {4, 24}, "fc1.lora_B.weight", {19, 4}),
      HasSubstr("fc1"));
}

}  // namespace
}  // namespace lutra::packer
