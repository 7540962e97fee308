#include "kernels/dispatch.h"

#include <cpuinfo.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "hwy/targets.h"
#include "lutra/kernels/variants.h"

namespace lutra::kernels {
namespace {

// Highway gives better targets lower bits.
constexpr int kTargetBits = 63;
constexpr size_t kMaxVariants = 2 * kTargetBits;

struct VariantTable {
  std::array<Variant, kMaxVariants> variants;
  std::array<ActiveKernels, kMaxVariants> kernels;
  std::array<std::array<char, 24>, kMaxVariants> names;
  size_t count = 0;
  size_t best = 0;

  void Add(const char* target, const char* extension, bool supported,
           ActiveKernels set) {
    std::snprintf(names[count].data(), names[count].size(), "%s%s", target,
                  extension);
    variants[count] = {names[count].data(), supported};
    kernels[count] = set;
    ++count;
  }
};

// Whether this CPU has the extension of `target`.
bool HasDotProduct([[maybe_unused]] int64_t target) {
#if defined(__x86_64__) || defined(__i386__)
  if (target == HWY_AVX3) {
    return cpuinfo_initialize() && cpuinfo_has_x86_avx512vnni();
  }
  // AVX-VNNI, which older releases of cpuinfo cannot tell: leaf 7, subleaf 1.
  unsigned eax, ebx, ecx, edx;
  return target == HWY_AVX2 &&
         __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
         (eax & (1u << 4)) != 0;
#else
  return false;
#endif
}

void FillTable(VariantTable& t) {
  const int64_t supported = hwy::SupportedTargets();
  const int64_t compiled = CompiledTargets();
  for (int bit = 0; bit < kTargetBits; ++bit) {
    const int64_t target = int64_t{1} << bit;
    if ((compiled & target) == 0) continue;
    const char* name = hwy::TargetName(target);
    const bool runs = (supported & target) != 0;
    const KernelSet* floats = FindFloatKernels(target);
    if (const auto* set = FindKernels(target, Extension::kDotProduct)) {
      t.Add(name, "+VNNI", runs && HasDotProduct(target), {set, floats});
    }
    t.Add(name, "", runs, {FindKernels(target, Extension::kNone), floats});
  }
  while (t.best + 1 < t.count && !t.variants[t.best].supported) ++t.best;
}

// The table points into itself: it is filled in place and not copied.
struct FilledTable : VariantTable {
  FilledTable() { FillTable(*this); }
  FilledTable(const FilledTable&) = delete;
};

const VariantTable& Table() {
  static const FilledTable table;
  return table;
}

// Index of the active variant plus 1; 0 means the best.
std::atomic<size_t> forced{0};

size_t Active() {
  const size_t f = forced.load(std::memory_order_relaxed);
  return f == 0 ? Table().best : f - 1;
}

}  // namespace

ActiveKernels GetActiveKernels() noexcept { return Table().kernels[Active()]; }

const Variant* Variants(size_t* count) noexcept {
  *count = Table().count;
  return Table().variants.data();
}

const char* ActiveVariant() noexcept { return Table().variants[Active()].name; }

bool ForceVariant(const char* name) noexcept {
  if (name == nullptr) {
    forced = 0;
    return true;
  }
  for (size_t i = 0; i < Table().count; ++i) {
    const Variant& variant = Table().variants[i];
    if (variant.supported && std::strcmp(variant.name, name) == 0) {
      forced = i + 1;
      return true;
    }
  }
  return false;
}

}  // namespace lutra::kernels
