#ifndef LUTRA_RUNTIME_BASE_OUT_OF_MEMORY_H_
#define LUTRA_RUNTIME_BASE_OUT_OF_MEMORY_H_

#include <string>

#include "lutra/runtime/error.h"

namespace lutra {

inline Error OutOfMemory(const std::string& cause) {
  return Error(ErrorCode::kOutOfMemory, cause);
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_OUT_OF_MEMORY_H_
