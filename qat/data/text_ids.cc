#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "lutra/qat/text_samples.h"
#include "lutra/runtime/error.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/system_error.h"

namespace lutra::qat {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> TextFiles(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<fs::path> files;
  const int failure = ForEachEntry(path, [&](std::string_view name) {
    fs::path file = path / name;
    if (file.extension() == ".txt") files.push_back(std::move(file));
  });
  if (failure != 0) throw SystemError(path.string(), "cannot read", failure);
  if (files.empty()) {
    throw Error::InFile(path.string(), "is a folder without .txt files",
                        ErrorCode::kNotFound);
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

void AddDocuments(std::string_view text, const Tokenizer& tokenizer,
                  std::string_view separator, std::vector<int32_t>& ids) {
  while (!text.empty()) {
    const size_t end =
        separator.empty() ? std::string_view::npos : text.find(separator);
    const std::string_view document = Trim(text.substr(0, end));
    if (!document.empty()) {
      const auto add =
          tokenizer.Encode(std::string(document) + "\n", /*special=*/false);
      ids.insert(ids.end(), add.begin(), add.end());
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + separator.size());
  }
}

}  // namespace

std::vector<int32_t> LoadTextIds(const fs::path& path,
                                 const Tokenizer& tokenizer,
                                 std::string_view separator) {
  std::vector<int32_t> ids;
  for (const fs::path& file : TextFiles(path)) {
    const MappedFile mapped(file);
    if (mapped.text().find('\0') != std::string_view::npos) {
      throw Error::InFile(file.string(), "is no text: it has zero bytes");
    }
    AddDocuments(mapped.text(), tokenizer, separator, ids);
  }
  if (ids.empty()) throw Error::InFile(path.string(), "has no text");
  return ids;
}

}  // namespace lutra::qat
