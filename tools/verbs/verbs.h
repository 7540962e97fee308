#ifndef LUTRA_TOOLS_VERBS_VERBS_H_
#define LUTRA_TOOLS_VERBS_VERBS_H_

#include <CLI/CLI.hpp>

// The verbs of the lutra command, one file each (tools/<verb>.cc). A verb adds
// its subcommand with options, an example, and a callback that does the work
// and throws lutra::Error (exit code 1) when it cannot.

namespace lutra::tools {

void AddTrainVerb(CLI::App& app);
void AddImportVerb(CLI::App& app);
void AddPackVerb(CLI::App& app);
void AddSynthVerb(CLI::App& app);
void AddInspectVerb(CLI::App& app);
void AddVerifyVerb(CLI::App& app);
void AddDiffVerb(CLI::App& app);
void AddEvalVerb(CLI::App& app);
void AddBenchVerb(CLI::App& app);
void AddProfileVerb(CLI::App& app);
void AddGenerateVerb(CLI::App& app);
void AddRunVerb(CLI::App& app);
void AddCpuVerb(CLI::App& app);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_VERBS_H_
