// Folders of many architectures with recorded outputs.

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

constexpr const char* kArchRecord = "golden.safetensors";

TEST(ArchitectureTest, AllFoldersPass) {
  const auto folder = TestData("golden/arch");
  if (!folder) GTEST_SKIP() << "golden/arch absent (LUTRA_TEST_DATA)";
  const Outcome outcome = ReplayFolder(*folder);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

// A copy of a folder, to be altered.
class ArchitectureCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData("golden/arch/qwen3");
    if (!folder) GTEST_SKIP() << "golden/arch absent (LUTRA_TEST_DATA)";
    copy_ = temp_ / "copy";
    CopyFiles(*folder, copy_);
  }
  void ExpectFailure(const char* line) {
    const Outcome outcome = ReplayFolder(copy_);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, HasSubstr(line));
  }

  TempDir temp_;
  std::filesystem::path copy_;
};

TEST_F(ArchitectureCopyTest, BothSpellingsAreCases) {
  const Outcome outcome = ReplayFolder(copy_);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("  pass  prompt0 logits"),
                                 HasSubstr("  pass  old prompt0 logits"),
                                 HasSubstr("  pass  texts")));
}

TEST_F(ArchitectureCopyTest, LogitsHaveATolerance) {
  AlterElement<float>(copy_ / kArchRecord, "prompt1.logits", 1000,
                      [](float v) { return v + 5e-5f; });
  EXPECT_EQ(ReplayFolder(copy_).exit_code, 0);
  AlterElement<float>(copy_ / kArchRecord, "prompt1.logits", 1000,
                      [](float v) { return v + 2e-4f; });
  ExpectFailure("  FAIL  prompt1 logits: 1 of");
  // With the default cache it is another one.
  EXPECT_THAT(ReplayFolder(copy_).out,
              HasSubstr("  pass  prompt1 logits with a float16 cache"));
  AlterElement<float>(copy_ / kArchRecord, "prompt1.logits", 1000,
                      [](float v) { return v + 2e-2f; });
  ExpectFailure("  FAIL  prompt1 logits with a float16 cache: 1 of");
}

TEST_F(ArchitectureCopyTest, GreedyIdsAreExact) {
  AlterElement<int32_t>(copy_ / kArchRecord, "prompt2.greedy", 23,
                        [](int32_t id) { return id ^ 1; });
  ExpectFailure("  FAIL  old prompt2 greedy: 1 of 24");
}

TEST_F(ArchitectureCopyTest, TextsAreCompared) {
  AlterElement<int32_t>(copy_ / kArchRecord, "prompt0.ids", 3,
                        [](int32_t id) { return id + 1; });
  ExpectFailure("  FAIL  texts: 1 of");
}

TEST_F(ArchitectureCopyTest, WhatCannotBeImportedFails) {
  std::filesystem::remove(copy_ / "model.safetensors");
  ExpectFailure("  FAIL  prompt0 import: ");
}

}  // namespace
}  // namespace lutra::golden
