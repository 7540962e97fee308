#ifndef LUTRA_KERNELS_TARGET_FIND_TARGET_H_
#define LUTRA_KERNELS_TARGET_FIND_TARGET_H_

#include <cstdint>

// Files that are compiled for each Highway target put what they make into a
// template, specialised in every pass, so that no list of targets is needed:
//
//   template <int64_t kTarget> struct Of { static constexpr F* value = nullptr;
//   }; template <> struct Of<HWY_TARGET> { static constexpr F* value = F...; };
//
// The functions below look it up when the program runs.

namespace lutra::kernels {

// Highway gives better targets lower bits.
inline constexpr int kTargetBits = 63;

// Of exactly this target, or nullptr.
template <template <int64_t> class Of, int kBit = 0>
auto FindTarget(int64_t target) noexcept {
  constexpr auto value = Of<(int64_t{1} << kBit)>::value;
  if (target == int64_t{1} << kBit) return value;
  if constexpr (kBit + 1 < kTargetBits) {
    return FindTarget<Of, kBit + 1>(target);
  } else {
    return decltype(value){nullptr};
  }
}

// Of this target or, where it has none, of the best that is worse; or nullptr.
template <template <int64_t> class Of, int kBit = 0>
auto FindTargetOrWorse(int64_t target) noexcept {
  constexpr auto value = Of<(int64_t{1} << kBit)>::value;
  if (value != nullptr && int64_t{1} << kBit >= target) return value;
  if constexpr (kBit + 1 < kTargetBits) {
    return FindTargetOrWorse<Of, kBit + 1>(target);
  } else {
    return decltype(value){nullptr};
  }
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_FIND_TARGET_H_
