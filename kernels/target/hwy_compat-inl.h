// What differs between Highway releases (1.0.3 to 1.4.0) and between targets.

#if defined(LUTRA_KERNELS_TARGET_HWY_COMPAT_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_TARGET_HWY_COMPAT_INL_H_
#undef LUTRA_KERNELS_TARGET_HWY_COMPAT_INL_H_
#else
#define LUTRA_KERNELS_TARGET_HWY_COMPAT_INL_H_
#endif

#include "hwy/highway.h"

// Targets without a 16-entry byte look-up emulate it, slower than the plain
// loops of the reference: those run instead.
#undef LUTRA_USE_REFERENCE
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
#define LUTRA_USE_REFERENCE 1
#elif defined(HWY_SSE2) && HWY_TARGET == HWY_SSE2
#define LUTRA_USE_REFERENCE 1
#else
#define LUTRA_USE_REFERENCE 0
#endif

// Whether the target has blocks of 16 floats (kernels/vector/block-inl.h). A
// struct cannot hold vectors of a length that the compiler does not know; CPUs
// that have them have others, too.
#undef LUTRA_HAS_BLOCKS
#if HWY_HAVE_SCALABLE || LUTRA_USE_REFERENCE
#define LUTRA_HAS_BLOCKS 0
#else
#define LUTRA_HAS_BLOCKS 1
#endif

#undef LUTRA_IS_SVE
#if HWY_ARCH_ARM_A64 &&                                 \
    (HWY_TARGET == HWY_SVE || HWY_TARGET == HWY_SVE2 || \
     HWY_TARGET == HWY_SVE_256 || HWY_TARGET == HWY_SVE2_128)
#define LUTRA_IS_SVE 1
#else
#define LUTRA_IS_SVE 0
#endif

// Vector registers, which bound the size of a tile of accumulators; of
// WebAssembly those of the CPU below, which may be an x86.
#undef LUTRA_REGISTERS
#if (HWY_ARCH_X86 && HWY_TARGET >= HWY_AVX2) || HWY_ARCH_WASM
#define LUTRA_REGISTERS 16
#else
#define LUTRA_REGISTERS 32
#endif

// Whether hn::MulAdd rounds once.
#undef LUTRA_FUSED
#if HWY_ARCH_X86
#if HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_BMI2_FMA)
#define LUTRA_FUSED 1
#else
#define LUTRA_FUSED 0
#endif
#elif HWY_ARCH_ARM_A64
#define LUTRA_FUSED 1
#else
#define LUTRA_FUSED HWY_NATIVE_FMA
#endif

#endif  // per-target include guard
