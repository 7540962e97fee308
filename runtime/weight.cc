#include "runtime/weight.h"

#include <array>
#include <string>

#include "lutra/runtime/error.h"

namespace lutra {

Weight GetWeight(const Model& model, std::string_view tensor) {
  if (const kernels::LutMatrix* packed = model.packed(tensor)) {
    return {packed->format.n, packed->format.k, packed, nullptr};
  }
  const TensorView& view = model.file().Get(tensor);
  if (view.dtype != DType::kFloat32) {
    throw Error::InTensor(model.path(), tensor,
                          "dtype is " + std::string(Name(view.dtype)) +
                              "; weights are F32 or packed (U8)");
  }
  if (view.shape.size() != 2) {
    throw Error::InTensor(
        model.path(), tensor,
        "shape " + ShapeToString(view.shape) + " is not a matrix [N, K]");
  }
  for (const int64_t dimension : view.shape) {
    if (dimension < 1 || dimension > int64_t{kernels::kMaxDimension}) {
      throw Error::InTensor(model.path(), tensor,
                            "shape " + ShapeToString(view.shape) +
                                " is outside the limits of 1 and " +
                                std::to_string(kernels::kMaxDimension));
    }
  }
  return {static_cast<uint32_t>(view.shape[0]),
          static_cast<uint32_t>(view.shape[1]), nullptr,
          view.Floats(model.path()).data()};
}

const float* GetBias(const Model& model, const Node& node, uint32_t n) {
  if (node.bias.empty()) return nullptr;
  const TensorView& view = model.file().Get(node.bias);
  const std::array<int64_t, 1> expected = {int64_t{n}};
  if (view.dtype != DType::kFloat32 ||
      ShapeToString(view.shape) != ShapeToString(expected)) {
    throw Error::InTensor(model.path(), node.bias,
                          "is " + std::string(Name(view.dtype)) + " " +
                              ShapeToString(view.shape) +
                              ", but the bias of weight '" + node.weight +
                              "' must be F32 " + ShapeToString(expected));
  }
  return view.Floats(model.path()).data();
}

kernels::LutMatrix ParsePacked(const TensorView& tensor,
                               std::string_view file) {
  if (tensor.shape.size() != 1) {
    throw Error::InTensor(file, tensor.name,
                          "shape " + ShapeToString(tensor.shape) +
                              " is not that of a packed tensor, [bytes]");
  }
  if (reinterpret_cast<uintptr_t>(tensor.data.data()) %
          kernels::kBlobAlignment !=
      0) {
    throw Error::InTensor(
        file, tensor.name,
        "packed data is not aligned to " +
            std::to_string(kernels::kBlobAlignment) +
            " bytes in the file; write the file again with lutra");
  }
  kernels::LutMatrix matrix;
  const char* reason = kernels::ParseLutMatrix(
      reinterpret_cast<const uint8_t*>(tensor.data.data()), tensor.data.size(),
      &matrix);
  if (reason != nullptr) {
    throw Error::InTensor(file, tensor.name,
                          std::string("not a packed matrix: ") + reason);
  }
  return matrix;
}

}  // namespace lutra
