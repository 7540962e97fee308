#ifndef LUTRA_TOOLS_CLI_LOAD_OPTIONS_H_
#define LUTRA_TOOLS_CLI_LOAD_OPTIONS_H_

#include <string_view>

#include "lutra/runtime/load_options.h"
#include "tools/cli/command_line.h"

namespace lutra::tools {

// --load map|copy|huge: where the weights of a model lie; --adapter FOLDER:
// what is put beside them.
void AddLoadOptions(Verb& verb, LoadOptions& options);
// The word for it.
std::string_view LoadName(const LoadOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_LOAD_OPTIONS_H_
