#include "lutra/qat/int8_folder.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string>
#include <string_view>

#include "lutra/runtime/error.h"
#include "runtime/base/mapped_file.h"

namespace lutra::qat {
namespace {

constexpr std::string_view kListName = "y_labels.csv";
constexpr size_t kMaxSamples = size_t{1} << 20;
constexpr size_t kMaxSampleBytes = size_t{1} << 24;
constexpr size_t kMaxLineBytes = 4096;

struct Line {
  std::string_view name;
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

// Appends the values of a file.
void AddSample(const std::filesystem::path& path, double scale, int zero_point,
               LabelledImages& data) {
  const MappedFile file(path);
  const std::string_view bytes = file.text();
  if (bytes.empty() || bytes.size() > kMaxSampleBytes) {
    throw Error::InFile(path.string(), "is empty or longer than 16 MiB");
  }
  if (data.count == 0) data.image_shape = {bytes.size()};
  if (bytes.size() != data.image_shape[0]) {
    throw Error::InFile(path.string(), "has " + std::to_string(bytes.size()) +
                                           " bytes, but the first sample has " +
                                           std::to_string(data.image_shape[0]));
  }
  for (const char byte : bytes) {
    const int q = static_cast<signed char>(byte);
    data.images.push_back(static_cast<float>((q - zero_point) * scale));
  }
  ++data.count;
}

}  // namespace

bool IsInt8Folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / kListName, ignored);
}

LabelledImages LoadInt8Folder(const std::filesystem::path& folder, double scale,
                              int zero_point) {
  const std::filesystem::path list = folder / kListName;
  const MappedFile list_file(list);
  std::string_view rest = list_file.text();
  std::set<std::string_view> names;
  LabelledImages data;
  for (size_t number = 1; !rest.empty(); ++number) {
    std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    const auto fail = [&](const std::string& cause) {
      throw Error::InFile(list.string(),
                          "line " + std::to_string(number) + " " + cause);
    };
    Line line;
    if (text.size() > kMaxLineBytes || !ReadLine(text, &line)) {
      fail(
          "is not '<file name>,<number of classes>,<class>' with at most 256 "
          "classes");
    }
    // Together with the limit of a sample this bounds what a list can claim by
    // what the folder holds.
    if (!names.insert(line.name).second) fail("names a sample again");
    if (data.count == kMaxSamples) {
      fail("is one of more than " + std::to_string(kMaxSamples) + " samples");
    }
    AddSample(folder / line.name, scale, zero_point, data);
    data.labels.push_back(static_cast<uint8_t>(line.label));
  }
  return data;
}

}  // namespace lutra::qat
