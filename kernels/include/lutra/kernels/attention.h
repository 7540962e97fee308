#ifndef LUTRA_KERNELS_ATTENTION_H_
#define LUTRA_KERNELS_ATTENTION_H_

#include <cstddef>

#include "lutra/kernels/cache_type.h"

// Causal attention of one token over the keys and values of itself and the
// tokens before, which lie in the pages of a cache:
//
//   s[t] = (sum over d of (scale * q[d]) * k[t][d]) (* ks[t])
//   e[t] = exp(s[t] - max s)
//   y[d] = (sum over t of (e[t] (* vs[t])) * v[t][d]) * (1 / lanes(e[t]))
//
// over the tokens t that are seen, where k and v are what the cache holds: keys
// and values as they are or rounded to float16, or with kInt8 integers whose
// scales are ks and vs (cache_type.h). Every operation is rounded by itself.
// Sums over d and, in y, over t start at 0 and are taken in order; lanes is the
// sum in 16 lanes of vector_ops.h by the token's place t in the sequence, with
// zeros for tokens that are not seen, and exp that of vector_ops.h. So bits are
// the same on every instruction set, and depend neither on how tokens come in
// calls nor on threads.

namespace lutra::kernels {

struct AttentionShape {
  size_t heads = 0;     // of queries; a multiple of kv_heads
  size_t kv_heads = 0;  // head h uses keys and values h / (heads / kv_heads)
  size_t head_dim = 0;
  size_t context = 0;  // tokens of the longest sequence
  CacheType cache = CacheType::kFloat16;
  float scale = 1.0f;
  size_t window = 0;  // tokens seen, itself included; 0: all
};

// Tokens of a page.
inline constexpr size_t kCachePageTokens = 64;

// Where keys and values lie: page i holds those of tokens
// [i * kCachePageTokens, (i + 1) * kCachePageTokens), AttentionPageBytes()
// bytes from `offset` on, so that the caches of many layers can share pages.
struct AttentionCache {
  std::byte* const* pages = nullptr;  // each aligned to 64
  size_t offset = 0;                  // a multiple of 64
};

// Keys of 16 consecutive tokens lie side by side for each d, so that 16 scores
// are computed at once and a token costs no reduction. Overflows for absurd
// shapes: see AttentionFits.
size_t AttentionPageBytes(const AttentionShape& shape) noexcept;
// Bytes that one call of AttendToken works in.
size_t AttentionScratchBytes(const AttentionShape& shape) noexcept;
// Whether the sizes above fit size_t.
bool AttentionFits(const AttentionShape& shape) noexcept;

// Puts a token's keys and values, float [kv_heads, head_dim] each, at
// `position` < context. Different positions may be stored at the same time.
void StoreToken(const AttentionShape& shape, size_t position, const float* k,
                const float* v, const AttentionCache& cache) noexcept;

// y of the heads that use `count` heads of keys from `first` on, for the token
// at `position`. `q` and `y` are [heads, head_dim]; of the other heads nothing
// is read or written. Tokens up to `position` must have been stored. `scratch`
// is aligned to 64.
void AttendToken(const AttentionShape& shape, size_t position, size_t first,
                 size_t count, const float* q, const AttentionCache& cache,
                 void* scratch, float* y) noexcept;

namespace reference {

// The definition above in plain C++, from the keys and values themselves: y of
// the token at `position`, [heads, head_dim] like `q`; `k` and `v` are float
// [position + 1, kv_heads, head_dim], what StoreToken took; `scratch` has
// position + 1 floats. Slow; what AttendToken is tested against, bit by bit.
void Attend(const AttentionShape& shape, size_t position, const float* q,
            const float* k, const float* v, float* scratch, float* y) noexcept;

}  // namespace reference
}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_H_
