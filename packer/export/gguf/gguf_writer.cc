#include "packer/export/gguf/gguf_writer.h"

#include <type_traits>

#include "packer/import/gguf/gguf_file.h"

namespace lutra::packer {
namespace {

constexpr uint64_t kAlignment = 32;  // where the file does not say another

uint64_t Aligned(uint64_t at) {
  return (at + kAlignment - 1) / kAlignment * kAlignment;
}

template <typename T>
void Put(std::string& to, T value) {
  static_assert(std::is_arithmetic_v<T>);
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutText(std::string& to, std::string_view text) {
  Put(to, uint64_t{text.size()});
  to += text;
}

constexpr uint32_t Number(GgufType type) { return static_cast<uint32_t>(type); }

}  // namespace

void GgufWriter::Key(std::string_view key, uint32_t type) {
  ++value_count_;
  PutText(values_, key);
  Put(values_, type);
}

void GgufWriter::List(std::string_view key, uint32_t type, size_t count) {
  Key(key, packer::Number(GgufType::kArray));
  Put(values_, type);
  Put(values_, uint64_t{count});
}

void GgufWriter::Text(std::string_view key, std::string_view value) {
  Key(key, packer::Number(GgufType::kString));
  PutText(values_, value);
}

void GgufWriter::Integer(std::string_view key, uint32_t value) {
  Key(key, packer::Number(GgufType::kUInt32));
  Put(values_, value);
}

void GgufWriter::Number(std::string_view key, float value) {
  Key(key, packer::Number(GgufType::kFloat32));
  Put(values_, value);
}

void GgufWriter::Bool(std::string_view key, bool value) {
  Key(key, packer::Number(GgufType::kBool));
  Put(values_, static_cast<uint8_t>(value));
}

void GgufWriter::Bools(std::string_view key, std::span<const bool> values) {
  List(key, packer::Number(GgufType::kBool), values.size());
  for (const bool value : values) Put(values_, static_cast<uint8_t>(value));
}

void GgufWriter::Texts(std::string_view key,
                       std::span<const std::string> values) {
  List(key, packer::Number(GgufType::kString), values.size());
  for (const std::string& value : values) PutText(values_, value);
}

void GgufWriter::Integers(std::string_view key,
                          std::span<const int32_t> values) {
  List(key, packer::Number(GgufType::kInt32), values.size());
  for (const int32_t value : values) Put(values_, value);
}

void GgufWriter::Numbers(std::string_view key, std::span<const float> values) {
  List(key, packer::Number(GgufType::kFloat32), values.size());
  for (const float value : values) Put(values_, value);
}

void GgufWriter::Tensor(std::string_view name, uint32_t type,
                        std::span<const uint64_t> shape, uint64_t bytes) {
  PutText(tensors_, name);
  Put(tensors_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i-- > 0;) Put(tensors_, shape[i]);
  Put(tensors_, type);
  Put(tensors_, data_bytes_);
  offsets_.push_back(data_bytes_);
  data_bytes_ = Aligned(data_bytes_ + bytes);
}

void GgufWriter::Begin() {
  std::string head = "GGUF";
  Put(head, uint32_t{3});
  Put(head, uint64_t{offsets_.size()});
  Put(head, value_count_);
  head += values_;
  head += tensors_;
  data_begin_ = Aligned(head.size());
  head.resize(static_cast<size_t>(data_begin_));
  file_.WriteAt(0, std::as_bytes(std::span(head)));
  if (data_bytes_ == 0) return;
  constexpr std::byte kZero{0};
  file_.WriteAt(data_begin_ + data_bytes_ - 1, {&kZero, 1});
}

void GgufWriter::WritePart(size_t tensor, uint64_t offset,
                           std::span<const std::byte> bytes) {
  file_.WriteAt(data_begin_ + offsets_[tensor] + offset, bytes);
}

}  // namespace lutra::packer
