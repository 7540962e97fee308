// Few rows: b, transposed, is used where it lies, and read from memory once.

#if defined(LUTRA_KERNELS_FLOAT_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_FLOAT_DOT_INL_H_
#undef LUTRA_KERNELS_FLOAT_DOT_INL_H_
#else
#define LUTRA_KERNELS_FLOAT_DOT_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/float/gemm_job.h"
#include "kernels/float/pack-inl.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows of a at a time: four accumulators each.
inline constexpr size_t kDotRows = 3;

// The chains of kRows rows of a with as many columns as a vector has lanes, for
// one block: blocks of 128 bits are the four chains of a column. a's rows are
// `stride` floats apart.
template <size_t kRows, typename T>
HWY_INLINE void DotChains(const float* a, size_t stride,
                          const T* const* columns, size_t depth,
                          VBlock (&sums)[kRows][4]) {
  const DBlock d;
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < 4; ++i) sums[r][i] = hn::Zero(d);
  }
  // Two vectors of columns at a time, as a CPU has no registers for the
  // addresses of four.
  const size_t j = depth / 4 * 4;
  for (size_t i = 0; i < 4; i += 2) {
    for (size_t k = 0; k < j; k += 4) {
      const VBlock first = LoadFours(d, columns + i, k);
      const VBlock second = LoadFours(d, columns + i + 1, k);
      for (size_t r = 0; r < kRows; ++r) {
        const VBlock row = hn::LoadDup128(d, a + r * stride + k);
        sums[r][i] = hn::MulAdd(row, first, sums[r][i]);
        sums[r][i + 1] = hn::MulAdd(row, second, sums[r][i + 1]);
      }
    }
  }
  if (j == depth) return;
  const size_t rest = depth - j;
  HWY_ALIGN float rows[kRows][4] = {};
  HWY_ALIGN float present[4] = {};
  T tails[kLanes][4] = {};
  const T* tail_columns[kLanes];
  for (size_t r = 0; r < kRows; ++r) {
    std::copy_n(a + r * stride + j, rest, rows[r]);
  }
  std::fill_n(present, rest, 1.0f);
  for (size_t i = 0; i < kLanes; ++i) {
    std::copy_n(columns[i] + j, rest, tails[i]);
    tail_columns[i] = tails[i];
  }
  const auto mask = hn::Ne(hn::LoadDup128(d, present), hn::Zero(d));
  for (size_t i = 0; i < 4; ++i) {
    const VBlock column = LoadFours(d, tail_columns + i, 0);
    for (size_t r = 0; r < kRows; ++r) {
      const VBlock sum =
          hn::MulAdd(hn::LoadDup128(d, rows[r]), column, sums[r][i]);
      sums[r][i] = hn::IfThenElse(mask, sum, sums[r][i]);
    }
  }
}

// kRows rows from `row` on of `count` columns of c, at most a vector, take up
// the block of g.a and g.b that begins at `column`.
template <size_t kRows, typename T>
HWY_NOINLINE void DotRows(const FloatGemmArguments& g, size_t row,
                          const T* const* columns, size_t n, size_t count,
                          size_t column, size_t depth) {
  const DBlock d;
  VBlock sums[kRows][4];
  DotChains<kRows>(
      static_cast<const float*>(g.a.data) + row * g.a.stride + column,
      g.a.stride, columns, depth, sums);
  for (size_t r = 0; r < kRows; ++r) {
    float* const c = g.c + (row + r) * g.c_stride + n;
    const float* from = c;
    if (column == 0 && !g.accumulate) {
      from = g.bias == nullptr ? nullptr : g.bias + n;
    }
    VBlock sum = hn::Zero(d);
    HWY_ALIGN float part[kLanes] = {};
    if (from != nullptr) {
      if (count < kLanes) {
        std::copy_n(from, count, part);
        from = part;
      }
      sum = hn::LoadU(d, from);
    }
    VBlock(&chains)[4] = sums[r];
    Transpose(d, chains[0], chains[1], chains[2], chains[3]);
    for (const VBlock& chain : chains) sum = hn::Add(sum, chain);
    if (count == kLanes) {
      hn::StoreU(sum, d, c);
    } else {
      hn::Store(sum, d, part);
      std::copy_n(part, count, c);
    }
  }
}

template <typename T>
HWY_NOINLINE void Dot(const FloatGemmArguments& g, size_t first, size_t last) {
  for (size_t n = first; n < last; n += kLanes) {
    const size_t count = std::min(kLanes, last - n);
    for (size_t j = 0; j < g.k; j += kDepth) {
      const size_t depth = std::min(kDepth, g.k - j);
      const T* columns[kLanes];
      for (size_t i = 0; i < kLanes; ++i) {
        columns[i] = static_cast<const T*>(g.b.data) +
                     std::min(n + i, last - 1) * g.b.stride + j;
      }
      size_t row = 0;
      for (; row + kDotRows <= g.m; row += kDotRows) {
        DotRows<kDotRows>(g, row, columns, n, count, j, depth);
      }
      if (g.m - row == 1) DotRows<1>(g, row, columns, n, count, j, depth);
      if (g.m - row == 2) DotRows<2>(g, row, columns, n, count, j, depth);
    }
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
