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
#include <vector>

#include "lutra.h"
#include "lutra/kernels/variants.h"
#include "lutra/runtime/error.h"
#include "tools/cli/command_line.h"
#include "tools/cli/config_file.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/log.h"
#include "tools/cli/memory_reserve.h"
#include "tools/cli/table.h"
#include "tools/cli/usage_error.h"
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
  CommandLine line("lutra",
                   "Neural networks whose weights are table look-ups.");
  line.Version(std::string("lutra ") + lutra_version());
  line.Footer(kExample);
  line.OnParsed(CheckKernelRequest);
  AddTrainVerb(line);
  AddPlotVerb(line);
  AddImportVerb(line);
  AddExportVerb(line);
  AddRotateVerb(line);
  AddRescaleVerb(line);
  AddCalibrateVerb(line);
  AddPackVerb(line);
  AddTuneVerb(line);
  AddSynthVerb(line);
  AddInspectVerb(line);
  AddVerifyVerb(line);
  AddDiffVerb(line);
  AddEvalVerb(line);
  AddBenchVerb(line);
  AddProfileVerb(line);
  AddGenerateVerb(line);
  AddChatVerb(line);
  AddRunVerb(line);
  AddEmbedVerb(line);
  AddEmbedTextVerb(line);
  AddCpuVerb(line);
  AddCompletionsVerb(line);
  AddManVerb(line);
  const std::vector<std::string> words = ExpandConfig(argc, argv, "train");
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  int code = 0;
  try {
    line.Parse(static_cast<int>(pointers.size()), pointers.data());
  } catch (const ExitStatus& status) {
    if (*status.what() != '\0') PrintError(status.what());
    code = status.code();
  } catch (const UsageError& error) {
    PrintError(std::string(error.what()) + " (see --help)");
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
  // So is a limit on the size of files (ulimit -f).
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  lutra::tools::ReserveMemory();
  try {
    lutra::tools::PrintLog();
    return lutra::tools::RunCommand(argc, argv);
  } catch (const std::bad_alloc&) {
    lutra::tools::PrintError("out of memory");
  } catch (const std::exception& error) {
    lutra::tools::PrintError(error.what());
  }
  return lutra::tools::kFailure;
}
