#include "packer/import/onnx/onnx_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/onnx/onnx_tensor.h"
#include "packer/import/protobuf.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNewestFormat = 14;
constexpr int64_t kOldestOpset = 7;
constexpr int64_t kNewestOpset = 28;
constexpr size_t kMaxNodes = 65536;

class Reader {
 public:
  explicit Reader(const fs::path& path)
      : path_(path.string()),
        file_(std::make_shared<const MappedFile>(path)),
        tensors_(path, file_) {}

  OnnxGraph Read() {
    const Protobuf model(file_->text(), path_);
    const uint64_t format = model.Integer(1, 0);
    if (format == 0 || format > kNewestFormat) {
      Fail("is of version " + std::to_string(static_cast<int64_t>(format)) +
           " of the format; known are 1 to " + std::to_string(kNewestFormat));
    }
    ReadOpset(model);
    if (!model.Has(7)) Fail("holds no graph");
    const Protobuf graph(model.Bytes(7), path_);
    graph.ForEach(5, [&](std::string_view bytes) {
      Constant tensor = tensors_.Read(Protobuf(bytes, path_));
      const std::string name = tensor.name;
      Define(name);
      graph_.constants.emplace(name, std::move(tensor));
    });
    if (graph.Has(15)) Fail("has sparse tensors, which are not supported");
    graph.ForEach(11, [&](std::string_view bytes) { ReadInput(bytes); });
    graph.ForEach(1, [&](std::string_view bytes) { ReadNode(bytes); });
    graph.ForEach(12, [&](std::string_view bytes) {
      graph_.outputs.emplace_back(Protobuf(bytes, path_).Bytes(1));
    });
    if (graph_.outputs.empty()) Fail("has no outputs");
    Sort();
    for (const std::string& output : graph_.outputs) {
      if (!defined_.contains(output)) {
        Fail("its output '" + output + "' is made by no node");
      }
    }
    return std::move(graph_);
  }

