#ifndef LUTRA_KERNELS_VARIANTS_H_
#define LUTRA_KERNELS_VARIANTS_H_

#include <cstddef>

// The instruction sets the kernels were built for, and which one runs.

namespace lutra::kernels {

struct Variant {
  const char* name;  // e.g. "AVX2", "AVX3_DL"
  bool supported;    // by this CPU
};

// All variants in this build, best first. The array is static.
const Variant* Variants(size_t* count) noexcept;

// The variant that the next call runs: the best supported one, unless another
// was forced.
const char* ActiveVariant() noexcept;

// Makes all following calls run `name`, or the best one again for nullptr.
// Returns false, changing nothing, if it is not in this build or not supported.
// Not to be called while kernels run on other threads.
bool ForceVariant(const char* name) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VARIANTS_H_
