#ifndef LUTRA_TOOLS_CLI_MAN_PAGE_H_
#define LUTRA_TOOLS_CLI_MAN_PAGE_H_

#include <string>

#include "tools/cli/command_description.h"

namespace lutra::tools {

// The manual page of a command, section 1, in the man macros of troff.
std::string ManPage(const CommandDescription& description,
                    const std::string& version);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_MAN_PAGE_H_
