#ifndef LUTRA_KERNELS_BASE_FUSED_H_
#define LUTRA_KERNELS_BASE_FUSED_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace lutra::kernels {

// a * b + c, rounded once: std::fma, whose form for floats MinGW-w64 (10)
// rounds twice.
inline float FusedMultiplyAdd(float a, float b, float c) {
#if defined(__MINGW32__)
  // The product is exact in a double. Of the sum a double holds more than twice
  // the bits of a float, so it may be rounded twice if the first time is to
  // odd: S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded
  // sums: proved algorithms using rounding to odd" (2008).
  const double product = double{a} * double{b};
  const double sum = product + double{c};
  const double part = sum - product;
  const double error = (product - (sum - part)) + (double{c} - part);
  auto bits = std::bit_cast<uint64_t>(sum);
  if (std::isfinite(sum) && error != 0 && bits % 2 == 0) {
    // To the neighbour on the side of the error.
    if ((error > 0) == (sum > 0)) {
      ++bits;
    } else {
      --bits;
    }
  }
  return static_cast<float>(std::bit_cast<double>(bits));
#else
  return std::fma(a, b, c);
#endif
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_BASE_FUSED_H_
