#ifndef LUTRA_TESTS_PACKER_TWO_LAYERS_H_
#define LUTRA_TESTS_PACKER_TWO_LAYERS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "lutra/qat/quantizers.h"
#include "lutra/qat/scheme.h"
#include "lutra/runtime/model.h"
#include "tests/runtime/model_builder.h"

// A small network for packing: x [48] -> fc1 [20, 48] -> relu -> fc2 [5, 20].

namespace lutra::packer {

inline constexpr size_t kN1 = 20;
inline constexpr size_t kK1 = 48;
inline constexpr size_t kN2 = 5;
inline constexpr size_t kK2 = 20;

struct TwoLayers {
  std::vector<float> w1 = RandomFloats(kN1 * kK1, 1);
  std::vector<float> w2 = RandomFloats(kN2 * kK2, 2);
  std::vector<float> bias = RandomFloats(kN1, 3);
  qat::SchemeMap schemes;

  ModelBuilder Builder() const {
    ModelBuilder builder;
    builder.Input("x", {kK1})
        .Add(OpType::kLinear, {"x"}, "h", "fc1.weight", "fc1.bias")
        .Add(OpType::kRelu, {"h"}, "r")
        .Add(OpType::kLinear, {"r"}, "y", "fc2.weight")
        .Output("y")
        .Floats("fc1.weight", {kN1, kK1}, w1)
        .Floats("fc1.bias", {kN1}, bias)
        .Floats("fc2.weight", {kN2, kK2}, w2);
    if (!schemes.empty()) {
      builder.Metadata(kSchemesKey, qat::SchemesToJson(schemes));
    }
    return builder;
  }

  std::shared_ptr<const Model> Load(const std::filesystem::path& path) const {
    Builder().Write(path);
    return Model::Load(path);
  }
};

// w [n, k] quantized group by group, straight from the quantizer.
inline std::vector<float> Quantized(std::vector<float> w, size_t k,
                                    const qat::QuantScheme& scheme) {
  const auto quantizer = qat::MakeQuantizer(scheme.quantizer);
  const size_t group =
      scheme.group_size == 0 ? k : static_cast<size_t>(scheme.group_size);
  std::vector<float> grid(quantizer->GridSize(scheme.bits));
  for (size_t row = 0; row < w.size(); row += k) {
    for (size_t begin = 0; begin < k; begin += group) {
      float* values = w.data() + row + begin;
      const size_t count = begin + group < k ? group : k - begin;
      quantizer->Quantize({values, 1, count, true}, scheme.bits, values,
                          grid.data());
    }
  }
  return w;
}

// Both weights on the grid of `scheme`, as the trainer leaves and records them.
inline TwoLayers TrainedLayers(const qat::QuantScheme& scheme) {
  TwoLayers layers;
  layers.w1 = Quantized(layers.w1, kK1, scheme);
  layers.w2 = Quantized(layers.w2, kK2, scheme);
  layers.schemes = {{"fc1.weight", scheme}, {"fc2.weight", scheme}};
  return layers;
}

// All of a packed weight.
inline std::vector<float> Dequantized(const kernels::LutMatrix& matrix) {
  const size_t k = matrix.format.k;
  std::vector<float> values(matrix.format.n * k);
  for (uint32_t row = 0; row < matrix.format.n; ++row) {
    kernels::DequantizeRow(matrix, row, values.data() + row * k);
  }
  return values;
}

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_TWO_LAYERS_H_
