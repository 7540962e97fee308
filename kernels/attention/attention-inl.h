// Attention of tokens over a cache, as lutra/kernels/attention.h defines it.

#if defined(LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_
#undef LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_
#else
#define LUTRA_KERNELS_ATTENTION_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <limits>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/attention/attention_layout.h"
#include "kernels/attention/integer_row.h"
#include "kernels/attention/lanes_product-inl.h"
#include "kernels/vector/block-inl.h"
#include "kernels/vector/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// Of the bits of integers.
struct IntegersToFloats {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::ConvertTo(d, hn::BitCast(hn::RebindToSigned<D>(), x));
  }
};

// x becomes exp(x - largest), for kCount vectors. exp is a long chain, and CPUs
// do not look far enough ahead to find the next one, so they take turns.
template <size_t kCount>
HWY_INLINE void ExpOfDifferences(VBlock largest, float* x) {
  using C = ExpConstants;
  const DBlock d;
  VBlock v[kCount];
  VBlock shifted[kCount];
  VBlock r[kCount];
  VBlock q[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    v[i] = hn::Sub(hn::LoadU(d, x + i * kLanes), largest);
    shifted[i] = ExpShifted(d, v[i]);
  }
  for (size_t i = 0; i < kCount; ++i) {
    r[i] = ExpRest(d, v[i], shifted[i]);
    q[i] = hn::Set(d, C::kQ[4]);
  }
  for (size_t k = 4; k-- > 0;) {
    for (size_t i = 0; i < kCount; ++i) {
      q[i] = hn::Add(hn::Mul(q[i], r[i]), hn::Set(d, C::kQ[k]));
    }
  }
  for (size_t i = 0; i < kCount; ++i) {
    hn::StoreU(ExpEnd(d, v[i], shifted[i], r[i], q[i]), d, x + i * kLanes);
  }
}

// The same for n floats, a multiple of 16.
HWY_INLINE void ExpOfDifferences(float* x, size_t n, float largest) {
  constexpr size_t kCount = 4;
  const VBlock shift = hn::Set(DBlock(), largest);
  size_t i = 0;
  for (; i + kCount * kLanes <= n; i += kCount * kLanes) {
    ExpOfDifferences<kCount>(shift, x + i);
  }
  for (; i < n; i += kLanes) ExpOfDifferences<1>(shift, x + i);
}

struct Magnitude {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x) const {
    return hn::Abs(x);
  }
};

// Ones in the lanes [first, end) of a block, of those between 0 and 16, and
// zeros elsewhere; both count from lane `begin`.
HWY_INLINE Block LanesBetween(size_t first, size_t end, size_t begin) {
  alignas(64) static constexpr uint32_t kMasks[3 * kBlock] = {
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
      0,   0,   0,   0,   ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u,
      ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0,   0,   0,   0,
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0};
  const Block none = SetBlock(0.0f);
  first = std::clamp(first, begin, begin + kBlock) - begin;
  end = std::clamp(end, begin, begin + kBlock) - begin;
  return Select(LoadBits(kMasks + kBlock - first),
                LoadBits(kMasks + 2 * kBlock - end), none);
}

// One head of keys and the rows that use it: `heads` of each token.
template <typename T>
struct AttentionJob {
  using L = LanesOf<T>;
  using Factor = typename L::Factor;
  static constexpr bool kIntegers = std::is_same_v<Factor, int16_t>;

  const AttentionShape& shape;
  const AttentionTokens& tokens;
  PageLayout layout;
  AttentionCache cache;
  size_t heads;
  size_t kv_head;

  // See AttentionScratch.
  float* queries;
  float* sums;
  float* scores;
  float* lanes;
  float* largest;
  float* query_scales;
  float* weight_scales;
  float* integer_sums;
  float* unpacked;

  const std::byte* next_keys;  // of the page after the one at hand

  size_t First(size_t token) const {
    return FirstSeen(shape, tokens.position + token);
  }
  size_t End(size_t token) const {
    return EndSeen(shape, tokens.position + token, tokens.end);
  }

  // Integers lie in the memory of floats.
  static constexpr size_t kFactorSize = sizeof(float) / sizeof(Factor);
  const Factor* Queries(size_t row) const {
    return reinterpret_cast<const Factor*>(queries + row * layout.padded_dim);
  }
  const Factor* Weights(size_t row) const {
    return reinterpret_cast<const Factor*>(scores + row * kCachePageTokens);
  }
};

