// Quantized checkpoints of other libraries.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CheckpointsTest, EveryWeightOfEveryFolder) {
  const auto folder = TestData("golden/checkpoints");
  if (!folder) GTEST_SKIP() << "golden/checkpoints absent (LUTRA_TEST_DATA)";
  const auto json = ReplayAsJson(*folder);
  for (const auto& entry : json["folders"]) {
    for (const auto& c : entry["cases"]) {
      EXPECT_EQ(c["passed"], true) << entry["folder"] << c["case"] << c["note"];
    }
  }
}

class CheckpointCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData("golden/checkpoints/ct-w4a16-sym-g32");
    if (!folder) GTEST_SKIP() << "golden/checkpoints absent";
    copy_ = temp_ / "copy";
    CopyFiles(*folder, copy_);
  }

  TempDir temp_;
  std::filesystem::path copy_;
};

TEST_F(CheckpointCopyTest, AnAlteredCodeIsNoticed) {
  AlterElement<int32_t>(copy_ / "model.safetensors",
                        "model.layers.0.mlp.up_proj.weight_packed", 9,
                        [](int32_t word) { return word ^ 0x100; });
  const Outcome outcome = ReplayFolder(copy_);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("FAIL  model.layers.0.mlp.up_proj.weight: 1 of"),
                    HasSubstr("FAIL  packed weights: 1 of"),
                    HasSubstr("FAIL  packed logits_0"),
                    HasSubstr("FAIL  dequantized logits_0")));
}

TEST_F(CheckpointCopyTest, AWeightThatIsMissingIsNoticed) {
  RawFile file = RawFile::Parse(ReadBytes(copy_ / "model.safetensors"));
  file.Replace("0.mlp.up_proj.weight_scale", "0.mlp.up_proj.weight_skale");
  WriteBytes(copy_ / "model.safetensors", file.Bytes());
  const Outcome outcome = ReplayFolder(copy_);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("up_proj.weight_scale': is missing"));
}

}  // namespace
}  // namespace lutra::golden
