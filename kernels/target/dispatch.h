#ifndef LUTRA_KERNELS_TARGET_DISPATCH_H_
#define LUTRA_KERNELS_TARGET_DISPATCH_H_

#include "kernels/lut/gemm_job.h"
#include "kernels/vector/vector_kernels.h"

namespace lutra::kernels {

// The kernels of the active variant. nullptr: the reference.
struct ActiveKernels {
  const KernelSet* int8;
  const KernelSet* floats;
  const VectorKernels* vectors;  // never nullptr
};
const ActiveKernels& GetActiveKernels() noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_DISPATCH_H_
