#ifndef LUTRA_KERNELS_VARIANTS_H_
#define LUTRA_KERNELS_VARIANTS_H_

#include <cstddef>

// The instruction sets the kernels were built for, and which one runs: the best
// that the CPU supports, or the one that the environment variable LUTRA_KERNEL
// names. The choice is made when the library first needs it.
//
// All functions may be called from several threads at once, except as noted.

namespace lutra::kernels {

struct Variant {
  const char* name;  // e.g. "AVX2", "AVX3+VNNI", "NEON+DOTPROD"
  bool supported;    // by this CPU
};

// All variants in this build, best first. The array is static.
const Variant* Variants(size_t* count) noexcept;

// The variant that the next call runs.
const char* ActiveVariant() noexcept;

// The best supported variant, which runs unless another was asked for.
const char* BestVariant() noexcept;

// The value of LUTRA_KERNEL if it names no variant of this build or one that
// this CPU does not support, else nullptr. The library then runs the best
// variant; programs should say so, or stop.
const char* RefusedRequest() noexcept;

// Makes all following calls run `name`, whatever the environment says, or what
// ran at first again for nullptr. Returns false, changing nothing, if the
// variant is not in this build or not supported. Not to be called while kernels
// run on other threads.
bool ForceVariant(const char* name) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VARIANTS_H_
