#include "tools/cli/log.h"

#include <unistd.h>

#include <iostream>
#include <set>
#include <string>

#include "lutra/runtime/log.h"
#include "tools/cli/table.h"

namespace lutra::tools {

void PrintLog() {
  // Erases what Progress has drawn.
  const char* const begin = ::isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : "";
  SetLog([begin, printed = std::set<std::string>()](
             LogLevel, const std::string& message) mutable {
    if (!printed.insert(message).second) return;
    std::cerr << begin << "lutra: warning: " << OneLine(message) << std::endl;
  });
}

}  // namespace lutra::tools
