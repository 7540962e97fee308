// Whatever the files hold, each folder gets its verdict.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tests/golden_replay/replay_command.h"
#include "tests/mutator.h"
#include "tests/rounds.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"

namespace lutra::golden {
namespace {

using ::testing::HasSubstr;

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// The only file of a folder, then one beside a good one.
TEST(DamageTest, ATruncatedFileIsOneLine) {
  const auto folder = TestData("golden/parq");
  if (!folder) GTEST_SKIP() << "golden/parq absent (LUTRA_TEST_DATA)";
  const TempDir dir;
  const std::string whole = ReadBytes(*folder / "fakequant.safetensors");
  const auto damaged = dir / "damaged.safetensors";
  for (const bool alone : {true, false}) {
    if (!alone) WriteBytes(dir / "good.safetensors", whole);
    for (const size_t size :
         {size_t{0}, size_t{4}, size_t{100}, whole.size() - 1}) {
      WriteBytes(damaged, whole.substr(0, size));
      const Outcome outcome = ReplayFolder(dir.path());
      EXPECT_EQ(outcome.exit_code, 1);
      EXPECT_EQ(Count(outcome.out, "FAIL  damaged.safetensors: "), 1u)
          << outcome.out;
      EXPECT_EQ(Count(outcome.out, "FAIL"), alone ? 2u : 1u) << outcome.out;
    }
  }
}

TEST(DamageTest, ContentThatIsNoList) {
  const TempDir dir;
  for (const std::string cases :
       {"{", "[]", "null", R"({\"cases\":[]})", R"({\"cases\":{\"a\":1}})",
        R"({\"cases\":[[],1,null]})", R"({\"cases\":[{\"config\":1,\"w\":2}]})",
        R"({\"cases\":[{\"prefix\":\"\\u0000\\n\",\"config\":1,\"w\":2}]})"}) {
    const RawFile file{R"({"__metadata__":{"golden":")" + cases + R"("}})", ""};
    WriteBytes(dir / "a.safetensors", file.Bytes());
    const Outcome outcome = ReplayFolder(dir.path());
    EXPECT_EQ(outcome.exit_code, 1) << cases;
    EXPECT_EQ(outcome.err, "") << cases;
    EXPECT_THAT(outcome.out, HasSubstr("FAIL")) << cases;
  }
}

// Folders, cases and verdicts are one line each, whatever their names; the
// first line that is none of these.
std::string UnexpectedLine(const std::string& out) {
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    const bool heading = line.ends_with(" (parq)") || line.ends_with(" (hf)") ||
                         line.ends_with(" (unknown)");
    if (!heading && !line.starts_with("  FAIL  ") &&
        line.find(" cases pass, ") == std::string::npos &&
        !line.starts_with("no case ")) {
      return line;
    }
  }
  return "";
}

// Random damage to a file of a set, over and over.
void Damage(const std::filesystem::path& folder, const std::string& name,
            int rounds, uint32_t seed) {
  const TempDir dir;
  const auto copy = dir / "copy";
  CopyFiles(folder, copy);
  const std::string good = ReadBytes(copy / name);
  Mutator mutator(seed);
  for (int i = 0; i < Rounds(rounds); ++i) {
    SCOPED_TRACE(name + " " + std::to_string(i));
    const bool json = std::filesystem::path(name).extension() == ".json";
    WriteBytes(copy / name, json ? mutator.DamageJson(good)
                                 : mutator.Damage(good, good.size() / 4));
    const Outcome outcome =
        Replay({copy.string(), "--failures", "--filter", json ? "" : name});
    EXPECT_TRUE(outcome.exit_code == 0 || outcome.exit_code == 1);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(UnexpectedLine(outcome.out), "");
    EXPECT_EQ(outcome.exit_code == 1, Count(outcome.out, "FAIL") > 0 ||
                                          outcome.out.starts_with("no case"));
  }
}

TEST(DamageTest, ParqFiles) {
  const auto folder = TestData("golden/parq");
  if (!folder) GTEST_SKIP() << "golden/parq absent (LUTRA_TEST_DATA)";
  uint32_t seed = 1;
  for (const char* name :
       {"convert.safetensors", "fakequant.safetensors", "mlp.safetensors",
        "prox.safetensors", "quant_lsbq.safetensors",
        "trajectories.safetensors"}) {
    Damage(*folder, name, 20, ++seed);
  }
}

TEST(DamageTest, HuggingFaceFiles) {
  const auto folder = TestData("golden/hf/qwen2-bias-tied");
  if (!folder) GTEST_SKIP() << "golden/hf absent (LUTRA_TEST_DATA)";
  uint32_t seed = 1;
  for (const char* name :
       {"golden.safetensors", "golden_tokens.json", "config.json"}) {
    Damage(*folder, name, 20, ++seed);
  }
}

}  // namespace
}  // namespace lutra::golden
