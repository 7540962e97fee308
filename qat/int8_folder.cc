#include "lutra/qat/int8_folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

constexpr std::string_view kListName = "y_labels.csv";
constexpr size_t kMaxSamples = size_t{1} << 20;
constexpr size_t kMaxSampleBytes = size_t{1} << 24;
constexpr size_t kMaxLineBytes = 4096;

struct Line {
  std::string name;
  unsigned classes = 0;
  unsigned label = 0;
};

bool ReadNumber(std::string_view text, unsigned* number) {
  const auto result =
      std::from_chars(text.data(), text.data() + text.size(), *number);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

bool ReadLine(std::string_view text, Line* line) {
  const size_t last = text.rfind(',');
  if (last == std::string_view::npos || last == 0) return false;
  const size_t first = text.rfind(',', last - 1);
  if (first == std::string_view::npos) return false;
  line->name = text.substr(0, first);
  return ReadNumber(text.substr(first + 1, last - first - 1), &line->classes) &&
         ReadNumber(text.substr(last + 1), &line->label) &&
         line->classes <= 256 && line->label < line->classes &&
         // A list must not name files elsewhere.
         std::filesystem::path(line->name).filename() == line->name &&
         line->name != "." && line->name != ".." && !line->name.empty();
}

std::string ReadSample(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) {
    throw Error::InFile(path.string(), "cannot open");
  }
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size == 0 || size > kMaxSampleBytes) {
    throw Error::InFile(path.string(), "is empty or longer than 16 MiB");
  }
  std::string bytes(static_cast<size_t>(size), '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw Error::InFile(path.string(), "cannot read");
  return bytes;
}

}  // namespace

bool IsInt8Folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / kListName, ignored);
}

LabelledImages LoadInt8Folder(const std::filesystem::path& folder, double scale,
                              int zero_point) {
  const std::filesystem::path list = folder / kListName;
  std::ifstream file(list);
  if (!file) throw Error::InFile(list.string(), "cannot open");
  LabelledImages data;
  std::string text;
  for (size_t number = 1; std::getline(file, text); ++number) {
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) continue;
    Line line;
    if (text.size() > kMaxLineBytes || !ReadLine(text, &line)) {
      throw Error::InFile(list.string(),
                          "line " + std::to_string(number) +
                              " is not '<file name>,<number of classes>,"
                              "<class>' with at most 256 classes");
    }
    if (data.count == kMaxSamples) {
      throw Error::InFile(
          list.string(),
          "lists more than " + std::to_string(kMaxSamples) + " samples");
    }
    const std::string bytes = ReadSample(folder / line.name);
    if (data.count == 0) data.image_shape = {bytes.size()};
    if (bytes.size() != data.image_shape[0]) {
      throw Error::InFile((folder / line.name).string(),
                          "has " + std::to_string(bytes.size()) +
                              " bytes, but the first sample has " +
                              std::to_string(data.image_shape[0]));
    }
    for (const char byte : bytes) {
      const int q = static_cast<signed char>(byte);
      data.images.push_back(static_cast<float>((q - zero_point) * scale));
    }
    data.labels.push_back(static_cast<uint8_t>(line.label));
    ++data.count;
  }
  return data;
}

}  // namespace lutra::qat
