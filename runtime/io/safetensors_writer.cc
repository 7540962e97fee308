#include <algorithm>
#include <cstring>
#include <set>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "lutra/runtime/safetensors.h"
#include "runtime/base/json.h"
#include "runtime/base/text_of.h"
#include "runtime/io/safetensors_format.h"

namespace lutra {
namespace {

// What packed tensors need, and what every vector load likes.
constexpr size_t kDataAlignment = 64;

// The alignment that a tensor's size keeps for the one after it.
size_t SizeAlignment(const TensorInfo& tensor) {
  return tensor.ByteCount() % kDataAlignment == 0 ? kDataAlignment
                                                  : ByteSize(tensor.dtype);
}

struct Placement {
  uint64_t offset = 0;  // from the start of the data
  size_t bytes = 0;
  size_t written = 0;
};

}  // namespace

struct SafetensorsWriter::State {
  explicit State(const std::filesystem::path& path)
      : name(path.string()), file(path) {}

  std::string name;
  OutputFile file;
  std::string tensors;  // their part of the header, after the metadata
  uint64_t data_start = 0;
  std::map<std::string, Placement, std::less<>> placements;
};

namespace {

void CheckDeclarations(const std::vector<TensorInfo>& tensors,
                       const std::string& file) {
  std::set<std::string_view> names;
  size_t total = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == kMetadataName || !names.insert(tensor.name).second) {
      throw Error::InTensor(file, tensor.name, "name is already taken",
                            ErrorCode::kInvalidArgument);
    }
    const auto elements = CheckedElementCount(tensor.shape);
    const auto bytes = elements
                           ? CheckedMultiply(*elements, ByteSize(tensor.dtype))
                           : std::nullopt;
    const auto sum = bytes ? CheckedAdd(total, *bytes) : std::nullopt;
    if (!sum) {
      throw Error::InTensor(
          file, tensor.name,
          TextOf("shape ", ShapeToString(tensor.shape), " is not possible"),
          ErrorCode::kInvalidArgument);
    }
    total = *sum;
  }
}

std::string MetadataJson(const std::map<std::string, std::string>& metadata,
                         const std::string& file) {
  std::string text = "{";
  for (const auto& [key, value] : metadata) {
    if (text.size() > 1) text += ',';
    text += QuoteJson(key, file) + ':' + QuoteJson(value, file);
  }
  return TextOf(text, "}");
}

std::string TensorJson(const TensorInfo& tensor, uint64_t begin, uint64_t end) {
  std::string text =
      TextOf(R"({"dtype":")", Name(tensor.dtype), R"(","shape":[)");
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i != 0) text += ',';
    text += std::to_string(tensor.shape[i]);
  }
  return TextOf(text, R"(],"data_offsets":[)", begin, ",", end, "]}");
}

// The header, padded with spaces to `size` bytes if it is shorter.
std::string Header(const std::map<std::string, std::string>& metadata,
                   const std::string& tensors, const std::string& file,
                   size_t size) {
  std::string header = "{";
  if (!metadata.empty()) {
    header +=
        QuoteJson(kMetadataName, file) + ':' + MetadataJson(metadata, file);
    if (!tensors.empty()) header += ',';
  }
  header += tensors + '}';
  header.resize(std::max(header.size(), size), ' ');
  return header;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(
    const std::filesystem::path& path,
    const std::map<std::string, std::string>& metadata,
    const std::vector<TensorInfo>& tensors) {
  const std::string name = path.string();
  CheckDeclarations(tensors, name);
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : tensors) order.push_back(&tensor);
  // Equals keep the order of declaration.
  std::sort(
      order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
        const size_t alignment_a = SizeAlignment(*a);
        const size_t alignment_b = SizeAlignment(*b);
        return alignment_a != alignment_b ? alignment_a > alignment_b : a < b;
      });

  std::map<std::string, Placement, std::less<>> placements;
  std::string text;
  uint64_t offset = 0;
  for (const TensorInfo* tensor : order) {
    const size_t bytes = tensor->ByteCount();
    if (!text.empty()) text += ',';
    text += QuoteJson(tensor->name, name) + ':' +
            TensorJson(*tensor, offset, offset + bytes);
    placements.emplace(tensor->name, Placement{offset, bytes, 0});
    offset += bytes;
  }
  std::string header = Header(metadata, text, name, 0);
  // Spaces after the JSON put the data on a multiple of kDataAlignment.
  while ((kLengthBytes + header.size()) % kDataAlignment != 0) header += ' ';
  if (header.size() > kMaxHeaderBytes) {
    throw Error::InFile(name, "cannot write: the header would be too long",
                        ErrorCode::kInvalidArgument);
  }

  state_ = std::make_unique<State>(path);
  state_->tensors = std::move(text);
  state_->placements = std::move(placements);
  state_->data_start = kLengthBytes + header.size();
  const uint64_t length = header.size();
  char prefix[kLengthBytes];
  std::memcpy(prefix, &length, kLengthBytes);
  state_->file.Append({prefix, kLengthBytes});
  state_->file.Append(header);
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::Write(std::string_view name,
                              Span<const std::byte> data) {
  const auto found = state_->placements.find(name);
  if (found != state_->placements.end() && data.size() != found->second.bytes) {
    throw Error::InTensor(
        state_->name, name,
        TextOf("has ", data.size(), " bytes but was declared with ",
               found->second.bytes),
        ErrorCode::kInvalidArgument);
  }
  WritePart(name, 0, data);
}

void SafetensorsWriter::WritePart(std::string_view name, size_t offset,
                                  Span<const std::byte> data) {
  const auto found = state_->placements.find(name);
  if (found == state_->placements.end()) {
    throw Error::InTensor(state_->name, name, "was not declared",
                          ErrorCode::kInvalidArgument);
  }
  Placement& placement = found->second;
  if (offset > placement.bytes || data.size() > placement.bytes - offset) {
    throw Error::InTensor(state_->name, name, "is written past its end",
                          ErrorCode::kInvalidArgument);
  }
  // Tensors of no bytes are never incomplete.
  if (data.size() > placement.bytes - placement.written) {
    throw Error::InTensor(state_->name, name, "is written twice",
                          ErrorCode::kInvalidArgument);
  }
  state_->file.WriteAt(state_->data_start + placement.offset + offset, data);
  placement.written += data.size();
}

void SafetensorsWriter::ReplaceMetadata(
    const std::map<std::string, std::string>& metadata) {
  const auto size = static_cast<size_t>(state_->data_start - kLengthBytes);
  const std::string header =
      Header(metadata, state_->tensors, state_->name, size);
  if (header.size() > size) {
    throw Error::InFile(state_->name,
                        "cannot write: the metadata has become longer",
                        ErrorCode::kInvalidArgument);
  }
  state_->file.WriteAt(kLengthBytes, std::as_bytes(std::span(header)));
}

const std::string& SafetensorsWriter::temporary() const {
  return state_->file.temporary();
}

void SafetensorsWriter::Commit() {
  for (const auto& [name, placement] : state_->placements) {
    if (placement.written < placement.bytes) {
      throw Error::InTensor(state_->name, name, "was not written",
                            ErrorCode::kInvalidArgument);
    }
  }
  state_->file.Commit();
}

}  // namespace lutra
