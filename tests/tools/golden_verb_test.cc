#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"
#include "tests/tools/command.h"

namespace lutra::tools {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The smallest of the golden files with quantizers, and what it refers to.
constexpr const char* kFile = "quant_ternunif.safetensors";
constexpr const char* kInputs = "inputs.safetensors";

void ExpectOneErrorLine(const Outcome& outcome, const std::string& file) {
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(StartsWith("lutra: error: "), HasSubstr(file),
                                 EndsWith("\n")));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
      << outcome.err;
}

TEST(GoldenVerbTest, FilesThatCannotBeOpened) {
  const TempDir dir;
  ExpectOneErrorLine(RunLutra({"golden", (dir / "none").string()}), "none");
  ExpectOneErrorLine(RunLutra({"golden", dir.path().string()}), "no golden");
  WriteBytes(dir / "prox.safetensors", "not a golden file");
  ExpectOneErrorLine(RunLutra({"golden", dir.path().string()}),
                     "prox.safetensors");
  WriteBytes(dir / "prox.safetensors",
             RawFile{R"({"__metadata__":{"golden":"{"}})", ""}.Bytes());
  ExpectOneErrorLine(RunLutra({"golden", dir.path().string()}),
                     "prox.safetensors");
}

TEST(GoldenVerbTest, ACaseThatCannotBeReplayedMisses) {
  const TempDir dir;
  WriteBytes(
      dir / "unheard_of.safetensors",
      RawFile{R"({"__metadata__":{"golden":"{\"cases\":[]}"}})", ""}.Bytes());
  const Outcome outcome = RunLutra({"golden", dir.path().string(), "--json"});
  ExpectOneErrorLine(outcome, "1 of 1 cases miss");
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["passed"], false);
  EXPECT_EQ(json["cases"][0]["file"], "unheard_of.safetensors");
  EXPECT_EQ(json["cases"][0]["passed"], false);
}

// A folder with copies of two real golden files.
class GoldenDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto source = TestData("golden/parq");
    if (!source.has_value()) {
      GTEST_SKIP() << "no golden data (set LUTRA_TEST_DATA)";
    }
    for (const char* name : {kFile, kInputs}) {
      std::filesystem::copy_file(*source / name, dir_ / name);
    }
    original_ = ReadBytes(dir_ / kFile);
  }

  Outcome Run(const std::string& option) const {
    return RunLutra({"golden", dir_.path().string(), option});
  }

  TempDir dir_;
  std::string original_;
};

TEST_F(GoldenDataTest, OneLinePerCaseAndASummary) {
  const Outcome text = Run("--format=table");
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_EQ(text.err, "");
  EXPECT_THAT(text.out, Not(HasSubstr("MISS")));

  const auto json = nlohmann::json::parse(Run("--json").out);
  EXPECT_EQ(json["passed"], true);
  ASSERT_EQ(json["files"].size(), 1u);  // the inputs have no cases
  EXPECT_EQ(json["files"][0]["file"], kFile);
  EXPECT_EQ(json["files"][0]["cases"], json["cases"].size());
  EXPECT_EQ(json["total"]["passed"], json["cases"].size());
  ASSERT_GT(json["cases"].size(), 1u);
  for (const auto& result : json["cases"]) {
    EXPECT_GT(result["values"], 0) << result;
    EXPECT_EQ(result["worst"], 0.0) << result;
    // The name, followed by its numbers, in one line of the table.
    EXPECT_THAT(text.out, HasSubstr(result["case"].get<std::string>() + " "));
  }
}

TEST_F(GoldenDataTest, AChangedValueMisses) {
  RawFile file = RawFile::Parse(original_);
  ASSERT_FALSE(file.data.empty());
  // The highest bit of the exponent of every number.
  for (size_t i = 3; i < file.data.size(); i += 4) {
    file.data[i] = static_cast<char>(file.data[i] ^ 0x40);
  }
  WriteBytes(dir_ / kFile, file.Bytes());
  const Outcome outcome = Run("--format=table");
  ExpectOneErrorLine(outcome, "cases miss");
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("MISS"), HasSubstr("differs")));
}

TEST_F(GoldenDataTest, ADamagedFileIsOneError) {
  for (const size_t size : {size_t{4}, size_t{100}, original_.size() - 1}) {
    WriteBytes(dir_ / kFile, original_.substr(0, size));
    ExpectOneErrorLine(Run("--json"), kFile);
  }
}

}  // namespace
}  // namespace lutra::tools
