#include "lutra/qat/int8_folder.h"

#include <string>
#include <string_view>

#include "lutra/runtime/error.h"
#include "qat/data/label_list.h"
#include "runtime/base/mapped_file.h"

namespace lutra::qat {
namespace {

constexpr size_t kMaxSampleBytes = size_t{1} << 24;

// Appends the values of a file.
void AddSample(const std::filesystem::path& path, double scale, int zero_point,
               bool is_unsigned, LabelledImages& data) {
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
    const int q = is_unsigned ? int{static_cast<unsigned char>(byte)}
                              : int{static_cast<signed char>(byte)};
    data.images.push_back(static_cast<float>((q - zero_point) * scale));
  }
  ++data.count;
}

}  // namespace

bool IsInt8Folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(LabelListPath(folder), ignored);
}

LabelledImages LoadInt8Folder(const std::filesystem::path& folder, double scale,
                              int zero_point, bool is_unsigned) {
  LabelledImages data;
  ReadLabelList(
      folder, 2, "<file name>,<number of classes>,<class>",
      [&](const ListedSample& sample) {
        AddSample(folder / sample.name, scale, zero_point, is_unsigned, data);
        data.labels.push_back(static_cast<uint8_t>(sample.numbers[1]));
      });
  return data;
}

}  // namespace lutra::qat
