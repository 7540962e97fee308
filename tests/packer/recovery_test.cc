// Import of floats that lie on a grid: every weight is that of the source, or
// it is said which are not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/packer/lattice.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "packer/lattice/rounding.h"
#include "packer/weights/row_source.h"
#include "tests/packer/grid_matrix.h"
#include "tests/packer/import_data.h"
#include "tests/packer/logits.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Matrices = std::map<std::string, Matrix>;

// A folder with a layer for each matrix, all of the same input.
void WriteFolder(const std::filesystem::path& folder,
                 const Matrices& matrices) {
  std::vector<TensorInfo> infos;
  nlohmann::json graph;
  for (const auto& [name, matrix] : matrices) {
    TensorInfo info;
    info.name = name;
    info.dtype = matrix.dtype();
    info.shape = matrix.shape();
    graph["inputs"] = {
        {{"name", "x"}, {"type", "float32"}, {"shape", {info.shape[1]}}}};
    graph["nodes"].push_back({{"op", "linear"},
                              {"inputs", {"x"}},
                              {"output", name + ".y"},
                              {"weight", name}});
    graph["outputs"].push_back(name + ".y");
    infos.push_back(info);
  }
  WriteText(folder / "graph.json", graph.dump());
  SafetensorsWriter writer(folder / "weights.safetensors", {}, infos);
  for (const auto& [name, matrix] : matrices) {
    writer.Write(name, matrix.bytes());
  }
  writer.Commit();
}

class RecoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.source = temp_ / "source";
    options_.output = temp_ / "model.safetensors";
    options_.recover = true;
    std::filesystem::create_directories(options_.source);
  }

  // Of the packed weight, rounded to the type of the source.
  std::vector<float> Held(const std::string& name, DType dtype) const {
    const auto model = Model::Load(options_.output);
    const RowSource rows = RowSource::Of(*model, name);
    std::vector<float> scratch;
    const auto all = rows.Rows(0, rows.rows(), scratch);
    std::vector<float> values(all.begin(), all.end());
    for (float& value : values) value = RoundTo(dtype, value);
    return values;
  }

  TempDir temp_;
  ImportOptions options_;
};

