// The functions of exp.h in vectors of any length, the same bits.

#if defined(LUTRA_KERNELS_VECTOR_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_VECTOR_EXP_INL_H_
#undef LUTRA_KERNELS_VECTOR_EXP_INL_H_
#else
#define LUTRA_KERNELS_VECTOR_EXP_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/vector/exp.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1)
template <class D, size_t n, class V = hn::Vec<D>>
HWY_INLINE V Polynomial(D d, V x, const float (&c)[n]) {
  V sum = hn::Set(d, c[n - 1]);
  for (size_t i = n - 1; i-- > 0;) {
    sum = hn::Add(hn::Mul(sum, x), hn::Set(d, c[i]));
  }
  return sum;
}

// exp of kCount vectors of numbers that are not above C::kHigh, in place. It is
// a long chain, and CPUs do not look far enough ahead to find the next one: the
// chains of several vectors take turns.
template <size_t kCount, class D, class V = hn::Vec<D>>
HWY_INLINE void ExpsBelowHigh(D d, V* x) {
  using C = ExpConstants;
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, C::kMagic);
  const V one = hn::Set(d, 1.0f);
  V shifted[kCount];
  V r[kCount];
  V q[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    shifted[i] = hn::Add(hn::Mul(x[i], hn::Set(d, C::kLog2E)), magic);
  }
  for (size_t i = 0; i < kCount; ++i) {
    const V n = hn::Sub(shifted[i], magic);
    r[i] = hn::Sub(hn::Sub(x[i], hn::Mul(n, hn::Set(d, C::kLn2High))),
                   hn::Mul(n, hn::Set(d, C::kLn2Low)));
    q[i] = hn::Set(d, C::kQ[4]);
  }
  for (size_t k = 4; k-- > 0;) {
    for (size_t i = 0; i < kCount; ++i) {
      q[i] = hn::Add(hn::Mul(q[i], r[i]), hn::Set(d, C::kQ[k]));
    }
  }
  for (size_t i = 0; i < kCount; ++i) {
    q[i] = hn::Add(hn::Add(hn::Mul(hn::Mul(r[i], r[i]), q[i]), r[i]), one);
  }
  for (size_t i = 0; i < kCount; ++i) {
    const auto exponent = hn::ShiftLeft<23>(hn::BitCast(du, shifted[i]));
    const V power = hn::BitCast(d, hn::Add(exponent, hn::BitCast(du, one)));
    x[i] = hn::IfThenZeroElse(hn::Lt(x[i], hn::Set(d, C::kLow)),
                              hn::Mul(q[i], power));
  }
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const V infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  V y = x;
  ExpsBelowHigh<1>(d, &y);
  return hn::IfThenElse(hn::Lt(hn::Set(d, ExpConstants::kHigh), x), infinity,
                        y);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V AboveInfinity(D d, V x) {
  return hn::Max(x, hn::Set(d, std::numeric_limits<float>::lowest()));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Silu(D d, V x) {
  return hn::Div(AboveInfinity(d, x),
                 hn::Add(hn::Set(d, 1.0f), Exp(d, hn::Neg(x))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Gelu(D d, V x) {
  using C = GeluConstants;
  const V one = hn::Set(d, 1.0f);
  const V t =
      hn::Div(one, hn::Add(one, hn::Mul(hn::Set(d, C::kSlope), hn::Abs(x))));
  const V p = Polynomial(d, t, C::kTail);
  const V tail =
      hn::Mul(hn::Mul(p, t), Exp(d, hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f))));
  const V phi =
      hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  return hn::Mul(AboveInfinity(d, x), phi);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  using C = TanhConstants;
  const V magnitude = hn::Abs(x);
  const V square = hn::Mul(x, x);
  const V small =
      hn::Add(x, hn::Mul(hn::Mul(x, square), Polynomial(d, square, C::kTail)));
  const V one = hn::Set(d, 1.0f);
  const V exp = Exp(d, hn::Add(magnitude, magnitude));
  const V large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(exp, one)));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, C::kSmall)), small,
                        hn::CopySign(large, x));
}

// For Map of block-inl.h.
struct ExpFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Exp(d, x);
  }
};
struct TanhFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Tanh(d, x);
  }
};

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
