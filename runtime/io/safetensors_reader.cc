#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/json.h"
#include "runtime/base/json_object.h"
#include "runtime/base/text_of.h"
#include "runtime/io/dtype.h"
#include "runtime/io/file_bytes.h"
#include "runtime/io/safetensors_format.h"

namespace lutra {

static_assert(std::endian::native == std::endian::little,
              "the container's numbers are used in place");

namespace {

using nlohmann::json;

constexpr size_t kMaxRank = 32;

uint64_t ReadLength(Span<const std::byte> bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  return length;
}

// The JSON text; the data follows it.
std::string_view Header(Span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kLengthBytes) {
    throw Error::InFile(path, TextOf("is too short for a safetensors file (",
                                     bytes.size(), " bytes)"));
  }
  const uint64_t length = ReadLength(bytes);
  if (length > kMaxHeaderBytes) {
    throw Error::InFile(
        path, TextOf("header length ", length, " is above the limit of ",
                     kMaxHeaderBytes, "; not a safetensors file?"));
  }
  if (length > bytes.size() - kLengthBytes) {
    throw Error::InFile(path, TextOf("is truncated: header length ", length,
                                     " runs past the end of the file (",
                                     bytes.size(), " bytes)"));
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  return {text + kLengthBytes, static_cast<size_t>(length)};
}

std::map<std::string, std::string> ReadMetadata(const json& value,
                                                const std::string& path) {
  if (!value.is_object()) {
    throw Error::InFile(path, "metadata is not a JSON object");
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, entry] : value.items()) {
    if (!entry.is_string()) {
      throw Error::InFile(path, TextOf("metadata '", key, "' is not a string"));
    }
    metadata.emplace(key, entry.get<std::string>());
  }
  return metadata;
}

// Reads and checks single tensors of one file.
class TensorReader {
 public:
  TensorReader(const std::string& path, Span<const std::byte> data)
      : path_(path), data_(data) {}

  TensorView Read(const std::string& name, const json& entry) const {
    if (!entry.is_object()) Fail(name, "is not described by a JSON object");
    for (const auto& [key, value] : entry.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        Fail(name, TextOf("has an unknown key '", key, "'"));
      }
    }
    TensorView tensor;
    tensor.name = name;
    tensor.dtype = ReadDType(name, entry);
    tensor.shape = ReadShape(name, entry);
    tensor.data = ReadExtent(name, entry);
    const auto elements = CheckedElementCount(tensor.shape);
    const auto bytes = elements
                           ? CheckedMultiply(*elements, ByteSize(tensor.dtype))
                           : std::nullopt;
    if (!bytes) {
      Fail(name, TextOf("shape ", ShapeToString(tensor.shape), " overflows"));
    }
    if (*bytes != tensor.data.size()) {
      Fail(name, TextOf("shape ", ShapeToString(tensor.shape), " of ",
                        Name(tensor.dtype), " needs ", *bytes,
                        " bytes but data_offsets span ", tensor.data.size()));
    }
    return tensor;
  }

  [[noreturn]] void Fail(const std::string& name, const std::string& cause,
                         ErrorCode code = ErrorCode::kDamaged) const {
    throw Error::InTensor(path_, name, cause, code);
  }

 private:
  const json& Member(const std::string& name, const json& entry,
                     const char* key) const {
    const auto member = entry.find(key);
    if (member == entry.end()) Fail(name, TextOf(key, " is missing"));
    return *member;
  }

  DType ReadDType(const std::string& name, const json& entry) const {
    const json& value = Member(name, entry, "dtype");
    if (!value.is_string()) Fail(name, "dtype is not a string");
    const auto& spelling = value.get_ref<const std::string&>();
    const auto dtype = DTypeFromName(spelling);
    if (!dtype) {
      Fail(name, TextOf("unknown dtype '", spelling, "'"),
           ErrorCode::kUnsupported);
    }
    return *dtype;
  }