TEST_F(RecoveryTest, EveryWeightOfEveryGridIsThatOfTheSource) {
  Random random(21);
  for (const DType dtype :
       {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
    Matrices matrices;
    for (const Grid& grid : Grids()) {
      MadeOf made = {&grid, dtype};
      made.rows = 20;
      matrices.emplace(grid.name, Make(made, random));
    }
    WriteFolder(options_.source, matrices);
    const ImportReport report = ImportModel(options_);
    ASSERT_EQ(report.weights.size(), Grids().size());
    EXPECT_TRUE(report.floats.empty());
    for (const ImportedWeight& weight : report.weights) {
      EXPECT_TRUE(weight.recovered);
      EXPECT_EQ(weight.groups, 20u * 8);
      // The table has the nearest whole numbers to levels that are none.
      EXPECT_EQ(weight.exact, Named(weight.name).whole) << weight.name;
      if (!weight.exact) {
        EXPECT_GT(weight.sqnr_db, 40) << weight.name;
        continue;
      }
      EXPECT_EQ(weight.exact_groups, weight.groups);
      EXPECT_EQ(Held(weight.name, dtype), matrices.at(weight.name).Values())
          << weight.name;
    }
  }
}

TEST_F(RecoveryTest, GroupsOffTheGridAreCountedAndMayBeRefused) {
  Random random(22);
  const MadeOf made = {&Named("4 bits"), DType::kBFloat16};
  std::vector<float> values = Make(made, random).Values();
  values[40] *= 1.46f;
  const Matrix matrix(made.dtype, made.rows, made.columns, values);
  WriteFolder(options_.source, {{"w", matrix}});
  const ImportReport report = ImportModel(options_);
  ASSERT_EQ(report.weights.size(), 1u);
  const ImportedWeight& weight = report.weights[0];
  EXPECT_FALSE(weight.exact);
  EXPECT_EQ(weight.groups, 96u);
  EXPECT_EQ(weight.exact_groups, 95u);
  EXPECT_GT(weight.sqnr_db, 20);
  EXPECT_LT(weight.sqnr_db, 60);
  // All others are those of the source, and the file says how near it is.
  const std::vector<float> held = Held("w", made.dtype);
  const std::vector<float> source = matrix.Values();
  for (size_t i = 0; i < held.size(); ++i) {
    if (i / 32 == 1) continue;
    EXPECT_EQ(held[i], source[i]) << i;
  }
  const auto model = Model::Load(options_.output);
  EXPECT_THAT(model->file().metadata().at("lutra.pack"),
              HasSubstr("\"sqnr_db\":"));

  std::filesystem::remove(options_.output);
  options_.require_exact = true;
  EXPECT_THAT([&] { ImportModel(options_); },
              ThrowsMessage<Error>(AllOf(
                  HasSubstr("tensor 'w': 1 of 96 groups are not on its grid"),
                  HasSubstr("4 bits, groups of 32"))));
  EXPECT_FALSE(std::filesystem::exists(options_.output));
}

TEST_F(RecoveryTest, OrdinaryWeightsStayFloats) {
  Random random(23);
  std::vector<float> normal(32 * 256);
  for (float& value : normal) {
    value = std::normal_distribution<float>(0, 0.02f)(random);
  }
  const MadeOf made = {&Named("4 bits"), DType::kBFloat16};
  std::vector<float> folded = Make(made, random).Values();
  for (size_t i = 0; i < folded.size(); ++i) {
    folded[i] *= 0.5f + static_cast<float>(i % made.columns) * 0.01f;
  }
  WriteFolder(
      options_.source,
      {{"normal", Matrix(DType::kBFloat16, 32, 256, normal)},
       {"folded", Matrix(DType::kBFloat16, made.rows, made.columns, folded)}});
  options_.require_exact = true;
  const ImportReport report = ImportModel(options_);
  EXPECT_TRUE(report.weights.empty());
  ASSERT_EQ(report.floats.size(), 2u);
  EXPECT_EQ(report.floats[0].name, "folded");
  EXPECT_THAT(report.floats[0].reason, HasSubstr("lost"));
  EXPECT_EQ(report.floats[1].reason, "no grid");
  const auto model = Model::Load(options_.output);
  EXPECT_EQ(model->file().Get("normal").dtype, DType::kBFloat16);
}

// GPT-2's matrices are stored with outputs as columns.
TEST_F(RecoveryTest, TransposedWeights) {
  LUTRA_REQUIRE_DATA(folder, "golden/arch/gpt2");
  for (const char* name : {"config.json", "tokenizer.json"}) {
    std::filesystem::copy(folder / name, options_.source / name);
  }
  const auto file = SafetensorsFile::Open(folder / "model.safetensors");
  std::vector<TensorInfo> infos(file.tensors().begin(), file.tensors().end());
  for (TensorInfo& info : infos) info.dtype = DType::kFloat32;
  SafetensorsWriter writer(options_.source / "model.safetensors", {}, infos);
  for (const TensorView& tensor : file.tensors()) {
    const RowSource rows(tensor, "source");
    std::vector<float> scratch;
    const auto stored = rows.Rows(0, rows.rows(), scratch);
    std::vector<float> values(stored.begin(), stored.end());
    const bool stored_across = tensor.name.find(".c_") != std::string::npos &&
                               tensor.shape.size() == 2;
    for (size_t i = 0; stored_across && i < values.size(); ++i) {
      const auto columns = static_cast<size_t>(tensor.shape[1]);
      const size_t row = i / columns;
      const float scale =
          0.01f * static_cast<float>(1 + (row / 32 + i % columns) % 5);
      const float level = std::nearbyint(values[i] / scale);
      values[i] =
          std::clamp(row % 32 == 0 ? -8.0f : level, -8.0f, 7.0f) * scale;
    }
    writer.Write(tensor.name, std::as_bytes(std::span(values)));
  }
  writer.Commit();
  const ImportReport report = ImportModel(options_);
  ASSERT_GE(report.weights.size(), 4u);
  const std::vector<float> packed = Logits(options_.output);
  for (const ImportedWeight& weight : report.weights) {
    EXPECT_TRUE(weight.exact) << weight.name;
    EXPECT_THAT(weight.format, HasSubstr("4 bits, groups of 32"));
  }
  options_.recover = false;
  ImportModel(options_);
  const auto model = Model::Load(options_.output);
  for (const ImportedWeight& weight : report.weights) {
    EXPECT_EQ(model->file().Get(weight.name).dtype, DType::kFloat32);
  }
  const std::vector<float> floats = Logits(options_.output);
  ASSERT_EQ(packed.size(), floats.size());
  for (size_t i = 0; i < floats.size(); ++i) {
    EXPECT_NEAR(packed[i], floats[i], 0.2f);
  }
}

TEST_F(RecoveryTest, OptionsThatExcludeEachOther) {
  WriteFolder(options_.source, {{"w", Matrix(DType::kFloat32, 1, 1, {1})}});
  options_.dequantize = true;
  EXPECT_THAT([&] { ImportModel(options_); },
              ThrowsMessage<Error>(HasSubstr("exclude each other")));
  options_.dequantize = false;
  options_.recover = false;
  options_.require_exact = true;
  EXPECT_THAT([&] { ImportModel(options_); },
              ThrowsMessage<Error>(HasSubstr("of no recovery")));
}

TEST_F(RecoveryTest, WholeModelsAndTheirReport) {
  LUTRA_REQUIRE_DATA(folder, "golden/lattice/model-q4_0-bf16");
  options_.source = folder;
  options_.require_exact = true;
  const ImportReport report = ImportModel(options_);
  EXPECT_EQ(report.weights.size(), 15u);
  EXPECT_TRUE(report.floats.empty());
  for (const ImportedWeight& weight : report.weights) {
    EXPECT_TRUE(weight.exact) << weight.name;
    EXPECT_LT(weight.BitsPerWeight(), 6) << weight.name;
  }
  // Before the import.
  options_.require_exact = false;
  EXPECT_EQ(InspectSource(options_).report.weights.size(), 15u);
}

// The float32 values of checkpoints that other libraries quantized.
TEST(HiddenGridsTest, OfOtherLibraries) {
  LUTRA_REQUIRE_DATA(root, "golden/checkpoints");
  const std::pair<const char*, const char*> kGrids[] = {
      {"autoround-4bit-g32-asym", "4 bits with a zero point, groups of 32"},
      {"bitnet-offline", "ternary, one scale"},
      {"bnb-nf4", "nf4, one scale per row"},
      {"ct-mxfp4", "4-bit floats (e2m1), groups of 32"},
      {"ct-nvfp4", "4-bit floats (e2m1), groups of 16"},
      {"ct-w4a16-sym-row", "4 bits, one scale per row"},
      {"gguf-q2_k", "2 bits with an offset, groups of 16"},
      {"gguf-q3_k", "3 bits, groups of 16"},
      {"gguf-q4_0", "4 bits, groups of 32"},
      {"gguf-q4_1", "4 bits with an offset, groups of 32"},
      {"gguf-q8_0", "8 bits, groups of 32"},
      {"mlx-3bit-g64", "3 bits with an offset, one scale per row"},
      {"torchao-parq-1w-g32", "two levels, groups of 32"},
      {"torchao-parq-2w-g32", "2 bits, stretched, groups of 32"},
      {"torchao-parq-3w-row", "3 bits, stretched, one scale per row"},
  };
  for (const auto& [folder, grid] : kGrids) {
    size_t found = 0;
    for (const HiddenGrid& hidden :
         FindHiddenGrids(root / folder / "dequantized.safetensors")) {
      if (!hidden.tensor.starts_with("full/")) continue;
      ++found;
      EXPECT_EQ(hidden.grid, grid) << folder;
      EXPECT_EQ(hidden.exact_groups, hidden.groups) << folder;
    }
    EXPECT_EQ(found, 1u) << folder;
  }
}

TEST_F(RecoveryTest, HiddenGridsOfAFolderOfFiles) {
  Random random(24);
  const MadeOf made = {&Named("ternary"), DType::kFloat16};
  WriteFolder(options_.source, {{"w", Make(made, random)}});
  for (const auto& source :
       {options_.source, options_.source / "weights.safetensors"}) {
    const std::vector<HiddenGrid> grids = FindHiddenGrids(source);
    ASSERT_EQ(grids.size(), 1u);
    EXPECT_THAT(grids[0].tensor, HasSubstr("w"));
    EXPECT_TRUE(grids[0].found);
    EXPECT_EQ(grids[0].bits, 2);
    EXPECT_EQ(grids[0].table, std::vector<float>({-1, 0, 1}));
    EXPECT_EQ(grids[0].group_size, 32u);
    EXPECT_EQ(grids[0].scale_type, "bfloat16");
    EXPECT_EQ(grids[0].offset, "none");
    EXPECT_EQ(grids[0].exact_groups, grids[0].groups);
  }
  EXPECT_THROW(FindHiddenGrids(temp_ / "absent"), Error);
}

}  // namespace
}  // namespace lutra::packer
