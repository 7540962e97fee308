// Hugging Face folders with recorded outputs.

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

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kRecord = "golden.safetensors";
constexpr const char* kTokens = "golden_tokens.json";

TEST(HuggingFaceTest, AllFoldersPass) {
  const auto folder = TestData("golden/hf");
  if (!folder) GTEST_SKIP() << "golden/hf absent (LUTRA_TEST_DATA)";
  const Outcome outcome = ReplayFolder(*folder);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
}

// A copy of a folder, to be altered.
class HuggingFaceCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = TestData("golden/hf/llama3-scaled");
    if (!folder) GTEST_SKIP() << "golden/hf absent (LUTRA_TEST_DATA)";
    copy_ = temp_ / "copy";
    CopyFiles(*folder, copy_);
  }

  // One case fails, for this reason.
  void ExpectFailure(const std::string& line) {
    const Outcome outcome = Replay({copy_.string(), "--failures"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, HasSubstr("  FAIL  " + line));
    const std::string& out = outcome.out;
    size_t failures = 0;
    for (size_t at = out.find("FAIL"); at != std::string::npos;
         at = out.find("FAIL", at + 1)) {
      ++failures;
    }
    EXPECT_EQ(failures, 1u) << out;
  }

  nlohmann::json Tokens() const {
    return nlohmann::json::parse(ReadBytes(copy_ / kTokens));
  }
  void WriteTokens(const nlohmann::json& tokens) const {
    WriteBytes(copy_ / kTokens, tokens.dump());
  }

  TempDir temp_;
  std::filesystem::path copy_;
};

TEST_F(HuggingFaceCopyTest, LogitsIdsAndTextsAreCases) {
  const size_t samples = Tokens()["samples"].size();
  const auto cases = ReplayAsJson(copy_)["folders"][0]["cases"];
  std::vector<std::string> names;
  for (const auto& c : cases) names.push_back(c["case"]);
  std::vector<std::string> expected = {"stored logits", "stored greedy"};
  for (size_t i = 0; i < samples; ++i) {
    expected.push_back("tokens " + std::to_string(i));
  }
  expected.insert(expected.end(), {"float32 logits", "float32 greedy"});
  EXPECT_EQ(names, expected);
  EXPECT_EQ(cases[0]["tolerance"], "0.0002 absolute");
  EXPECT_EQ(cases[1]["tolerance"], "exact");

  std::filesystem::remove(copy_ / kTokens);
  const auto without = ReplayAsJson(copy_);
  EXPECT_EQ(without["passed"], true);
  EXPECT_EQ(without["total"]["cases"], 4);
}

TEST_F(HuggingFaceCopyTest, LogitsHaveATolerance) {
  AlterElement<float>(copy_ / kRecord, "logits", 1000,
                      [](float v) { return v + 1e-4f; });
  EXPECT_EQ(ReplayFolder(copy_).exit_code, 0);
  AlterElement<float>(copy_ / kRecord, "logits", 1000,
                      [](float v) { return v + 2e-4f; });
  const Outcome outcome = ReplayFolder(copy_);
  EXPECT_EQ(outcome.exit_code, 1);
  for (const char* weights : {"stored", "float32"}) {
    EXPECT_THAT(outcome.out,
                HasSubstr("  FAIL  " + std::string(weights) + " logits: 1 of"));
  }
  EXPECT_THAT(outcome.out, HasSubstr("differs first at element 1000"));
}

TEST_F(HuggingFaceCopyTest, GreedyIdsAreExact) {
  AlterElement<int32_t>(copy_ / kRecord, "greedy_from_first_8", 23,
                        [](int32_t id) { return id ^ 1; });
  const Outcome outcome = ReplayFolder(copy_);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("  FAIL  stored greedy: 1 of 24"),
                    HasSubstr("  FAIL  float32 greedy: 1 of 24"),
                    HasSubstr("greedy ids differs first at element 23")));
}

// All logits are 0, so that any id may follow.
TEST_F(HuggingFaceCopyTest, GreedyIdsEndWhereTwoAreEquallyGood) {
  const auto clear = [](std::span<char> bytes) {
    std::ranges::fill(bytes, '\0');
  };
  AlterBytes(copy_ / "model.safetensors", "lm_head.weight", clear);
  AlterBytes(copy_ / kRecord, "logits", clear);
  const auto json = ReplayAsJson(copy_);
  EXPECT_EQ(json["passed"], true);
  EXPECT_EQ(json["folders"][0]["cases"][1]["note"],
            "from id 0 on the two best logits are too close to tell");
}

TEST_F(HuggingFaceCopyTest, TextsAreExact) {
  const auto tokens = Tokens();
  auto altered = tokens;
  altered["samples"][1]["ids"].push_back(0);
  WriteTokens(altered);
  ExpectFailure("tokens 1: ");
  altered = tokens;
  altered["samples"][2]["decoded"] = "another";
  WriteTokens(altered);
  ExpectFailure("tokens 2: 1 of");
  altered = tokens;
  altered["samples"][3].erase("text");
  WriteTokens(altered);
  ExpectFailure("tokens 3: ");
}

TEST_F(HuggingFaceCopyTest, TensorsThatDoNotFit) {
  RawFile file = RawFile::Parse(ReadBytes(copy_ / kRecord));
  file.Replace("greedy_from_first_8", "greedy_from_first_9");
  WriteBytes(copy_ / kRecord, file.Bytes());
  const Outcome outcome = ReplayFolder(copy_);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("  FAIL  stored greedy: "),
                                 HasSubstr("'greedy_from_first_8'")));
}

TEST_F(HuggingFaceCopyTest, ADamagedFileIsOneLine) {
  for (const std::string name : {"config.json", "model.safetensors",
                                 "tokenizer.json", kTokens, kRecord}) {
    const std::string good = ReadBytes(copy_ / name);
    WriteBytes(copy_ / name, good.substr(0, good.size() / 2));
    const bool imported = name != kTokens && name != kRecord;
    ExpectFailure((imported ? "import" : name) + ": " +
                  (copy_ / name).string());
    WriteBytes(copy_ / name, good);
  }
  EXPECT_EQ(ReplayFolder(copy_).exit_code, 0);
}

}  // namespace
}  // namespace lutra::golden
