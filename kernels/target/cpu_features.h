#ifndef LUTRA_KERNELS_TARGET_CPU_FEATURES_H_
#define LUTRA_KERNELS_TARGET_CPU_FEATURES_H_

// Extensions of instruction sets that Highway's targets do not imply. cpuinfo
// answers where it can; what a release may not know, or could not find out, is
// asked of the CPU or the operating system here. False on other architectures.

namespace lutra::kernels {

bool CpuHasAvx512Vnni() noexcept;
bool CpuHasAvxVnni() noexcept;
bool CpuHasArmDotProduct() noexcept;
bool CpuHasArmI8mm() noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_CPU_FEATURES_H_
