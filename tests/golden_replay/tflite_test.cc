// Files of TensorFlow Lite.

#include <gtest/gtest.h>

#include "tests/golden_replay/replay_command.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

TEST(TfliteReplayTest, EveryModelPackedAndDequantized) {
  const auto folder = TestData("golden/tflite");
  if (!folder) GTEST_SKIP() << "golden/tflite absent (LUTRA_TEST_DATA)";
  const Outcome outcome = ReplayFolder(*folder);
  if (outcome.out.find("has no FlatBuffers") != std::string::npos) {
    GTEST_SKIP() << "this build has no FlatBuffers";
  }
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

}  // namespace
}  // namespace lutra::golden
