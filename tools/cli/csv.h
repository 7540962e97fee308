#ifndef LUTRA_TOOLS_CLI_CSV_H_
#define LUTRA_TOOLS_CLI_CSV_H_

#include <string>

#include "tools/cli/json.h"

namespace lutra::tools {

// An array of flat JSON objects as comma-separated values (RFC 4180, but lines
// end with a newline only): a line with all keys in the order in which they
// first appear, then a line for each object.
std::string ToCsv(const Json& records);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_CSV_H_
