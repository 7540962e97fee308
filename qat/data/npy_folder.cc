#include "qat/data/npy_folder.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

#include "lutra/qat/npy.h"
#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

std::filesystem::path PathOf(const std::filesystem::path& folder,
                             DatasetPart part, const char* what) {
  const char* const prefix = part == DatasetPart::kTrain ? "train-" : "test-";
  return folder / (std::string(prefix) + what + ".npy");
}

// An array of a folder.
struct NpyFile {
  explicit NpyFile(const std::filesystem::path& file)
      : path(file.string()), array(ReadNpy(file)) {
    if (array.data.empty()) throw Is("is empty");
  }
  Error Is(const std::string& cause) const {
    return Error::InFile(path, cause);
  }

  std::string path;
  NpyArray array;
};

template <typename T>
T At(const NpyArray& array, size_t index) {
  T value;
  std::memcpy(&value, array.data.data() + index * sizeof(T), sizeof(T));
  return value;
}

float PixelAt(const NpyFile& file, size_t index) {
  if (file.array.type == NpyType::kUInt8) {
    return static_cast<float>(At<uint8_t>(file.array, index)) / 255;
  }
  const auto value = At<float>(file.array, index);
  if (!std::isfinite(value)) throw file.Is("holds a value that is not finite");
  return value;
}

uint8_t LabelAt(const NpyFile& file, size_t index) {
  const NpyArray& array = file.array;
  int64_t label = 0;
  switch (array.type) {
    case NpyType::kUInt8:
      return At<uint8_t>(array, index);
    case NpyType::kInt8:
      label = At<int8_t>(array, index);
      break;
    case NpyType::kInt32:
      label = At<int32_t>(array, index);
      break;
    default:
      label = At<int64_t>(array, index);
      break;
  }
  constexpr int64_t kMost = std::numeric_limits<uint8_t>::max();
  if (label >= 0 && label <= kMost) return static_cast<uint8_t>(label);
  throw file.Is("holds the label " + std::to_string(label) +
                "; labels are whole numbers from 0 to " +
                std::to_string(kMost));
}

std::vector<float> Pixels(const NpyFile& file) {
  const NpyArray& array = file.array;
  if (array.type != NpyType::kUInt8 && array.type != NpyType::kFloat32) {
    throw file.Is("holds " + std::string(Name(array.type)) +
                  "; images are float32, or uint8, which are divided by 255");
  }
  if (array.shape.size() < 2) {
    throw file.Is("has no two dimensions; images have the shape [count, ...]");
  }
  std::vector<float> pixels(array.data.size() / ByteSize(array.type));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = PixelAt(file, i);
  return pixels;
}

std::vector<uint8_t> Labels(const NpyFile& file, size_t count) {
  if (file.array.type == NpyType::kFloat32) {
    throw file.Is("holds float32; labels are whole numbers");
  }
  if (file.array.shape != std::vector<size_t>{count}) {
    throw file.Is("is not an array of " + std::to_string(count) +
                  " labels, one for each image");
  }
  std::vector<uint8_t> labels(count);
  for (size_t i = 0; i < count; ++i) labels[i] = LabelAt(file, i);
  return labels;
}

}  // namespace

bool IsNpyFolder(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(PathOf(folder, DatasetPart::kTrain, "images"),
                                 ignored);
}

LabelledImages LoadNpyFolder(const std::filesystem::path& folder,
                             DatasetPart part) {
  const NpyFile images(PathOf(folder, part, "images"));
  const NpyFile labels(PathOf(folder, part, "labels"));
  LabelledImages result;
  result.images = Pixels(images);
  const std::vector<size_t>& shape = images.array.shape;
  result.count = shape[0];
  result.image_shape.assign(shape.begin() + 1, shape.end());
  result.labels = Labels(labels, result.count);
  return result;
}

}  // namespace lutra::qat
