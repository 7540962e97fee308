#include "tests/fuzz/damage.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/word_hash.h"
#include "kernels/format/layout.h"
#include "tests/fuzz/files.h"
#include "tests/runtime/raw_file.h"

namespace lutra::fuzz {
namespace {

using nlohmann::json;

// The library frees and writes values recursively.
bool IsShallow(std::string_view text) {
  constexpr int kDeepest = 200;
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kDeepest) return false;
  }
  return true;
}

// Discarded for what is no JSON.
json Parse(std::string_view text) {
  if (!IsShallow(text)) return json::value_t::discarded;
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Makes the checksum of a LUT matrix right.
void Mend(std::string& bytes) {
  constexpr size_t kAfter = kernels::kChecksumAt + sizeof(uint64_t);
  if (bytes.size() < kernels::kHeaderBytes) return;
  WordHash hash;
  hash.AddBytes(bytes.data(), kernels::kChecksumAt);
  hash.AddWord(0);
  hash.AddBytes(bytes.data() + kAfter, bytes.size() - kAfter);
  const uint64_t value = hash.value();
  std::memcpy(bytes.data() + kernels::kChecksumAt, &value, sizeof(value));
}

// One of the texts in the metadata, as JSON if it is.
void DamageMetadata(Mutator& mutator, json& header) {
  const auto metadata = header.find("__metadata__");
  if (metadata == header.end() || !metadata->is_object() || metadata->empty()) {
    return;
  }
  const auto entry =
      std::next(metadata->begin(),
                static_cast<ptrdiff_t>(mutator.Below(metadata->size())));
  if (!entry->is_string()) return;
  *entry = DamageJson(mutator, entry->get<std::string>());
}

// Bytes of one tensor, which keeps its size.
void DamageTensor(Mutator& mutator, const json& header, std::string& data) {
  const auto entry = std::next(
      header.begin(), static_cast<ptrdiff_t>(mutator.Below(header.size())));
  const json* offsets = nullptr;
  if (entry->is_object() && entry->contains("data_offsets")) {
    offsets = &entry->at("data_offsets");
  }
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned()) {
    return;
  }
  const auto begin = (*offsets)[0].get<uint64_t>();
  const auto end = (*offsets)[1].get<uint64_t>();
  if (begin >= end || end > data.size()) return;
  const std::string good = data.substr(begin, end - begin);
  const bool packed = good.starts_with("LUTRAMAT");
  std::string bad = mutator.Damage(good, packed ? kernels::kHeaderBytes : 256);
  bad.resize(good.size());
  if (packed) Mend(bad);
  data.replace(begin, good.size(), bad);
}

}  // namespace

std::string DamageBytes(Mutator& mutator, const std::string& bytes) {
  return mutator.Damage(bytes, bytes.size());
}

std::string DamageJson(Mutator& mutator, const std::string& text) {
  const json root = Parse(text);
  return root.is_discarded() ? DamageBytes(mutator, text)
                             : mutator.DamageJson(text);
}

std::string DamageContainer(Mutator& mutator, const std::string& bytes) {
  uint64_t length = 0;
  if (bytes.size() >= sizeof(length)) {
    std::memcpy(&length, bytes.data(), sizeof(length));
  }
  if (bytes.size() < sizeof(length) || length > bytes.size() - sizeof(length)) {
    return DamageBytes(mutator, bytes);
  }
  RawFile file = RawFile::Parse(bytes);
  json header = Parse(file.header);
  if (!header.is_object() || header.empty()) {
    return DamageBytes(mutator, bytes);
  }
  switch (mutator.Below(4)) {
    case 0:
      file.header = DamageJson(mutator, file.header);
      break;
    case 1:
      DamageTensor(mutator, header, file.data);
      break;
    default:
      DamageMetadata(mutator, header);
      file.header = Dump(header);
      break;
  }
  return file.Bytes();
}

std::string DamageFiles(Mutator& mutator, const std::string& input) {
  Files files = SplitFiles(input);
  if (files.empty()) return DamageBytes(mutator, input);
  auto& [name, bytes] = files[mutator.Below(files.size())];
  if (name.ends_with(".json")) {
    bytes = DamageJson(mutator, bytes);
  } else if (name.ends_with(".safetensors")) {
    bytes = DamageContainer(mutator, bytes);
  } else {
    bytes = DamageBytes(mutator, bytes);
  }
  return JoinFiles(files);
}

}  // namespace lutra::fuzz
