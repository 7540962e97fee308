#include "packer/import/onnx/onnx_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "kernels/base/checked_math.h"
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

// Fields of the messages of
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
namespace model_proto {
constexpr uint32_t kIrVersion = 1, kGraph = 7, kOpsetImport = 8;
}
namespace opset_proto {
constexpr uint32_t kDomain = 1, kVersion = 2;
}
namespace graph_proto {
constexpr uint32_t kNode = 1, kInitializer = 5, kInput = 11, kOutput = 12,
                   kSparseInitializer = 15;
}
namespace value_proto {
constexpr uint32_t kName = 1, kType = 2;
}
namespace type_proto {
constexpr uint32_t kTensorType = 1, kElementType = 1, kShape = 2;
}
namespace shape_proto {
constexpr uint32_t kDim = 1, kSize = 1, kName = 2;
}
namespace node_proto {
constexpr uint32_t kInput = 1, kOutput = 2, kName = 3, kOpType = 4,
                   kAttribute = 5, kDomain = 7;
}
namespace attribute_proto {
constexpr uint32_t kName = 1, kFloat = 2, kInt = 3, kString = 4, kTensor = 5,
                   kFloats = 7, kInts = 8, kStrings = 9, kType = 20;
}

class Reader {
 public:
  explicit Reader(const fs::path& path)
      : path_(path.string()),
        file_(std::make_shared<const MappedFile>(path)),
        tensors_(path, file_) {}

  OnnxGraph Read() {
    const Protobuf model(file_->text(), path_);
    const uint64_t format = model.Integer(model_proto::kIrVersion, 0);
    if (format == 0 || format > kNewestFormat) {
      Fail("is of version " + std::to_string(static_cast<int64_t>(format)) +
           " of the format; known are 1 to " + std::to_string(kNewestFormat));
    }
    ReadOpset(model);
    if (!model.Has(model_proto::kGraph)) Fail("holds no graph");
    const Protobuf graph(model.Bytes(model_proto::kGraph), path_);
    graph.ForEach(graph_proto::kInitializer, [&](std::string_view bytes) {
      Constant tensor = tensors_.Read(Protobuf(bytes, path_));
      const std::string name = tensor.name;
      Define(name);
      graph_.constants.emplace(name, std::move(tensor));
    });
    if (graph.Has(graph_proto::kSparseInitializer))
      Fail("has sparse tensors, which are not supported");
    graph.ForEach(graph_proto::kInput,
                  [&](std::string_view bytes) { ReadInput(bytes); });
    graph.ForEach(graph_proto::kNode,
                  [&](std::string_view bytes) { ReadNode(bytes); });
    graph.ForEach(graph_proto::kOutput, [&](std::string_view bytes) {
      graph_.outputs.emplace_back(
          Protobuf(bytes, path_).Bytes(value_proto::kName));
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
    model.ForEach(model_proto::kOpsetImport, [&](std::string_view bytes) {
      const Protobuf entry(bytes, path_);
      const std::string_view domain = entry.Bytes(opset_proto::kDomain);
      if (!domain.empty() && domain != "ai.onnx") return;
      graph_.opset =
          static_cast<int64_t>(entry.Integer(opset_proto::kVersion, 0));
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
    input.name = entry.Bytes(value_proto::kName);
    // Old files list weights among the inputs.
    if (graph_.constants.contains(input.name)) return;
    Define(input.name);
    const Protobuf type(entry.Bytes(value_proto::kType), path_);
    if (!type.Has(type_proto::kTensorType)) {
      Fail("its input '" + input.name + "' is not a tensor");
    }
    const Protobuf tensor(type.Bytes(type_proto::kTensorType), path_);
    input.type =
        static_cast<int64_t>(tensor.Integer(type_proto::kElementType, 0));
    if (!tensor.Has(type_proto::kShape)) {
      Fail("its input '" + input.name + "' has no shape");
    }
    const Protobuf shape(tensor.Bytes(type_proto::kShape), path_);
    shape.ForEach(shape_proto::kDim, [&](std::string_view dim_bytes) {
      const Protobuf dim(dim_bytes, path_);
      OnnxDim size;
      if (dim.Has(shape_proto::kSize)) {
        size.size = static_cast<int64_t>(dim.Integer(shape_proto::kSize, 0));
        if (size.size < 1 || size.size > int64_t{1} << 31) {
          Fail("its input '" + input.name + "' has a dimension of " +
               std::to_string(size.size));
        }
      }
      size.name = dim.Bytes(shape_proto::kName);
      input.shape.push_back(std::move(size));
    });
    if (input.shape.size() > 8) {
      Fail("its input '" + input.name + "' has more than 8 dimensions");
    }
    std::vector<int64_t> sizes;
    for (const OnnxDim& dim : input.shape) {
      sizes.push_back(std::max<int64_t>(dim.size, 1));
    }
    const auto count = CheckedElementCount(sizes);
    if (!count || *count > size_t{1} << 31) {
      Fail("its input '" + input.name + "' has more than 2^31 elements");
    }
    graph_.inputs.push_back(std::move(input));
  }

  void ReadNode(std::string_view bytes) {
    if (graph_.nodes.size() == kMaxNodes) Fail("has more than 65,536 nodes");
    const Protobuf entry(bytes, path_);
    OnnxNode node;
    entry.ForEach(node_proto::kInput, [&](std::string_view name) {
      node.inputs.emplace_back(name);
    });
    entry.ForEach(node_proto::kOutput, [&](std::string_view name) {
      node.outputs.emplace_back(name);
      if (!name.empty()) Define(node.outputs.back());
    });
    node.name = entry.Bytes(node_proto::kName);
    node.op = entry.Bytes(node_proto::kOpType);
    node.domain = entry.Bytes(node_proto::kDomain);
    if (node.domain == "ai.onnx") node.domain.clear();
    if (node.outputs.empty() || node.outputs[0].empty()) {
      Fail("has a node " + node.FullName() + " without an output");
    }
    entry.ForEach(node_proto::kAttribute, [&](std::string_view attribute) {
      ReadAttribute(Protobuf(attribute, path_), node);
    });
    graph_.nodes.push_back(std::move(node));
  }

  void ReadAttribute(const Protobuf& entry, OnnxNode& node) {
    OnnxAttribute attribute;
    attribute.number = entry.Float(attribute_proto::kFloat, 0);
    attribute.integer =
        static_cast<int64_t>(entry.Integer(attribute_proto::kInt, 0));
    attribute.text = entry.Bytes(attribute_proto::kString);
    if (entry.Has(attribute_proto::kTensor)) {
      attribute.tensor =
          tensors_.Read(Protobuf(entry.Bytes(attribute_proto::kTensor), path_));
    }
    const std::vector<std::byte> numbers =
        entry.Fixed(attribute_proto::kFloats, sizeof(float));
    for (size_t i = 0; i < numbers.size() / sizeof(float); ++i) {
      attribute.numbers.push_back(
          Elements{ElementType::kFloat32, numbers, nullptr}.Float(i));
    }
    attribute.integers = entry.Integers(attribute_proto::kInts);
    entry.ForEach(attribute_proto::kStrings, [&](std::string_view text) {
      attribute.texts.emplace_back(text);
    });
    attribute.type =
        static_cast<int64_t>(entry.Integer(attribute_proto::kType, 0));
    const std::string name(entry.Bytes(attribute_proto::kName));
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
