#include "bench/kernels/attention_case.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "bench/kernels/measure.h"
#include "lutra/eval/limits.h"

namespace lutra::bench {
namespace {

using kernels::AttentionShape;
using kernels::CacheType;
using kernels::kCachePageTokens;

// Cold caches rotate over copies of this size together, several times what a
// last-level cache holds.
constexpr size_t kColdBytes = size_t{192} << 20;

std::vector<float> Normal(size_t count, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(rng);
  return values;
}

// Copies of a cache, whose pages lie one after the other.
struct Caches {
  eval::HugePages memory;
  size_t bytes = 0;
  std::vector<std::vector<std::byte*>> pages;
};

Caches MakeCaches(const AttentionCase& c) {
  const AttentionShape& shape = c.shape;
  const size_t page_bytes = kernels::AttentionPageBytes(shape);
  const size_t pages = (shape.context - 1) / kCachePageTokens + 1;
  const size_t copies = c.cold ? kColdBytes / (pages * page_bytes) + 2 : 1;
  Caches caches;
  caches.bytes = copies * pages * page_bytes;
  caches.memory = eval::AllocateHugePages(caches.bytes);
  auto* const first = reinterpret_cast<std::byte*>(caches.memory.get());
  for (size_t i = 0; i < copies; ++i) {
    caches.pages.emplace_back();
    for (size_t page = 0; page < pages; ++page) {
      caches.pages.back().push_back(first + (i * pages + page) * page_bytes);
    }
  }
  const size_t size = shape.kv_heads * shape.head_dim;
  const auto k = Normal(kCachePageTokens * size, 1);
  const auto v = Normal(kCachePageTokens * size, 2);
  for (size_t t = 0; t < kCachePageTokens; ++t) {
    kernels::StoreToken(shape, t, &k[t * size], &v[t * size],
                        {caches.pages[0].data(), 0});
  }
  for (size_t i = 1; i < copies * pages; ++i) {
    std::memcpy(first + i * page_bytes, first, page_bytes);
  }
  return caches;
}

// The last ones made are kept: a benchmark runs several times.
const Caches& CachesOf(const AttentionCase& c) {
  static std::string key;
  static Caches caches;
  AttentionCase same = c;
  same.queries = 1;
  if (Name(same) != key) {
    caches = Caches();
    caches = MakeCaches(c);
    key = Name(same);
  }
  return caches;
}

// What is attended, in calls of a tile.
void Attend(const AttentionCase& c, const float* q,
            const std::vector<std::byte*>& pages, void* scratch, float* y) {
  const AttentionShape& shape = c.shape;
  const size_t row = shape.heads * shape.head_dim;
  const size_t tile = kernels::AttentionTile(shape);
  for (size_t i = 0; i < c.queries; i += tile) {
    kernels::AttendTokens(shape,
                          {.position = shape.context - c.queries + i,
                           .count = std::min(tile, c.queries - i),
                           .q = q + i * row,
                           .y = y + i * row},
                          0, shape.kv_heads, {pages.data(), 0}, scratch);
  }
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

}  // namespace

std::string Name(const AttentionCase& c) {
  std::string name = "attention/";
  name.append(kernels::Name(c.shape.cache)).append(c.cold ? "/cold" : "/warm");
  const auto add = [&name](const char* what, size_t value) {
    name.append(what).append(std::to_string(value));
  };
  add("/heads:", c.shape.heads);
  add("/kv_heads:", c.shape.kv_heads);
  add("/dim:", c.shape.head_dim);
  add("/context:", c.shape.context);
  add("/queries:", c.queries);
  return name;
}

void RunAttentionCase(benchmark::State& state, const AttentionCase& c) {
  const AttentionShape& shape = c.shape;
  const Caches& caches = CachesOf(c);
  const auto q = Normal(c.queries * shape.heads * shape.head_dim, 3);
  std::vector<float> y(q.size());
  const std::unique_ptr<void, Free> scratch(std::aligned_alloc(
      64, (kernels::AttentionScratchBytes(shape) + 63) / 64 * 64));
  const bool bandwidth_bound = c.cold && c.queries == 1;
  eval::UncachedMemory memory(caches.memory.get(), caches.bytes);
  // A vector has twice as many products of pairs of 16 bits as of floats.
  const auto limit = [&] {
    if (bandwidth_bound) return memory.ReadRate(nullptr);
    return (shape.cache == CacheType::kInt8 ? 2 : 1) * eval::FloatRate(nullptr);
  };
  const Measured measured = Measure(
      state,
      [&](size_t i) {
        Attend(c, q.data(), caches.pages[i % caches.pages.size()],
               scratch.get(), y.data());
      },
      limit);
  const double element_bytes = shape.cache == CacheType::kFloat32   ? 4
                               : shape.cache == CacheType::kFloat16 ? 2
                                                                    : 1;
  const double scale_bytes = shape.cache == CacheType::kInt8 ? 4 : 0;
  const auto count = [](size_t n) { return static_cast<double>(n); };
  const double bytes = 2 * count(shape.context) * count(shape.kv_heads) *
                       (count(shape.head_dim) * element_bytes + scale_bytes);
  // Each query sees one token more than the one before.
  const double seen =
      count(c.queries) * (count(shape.context) - (count(c.queries) - 1) / 2);
  const double ops = 4 * seen * count(shape.heads) * count(shape.head_dim);
  state.counters["us"] = measured.seconds * 1e6;
  state.counters["GB/s"] = bytes / measured.seconds * 1e-9;
  state.counters["GOPS"] = ops / measured.seconds * 1e-9;
  SetShare(state, (bandwidth_bound ? bytes : ops) / measured.seconds, measured,
           limit);
}

}  // namespace lutra::bench
