// Folders made of imported models: what comes back is what went out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lutra/packer/export.h"
#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_source.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

class ExportTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Import(const std::filesystem::path& source) {
    ImportOptions options;
    options.source = source;
    options.output = dir_ / ("model" + std::to_string(++models_));
    ImportModel(options);
    return Model::Load(options.output);
  }

  // Every tensor of one model is in the other, with the same values.
  static void ExpectSame(const Model& a, const Model& b) {
    for (const TensorView& tensor : a.file().tensors()) {
      if (tensor.name.starts_with("lutra.")) continue;
      ASSERT_NE(b.file().Find(tensor.name), nullptr) << tensor.name;
      const auto difference = Compare(RowSource::Of(a, tensor.name),
                                      RowSource::Of(b, tensor.name), nullptr);
      EXPECT_FALSE(difference.first.has_value()) << tensor.name;
    }
  }

  TempDir dir_;
  int models_ = 0;
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
  EXPECT_THAT(ErrorMessage([&] {
                ExportModel(*model, dir_ / "folder", ExportLayout::kFloat);
              }),
              HasSubstr("columns are in activation order"));
  // Without the configuration nothing says what the network is.
  auto metadata = model->file().metadata();
  metadata.erase(std::string(kConfigKey));
  const auto& tensors = model->file().tensors();
  SafetensorsWriter writer(dir_ / "other", metadata,
                           {tensors.begin(), tensors.end()});
  for (const TensorView& tensor : tensors) {
    writer.Write(tensor.name, tensor.data);
  }
  writer.Commit();
  EXPECT_THAT(ErrorMessage([&] {
                ExportModel(*Model::Load(dir_ / "other"), dir_ / "folder",
                            ExportLayout::kFloat);
              }),
              HasSubstr("has no configuration"));
  EXPECT_THAT(ErrorMessage([] { (void)ParseExportLayout("gguf"); }),
              HasSubstr("known: float, compressed-tensors"));
}

}  // namespace
}  // namespace lutra::packer