  std::vector<int64_t> ReadShape(const std::string& name,
                                 const json& entry) const {
    const json& value = Member(name, entry, "shape");
    if (!value.is_array()) Fail(name, "shape is not a list");
    if (value.size() > kMaxRank) {
      Fail(name, TextOf("shape has more than ", kMaxRank, " dimensions"));
    }
    std::vector<int64_t> shape;
    for (const json& dimension : value) {
      const auto count = ReadCount(dimension);
      if (!count || !std::in_range<int64_t>(*count)) {
        Fail(name, TextOf("shape has the entry ", ShortDump(dimension),
                          ", which is not a count"));
      }
      shape.push_back(static_cast<int64_t>(*count));
    }
    return shape;
  }

  Span<const std::byte> ReadExtent(const std::string& name,
                                   const json& entry) const {
    const json& value = Member(name, entry, "data_offsets");
    if (!value.is_array() || value.size() != 2) {
      Fail(name, "data_offsets is not a list of two numbers");
    }
    const auto begin = ReadCount(value[0]);
    const auto end = ReadCount(value[1]);
    if (!begin || !end) Fail(name, "data_offsets are not counts of bytes");
    if (*begin > *end) Fail(name, "data_offsets end before they begin");
    if (*end > data_.size()) {
      Fail(name,
           TextOf("data_offsets run past the end of the file (offset ", *end,
                  " of ", data_.size(), " bytes of data); is it truncated?"));
    }
    return data_.subspan(static_cast<size_t>(*begin),
                         static_cast<size_t>(*end - *begin));
  }

  // nullopt for negative numbers, fractions and anything else.
  static std::optional<uint64_t> ReadCount(const json& value) {
    if (!value.is_number_unsigned()) return std::nullopt;
    return value.get<uint64_t>();
  }

  const std::string& path_;
  Span<const std::byte> data_;
};

// The tensors must tile the data: bytes that belong to no tensor could hide
// anything, and shared ones would alias.
void CheckTiling(const std::vector<TensorView>& sorted,
                 Span<const std::byte> data, const TensorReader& reader,
                 const std::string& path) {
  const std::byte* expected = data.data();
  for (const TensorView& tensor : sorted) {
    if (tensor.data.data() < expected) {
      reader.Fail(tensor.name, "overlaps another tensor");
    }
    if (tensor.data.data() > expected) {
      reader.Fail(tensor.name, "leaves a hole of unused bytes before it");
    }
    expected += tensor.data.size();
  }
  const auto rest = data.data() + data.size() - expected;
  if (rest != 0) {
    throw Error::InFile(path,
                        TextOf(rest, " bytes at the end belong to no tensor"));
  }
}

}  // namespace

std::string ShapeToString(Span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t dimension : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dimension);
  }
  return TextOf(text, "]");
}

size_t TensorInfo::ElementCount() const {
  size_t count = 1;
  for (const int64_t dimension : shape) count *= static_cast<size_t>(dimension);
  return count;
}

Span<const float> TensorView::Floats(std::string_view file) const {
  if (dtype != DType::kFloat32) {
    throw Error::InTensor(file, name,
                          TextOf("dtype is ", Name(dtype), ", expected F32"));
  }
  if (reinterpret_cast<uintptr_t>(data.data()) % alignof(float) != 0) {
    throw Error::InTensor(file, name,
                          "data is not aligned for F32; write the file again "
                          "with aligned tensors");
  }
  return {reinterpret_cast<const float*>(data.data()), ElementCount()};
}

SafetensorsFile SafetensorsFile::Open(const std::filesystem::path& path,
                                      Storage storage) {
  return Parse(path.string(), std::make_shared<const FileBytes>(path, storage));
}

SafetensorsFile SafetensorsFile::OpenDescriptor(int descriptor, uint64_t offset,
                                                uint64_t size,
                                                std::string_view name,
                                                Storage storage) {
  return Parse(name, std::make_shared<const FileBytes>(descriptor, offset, size,
                                                       name, storage));
}

