#include "packer/import/raw_tensors.h"

#include <map>
#include <set>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/exists.h"
#include "packer/import/torch_file/torch_file.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::string_view kTorchFile = "pytorch_model.bin";
constexpr std::string_view kTorchIndexFile = "pytorch_model.bin.index.json";
constexpr size_t kMaxShards = 4096;
// Weights that other programs read.
constexpr std::string_view kOtherKinds[] = {
    "consolidated.00.pth", "consolidated.safetensors", "tf_model.h5",
    "flax_model.msgpack", "adapter_model.safetensors"};

std::string OtherKind(const fs::path& folder) {
  for (const std::string_view name : kOtherKinds) {
    if (Exists(folder / name)) return std::string(name);
  }
  return "";
}

using File = std::shared_ptr<const SafetensorsFile>;

// Opens a file and takes over what its header says.
File Open(const fs::path& path, RawTensors& result) {
  auto file =
      std::make_shared<const SafetensorsFile>(SafetensorsFile::Open(path));
  for (const auto& [key, value] : file->metadata()) {
    result.metadata[key] = value;
  }
  return file;
}

void AddTensor(const File& file, const TensorView& tensor, RawTensors& result) {
  result.tensors.emplace(tensor.name, RawTensor{tensor, file->path(), file});
}

void AddFile(const fs::path& path, RawTensors& result) {
  const File file = Open(path, result);
  for (const TensorView& tensor : file->tensors()) {
    AddTensor(file, tensor, result);
  }
}

// Of an index: calls each(tensor, shard), and once(shard) before the first of
// each shard.
template <typename Once, typename Each>
void ForShards(const fs::path& index, const Once& once, const Each& each) {
  const MappedFile mapped(index);
  const std::string name = index.string();
  const JsonDocument document = ParseJson(mapped.text(), name, "index");
  const JsonObject object(document.root(), name, "index");
  const nlohmann::json& map = object.Get("weight_map");
  const JsonObject places(map, name, "index: weight_map");
  std::set<std::string> files;
  for (const auto& [tensor, value] : map.items()) {
    const std::string shard = places.String(tensor);
    if (files.insert(shard).second) {
      // Names with folders could lead anywhere.
      if (fs::path(shard).filename() != shard || shard == "." ||
          shard == "..") {
        object.Fail(std::string("'") + shard + "' is not the name of a file");
      }
      if (files.size() > kMaxShards) object.Fail("names too many files");
      once(shard);
    }
    each(tensor, shard);
  }
}

void AddShards(const fs::path& folder, const fs::path& index,
               RawTensors& result) {
  std::map<std::string, File> files;
  ForShards(
      index,
      [&](const std::string& shard) {
        files[shard] = Open(folder / shard, result);
      },
      [&](const std::string& tensor, const std::string& shard) {
        const File& file = files[shard];
        AddTensor(file, file->Get(tensor), result);
      });
}

void AddTorchShards(const fs::path& folder, const fs::path& index,
                    RawTensors& result) {
  ForShards(
      index,
      [&](const std::string& shard) { AddTorchFile(folder / shard, result); },
      [](const std::string&, const std::string&) {});
}

}  // namespace

const RawTensor* RawTensors::Find(std::string_view name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

RawTensor RawTensors::Take(const std::string& name) {
  RawTensor tensor = TakeIfPresent(name);
  if (tensor.owner == nullptr) {
    const std::string file =
        tensors.empty() ? std::string() : tensors.begin()->second.file;
    throw Error::InTensor(file, name, "is missing");
  }
  return tensor;
}

RawTensor RawTensors::TakeIfPresent(const std::string& name) {
  auto node = tensors.extract(name);
  return node.empty() ? RawTensor() : std::move(node.mapped());
}

RawTensors OpenRawTensors(const fs::path& folder, const std::string& name) {
  RawTensors result;
  if (Exists(folder / kSingleFile)) {
    AddFile(folder / kSingleFile, result);
  } else if (Exists(folder / kIndexFile)) {
    AddShards(folder, folder / kIndexFile, result);
  } else if (Exists(folder / kTorchFile)) {
    AddTorchFile(folder / kTorchFile, result);
  } else if (Exists(folder / kTorchIndexFile)) {
    AddTorchShards(folder, folder / kTorchIndexFile, result);
  } else if (!name.empty() && fs::path(name).filename() == name &&
             Exists(folder / (name + ".safetensors"))) {
    AddFile(folder / (name + ".safetensors"), result);
  } else {
    const std::string other = OtherKind(folder);
    throw Error::InFile(
        folder.string(),
        "has neither model.safetensors nor model.safetensors.index.json nor "
        "pytorch_model.bin" +
            (other.empty() ? "" : "; " + other + " is not supported"));
  }
  return result;
}

}  // namespace lutra::packer
