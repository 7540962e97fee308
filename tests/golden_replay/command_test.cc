#include "tests/golden_replay/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden_replay/replay_command.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A case that parq accepts, of a map that needs no step: a weight of 0.4
// becomes the nearest level, 0 (of -1, 0, 1), or what `out` says it became.
void WriteProxFolder(const std::filesystem::path& folder, float out = 0.0f) {
  std::filesystem::create_directories(folder);
  const std::string cases =
      R"({\"cases\":[{\"class\":\"ProxHardQuant\",\"grid\":\"g\",)"
      R"(\"per_channel\":false,\"prefix\":\"g/hard\",\"q_given\":false}]})";
  RawFile file;
  file.header = R"({"__metadata__":{"golden":")" + cases + R"("},
    "g/hard/inv_slope":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},
    "g/hard/steps":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},
    "g/Q":{"dtype":"F32","shape":[3],"data_offsets":[16,28]},
    "g/p":{"dtype":"F32","shape":[1,1],"data_offsets":[28,32]},
    "g/q":{"dtype":"F32","shape":[1,1],"data_offsets":[32,36]},
    "g/hard/out":{"dtype":"F32","shape":[1,1],"data_offsets":[36,40]}})";
  const auto append = [&file](auto value) {
    file.data.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(std::numeric_limits<double>::quiet_NaN());
  append(int64_t{7});
  for (const float value : {-1.0f, 0.0f, 1.0f, 0.4f, 9.0f, out}) append(value);
  WriteBytes(folder / "any.safetensors", file.Bytes());
}

TEST(ReplayCommandTest, ALinePerCaseAndSummaries) {
  const TempDir dir;
  WriteProxFolder(dir / "a");
  const Outcome outcome = ReplayFolder(dir / "a");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(
      outcome.out,
      (dir / "a").string() +
          " (parq)\n"
          "  pass  any.safetensors g/hard: 0 of 2 values miss, worst 0 (exact, "
          "1e-14 relative)\n"
          "  1 of 1 cases pass, 0 of 2 values miss, worst 0\n"
          "total: 1 of 1 cases pass, 0 of 2 values miss, worst 0\n");
}

TEST(ReplayCommandTest, OneWrongValueFails) {
  const TempDir dir;
  WriteProxFolder(dir / "a", 0.25f);
  const Outcome outcome = ReplayFolder(dir / "a");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(
      outcome.out,
      HasSubstr("  FAIL  any.safetensors g/hard: 1 of 2 values miss, "
                "worst 0.250 (exact, 1e-14 relative): out differs first "
                "at element 0: 0 instead of 0.25\n"));
  EXPECT_THAT(outcome.out, HasSubstr("total: 0 of 1 cases pass"));
}

TEST(ReplayCommandTest, AParentStandsForItsSubfolders) {
  const TempDir dir;
  WriteProxFolder(dir / "set/b/deep");
  WriteProxFolder(dir / "set/a");
  WriteBytes(dir / "set/README.md", "what this is");
  const auto json = ReplayAsJson(dir / "set");
  ASSERT_EQ(json["folders"].size(), 2u);
  EXPECT_EQ(json["folders"][0]["folder"], (dir / "set/a").string());
  EXPECT_EQ(json["folders"][1]["folder"], (dir / "set/b/deep").string());
  EXPECT_EQ(json["passed"], true);
  EXPECT_EQ(json["total"]["cases"], 2);

  // One bad folder among them is enough.
  std::filesystem::create_directories(dir / "set/c");
  const Outcome outcome = ReplayFolder(dir / "set");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr((dir / "set/c").string() + " (unknown)\n"),
                    HasSubstr("total: 2 of 3 cases pass")));
}

TEST(ReplayCommandTest, SeveralFolders) {
  const TempDir dir;
  WriteProxFolder(dir / "good");
  WriteProxFolder(dir / "bad", 1.0f);
  EXPECT_EQ(
      Replay({(dir / "good").string(), (dir / "good").string()}).exit_code, 0);
  for (const bool first : {true, false}) {
    const auto a = (dir / (first ? "bad" : "good")).string();
    const auto b = (dir / (first ? "good" : "bad")).string();
    const Outcome outcome = Replay({a, b});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, HasSubstr("total: 1 of 2 cases pass"));
  }
}