// The largest of floats, and whether all are finite.
class Magnitudes {
 public:
  HWY_ATTR Magnitudes() : most_(SetBlock(0.0f)), zero_(SetBlock(0.0f)) {}
  HWY_INLINE void Take(const Block& x) {
    most_ = Max(most_, Map(Magnitude(), x));
    zero_ = Add(zero_, Mul(x, SetBlock(0.0f)));
  }
  HWY_INLINE IntegerRow Integers(int limit) const {
    return {MaxOf(most_), SumOf(zero_) == 0.0f, limit};
  }

 private:
  Block most_;
  Block zero_;  // NaN if anything was not finite
};

// n floats, a multiple of 16, times a factor to the nearest integers. `to` may
// begin where `x` does.
HWY_INLINE void StoreIntegers(const float* x, size_t n, float factor,
                              int16_t* to) {
  const VBlock by = hn::Set(DBlock(), factor);
  const hn::Rebind<int16_t, DBlock> d16;
  for (size_t i = 0; i < n; i += kLanes) {
    const VBlock scaled = hn::Mul(hn::LoadU(DBlock(), x + i), by);
    hn::StoreU(hn::DemoteTo(d16, hn::NearestInt(scaled)), d16, to + i);
  }
}

// The tokens of a page that a row sees, from the page's first on.
struct PageRange {
  size_t first = 0;
  size_t end = 0;

  bool Covers(size_t first_block, size_t end_block) const {
    return first <= first_block * kBlock && end >= end_block * kBlock;
  }
};

template <typename T>
PageRange SeenOf(const AttentionJob<T>& job, size_t token, size_t page_first) {
  const size_t first = job.First(token);
  return {first > page_first ? first - page_first : 0,
          std::min(job.End(token) - page_first, kCachePageTokens)};
}

// scale * q as a row of floats or of integers.
template <typename T>
void StartRow(const AttentionJob<T>& job, size_t row, const float* q,
              const float* sink) {
  const size_t dim = job.layout.head_dim;
  const size_t padded = job.layout.padded_dim;
  float* const sums = job.sums + row * padded;
  float* const scaled =
      AttentionJob<T>::kIntegers ? sums : job.queries + row * padded;
  const float scale = job.shape.scale;
  for (size_t d = 0; d < dim; ++d) scaled[d] = scale * q[d];
  if constexpr (AttentionJob<T>::kIntegers) {
    std::fill(scaled + dim, scaled + padded, 0.0f);
    Magnitudes magnitudes;
    for (size_t d = 0; d < padded; d += kBlock) {
      magnitudes.Take(LoadBlock(scaled + d));
    }
    const IntegerRow integers = magnitudes.Integers(QueryLimit(dim));
    job.query_scales[row] = integers.scale;
    StoreIntegers(scaled, padded, integers.inverse,
                  reinterpret_cast<int16_t*>(job.queries + row * padded));
  }
  std::fill(sums, sums + padded, 0.0f);
  float* const lanes = job.lanes + row * kBlock;
  std::fill(lanes, lanes + kBlock, 0.0f);
  float largest = std::numeric_limits<float>::lowest();
  if (sink != nullptr) {
    largest = std::max(largest, *sink);
    lanes[0] = kernels::Exp(*sink - largest);
  }
  job.largest[row] = largest;
}

// Sums of integers as floats.
HWY_INLINE Block LoadIntegers(const float* integers) {
  return Map(IntegersToFloats(), LoadBlock(integers));
}

// Scores of blocks [first, end) of a row from products; returns the largest.
template <typename T>
HWY_INLINE float LargestScore(const AttentionJob<T>& job, size_t row,
                              PageRange seen, size_t first, size_t end,
                              const float* key_scales) {
  const Block none = SetBlock(-std::numeric_limits<float>::infinity());
  const float cap = job.shape.soft_cap;
  float* const scores = job.scores + row * kCachePageTokens;
  Block most = none;
  for (size_t b = first; b < end; ++b) {
    Block score;
    if constexpr (AttentionJob<T>::kIntegers) {
      score = Mul(Mul(LoadIntegers(scores + b * kBlock),
                      SetBlock(job.query_scales[row])),
                  LoadBlock(key_scales + b * kBlock));
    } else {
      score = LoadBlock(scores + b * kBlock);
    }
    if (cap != 0.0f) {
      score = Mul(SetBlock(cap),
                  Map(TanhFunction(), Mul(score, SetBlock(1.0f / cap))));
    }
    const bool is_seen = seen.Covers(b, b + 1);
    if (!is_seen) {
      score =
          Select(LanesBetween(seen.first, seen.end, b * kBlock), score, none);
    }
    most = Max(most, score);
    if (AttentionJob<T>::kIntegers || cap != 0.0f || !is_seen) {
      StoreBlock(score, scores + b * kBlock);
    }
  }
  return MaxOf(most);
}

