#ifndef LUTRA_KERNELS_TARGET_CPU_FEATURES_H_
#define LUTRA_KERNELS_TARGET_CPU_FEATURES_H_

#include <cstdint>

// What the CPU can do. cpuinfo answers where it can; what a release may not
// know, or could not find out, is asked of the CPU or the operating system
// here.

namespace lutra::kernels {

// The Highway targets that this CPU can run, as bits.
int64_t SupportedTargets() noexcept;

// Extensions of instruction sets that Highway's targets do not imply. False on
// other architectures.

bool CpuHasAvx512Vnni() noexcept;
bool CpuHasAvxVnni() noexcept;
// Tile registers and their products of int8. Linux lets a process use them only
// if it asks, which this does; from then on the alternate stacks of its signal
// handlers must be large enough for them (AT_MINSIGSTKSZ, 11 KiB).
bool CpuHasAmxInt8() noexcept;
bool CpuHasArmDotProduct() noexcept;
bool CpuHasArmI8mm() noexcept;

// Whether a loop that reads a stream gains by prefetches though few
// instructions follow each load. Intel's CPUs do (a Xeon with AMX: 1.2 to 1.3
// times the bytes per second, from memory), AMD's lose (Zen 4: an eighth), see
// docs/kernels.md.
bool CpuNeedsPrefetch() noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_CPU_FEATURES_H_
