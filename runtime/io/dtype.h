#ifndef LUTRA_RUNTIME_IO_DTYPE_H_
#define LUTRA_RUNTIME_IO_DTYPE_H_

#include <optional>
#include <string_view>

#include "lutra/runtime/safetensors.h"

namespace lutra {

// The inverse of Name(DType); nullopt for spellings this build does not know.
std::optional<DType> DTypeFromName(std::string_view name);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_IO_DTYPE_H_
