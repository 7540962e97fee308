// AttendToken of attention.h, compiled for each Highway target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/attention/attention_reference.h"
#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/kernel_tables.h"

#ifndef LUTRA_KERNELS_ATTEND_TOKEN_OF_
#define LUTRA_KERNELS_ATTEND_TOKEN_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget>
struct AttendTokenOf {
  static constexpr AttendTokenFunction value = nullptr;
};
}  // namespace lutra::kernels
#endif

#if LUTRA_HAS_BLOCKS
#include "kernels/attention/attention-inl.h"

namespace lutra::kernels {
template <>
struct AttendTokenOf<HWY_TARGET> {
  static constexpr AttendTokenFunction value = HWY_NAMESPACE::AttendToken;
};
}  // namespace lutra::kernels
#endif  // LUTRA_HAS_BLOCKS

#if HWY_ONCE
namespace lutra::kernels {

AttendTokenFunction FindAttendToken(int64_t target) noexcept {
  const auto function = FindTargetOrWorse<AttendTokenOf>(target);
  return function == nullptr ? AttendTokenPlainly : function;
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
