#include "qat/data/label_list.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/mapped_file.h"

namespace lutra::qat {
namespace {

constexpr size_t kMaxSamples = size_t{1} << 20;
constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxNumbers = 8;

bool ReadNumber(std::string_view text, unsigned* number) {
  const auto result =
      std::from_chars(text.data(), text.data() + text.size(), *number);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

// The numbers at the end of a line, and what stands before them. A name may
// have commas, too.
ListedSample Split(std::string_view line, size_t most) {
  ListedSample sample{line, {}};
  while (sample.numbers.size() < most) {
    const size_t comma = sample.name.rfind(',');
    unsigned number = 0;
    if (comma == std::string_view::npos ||
        !ReadNumber(sample.name.substr(comma + 1), &number)) {
      break;
    }
    sample.numbers.insert(sample.numbers.begin(), number);
    sample.name = sample.name.substr(0, comma);
  }
  return sample;
}

// A list must not name files elsewhere.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         std::filesystem::path(name).filename() == name;
}

std::string_view TakeLine(std::string_view& text) {
  std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

std::filesystem::path LabelListPath(const std::filesystem::path& folder) {
  return folder / "y_labels.csv";
}

size_t NumbersInLabelList(const std::filesystem::path& folder) {
  const std::filesystem::path path = LabelListPath(folder);
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return 0;
  const MappedFile file(path);
  std::string_view text = file.text().substr(0, kMaxLineBytes);
  return Split(TakeLine(text), kMaxNumbers).numbers.size();
}

void ReadLabelList(const std::filesystem::path& folder, size_t numbers,
                   std::string_view form,
                   const std::function<void(const ListedSample&)>& add) {
  const std::filesystem::path path = LabelListPath(folder);
  const MappedFile file(path);
  std::string_view rest = file.text();
  std::set<std::string_view> names;
  for (size_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = TakeLine(rest);
    if (line.empty()) continue;
    const auto fail = [&](const std::string& cause) {
      throw Error::InFile(path.string(),
                          "line " + std::to_string(number) + " " + cause);
    };
    const ListedSample sample =
        line.size() > kMaxLineBytes ? ListedSample{} : Split(line, numbers);
    if (sample.numbers.size() != numbers || sample.numbers[0] > 256 ||
        sample.numbers[1] >= sample.numbers[0] || !IsPlainName(sample.name)) {
      fail("is not '" + std::string(form) + "' with at most 256 classes");
    }
    // Together with the limit of a sample this bounds what a list can claim by
    // what the folder holds.
    if (!names.insert(sample.name).second) fail("names a sample again");
    if (names.size() > kMaxSamples) {
      fail("is one of more than " + std::to_string(kMaxSamples) + " samples");
    }
    add(sample);
  }
}

}  // namespace lutra::qat
