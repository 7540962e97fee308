#ifndef LUTRA_TOOLS_VERBS_VERBS_H_
#define LUTRA_TOOLS_VERBS_VERBS_H_

#include "tools/cli/command_line.h"

// The verbs of the lutra command, one file each (tools/verbs/<verb>.cc). A verb
// adds its subcommand with options, an example, and a callback that does the
// work and throws lutra::Error (exit code 1) when it cannot.

namespace lutra::tools {

void AddTrainVerb(CommandLine& line);
void AddPlotVerb(CommandLine& line);
void AddImportVerb(CommandLine& line);
void AddExportVerb(CommandLine& line);
void AddCalibrateVerb(CommandLine& line);
void AddRotateVerb(CommandLine& line);
void AddRescaleVerb(CommandLine& line);
void AddTuneVerb(CommandLine& line);
void AddPackVerb(CommandLine& line);
void AddSynthVerb(CommandLine& line);
void AddInspectVerb(CommandLine& line);
void AddVerifyVerb(CommandLine& line);
void AddDiffVerb(CommandLine& line);
void AddEvalVerb(CommandLine& line);
void AddBenchVerb(CommandLine& line);
void AddProfileVerb(CommandLine& line);
void AddGenerateVerb(CommandLine& line);
void AddChatVerb(CommandLine& line);
void AddRunVerb(CommandLine& line);
void AddEmbedVerb(CommandLine& line);
void AddEmbedTextVerb(CommandLine& line);
void AddCpuVerb(CommandLine& line);
void AddCompletionsVerb(CommandLine& line);
void AddManVerb(CommandLine& line);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_VERBS_H_
