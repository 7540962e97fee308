#include "lutra/kernels/attention.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/attention/attention_layout.h"
#include "kernels/attention/integer_row.h"
#include "kernels/base/half.h"
#include "kernels/target/dispatch.h"

namespace lutra::kernels {
namespace {

// Elements converted at a time.
constexpr size_t kRun = 64;

// Puts rows of keys and of values, [heads, head_dim], to token `token` of a
// page, from `head` on, as `convert` makes kRun elements of them. Runs take no
// notice of heads, which may be short.
template <typename T, class Convert>
void StoreRows(const PageLayout& layout, size_t token, size_t heads,
               const float* k, const float* v, std::byte* head,
               const Convert& convert_keys, const Convert& convert_values) {
  // Those of the layout, which divisions by a constant make fast.
  constexpr size_t kStep = sizeof(T) == 1 ? 2 : 1;
  const auto key_at = [](size_t d) {
    return d / kStep * kCacheBlock * kStep + d % kStep;
  };
  const auto value_at = [](size_t d) {
    return d / kCacheBlock * kCacheBlock * kCachePageTokens +
           d % kCacheBlock * kStep;
  };
  T* keys = nullptr;
  T* values = nullptr;
  size_t d = layout.head_dim;
  for (size_t i = 0; i < heads * layout.head_dim; i += kRun) {
    const size_t count = std::min(kRun, heads * layout.head_dim - i);
    T new_keys[kRun];
    T new_values[kRun];
    convert_keys(k + i, count, new_keys);
    convert_values(v + i, count, new_values);
    for (size_t j = 0; j < count; ++j, ++d) {
      if (d == layout.head_dim) {
        keys = reinterpret_cast<T*>(head) + layout.Key(token, 0);
        values =
            reinterpret_cast<T*>(head + layout.values) + layout.Value(token, 0);
        // Less than a block; d is head_dim.
        T* const padding = values + value_at(d);
        for (size_t p = 0; p < layout.padded_dim - d; ++p) {
          padding[p * kStep] = T{};
        }
        if (layout.head_dim % kStep != 0) keys[key_at(layout.head_dim)] = T{};
        head += layout.head_bytes;
        d = 0;
      }
      keys[key_at(d)] = new_keys[j];
      values[value_at(d)] = new_values[j];
    }
  }
}

struct ToInt8 {
  const IntegerRow& row;
  void operator()(const float* x, size_t n, int8_t* y) const {
    for (size_t i = 0; i < n; ++i) {
      y[i] = static_cast<int8_t>(row.Quantize(x[i]));
    }
  }
};

}  // namespace

size_t AttentionPageBytes(const AttentionShape& shape) noexcept {
  return PageLayout(shape).head_bytes * shape.kv_heads;
}

size_t AttentionTile(const AttentionShape& shape) noexcept {
  return AttentionScratch(shape).tokens;
}

size_t AttentionScratchBytes(const AttentionShape& shape) noexcept {
  return AttentionScratch(shape).Floats() * sizeof(float);
}

bool AttentionFits(const AttentionShape& shape) noexcept {
  // Every size is at most 64 bytes times these; doubles do not overflow.
  const double elements = (static_cast<double>(shape.context) + 64) *
                          (static_cast<double>(shape.head_dim) + 64) *
                          (static_cast<double>(shape.heads) + 64);
  return elements * 64.0 <
         static_cast<double>(std::numeric_limits<ptrdiff_t>::max());
}

void StoreToken(const AttentionShape& shape, size_t position, const float* k,
                const float* v, const AttentionCache& cache) noexcept {
  const PageLayout layout(shape);
  std::byte* head = HeadInPage(cache, layout, 0, position);
  const size_t token = position % kCachePageTokens;
  switch (shape.cache) {
    case CacheType::kFloat32: {
      const auto copy = [](const float* x, size_t n, float* y) {
        std::copy(x, x + n, y);
      };
      StoreRows<float>(layout, token, shape.kv_heads, k, v, head, copy, copy);
      break;
    }
    case CacheType::kFloat16: {
      const auto to_float16 = GetActiveKernels().vectors->to_float16;
      StoreRows<uint16_t>(layout, token, shape.kv_heads, k, v, head, to_float16,
                          to_float16);
      break;
    }
    case CacheType::kInt8:
      for (size_t i = 0; i < shape.kv_heads; ++i, head += layout.head_bytes) {
        const float* key = k + i * shape.head_dim;
        const float* value = v + i * shape.head_dim;
        const auto keys = IntegerRow::Of(key, shape.head_dim, kCachedLimit);
        const auto values = IntegerRow::Of(value, shape.head_dim, kCachedLimit);
        StoreRows<int8_t>(layout, token, 1, key, value, head, ToInt8{keys},
                          ToInt8{values});
        reinterpret_cast<float*>(head + layout.key_scales)[token] = keys.scale;
        reinterpret_cast<float*>(head + layout.value_scales)[token] =
            values.scale;
      }
      break;
  }
}

void RoundToCache(CacheType type, size_t n, const float* x, float* y) noexcept {
  switch (type) {
    case CacheType::kFloat32:
      std::copy(x, x + n, y);
      break;
    case CacheType::kFloat16:
      std::transform(x, x + n, y, RoundToFloat16);
      break;
    case CacheType::kInt8: {
      const auto row = IntegerRow::Of(x, n, kCachedLimit);
      std::transform(x, x + n, y, [&row](float value) {
        return static_cast<float>(row.Quantize(value)) * row.scale;
      });
      break;
    }
  }
}

void AttendTokens(const AttentionShape& shape, const AttentionTokens& tokens,
                  size_t first, size_t count, const AttentionCache& cache,
                  void* scratch) noexcept {
  FindAttendTokens(GetActiveKernels().target)(shape, tokens, first, count,
                                              cache, scratch);
}

}  // namespace lutra::kernels
