#ifndef LUTRA_PACKER_IMPORT_EXISTS_H_
#define LUTRA_PACKER_IMPORT_EXISTS_H_

#include <filesystem>
#include <system_error>

namespace lutra::packer {

// A path that cannot be looked at may be one: reading what it holds then says
// why.
inline bool Exists(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) || error;
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_EXISTS_H_
