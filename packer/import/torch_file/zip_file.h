#ifndef LUTRA_PACKER_IMPORT_TORCH_FILE_ZIP_FILE_H_
#define LUTRA_PACKER_IMPORT_TORCH_FILE_ZIP_FILE_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/mapped_file.h"

namespace lutra::packer {

// A zip archive whose entries are not compressed, as torch.save writes it
// (APPNOTE.TXT of PKWARE, with its 64-bit extension). Hostile until checked:
// every entry lies in the file. Stays mapped.
class ZipFile {
 public:
  // Throws Error.
  explicit ZipFile(const std::filesystem::path& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, std::span<const std::byte>, std::less<>>&
  entries() const {
    return entries_;
  }

 private:
  std::string path_;
  MappedFile mapped_;
  std::map<std::string, std::span<const std::byte>, std::less<>> entries_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TORCH_FILE_ZIP_FILE_H_
