// y = x * w^T + bias for float weights, as vector_ops.h defines it.

#if defined(LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_
#undef LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_
#else
#define LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// Sums of four columns of y in one row.
struct FourSums {
  Block a, b, c, d;
};

// The four sums, in lanes 0 to 3 of y. `count` of them are wanted.
HWY_INLINE void StoreSums(const FourSums& sums, const float* bias, size_t count,
                          float* y) {
  float result[4];
#if HWY_TARGET == HWY_SCALAR
  result[0] = SumOf(sums.a);
  result[1] = SumOf(sums.b);
  result[2] = SumOf(sums.c);
  result[3] = SumOf(sums.d);
#else
  // Four lanes each: halves of two sums side by side, added; then the lanes
  // that are left, even ones to odd ones.
  const hn::FixedTag<float, 4> d;
  const auto a = FoldToFour<Addition>(sums.a);
  const auto b = FoldToFour<Addition>(sums.b);
  const auto c = FoldToFour<Addition>(sums.c);
  const auto e = FoldToFour<Addition>(sums.d);
  const auto ab =
      hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
  const auto ce =
      hn::Add(hn::ConcatLowerLower(d, e, c), hn::ConcatUpperUpper(d, e, c));
  hn::StoreU(hn::Add(hn::ConcatEven(d, ce, ab), hn::ConcatOdd(d, ce, ab)), d,
             result);
#endif
  for (size_t i = 0; i < count; ++i) {
    y[i] = bias == nullptr ? result[i] : result[i] + bias[i];
  }
}

// One row: weights come from memory, and are read once, in order. Four chains
// of additions hide the latency of one.
template <typename T>
HWY_NOINLINE void DenseRow(const DenseArguments& a, size_t n, size_t count) {
  const size_t k = a.k;
  const T* w0 = static_cast<const T*>(a.w) + n * k;
  // Columns that are not there are computed from ones that are.
  const T* w1 = w0 + (count > 1 ? k : 0);
  const T* w2 = w0 + (count > 2 ? 2 * k : 0);
  const T* w3 = w0 + (count > 3 ? 3 * k : 0);
  const Block zero = SetBlock(0.0f);
  FourSums sums{zero, zero, zero, zero};
  const auto add = [&sums](const Block& x, const Block& v0, const Block& v1,
                           const Block& v2, const Block& v3) HWY_ATTR {
    sums.a = Add(sums.a, Mul(x, v0));
    sums.b = Add(sums.b, Mul(x, v1));
    sums.c = Add(sums.c, Mul(x, v2));
    sums.d = Add(sums.d, Mul(x, v3));
  };
  size_t i = 0;
  for (; i + kBlock <= k; i += kBlock) {
    add(LoadBlock(a.x + i), LoadAs(w0 + i), LoadAs(w1 + i), LoadAs(w2 + i),
        LoadAs(w3 + i));
  }
  if (i < k) {
    const size_t rest = k - i;
    add(LoadPartOfBlock(a.x + i, rest), LoadPartAs(w0 + i, rest),
        LoadPartAs(w1 + i, rest), LoadPartAs(w2 + i, rest),
        LoadPartAs(w3 + i, rest));
  }
  StoreSums(sums, a.bias == nullptr ? nullptr : a.bias + n, count, a.y + n);
}

// Several rows: tiles of rows and columns with an accumulator in a register for
// each pair of them, one vector of the 16 lanes after the other. What they read
// of `kDepth` columns of x and w stays in L1; the sums of a block of rows and
// columns wait in memory meanwhile.
inline constexpr size_t kTileRows = LUTRA_REGISTERS == 32 ? 4 : 3;
inline constexpr size_t kTileColumns = LUTRA_REGISTERS == 32 ? 6 : 4;
inline constexpr size_t kBlockRows = 12;
inline constexpr size_t kBlockColumns = 24;
inline constexpr size_t kDepth = 256;
static_assert(kBlockColumns % kTileColumns == 0);

// Rows of x or of w: floats, a multiple of 16 in each.
struct DenseRows {
  const float* values;
  size_t stride;
};

// Adds products of `depth` columns to sums[row][column][16], or begins them.
template <size_t kRows, size_t kColumns>
HWY_NOINLINE void DenseTile(DenseRows x, DenseRows w, size_t depth, bool first,
                            float* HWY_RESTRICT sums) {
  const DBlock d;
  for (size_t lane = 0; lane < kBlock; lane += kLanes) {
    VBlock tile[kRows * kColumns];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kColumns; ++c) {
        const float* sum = sums + (r * kBlockColumns + c) * kBlock + lane;
        tile[r * kColumns + c] = first ? hn::Zero(d) : hn::LoadU(d, sum);
      }
    }
    for (size_t i = lane; i < depth; i += kBlock) {
      VBlock rows[kRows];
      for (size_t r = 0; r < kRows; ++r) {
        rows[r] = hn::LoadU(d, x.values + r * x.stride + i);
      }
      for (size_t c = 0; c < kColumns; ++c) {
        const VBlock column = hn::LoadU(d, w.values + c * w.stride + i);
        for (size_t r = 0; r < kRows; ++r) {
          VBlock& sum = tile[r * kColumns + c];
          sum = hn::Add(sum, hn::Mul(rows[r], column));
        }
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kColumns; ++c) {
        hn::StoreU(tile[r * kColumns + c], d,
                   sums + (r * kBlockColumns + c) * kBlock + lane);
      }
    }
  }
}

