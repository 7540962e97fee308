#ifndef LUTRA_RUNTIME_CHAT_WIDE_INTEGER_H_
#define LUTRA_RUNTIME_CHAT_WIDE_INTEGER_H_

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

namespace lutra::chat {

// A signed integer of 128 bits, as compilers for 64-bit CPUs have it: what fits
// is computed exactly, what does not is the caller's mistake, as is a division
// by zero.
class WideInteger {
 public:
  constexpr WideInteger() = default;
  template <std::integral T>
  constexpr WideInteger(T value)  // NOLINT: as integers convert
      : high_(value < T{0} ? ~uint64_t{0} : 0),
        low_(static_cast<uint64_t>(value)) {}
  // Truncates a number whose magnitude is below 2^127.
  template <std::floating_point T>
  explicit WideInteger(T value) {
    const T magnitude = std::trunc(std::fabs(value));
    const T high = std::floor(magnitude * T{0x1p-64});
    high_ = static_cast<uint64_t>(high);
    low_ = static_cast<uint64_t>(magnitude - high * T{0x1p64});
    if (value < 0) *this = -*this;
  }

  // The lower bits.
  template <std::integral T>
  constexpr explicit operator T() const {
    return static_cast<T>(low_);
  }
  // The nearest number.
  explicit operator double() const;
  explicit operator long double() const;

  constexpr WideInteger operator-() const {
    return {~high_ + (low_ == 0 ? 1 : 0), ~low_ + 1};
  }
  constexpr WideInteger& operator+=(WideInteger b) { return *this = *this + b; }
  WideInteger& operator-=(WideInteger b) { return *this = *this - b; }
  WideInteger& operator*=(WideInteger b) { return *this = *this * b; }
  WideInteger& operator/=(WideInteger b) { return *this = *this / b; }
  WideInteger& operator++() { return *this += 1; }
  WideInteger& operator--() { return *this -= 1; }

  friend constexpr WideInteger operator+(WideInteger a, WideInteger b) {
    const uint64_t low = a.low_ + b.low_;
    return {a.high_ + b.high_ + (low < a.low_ ? 1 : 0), low};
  }
  friend constexpr WideInteger operator-(WideInteger a, WideInteger b) {
    return a + -b;
  }
  friend WideInteger operator*(WideInteger a, WideInteger b);
  // Toward zero; the remainder has the sign of `a`.
  friend WideInteger operator/(WideInteger a, WideInteger b);
  friend WideInteger operator%(WideInteger a, WideInteger b) {
    return a - a / b * b;
  }
  // By less than 128.
  friend constexpr WideInteger operator<<(WideInteger a, int count) {
    for (; count > 0; --count) a += a;
    return a;
  }

  friend constexpr bool operator==(WideInteger a, WideInteger b) {
    return a.high_ == b.high_ && a.low_ == b.low_;
  }
  friend constexpr bool operator<(WideInteger a, WideInteger b) {
    const auto high_a = static_cast<int64_t>(a.high_);
    const auto high_b = static_cast<int64_t>(b.high_);
    return high_a != high_b ? high_a < high_b : a.low_ < b.low_;
  }
  friend constexpr bool operator>(WideInteger a, WideInteger b) {
    return b < a;
  }
  friend constexpr bool operator<=(WideInteger a, WideInteger b) {
    return !(b < a);
  }
  friend constexpr bool operator>=(WideInteger a, WideInteger b) {
    return !(a < b);
  }

  static constexpr WideInteger Largest() {
    return {~uint64_t{0} >> 1, ~uint64_t{0}};
  }

 private:
  constexpr WideInteger(uint64_t high, uint64_t low) : high_(high), low_(low) {}

  // Without its sign.
  constexpr WideInteger Magnitude() const { return *this < 0 ? -*this : *this; }

  // Two's complement.
  uint64_t high_ = 0;
  uint64_t low_ = 0;
};

}  // namespace lutra::chat

template <>
class std::numeric_limits<lutra::chat::WideInteger> {
 public:
  static constexpr lutra::chat::WideInteger max() {
    return lutra::chat::WideInteger::Largest();
  }
  static constexpr lutra::chat::WideInteger min() {
    return -lutra::chat::WideInteger::Largest() - 1;
  }
};

#endif  // LUTRA_RUNTIME_CHAT_WIDE_INTEGER_H_