// Multiplies what row has summed.
template <typename T>
void ScaleSums(const AttentionJob<T>& job, size_t row, float by) {
  const Block factor = SetBlock(by);
  float* const lanes = job.lanes + row * kBlock;
  StoreBlock(Mul(LoadBlock(lanes), factor), lanes);
  float* const sums = job.sums + row * job.layout.padded_dim;
  for (size_t d = 0; d < job.layout.padded_dim; d += kBlock) {
    StoreBlock(Mul(LoadBlock(sums + d), factor), sums + d);
  }
}

// Scores of tokens [first_token, end_token) become weights; what they have
// summed is scaled to the new maximum. In steps for all rows, as each is a
// chain of its own that ends in something slow.
template <typename T>
HWY_NOINLINE void Softmax(const AttentionJob<T>& job, size_t page_first,
                          size_t first_token, size_t end_token,
                          size_t first_block, size_t end_block,
                          const float* key_scales, const float* value_scales) {
  for (size_t i = first_token; i < end_token; ++i) {
    const PageRange seen = SeenOf(job, i, page_first);
    const bool is_first =
        page_first <= job.First(i) && job.tokens.sinks == nullptr;
    for (size_t row = i * job.heads; row < (i + 1) * job.heads; ++row) {
      const float before = job.largest[row];
      const float largest = std::max(
          before,
          LargestScore(job, row, seen, first_block, end_block, key_scales));
      // exp(0) is 1, and nothing has been summed before the first page.
      if (largest == before) continue;
      job.largest[row] = largest;
      if (!is_first) ScaleSums(job, row, kernels::Exp(before - largest));
    }
  }
  for (size_t i = first_token; i < end_token; ++i) {
    const PageRange seen = SeenOf(job, i, page_first);
    for (size_t row = i * job.heads; row < (i + 1) * job.heads; ++row) {
      float* const scores = job.scores + row * kCachePageTokens;
      ExpOfDifferences(scores + first_block * kBlock,
                       (end_block - first_block) * kBlock, job.largest[row]);
      Block sum = LoadBlock(job.lanes + row * kBlock);
      Magnitudes weights;
      for (size_t b = first_block; b < end_block; ++b) {
        Block e = LoadBlock(scores + b * kBlock);
        sum = Add(sum, e);
        if constexpr (AttentionJob<T>::kIntegers) {
          e = Mul(e, LoadBlock(value_scales + b * kBlock));
          // Scales of tokens that are not seen may be anything.
          if (!seen.Covers(b, b + 1)) {
            e = Select(LanesBetween(seen.first, seen.end, b * kBlock), e,
                       SetBlock(0.0f));
          }
          weights.Take(e);
          StoreBlock(e, scores + b * kBlock);
        }
      }
      StoreBlock(sum, job.lanes + row * kBlock);
      if constexpr (AttentionJob<T>::kIntegers) {
        job.weight_scales[row] = weights.Integers(kWeightLimit).scale;
      }
    }
  }
  if constexpr (AttentionJob<T>::kIntegers) {
    for (size_t row = first_token * job.heads; row < end_token * job.heads;
         ++row) {
      float* const scores = job.scores + row * kCachePageTokens;
      StoreIntegers(scores + first_block * kBlock,
                    (end_block - first_block) * kBlock,
                    1.0f / job.weight_scales[row],
                    reinterpret_cast<int16_t*>(scores) + first_block * kBlock);
    }
  }
}

// From so many rows on elements are worth being converted first.
inline constexpr size_t kManyRows = 13;

