#ifndef LUTRA_KERNELS_ATTENTION_ATTENTION_LAYOUT_H_
#define LUTRA_KERNELS_ATTENTION_ATTENTION_LAYOUT_H_

#include <cstddef>

#include "kernels/format/layout.h"
#include "lutra/kernels/attention.h"

namespace lutra::kernels {

// Tokens whose keys lie side by side, and lanes of a row of values.
inline constexpr size_t kCacheBlock = 16;

inline constexpr size_t kPageBlocks = kCachePageTokens / kCacheBlock;

// A page holds, for each head of keys and values:
//   keys    [kPageBlocks][head_dim][16]
//   values  [kCachePageTokens][padded_dim]
//   with kInt8, scales of the keys and then of the values, float
//   [kCachePageTokens]
struct PageLayout {
  explicit PageLayout(const AttentionShape& shape)
      : element_bytes(shape.cache == CacheType::kFloat32   ? 4
                      : shape.cache == CacheType::kFloat16 ? 2
                                                           : 1),
        head_dim(shape.head_dim),
        padded_dim(RoundUp(shape.head_dim, kCacheBlock)),
        values(RoundUp(kCachePageTokens * head_dim * element_bytes,
                       kBlobAlignment)),
        key_scales(values + kCachePageTokens * padded_dim * element_bytes) {
    const size_t scale_bytes =
        shape.cache == CacheType::kInt8 ? kCachePageTokens * sizeof(float) : 0;
    value_scales = key_scales + scale_bytes;
    head_bytes = RoundUp(value_scales + scale_bytes, kBlobAlignment);
  }

  // Index of an element of a token of the page.
  size_t Key(size_t token, size_t d) const {
    return (token / kCacheBlock * head_dim + d) * kCacheBlock +
           token % kCacheBlock;
  }
  size_t Value(size_t token, size_t d) const { return token * padded_dim + d; }

  size_t element_bytes;
  size_t head_dim;
  size_t padded_dim;
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

// What a call works in, float arrays for the heads that share keys.
struct AttentionScratch {
  explicit AttentionScratch(const AttentionShape& shape)
      : heads(shape.heads / shape.kv_heads),
        padded_dim(RoundUp(shape.head_dim, kCacheBlock)),
        tokens(RoundUp(shape.context, kCacheBlock)) {}

  size_t Floats() const { return heads * (2 * padded_dim + tokens); }
  float* Queries(void* scratch) const { return static_cast<float*>(scratch); }
  float* Sums(void* scratch) const {
    return Queries(scratch) + heads * padded_dim;
  }
  float* Scores(void* scratch) const {
    return Sums(scratch) + heads * padded_dim;
  }

  size_t heads;
  size_t padded_dim;
  size_t tokens;
};

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_ATTENTION_LAYOUT_H_
