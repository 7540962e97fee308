#include "runtime/ops/weight.h"

#include <array>
#include <optional>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

std::optional<kernels::FloatType> FloatTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return kernels::FloatType::kFloat32;
    case DType::kFloat16:
      return kernels::FloatType::kFloat16;
    case DType::kBFloat16:
      return kernels::FloatType::kBFloat16;
    default:
      return std::nullopt;
  }
}

void CheckAligned(const TensorView& tensor, std::string_view file) {
  if (reinterpret_cast<uintptr_t>(tensor.data.data()) %
          ByteSize(tensor.dtype) !=
      0) {
    throw Error::InTensor(file, tensor.name,
                          "data is not aligned to its elements in the file; "
                          "write the file again with lutra");
  }
}

}  // namespace

uint64_t Weight::ByteCount() const {
  return packed != nullptr ? kernels::BlobBytes(packed->format)
                           : uint64_t{n} * k * kernels::ByteSize(type);
}

Weight GetWeight(const Model& model, std::string_view tensor) {
  if (const kernels::LutMatrix* packed = model.packed(tensor)) {
    return {.n = packed->format.n, .k = packed->format.k, .packed = packed};
  }
  const TensorView& view = model.file().Get(tensor);
  const auto type = FloatTypeOf(view.dtype);
  if (!type) {
    throw Error::InTensor(model.path(), tensor,
                          TextOf("dtype is ", Name(view.dtype),
                                 "; weights are F32, F16, BF16 or packed (U8)"),
                          ErrorCode::kUnsupported);
  }
  if (view.shape.size() != 2) {
    throw Error::InTensor(
        model.path(), tensor,
        TextOf("shape ", ShapeToString(view.shape), " is not a matrix [N, K]"));
  }
  for (const int64_t dimension : view.shape) {
    if (dimension < 1 || dimension > int64_t{kernels::kMaxDimension}) {
      throw Error::InTensor(
          model.path(), tensor,
          TextOf("shape ", ShapeToString(view.shape),
                 " is outside the limits of 1 and ", kernels::kMaxDimension),
          ErrorCode::kUnsupported);
    }
  }
  CheckAligned(view, model.path());
  return {.n = static_cast<uint32_t>(view.shape[0]),
          .k = static_cast<uint32_t>(view.shape[1]),
          .type = *type,
          .values = view.data.data()};
}

const float* GetVector(const Model& model, const std::string& name, size_t n,
                       const std::string& what) {
  const TensorView& view = model.file().Get(name);
  const std::array<int64_t, 1> expected = {static_cast<int64_t>(n)};
  if (view.dtype != DType::kFloat32 ||
      ShapeToString(view.shape) != ShapeToString(expected)) {
    throw Error::InTensor(
        model.path(), name,
        TextOf("is ", Name(view.dtype), " ", ShapeToString(view.shape),
               ", but ", what, " must be F32 ", ShapeToString(expected)));
  }
  return view.Floats(model.path()).data();
}

const float* GetBias(const Model& model, const Node& node, uint32_t n) {
  if (node.bias.empty()) return nullptr;
  return GetVector(model, node.bias, n,
                   TextOf("the bias of weight '", node.weight, "'"));
}

kernels::LutMatrix ParsePacked(const TensorView& tensor,
                               std::string_view file) {
  if (tensor.shape.size() != 1) {
    throw Error::InTensor(file, tensor.name,
                          TextOf("shape ", ShapeToString(tensor.shape),
                                 " is not that of a packed tensor, [bytes]"));
  }
  if (reinterpret_cast<uintptr_t>(tensor.data.data()) %
          kernels::kBlobAlignment !=
      0) {
    throw Error::InTensor(
        file, tensor.name,
        TextOf("packed data is not aligned to ", kernels::kBlobAlignment,
               " bytes in the file; write the file again with lutra"));
  }
  kernels::LutMatrix matrix;
  const char* reason = kernels::ParseLutMatrix(
      reinterpret_cast<const uint8_t*>(tensor.data.data()), tensor.data.size(),
      &matrix);
  if (reason != nullptr) {
    throw Error::InTensor(file, tensor.name,
                          TextOf("not a packed matrix: ", reason),
                          std::string_view(reason).starts_with("unknown")
                              ? ErrorCode::kUnsupported
                              : ErrorCode::kDamaged);
  }
  return matrix;
}

}  // namespace lutra
