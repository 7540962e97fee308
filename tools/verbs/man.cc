#include "tools/cli/man_page.h"

#include <iostream>
#include <string>

#include "lutra.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kManExample =
    "Example:\n"
    "  lutra man | man -l -";

}  // namespace

void AddManVerb(CommandLine& line) {
  Verb verb = line.AddVerb("man", "Print the manual page");
  verb.Footer(kManExample);
  verb.OnRun([&line] {
    std::cout << ManPage(line.Describe(),
                         std::string("lutra ") + lutra_version());
  });
}

}  // namespace lutra::tools
