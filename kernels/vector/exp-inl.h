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

// exp in three steps, before and after the polynomial: several chains of them
// may take turns. `shifted` has n of exp.h in its low bits, and `r` is its r.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpShifted(D d, V x) {
  using C = ExpConstants;
  return hn::Add(hn::Mul(x, hn::Set(d, C::kLog2E)), hn::Set(d, C::kMagic));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpRest(D d, V x, V shifted) {
  using C = ExpConstants;
  const V n = hn::Sub(shifted, hn::Set(d, C::kMagic));
  return hn::Sub(hn::Sub(x, hn::Mul(n, hn::Set(d, C::kLn2High))),
                 hn::Mul(n, hn::Set(d, C::kLn2Low)));
}

// Of x that is not above C::kHigh, q being the polynomial C::kQ of r.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpEnd(D d, V x, V shifted, V r, V q) {
  using C = ExpConstants;
  const hn::RebindToUnsigned<D> du;
  const V one = hn::Set(d, 1.0f);
  const V e = hn::Add(hn::Add(hn::Mul(hn::Mul(r, r), q), r), one);
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(du, shifted));
  const V power = hn::BitCast(d, hn::Add(exponent, hn::BitCast(du, one)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, C::kLow)), hn::Mul(e, power));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  using C = ExpConstants;
  const V shifted = ExpShifted(d, x);
  const V r = ExpRest(d, x, shifted);
  const V y = ExpEnd(d, x, shifted, r, Polynomial(d, r, C::kQ));
  const V infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  return hn::IfThenElse(hn::Lt(hn::Set(d, C::kHigh), x), infinity, y);
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
HWY_INLINE V GeluTanh(D d, V x) {
  using C = GeluTanhConstants;
  const V factor = hn::Add(hn::Set(d, C::kLinear),
                           hn::Mul(hn::Set(d, C::kCubic), hn::Mul(x, x)));
  return hn::Div(AboveInfinity(d, x),
                 hn::Add(hn::Set(d, 1.0f), Exp(d, hn::Mul(x, factor))));
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
