#include "packer/import/checkpoint.h"

#include "lutra/runtime/error.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr size_t kMaxShards = 4096;
// Weights that other programs read.
constexpr std::string_view kOtherKinds[] = {"pytorch_model.bin",
                                            "pytorch_model.bin.index.json",
                                            "consolidated.00.pth",
                                            "consolidated.safetensors",
                                            "tf_model.h5",
                                            "flax_model.msgpack",
                                            "adapter_model.safetensors"};

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string OtherKind(const fs::path& folder) {
  for (const std::string_view name : kOtherKinds) {
    if (Exists(folder / name)) return std::string(name);
  }
  return "";
}

}  // namespace

Checkpoint::Checkpoint(const fs::path& folder) : folder_(folder) {
  if (Exists(folder / kSingleFile)) {
    const auto file = std::make_shared<const SafetensorsFile>(
        SafetensorsFile::Open(folder / kSingleFile));
    for (const TensorView& tensor : file->tensors()) {
      entries_[tensor.name] = {file, &tensor};
    }
  } else if (Exists(folder / kIndexFile)) {
    ReadIndex(folder / kIndexFile);
  } else {
    const std::string other = OtherKind(folder);
    throw Error::InFile(
        folder.string(),
        "has neither model.safetensors nor model.safetensors.index.json" +
            (other.empty() ? "" : "; " + other + " is not supported"));
  }
}

void Checkpoint::Add(const fs::path& path, std::string_view prefix) {
  const auto file = std::make_shared<const SafetensorsFile>(
      SafetensorsFile::Open(folder_ / path));
  for (const TensorView& tensor : file->tensors()) {
    entries_[std::string(prefix) + tensor.name] = {file, &tensor};
  }
}

void Checkpoint::ReadIndex(const fs::path& index) {
  const MappedFile mapped(index);
  const std::string name = index.string();
  const JsonDocument document = ParseJson(mapped.text(), name, "index");
  const JsonObject object(document.root(), name, "index");
  const nlohmann::json& map = object.Get("weight_map");
  const JsonObject places(map, name, "index: weight_map");
  std::map<std::string, File> files;
  for (const auto& [tensor, value] : map.items()) {
    const std::string shard = places.String(tensor);
    File& file = files[shard];
    if (file == nullptr) {
      // Names with folders could lead anywhere.
      if (fs::path(shard).filename() != shard || shard == "." ||
          shard == "..") {
        object.Fail(std::string("'") + shard + "' is not the name of a file");
      }
      if (files.size() > kMaxShards) object.Fail("names too many files");
      file = std::make_shared<const SafetensorsFile>(
          SafetensorsFile::Open(folder_ / shard));
    }
    entries_[tensor] = {file, &file->Get(tensor)};
  }
}

const TensorView* Checkpoint::Find(std::string_view name) const {
  const auto entry = entries_.find(name);
  return entry == entries_.end() ? nullptr : entry->second.view;
}

StoredTensor Checkpoint::Get(std::string_view name) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) {
    throw Error::InTensor(folder_.string(), name, "is missing");
  }
  return entry->second;
}

std::string Checkpoint::FileOf(std::string_view name) const {
  const auto entry = entries_.find(name);
  return entry == entries_.end() ? folder_.string()
                                 : entry->second.file->path();
}

std::vector<std::string> Checkpoint::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

}  // namespace lutra::packer
