// Hidden grids of float weights.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

using ::testing::HasSubstr;

TEST(LatticeReplayTest, EveryCaseOfEveryFolder) {
  const auto folder = TestData("golden/lattice");
  if (!folder) GTEST_SKIP() << "golden/lattice absent (LUTRA_TEST_DATA)";
  const auto json = ReplayAsJson(*folder);
  size_t cases = 0;
  for (const auto& entry : json["folders"]) {
    for (const auto& c : entry["cases"]) {
      ++cases;
      EXPECT_EQ(c["passed"], true) << entry["folder"] << c["case"] << c["note"];
    }
  }
  EXPECT_GT(cases, 53u);  // those of the model, too
}

TEST(LatticeReplayTest, AWeightThatLeavesTheGridIsNoticed) {
  const auto folder = TestData("golden/lattice");
  if (!folder) GTEST_SKIP() << "golden/lattice absent (LUTRA_TEST_DATA)";
  const TempDir temp;
  const auto copy = temp / "copy";
  std::filesystem::create_directories(copy);
  for (const char* name :
       {"bf16.safetensors", "f16.safetensors", "f32.safetensors",
        "truth.safetensors", "truth.json"}) {
    std::filesystem::copy_file(*folder / name, copy / name);
    std::filesystem::permissions(copy / name,
                                 std::filesystem::perms::owner_all);
  }
  AlterElement<uint16_t>(copy / "bf16.safetensors", "int3-sym-g64", 100,
                         [](uint16_t bits) { return bits ^ 0x15; });
  const Outcome outcome = ReplayFolder(copy);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL  bf16/int3-sym-g64: 1 of 32"));
}

}  // namespace
}  // namespace lutra::golden
