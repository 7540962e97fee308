#ifndef LUTRA_TOOLS_VERBS_INSPECT_SOURCE_H_
#define LUTRA_TOOLS_VERBS_INSPECT_SOURCE_H_

#include <string>

#include "tools/cli/options.h"

namespace lutra::tools {

// Whether inspect is to say what importing the path would give: a folder, or a
// file by another ending than a model's.
bool IsSource(const std::string& path);

// Prints what import would make of it, what it would take to run and how fast
// that could be here.
void PrintSource(const std::string& path, OutputFormat format);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_INSPECT_SOURCE_H_
