#include "packer/import/import_plan.h"

#include <cstring>
#include <utility>

#include "kernels/base/half.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

template <typename T>
T Load(std::span<const std::byte> data, size_t index) {
  T value;
  std::memcpy(&value, data.data() + index * sizeof(T), sizeof(T));
  return value;
}

bool IsFloat(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 ||
         dtype == DType::kBFloat16 || dtype == DType::kFloat64;
}

// Lets a tensor of floats be written to a buffer of bytes.
std::span<float> Floats(std::vector<std::byte>& buffer, size_t count) {
  buffer.resize(count * sizeof(float));  // operator new aligns for any type
  return {reinterpret_cast<float*>(buffer.data()), count};
}

}  // namespace

void ToFloats(DType dtype, std::span<const std::byte> data,
              std::span<float> floats) {
  for (size_t i = 0; i < floats.size(); ++i) {
    switch (dtype) {
      case DType::kFloat16:
        floats[i] = FloatFromFloat16(Load<uint16_t>(data, i));
        break;
      case DType::kBFloat16:
        floats[i] = FloatFromBFloat16(Load<uint16_t>(data, i));
        break;
      case DType::kFloat64:
        floats[i] = static_cast<float>(Load<double>(data, i));
        break;
      default:
        floats[i] = Load<float>(data, i);
        break;
    }
  }
}

ImportTensor CopyTensor(std::string name, const TensorView& view, bool float32,
                        std::string_view file,
                        std::shared_ptr<const void> owner) {
  if (!IsFloat(view.dtype)) {
    throw Error::InTensor(file, view.name,
                          "is of type " + std::string(lutra::Name(view.dtype)) +
                              ", not floating-point, and of no quantized "
                              "format that the checkpoint says");
  }
  ImportTensor tensor;
  tensor.info = view;
  tensor.info.name = std::move(name);
  const bool convert = (float32 && view.dtype != DType::kFloat32) ||
                       view.dtype == DType::kFloat64;
  if (!convert) {
    tensor.read = [data = view.data, owner = std::move(owner)](
                      std::vector<std::byte>&) { return data; };
    return tensor;
  }
  tensor.info.dtype = DType::kFloat32;
  tensor.read = [view,
                 owner = std::move(owner)](std::vector<std::byte>& buffer) {
    ToFloats(view.dtype, view.data, Floats(buffer, view.ElementCount()));
    return std::span<const std::byte>(buffer);
  };
  return tensor;
}

ImportTensor MakeTensor(std::string name, std::vector<int64_t> shape,
                        std::function<std::vector<float>()> make) {
  ImportTensor tensor;
  tensor.info.name = std::move(name);
  tensor.info.dtype = DType::kFloat32;
  tensor.info.shape = std::move(shape);
  tensor.read = [make = std::move(make)](std::vector<std::byte>& buffer) {
    const std::vector<float> values = make();
    const auto bytes = std::as_bytes(std::span(values));
    buffer.assign(bytes.begin(), bytes.end());
    return std::span<const std::byte>(buffer);
  };
  return tensor;
}

Node& AddNode(ImportPlan& plan, OpType op, std::string output) {
  Graph& graph = plan.graph;
  Node node;
  node.op = op;
  node.inputs = {graph.nodes.empty() ? graph.inputs.front().name
                                     : graph.nodes.back().output};
  node.output = std::move(output);
  return graph.nodes.emplace_back(std::move(node));
}

void CheckShape(const TensorView& view, std::span<const int64_t> shape,
                std::string_view file) {
  if (std::equal(shape.begin(), shape.end(), view.shape.begin(),
                 view.shape.end())) {
    return;
  }
  throw Error::InTensor(file, view.name,
                        "has the shape " + ShapeToString(view.shape) +
                            ", expected " + ShapeToString(shape));
}

}  // namespace lutra::packer
