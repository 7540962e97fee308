#ifndef LUTRA_KERNELS_CACHE_TYPE_H_
#define LUTRA_KERNELS_CACHE_TYPE_H_

namespace lutra::kernels {

// How attention stores the keys and values of earlier tokens. kInt8 has a
// float32 scale for each token and head: s = max|x| / 127, x = q * s.
enum class CacheType { kFloat32, kFloat16, kInt8 };

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_CACHE_TYPE_H_
