#ifndef LUTRA_TOOLS_CLI_CONFIG_FILE_H_
#define LUTRA_TOOLS_CLI_CONFIG_FILE_H_

#include <string>
#include <string_view>
#include <vector>

namespace lutra::tools {

// The words of a command line. Where the second is `verb` and the third a file
// whose name ends in ".json", that stands for the options the file has: an
// object with the long names of options without their dashes as keys, and
// "model" for what is in no option. Values are numbers, texts, true for an
// option without one, false for leaving it out, and lists. Options that are on
// the command line, too, count there. Throws lutra::Error for a file that is no
// such object; which keys there are, the verb tells.
std::vector<std::string> ExpandConfig(int argc, const char* const* argv,
                                      std::string_view verb);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_CONFIG_FILE_H_
