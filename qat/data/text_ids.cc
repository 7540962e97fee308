#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "lutra/qat/text_samples.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/system_error.h"

namespace lutra::qat {
namespace {

namespace fs = std::filesystem;

// Says what the ids of a file are of.
constexpr const char* kCacheKey = "lutra.text_ids";
constexpr const char* kIdsTensor = "ids";

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

std::string_view TextOf(const MappedFile& mapped, const fs::path& file) {
  if (mapped.text().find('\0') != std::string_view::npos) {
    throw Error::InFile(file.string(), "is no text: it has zero bytes");
  }
  return mapped.text();
}

uLong Checksum(uLong crc, std::span<const std::byte> bytes) {
  return crc32_z(crc, reinterpret_cast<const unsigned char*>(bytes.data()),
                 bytes.size());
}

// Of everything that ids depend on.
std::string Source(const fs::path& path, std::string_view separator,
                   Span<const std::byte> tokenizer_bytes) {
  const uLong tokenizer = Checksum(0, tokenizer_bytes);
  uLong crc = 0;
  uint64_t bytes = 0;
  for (const fs::path& file : TextFiles(path)) {
    const MappedFile mapped(file);
    const std::string_view text = TextOf(mapped, file);
    crc = Checksum(crc, std::as_bytes(std::span(text)));
    // Where files end matters.
    crc = Checksum(crc, std::as_bytes(std::span("", 1)));
    bytes += text.size();
  }
  return std::to_string(bytes) + " bytes, checksum " + std::to_string(crc) +
         ", tokenizer " + std::to_string(tokenizer) + ", separator " +
         std::string(separator);
}

void SaveIds(const fs::path& cache, const std::string& source,
             const std::vector<int32_t>& ids) {
  SafetensorsWriter writer(
      cache, {{kCacheKey, source}},
      {{kIdsTensor, DType::kInt32, {static_cast<int64_t>(ids.size())}}});
  writer.Write(kIdsTensor, std::as_bytes(std::span(ids)));
  writer.Commit();
}

// Nothing if the file is of another source.
std::optional<std::vector<int32_t>> ReadIds(const fs::path& cache,
                                            const std::string& source) {
  const SafetensorsFile file = SafetensorsFile::Open(cache);
  const auto made_of = file.metadata().find(kCacheKey);
  if (made_of == file.metadata().end()) {
    throw Error::InFile(cache.string(), "holds no ids of texts");
  }
  if (made_of->second != source) return std::nullopt;
  const TensorView& tensor = file.Get(kIdsTensor);
  if (tensor.dtype != DType::kInt32 || tensor.data.empty()) {
    throw Error::InTensor(cache.string(), kIdsTensor, "holds no ids");
  }
  std::vector<int32_t> ids(tensor.ElementCount());
  std::memcpy(ids.data(), tensor.data.data(), tensor.data.size());
  return ids;
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
    AddDocuments(TextOf(mapped, file), tokenizer, separator, ids);
  }
  if (ids.empty()) throw Error::InFile(path.string(), "has no text");
  return ids;
}

std::vector<int32_t> LoadTextIds(const fs::path& path,
                                 const Tokenizer& tokenizer,
                                 std::string_view separator,
                                 const fs::path& cache,
                                 Span<const std::byte> tokenizer_bytes) {
  const std::string source = Source(path, separator, tokenizer_bytes);
  std::error_code error;
  if (fs::exists(cache, error)) {
    if (auto ids = ReadIds(cache, source)) return *std::move(ids);
  }
  std::vector<int32_t> ids = LoadTextIds(path, tokenizer, separator);
  SaveIds(cache, source, ids);
  return ids;
}

}  // namespace lutra::qat