// The same for any number of rows up to kBlockRows.
template <size_t kColumns>
HWY_INLINE void DenseTiles(DenseRows x, size_t rows, DenseRows w, size_t depth,
                           bool first, float* sums) {
  size_t row = 0;
  for (; row + kTileRows <= rows; row += kTileRows) {
    DenseTile<kTileRows, kColumns>({x.values + row * x.stride, x.stride}, w,
                                   depth, first,
                                   sums + row * kBlockColumns * kBlock);
  }
  for (; row < rows; ++row) {
    DenseTile<1, kColumns>({x.values + row * x.stride, x.stride}, w, depth,
                           first, sums + row * kBlockColumns * kBlock);
  }
}

// `depth` weights of `count` rows from w on as floats, with zeros up to a
// multiple of 16; where they lie, if they are that already.
template <typename T>
HWY_INLINE DenseRows AsFloats(const T* w, size_t stride, size_t count,
                              size_t depth, float* copy) {
  const size_t padded = (depth + kBlock - 1) / kBlock * kBlock;
  if constexpr (sizeof(T) == sizeof(float)) {
    if (padded == depth) return {w, stride};
  }
  for (size_t c = 0; c < count; ++c) {
    size_t i = 0;
    for (; i + kBlock <= depth; i += kBlock) {
      StoreBlock(LoadAs(w + c * stride + i), copy + c * kDepth + i);
    }
    if (i < depth) {
      StoreBlock(LoadPartAs(w + c * stride + i, depth - i),
                 copy + c * kDepth + i);
    }
  }
  return {copy, kDepth};
}

// Rows [row, row + rows) and columns [n, n + columns) of y.
template <typename T>
HWY_NOINLINE void DenseBlock(const DenseArguments& a, size_t row, size_t rows,
                             size_t n, size_t columns) {
  alignas(64) float sums[kBlockRows * kBlockColumns * kBlock];
  alignas(64) float x_copy[kBlockRows * kDepth];
  alignas(64) float w_copy[kTileColumns * kDepth];
  for (size_t begin = 0; begin < a.k; begin += kDepth) {
    const size_t depth = a.k - begin < kDepth ? a.k - begin : kDepth;
    const size_t padded = (depth + kBlock - 1) / kBlock * kBlock;
    const DenseRows x =
        AsFloats(a.x + row * a.k + begin, a.k, rows, depth, x_copy);
    const T* w = static_cast<const T*>(a.w) + begin;
    const bool first = begin == 0;
    size_t c = 0;
    for (; c + kTileColumns <= columns; c += kTileColumns) {
      const DenseRows tile =
          AsFloats(w + (n + c) * a.k, a.k, kTileColumns, depth, w_copy);
      DenseTiles<kTileColumns>(x, rows, tile, padded, first, sums + c * kBlock);
    }
    for (; c < columns; ++c) {
      const DenseRows tile = AsFloats(w + (n + c) * a.k, a.k, 1, depth, w_copy);
      DenseTiles<1>(x, rows, tile, padded, first, sums + c * kBlock);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; c += 4) {
      // kBlockColumns is a multiple of four; sums that are not there are not
      // stored.
      const float* sum = sums + (r * kBlockColumns + c) * kBlock;
      const size_t count = columns - c < 4 ? columns - c : 4;
      const auto load = [&](size_t i) HWY_ATTR {
        return LoadBlock(sum + (i < count ? i * kBlock : 0));
      };
      StoreSums({load(0), load(1), load(2), load(3)},
                a.bias == nullptr ? nullptr : a.bias + n + c, count,
                a.y + (row + r) * a.n + n + c);
    }
  }
}

template <typename T>
void DenseColumnsOf(const DenseArguments& a, size_t first, size_t count) {
  const size_t end = first + count;
  if (a.m == 1) {
    for (size_t n = first; n < end; n += 4) {
      DenseRow<T>(a, n, end - n < 4 ? end - n : 4);
    }
    return;
  }
  for (size_t n = first; n < end; n += kBlockColumns) {
    const size_t columns = end - n < kBlockColumns ? end - n : kBlockColumns;
    for (size_t row = 0; row < a.m; row += kBlockRows) {
      const size_t rows = a.m - row < kBlockRows ? a.m - row : kBlockRows;
      DenseBlock<T>(a, row, rows, n, columns);
    }
  }
}

inline void DenseColumns(const DenseArguments& a, size_t first, size_t count) {
  switch (a.type) {
    case FloatType::kFloat32:
      return DenseColumnsOf<float>(a, first, count);
    case FloatType::kFloat16:
      return DenseColumnsOf<Float16>(a, first, count);
    case FloatType::kBFloat16:
      return DenseColumnsOf<BFloat16>(a, first, count);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