template <Begin kBegin, typename T>
HWY_INLINE void MultiplyElements(const AttentionJob<T>& job,
                                 const ProductShape& shape,
                                 const ProductPlace<T>& place, size_t rows,
                                 size_t blocks) {
  if (rows < kManyRows) {
    Multiply<kBegin, Use::kOnce>(shape, place, rows, blocks);
  } else {
    MultiplyMany<kBegin>(
        shape, place, rows, blocks,
        reinterpret_cast<typename LanesOf<T>::Unpacked*>(job.unpacked));
  }
}

// Tokens [first, end) of a page for rows [row, row + rows).
template <typename T>
void AddValues(const AttentionJob<T>& job, const std::byte* head, size_t row,
               size_t rows, size_t first, size_t end) {
  using L = LanesOf<T>;
  if (first >= end) return;
  const size_t padded = job.layout.padded_dim;
  float* const out = AttentionJob<T>::kIntegers ? job.integer_sums : job.sums;
  const ProductShape shape = {
      .factor_stride = kCachePageTokens * job.kFactorSize,
      .block_stride = kCachePageTokens * kBlock,
      .out_stride = padded,
      .steps = (end - first) / L::kPairs};
  const ProductPlace<T> place = {
      .factors = job.Weights(row) + first,
      .elements =
          reinterpret_cast<const T*>(head + job.layout.values) + first * kBlock,
      .out = reinterpret_cast<typename L::Sum*>(out + row * padded),
      .end = head + job.layout.head_bytes,
      .next = job.next_keys};
  if constexpr (AttentionJob<T>::kIntegers) {
    MultiplyElements<Begin::kZero>(job, shape, place, rows, padded / kBlock);
    for (size_t r = row; r < row + rows; ++r) {
      const Block scale = SetBlock(job.weight_scales[r]);
      float* const sums = job.sums + r * padded;
      for (size_t d = 0; d < padded; d += kBlock) {
        StoreBlock(Add(LoadBlock(sums + d),
                       Mul(LoadIntegers(out + r * padded + d), scale)),
                   sums + d);
      }
    }
  } else {
    MultiplyElements<Begin::kOut>(job, shape, place, rows, padded / kBlock);
  }
}

// Values of tokens that a row does not see may be anything, of which a float
// weight of 0 makes no 0: rows take what all of them see together, and the rest
// token by token. `first_token` to `end_token` are those that see the page.
template <typename T>
void AddSeenValues(const AttentionJob<T>& job, const std::byte* head,
                   size_t page_first, size_t first_token, size_t end_token) {
  if (end_token - first_token == 1) {
    const PageRange seen = SeenOf(job, first_token, page_first);
    return AddValues(job, head, first_token * job.heads, job.heads, seen.first,
                     seen.end);
  }
  PageRange all = {SeenOf(job, end_token - 1, page_first).first,
                   SeenOf(job, first_token, page_first).end};
  if (all.first >= all.end) all = {kCachePageTokens, kCachePageTokens};
  const auto rest = [&](bool before) {
    for (size_t i = first_token; i < end_token; ++i) {
      const PageRange seen = SeenOf(job, i, page_first);
      AddValues(job, head, i * job.heads, job.heads,
                before ? seen.first : std::max(all.end, seen.first),
                before ? std::min(all.first, seen.end) : seen.end);
    }
  };
  rest(true);
  AddValues(job, head, first_token * job.heads,
            (end_token - first_token) * job.heads, all.first, all.end);
  rest(false);
}

