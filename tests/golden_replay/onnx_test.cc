// Graphs of ONNX, and malformed ones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

using ::testing::HasSubstr;

TEST(OnnxReplayTest, EveryGraph) {
  const auto folder = TestData("golden/onnx");
  if (!folder) GTEST_SKIP() << "golden/onnx absent (LUTRA_TEST_DATA)";
  const auto json = ReplayAsJson(*folder);
  size_t cases = 0;
  for (const auto& entry : json["folders"]) {
    for (const auto& c : entry["cases"]) {
      ++cases;
      EXPECT_EQ(c["passed"], true) << entry["folder"] << c["case"] << c["note"];
    }
  }
  EXPECT_GE(cases, 142u + 4 * 26);
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
