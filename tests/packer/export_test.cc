// Folders made of imported models: what comes back is what went out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lutra/packer/export.h"
#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"
#include "tests/packer/export_data.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

class ExportTest : public ExportFixture {
 protected:
  // A copy of a model with another configuration.
  std::shared_ptr<const Model> With(const Model& model,
                                    const std::string& config) {
    auto metadata = model.file().metadata();
    metadata[std::string(kConfigKey)] = config;
    if (config.empty()) metadata.erase(std::string(kConfigKey));
    const auto& tensors = model.file().tensors();
    const auto path = dir_ / ("model" + std::to_string(++models_));
    SafetensorsWriter writer(path, metadata, {tensors.begin(), tensors.end()});
    for (const TensorView& tensor : tensors) {
      writer.Write(tensor.name, tensor.data);
    }
    writer.Commit();
    return Model::Load(path);
  }

  std::string Refusal(const Model& model) {
    return ErrorMessage(
        [&] { ExportModel(model, dir_ / "folder", {ExportLayout::kFloat}); });
  }
};

struct RoundTrip {
  const char* source;
  size_t packed;  // weights that stay so
  size_t floats;  // those that do not
};

TEST_F(ExportTest, WhatComesBackIsWhatWentOut) {
  const RoundTrip cases[] = {
      {"ct-w4a16-sym-g32", 14, 0},      // symmetric groups
      {"ct-w3a16-sym-g64", 14, 0},      // fields that straddle words
      {"ct-w8a16-sym-row", 14, 0},      // eight bits
      {"gptq-v1-3bit-g32-asym", 0, 7},  // offsets
      {"gguf-q4_0/model.gguf", 14, 1},  // an embedding stays float
      {"mlx-4bit-g64", 0, 15},          // another network
  };
  for (const RoundTrip& c : cases) {
    SCOPED_TRACE(c.source);
    const auto found = TestData("golden/checkpoints/" + std::string(c.source));
    if (!found) GTEST_SKIP() << "golden/checkpoints absent";
    const auto model = Import(*found);
    for (const ExportLayout layout :
         {ExportLayout::kFloat, ExportLayout::kCompressedTensors}) {
      const auto folder = dir_ / std::string(Name(layout));
      const ExportReport report = ExportModel(*model, folder, layout);
      const bool packs = layout == ExportLayout::kCompressedTensors;
      EXPECT_EQ(report.packed, packs ? c.packed : 0);
      EXPECT_EQ(report.floats, packs ? c.floats : c.packed + c.floats);
      EXPECT_EQ(report.file_bytes,
                std::filesystem::file_size(folder / "model.safetensors"));
      ExpectSame(*model, *Import(folder));
    }
  }
}

TEST_F(ExportTest, RefusesWhatItCannotGiveBack) {
  const auto ordered = TestData("golden/checkpoints/gptq-v2-4bit-g32-descact");
  if (!ordered) GTEST_SKIP() << "golden/checkpoints absent";
  const auto model = Import(*ordered);
  EXPECT_THAT(Refusal(*model), HasSubstr("columns are in activation order"));
  // Without the configuration nothing says what the network is.
  EXPECT_THAT(Refusal(*With(*model, "")), HasSubstr("has no configuration"));
  EXPECT_THAT(ErrorMessage([] { (void)ParseExportLayout("gguf"); }),
              HasSubstr("known: float, compressed-tensors"));
}

TEST_F(ExportTest, RefusesTheConfigurationOfAnotherNetwork) {
  const auto source = TestData("golden/checkpoints/gguf-q4_0/model.gguf");
  if (!source) GTEST_SKIP() << "golden/checkpoints absent";
  const auto model = Import(*source);
  const std::string config =
      model->file().metadata().at(std::string(kConfigKey));
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = config;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return With(*model, text.replace(at, from.size(), to));
  };
  ExportModel(*With(*model, config), dir_ / "folder", {ExportLayout::kFloat});
  EXPECT_THAT(Refusal(*replaced(R"("vocab_size":272)", R"("vocab_size":9999)")),
              HasSubstr("'model.embed_tokens.weight': has the shape [272, 64], "
                        "its configuration says [9999, 64]"));
  EXPECT_THAT(Refusal(*replaced(R"("hidden_size":64)", R"("hidden_size":32)")),
              HasSubstr("has the shape"));
  EXPECT_THAT(Refusal(*replaced(R"("num_hidden_layers":2)",
                                R"("num_hidden_layers":1)")),
              HasSubstr("'model.layers.1.input_layernorm.weight': has no place "
                        "in the network of its configuration"));
  EXPECT_THAT(
      Refusal(*replaced(R"("rope_theta":10000.0)", R"("rope_theta":20000.0)")),
      HasSubstr("has other values than its configuration says"));
}

TEST_F(ExportTest, DoesNotReplaceTheModelItself) {
  const auto source = TestData("golden/checkpoints/gguf-q4_0/model.gguf");
  if (!source) GTEST_SKIP() << "golden/checkpoints absent";
  ImportOptions options;
  options.source = *source;
  options.output = dir_ / "model.safetensors";
  ImportModel(options);
  const auto model = Model::Load(options.output);
  EXPECT_THAT(ErrorMessage([&] {
                ExportModel(*model, dir_.path(), {ExportLayout::kFloat});
              }),
              HasSubstr("is the model itself"));
}

}  // namespace
}  // namespace lutra::packer