template <typename T>
void AttendPage(const AttentionJob<T>& job, size_t page_first) {
  // Tokens that see some of the page.
  size_t first_token = 0;
  size_t end_token = job.tokens.count;
  while (job.End(first_token) <= page_first) ++first_token;
  while (job.First(end_token - 1) >= page_first + kCachePageTokens) --end_token;
  const size_t first_row = first_token * job.heads;
  const size_t rows = (end_token - first_token) * job.heads;
  const size_t first_block =
      SeenOf(job, first_token, page_first).first / kBlock;
  const size_t end_block =
      RoundUp(SeenOf(job, end_token - 1, page_first).end, kBlock) / kBlock;

  const std::byte* head =
      HeadInPage(job.cache, job.layout, job.kv_head, page_first);
  const size_t block_elements =
      job.layout.key_steps * LanesOf<T>::kPairs * kBlock;
  const ProductShape shape = {
      .factor_stride = job.layout.padded_dim * job.kFactorSize,
      .block_stride = block_elements,
      .out_stride = kCachePageTokens,
      .steps = job.layout.key_steps};
  const ProductPlace<T> place = {
      .factors = job.Queries(first_row),
      .elements =
          reinterpret_cast<const T*>(head) + first_block * block_elements,
      .out = reinterpret_cast<typename LanesOf<T>::Sum*>(
          job.scores + first_row * kCachePageTokens + first_block * kBlock),
      .end = head + job.layout.head_bytes,
      .next = job.next_keys};
  MultiplyElements<Begin::kZero>(job, shape, place, rows,
                                 end_block - first_block);
  const auto scales = [&](size_t at) {
    return reinterpret_cast<const float*>(head + at);
  };
  Softmax(job, page_first, first_token, end_token, first_block, end_block,
          scales(job.layout.key_scales), scales(job.layout.value_scales));
  if constexpr (AttentionJob<T>::kIntegers) {
    // Weights of tokens that are not seen are 0.
    AddValues(job, head, first_row, rows, first_block * kBlock,
              end_block * kBlock);
  } else {
    AddSeenValues(job, head, page_first, first_token, end_token);
  }
}

template <typename T>
void AttendHead(AttentionJob<T>& job) {
  const AttentionTokens& tokens = job.tokens;
  const size_t dim = job.layout.head_dim;
  const auto at = [&](size_t token, size_t head) {
    return (token * job.shape.heads + job.kv_head * job.heads + head) * dim;
  };
  for (size_t i = 0; i < tokens.count; ++i) {
    for (size_t h = 0; h < job.heads; ++h) {
      StartRow(job, i * job.heads + h, tokens.q + at(i, h),
               tokens.sinks == nullptr
                   ? nullptr
                   : tokens.sinks + job.kv_head * job.heads + h);
    }
  }
  const size_t last = (job.End(tokens.count - 1) - 1) / kCachePageTokens;
  for (size_t page = job.First(0) / kCachePageTokens; page <= last; ++page) {
    job.next_keys = HeadInPage(job.cache, job.layout, job.kv_head,
                               std::min(page + 1, last) * kCachePageTokens);
    AttendPage(job, page * kCachePageTokens);
  }
  for (size_t i = 0; i < tokens.count; ++i) {
    for (size_t h = 0; h < job.heads; ++h) {
      const size_t row = i * job.heads + h;
      const float inverse = 1.0f / SumOf(LoadBlock(job.lanes + row * kBlock));
      const float* HWY_RESTRICT from = job.sums + row * job.layout.padded_dim;
      float* HWY_RESTRICT to = tokens.y + at(i, h);
      for (size_t d = 0; d < dim; ++d) to[d] = from[d] * inverse;
    }
  }
}

template <typename T>
void AttendTokensAs(const AttentionShape& shape, const AttentionTokens& tokens,
                    size_t first, size_t count, const AttentionCache& cache,
                    void* scratch) {
  const AttentionScratch parts(shape);
  AttentionJob<T> job = {.shape = shape,
                         .tokens = tokens,
                         .layout = PageLayout(shape),
                         .cache = cache,
                         .heads = parts.heads,
                         .kv_head = 0,
                         .queries = parts.Queries(scratch),
                         .sums = parts.Sums(scratch),
                         .scores = parts.Scores(scratch),
                         .lanes = parts.Lanes(scratch),
                         .largest = parts.Largest(scratch),
                         .query_scales = parts.QueryScales(scratch),
                         .weight_scales = parts.WeightScales(scratch),
                         .integer_sums = parts.IntegerSums(scratch),
                         .unpacked = parts.Unpacked(scratch),
                         .next_keys = nullptr};
  for (size_t i = first; i < first + count; ++i) {
    job.kv_head = i;
    AttendHead(job);
  }
}

inline void AttendTokens(const AttentionShape& shape,
                         const AttentionTokens& tokens, size_t first,
                         size_t count, const AttentionCache& cache,
                         void* scratch) {
  switch (shape.cache) {
    case CacheType::kFloat32:
      return AttendTokensAs<float>(shape, tokens, first, count, cache, scratch);
    case CacheType::kFloat16:
      return AttendTokensAs<Float16>(shape, tokens, first, count, cache,
                                     scratch);
    case CacheType::kInt8:
      return AttendTokensAs<int8_t>(shape, tokens, first, count, cache,
                                    scratch);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
