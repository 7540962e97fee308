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

TEST_F(TrainTest, AllCasesPass) {
  const Outcome outcome = Replay({folder_.string(), "--failures"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

// Only what model files cannot say is not compared.
TEST_F(TrainTest, NearlyAllIsCompared) {
  size_t cases = 0;
  size_t compared = 0;
  const auto json = ReplayAsJson(folder_);
  for (const auto& c : json["folders"][0]["cases"]) {
    ++cases;
    compared += c["values"] > 0;
  }
  EXPECT_GT(cases, 100u);
  EXPECT_GE(compared, cases - cases / 10);
}

}  // namespace
}  // namespace lutra::golden
