#include "runtime/exec/float8_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/base/float8.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

// Of the 256 bytes; those that are no number are not finite.
std::array<float, 256> Values(DType dtype) {
  std::array<float, 256> values;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto stored = static_cast<uint8_t>(i);
    values[i] = dtype == DType::kFloat8E4M3 ? FloatFromE4M3(stored)
                                            : FloatFromE5M2(stored);
  }
  return values;
}

float ScaleAt(const TensorView& scales, size_t i) {
  if (scales.dtype == DType::kFloat8E8M0) {
    return FloatFromE8M0(static_cast<uint8_t>(scales.data[i]));
  }
  float scale;
  std::memcpy(&scale, scales.data.data() + i * sizeof(scale), sizeof(scale));
  return scale;
}

std::vector<float> Expand(const TensorView& weight, const TensorView& scales,
                          const std::string& file) {
  const auto fail = [&](const std::string& cause) {
    throw Error::InTensor(file, weight.name, cause, ErrorCode::kDamaged);
  };
  if (weight.shape.size() != 2 || weight.data.empty()) {
    fail(TextOf("shape ", ShapeToString(weight.shape),
                " is not a matrix [N, K]"));
  }
  const auto n = static_cast<size_t>(weight.shape[0]);
  const auto k = static_cast<size_t>(weight.shape[1]);
  const bool typed =
      scales.dtype == DType::kFloat32 || scales.dtype == DType::kFloat8E8M0;
  if (!typed || scales.shape.size() != 2 || scales.data.empty() ||
      scales.shape[0] != weight.shape[0] || scales.shape[1] > weight.shape[1]) {
    fail(TextOf("its scales are ", Name(scales.dtype), " ",
                ShapeToString(scales.shape),
                ", not F32 or F8_E8M0 [N, groups]"));
  }
  const auto groups = static_cast<size_t>(scales.shape[1]);
  const size_t columns = (k - 1) / groups + 1;
  if ((groups - 1) * columns >= k) {
    fail(TextOf(k, " columns do not make ", groups, " groups"));
  }
  const std::array<float, 256> values = Values(weight.dtype);
  std::vector<float> result(n * k);
  for (size_t row = 0; row < n; ++row) {
    for (size_t g = 0; g < groups; ++g) {
      const float scale = ScaleAt(scales, row * groups + g);
      const size_t end = row * k + std::min(k, (g + 1) * columns);
      for (size_t i = row * k + g * columns; i < end; ++i) {
        result[i] = scale * values[static_cast<uint8_t>(weight.data[i])];
        if (!std::isfinite(result[i])) fail("has a value that is not finite");
      }
    }
  }
  return result;
}

}  // namespace

std::map<std::string, StoredTensor, std::less<>> ExpandFloat8(
    const Graph& graph, SafetensorsFile& file) {
  std::map<std::string, StoredTensor, std::less<>> stored;
  for (const Node& node : graph.nodes) {
    if (!IsPackable(node.op) || stored.contains(node.weight)) continue;
    const TensorView* const weight = file.Find(node.weight);
    if (weight == nullptr || (weight->dtype != DType::kFloat8E4M3 &&
                              weight->dtype != DType::kFloat8E5M2)) {
      continue;
    }
    const TensorView& scales = file.Get(Float8ScalesName(node.weight));
    stored.emplace(
        node.weight,
        StoredTensor{weight->dtype, weight->data.size() + scales.data.size()});
    std::vector<float> values = Expand(*weight, scales, file.path());
    file.Replace(node.weight, std::move(values), scales.name);
  }
  return stored;
}

}  // namespace lutra
