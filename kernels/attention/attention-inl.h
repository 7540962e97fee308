// Attention of a token over a cache, as lutra/kernels/attention.h defines it.

#if defined(LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_
#undef LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_
#else
#define LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "hwy/highway.h"
#include "kernels/attention/attention_layout.h"
#include "kernels/vector/block-inl.h"
#include "kernels/vector/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// Heads that share a pass over keys or values. Each has its own chain of
// additions, and four chains hide the latency of one; with fewer heads a tile
// takes more blocks instead.
inline constexpr size_t kTileHeads = 4;

constexpr size_t TileBlocks(size_t heads) {
  return heads == 1 ? 4 : heads == 2 ? 2 : 1;
}

// The call's arguments, resolved.
template <typename T>
struct AttendJob {
  PageLayout layout;
  AttentionCache cache;
  size_t kv_head;
  size_t first, last;             // tokens seen
  size_t first_block, end_block;  // blocks of 16 that hold them
  float* queries;                 // [heads][padded_dim]
  float* sums;                    // [heads][padded_dim]
  float* scores;                  // [heads][stride], of first_block on
  size_t stride;

  static constexpr bool kScaled = sizeof(T) == 1;

  // What lies in the page of a token.
  const std::byte* Head(size_t token) const {
    return HeadInPage(cache, layout, kv_head, token);
  }
  // Of the block that begins with `token`.
  const T* Keys(size_t token) const {
    return reinterpret_cast<const T*>(Head(token)) +
           layout.Key(token % kCachePageTokens, 0);
  }
  const T* Values(size_t token) const {
    return reinterpret_cast<const T*>(Head(token) + layout.values) +
           layout.Value(token % kCachePageTokens, 0);
  }
  // kInt8 only.
  const float* KeyScales(size_t token) const {
    return reinterpret_cast<const float*>(Head(token) + layout.key_scales) +
           token % kCachePageTokens;
  }
  const float* ValueScales(size_t token) const {
    return reinterpret_cast<const float*>(Head(token) + layout.value_scales) +
           token % kCachePageTokens;
  }
};

// The tiles are functions of their own: one that holds them all takes compilers
// three times as long.

// scores[h][t] = sum_d q[h][d] * key[t][d], for tokens of `kBlocks` blocks of a
// page.
template <size_t kHeads, size_t kBlocks, typename T>
HWY_NOINLINE void ScoreTile(const AttendJob<T>& job, size_t head,
                            size_t block) {
  const size_t head_dim = job.layout.head_dim;
  const size_t block_elements = head_dim * kCacheBlock;
  const T* keys = job.Keys(block * kCacheBlock);
  const float* q = job.queries + head * job.layout.padded_dim;
  Block sums[kHeads * kBlocks];
  for (Block& sum : sums) sum = SetBlock(0.0f);
  for (size_t d = 0; d < head_dim; ++d) {
    for (size_t b = 0; b < kBlocks; ++b) {
      const Block key = LoadAs(keys + b * block_elements + d * kCacheBlock);
      for (size_t h = 0; h < kHeads; ++h) {
        Block& sum = sums[h * kBlocks + b];
        sum = Add(sum, Mul(SetBlock(q[h * job.layout.padded_dim + d]), key));
      }
    }
  }
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t b = 0; b < kBlocks; ++b) {
      Block score = sums[h * kBlocks + b];
      if constexpr (AttendJob<T>::kScaled) {
        score = Mul(score, LoadBlock(job.KeyScales((block + b) * kCacheBlock)));
      }
      StoreBlock(score, job.scores + (head + h) * job.stride +
                            (block + b - job.first_block) * kCacheBlock);
    }
  }
}

template <size_t kHeads, typename T>
HWY_INLINE void Scores(const AttendJob<T>& job, size_t head) {
  constexpr size_t kBlocks = TileBlocks(kHeads);
  static_assert(kPageBlocks % kBlocks == 0);
  size_t block = job.first_block;
  while (block < job.end_block) {
    // Of whole tiles none crosses the end of a page.
    if (block % kBlocks == 0 && block + kBlocks <= job.end_block) {
      ScoreTile<kHeads, kBlocks>(job, head, block);
      block += kBlocks;
    } else {
      ScoreTile<kHeads, 1>(job, head, block);
      ++block;
    }
  }
}

