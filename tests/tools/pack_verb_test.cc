#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "lutra/runtime/model.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(PackVerbTest, TrainedModelIsPackedWithoutLoss) {
  const Workshop shop;
  const std::string packed = shop / "packed.safetensors";
  const json report = json::parse(
      OutputOf({"pack", shop / "trained.safetensors", "-o", packed, "--json"}));
  ASSERT_EQ(report["tensors"].size(), 2u);
  for (const json& tensor : report["tensors"]) {
    EXPECT_EQ(tensor["method"], "trained");
    EXPECT_EQ(tensor["lossless"], true);
    EXPECT_EQ(tensor["sqnr_db"], nullptr);
    EXPECT_EQ(tensor["bits"], 2);
  }
  EXPECT_EQ(report["file_bytes"], std::filesystem::file_size(packed));
  EXPECT_NE(Model::Load(packed)->packed("fc1.weight"), nullptr);
}

TEST(PackVerbTest, OptionsMakeItPostTraining) {
  const Workshop shop;
  const std::string packed = shop / "packed.safetensors";
  const json report =
      json::parse(OutputOf({"pack", shop / "trained.safetensors", "-o", packed,
                            "--json", "--bits", "4", "--group-size", "16",
                            "--rule", "fc2=quantizer:uniform,group-size:row"}));
  const json& first = report["tensors"][0];
  EXPECT_EQ(first["method"], "post-training");
  EXPECT_EQ(first["quantizer"], "stretched");
  EXPECT_EQ(first["bits"], 4);
  EXPECT_EQ(first["group_size"], 16);
  const json& second = report["tensors"][1];
  EXPECT_EQ(second["quantizer"], "uniform");
  EXPECT_EQ(second["bits"], 4);
  EXPECT_EQ(second["group_size"], 0);
}

TEST(PackVerbTest, TableShowsEachTensorAndTheTotal) {
  const Workshop shop;
  const std::string packed = shop / "packed.safetensors";
  const std::string text =
      OutputOf({"pack", shop / "float.safetensors", "-o", packed, "--exclude",
                "fc2", "--threads", "1"});
  EXPECT_THAT(text, AllOf(HasSubstr("fc1.weight"), HasSubstr("[24, 16]"),
                          HasSubstr("2-bit stretched, one scale per row"),
                          HasSubstr("kept"), HasSubstr("456 weights"),
                          HasSubstr("bits per weight")));
  EXPECT_THAT(OutputOf({"pack", shop / "float.safetensors", "-o", packed,
                        "--format", "markdown"}),
              HasSubstr("| tensor"));
}

TEST(PackVerbTest, RuleThatMatchesNothingIsAWarning) {
  const Workshop shop;
  const Outcome outcome =
      RunLutra({"pack", shop / "float.safetensors", "-o",
                shop / "packed.safetensors", "--exclude", "fc3"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "lutra: warning: 'fc3' matches no weight\n");
}

}  // namespace
}  // namespace lutra::tools
