#include "packer/import/torch_file/torch_file.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "packer/import/torch_file/pickle.h"
#include "packer/import/torch_file/zip_file.h"

namespace lutra::packer {
namespace {

using Kind = PickleNode::Kind;
using nlohmann::json;

constexpr size_t kMostDimensions = 32;
// Pickles share what they name twice. Written out it may be so much longer than
// the pickle.
constexpr size_t kMostPerByte = 4;
constexpr size_t kTensorBytes = 64;  // fewer make no tensor

struct StorageType {
  std::string_view name;
  DType dtype;
};
constexpr StorageType kStorages[] = {
    {"torch BFloat16Storage", DType::kBFloat16},
    {"torch BoolStorage", DType::kBool},
    {"torch ByteStorage", DType::kUInt8},
    {"torch CharStorage", DType::kInt8},
    {"torch DoubleStorage", DType::kFloat64},
    {"torch FloatStorage", DType::kFloat32},
    {"torch HalfStorage", DType::kFloat16},
    {"torch IntStorage", DType::kInt32},
    {"torch LongStorage", DType::kInt64},
    {"torch ShortStorage", DType::kInt16},
};

class Reader {
 public:
  Reader(const std::filesystem::path& path, RawTensors& result)
      : zip_(std::make_shared<const ZipFile>(path)), result_(result) {
    const auto& entries = zip_->entries();
    const auto data = std::find_if(
        entries.begin(), entries.end(),
        [](const auto& entry) { return entry.first.ends_with("/data.pkl"); });
    if (data == entries.end()) {
      throw Error::InFile(zip_->path(), "is not a file of torch.save");
    }
    folder_ = data->first.substr(0, data->first.size() - 8);
    const auto order = entries.find(folder_ + "byteorder");
    if (order != entries.end() && order->second.size() != 6) {  // "little"
      throw Error::InFile(zip_->path(), "is not little endian");
    }
    pickle_.emplace(data->second, zip_->path());
    left_ = kMostPerByte * data->second.size();
  }

  void Read() {
    const PickleNode& root = pickle_->root();
    if (root.kind != Kind::kDict) Fail("", "is not a dict of tensors");
    for (const auto& [key, value] : root.members) {
      if (key->kind != Kind::kText) Fail("", "has a name that is not text");
      if (IsCall(*value, "torch._tensor _rebuild_from_type_v2", 4)) {
        AddSubclass(key->text, *value);
        names_.push_back(key->text);
      } else {
        Add(key->text, *value);
      }
    }
    if (names_.empty()) return;
    // Those of the shards before this one, too.
    constexpr const char* kNames = "tensor_names";
    if (const auto before = result_.metadata.find(kNames);
        before != result_.metadata.end()) {
      for (const auto& name : json::parse(before->second)) {
        names_.push_back(name);
      }
    }
    result_.metadata[kNames] =
        names_.dump(-1, ' ', false, json::error_handler_t::replace);
  }

 private:
  [[noreturn]] void Fail(const std::string& tensor,
                         const std::string& cause) const {
    throw Error::InTensor(zip_->path(), tensor, cause);
  }

  // Part of a tensor is written out once more.
  void Spend(const std::string& tensor, size_t bytes) {
    if (bytes > left_) {
      Fail(tensor, "has parts that are shared too often to be written out");
    }
    left_ -= bytes;
  }

  static bool IsCall(const PickleNode& node, std::string_view name,
                     size_t arguments) {
    return node.kind == Kind::kCall && node.text == name &&
           node.items.size() >= arguments;
  }

  std::vector<int64_t> Integers(const std::string& name,
                                const PickleNode& node) const {
    std::vector<int64_t> values;
    for (const PickleNode* item : node.items) {
      if (item->kind != Kind::kInteger || item->integer < 0) {
        Fail(name, "has a shape that is not possible");
      }
      values.push_back(item->integer);
    }
    if (node.kind != Kind::kList || values.size() > kMostDimensions) {
      Fail(name, "has a shape that is not possible");
    }
    return values;
  }

  // The bytes and the type of ("storage", type, key, device, elements).
  std::pair<std::span<const std::byte>, DType> Storage(
      const std::string& name, const PickleNode& node) const {
    if (node.kind != Kind::kStorage || node.items.size() < 3 ||
        node.items[1]->kind != Kind::kGlobal ||
        node.items[2]->kind != Kind::kText) {
      Fail(name, "has no storage");
    }
    const std::string& type = node.items[1]->text;
    const auto* row = std::find_if(
        std::begin(kStorages), std::end(kStorages),
        [&](const StorageType& entry) { return entry.name == type; });
    if (row == std::end(kStorages)) {
      Fail(name, "is of the storage '" + type + "', which is not supported");
    }
    const auto entry =
        zip_->entries().find(folder_ + "data/" + node.items[2]->text);
    if (entry == zip_->entries().end()) {
      Fail(name, "has a storage that is not in the file");
    }
    return {entry->second, row->dtype};
  }

