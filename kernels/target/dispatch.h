#ifndef LUTRA_KERNELS_TARGET_DISPATCH_H_
#define LUTRA_KERNELS_TARGET_DISPATCH_H_

#include "kernels/target/kernel_tables.h"

namespace lutra::kernels {

// The kernels of the active variant.
struct ActiveKernels {
  const KernelSet* int8;    // nullptr: the reference
  const KernelSet* floats;  // nullptr: the reference
  const VectorKernels* vectors;
  AttendTokensFunction attend_tokens;
  const FloatGemmKernels* float_gemm;  // nullptr: the reference
};

const ActiveKernels& GetActiveKernels() noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_DISPATCH_H_