TEST(ReplayCommandTest, FoldersWithoutCases) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "empty");
  std::filesystem::create_directories(dir / "words");
  WriteBytes(dir / "words/a.txt", "words");
  std::filesystem::create_directories(dir / "tensors/sub");
  WriteProxFolder(dir / "tensors/sub");
  WriteBytes(dir / "tensors/other.safetensors", RawFile{"{}", ""}.Bytes());
  WriteBytes(dir / "file", "");
  std::filesystem::create_directories(dir / "circle");
  std::filesystem::create_directory_symlink(dir / "circle",
                                            dir / "circle/again");
  for (const auto& [folder, cause] :
       {std::pair("none", "No such file"), std::pair("file", "Not a directory"),
        std::pair("empty", "is of no known kind"),
        std::pair("words", "is of no known kind"),
        std::pair("tensors", "is of no known kind"),
        std::pair("circle", "is nested too deeply")}) {
    const Outcome outcome = ReplayFolder(dir / folder);
    EXPECT_EQ(outcome.exit_code, 1) << folder;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("  FAIL  folder: "), HasSubstr(cause),
                      HasSubstr("total: 0 of 1 cases pass")));
  }
}

TEST(ReplayCommandTest, Filter) {
  const TempDir dir;
  WriteProxFolder(dir / "good");
  WriteProxFolder(dir / "bad", 1.0f);
  const std::string folder = dir.path().string();
  const Outcome good = Replay({folder, "--filter", "good/any"});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_THAT(good.out,
              AllOf(HasSubstr("total: 1 of 1 cases"), Not(HasSubstr("bad"))));
  EXPECT_EQ(Replay({folder, "--filter", "g/hard"}).exit_code, 1);
  const Outcome none = Replay({folder, "--filter", "nothing like it"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(none.out, "no case is named like 'nothing like it'\n");
  // A filter does not hide what cannot be replayed.
  std::filesystem::create_directories(dir / "empty");
  EXPECT_EQ(Replay({folder, "--filter", "good/any"}).exit_code, 1);
}

TEST(ReplayCommandTest, OnlyFailures) {
  const TempDir dir;
  WriteProxFolder(dir / "good");
  WriteProxFolder(dir / "bad", 1.0f);
  const Outcome outcome = Replay({dir.path().string(), "--failures"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("FAIL"), Not(HasSubstr("  pass  ")),
                                 HasSubstr("total: 1 of 2 cases pass")));
}

TEST(ReplayCommandTest, Json) {
  const TempDir dir;
  WriteProxFolder(dir / "a", 0.25f);
  const auto json = ReplayAsJson(dir / "a");
  EXPECT_EQ(json["passed"], false);
  EXPECT_EQ(json["total"],
            nlohmann::json::parse(
                R"({"cases":1,"passed":0,"values":2,"mismatches":1,)"
                R"("worst":0.25})"));
  const auto& folder = json["folders"][0];
  EXPECT_EQ(folder["kind"], "parq");
  EXPECT_EQ(folder["summary"], json["total"]);
  EXPECT_EQ(folder["cases"],
            nlohmann::json::parse(
                R"([{"case":"any.safetensors g/hard","passed":false,)"
                R"("values":2,"mismatches":1,"worst":0.25,)"
                R"("tolerance":"exact, 1e-14 relative",)"
                R"("note":"out differs first at element 0: )"
                R"(0 instead of 0.25"}])"));
}

TEST(ReplayCommandTest, HelpAndWrongUsage) {
  const Outcome help = Replay({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("FOLDER"), HasSubstr("--filter"),
                              HasSubstr("--failures"), HasSubstr("--json"),
                              HasSubstr("Examples:")));
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{
           {}, {"--jsn"}, {"folder", "--filter"}}) {
    const Outcome outcome = Replay(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << ::testing::PrintToString(arguments);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, ::testing::StartsWith("golden_replay: error: "));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
  }
}

}  // namespace
}  // namespace lutra::golden
