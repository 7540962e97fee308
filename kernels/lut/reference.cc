#include <algorithm>
#include <cmath>

#include "kernels/format/layout.h"
#include "kernels/format/scale_types.h"
#include "kernels/lut/gemm_job.h"
#include "kernels/lut/quantize.h"
#include "kernels/vector/exp.h"
#include "lutra/kernels/gemm.h"

namespace lutra::kernels {
namespace {

// A number of row `row` of a block, as it counts in products.
float LoadFactor(ScaleType type, const uint8_t* from, size_t row) {
  return NormalOrZero(LoadScale(type, from, row));
}

// The same for a scale or offset of a group, and its super scale.
float LoadNumber(const LutMatrix& w, GroupNumbers numbers,
                 const uint8_t* row_block, size_t group, size_t row) {
  const LutGeometry& layout = w.geometry;
  const float first = LoadFactor(
      numbers.type,
      row_block + layout.first_group + group * layout.group_stride + numbers.at,
      row);
  if (w.format.super_span == SuperSpan::kNone) return first;
  const size_t span = group >> layout.super_shift;
  const float second = LoadFactor(
      w.format.super_type,
      row_block + layout.supers + span * layout.super_stride + numbers.super_at,
      row);
  return NormalOrZero(first * second);
}

float Fuse(const GemmArguments& arguments, float v) {
  switch (arguments.fusion) {
    case Fusion::kClamp:
      if (v < arguments.clamp_min) return arguments.clamp_min;
      return v > arguments.clamp_max ? arguments.clamp_max : v;
    case Fusion::kGelu:
      return Gelu(v);
    case Fusion::kSilu:
      return Silu(v);
    default:
      return v;
  }
}

}  // namespace

void ReferenceGemm(const LutMatrix& w, ActivationType activation_type,
                   const GemmArguments& given) noexcept {
  const GemmArguments arguments = WithSimpleFusion(given);
  const LutFormat& f = w.format;
  const LutGeometry& layout = w.geometry;
  const ActivationTraits& traits = Traits(activation_type);
  const bool is_float = traits.is_float;
  const bool per_group = traits.has_group_scales;
  const bool has_offset = f.offset_type != OffsetType::kNone;
  GemmJob job;  // only what depends on the matrix
  job.w = &w;
  for (size_t m = 0; m < arguments.m; ++m) {
    const float* x = arguments.x + m * arguments.x_stride;
    TokenScale token;
    if (!is_float) {
      token = WithRange(
          arguments, activation_type,
          TokenScaleOf(activation_type, x, f.k, arguments.activation_bits));
    }
    const bool finite = !std::isnan(token.scale);
    for (size_t n = 0; n < f.n; ++n) {
      const size_t r = n % kBlockRows;
      const uint8_t* block =
          w.row_blocks + n / kBlockRows * layout.row_block_bytes;
      const int8_t* table =
          w.table != nullptr
              ? w.table
              : reinterpret_cast<const int8_t*>(block + layout.tables) +
                    r * f.TableEntries();
      float acc = 0;
      for (size_t g = 0; g < f.GroupsPerRow(); ++g) {
        const uint8_t* group =
            block + layout.first_group + g * layout.group_stride;
        const float scale = LoadNumber(w, job.Scales(), block, g, r);
        const float offset =
            has_offset ? LoadNumber(w, job.Offsets(), block, g, r) : 0.0f;
        const size_t first = g * f.group_size;
        const size_t columns = std::min<size_t>(f.group_size, f.k - first);
        TokenScale quantizer = token;
        if (per_group && finite) {
          quantizer = TokenScaleOf(activation_type, x + first, columns,
                                   arguments.activation_bits);
        }
        int32_t dot = 0;
        int32_t sum = 0;
        for (size_t c = 0; c < columns; ++c) {
          const size_t unit = c / UnitColumns(f.bits);
          const uint8_t index = GetIndex(
              f.bits, group + layout.indices + unit * UnitBytes(f.bits), r,
              c % UnitColumns(f.bits));
          const int8_t entry =
              f.HasTable() ? table[index] : static_cast<int8_t>(index);
          if (is_float) {
            const float v = traits.is_rounded ? RoundToBFloat16(x[first + c])
                                              : x[first + c];
            acc += v * (scale * static_cast<float>(entry) + offset);
          } else if (finite) {
            const int32_t q = quantizer.Quantize(x[first + c]);
            dot += q * entry;
            sum += q;
          }
        }
        if (is_float) continue;
        const float unit = per_group ? quantizer.scale : 1.0f;
        acc = acc + (static_cast<float>(dot) * unit) * scale;
        if (has_offset) acc = acc + (static_cast<float>(sum) * unit) * offset;
      }
      if (traits.has_zero_point) {
        acc = acc - static_cast<float>(token.zero) *
                        LoadFactor(ScaleType::kFloat32, block, r);
      }
      float y = is_float || per_group ? acc : acc * token.scale;
      if (arguments.bias != nullptr) y = y + arguments.bias[n];
      y = Fuse(arguments, y);
      if (arguments.residual != nullptr) {
        y = y + arguments.residual[m * arguments.residual_stride + n];
      }
      arguments.y[m * arguments.y_stride + n] = y;
    }
  }
}

}  // namespace lutra::kernels
