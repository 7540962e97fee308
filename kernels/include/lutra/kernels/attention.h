#ifndef LUTRA_KERNELS_ATTENTION_H_
#define LUTRA_KERNELS_ATTENTION_H_

#include <cstddef>

#include "lutra/kernels/cache_type.h"

// Attention of tokens over keys and values, which lie in the pages of a cache.
// A token sees the tokens t up to its own, the last `window` of them if there
// is one; in both directions it sees the tokens after it, too, and a window has
// `window` - 1 of them on either side. Of these, it has the scores
//
//   s[t] = sum over d of (scale * q[d]) * k[t][d]        kFloat32, kFloat16
//   s[t] = (float(sum over d of iq[d] * ik[t][d]) * qs) * ks[t]        kInt8
//   s[t] = soft_cap * tanh(s[t] * (1 / soft_cap))        if there is a soft cap
//
// and takes, page by page in their order, beginning with m = the largest of the
// sink and -FLT_MAX, l = exp(sink - m) (0 without a sink) and y = 0:
//
//   m' = the largest of m and the page's s[t];  c = exp(m - m');  m = m'
//   e[t] = exp(s[t] - m)
//   l    = l * c + sum over t of e[t]
//   y[d] = y[d] * c + sum over t of e[t] * v[t][d]       kFloat32, kFloat16
//   y[d] = y[d] * c + float(sum over t of iw[t] * iv[t][d]) * ws       kInt8
//
// Last, y[d] = y[d] * (1 / lanes(l)). Every operation is rounded by itself.
// Sums of floats are taken in order; those over d begin with 0, those over t
// with what is in front of them. l is 16 lanes by the token's place in the
// sequence, the sink in the first, and lanes their sum as in vector_ops.h,
// whose exp and tanh are meant.
//
// k and v are what the cache holds: keys and values as they are or rounded to
// float16, or with kInt8 integers, ik * ks and iv * vs (cache_type.h). There,
// sums of products are exact integers of 32 bits, for which queries and weights
// are rounded to 16 bits: iq[d] is scale * q[d] to the nearest multiple of qs,
// iw[t] is e[t] * vs[t] to the nearest multiple of ws. qs is the largest
// |scale * q[d]|, divided by (2^31 - 1) / (128 * head_dim), rounded down, but
// at most 32767; ws is the page's largest |e[t] * vs[t]| / 32767. Both are at
// least 2^-126, and NaN if what they scale is not finite.
//
// So bits are the same on every instruction set, and depend neither on how
// tokens come in calls nor on threads.

namespace lutra::kernels {

struct AttentionShape {
  size_t heads = 0;     // of queries; a multiple of kv_heads
  size_t kv_heads = 0;  // head h uses keys and values h / (heads / kv_heads)
  size_t head_dim = 0;
  size_t context = 0;  // tokens of the longest sequence
  CacheType cache = CacheType::kFloat16;
  float scale = 1.0f;
  size_t window = 0;      // tokens seen, itself included; 0: all
  float soft_cap = 0.0f;  // scores stay below it; 0: as they are
  bool both_directions = false;
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

// Consecutive tokens of a sequence.
struct AttentionTokens {
  size_t position = 0;  // of the first
  size_t count = 0;     // at most AttentionTile()
  size_t end = 0;  // in both directions: one behind the sequence's last token
  const float* q = nullptr;      // [count, heads, head_dim]
  const float* sinks = nullptr;  // [heads], or nullptr
  float* y = nullptr;            // like q
};

// Overflows for absurd shapes: see AttentionFits.
size_t AttentionPageBytes(const AttentionShape& shape) noexcept;
// The most tokens that a call of AttendTokens takes: keys and values are read
// once for all of them. At least 1.
size_t AttentionTile(const AttentionShape& shape) noexcept;
// Bytes that one call of AttendTokens works in, whatever the context.
size_t AttentionScratchBytes(const AttentionShape& shape) noexcept;
// Whether the sizes above fit size_t.
bool AttentionFits(const AttentionShape& shape) noexcept;

// Puts a token's keys and values, float [kv_heads, head_dim] each, at
// `position` < context. Different positions may be stored at the same time.
void StoreToken(const AttentionShape& shape, size_t position, const float* k,
                const float* v, const AttentionCache& cache) noexcept;

// What a cache keeps of a head's keys or values of one token, n floats: x as
// they come back from it. y may be x.
void RoundToCache(CacheType type, size_t n, const float* x, float* y) noexcept;

// y of the heads that use `count` heads of keys from `first` on; of the other
// heads nothing is read or written. All tokens that are seen must have been
// stored. `scratch` is aligned to 64.
void AttendTokens(const AttentionShape& shape, const AttentionTokens& tokens,
                  size_t first, size_t count, const AttentionCache& cache,
                  void* scratch) noexcept;

namespace reference {

// The definition above in plain C++, from the keys and values themselves: y of
// the token at `position`, [heads, head_dim] like `q`; `sinks` is [heads] or
// nullptr; `k` and `v` are float [position + 1, kv_heads, head_dim], what
// StoreToken took, and in both directions [end, kv_heads, head_dim], with `end`
// as in AttentionTokens. Slow; what AttendTokens is tested against, bit by bit.
void Attend(const AttentionShape& shape, size_t position, const float* q,
            const float* sinks, const float* k, const float* v, float* y,
            size_t end = 0) noexcept;

}  // namespace reference
}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_H_