// Scores of the block that starts at token `begin`, -infinity for tokens that
// are not seen. Done in registers: what is stored in parts cannot be loaded as
// a vector until all of it has reached the cache.
template <typename T>
HWY_INLINE Block SeenScores(const AttendJob<T>& job, const float* scores,
                            size_t begin) {
  alignas(64) static constexpr uint32_t kMasks[3 * kCacheBlock] = {
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
      0,   0,   0,   0,   ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u,
      ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0,   0,   0,   0,
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0};
  const Block none = SetBlock(-std::numeric_limits<float>::infinity());
  Block block = LoadBlock(scores);
  if (job.first > begin) {
    const uint32_t* from = kMasks + kCacheBlock - (job.first - begin);
    block = Select(LoadBits(from), block, none);
  }
  if (job.last + 1 < begin + kCacheBlock) {
    const uint32_t* to = kMasks + 2 * kCacheBlock - (job.last + 1 - begin);
    block = Select(LoadBits(to), block, none);
  }
  return block;
}

// Scores become exp(score - largest), with kInt8 times the scale of the value.
// Returns their sum, without the scales.
template <typename T>
HWY_NOINLINE float ExpOfScores(const AttendJob<T>& job, size_t head) {
  const size_t begin = job.first_block * kCacheBlock;
  const size_t count = job.end_block * kCacheBlock - begin;
  float* const scores = job.scores + head * job.stride;
  Block most = SetBlock(-std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < count; i += kCacheBlock) {
    const Block seen = SeenScores(job, scores + i, begin + i);
    most = Max(most, seen);
    StoreBlock(seen, scores + i);
  }
  const Block largest = SetBlock(MaxOf(most));
  Block sum = SetBlock(0.0f);
  for (size_t i = 0; i < count; i += kCacheBlock) {
    Block e = Map(ExpFunction(), Sub(LoadBlock(scores + i), largest));
    sum = Add(sum, e);
    if constexpr (AttendJob<T>::kScaled) {
      e = Mul(e, LoadBlock(job.ValueScales(begin + i)));
    }
    StoreBlock(e, scores + i);
  }
  return SumOf(sum);
}

// Adds weight[t] * value[t] for tokens [t0, t1) of a page to the sums of
// `kBlocks` blocks of 16 lanes, starting at lane d.
template <size_t kHeads, size_t kBlocks, typename T>
HWY_NOINLINE void ValueTile(const AttendJob<T>& job, size_t head, size_t d,
                            size_t t0, size_t t1) {
  const size_t dim = job.layout.padded_dim;
  const float* weights =
      job.scores + head * job.stride - job.first_block * kCacheBlock;
  const T* values = job.Values(t0) + d;
  float* out = job.sums + head * dim + d;
  Block sums[kHeads * kBlocks];
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t b = 0; b < kBlocks; ++b) {
      sums[h * kBlocks + b] = LoadBlock(out + h * dim + b * kCacheBlock);
    }
  }
  for (size_t t = t0; t < t1; ++t, values += dim) {
    for (size_t b = 0; b < kBlocks; ++b) {
      const Block value = LoadAs(values + b * kCacheBlock);
      for (size_t h = 0; h < kHeads; ++h) {
        Block& sum = sums[h * kBlocks + b];
        sum = Add(sum, Mul(SetBlock(weights[h * job.stride + t]), value));
      }
    }
  }
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t b = 0; b < kBlocks; ++b) {
      StoreBlock(sums[h * kBlocks + b], out + h * dim + b * kCacheBlock);
    }
  }
}

template <size_t kHeads, typename T>
HWY_INLINE void Values(const AttendJob<T>& job, size_t head, size_t t0,
                       size_t t1) {
  constexpr size_t kBlocks = TileBlocks(kHeads);
  size_t d = 0;
  for (; d + kBlocks * kCacheBlock <= job.layout.padded_dim;
       d += kBlocks * kCacheBlock) {
    ValueTile<kHeads, kBlocks>(job, head, d, t0, t1);
  }
  for (; d < job.layout.padded_dim; d += kCacheBlock) {
    ValueTile<kHeads, 1>(job, head, d, t0, t1);
  }
}

