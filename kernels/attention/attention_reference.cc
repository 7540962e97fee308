#include "kernels/attention/attention_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/attention/attention_layout.h"
#include "kernels/attention/integer_row.h"
#include "kernels/base/half.h"
#include "kernels/vector/exp.h"
#include "kernels/vector/lane_sum.h"

namespace lutra::kernels {
namespace {

// What the integers and the floats of a cache differ in; `rows` tells what it
// holds for a head:
//   float Key(t, d), KeyScale(t), Value(t, d), ValueScale(t)
// with scales where they are integers.

// Sum over i < n of a(i) * b(i) as integers.
template <class A, class B>
float IntegerSum(size_t n, const A& a, const B& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += int64_t{a(i)} * static_cast<int>(b(i));
  return static_cast<float>(sum);
}

template <class Rows>
float Score(const AttentionShape& shape, const float* q, const Rows& rows,
            size_t t) {
  float score = 0.0f;
  if (shape.cache == CacheType::kInt8) {
    float largest = 0.0f;
    bool finite = true;
    for (size_t d = 0; d < shape.head_dim; ++d) {
      largest = std::max(largest, std::fabs(shape.scale * q[d]));
      finite &= std::isfinite(shape.scale * q[d]);
    }
    const IntegerRow query(largest, finite, QueryLimit(shape.head_dim));
    const float sum = IntegerSum(
        shape.head_dim,
        [&](size_t d) { return query.Quantize(shape.scale * q[d]); },
        [&](size_t d) { return rows.Key(t, d); });
    score = (sum * query.scale) * rows.KeyScale(t);
  } else {
    for (size_t d = 0; d < shape.head_dim; ++d) {
      score += (shape.scale * q[d]) * rows.Key(t, d);
    }
  }
  if (shape.soft_cap == 0.0f) return score;
  return shape.soft_cap * Tanh(score * (1.0f / shape.soft_cap));
}

// y[d] += the values of tokens [first, end) of a page times weights.
template <class Rows>
void AddValues(const AttentionShape& shape, const Rows& rows, size_t first,
               size_t end, float* weights, float* y) {
  if (shape.cache != CacheType::kInt8) {
    for (size_t d = 0; d < shape.head_dim; ++d) {
      for (size_t t = first; t < end; ++t) {
        y[d] += weights[t - first] * rows.Value(t, d);
      }
    }
    return;
  }
  for (size_t t = first; t < end; ++t) {
    weights[t - first] *= rows.ValueScale(t);
  }
  const auto integers = IntegerRow::Of(weights, end - first, kWeightLimit);
  for (size_t d = 0; d < shape.head_dim; ++d) {
    y[d] += IntegerSum(
                end - first,
                [&](size_t i) { return integers.Quantize(weights[i]); },
                [&](size_t i) { return rows.Value(first + i, d); }) *
            integers.scale;
  }
}

// The definition for one head.
template <class Rows>
void AttendHead(const AttentionShape& shape, size_t position, size_t tokens,
                const float* q, const float* sink, const Rows& rows, float* y) {
  float largest = std::numeric_limits<float>::lowest();
  float lanes[kCacheBlock] = {};
  if (sink != nullptr) {
    largest = std::max(largest, *sink);
    lanes[0] = Exp(*sink - largest);
  }
  std::fill(y, y + shape.head_dim, 0.0f);
  const size_t last = EndSeen(shape, position, tokens);
  for (size_t first = FirstSeen(shape, position); first < last;) {
    const size_t end = std::min(RoundUp(first + 1, kCachePageTokens), last);
    float weights[kCachePageTokens];
    const float before = largest;
    for (size_t t = first; t < end; ++t) {
      weights[t - first] = Score(shape, q, rows, t);
      largest = std::max(largest, weights[t - first]);
    }
    const float factor = Exp(before - largest);
    for (float& lane : lanes) lane *= factor;
    for (size_t d = 0; d < shape.head_dim; ++d) y[d] *= factor;
    for (size_t t = first; t < end; ++t) {
      weights[t - first] = Exp(weights[t - first] - largest);
      lanes[t % kCacheBlock] += weights[t - first];
    }
    AddValues(shape, rows, first, end, weights, y);
    first = end;
  }
  const float inverse =
      1.0f / LaneSum(kCacheBlock, [&](size_t i) { return lanes[i]; });
  for (size_t d = 0; d < shape.head_dim; ++d) y[d] *= inverse;
}

// What becomes of rows [position + 1, kv_heads, head_dim] in the cache.
struct StoredRows {
  const AttentionShape& shape;
  const float* k;  // of the head's first token
  const float* v;

  const float* Row(const float* rows, size_t t) const {
    return rows + t * shape.kv_heads * shape.head_dim;
  }
  IntegerRow Quantized(const float* rows, size_t t) const {
    return IntegerRow::Of(Row(rows, t), shape.head_dim, kCachedLimit);
  }
  float Scale(const float* rows, size_t t) const {
    return Quantized(rows, t).scale;
  }
  float Element(const float* rows, size_t t, size_t d) const {
    const float x = Row(rows, t)[d];
    switch (shape.cache) {
      case CacheType::kFloat32:
        return x;
      case CacheType::kFloat16:
        return RoundToFloat16(x);
      case CacheType::kInt8:
        return static_cast<float>(Quantized(rows, t).Quantize(x));
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

void AttendTokensPlainly(const AttentionShape& shape,
                         const AttentionTokens& tokens, size_t first,
                         size_t count, const AttentionCache& cache, void*) {
  const PageLayout layout(shape);
  const size_t shared = shape.heads / shape.kv_heads;
  for (size_t i = 0; i < tokens.count; ++i) {
    for (size_t h = first * shared; h < (first + count) * shared; ++h) {
      const CachedRows rows{shape.cache, layout, cache, h / shared};
      const size_t at = (i * shape.heads + h) * shape.head_dim;
      AttendHead(shape, tokens.position + i, tokens.end, tokens.q + at,
                 tokens.sinks == nullptr ? nullptr : tokens.sinks + h, rows,
                 tokens.y + at);
    }
  }
}

namespace reference {

void Attend(const AttentionShape& shape, size_t position, const float* q,
            const float* sinks, const float* k, const float* v, float* y,
            size_t end) noexcept {
  const size_t shared = shape.heads / shape.kv_heads;
  for (size_t h = 0; h < shape.heads; ++h) {
    const size_t offset = h / shared * shape.head_dim;
    const StoredRows rows{shape, k + offset, v + offset};
    AttendHead(shape, position, end, q + h * shape.head_dim,
               sinks == nullptr ? nullptr : sinks + h, rows,
               y + h * shape.head_dim);
  }
}

}  // namespace reference
}  // namespace lutra::kernels