SafetensorsFile SafetensorsFile::OpenMemory(Span<const std::byte> bytes,
                                            std::string_view name,
                                            Storage storage) {
  return Parse(name, std::make_shared<const FileBytes>(bytes, name, storage));
}

SafetensorsFile SafetensorsFile::Parse(std::string_view path,
                                       std::shared_ptr<const FileBytes> file) {
  SafetensorsFile result;
  result.path_ = path;
  const auto bytes = file->bytes();
  result.files_.push_back(std::move(file));
  const std::string_view header = Header(bytes, result.path_);
  const auto data = bytes.subspan(kLengthBytes + header.size());

  const JsonDocument document = ParseJson(header, result.path_, "header");
  const json& root = document.root();
  if (!root.is_object()) {
    throw Error::InFile(result.path_, "header is not a JSON object");
  }
  const TensorReader reader(result.path_, data);
  for (const auto& [name, entry] : root.items()) {
    if (name == kMetadataName) {
      result.metadata_ = ReadMetadata(entry, result.path_);
    } else {
      result.tensors_.push_back(reader.Read(name, entry));
    }
  }
  // Empty tensors come before the one that starts at the same place.
  std::sort(result.tensors_.begin(), result.tensors_.end(),
            [](const TensorView& a, const TensorView& b) {
              return std::pair(a.data.data(), a.data.size()) <
                     std::pair(b.data.data(), b.data.size());
            });
  CheckTiling(result.tensors_, data, reader, result.path_);
  result.byte_size_ = bytes.size();
  result.Index();
  return result;
}

SafetensorsFile SafetensorsFile::FromTensors(
    std::string_view name, std::map<std::string, std::string> metadata,
    std::vector<TensorView> tensors) {
  SafetensorsFile result;
  result.path_ = name;
  result.metadata_ = std::move(metadata);
  result.tensors_ = std::move(tensors);
  for (const TensorView& tensor : result.tensors_) {
    const auto elements = CheckedElementCount(tensor.shape);
    if (!elements || CheckedMultiply(*elements, ByteSize(tensor.dtype)) !=
                         tensor.data.size()) {
      throw Error::InTensor(
          result.path_, tensor.name,
          TextOf("has ", tensor.data.size(), " bytes, which shape ",
                 ShapeToString(tensor.shape), " has not"),
          ErrorCode::kInvalidArgument);
    }
    result.byte_size_ += tensor.data.size();
  }
  result.Index();
  return result;
}

void SafetensorsFile::Add(const SafetensorsFile& other,
                          std::vector<TensorView> tensors) {
  files_.insert(files_.end(), other.files_.begin(), other.files_.end());
  for (TensorView& tensor : tensors) {
    byte_size_ += tensor.data.size();
    tensors_.push_back(std::move(tensor));
  }
  Index();
}

void SafetensorsFile::Replace(std::string_view name, std::vector<float> values,
                              std::string_view without) {
  TensorView& tensor = tensors_[index_.find(name)->second];
  replaced_.push_back(
      std::make_shared<const std::vector<float>>(std::move(values)));
  tensor.dtype = DType::kFloat32;
  tensor.data = std::as_bytes(std::span(*replaced_.back()));
  tensors_.erase(tensors_.begin() +
                 static_cast<std::ptrdiff_t>(index_.find(without)->second));
  Index();
}

void SafetensorsFile::Index() {
  index_.clear();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (index_.emplace(tensors_[i].name, i).second) continue;
    throw Error::InTensor(path_, tensors_[i].name, "occurs twice",
                          ErrorCode::kInvalidArgument);
  }
}

const TensorView* SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& SafetensorsFile::Get(std::string_view name) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) {
    throw Error::InTensor(path_, name, "is missing from the file");
  }
  return *tensor;
}

}  // namespace lutra
