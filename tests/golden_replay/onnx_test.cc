// Graphs of ONNX, and malformed ones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

using ::testing::HasSubstr;

TEST(OnnxReplayTest, EveryGraphThatLutraCanExpress) {
  const auto folder = TestData("golden/onnx");
  if (!folder) GTEST_SKIP() << "golden/onnx absent (LUTRA_TEST_DATA)";
  // docs/import.md says what these lack.
  const std::set<std::string> refused = {"mlp-dynamic", "torch-llama",
                                         "transformer"};
  const auto json = ReplayAsJson(*folder);
  size_t cases = 0;
  for (const auto& entry : json["folders"]) {
    const std::filesystem::path path = entry["folder"].get<std::string>();
    const bool expected = !refused.contains(path.filename().string());
    for (const auto& c : entry["cases"]) {
      ++cases;
      EXPECT_EQ(c["passed"], expected) << path << c["case"] << c["note"];
      if (expected) continue;
      EXPECT_THAT(c["note"].get<std::string>(),
                  HasSubstr("has what lutra's graphs cannot express: "));
    }
  }
  EXPECT_GT(cases, 142u + 4 * 20);
}

TEST(OnnxReplayTest, AnotherOutputIsNoticed) {
  const auto folder = TestData("golden/onnx/mlp");
  if (!folder) GTEST_SKIP() << "golden/onnx absent (LUTRA_TEST_DATA)";
  const TempDir temp;
  const auto copy = temp / "copy";
  CopyFiles(*folder, copy);
  EXPECT_EQ(ReplayFolder(copy).exit_code, 0);
  std::string bytes = ReadBytes(copy / "out0_logits.npy");
  bytes[bytes.size() - 2] ^= 1;  // the last number's exponent
  WriteBytes(copy / "out0_logits.npy", bytes);
  const Outcome outcome = ReplayFolder(copy);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL  set 0: 1 of"));
}

}  // namespace
}  // namespace lutra::golden
