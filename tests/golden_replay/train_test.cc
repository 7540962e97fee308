// Recorded results and gradients of training.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/golden_replay/altered_tensor.h"
#include "tests/golden_replay/replay_command.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

class TrainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData("golden/train");
    if (!folder) GTEST_SKIP() << "golden/train absent (LUTRA_TEST_DATA)";
    folder_ = *folder;
  }

  std::filesystem::path folder_;
};

// In one run, which takes a minute with sanitizers.
TEST_F(TrainTest, NearlyAllIsComparedAndPasses) {
  size_t cases = 0;
  size_t compared = 0;
  const auto json = ReplayAsJson(folder_);
  for (const auto& c : json["folders"][0]["cases"]) {
    ++cases;
    // Only what model files cannot say is not compared.
    compared += c["values"] > 0;
    EXPECT_TRUE(c["passed"]) << c;
  }
  EXPECT_GT(cases, 100u);
  EXPECT_GE(compared, cases - cases / 10);
  EXPECT_TRUE(json["passed"]);
}

}  // namespace
}  // namespace lutra::golden
