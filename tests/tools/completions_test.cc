#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "tests/temp_dir.h"
#include "tests/tools/command.h"

// The manual page and the completions of shells, against what --help says.

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Matches(const std::string& text,
                                 const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end;
       match != end; ++match) {
    found.push_back((*match)[1]);
  }
  return found;
}

// Of a page of --help.
std::vector<std::string> OptionsIn(const std::string& help) {
  return Matches(help, R"((?:^|\n  |,)(--?[a-z0-9][a-z0-9-]*))");
}

// From the first `start` to the next `end`.
std::string Part(const std::string& text, const std::string& start,
                 const std::string& end) {
  const size_t from = text.find(start);
  if (from == std::string::npos) return "";
  return text.substr(from, text.find(end, from + start.size()) - from);
}

class CompletionsTest : public ::testing::Test {
 protected:
  // Runs a shell script in a folder with `file`; returns what it prints.
  std::string Script(const std::string& file, const std::string& content,
                     const std::string& script) {
    std::ofstream(dir_ / file) << content;
    const std::string command =
        "cd '" + dir_.string() + "' && (" + script + ") >out 2>&1";
    EXPECT_EQ(system(command.c_str()), 0) << command;
    std::ifstream stream(dir_ / "out");
    return std::string(std::istreambuf_iterator<char>(stream), {});
  }
  static bool Has(const std::string& program) {
    return system(("command -v " + program + " >/dev/null").c_str()) == 0;
  }

  TempDir temp_;
  std::filesystem::path dir_ = temp_.path();
};

TEST_F(CompletionsTest, AllKnowEveryVerbAndOption) {
  const std::string man = OutputOf({"man"});
  const std::string bash = OutputOf({"completions", "bash"});
  const std::string zsh = OutputOf({"completions", "zsh"});
  const std::string fish = OutputOf({"completions", "fish"});
  const std::vector<std::string> verbs =
      Matches(Part(OutputOf({"--help"}), "Subcommands:", "\n\n"),
              R"(\n  ([a-z][a-z-]+) )");
  ASSERT_GT(verbs.size(), 20u);
  for (const std::string& verb : verbs) {
    SCOPED_TRACE(verb);
    const std::vector<std::string> options =
        OptionsIn(Part(OutputOf({verb, "--help"}), "\nOptions:", "\n\n"));
    ASSERT_GE(options.size(), 2u);
    const std::string title = std::regex_replace(verb, std::regex("-"), "\\-");
    const std::string page =
        Part(man, "\n.SH \"lutra " + title + "\"", "\n.SH");
    const std::string bash_part = Part(bash, "    " + verb + ")\n", "esac");
    const std::string zsh_part = Part(zsh, "\n" + verb + ") ", ";;\n");
    for (const std::string& option : options) {
      EXPECT_THAT(
          page, HasSubstr(std::regex_replace(option, std::regex("-"), "\\-")));
      EXPECT_THAT(bash_part + " ",
                  ::testing::ContainsRegex("[ ']" + option + "[ ']"));
      EXPECT_THAT(zsh_part, HasSubstr(option + "["));
      const std::string bare = option.substr(option.find_first_not_of('-'));
      EXPECT_THAT(fish, ::testing::ContainsRegex(
                            "from " + verb + "'[^\n]* -[sl] " + bare + " "));
    }
  }
}

TEST_F(CompletionsTest, BashAnswers) {
  const std::string completions = OutputOf({"completions", "bash"});
  const auto ask = [&](const std::string& words) {
    return Script("ask", completions,
                  "bash -c 'source ask; COMP_WORDS=(" + words +
                      "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _lutra; echo "
                      "${COMPREPLY[*]}'");
  };
  EXPECT_EQ(ask("lutra pac"), "pack\n");
  EXPECT_EQ(ask("lutra --v"), "--version\n");
  EXPECT_EQ(ask("lutra pack --roun"), "--rounding\n");
  EXPECT_EQ(ask("lutra pack --rounding \"\""), "gptq clip\n");
  EXPECT_EQ(ask("lutra pack --rounding = g"), "gptq\n");
  EXPECT_EQ(ask("lutra pack --rounding ="), "gptq clip\n");
  EXPECT_EQ(ask("lutra completions z"), "zsh\n");
  EXPECT_EQ(ask("lutra pack --output x"), "\n");  // bash takes files
  EXPECT_EQ(ask("lutra nothing --x"), "\n");
}

TEST_F(CompletionsTest, ShellsAndManRead) {
  struct Case {
    std::vector<std::string> arguments;
    const char* program;
    const char* check;
  };
  const Case cases[] = {{{"completions", "zsh"}, "zsh", "zsh -n page"},
                        {{"completions", "fish"}, "fish", "fish -n page"},
                        {{"completions", "bash"}, "bash", "bash -n page"},
                        {{"man"}, "groff", "groff -man -ww -Tascii -z page"},
                        {{"man"}, "mandoc", "mandoc -T lint -W error page"}};
  for (const Case& c : cases) {
    if (!Has(c.program)) continue;
    EXPECT_EQ(Script("page", OutputOf(c.arguments), c.check), "") << c.check;
  }
}

}  // namespace
}  // namespace lutra::tools
