#include "packer/import/onnx/onnx_tensor.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "packer/import/onnx/onnx_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

// Fields of TensorProto.
constexpr uint32_t kDims = 1;
constexpr uint32_t kDataType = 2;
constexpr uint32_t kSegment = 3;
constexpr uint32_t kFloatData = 4;
constexpr uint32_t kInt32Data = 5;
constexpr uint32_t kInt64Data = 7;
constexpr uint32_t kTensorName = 8;
constexpr uint32_t kRawData = 9;
constexpr uint32_t kDoubleData = 10;
constexpr uint32_t kUInt64Data = 11;
constexpr uint32_t kExternalData = 13;
constexpr uint32_t kDataLocation = 14;
constexpr uint64_t kExternal = 1;
// Of StringStringEntryProto.
constexpr uint32_t kKey = 1;
constexpr uint32_t kValue = 2;

constexpr size_t kMaxRank = 8;
constexpr size_t kMaxElements = size_t{1} << 40;

// Elements that lie one by one in a field of numbers, as bytes of their type.
std::vector<std::byte> TypedData(const Protobuf& tensor, ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
      return tensor.Fixed(kFloatData, sizeof(float));
    case ElementType::kFloat64:
      return tensor.Fixed(kDoubleData, sizeof(double));
    default:
      break;
  }
  uint32_t field = kInt32Data;
  if (type == ElementType::kInt64) field = kInt64Data;
  if (type == ElementType::kUInt32 || type == ElementType::kUInt64) {
    field = kUInt64Data;
  }
  // Packed types come as bytes.
  const size_t size = std::max<size_t>(1, BitsOf(type) / 8);
  std::vector<std::byte> bytes;
  for (const int64_t value : tensor.Integers(field)) {
    const size_t at = bytes.size();
    bytes.resize(at + size);
    std::memcpy(bytes.data() + at, &value, size);
  }
  return bytes;
}

// Why a file may not be opened; nullptr if it may: it lies in the folder of the
// model by its name. Nothing is opened to find that out.
const char* Refusal(const std::string& location) {
  if (location.empty()) return "has no name";
  if (location.find('\0') != std::string::npos) {
    return "has a zero byte in its name";
  }
  if (location.find('\\') != std::string::npos) {
    return "has a backslash in its name";
  }
  const fs::path path(location);
  if (path.is_absolute() || path.has_root_path()) return "is an absolute path";
  for (const fs::path& part : path) {
    if (part == "..") return "leads out of the model's folder";
  }
  return nullptr;
}

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value > INT64_MAX) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

void OnnxTensors::Fail(const std::string& name,
                       const std::string& cause) const {
  throw Error::InTensor(model_.string(), name, cause);
}

OnnxTensors::Place OnnxTensors::External(const Protobuf& tensor,
                                         const std::string& name, size_t size) {
  std::map<std::string, std::string> entries;
  tensor.ForEach(kExternalData, [&](std::string_view bytes) {
    const Protobuf entry(bytes, tensor.file());
    entries[std::string(entry.Bytes(kKey))] = std::string(entry.Bytes(kValue));
  });
  const std::string location = entries["location"];
  if (const char* cause = Refusal(location)) {
    Fail(name, std::string("its file of external data ") + cause);
  }
  const auto number = [&](const char* key, uint64_t otherwise) {
    const auto found = entries.find(key);
    if (found == entries.end()) return otherwise;
    const auto value = Number(found->second);
    if (!value) {
      Fail(name, std::string("the ") + key +
                     " of its external data is not a number that is possible");
    }
    return *value;
  };
  const uint64_t offset = number("offset", 0);
  const uint64_t length = number("length", size);
  if (length != size) {
    Fail(name, "has " + std::to_string(length) +
                   " bytes of external data, its shape needs " +
                   std::to_string(size));
  }
  fs::path folder = model_.parent_path();
  if (folder.empty()) folder = ".";
  const fs::path path = folder / location;
  auto& file = beside_[location];
  if (file == nullptr) {
    std::error_code error;
    const fs::path real = fs::weakly_canonical(path, error);
    const fs::path base = error ? fs::path() : fs::canonical(folder, error);
    const auto [end, rest] =
        std::mismatch(base.begin(), base.end(), real.begin(), real.end());
    if (error || end != base.end()) {
      Fail(name,
           "its file of external data is a link out of the model's "
           "folder");
    }
    if (!fs::is_regular_file(real, error)) {
      Fail(name, "its file of external data '" + path.filename().string() +
                     "' is missing, or not a file");
    }
    file = std::make_shared<const MappedFile>(real);
  }
  const std::span<const std::byte> all = file->bytes();
  if (offset > all.size() || size > all.size() - offset) {
    Fail(name, "its external data ends beyond the " +
                   std::to_string(all.size()) + " bytes of the file");
  }
  return {all.subspan(offset, size), file};
}

Constant OnnxTensors::Read(const Protobuf& tensor) {
  const std::string name(tensor.Bytes(kTensorName));
  const std::vector<int64_t> shape = tensor.Integers(kDims);
  const uint64_t number = tensor.Integer(kDataType, 0);
  const auto type = OnnxType(static_cast<int64_t>(number));
  if (!type) {
    Fail(name, "is of the element type " + std::to_string(number) +
                   ", which is not supported");
  }
  if (shape.size() > kMaxRank) {
    Fail(name, "has " + std::to_string(shape.size()) +
                   " dimensions; at most 8 are supported");
  }
  const auto count = CheckedElementCount(shape);
  // Without elements there are strides all the same.
  std::vector<int64_t> sides = shape;
  std::replace(sides.begin(), sides.end(), int64_t{0}, int64_t{1});
  const auto most = CheckedElementCount(sides);
  if (!count || !most || *most > kMaxElements) {
    Fail(name,
         "has the shape " + ShapeToString(shape) + ", which is not possible");
  }
  if (tensor.Has(kSegment)) Fail(name, "comes in segments");
  const size_t size = BytesOf(*type, *count);
  Elements elements;
  elements.type = *type;
  if (tensor.Integer(kDataLocation, 0) == kExternal) {
    const Place place = External(tensor, name, size);
    elements.bytes = place.bytes;
    elements.owner = place.owner;
  } else if (tensor.Has(kRawData)) {
    const std::string_view raw = tensor.Bytes(kRawData);
    elements.bytes = std::as_bytes(std::span(raw.data(), raw.size()));
    elements.owner = file_;
  } else {
    elements = Elements::OfBytes(*type, TypedData(tensor, *type));
  }
  if (elements.bytes.size() != size) {
    Fail(name, "has " + std::to_string(elements.bytes.size()) +
                   " bytes, its shape " + ShapeToString(shape) + " of " +
                   std::string(Name(*type)) + " needs " + std::to_string(size));
  }
  return MakeConstant(name, std::move(elements), shape);
}

}  // namespace lutra::packer
