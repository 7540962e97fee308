#ifndef LUTRA_RUNTIME_BASE_MAKE_FOLDER_H_
#define LUTRA_RUNTIME_BASE_MAKE_FOLDER_H_

#include <filesystem>
#include <system_error>

#include "runtime/base/system_error.h"

namespace lutra {

// Makes a folder, and those that it is in, where there is none. Throws Error.
inline void MakeFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw SystemError(folder.string(), "cannot make the folder", error.value());
  }
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_MAKE_FOLDER_H_
