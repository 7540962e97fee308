#ifndef LUTRA_KERNELS_BASE_CHECKED_MATH_H_
#define LUTRA_KERNELS_BASE_CHECKED_MATH_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

// Arithmetic on sizes that come from a file or a caller.

namespace lutra {

inline std::optional<size_t> CheckedMultiply(size_t a, size_t b) {
  if (b != 0 && a > std::numeric_limits<size_t>::max() / b) {
    return std::nullopt;
  }
  return a * b;
}

inline std::optional<size_t> CheckedAdd(size_t a, size_t b) {
  if (a > std::numeric_limits<size_t>::max() - b) return std::nullopt;
  return a + b;
}

// Product of the dimensions; nullopt if it overflows or one is negative.
inline std::optional<size_t> CheckedElementCount(
    std::span<const int64_t> shape) {
  size_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    const auto product = CheckedMultiply(count, static_cast<size_t>(dimension));
    if (!product) return std::nullopt;
    count = *product;
  }
  return count;
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_CHECKED_MATH_H_