  // A tensor whose elements lie in order.
  void Add(const std::string& name, const PickleNode& value) {
    const PickleNode* node = &value;
    if (IsCall(*node, "torch._utils _rebuild_parameter", 1)) {
      node = node->items[0];
    }
    if (!IsCall(*node, "torch._utils _rebuild_tensor_v2", 4)) {
      Fail(name, "is not a tensor of a known kind");
    }
    const auto [bytes, dtype] = Storage(name, *node->items[0]);
    RawTensor raw;
    raw.view.name = name;
    raw.view.dtype = dtype;
    raw.view.shape = Integers(name, *node->items[2]);
    const std::vector<int64_t> strides = Integers(name, *node->items[3]);
    const auto elements = CheckedElementCount(raw.view.shape);
    const PickleNode& offset = *node->items[1];
    if (!elements || offset.kind != Kind::kInteger || offset.integer < 0 ||
        strides.size() != raw.view.shape.size()) {
      Fail(name, "has a shape that is not possible");
    }
    const size_t size = ByteSize(dtype);
    const auto begin =
        CheckedMultiply(static_cast<size_t>(offset.integer), size);
    const auto length = CheckedMultiply(*elements, size);
    if (!begin || !length || *begin > bytes.size() ||
        *length > bytes.size() - *begin) {
      Fail(name, "runs past the end of its storage");
    }
    // Of a tensor without elements strides say nothing, and may overflow.
    int64_t stride = 1;
    for (size_t i = *elements == 0 ? 0 : strides.size(); i-- > 0;) {
      if (raw.view.shape[i] != 1 && strides[i] != stride) {
        Fail(name,
             "is stored in another order than its own (a transposed "
             "tensor?); save it contiguous");
      }
      stride *= raw.view.shape[i];
    }
    raw.view.data = bytes.subspan(*begin, *length);
    raw.file = zip_->path();
    raw.owner = zip_;
    if (!result_.tensors.emplace(name, std::move(raw)).second) {
      Fail(name, "is there twice");
    }
  }

  // (function, class, arguments, state) of torchao: the state has the parts.
  void AddSubclass(const std::string& name, const PickleNode& value) {
    const PickleNode& type = *value.items[1];
    const PickleNode* state = value.items[3];
    // Of (state, slots) the first counts.
    if (state->kind == Kind::kList && !state->items.empty()) {
      state = state->items[0];
    }
    const size_t space = type.text.find(' ');
    if (type.kind != Kind::kGlobal || !type.text.starts_with("torchao.") ||
        space == std::string::npos || state->kind != Kind::kDict) {
      Fail(name, "is of a class that is not known");
    }
    json data = json::object();
    for (const auto& [key, part] : state->members) {
      if (key->kind != Kind::kText) Fail(name, "has a part without a name");
      if (part->kind == Kind::kCall &&
          part->text == "torch._utils _rebuild_tensor_v2") {
        Spend(name, name.size() + key->text.size() + kTensorBytes);
        Add(name + ":" + key->text, *part);
      } else {
        Spend(name, 1 + key->text.size());
        data[key->text] = ToJson(name, *part);
      }
    }
    const json description = {{"_type", type.text.substr(space + 1)},
                              {"_data", std::move(data)}};
    result_.metadata[name] =
        description.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  // As torchao's safetensors have it, as far as it matters.
  json ToJson(const std::string& tensor, const PickleNode& node) {
    Spend(tensor, 1 + node.text.size() + node.items.size());
    switch (node.kind) {
      case Kind::kBool:
        return node.integer != 0;
      case Kind::kInteger:
        return node.integer;
      case Kind::kFloat:
        return node.number;
      case Kind::kText:
        return node.text;
      case Kind::kGlobal:
        return {{"_type", "torch.dtype"},
                {"_data", node.text.substr(node.text.find(' ') + 1)}};
      case Kind::kList: {
        json list = json::array();
        for (const PickleNode* item : node.items) {
          if (item->kind == Kind::kInteger) list.push_back(item->integer);
        }
        return list;
      }
      default:
        return nullptr;
    }
  }

  std::shared_ptr<const ZipFile> zip_;
  RawTensors& result_;
  json names_ = json::array();  // of tensors of torchao's classes
  std::string folder_;          // within the archive
  size_t left_ = 0;             // see Spend
  std::optional<Pickle> pickle_;
};

}  // namespace

void AddTorchFile(const std::filesystem::path& path, RawTensors& result) {
  Reader(path, result).Read();
}

}  // namespace lutra::packer
