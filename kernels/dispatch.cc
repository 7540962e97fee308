#include "kernels/dispatch.h"

#include <array>
#include <atomic>
#include <cstring>

#include "hwy/targets.h"
#include "lutra/kernels/variants.h"

namespace lutra::kernels {
namespace {

// Highway gives better targets lower bits.
constexpr int kTargetBits = 63;

struct VariantTable {
  std::array<Variant, kTargetBits> variants;
  std::array<ActiveKernels, kTargetBits> kernels;
  size_t count = 0;
  size_t best = 0;
};

VariantTable MakeTable() {
  VariantTable t;
  const int64_t supported = hwy::SupportedTargets();
  const int64_t compiled = CompiledTargets();
  for (int bit = 0; bit < kTargetBits; ++bit) {
    const int64_t target = int64_t{1} << bit;
    if ((compiled & target) == 0) continue;
    t.variants[t.count] = {hwy::TargetName(target), (supported & target) != 0};
    t.kernels[t.count] = {FindKernels(target), FindFloatKernels(target)};
    ++t.count;
  }
  while (t.best + 1 < t.count && !t.variants[t.best].supported) ++t.best;
  return t;
}

const VariantTable& Table() {
  static const VariantTable table = MakeTable();
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
