#include "packer/import/gguf/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[4] = {'G', 'G', 'U', 'F'};
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;
constexpr uint64_t kMostValues = uint64_t{1} << 20;
constexpr uint64_t kMostTensors = uint64_t{1} << 20;
constexpr uint64_t kLongestName = 4096;
constexpr uint32_t kMostDimensions = 8;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kLargestAlignment = uint64_t{1} << 20;
constexpr int kMostParts = 4096;
// Of the shortest entries, so that counts are no larger than a file can hold.
constexpr uint64_t kShortestValue = 8 + 4 + 1;
constexpr uint64_t kShortestTensor = 8 + 4 + 4 + 8;

size_t SizeOf(GgufType type) {
  switch (type) {
    case GgufType::kUInt8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUInt16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUInt32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUInt64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

// Takes what follows out of a file.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_, cause);
  }

  std::span<const std::byte> Take(uint64_t size, const std::string& what) {
    if (size > left()) Fail(what + " runs past the end of the file");
    const auto part = bytes_.subspan(at_, static_cast<size_t>(size));
    at_ += part.size();
    return part;
  }
  template <typename T>
  T Number(const std::string& what) {
    T value;
    std::memcpy(&value, Take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  std::string_view Text(const std::string& what) {
    const auto bytes = Take(Number<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // A count of things of at least `smallest` bytes each.
  uint64_t Count(const std::string& what, uint64_t smallest, uint64_t most) {
    const auto count = Number<uint64_t>(what);
    if (count > most || count > left() / smallest) {
      Fail(what + " " + std::to_string(count) + " is more than the file holds");
    }
    return count;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

GgufValue ReadValue(Reader& in, const std::string& what) {
  GgufValue value;
  value.type = static_cast<GgufType>(in.Number<uint32_t>(what));
  if (value.type == GgufType::kArray) {
    value.is_array = true;
    value.type = static_cast<GgufType>(in.Number<uint32_t>(what));
    const size_t size = SizeOf(value.type);
    value.count = static_cast<size_t>(
        in.Count(what + ": the number of elements",
                 size == 0 ? sizeof(uint64_t) : size, UINT64_MAX));
  }
  if (value.type == GgufType::kString) {
    for (size_t i = 0; i < value.count; ++i) {
      value.texts.push_back(in.Text(what));
    }
    return value;
  }
  const size_t size = SizeOf(value.type);
  if (size == 0) in.Fail(what + " is of a type that is not known");
  // The count is below what the file has, so the product is, too.
  value.bytes = in.Take(value.count * size, what);
  return value;
}

double NumberAt(const GgufValue& value, size_t i) {
  const auto load = [&](auto zero) {
    std::memcpy(&zero, value.bytes.data() + i * sizeof(zero), sizeof(zero));
    return static_cast<double>(zero);
  };
  switch (value.type) {
    case GgufType::kUInt8:
    case GgufType::kBool:
      return load(uint8_t{});
    case GgufType::kInt8:
      return load(int8_t{});
    case GgufType::kUInt16:
      return load(uint16_t{});
    case GgufType::kInt16:
      return load(int16_t{});
    case GgufType::kUInt32:
      return load(uint32_t{});
    case GgufType::kInt32:
      return load(int32_t{});
    case GgufType::kFloat32:
      return load(float{});
    case GgufType::kUInt64:
      return load(uint64_t{});
    case GgufType::kInt64:
      return load(int64_t{});
    case GgufType::kFloat64:
      return load(double{});
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

struct Placed {
  GgufTensor tensor;
  uint64_t offset = 0;  // from the start of the data
};

Placed ReadTensor(Reader& in) {
  Placed placed;
  const std::string_view name = in.Text("the name of a tensor");
  if (name.empty() || name.size() > kLongestName) {
    in.Fail("the name of a tensor is empty or too long");
  }
  GgufTensor& tensor = placed.tensor;
  tensor.name = name;
  const std::string what = "tensor '" + tensor.name + "'";
  const auto dimensions = in.Number<uint32_t>(what);
  if (dimensions == 0 || dimensions > kMostDimensions) {
    in.Fail(what + " has " + std::to_string(dimensions) + " dimensions");
  }
  // Innermost first in the file.
  uint64_t elements = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto dimension = in.Number<uint64_t>(what);
    if (dimension == 0 || dimension > INT64_MAX ||
        elements > static_cast<uint64_t>(INT64_MAX) / dimension) {
      in.Fail(what + " has a shape that is not possible");
    }
    elements *= dimension;
    tensor.shape.insert(tensor.shape.begin(), dimension);
  }
  tensor.type = in.Number<uint32_t>(what);
  placed.offset = in.Number<uint64_t>(what);
  return placed;
}

// Where each tensor lies. None begins where another does or outside of `data`,
// so that its room ends where the next one begins.
void Place(std::vector<Placed>& placed, std::span<const std::byte> data,
           uint64_t alignment, const Reader& in) {
  std::vector<Placed*> order;
  for (Placed& entry : placed) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Placed* a, const Placed* b) {
    return a->offset < b->offset;
  });
  for (size_t i = 0; i < order.size(); ++i) {
    const std::string what = "tensor '" + order[i]->tensor.name + "'";
    const uint64_t begin = order[i]->offset;
    if (begin % alignment != 0) {
      in.Fail(what + " is not aligned to " + std::to_string(alignment) +
              " bytes");
    }
    if (begin >= data.size())
      in.Fail(what + " begins past the end of the file");
    uint64_t end = data.size();
    if (i + 1 < order.size()) {
      end = std::min<uint64_t>(end, order[i + 1]->offset);
      if (end == begin) in.Fail(what + " begins where another does");
    }
    order[i]->tensor.room = data.subspan(static_cast<size_t>(begin),
                                         static_cast<size_t>(end - begin));
  }
}

// "NAME" and 3 of NAME-00001-of-00003.gguf.
std::optional<std::pair<std::string, int>> PartOf(const std::string& file) {
  int part = 0;
  int parts = 0;
  constexpr size_t kEnding = 20;  // "-00001-of-00003.gguf"
  if (file.size() <= kEnding) return std::nullopt;
  const std::string ending = file.substr(file.size() - kEnding);
  int used = 0;
  if (std::sscanf(ending.c_str(), "-%5d-of-%5d.gguf%n", &part, &parts, &used) !=
          2 ||
      used != static_cast<int>(kEnding) || parts < 1 || parts > kMostParts) {
    return std::nullopt;
  }
  return std::pair(file.substr(0, file.size() - kEnding), parts);
}

}  // namespace

uint64_t GgufTensor::rows() const {
  uint64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

GgufFile::GgufFile(const fs::path& path) : path_(path.string()), mapped_(path) {
  Reader in(mapped_.bytes(), path_);
  const auto magic = in.Take(sizeof(kMagic), "the header");
  if (std::memcmp(magic.data(), kMagic, sizeof(kMagic)) != 0) {
    in.Fail("is not a GGUF file");
  }
  const auto version = in.Number<uint32_t>("the header");
  if (version < kOldestVersion || version > kNewestVersion) {
    const bool swapped = (version & 0xFFFF) == 0;
    in.Fail(swapped ? "is big endian, which is not supported"
                    : "is of GGUF version " + std::to_string(version) +
                          "; supported: 2 and 3");
  }
  const auto tensors =
      in.Count("the number of tensors", kShortestTensor, kMostTensors);
  const auto values =
      in.Count("the number of values", kShortestValue, kMostValues);
  for (uint64_t i = 0; i < values; ++i) {
    const std::string key(in.Text("the name of a value"));
    if (key.empty() || key.size() > kLongestName) {
      in.Fail("the name of a value is empty or too long");
    }
    if (!values_.emplace(key, ReadValue(in, "value '" + key + "'")).second) {
      in.Fail("value '" + key + "' is there twice");
    }
  }
  const auto alignment = static_cast<uint64_t>(
      Integer("general.alignment")
          .value_or(static_cast<int64_t>(kDefaultAlignment)));
  if (!std::has_single_bit(alignment) || alignment > kLargestAlignment) {
    in.Fail("value 'general.alignment' is no power of two that is possible");
  }
  std::vector<Placed> placed;
  std::set<std::string> names;
  for (uint64_t i = 0; i < tensors; ++i) {
    placed.push_back(ReadTensor(in));
    if (!names.insert(placed.back().tensor.name).second) {
      in.Fail("tensor '" + placed.back().tensor.name + "' is there twice");
    }
  }
  const size_t start = (in.at() + alignment - 1) / alignment * alignment;
  std::span<const std::byte> data;
  if (start <= mapped_.bytes().size()) data = mapped_.bytes().subspan(start);
  Place(placed, data, alignment, in);
  for (Placed& entry : placed) tensors_.push_back(std::move(entry.tensor));
}

const GgufValue* GgufFile::Find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

void GgufFile::Fail(std::string_view key, const std::string& cause) const {
  throw Error::InFile(path_, "value '" + std::string(key) + "' " + cause);
}

std::optional<double> GgufFile::Number(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->bytes.empty()) Fail(key, "is not a number");
  const double number = NumberAt(*value, 0);
  if (!std::isfinite(number)) Fail(key, "is not finite");
  return number;
}

std::optional<int64_t> GgufFile::Integer(std::string_view key) const {
  const auto number = Number(key);
  if (!number) return std::nullopt;
  constexpr double kMost = 9007199254740992.0;  // whole in a double
  if (*number != std::floor(*number) || std::abs(*number) > kMost) {
    Fail(key, "is not a whole number that is possible");
  }
  return static_cast<int64_t>(*number);
}

std::optional<bool> GgufFile::Bool(std::string_view key) const {
  const auto number = Number(key);
  if (!number) return std::nullopt;
  return *number != 0;
}

std::optional<std::string> GgufFile::Text(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->texts.size() != 1) Fail(key, "is not a text");
  return std::string(value->texts.front());
}

std::vector<std::string_view> GgufFile::Texts(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return {};
  if (!value->is_array || value->type != GgufType::kString) {
    Fail(key, "is not a list of texts");
  }
  return value->texts;
}

std::vector<double> GgufFile::Numbers(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return {};
  if (!value->is_array || value->type == GgufType::kString) {
    Fail(key, "is not a list of numbers");
  }
  std::vector<double> numbers(value->count);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = NumberAt(*value, i);
  return numbers;
}

std::vector<std::shared_ptr<const GgufFile>> OpenGguf(const fs::path& path) {
  std::vector<std::shared_ptr<const GgufFile>> files;
  const auto part = PartOf(path.filename().string());
  if (!part) {
    files.push_back(std::make_shared<const GgufFile>(path));
    if (files.front()->Integer("split.count").value_or(0) > 1) {
      files.front()->Fail("split.count",
                          "says that it is one of several files, which are "
                          "found by names like model-00001-of-00003.gguf");
    }
    return files;
  }
  const auto& [name, parts] = *part;
  for (int i = 1; i <= parts; ++i) {
    char ending[32];
    std::snprintf(ending, sizeof(ending), "-%05d-of-%05d.gguf", i, parts);
    files.push_back(
        std::make_shared<const GgufFile>(path.parent_path() / (name + ending)));
    const GgufFile& file = *files.back();
    if (file.Integer("split.count").value_or(parts) != parts ||
        file.Integer("split.no").value_or(i - 1) != i - 1) {
      file.Fail("split.count", "and 'split.no' are not what the name says");
    }
  }
  return files;
}

bool IsGguf(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  char magic[sizeof(kMagic)] = {};
  stream.read(magic, sizeof(magic));
  return stream && std::memcmp(magic, kMagic, sizeof(kMagic)) == 0;
}

}  // namespace lutra::packer
