#include "kernels/attention/attention_reference.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/attention/attention_layout.h"
#include "kernels/attention/int8_row.h"
#include "kernels/base/half.h"
#include "kernels/vector/exp.h"
#include "kernels/vector/lane_sum.h"

namespace lutra::kernels {
namespace {

// The formulas for one head. `rows` tells what the cache holds for it:
//   float Key(t, d), KeyScale(t), Value(t, d), ValueScale(t)
// with scales of 1 where there are none. `weights` has position + 1 floats.
template <class Rows>
void AttendHead(const AttentionShape& shape, size_t position, const float* q,
                const Rows& rows, float* weights, float* y) {
  const size_t first = shape.window != 0 && position >= shape.window
                           ? position + 1 - shape.window
                           : 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t t = first; t <= position; ++t) {
    float sum = 0.0f;
    for (size_t d = 0; d < shape.head_dim; ++d) {
      sum += (shape.scale * q[d]) * rows.Key(t, d);
    }
    weights[t] = sum * rows.KeyScale(t);
    largest = std::max(largest, weights[t]);
  }
  for (size_t t = first; t <= position; ++t) {
    weights[t] = Exp(weights[t] - largest);
  }
  const float inverse = 1.0f / LaneSum(position + 1, [&](size_t t) {
                          return t < first ? 0.0f : weights[t];
                        });
  for (size_t d = 0; d < shape.head_dim; ++d) {
    float sum = 0.0f;
    for (size_t t = first; t <= position; ++t) {
      sum += (weights[t] * rows.ValueScale(t)) * rows.Value(t, d);
    }
    y[d] = sum * inverse;
  }
}

// What becomes of rows [position + 1, kv_heads, head_dim] in the cache.
struct StoredRows {
  const AttentionShape& shape;
  const float* k;  // of the head's first token
  const float* v;

  const float* Row(const float* rows, size_t t) const {
    return rows + t * shape.kv_heads * shape.head_dim;
  }
  float Scale(const float* rows, size_t t) const {
    if (shape.cache != CacheType::kInt8) return 1.0f;
    return Int8Row(Row(rows, t), shape.head_dim).scale;
  }
  float Element(const float* rows, size_t t, size_t d) const {
    const float x = Row(rows, t)[d];
    switch (shape.cache) {
      case CacheType::kFloat32:
        return x;
      case CacheType::kFloat16:
        return RoundToFloat16(x);
      case CacheType::kInt8:
        return Int8Row(Row(rows, t), shape.head_dim).Quantize(x);
    }
    return x;
  }

  float Key(size_t t, size_t d) const { return Element(k, t, d); }
  float KeyScale(size_t t) const { return Scale(k, t); }
  float Value(size_t t, size_t d) const { return Element(v, t, d); }
  float ValueScale(size_t t) const { return Scale(v, t); }
};

// The same from a cache.
struct CachedRows {
  CacheType type;
  const PageLayout& layout;
  const AttentionCache& cache;
  size_t head;

  const std::byte* Head(size_t t) const {
    return HeadInPage(cache, layout, head, t);
  }
  float Element(const std::byte* elements, size_t i) const {
    switch (type) {
      case CacheType::kFloat32:
        return reinterpret_cast<const float*>(elements)[i];
      case CacheType::kFloat16:
        return FloatFromFloat16(reinterpret_cast<const uint16_t*>(elements)[i]);
      case CacheType::kInt8:
        return reinterpret_cast<const int8_t*>(elements)[i];
    }
    return 0.0f;
  }
  float Scale(size_t at, size_t t) const {
    if (type != CacheType::kInt8) return 1.0f;
    return reinterpret_cast<const float*>(Head(t) + at)[t % kCachePageTokens];
  }

  float Key(size_t t, size_t d) const {
    return Element(Head(t), layout.Key(t % kCachePageTokens, d));
  }
  float KeyScale(size_t t) const { return Scale(layout.key_scales, t); }
  float Value(size_t t, size_t d) const {
    return Element(Head(t) + layout.values,
                   layout.Value(t % kCachePageTokens, d));
  }
  float ValueScale(size_t t) const { return Scale(layout.value_scales, t); }
};

}  // namespace

void AttendTokenPlainly(const AttentionShape& shape, size_t position,
                        size_t first, size_t count, const float* q,
                        const AttentionCache& cache, void* scratch, float* y) {
  const PageLayout layout(shape);
  const AttentionScratch parts(shape);
  for (size_t i = first; i < first + count; ++i) {
    const CachedRows rows{shape.cache, layout, cache, i};
    for (size_t h = i * parts.heads; h < (i + 1) * parts.heads; ++h) {
      AttendHead(shape, position, q + h * shape.head_dim, rows,
                 parts.Scores(scratch), y + h * shape.head_dim);
    }
  }
}

namespace reference {

void Attend(const AttentionShape& shape, size_t position, const float* q,
            const float* k, const float* v, float* scratch, float* y) noexcept {
  const size_t shared = shape.heads / shape.kv_heads;
  for (size_t h = 0; h < shape.heads; ++h) {
    const size_t offset = h / shared * shape.head_dim;
    const StoredRows rows{shape, k + offset, v + offset};
    AttendHead(shape, position, q + h * shape.head_dim, rows, scratch,
               y + h * shape.head_dim);
  }
}

}  // namespace reference
}  // namespace lutra::kernels
