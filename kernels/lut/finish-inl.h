// From the sums of groups to outputs.

#if defined(LUTRA_KERNELS_LUT_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_LUT_FINISH_INL_H_
#undef LUTRA_KERNELS_LUT_FINISH_INL_H_
#else
#define LUTRA_KERNELS_LUT_FINISH_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "kernels/lut/gemm_job.h"
#include "kernels/lut/scales-inl.h"
#include "kernels/vector/built_functions.h"
#include "kernels/vector/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// What rows [first_row, first_row + kPanelRows) add after the last group.
struct PanelEnd {
  alignas(64) float row_sums[kPanelRows];
  alignas(64) float bias[kPanelRows];
  size_t first_row;
  size_t rows;
};

// `block0` and `block1` are the row blocks, `first_row` their first row.
inline void PreparePanelEnd(const GemmJob& job, const uint8_t* block0,
                            const uint8_t* block1, size_t first_row,
                            PanelEnd* end) {
  std::memcpy(end->row_sums, block0, kBlockRows * sizeof(float));
  std::memcpy(end->row_sums + kBlockRows, block1, kBlockRows * sizeof(float));
  end->first_row = first_row;
  end->rows = std::min<size_t>(kPanelRows, job.w->format.n - first_row);
  if (job.arguments.bias != nullptr) {
    std::memset(end->bias, 0, sizeof(end->bias));
    std::memcpy(end->bias, job.arguments.bias + first_row,
                end->rows * sizeof(float));
  }
}

// Outputs of `token`, before the fused function, from their sums over all
// groups and what their rows give for activations of 1 (normal or zero). `bias`
// may be nullptr.
template <bool kQuantized>
HWY_INLINE VF32 FinishRows(const GemmJob& job, size_t token, VF32 sums,
                           VF32 row_sums, const float* bias) {
  const DF32 d;
  (void)row_sums;
  if constexpr (kQuantized) {
    if (Traits(job.type).has_zero_point) {
      const VF32 zero = hn::Set(d, job.token_zeros[token]);
      sums = hn::Sub(sums, hn::Mul(zero, row_sums));
    }
    sums = hn::Mul(sums, hn::Set(d, job.token_scales[token]));
  }
  return bias == nullptr ? sums : hn::Add(sums, hn::LoadU(d, bias));
}

// By the reference where the build has none of its own.
template <Function kFunction, class Own>
HWY_INLINE VF32 ApplyBuilt(VF32 v, const Own& own) {
  if constexpr (IsBuilt(kFunction)) {
    return own(v);
  } else {
    const DF32 d;
    alignas(64) float lanes[kBlockRows];
    hn::Store(v, d, lanes);
    reference::Apply(kFunction, lanes, hn::Lanes(d), lanes);
    return hn::Load(d, lanes);
  }
}

HWY_INLINE VF32 Fuse(const GemmArguments& arguments, VF32 v) {
  const DF32 d;
  switch (arguments.fusion) {
    case Fusion::kClamp: {
      const VF32 min = hn::Set(d, arguments.clamp_min);
      const VF32 max = hn::Set(d, arguments.clamp_max);
      const VF32 no_less = hn::IfThenElse(hn::Lt(v, min), min, v);
      return hn::IfThenElse(hn::Lt(max, v), max, no_less);
    }
    case Fusion::kGelu:
      return ApplyBuilt<Function::kGelu>(
          v, [](VF32 x) HWY_ATTR { return Gelu(DF32(), x); });
    case Fusion::kSilu:
      return ApplyBuilt<Function::kSilu>(
          v, [](VF32 x) HWY_ATTR { return Silu(DF32(), x); });
    default:
      return v;
  }
}

// Applies the fused function to `count` outputs.
inline void FuseRow(const GemmArguments& arguments, float* HWY_RESTRICT y,
                    size_t count) {
  const DF32 d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(Fuse(arguments, hn::LoadU(d, y + i)), d, y + i);
  }
  if (i == count) return;
  alignas(64) float last[kBlockRows] = {};
  std::memcpy(last, y + i, (count - i) * sizeof(float));
  hn::Store(Fuse(arguments, hn::Load(d, last)), d, last);
  std::memcpy(y + i, last, (count - i) * sizeof(float));
}

// What comes after the bias, for `count` outputs from row `first` on of each of
// `tokens` tokens from `token` on; many of a token at once, as fused functions
// are long chains. Not inlined: every kernel would have its own copy.
inline HWY_NOINLINE void EndRows(const GemmArguments& arguments, size_t token,
                                 size_t tokens, size_t first, size_t count) {
  if (arguments.fusion == Fusion::kNone && arguments.residual == nullptr) {
    return;
  }
  for (const size_t end = token + tokens; token < end; ++token) {
    float* HWY_RESTRICT y = arguments.y + token * arguments.y_stride + first;
    if (arguments.fusion != Fusion::kNone) FuseRow(arguments, y, count);
    if (arguments.residual == nullptr) continue;
    const float* HWY_RESTRICT residual =
        arguments.residual + token * arguments.residual_stride + first;
    for (size_t i = 0; i < count; ++i) y[i] = y[i] + residual[i];
  }
}

// Writes the outputs of tokens [first, first + count) from their sums over all
// groups, [count, kPanelRows]. Vectors of rows are the outer loop: what they
// add stays in registers. Not inlined: every kernel would have its own copy.
template <bool kQuantized>
HWY_NOINLINE void FinishTokens(const GemmJob& job, const PanelEnd& end,
                               const float* HWY_RESTRICT sums, size_t first,
                               size_t count) {
  const DF32 d;
  const size_t lanes = hn::Lanes(d);
  const size_t stride = job.arguments.y_stride;
  for (size_t r = 0; r < end.rows; r += lanes) {
    const VF32 row_sums = NormalOrZero(hn::Load(d, end.row_sums + r));
    const float* bias = job.arguments.bias == nullptr ? nullptr : end.bias + r;
    float* y = job.arguments.y + first * stride + end.first_row + r;
    const size_t left = end.rows - r;
    for (size_t t = 0; t < count; ++t) {
      const VF32 v = FinishRows<kQuantized>(
          job, first + t, hn::Load(d, sums + t * kPanelRows + r), row_sums,
          bias);
      if (lanes <= left) {
        hn::StoreU(v, d, y);
      } else {
        alignas(64) float last[kBlockRows];
        hn::Store(v, d, last);
        std::memcpy(y, last, left * sizeof(float));
      }
      y += stride;
    }
  }
  EndRows(job.arguments, first, count, end.first_row, end.rows);
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
