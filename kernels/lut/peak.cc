#include "lutra/kernels/peak.h"

#include "kernels/target/dispatch.h"

namespace lutra::kernels {
namespace {

double RunPeak(const KernelSet* set, size_t rounds) {
  if (set == nullptr || set->peak == nullptr || rounds == 0) return 0;
  return set->peak(rounds);
}

}  // namespace

double RunInt8Peak(size_t rounds) noexcept {
  return RunPeak(GetActiveKernels().int8, rounds);
}

double RunFloatPeak(size_t rounds) noexcept {
  return RunPeak(GetActiveKernels().floats, rounds);
}

}  // namespace lutra::kernels