// Calls body.Run<n>(head) for all heads, n at a time.
template <class Body>
HWY_INLINE void ForTilesOfHeads(size_t heads, const Body& body) {
  size_t head = 0;
  for (; head + kTileHeads <= heads; head += kTileHeads) {
    body.template Run<kTileHeads>(head);
  }
  switch (heads - head) {
    case 3:
      return body.template Run<3>(head);
    case 2:
      return body.template Run<2>(head);
    case 1:
      return body.template Run<1>(head);
    default:
      return;
  }
}

template <typename T>
struct ScorePass {
  const AttendJob<T>& job;
  template <size_t kHeads>
  HWY_INLINE void Run(size_t head) const {
    Scores<kHeads>(job, head);
  }
};

template <typename T>
struct ValuePass {
  const AttendJob<T>& job;
  size_t t0, t1;
  template <size_t kHeads>
  HWY_INLINE void Run(size_t head) const {
    Values<kHeads>(job, head, t0, t1);
  }
};

// y of the heads that use one head of keys: [heads, head_dim], like q.
template <typename T>
void AttendHead(const AttentionShape& shape, const AttendJob<T>& job,
                size_t heads, const float* q, float* y) {
  const size_t head_dim = shape.head_dim;
  const size_t padded_dim = job.layout.padded_dim;
  for (size_t h = 0; h < heads; ++h) {
    const float* HWY_RESTRICT from = q + h * head_dim;
    float* HWY_RESTRICT to = job.queries + h * padded_dim;
    for (size_t d = 0; d < head_dim; ++d) to[d] = shape.scale * from[d];
  }
  ForTilesOfHeads(heads, ScorePass<T>{job});
  std::fill(job.sums, job.sums + heads * job.layout.padded_dim, 0.0f);
  // The sums of the exponentials wait in y.
  for (size_t h = 0; h < heads; ++h) {
    y[h * shape.head_dim] = ExpOfScores(job, h);
  }
  // The values of a page stay in L1 while all their lanes are summed.
  for (size_t t = job.first; t <= job.last;) {
    const size_t end = std::min(RoundUp(t + 1, kCachePageTokens), job.last + 1);
    ForTilesOfHeads(heads, ValuePass<T>{job, t, end});
    t = end;
  }
  for (size_t h = 0; h < heads; ++h) {
    const float* HWY_RESTRICT from = job.sums + h * padded_dim;
    float* HWY_RESTRICT row = y + h * head_dim;
    const float inverse = 1.0f / row[0];
    for (size_t d = 0; d < head_dim; ++d) row[d] = from[d] * inverse;
  }
}

template <typename T>
void AttendTokenAs(const AttentionShape& shape, size_t position, size_t first,
                   size_t count, const float* q, const AttentionCache& cache,
                   void* scratch, float* y) {
  const PageLayout layout(shape);
  const AttentionScratch parts(shape);
  const size_t first_token = shape.window != 0 && position >= shape.window
                                 ? position + 1 - shape.window
                                 : 0;
  AttendJob<T> job = {.layout = layout,
                      .cache = cache,
                      .kv_head = 0,
                      .first = first_token,
                      .last = position,
                      .first_block = first_token / kCacheBlock,
                      .end_block = position / kCacheBlock + 1,
                      .queries = parts.Queries(scratch),
                      .sums = parts.Sums(scratch),
                      .scores = parts.Scores(scratch),
                      .stride = parts.tokens};
  const size_t row = parts.heads * shape.head_dim;
  for (size_t i = first; i < first + count; ++i) {
    job.kv_head = i;
    AttendHead(shape, job, parts.heads, q + i * row, y + i * row);
  }
}

inline void AttendToken(const AttentionShape& shape, size_t position,
                        size_t first, size_t count, const float* q,
                        const AttentionCache& cache, void* scratch, float* y) {
  switch (shape.cache) {
    case CacheType::kFloat32:
      return AttendTokenAs<float>(shape, position, first, count, q, cache,
                                  scratch, y);
    case CacheType::kFloat16:
      return AttendTokenAs<Float16>(shape, position, first, count, q, cache,
                                    scratch, y);
    case CacheType::kInt8:
      return AttendTokenAs<int8_t>(shape, position, first, count, q, cache,
                                   scratch, y);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
