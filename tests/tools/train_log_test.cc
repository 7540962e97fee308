// What lutra train writes about its steps, and what lutra plot makes of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>

#include "tests/tools/train_text.h"

namespace lutra::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TrainLogTest : public TrainTextTest {};

TEST_F(TrainLogTest, LogIsCsvByItsName) {
  OutputOf(Train({"--log", Path("log.csv")}));
  const std::string log = ReadBytes(Path("log.csv"));
  EXPECT_THAT(log, ::testing::StartsWith("step,epoch,loss,learning_rate,"
                                         "gradient_norm,rows_per_second,"
                                         "inverse_slope,validation_loss\n"
                                         "1,1,"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 31);
}

TEST_F(TrainLogTest, LogsAreDrawn) {
  OutputOf(Train({"--log", Path("float.csv")}));
  OutputOf(Train({"--log", Path("bits.jsonl"), "--bits", "2", "--group-size",
                  "16", "--validate", text_}));
  const std::string svg = Path("runs.svg");
  EXPECT_THAT(
      OutputOf({"plot", Path("float.csv"), Path("bits.jsonl"), "-o", svg}),
      HasSubstr("6 panels of 2 runs"));
  EXPECT_THAT(ReadBytes(svg),
              AllOf(HasSubstr("inverse slope"), HasSubstr("validation"),
                    HasSubstr("distance to the grid"), HasSubstr("float.csv"),
                    HasSubstr("</svg>")));
  // Weights come to their grids, and lie on them at the end.
  const auto lines = Log("bits.jsonl");
  EXPECT_GT(lines[3]["grid_distance/down"], 0.05);
  EXPECT_EQ(lines[29]["grid_distance/down"], 0.0);
  EXPECT_TRUE(lines[3]["validation_loss"].is_null());
  EXPECT_LT(lines[29]["validation_loss"], lines[0]["loss"]);
  EXPECT_THAT(OutputOf({"plot", Path("bits.jsonl"), "--layers", "-o", svg}),
              HasSubstr("8 panels of 1 run"));
  EXPECT_THAT(ReadBytes(svg), AllOf(HasSubstr(">down<"), HasSubstr(">up<"),
                                    Not(HasSubstr("inverse slope"))));
  // The same of CSV, where every line has all columns.
  OutputOf(
      Train({"--log", Path("bits.csv"), "--bits", "2", "--group-size", "16"}));
  EXPECT_THAT(ReadBytes(Path("bits.csv")), HasSubstr(",grid_distance/down,"));
  OutputOf({"plot", Path("bits.csv"), "--layers", "-o", svg});
  // The name says what kind of file it is.
  const Outcome png =
      RunLutra({"plot", Path("bits.csv"), "-o", Path("picture.png")});
  if (png.exit_code == 0) {
    EXPECT_TRUE(ReadBytes(Path("picture.png")).starts_with("\x89PNG"));
  } else {
    EXPECT_THAT(png.err, HasSubstr("built without AGG and libpng"));
  }
  EXPECT_EQ(RunLutra({"plot", Path("float.csv"), Path("bits.csv"), "--layers",
                      "-o", svg})
                .exit_code,
            2);
  ExpectError(RunLutra({"plot", Path("float.csv"), "--layers", "-o", svg}));
  // What is no log is named, and leaves no picture.
  std::filesystem::remove(svg);
  for (const auto& [text, cause] :
       std::map<std::string, std::string>{{"{\n", "line 1 is not valid JSON"},
                                          {"{}\n", "it has no step"},
                                          {"a,b\n1,2\n", "it has no step"},
                                          {"step\n", "has no steps"}}) {
    WriteBytes(Path("bad"), text);
    const Outcome outcome = RunLutra({"plot", Path("bad"), "-o", svg});
    ExpectError(outcome);
    EXPECT_THAT(outcome.err, HasSubstr(cause));
    EXPECT_FALSE(std::filesystem::exists(svg));
  }
}

TEST_F(TrainLogTest, ResultsAreDrawnByTheirBits) {
  const std::string svg = Path("bits.svg");
  WriteBytes(Path("a.json"),
             R"({"models": [{"bits_per_weight": 4, "perplexity": 8},
                            {"bits_per_weight": 2, "perplexity": 20.5}]})");
  WriteBytes(Path("b.json"),
             R"({"models": [{"bits_per_weight": 3, "perplexity": 9,
                             "kl_divergence": 0.25}]})");
  EXPECT_THAT(OutputOf({"plot", Path("a.json"), "-o", svg}),
              HasSubstr("20.500"));
  EXPECT_THAT(
      OutputOf({"plot", Path("a.json"), Path("b.json"), "-o", svg, "--format",
                "markdown"}),
      HasSubstr("| b   |       |        3.00 |            |     0.2500"));
  EXPECT_THAT(ReadBytes(svg),
              AllOf(HasSubstr("bits per weight"), HasSubstr("perplexity"),
                    // Fewer bits lie on the left, a larger perplexity above.
                    HasSubstr("points=\"90.0,220.0 820.0,390.0 \"")));
  OutputOf(Train({"--log", Path("log.csv")}));
  for (const auto& [file, text, cause] :
       {std::tuple("log.csv", "", "pictures of their own"),
        std::tuple("bad.json", R"({"models": [{"accuracy": 0.9}]})",
                   "is not what 'lutra eval --text"),
        std::tuple("none.json", R"({"models": []})", "has no models"),
        std::tuple("bits.json",
                   R"({"models": [{"bits_per_weight": 65, "perplexity": 2}]})",
                   "is not what 'lutra eval --text")}) {
    if (*text != '\0') WriteBytes(Path(file), text);
    const Outcome outcome =
        RunLutra({"plot", Path("a.json"), Path(file), "-o", svg});
    ExpectError(outcome);
    EXPECT_THAT(outcome.err, HasSubstr(cause));
  }
}

}  // namespace
}  // namespace lutra::tools
