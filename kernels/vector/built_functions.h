#ifndef LUTRA_KERNELS_VECTOR_BUILT_FUNCTIONS_H_
#define LUTRA_KERNELS_VECTOR_BUILT_FUNCTIONS_H_

#include "lutra/kernels/vector_ops.h"

namespace lutra::kernels {

// A small build chose its operators (kernels/CMakeLists.txt): functions that
// none of them needs run by the reference, with the same bits. A bit for each
// Function, then those of the rest.
#ifdef LUTRA_BUILT_FUNCTIONS
inline constexpr unsigned kBuiltFunctions = LUTRA_BUILT_FUNCTIONS;
#else
inline constexpr unsigned kBuiltFunctions = ~0u;
#endif
constexpr bool IsBuilt(Function function) {
  return (kBuiltFunctions >> static_cast<unsigned>(function) & 1) != 0;
}
inline constexpr unsigned kOtherFunctions =
    kBuiltFunctions >> (static_cast<unsigned>(Function::kRelu2) + 1);
inline constexpr bool kHasRmsNorm = (kOtherFunctions & 1) != 0;
inline constexpr bool kHasLayerNorm = (kOtherFunctions & 2) != 0;
inline constexpr bool kHasToFloat16 = (kOtherFunctions & 4) != 0;
inline constexpr bool kHasWindow = (kOtherFunctions & 8) != 0;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VECTOR_BUILT_FUNCTIONS_H_
