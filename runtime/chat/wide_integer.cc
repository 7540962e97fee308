#include "runtime/chat/wide_integer.h"

#include <bit>

namespace lutra::chat {

WideInteger operator*(WideInteger a, WideInteger b) {
  // Halves of the lower words; what exceeds 128 bits is dropped.
  const uint64_t a0 = a.low_ & 0xFFFFFFFF;
  const uint64_t a1 = a.low_ >> 32;
  const uint64_t b0 = b.low_ & 0xFFFFFFFF;
  const uint64_t b1 = b.low_ >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  const uint64_t other = a0 * b1 + (middle & 0xFFFFFFFF);
  return {a1 * b1 + (middle >> 32) + (other >> 32) + a.high_ * b.low_ +
              a.low_ * b.high_,
          a.low_ * b.low_};
}

WideInteger operator/(WideInteger a, WideInteger b) {
  const WideInteger dividend = a.Magnitude();
  const WideInteger divisor = b.Magnitude();
  // Bit by bit. Magnitudes go up to 2^127, which has the sign's bit: as
  // unsigned numbers they compare by their words.
  const auto below = [](const WideInteger& x, const WideInteger& y) {
    return x.high_ != y.high_ ? x.high_ < y.high_ : x.low_ < y.low_;
  };
  WideInteger quotient;
  WideInteger rest;
  for (int i = 127; i >= 0; --i) {
    const uint64_t word = i < 64 ? dividend.low_ : dividend.high_;
    rest += rest;
    rest.low_ |= word >> (i % 64) & 1;
    quotient += quotient;
    if (!below(rest, divisor)) {
      rest -= divisor;
      quotient.low_ |= 1;
    }
  }
  return (a < 0) != (b < 0) ? -quotient : quotient;
}

WideInteger::operator double() const {
  const WideInteger magnitude = Magnitude();
  uint64_t top = magnitude.low_;
  int shift = 0;
  if (magnitude.high_ != 0) {
    // The upper 64 bits, the last of which stands for all below, too: it is far
    // below those that a double keeps.
    const int zeros = std::countl_zero(magnitude.high_);
    shift = 64 - zeros;
    const WideInteger upper = magnitude << zeros;
    top = upper.high_ | (upper.low_ != 0 ? 1 : 0);
  }
  const double value = std::ldexp(static_cast<double>(top), shift);
  return *this < 0 ? -value : value;
}

WideInteger::operator long double() const {
  if constexpr (std::numeric_limits<long double>::digits < 64) {
    return static_cast<double>(*this);
  } else {
    const WideInteger magnitude = Magnitude();
    const long double value =
        static_cast<long double>(magnitude.high_) * 0x1p64L +
        static_cast<long double>(magnitude.low_);
    return *this < 0 ? -value : value;
  }
}

}  // namespace lutra::chat
