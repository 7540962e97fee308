#ifndef LUTRA_KERNELS_ATTENTION_ATTENTION_LAYOUT_H_
#define LUTRA_KERNELS_ATTENTION_ATTENTION_LAYOUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/format/layout.h"
#include "lutra/kernels/attention.h"

namespace lutra::kernels {

// Keys of 16 consecutive tokens lie side by side for each d, and 16 elements of
// a value for each token: both products, of queries with keys and of weights
// with values, are then sums over steps of 16 lanes that lie one after the
// other, and no sum crosses lanes.
inline constexpr size_t kCacheBlock = 16;

inline constexpr size_t kPageBlocks = kCachePageTokens / kCacheBlock;

// A page holds, for each head of keys and values:
//   keys    [kPageBlocks][head_dim / n][16 tokens][n of d]
//   values  [padded_dim / 16][kCachePageTokens / n][16 of d][n tokens]
//   with kInt8, scales of the keys and then of the values, float
//   [kCachePageTokens]
// where n is 1, or 2 with kInt8 (head_dim / n is rounded up): integers are
// multiplied in pairs.
struct PageLayout {
  explicit PageLayout(const AttentionShape& shape)
      : element_bytes(shape.cache == CacheType::kFloat32   ? 4
                      : shape.cache == CacheType::kFloat16 ? 2
                                                           : 1),
        step(shape.cache == CacheType::kInt8 ? 2 : 1),
        head_dim(shape.head_dim),
        padded_dim(RoundUp(shape.head_dim, kCacheBlock)),
        key_steps((head_dim + step - 1) / step),
        values(RoundUp(kCachePageTokens * key_steps * step * element_bytes,
                       kBlobAlignment)),
        key_scales(values + kCachePageTokens * padded_dim * element_bytes) {
    const size_t scale_bytes =
        shape.cache == CacheType::kInt8 ? kCachePageTokens * sizeof(float) : 0;
    value_scales = key_scales + scale_bytes;
    head_bytes = RoundUp(value_scales + scale_bytes, kBlobAlignment);
  }

  // Index of an element of a token of the page.
  size_t Key(size_t token, size_t d) const {
    return (token / kCacheBlock * key_steps + d / step) * kCacheBlock * step +
           token % kCacheBlock * step + d % step;
  }
  size_t Value(size_t token, size_t d) const {
    return (d / kCacheBlock * (kCachePageTokens / step) + token / step) *
               kCacheBlock * step +
           d % kCacheBlock * step + token % step;
  }

  size_t element_bytes;
  size_t step;
  size_t head_dim;
  size_t padded_dim;
  size_t key_steps;
  // Bytes from the start of a head; its keys come first.
  size_t values;
  size_t key_scales;
  size_t value_scales;
  size_t head_bytes;
};

// Where a head of keys and values lies in the page of a token.
inline std::byte* HeadInPage(const AttentionCache& cache,
                             const PageLayout& layout, size_t head,
                             size_t token) {
  return cache.pages[token / kCachePageTokens] + cache.offset +
         head * layout.head_bytes;
}

// The first token that the one at `position` sees.
inline size_t FirstSeen(const AttentionShape& shape, size_t position) {
  return shape.window != 0 && position >= shape.window
             ? position + 1 - shape.window
             : 0;
}

// One behind the last token that it sees, of a sequence of `end`.
inline size_t EndSeen(const AttentionShape& shape, size_t position,
                      size_t end) {
  if (!shape.both_directions) return position + 1;
  return shape.window != 0 ? std::min(position + shape.window, end) : end;
}

// What a call works in: arrays for its rows, a query of a head each, of the
// heads that share keys. Their number is chosen so that all of it stays in L2.
struct AttentionScratch {
  static constexpr size_t kRows = 64;

  explicit AttentionScratch(const AttentionShape& shape)
      : heads(shape.heads / shape.kv_heads),
        tokens(std::max<size_t>(1, kRows / heads)),
        padded_dim(RoundUp(shape.head_dim, kCacheBlock)) {}

  size_t Rows() const { return tokens * heads; }
  size_t Floats() const {
    return Rows() * (3 * padded_dim + kCachePageTokens + kCacheBlock) +
           3 * RoundUp(Rows(), kCacheBlock) +
           kCacheBlock * std::max(padded_dim, kCachePageTokens);
  }

  // Floats [Rows()][padded_dim], or int16 with kInt8.
  float* Queries(void* scratch) const { return static_cast<float*>(scratch); }
  // [Rows()][padded_dim]
  float* Sums(void* scratch) const {
    return Queries(scratch) + Rows() * padded_dim;
  }
  // What a page adds to these with kInt8, int32.
  float* IntegerSums(void* scratch) const {
    return Sums(scratch) + Rows() * padded_dim;
  }
  // Of the tokens of a page, [Rows()][kCachePageTokens].
  float* Scores(void* scratch) const {
    return IntegerSums(scratch) + Rows() * padded_dim;
  }
  // l of attention.h, [Rows()][16].
  float* Lanes(void* scratch) const {
    return Scores(scratch) + Rows() * kCachePageTokens;
  }
  // m, qs and ws, [Rows()] each.
  float* Largest(void* scratch) const {
    return Lanes(scratch) + Rows() * kCacheBlock;
  }
  float* QueryScales(void* scratch) const {
    return Largest(scratch) + RoundUp(Rows(), kCacheBlock);
  }
  float* WeightScales(void* scratch) const {
    return QueryScales(scratch) + RoundUp(Rows(), kCacheBlock);
  }
  // 16 lanes of keys or of values, unpacked for many rows.
  float* Unpacked(void* scratch) const {
    return WeightScales(scratch) + RoundUp(Rows(), kCacheBlock);
  }

  size_t heads;
  size_t tokens;
  size_t padded_dim;
};

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_ATTENTION_LAYOUT_H_
