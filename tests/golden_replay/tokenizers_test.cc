// Tokenizers with recorded ids and texts.

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

TEST(TokenizersTest, AllFoldersPass) {
  const auto folder = TestData("golden/tokenizers");
  if (!folder) GTEST_SKIP() << "golden/tokenizers absent (LUTRA_TEST_DATA)";
  const Outcome outcome = ReplayFolder(*folder);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

TEST(TokenizersTest, IdsAndTextsAreExact) {
  const auto folder = TestData("golden/tokenizers/wordpiece");
  if (!folder) GTEST_SKIP() << "golden/tokenizers absent (LUTRA_TEST_DATA)";
  const TempDir dir;
  const auto copy = dir / "copy";
  CopyFiles(*folder, copy);
  const std::string before = ReadBytes(copy / "samples.json");
  const auto samples = nlohmann::json::parse(before);
  const auto expect = [&](nlohmann::json altered, const char* line) {
    WriteBytes(copy / "samples.json", altered.dump());
    const Outcome outcome = ReplayFolder(copy);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, HasSubstr(line));
  };
  auto altered = samples;
  altered["samples"][60]["ids_special"][0] = 7;
  expect(altered, "FAIL  tokenizer.json samples 60: ");
  altered = samples;
  altered["samples"][61]["decoded_skip"] = "something else";
  expect(altered, "FAIL  tokenizer.json samples 61: ");
  altered = samples;
  altered["decode"][3]["decoded"] = "something else";
  expect(altered, "FAIL  tokenizer.json decode 3: ");
}

}  // namespace
}  // namespace lutra::golden
