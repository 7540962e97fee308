#include "kernels/target/dispatch.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "hwy/targets.h"
#include "kernels/target/cpu_features.h"
#include "kernels/target/find_target.h"
#include "lutra/kernels/variants.h"

namespace lutra::kernels {
namespace {

constexpr size_t kMaxVariants = 32;

// Every variant of this build, best first, and which one runs.
struct VariantTable {
  std::array<Variant, kMaxVariants> variants;
  std::array<ActiveKernels, kMaxVariants> kernels;
  std::array<std::array<char, 24>, kMaxVariants> names;
  size_t count = 0;
  size_t best = 0;
  // What the environment asks for, and what it gets.
  const char* request = nullptr;
  size_t chosen = 0;
  bool refused = false;

  VariantTable();
  // The table points into itself.
  VariantTable(const VariantTable&) = delete;

  void Add(const char* target, const char* extension, bool supported,
           ActiveKernels set) {
    if (count == kMaxVariants) return;
    std::snprintf(names[count].data(), names[count].size(), "%s%s", target,
                  extension);
    variants[count] = {names[count].data(), supported};
    kernels[count] = set;
    ++count;
  }

  // Index of the supported variant `name`, or `count`.
  size_t Find(const char* name) const {
    for (size_t i = 0; i < count; ++i) {
      if (variants[i].supported && std::strcmp(variants[i].name, name) == 0) {
        return i;
      }
    }
    return count;
  }
};

VariantTable::VariantTable() {
  const int64_t supported = SupportedTargets();
  const int64_t compiled = CompiledTargets();
  for (int bit = 0; bit < kTargetBits; ++bit) {
    const int64_t target = int64_t{1} << bit;
    if ((compiled & target) == 0) continue;
    const char* name = hwy::TargetName(target);
    const bool runs = (supported & target) != 0;
    ActiveKernels set = {target, nullptr, FindFloatKernels(target),
                         FindVectorKernels(target)};
    bool has_kernels = false;
    for (size_t extension = kExtensions; extension-- > 0;) {
      const Int8Variant* variant = FindInt8Variant(target, extension);
      if (variant == nullptr) continue;
      has_kernels = true;
      set.int8 = variant->kernels;
      Add(name, variant->extension, runs && variant->is_supported(), set);
    }
    if (!has_kernels) Add(name, "", runs, set);
  }
  while (best + 1 < count && !variants[best].supported) ++best;
  chosen = best;
  request = std::getenv("LUTRA_KERNEL");
  if (request != nullptr && *request != '\0') {
    const size_t found = Find(request);
    refused = found == count;
    if (!refused) chosen = found;
  }
}

const VariantTable& Table() {
  static const VariantTable table;
  return table;
}

// The active variant's, or nullptr: that of the table's choice. A pointer to
// constants, as every call of a kernel reads it.
std::atomic<const ActiveKernels*> active{nullptr};

size_t Active() {
  return static_cast<size_t>(&GetActiveKernels() - Table().kernels.data());
}

}  // namespace

const ActiveKernels& GetActiveKernels() noexcept {
  const ActiveKernels* kernels = active.load(std::memory_order_acquire);
  if (kernels != nullptr) return *kernels;
  const ActiveKernels* const chosen = &Table().kernels[Table().chosen];
  // Unless another thread has forced one meanwhile.
  if (active.compare_exchange_strong(kernels, chosen)) kernels = chosen;
  return *kernels;
}

const Variant* Variants(size_t* count) noexcept {
  *count = Table().count;
  return Table().variants.data();
}

const char* ActiveVariant() noexcept { return Table().variants[Active()].name; }

const char* BestVariant() noexcept {
  return Table().variants[Table().best].name;
}

const char* RefusedRequest() noexcept {
  return Table().refused ? Table().request : nullptr;
}

bool ForceVariant(const char* name) noexcept {
  const VariantTable& table = Table();
  const size_t found = name == nullptr ? table.chosen : table.Find(name);
  if (found == table.count) return false;
  active = &table.kernels[found];
  return true;
}

}  // namespace lutra::kernels
