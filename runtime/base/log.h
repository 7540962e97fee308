#ifndef LUTRA_RUNTIME_BASE_LOG_H_
#define LUTRA_RUNTIME_BASE_LOG_H_

#include <string_view>

#include "lutra/runtime/log.h"

namespace lutra {

// "subject: what", made printable; nothing if nobody listens.
void Log(LogLevel level, std::string_view subject, std::string_view what);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_LOG_H_
