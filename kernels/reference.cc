#include <algorithm>
#include <cmath>

#include "kernels/layout.h"
#include "kernels/quantize.h"
#include "kernels/scale_types.h"
#include "lutra/kernels/gemm.h"

namespace lutra::kernels {
namespace {

TokenScale FindTokenScale(const float* x, size_t k, ActivationType type) {
  float min = 0;
  float max = 0;
  for (size_t i = 0; i < k; ++i) {
    if (!std::isfinite(x[i])) return NonFiniteTokenScale();
    min = std::min(min, x[i]);
    max = std::max(max, x[i]);
  }
  return MakeTokenScale(type, min, max);
}

}  // namespace

void ReferenceGemm(const LutMatrix& w, ActivationType activation_type,
                   const GemmArguments& arguments) noexcept {
  const LutFormat& f = w.format;
  const RowBlockLayout layout = LayOutRowBlock(f);
  const bool is_float = activation_type == ActivationType::kFloat32;
  for (size_t m = 0; m < arguments.m; ++m) {
    const float* x = arguments.x + m * arguments.x_stride;
    TokenScale token;
    if (!is_float) token = FindTokenScale(x, f.k, activation_type);
    const bool finite = !std::isnan(token.scale);
    for (size_t n = 0; n < f.n; ++n) {
      const size_t r = n % kBlockRows;
      const uint8_t* block = w.row_blocks + n / kBlockRows * w.row_block_bytes;
      const int8_t* table =
          w.table != nullptr
              ? w.table
              : reinterpret_cast<const int8_t*>(block + layout.tables) +
                    r * f.TableEntries();
      float acc = 0;
      for (size_t g = 0; g < f.GroupsPerRow(); ++g) {
        const uint8_t* group =
            block + layout.first_group + g * layout.group_stride;
        const float scale = LoadScale(f.scale_type, group, r);
        const size_t first = g * f.group_size;
        const size_t columns = std::min<size_t>(f.group_size, f.k - first);
        int32_t dot = 0;
        for (size_t c = 0; c < columns; ++c) {
          const size_t unit = c / UnitColumns(f.bits);
          const int8_t entry = table[GetIndex(
              f.bits, group + layout.indices + unit * UnitBytes(f.bits), r,
              c % UnitColumns(f.bits))];
          if (is_float) {
            acc += x[first + c] * (scale * static_cast<float>(entry));
          } else if (finite) {
            dot += token.Quantize(x[first + c]) * entry;
          }
        }
        if (!is_float) acc = acc + static_cast<float>(dot) * scale;
      }
      if (activation_type == ActivationType::kInt8Asymmetric) {
        acc = acc - static_cast<float>(token.zero) *
                        LoadScale(ScaleType::kFloat32, block, r);
      }
      float y = is_float ? acc : acc * token.scale;
      if (arguments.bias != nullptr) y = y + arguments.bias[n];
      arguments.y[m * arguments.y_stride + n] = y;
    }
  }
}

}  // namespace lutra::kernels
