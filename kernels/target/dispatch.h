#ifndef LUTRA_KERNELS_TARGET_DISPATCH_H_
#define LUTRA_KERNELS_TARGET_DISPATCH_H_

#include "kernels/target/kernel_tables.h"

namespace lutra::kernels {

// The kernels of the active variant that every program has. The others are
// found by the target, where they are called: linkers then leave out what
// nobody calls.
struct ActiveKernels {
  int64_t target;
  const KernelSet* int8;    // nullptr: the reference
  const KernelSet* floats;  // nullptr: the reference
  const VectorKernels* vectors;
};

const ActiveKernels& GetActiveKernels() noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_DISPATCH_H_
