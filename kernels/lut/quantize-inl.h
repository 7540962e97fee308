// Quantization of activations, as quantize.h defines it.
//
// Included once for each variant, see int8_variant-inl.h.

#include <cstring>

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/quantize.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

inline TokenScale FindTokenScale(ActivationType type,
                                 const float* HWY_RESTRICT x, size_t k,
                                 int bits) {
  const DF32 df;
  const DI32 di;
  const size_t lanes = hn::Lanes(df);
  VF32 min = hn::Zero(df);
  VF32 max = min;
  // Bits of |x| order like integers, with infinities and NaNs on top.
  VI32 largest = hn::Zero(di);
  const VI32 magnitude = hn::Set(di, 0x7FFFFFFF);
  size_t i = 0;
  for (; i + lanes <= k; i += lanes) {
    const VF32 v = hn::LoadU(df, x + i);
    min = hn::Min(min, v);
    max = hn::Max(max, v);
    largest = hn::Max(largest, hn::And(hn::BitCast(di, v), magnitude));
  }
  float low = hn::GetLane(hn::MinOfLanes(df, min));
  float high = hn::GetLane(hn::MaxOfLanes(df, max));
  bool finite =
      hn::AllTrue(di, hn::Lt(largest, hn::Set(di, int32_t{0x7F800000})));
  for (; i < k; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
    finite &= std::isfinite(x[i]);
  }
  return finite ? MakeTokenScale(type, low, high, bits) : NonFiniteTokenScale();
}

// Quantizes `count` values and returns their sum.
inline int32_t QuantizeRun(const TokenScale& t, const float* HWY_RESTRICT x,
                           size_t count, int8_t* HWY_RESTRICT values) {
  const DF32 df;
  const DI32 di;
  const hn::Rebind<int8_t, DI32> d8;
  const size_t lanes = hn::Lanes(df);
  const VF32 inverse = hn::Set(df, t.inverse);
  // Rounds to the nearest even integer, which is then in the low bits. Clipped
  // before, products are at most about 255, so that the conversions' care for
  // large ones is not needed.
  const VF32 magic = hn::Set(df, 0x1.8p23f);
  const VI32 zero = hn::Sub(hn::Set(di, t.zero), hn::BitCast(di, magic));
  const VF32 low = hn::Set(df, static_cast<float>(t.low - t.zero));
  const VF32 high = hn::Set(df, static_cast<float>(t.high - t.zero));
  VI32 sums = hn::Zero(di);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const VF32 scaled = hn::Mul(hn::LoadU(df, x + i), inverse);
    const VF32 clipped = hn::Min(hn::Max(scaled, low), high);
    const VI32 q = hn::Add(hn::BitCast(di, hn::Add(clipped, magic)), zero);
    sums = hn::Add(sums, q);
    hn::StoreU(hn::DemoteTo(d8, q), d8, values + i);
  }
  int32_t sum = hn::GetLane(hn::SumOfLanes(di, sums));
  for (; i < count; ++i) {
    const int32_t q = t.Quantize(x[i]);
    sum += q;
    values[i] = static_cast<int8_t>(q);
  }
  return sum;
}

// Runs of columns go through a buffer to their places between other tokens.
inline constexpr size_t kRunColumns = 256;

// Quantizes `count` values for places of `columns` that are `width` tokens
// apart, with zeros up to `padded`. Returns the sum.
inline int32_t QuantizeBetween(const TokenScale& t, const float* x,
                               size_t count, size_t padded, size_t columns,
                               size_t width, int8_t* to) {
  alignas(64) int8_t run[kRunColumns];
  int32_t sum = 0;
  for (size_t c = 0; c < padded; c += kRunColumns) {
    const size_t stored = std::min(kRunColumns, padded - c);
    const size_t values = std::min(stored, count - std::min(c, count));
    sum += QuantizeRun(t, x + c, values, run);
    std::memset(run + values, 0, stored - values);
    for (size_t i = 0; i < stored; i += columns) {
      std::memcpy(to + (c + i) * width, run + i, columns);
    }
  }
  return sum;
}

// With the scale of the whole token.
inline void QuantizeToken(const GemmJob& job, size_t token, TokenScale t) {
  const LutGeometry& geometry = job.w->geometry;
  // Copied, as a store of int8 might change everything else in memory.
  const size_t width = job.width;
  const size_t groups = geometry.groups;
  const size_t padded_group = geometry.padded_group;
  const size_t value_columns = ValueColumns(job);
  const ActivationType type = job.type;
  const int bits = job.arguments.activation_bits;
  int32_t* const starts = job.starts;
  float* const group_scales = job.group_scales;
  float* const group_sums = job.group_sums;
  // A division takes as long as the quantization of a vector or two.
  const size_t tile = width == 1 ? token : token / width;
  const size_t lane = token - tile * width;
  const float* x = job.arguments.x + token * job.arguments.x_stride;
  const bool finite = !std::isnan(t.scale);
  const bool per_group = group_scales != nullptr && finite;
  const int32_t factor = kSignedTables ? 0 : job.w->table_min;
  job.token_scales[token] = per_group ? 1.0f : t.scale;
  job.token_zeros[token] = static_cast<float>(t.zero);
  int8_t* to = job.values + tile * width * geometry.padded_k;
  size_t place = tile * width * groups + lane;
  for (size_t g = 0; g < groups; ++g) {
    const size_t columns = job.Columns(g);
    const size_t padded = job.PaddedColumns(g);
    if (per_group) t = FindTokenScale(type, x, columns, bits);
    const size_t count = finite ? columns : 0;
    int32_t sum;
    if (width == 1) {
      sum = QuantizeRun(t, x, count, to);
      for (size_t c = count; c < padded; ++c) to[c] = 0;
    } else {
      sum = QuantizeBetween(t, x, count, padded, value_columns, width,
                            to + lane * value_columns);
    }
    starts[place] = factor * sum;
    if (group_scales != nullptr) group_scales[place] = t.scale;
    if (group_sums != nullptr) {
      group_sums[place] = per_group ? static_cast<float>(sum) * t.scale
                                    : static_cast<float>(sum);
    }
    x += columns;
    to += padded_group * width;
    place += width;
  }
}

// Scales of several tokens first: each takes three divisions, one after the
// other, which a CPU then does for some tokens at a time.
void Quantize(const GemmJob& job, size_t first, size_t count) {
  constexpr size_t kTokens = 16;
  const GemmArguments& a = job.arguments;
  TokenScale scales[kTokens];
  for (size_t begin = 0; begin < count; begin += kTokens) {
    const size_t tokens = std::min(kTokens, count - begin);
    const float* x = a.x + (first + begin) * a.x_stride;
    for (size_t i = 0; i < tokens; ++i) {
      scales[i] = WithRange(a, job.type,
                            FindTokenScale(job.type, x + i * a.x_stride,
                                           job.w->format.k, a.activation_bits));
    }
    for (size_t i = 0; i < tokens; ++i) {
      QuantizeToken(job, first + begin + i, scales[i]);
    }
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
