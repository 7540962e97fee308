// The lutra command. Exit codes: 0; 1 if the work failed (or if the files that
// 'lutra diff' compares differ); 2 if the command line is wrong; 128 + a signal
// that ended it, 130 for Ctrl-C. Errors are one line on stderr.

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "lutra.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

constexpr const char* kExample =
    "Example:\n"
    "  lutra train --data /usr/share/datasets/fashion-mnist -o "
    "float.safetensors\n"
    "  lutra pack float.safetensors -o packed.safetensors --bits 2\n"
    "  lutra inspect packed.safetensors\n"
    "Each verb has its own --help.";

void PrintError(const std::string& message) {
  std::cerr << "lutra: error: " << OneLine(message) << std::endl;
}

// If the command line has a verb or an option that does not exist, says so and
// suggests the nearest; otherwise the parser's own message.
std::string UsageMessage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* verb = &app;
  if (!app.get_subcommands().empty()) verb = app.get_subcommands().front();
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (unknown.empty()) return error.what();
  const bool is_option = unknown.front().starts_with("--");
  if (!is_option && verb != &app) return error.what();

  std::vector<std::string> words;
  if (is_option) {
    for (const CLI::Option* option : verb->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        words.push_back("--" + name);
      }
    }
  } else {
    for (const CLI::App* sub : app.get_subcommands({})) {
      words.push_back(sub->get_name());
    }
  }
  const std::vector<std::string_view> known(words.begin(), words.end());
  const std::string& full = unknown.front();
  return UnknownWord(is_option ? "option" : "verb",
                     full.substr(0, full.find('=')), known);
}

// Refuses a LUTRA_KERNEL that cannot run: another variant would say little
// about the one that was meant.
void CheckKernelRequest() {
  const char* request = kernels::RefusedRequest();
  if (request == nullptr) return;
  size_t count = 0;
  const kernels::Variant* variants = kernels::Variants(&count);
  std::string known;
  for (size_t i = 0; i < count; ++i) {
    if (!variants[i].supported) continue;
    known.append(known.empty() ? "" : ", ").append(variants[i].name);
  }
  throw Error(std::string("LUTRA_KERNEL: this CPU has no variant '") + request +
              "'; it has " + known);
}

int RunCommand(int argc, const char* const* argv) {
  CLI::App app("Neural networks whose weights are table look-ups.", "lutra");
  app.set_version_flag("--version", std::string("lutra ") + lutra_version());
  app.require_subcommand(1);
  app.footer(kExample);
  app.parse_complete_callback(CheckKernelRequest);
  AddTrainVerb(app);
  AddImportVerb(app);
  AddPackVerb(app);
  AddSynthVerb(app);
  AddInspectVerb(app);
  AddVerifyVerb(app);
  AddDiffVerb(app);
  AddEvalVerb(app);
  AddBenchVerb(app);
  AddProfileVerb(app);
  AddGenerateVerb(app);
  AddRunVerb(app);
  AddCpuVerb(app);
  int code = 0;
  try {
    app.parse(argc, argv);
  } catch (const ExitStatus& status) {
    if (*status.what() != '\0') PrintError(status.what());
    code = status.code();
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    PrintError(UsageMessage(app, error) + " (see --help)");
    return kUsage;
  }
  // A full disk or a closed pipe shows only now.
  errno = 0;
  std::cout.flush();
  if (!std::cout) {
    throw Error("cannot write to standard output: " +
                std::string(errno == 0 ? "closed" : std::strerror(errno)));
  }
  return code;
}

}  // namespace
}  // namespace lutra::tools

int main(int argc, char** argv) {
  // A reader that stops early (as in "lutra inspect x | head") is an error to
  // report, not a reason to be killed half-way through writing a file.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return lutra::tools::RunCommand(argc, argv);
  } catch (const std::bad_alloc&) {
    lutra::tools::PrintError("out of memory");
  } catch (const std::exception& error) {
    lutra::tools::PrintError(error.what());
  }
  return lutra::tools::kFailure;
}
