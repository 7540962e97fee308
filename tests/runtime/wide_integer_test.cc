// WideInteger against what it stands for, where the compiler has that.

#include "runtime/chat/wide_integer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

namespace lutra::chat {
namespace {

using Limits = std::numeric_limits<WideInteger>;

TEST(WideIntegerTest, KnownResults) {
  const WideInteger power = WideInteger{1} << 100;  // 2^100
  EXPECT_TRUE(power ==
              WideInteger{1} * (1 << 25) * (1 << 25) * (1 << 25) * (1 << 25));
  EXPECT_TRUE(power / (WideInteger{1} << 98) == 4);
  EXPECT_TRUE((power + 7) % 1024 == 7);
  EXPECT_TRUE((-power - 7) % 1024 == -7);
  EXPECT_TRUE(WideInteger(-1) < 0);
  EXPECT_TRUE(WideInteger(uint64_t{1} << 63) > 0);
  EXPECT_TRUE(Limits::min() < -power);
  EXPECT_TRUE(Limits::max() > power);
  EXPECT_TRUE(Limits::max() + Limits::min() == -1);
  EXPECT_EQ(static_cast<double>(power), 0x1p100);
  EXPECT_EQ(static_cast<double>(-power), -0x1p100);
  EXPECT_EQ(static_cast<double>(Limits::min()), -0x1p127);
  // Half goes to even, and more than half does not.
  EXPECT_EQ(static_cast<double>(power + (WideInteger{1} << 47)), 0x1p100);
  EXPECT_EQ(static_cast<double>(power + (WideInteger{1} << 47) + 1),
            0x1.0000000000001p100);
  EXPECT_TRUE(WideInteger(0x1.8p100) == power + (WideInteger{1} << 99));
  EXPECT_TRUE(WideInteger(-2.75) == -2);
  EXPECT_EQ(static_cast<int>(WideInteger(-3)), -3);
}

#if defined(__SIZEOF_INT128__)

__extension__ typedef __int128 Native;
__extension__ typedef unsigned __int128 NativeBits;

Native ToNative(WideInteger value) {
  return static_cast<Native>(
      static_cast<NativeBits>(static_cast<uint64_t>(
          (value - static_cast<uint64_t>(value)) / (WideInteger{1} << 64)))
          << 64 |
      static_cast<uint64_t>(value));
}

WideInteger ToWide(Native value) {
  return WideInteger(static_cast<int64_t>(value >> 64)) *
             (WideInteger{1} << 64) +
         static_cast<uint64_t>(value);
}

class RandomNumbers {
 public:
  // Of any length, often at an end of one.
  Native Draw() {
    NativeBits bits = static_cast<NativeBits>(rng_()) << 64 | rng_();
    bits >>= rng_() % 128;
    const uint64_t kind = rng_() % 8;
    if (kind == 0) bits = NativeBits{1} << rng_() % 127;
    if (kind == 1) bits = (NativeBits{1} << rng_() % 128) - 1;
    const auto value = static_cast<Native>(bits & (~NativeBits{0} >> 1));
    return rng_() % 2 == 0 ? value : -value;
  }

 private:
  std::mt19937_64 rng_{1};
};

TEST(WideIntegerTest, ComputesAsTheCompiler) {
  constexpr auto kMost = static_cast<Native>(~NativeBits{0} >> 1);
  const auto size = [](Native x) {
    return static_cast<NativeBits>(x < 0 ? -x : x);
  };
  RandomNumbers numbers;
  for (int i = 0; i < 20000; ++i) {
    const Native a = numbers.Draw();
    const Native b = numbers.Draw();
    const WideInteger x = ToWide(a);
    const WideInteger y = ToWide(b);
    ASSERT_TRUE(ToNative(x) == a) << i;
    ASSERT_EQ(x == y, a == b) << i;
    ASSERT_EQ(x < y, a < b) << i;
    ASSERT_EQ(x > y, a > b) << i;
    ASSERT_EQ(x <= y, a <= b) << i;
    ASSERT_EQ(x >= y, a >= b) << i;
    ASSERT_TRUE(ToNative(-x) == -a) << i;
    if (size(a) / 2 + size(b) / 2 < static_cast<NativeBits>(kMost) / 2) {
      ASSERT_TRUE(ToNative(x + y) == a + b) << i;
      ASSERT_TRUE(ToNative(x - y) == a - b) << i;
    }
    if (a == 0 || size(b) <= static_cast<NativeBits>(kMost) / size(a)) {
      ASSERT_TRUE(ToNative(x * y) == a * b) << i;
    }
    if (b != 0) {
      ASSERT_TRUE(ToNative(x / y) == a / b) << i;
      ASSERT_TRUE(ToNative(x % y) == a % b) << i;
    }
    const int shift = i % 20;
    if (size(a) < NativeBits{1} << 100) {
      ASSERT_TRUE(ToNative(x << shift) == a * (Native{1} << shift)) << i;
    }
    ASSERT_EQ(static_cast<double>(x), static_cast<double>(a)) << i;
    ASSERT_EQ(static_cast<long double>(x), static_cast<long double>(a)) << i;
    ASSERT_EQ(static_cast<int64_t>(x), static_cast<int64_t>(a)) << i;
    const double real = std::ldexp(static_cast<double>(a), -(i % 90));
    if (std::fabs(real) < 0x1p127) {
      ASSERT_TRUE(ToNative(WideInteger(real)) == static_cast<Native>(real))
          << i;
    }
  }
  EXPECT_TRUE(ToNative(Limits::max()) == kMost);
  EXPECT_TRUE(ToNative(Limits::min()) == -kMost - 1);
  EXPECT_TRUE(ToNative(Limits::min() / 3) == (-kMost - 1) / 3);
}

#endif

}  // namespace
}  // namespace lutra::chat
