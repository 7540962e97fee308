#include "lutra/qat/recording_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>

#include "lutra/runtime/error.h"
#include "qat/data/label_list.h"
#include "runtime/base/mapped_file.h"

namespace lutra::qat {
namespace {

constexpr size_t kNumbers = 4;
constexpr size_t kMaxFileBytes = size_t{1} << 28;
constexpr size_t kMaxValues = size_t{1} << 30;

struct Windows {
  size_t bytes = 0;
  size_t step = 0;
};

// Appends the windows of a file, as many as there are in full.
size_t AddWindows(const std::filesystem::path& path, const Windows& windows,
                  LabelledImages& data) {
  const auto fail = [&](const std::string& cause) {
    throw Error::InFile(path.string(), cause);
  };
  const MappedFile file(path);
  const std::string_view bytes = file.text();
  if (bytes.size() < windows.bytes || bytes.size() > kMaxFileBytes) {
    fail("has " + std::to_string(bytes.size()) + " bytes, not a window of " +
         std::to_string(windows.bytes) + " to 256 MiB");
  }
  const size_t count = (bytes.size() - windows.bytes) / windows.step + 1;
  const size_t values = windows.bytes / sizeof(float);
  if (count > (kMaxValues - data.images.size()) / values) {
    fail("makes the windows of the folder more than 2^30 values");
  }
  const size_t first = data.images.size();
  data.images.resize(first + count * values);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(data.images.data() + first + i * values,
                bytes.data() + i * windows.step, windows.bytes);
  }
  if (!std::all_of(data.images.begin() + static_cast<ptrdiff_t>(first),
                   data.images.end(),
                   [](float x) { return std::isfinite(x); })) {
    fail("holds a number that is not finite");
  }
  data.count += count;
  return count;
}

}  // namespace

bool IsRecordingFolder(const std::filesystem::path& folder) {
  return NumbersInLabelList(folder) == kNumbers;
}

LabelledRecordings LoadRecordingFolder(const std::filesystem::path& folder) {
  LabelledRecordings data;
  LabelledImages& windows = data.windows;
  ReadLabelList(
      folder, kNumbers, "<file name>,2,<0 or 1>,<window bytes>,<step bytes>",
      [&](const ListedSample& sample) {
        const std::filesystem::path path = folder / sample.name;
        const Windows form{sample.numbers[2], sample.numbers[3]};
        const size_t values = form.bytes / sizeof(float);
        if (form.bytes == 0 || form.step == 0 || form.bytes % sizeof(float) ||
            form.step % sizeof(float) || sample.numbers[0] != 2) {
          throw Error::InFile(LabelListPath(folder).string(),
                              "says of '" + std::string(sample.name) +
                                  "' that its windows are not of whole float32 "
                                  "numbers, or that "
                                  "it has other than two classes");
        }
        if (data.recordings.empty()) windows.image_shape = {values};
        if (values != windows.image_shape[0]) {
          throw Error::InFile(path.string(),
                              "has windows of " + std::to_string(values) +
                                  " values, the first recording of " +
                                  std::to_string(windows.image_shape[0]));
        }
        const auto label = static_cast<uint8_t>(sample.numbers[1]);
        const size_t count = AddWindows(path, form, windows);
        windows.labels.insert(windows.labels.end(), count, label);
        data.recordings.push_back({count, label});
      });
  return data;
}

}  // namespace lutra::qat
