#include "lutra/packer/pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/weights.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;

TEST(PackTest, KeepsEverythingElse) {
  const TempDir dir;
  const TwoLayers layers;
  const std::vector<float> extra = RandomFloats(6, 5);
  ModelBuilder builder = layers.Builder();
  builder.Floats("unused", {2, 3}, extra).Metadata("author", "somebody");
  builder.Write(dir / "float.safetensors");
  const auto model = Model::Load(dir / "float.safetensors");
  PackModel(*model, dir / "packed.safetensors", {});

  const auto packed = Model::Load(dir / "packed.safetensors");
  EXPECT_EQ(GraphToJson(packed->graph()), GraphToJson(model->graph()));
  for (const char* name : {"fc1.bias", "unused"}) {
    const TensorView& before = model->file().Get(name);
    const TensorView& after = packed->file().Get(name);
    EXPECT_EQ(after.shape, before.shape);
    EXPECT_TRUE(std::equal(after.data.begin(), after.data.end(),
                           before.data.begin(), before.data.end()));
  }
  const auto& metadata = packed->file().metadata();
  EXPECT_EQ(metadata.at("author"), "somebody");
  const qat::SchemeMap schemes =
      qat::ParseSchemes(metadata.at(std::string(kSchemesKey)), "packed");
  EXPECT_EQ(schemes, (qat::SchemeMap{{"fc1.weight", {}}, {"fc2.weight", {}}}));
  const auto note = nlohmann::json::parse(metadata.at(std::string(kPackKey)));
  EXPECT_EQ(note["tensors"]["fc1.weight"]["method"], "post-training");
}

TEST(PackTest, BytesDoNotDependOnThreadsOrRuns) {
  const TempDir dir;
  TwoLayers layers;
  // More rows than one task takes, so that there is something to share out.
  constexpr size_t kRows = 4000;
  const std::vector<float> big = RandomFloats(kRows * kK1, 8);
  ModelBuilder builder = layers.Builder();
  builder.Add(OpType::kLinear, {"x"}, "z", "big").Output("z");
  builder.Floats("big", {kRows, kK1}, big);
  builder.Write(dir / "float.safetensors");
  const auto model = Model::Load(dir / "float.safetensors");
  PackOptions options;
  options.rules = qat::SchemeRules({"stretched", 2, 16});
  PackModel(*model, dir / "a.safetensors", options);
  const std::unique_ptr<Executor> executor = StartThreadTeam(3);
  options.executor = executor.get();
  PackModel(*model, dir / "b.safetensors", options);
  PackModel(*model, dir / "c.safetensors", options);
  const std::string a = ReadBytes(dir / "a.safetensors");
  EXPECT_GT(a.size(), kRows * kK1 / 4);
  EXPECT_TRUE(a == ReadBytes(dir / "b.safetensors"));
  EXPECT_TRUE(a == ReadBytes(dir / "c.safetensors"));
}

TEST(PackTest, RulesChooseTheScheme) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  PackOptions options;
  options.rules = qat::SchemeRules({"stretched", 2, 16});
  options.rules.AddRule("fc1=bits:4,quantizer:uniform");
  options.rules.AddRule("conv=bits:4");
  options.rules.AddExclusion("fc2");
  options.rules.AddExclusion("fc3");
  const PackReport report =
      PackModel(*model, dir / "packed.safetensors", options);
  EXPECT_EQ(report.weights[0].scheme, (qat::QuantScheme{"uniform", 4, 16}));
  EXPECT_EQ(report.weights[1].method, PackMethod::kKept);
  EXPECT_EQ(report.weights[1].scheme, std::nullopt);
  EXPECT_THAT(report.unused_rules, ElementsAre("fc3", "conv=bits:4"));
  const auto packed = Model::Load(dir / "packed.safetensors");
  EXPECT_EQ(packed->packed("fc1.weight")->format.bits, 4u);
  EXPECT_EQ(packed->packed("fc2.weight"), nullptr);
}

// An embedding whose table is also the output layer's weight.
TEST(PackTest, TiedWeightIsPackedOnce) {
  const TempDir dir;
  const std::vector<float> table = RandomFloats(32 * 16, 4);
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "e", "table")
      .Add(OpType::kLinear, {"e"}, "y", "table")
      .Output("y")
      .Floats("table", {32, 16}, table);
  builder.Write(dir / "tied.safetensors");
  const auto model = Model::Load(dir / "tied.safetensors");
  const PackReport report = PackModel(*model, dir / "packed.safetensors", {});
  ASSERT_EQ(report.weights.size(), 1u);
  EXPECT_EQ(report.weight_count, table.size());
  const auto packed = Model::Load(dir / "packed.safetensors");
  EXPECT_EQ(Dequantized(*packed->packed("table")), Quantized(table, 16, {}));
  EXPECT_EQ(Weights(*packed).size(), 1u);
}

TEST(PackTest, ProgressCountsWeights) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  std::vector<std::string> calls;
  PackModel(*model, dir / "packed.safetensors", {},
            [&](const PackStatus& status) {
              calls.push_back(std::string(status.tensor) + " " +
                              std::to_string(status.done) + "/" +
                              std::to_string(status.total));
            });
  EXPECT_THAT(calls,
              ElementsAre("fc1.weight 0/1060", "fc1.weight 960/1060",
                          "fc2.weight 960/1060", "fc2.weight 1060/1060"));
}

// As Ctrl-C does it in the command.
TEST(PackTest, ProgressMayEndTheWork) {
  struct Stop {};
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  for (const char* quantizer : {"stretched", "kmeans", "kmeans-row"}) {
    PackOptions options;
    options.rules = qat::SchemeRules({quantizer, 2, 16});
    int calls = 0;
    EXPECT_THROW(PackModel(*model, dir / "packed.safetensors", options,
                           [&](const PackStatus& status) {
                             // Not at the start of a tensor.
                             if (++calls == 2) throw Stop();
                             EXPECT_EQ(status.done, 0u);
                           }),
                 Stop)
        << quantizer;
    EXPECT_EQ(calls, 2) << quantizer;
    // The source, and no file beside it.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()),
                            std::filesystem::directory_iterator()),
              1);
  }
}

TEST(PackTest, MayReplaceItsSource) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "m.safetensors");
  PackModel(*model, dir / "m.safetensors", {});
  const auto packed = Model::Load(dir / "m.safetensors");
  EXPECT_EQ(Dequantized(*packed->packed("fc1.weight")),
            Quantized(layers.w1, kK1, {}));
}

TEST(WeightsTest, SizesOfFloatAndPacked) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  PackOptions options;
  options.rules.AddExclusion("fc2");
  PackModel(*model, dir / "packed.safetensors", options);
  const auto packed = Model::Load(dir / "packed.safetensors");
  const std::vector<Weight> weights = Weights(*packed);
  ASSERT_EQ(weights.size(), 2u);
  EXPECT_EQ(weights[0].n, int64_t{kN1});
  EXPECT_EQ(weights[0].k, int64_t{kK1});
  EXPECT_NE(weights[0].packed, nullptr);
  EXPECT_EQ(weights[1].BitsPerWeight(), 32);
  const WeightTotals totals = Total(weights);
  EXPECT_EQ(totals.elements, kN1 * kK1 + kN2 * kK2);
  EXPECT_EQ(totals.bytes, weights[0].bytes + weights[1].bytes);
}

}  // namespace
}  // namespace lutra::packer
