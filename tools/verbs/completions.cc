#include "tools/cli/completions.h"

#include <iostream>
#include <memory>
#include <string>

#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kCompletionsExample =
    "'cmake --install' puts them where shells look. For the shell that runs:\n"
    "\n"
    "Examples:\n"
    "  source <(lutra completions bash)\n"
    "  lutra completions fish | source";

}  // namespace

void AddCompletionsVerb(CommandLine& line) {
  Verb verb = line.AddVerb(
      "completions", "Print what a shell needs to complete command lines");
  const auto shell = std::make_shared<std::string>();
  verb.Add("SHELL", *shell, "Which shell")
      .Required()
      .OneOf({"bash", "zsh", "fish"});
  verb.Footer(kCompletionsExample);
  verb.OnRun([&line, shell] {
    const CommandDescription description = line.Describe();
    std::cout << (*shell == "bash"  ? BashCompletions(description)
                  : *shell == "zsh" ? ZshCompletions(description)
                                    : FishCompletions(description));
  });
}

}  // namespace lutra::tools
