#include "kernels/target/cpu_features.h"

#include <cstring>

#include "hwy/targets.h"

#if defined(LUTRA_HAVE_CPUINFO)
#include <cpuinfo.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace lutra::kernels {

#if HWY_ARCH_X86 && !defined(HWY_AVX3_ZEN4) && defined(LUTRA_HAVE_CPUINFO)

// Debian 12's libhwy.so measures a timer when a program that needs it starts,
// for 6 ms. It is Highway 1.0.3, whose targets these are.
int64_t SupportedTargets() noexcept {
  int64_t targets = HWY_EMU128 | HWY_SCALAR;
  if (!cpuinfo_initialize() || !cpuinfo_has_x86_ssse3()) return targets;
  targets |= HWY_SSSE3;
  if (!cpuinfo_has_x86_sse4_1() || !cpuinfo_has_x86_sse4_2() ||
      !cpuinfo_has_x86_pclmulqdq() || !cpuinfo_has_x86_aes()) {
    return targets;
  }
  targets |= HWY_SSE4;
  if (!cpuinfo_has_x86_avx2() || !cpuinfo_has_x86_fma3() ||
      !cpuinfo_has_x86_f16c() || !cpuinfo_has_x86_lzcnt() ||
      !cpuinfo_has_x86_bmi() || !cpuinfo_has_x86_bmi2()) {
    return targets;
  }
  targets |= HWY_AVX2;
  if (!cpuinfo_has_x86_avx512f() || !cpuinfo_has_x86_avx512vl() ||
      !cpuinfo_has_x86_avx512dq() || !cpuinfo_has_x86_avx512bw()) {
    return targets;
  }
  targets |= HWY_AVX3;
  if (!cpuinfo_has_x86_avx512vnni() || !cpuinfo_has_x86_vpclmulqdq() ||
      !cpuinfo_has_x86_avx512vbmi() || !cpuinfo_has_x86_avx512vbmi2() ||
      !cpuinfo_has_x86_vaes() || !cpuinfo_has_x86_avx512bitalg() ||
      !cpuinfo_has_x86_avx512vpopcntdq() || !cpuinfo_has_x86_gfni()) {
    return targets;
  }
  return targets | HWY_AVX3_DL;
}

#elif HWY_HAVE_RUNTIME_DISPATCH

int64_t SupportedTargets() noexcept { return hwy::SupportedTargets(); }

#else

int64_t SupportedTargets() noexcept { return HWY_TARGETS; }  // of the build

#endif

#if defined(__x86_64__) || defined(__i386__)

namespace {

// What has no name in Highway and in the cpuinfo of 2022: a bit of CPUID's leaf
// 7. The registers are those of `target`, which the system has to save, too.
bool HasBit(int64_t target, unsigned subleaf, unsigned number, unsigned bit) {
  unsigned registers[4];
  return (SupportedTargets() & target) != 0 &&
         __get_cpuid_count(7, subleaf, &registers[0], &registers[1],
                           &registers[2], &registers[3]) != 0 &&
         (registers[number] >> bit & 1u) != 0;
}

}  // namespace

bool CpuHasAvx512Vnni() noexcept { return HasBit(HWY_AVX3, 0, 2, 11); }
bool CpuHasAvxVnni() noexcept { return HasBit(HWY_AVX2, 1, 0, 4); }

bool CpuHasAmxInt8() noexcept {
#if defined(__x86_64__) && defined(__linux__)
  if (!HasBit(HWY_AVX3, 0, 3, 24) || !HasBit(HWY_AVX3, 0, 3, 25)) return false;
  // Names that old headers do not have. The kernel, and not the CPU, says
  // whether it saves the registers.
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool CpuNeedsPrefetch() noexcept {
  unsigned most, name[3];
  return __get_cpuid(0, &most, &name[0], &name[2], &name[1]) != 0 &&
         std::memcmp(name, "GenuineIntel", sizeof(name)) == 0;
}

bool CpuHasArmDotProduct() noexcept { return false; }
bool CpuHasArmI8mm() noexcept { return false; }

#elif defined(__aarch64__) && defined(__APPLE__)

namespace {

// What the system says of the CPU; of names that it does not know, nothing.
bool HasFeature(const char* name) {
  int value = 0;
  size_t size = sizeof(value);
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

}  // namespace

bool CpuHasArmDotProduct() noexcept {
  return HasFeature("hw.optional.arm.FEAT_DotProd");
}
bool CpuHasArmI8mm() noexcept {
  return HasFeature("hw.optional.arm.FEAT_I8MM");
}

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

bool HasDotProductByCpuinfo() {
#if defined(LUTRA_HAVE_CPUINFO)
  return cpuinfo_initialize() && cpuinfo_has_arm_neon_dot();
#else
  return false;
#endif
}

}  // namespace

// cpuinfo reads files of /proc and /sys, which a sandbox may hide.
bool CpuHasArmDotProduct() noexcept {
  return (Capabilities(kHwcap) & kDotProductBit) != 0 ||
         HasDotProductByCpuinfo();
}

// cpuinfo of 2022 does not know it.
bool CpuHasArmI8mm() noexcept {
  return (Capabilities(kHwcap2) & kI8mmBit) != 0;
}

#else

bool CpuHasArmDotProduct() noexcept { return false; }
bool CpuHasArmI8mm() noexcept { return false; }

#endif

#if !defined(__x86_64__) && !defined(__i386__)
bool CpuHasAvx512Vnni() noexcept { return false; }
bool CpuHasAvxVnni() noexcept { return false; }
bool CpuHasAmxInt8() noexcept { return false; }
bool CpuNeedsPrefetch() noexcept { return false; }
#endif

}  // namespace lutra::kernels
