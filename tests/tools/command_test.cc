#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "lutra.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const char* const kVerbs[] = {
    "train", "import",     "pack",  "synth",   "inspect",     "verify",
    "diff",  "eval",       "bench", "profile", "generate",    "chat",
    "run",   "embed-text", "cpu",   "embed",   "completions", "man"};

TEST(CommandTest, HelpNamesTheVerbs) {
  const std::string help = OutputOf({"--help"});
  // As a line of its own, not only inside of a word.
  for (const char* verb : kVerbs) {
    EXPECT_THAT(help, HasSubstr(std::string("\n  ") + verb + "  "));
  }
  EXPECT_THAT(help, HasSubstr("Example:"));
}

TEST(CommandTest, EveryVerbHasHelpWithAnExample) {
  for (const char* verb : kVerbs) {
    SCOPED_TRACE(verb);
    const std::string help = OutputOf({verb, "--help"});
    EXPECT_THAT(help, HasSubstr("Options:"));
    const size_t example = help.find("\nExample");
    ASSERT_NE(example, std::string::npos) << help;
    EXPECT_THAT(help.substr(example),
                HasSubstr(std::string("  lutra ") + verb));
  }
}

TEST(CommandTest, Version) {
  EXPECT_EQ(OutputOf({"--version"}),
            std::string("lutra ") + lutra_version() + "\n");
}

// A wrong command line: exit code 2 and one line that says what is wrong.
void ExpectUsageError(const std::vector<std::string>& arguments,
                      const std::string& cause) {
  SCOPED_TRACE(::testing::PrintToString(arguments));
  const Outcome outcome = RunLutra(arguments);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(StartsWith("lutra: error: "), HasSubstr(cause),
                                 EndsWith("\n")));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
      << outcome.err;
}

TEST(CommandTest, UsageErrors) {
  ExpectUsageError({}, "subcommand");
  ExpectUsageError({"pakc"}, "unknown verb 'pakc'; did you mean 'pack'?");
  ExpectUsageError({"--verison"}, "did you mean '--version'?");
  ExpectUsageError({"pack", "m", "-o", "p", "--bitz", "2"},
                   "unknown option '--bitz'; did you mean '--bits'?");
  ExpectUsageError({"pack", "m", "-o", "p", "--group-sise=2"},
                   "did you mean '--group-size'?");
  ExpectUsageError({"pack", "m"}, "--output");
  ExpectUsageError({"pack", "-o", "p"}, "MODEL");
  ExpectUsageError({"pack", "m", "-o", "p", "--bits", "two"}, "--bits");
  ExpectUsageError({"pack", "m", "-o", "p", "--bits", "99"}, "99");
  ExpectUsageError({"pack", "m", "-o", "p", "--group-size", "0"},
                   "--group-size");
  ExpectUsageError({"pack", "m", "-o", "p", "--quantizer", "streched"},
                   "did you mean 'stretched'?");
  ExpectUsageError({"pack", "m", "-o", "p", "--rule", "fc1=bit:2"},
                   "did you mean 'bits'?");
  ExpectUsageError({"pack", "m", "-o", "p", "--exclude", "(fc1"},
                   "regular expression");
  ExpectUsageError({"pack", "m", "-o", "p", "--json", "--format", "table"},
                   "--format");
  ExpectUsageError({"inspect"}, "MODEL");
  ExpectUsageError({"inspect", "a", "b"}, "was not expected: b");
  ExpectUsageError({"inspect", "a", "--format", "jsn"}, "did you mean 'json'?");
  ExpectUsageError({"eval", "m"}, "--data");
  ExpectUsageError({"eval", "m", "--data", "d", "--activations", "int9"},
                   "did you mean 'int8'?");
  ExpectUsageError({"eval", "m", "--data", "d", "--label", "a", "--label", "b"},
                   "more labels than models");
  ExpectUsageError({"eval", "m", "--data", "d", "--reference", "other"},
                   "'other'");
  ExpectUsageError({"bench", "m", "--batch", "0"}, "--batch");
  ExpectUsageError({"bench", "m", "--threads", "-1"}, "--threads");
  ExpectUsageError({"bench", "m", "--activations", "int8,flaot32"},
                   "did you mean 'float32'?");
  ExpectUsageError({"run", "m"}, "--input");
}

// Inputs are known only once the model is loaded, but the mistake is still one
// of the command line.
TEST(CommandTest, UsageErrorsAboutInputs) {
  const Workshop shop;
  const std::string model = shop / "float.safetensors";
  const std::string images = shop.data() + "/t10k-images-idx3-ubyte";
  ExpectUsageError({"run", model, "-i", "x=" + images, "-i", images},
                   "'x' is given twice");
}

// A model that takes seconds to write, so that the signal comes in time.
TEST(CommandTest, CtrlCLeavesNothingBehind) {
  const TempDir dir;
  const std::string path = (dir / "large.safetensors").string();
  const Outcome outcome =
      RunLutra({"synth", "--like", "tinyllama-1.1b", "-o", path},
               RunSettings{.interrupt_on_file = dir.path()});
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(FilesIn(dir.path()), ::testing::IsEmpty());
}

// By default the system ends a program that writes too long a file.
TEST(CommandTest, LimitOnFileSizesIsReported) {
  const Workshop shop;
  const TempDir dir;
  const std::string path = (dir / "packed.safetensors").string();
  const Outcome outcome =
      RunLutra({"pack", shop / "float.safetensors", "-o", path},
               RunSettings{.file_limit = 512});
  ExpectError(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(path), HasSubstr("too large")));
  EXPECT_THAT(FilesIn(dir.path()), ::testing::IsEmpty());
}

TEST(CommandTest, ClosedPipeIsReported) {
  const Workshop shop;
  const Outcome outcome =
      RunLutra({"inspect", shop / "float.safetensors"}, Stdout::kClosedPipe);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err,
              StartsWith("lutra: error: cannot write to standard output"));
}

TEST(CommandTest, FullDiskIsReported) {
  if (!std::filesystem::exists("/dev/full")) {
    GTEST_SKIP() << "this system has no /dev/full";
  }
  const Workshop shop;
  const Outcome outcome =
      RunLutra({"inspect", shop / "float.safetensors"}, Stdout::kFullDisk);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err,
              StartsWith("lutra: error: cannot write to standard output"));
}

}  // namespace
}  // namespace lutra::tools
