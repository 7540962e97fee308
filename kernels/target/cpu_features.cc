#include "kernels/target/cpu_features.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <cpuinfo.h>
#elif defined(__aarch64__)
#include <cpuinfo.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

namespace lutra::kernels {

#if defined(__x86_64__) || defined(__i386__)

bool CpuHasAvx512Vnni() noexcept {
  return cpuinfo_initialize() && cpuinfo_has_x86_avx512vnni();
}

// cpuinfo of 2022 does not know it. The wider registers it needs are AVX2's.
bool CpuHasAvxVnni() noexcept {
  unsigned eax, ebx, ecx, edx;
  return cpuinfo_initialize() && cpuinfo_has_x86_avx2() &&
         __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
         (eax & (1u << 4)) != 0;
}

bool CpuHasArmDotProduct() noexcept { return false; }
bool CpuHasArmI8mm() noexcept { return false; }

#elif defined(__aarch64__)

namespace {

// The kernel's capability words, by numbers that old headers do not name.
constexpr unsigned long kHwcap = 16;
constexpr unsigned long kDotProductBit = 1ul << 20;
constexpr unsigned long kHwcap2 = 26;
constexpr unsigned long kI8mmBit = 1ul << 13;

unsigned long Capabilities([[maybe_unused]] unsigned long word) {
#if defined(__linux__)
  return getauxval(word);
#else
  return 0;
#endif
}

}  // namespace

bool CpuHasAvx512Vnni() noexcept { return false; }
bool CpuHasAvxVnni() noexcept { return false; }

// cpuinfo reads files of /proc and /sys, which a sandbox may hide.
bool CpuHasArmDotProduct() noexcept {
  return (Capabilities(kHwcap) & kDotProductBit) != 0 ||
         (cpuinfo_initialize() && cpuinfo_has_arm_neon_dot());
}

// cpuinfo of 2022 does not know it.
bool CpuHasArmI8mm() noexcept {
  return (Capabilities(kHwcap2) & kI8mmBit) != 0;
}

#else

bool CpuHasAvx512Vnni() noexcept { return false; }
bool CpuHasAvxVnni() noexcept { return false; }
bool CpuHasArmDotProduct() noexcept { return false; }
bool CpuHasArmI8mm() noexcept { return false; }

#endif

}  // namespace lutra::kernels
