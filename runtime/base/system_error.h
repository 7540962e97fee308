#ifndef LUTRA_RUNTIME_BASE_SYSTEM_ERROR_H_
#define LUTRA_RUNTIME_BASE_SYSTEM_ERROR_H_

#include <string_view>

#include "lutra/runtime/error.h"

namespace lutra {

// "file: cannot open: No such file or directory", by `number`, an errno.
Error SystemError(std::string_view file, std::string_view failure, int number);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_SYSTEM_ERROR_H_
