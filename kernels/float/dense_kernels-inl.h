// y = x * w^T + bias for float weights, as vector_ops.h defines it.

#if defined(LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_
#undef LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_
#else
#define LUTRA_KERNELS_FLOAT_DENSE_KERNELS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// Sums of four columns of y in one row: four chains of additions, enough to
// hide the latency of one.
struct FourSums {
  Block a, b, c, d;
};

HWY_INLINE void AddProducts(const Block& x, const Block& w0, const Block& w1,
                            const Block& w2, const Block& w3, FourSums& sums) {
  sums.a = Add(sums.a, Mul(x, w0));
  sums.b = Add(sums.b, Mul(x, w1));
  sums.c = Add(sums.c, Mul(x, w2));
  sums.d = Add(sums.d, Mul(x, w3));
}

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

// Rows of x that are multiplied at once: as many as leave registers for the
// weights.
inline constexpr size_t kDenseRows = kLanes == kBlock ? 4 : 1;

// y of `kRows` rows and of columns [n, n + count), count <= 4.
template <typename T, size_t kRows>
HWY_NOINLINE void DenseTile(const DenseArguments& a, size_t row, size_t n,
                            size_t count) {
  const size_t k = a.k;
  const T* w0 = static_cast<const T*>(a.w) + n * k;
  // Columns that are not there are computed from ones that are.
  const T* w1 = w0 + (count > 1 ? k : 0);
  const T* w2 = w0 + (count > 2 ? 2 * k : 0);
  const T* w3 = w0 + (count > 3 ? 3 * k : 0);
  const float* x0 = a.x + row * k;
  const float* x1 = x0 + k;
  const float* x2 = x1 + k;
  const float* x3 = x2 + k;
  const Block zero = SetBlock(0.0f);
  FourSums s0{zero, zero, zero, zero};
  FourSums s1 = s0;
  FourSums s2 = s0;
  FourSums s3 = s0;
  size_t i = 0;
  for (; i + kBlock <= k; i += kBlock) {
    const Block v0 = LoadAs(w0 + i);
    const Block v1 = LoadAs(w1 + i);
    const Block v2 = LoadAs(w2 + i);
    const Block v3 = LoadAs(w3 + i);
    AddProducts(LoadBlock(x0 + i), v0, v1, v2, v3, s0);
    if constexpr (kRows == 4) {
      AddProducts(LoadBlock(x1 + i), v0, v1, v2, v3, s1);
      AddProducts(LoadBlock(x2 + i), v0, v1, v2, v3, s2);
      AddProducts(LoadBlock(x3 + i), v0, v1, v2, v3, s3);
    }
  }
  if (i < k) {
    const size_t rest = k - i;
    const Block v0 = LoadPartAs(w0 + i, rest);
    const Block v1 = LoadPartAs(w1 + i, rest);
    const Block v2 = LoadPartAs(w2 + i, rest);
    const Block v3 = LoadPartAs(w3 + i, rest);
    AddProducts(LoadPartOfBlock(x0 + i, rest), v0, v1, v2, v3, s0);
    if constexpr (kRows == 4) {
      AddProducts(LoadPartOfBlock(x1 + i, rest), v0, v1, v2, v3, s1);
      AddProducts(LoadPartOfBlock(x2 + i, rest), v0, v1, v2, v3, s2);
      AddProducts(LoadPartOfBlock(x3 + i, rest), v0, v1, v2, v3, s3);
    }
  }
  const float* bias = a.bias == nullptr ? nullptr : a.bias + n;
  float* y = a.y + row * a.n + n;
  StoreSums(s0, bias, count, y);
  if constexpr (kRows == 4) {
    StoreSums(s1, bias, count, y + a.n);
    StoreSums(s2, bias, count, y + 2 * a.n);
    StoreSums(s3, bias, count, y + 3 * a.n);
  }
}

template <typename T>
void DenseColumnsOf(const DenseArguments& a, size_t first, size_t count) {
  const size_t end = first + count;
  for (size_t n = first; n < end; n += 4) {
    const size_t columns = end - n < 4 ? end - n : 4;
    size_t row = 0;
    for (; row + kDenseRows <= a.m; row += kDenseRows) {
      DenseTile<T, kDenseRows>(a, row, n, columns);
    }
    for (; row < a.m; ++row) DenseTile<T, 1>(a, row, n, columns);
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
