#ifndef LUTRA_KERNELS_CACHE_TYPE_H_
#define LUTRA_KERNELS_CACHE_TYPE_H_

#include <string_view>

namespace lutra::kernels {

// How attention stores the keys and values of earlier tokens: as they are,
// rounded to float16 (to nearest even), or as int8 with a float32 scale for
// each token and head,
//   s = max(max|x| / 127, 2^-126), q = rne(clamp(x * (1 / s), -127, 127))
// With an infinity or a NaN among the x of a token and head, s is NaN and every
// q is 0: all that attention makes of them is NaN.
enum class CacheType { kFloat32, kFloat16, kInt8 };

// In the order of the types.
inline constexpr std::string_view kCacheTypeNames[] = {"float32", "float16",
                                                       "int8"};

constexpr std::string_view Name(CacheType type) {
  return kCacheTypeNames[static_cast<int>(type)];
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_CACHE_TYPE_H_
