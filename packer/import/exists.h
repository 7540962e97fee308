#ifndef LUTRA_PACKER_IMPORT_EXISTS_H_
#define LUTRA_PACKER_IMPORT_EXISTS_H_

#include <filesystem>
#include <system_error>

namespace lutra::packer {

// A path that cannot be looked at is none: reading what it should hold says
// why.
inline bool Exists(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_EXISTS_H_