 private:
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(path_, cause);
  }

  void ReadOpset(const Protobuf& model) {
    model.ForEach(8, [&](std::string_view bytes) {
      const Protobuf entry(bytes, path_);
      const std::string_view domain = entry.Bytes(1);
      if (!domain.empty() && domain != "ai.onnx") return;
      graph_.opset = static_cast<int64_t>(entry.Integer(2, 0));
    });
    if (graph_.opset < kOldestOpset || graph_.opset > kNewestOpset) {
      Fail("uses the operator set " + std::to_string(graph_.opset) +
           "; known are " + std::to_string(kOldestOpset) + " to " +
           std::to_string(kNewestOpset));
    }
  }

  void Define(const std::string& name) {
    if (name.empty()) Fail("has a value without a name");
    if (name.find('\0') != std::string::npos) {
      Fail("has a name with a zero byte");
    }
    if (!defined_.insert(name).second) {
      Fail("defines '" + name + "' twice");
    }
  }

  void ReadInput(std::string_view bytes) {
    const Protobuf entry(bytes, path_);
    OnnxInput input;
    input.name = entry.Bytes(1);
    // Old files list weights among the inputs.
    if (graph_.constants.contains(input.name)) return;
    Define(input.name);
    const Protobuf type(entry.Bytes(2), path_);
    if (!type.Has(1)) {
      Fail("its input '" + input.name + "' is not a tensor");
    }
    const Protobuf tensor(type.Bytes(1), path_);
    input.type = static_cast<int64_t>(tensor.Integer(1, 0));
    if (!tensor.Has(2)) {
      Fail("its input '" + input.name + "' has no shape");
    }
    const Protobuf shape(tensor.Bytes(2), path_);
    shape.ForEach(1, [&](std::string_view dim_bytes) {
      const Protobuf dim(dim_bytes, path_);
      OnnxDim size;
      if (dim.Has(1)) {
        size.size = static_cast<int64_t>(dim.Integer(1, 0));
        if (size.size < 1 || size.size > int64_t{1} << 31) {
          Fail("its input '" + input.name + "' has a dimension of " +
               std::to_string(size.size));
        }
      }
      size.name = dim.Bytes(2);
      input.shape.push_back(std::move(size));
    });
    if (input.shape.size() > 8) {
      Fail("its input '" + input.name + "' has more than 8 dimensions");
    }
    graph_.inputs.push_back(std::move(input));
  }

  void ReadNode(std::string_view bytes) {
    if (graph_.nodes.size() == kMaxNodes) Fail("has more than 65,536 nodes");
    const Protobuf entry(bytes, path_);
    OnnxNode node;
    entry.ForEach(
        1, [&](std::string_view name) { node.inputs.emplace_back(name); });
    entry.ForEach(2, [&](std::string_view name) {
      node.outputs.emplace_back(name);
      if (!name.empty()) Define(node.outputs.back());
    });
    node.name = entry.Bytes(3);
    node.op = entry.Bytes(4);
    node.domain = entry.Bytes(7);
    if (node.domain == "ai.onnx") node.domain.clear();
    if (node.outputs.empty() || node.outputs[0].empty()) {
      Fail("has a node " + node.FullName() + " without an output");
    }
    entry.ForEach(5, [&](std::string_view attribute) {
      ReadAttribute(Protobuf(attribute, path_), node);
    });
    graph_.nodes.push_back(std::move(node));
  }

  void ReadAttribute(const Protobuf& entry, OnnxNode& node) {
    OnnxAttribute attribute;
    attribute.number = entry.Float(2, 0);
    attribute.integer = static_cast<int64_t>(entry.Integer(3, 0));
    attribute.text = entry.Bytes(4);
    if (entry.Has(5)) {
      attribute.tensor = tensors_.Read(Protobuf(entry.Bytes(5), path_));
    }
    const std::vector<std::byte> numbers = entry.Fixed(7, sizeof(float));
    for (size_t i = 0; i < numbers.size() / sizeof(float); ++i) {
      attribute.numbers.push_back(
          Elements{ElementType::kFloat32, numbers, nullptr}.Float(i));
    }
    attribute.integers = entry.Integers(8);
    attribute.type = static_cast<int64_t>(entry.Integer(20, 0));
    const std::string name(entry.Bytes(1));
    if (!node.attributes.emplace(name, std::move(attribute)).second) {
      Fail("node " + node.FullName() + " has the attribute '" + name +
           "' twice");
    }
  }

  // Puts the nodes in an order that can be executed.
  void Sort() {
    std::map<std::string_view, std::vector<size_t>> users;
    std::vector<size_t> missing(graph_.nodes.size(), 0);
    std::vector<size_t> ready;
    std::set<std::string_view> made;
    for (const OnnxNode& node : graph_.nodes) {
      made.insert(node.outputs.begin(), node.outputs.end());
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const std::string& input : graph_.nodes[i].inputs) {
        if (input.empty()) continue;
        if (!defined_.contains(input)) {
          Fail("node " + graph_.nodes[i].FullName() + " reads '" + input +
               "', which nothing makes");
        }
        if (!made.contains(input)) continue;
        users[input].push_back(i);
        ++missing[i];
      }
      if (missing[i] == 0) ready.push_back(i);
    }
    std::vector<OnnxNode> sorted;
    for (size_t next = 0; next < ready.size(); ++next) {
      OnnxNode& node = graph_.nodes[ready[next]];
      for (const std::string& output : node.outputs) {
        const auto found = users.find(output);
        if (output.empty() || found == users.end()) continue;
        for (const size_t user : found->second) {
          if (--missing[user] == 0) ready.push_back(user);
        }
      }
    }
    if (ready.size() < graph_.nodes.size()) Fail("its nodes form a cycle");
    for (const size_t i : ready) sorted.push_back(std::move(graph_.nodes[i]));
    graph_.nodes = std::move(sorted);
  }

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  OnnxTensors tensors_;
  OnnxGraph graph_;
  std::set<std::string, std::less<>> defined_;
};

}  // namespace

std::string OnnxNode::FullName() const {
  return domain.empty() ? op : domain + "." + op;
}

std::optional<ElementType> OnnxType(int64_t type) {
  switch (type) {
    case 1:
      return ElementType::kFloat32;
    case 2:
      return ElementType::kUInt8;
    case 3:
      return ElementType::kInt8;
    case 4:
      return ElementType::kUInt16;
    case 5:
      return ElementType::kInt16;
    case 6:
      return ElementType::kInt32;
    case 7:
      return ElementType::kInt64;
    case 9:
      return ElementType::kBool;
    case 10:
      return ElementType::kFloat16;
    case 11:
      return ElementType::kFloat64;
    case 12:
      return ElementType::kUInt32;
    case 13:
      return ElementType::kUInt64;
    case 16:
      return ElementType::kBFloat16;
    case 21:
      return ElementType::kUInt4;
    case 22:
      return ElementType::kInt4;
    case 25:
      return ElementType::kUInt2;
    case 26:
      return ElementType::kInt2;
    default:
      return std::nullopt;
  }
}

OnnxGraph ReadOnnx(const fs::path& path) { return Reader(path).Read(); }

}  // namespace lutra::packer
